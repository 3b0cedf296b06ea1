"""TextClassifier: the category from words alone, at the time of the symptom: an incident's title and first report.

Enters: texts as people write them. Leaves: class probabilities and the words that spoke. What is only known afterwards
(that there is an analysis, that it was mitigated, how long it took) is taken out before learning, as are numbers.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from watchkeeper.diagnose.category.features import words
from watchkeeper.diagnose.category.learner import TEXTS, Learned, Option, learn, load_learned
from watchkeeper.diagnose.category.vocabulary import TERMS

_AFTERWARDS = re.compile(
    r"\brca\b|root cause analysis|post.?mortem|\b(is |are |was |were |been )?(mitigated|resolved|completed|restored)\b|"
    r"\(?tracking id[^)]*\)?|summary of impact:?|https?://\S+|for a duration of[^.,;]*|\bincident #?\d+",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")


def at_symptom_time(title: str, report: str, *, sentences: int = 0) -> str:
    """Give title and report without what is only known afterwards; the first `sentences` of the report, 0 = all.

    >>> at_symptom_time("RCA - Storage - Mitigated", "Summary of impact: Reads failed. It was a bug.", sentences=1)
    '- Storage -  . Reads failed.'
    """
    told = " ".join(_SENTENCE_END.split(report.strip())[: sentences or None])
    return f"{_AFTERWARDS.sub('', title)} . {_AFTERWARDS.sub('', told).strip()}".strip()


def sentences_of(text: str) -> list[str]:
    """Give the sentences of a text; a title ended by ` . ` is one of them."""
    return [each.strip() for part in text.split(" . ") for each in _SENTENCE_END.split(part) if words(each)]


def text_features(text: str) -> dict[str, float]:
    """Give words, pairs of neighbouring words, and the terms of the failure vocabulary that occur."""
    found: dict[str, float] = {}
    said = words(text)
    for name in [
        *(f"word:{word}" for word in said),
        *(f"pair:{first} {second}" for first, second in pairwise(said)),
    ]:
        found[name] = found.get(name, 0.0) + 1.0
    for term in TERMS:
        if term.pattern.search(text):
            found[f"term:{term.name}"] = 2.0
    return found


class TextClassifier:
    """Learns classes of texts; `fit` first, or `load`."""

    def __init__(self, options: Sequence[Option] = TEXTS) -> None:
        self._options = options
        self._learned: Learned | None = None

    def fit(self, texts: Sequence[str], labels: Sequence[str], *, groups: Sequence[Hashable] | None = None) -> None:
        """Learn from labelled texts; the model is chosen by held-out folds of these."""
        self._learned = learn([text_features(text) for text in texts], labels, options=self._options, groups=groups)

    @property
    def learned(self) -> Learned:
        """Give what was learned; raises ValueError before `fit`."""
        if self._learned is None:
            raise ValueError("a TextClassifier answers only after fit or load")
        return self._learned

    def probabilities(self, text: str) -> Mapping[str, float]:
        """Give the probability of each class."""
        row = self.learned.probabilities([text_features(text)])[0]
        return dict(zip(self.learned.classes, row.tolist(), strict=True))

    def why(self, text: str, label: str, *, most: int = 5) -> tuple[str, ...]:
        """Give the words that spoke for a class, strongest first."""
        features = text_features(text)
        return tuple(name.partition(":")[2] for name, _ in self.learned.explain(features, label, most=most))

    def save(self, path: Path) -> None:
        """Write the state as npz."""
        self.learned.save(path)

    def load(self, path: Path) -> None:
        """Take up what `save` wrote; raises StoreError, NewerFormat."""
        self._learned = load_learned(path)
