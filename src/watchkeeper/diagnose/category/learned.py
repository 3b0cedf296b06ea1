"""LearnedClassifier: the category from incidents that people confirmed, blended with the rules while these are few.

Enters: an IncidentWindow, and confirmed incidents by `confirm`. Leaves: a Classification. The rules are the prior: what
was learned gains weight with the number of confirmed incidents and with how well it answers held-out ones. Its state is
a file of examples (JSON) and one of the model (npz).
"""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

from watchkeeper.diagnose.base import Category, Classification, Classifier, Ranking
from watchkeeper.diagnose.category.features import Features, features_of
from watchkeeper.diagnose.category.learner import LEARNER_SCHEMA_VERSION, Learned, learn, load_learned
from watchkeeper.diagnose.category.rules import EvidenceClassifier
from watchkeeper.diagnose.window import IncidentWindow
from watchkeeper.errors import NewerFormat, StoreError

EXAMPLES_MAX = 2_000
LABELS_MIN = 6
"""Fewest confirmed incidents, of two categories at least, before anything is learned from them."""
HALF_WEIGHT = 20.0
"""So many confirmed incidents weigh as much as the rules."""
TREES = 100
_LEAST = 1e-4


class LearnedClassifier:
    """Learns from confirmed incidents; before there are enough of them it answers as the rules do."""

    def __init__(self, prior: Classifier | None = None) -> None:
        self._prior = prior or EvidenceClassifier()
        self._examples: list[tuple[dict[str, float], str]] = []
        self._learned: Learned | None = None

    def __len__(self) -> int:
        return len(self._examples)

    def confirm(self, window: IncidentWindow, category: Category) -> None:
        """Take in that a person confirmed this incident's category; the oldest is forgotten beyond EXAMPLES_MAX."""
        self.confirm_features(features_of(window), category)

    def confirm_features(self, features: Features, category: Category) -> None:
        """Take in features of a confirmed incident."""
        self._examples.append((dict(features), Category(category).value))
        del self._examples[:-EXAMPLES_MAX]
        self._learned = None

    def fit(self) -> Learned | None:
        """Learn from what was confirmed, when there is anything new; None while there is too little."""
        labels = [label for _, label in self._examples]
        if self._learned is None and len(labels) >= LABELS_MIN and len(Counter(labels)) >= 2:
            self._learned = learn([features for features, _ in self._examples], labels, trees=TREES)
        return self._learned

    def classify(self, window: IncidentWindow, ranking: Ranking) -> Classification:
        """Give the category; probabilities are the rules' and the learned ones, blended in log-odds."""
        rules = self._prior.classify(window, ranking)
        features = features_of(window)
        learned = self.fit()
        if learned is None or not any(name in learned.names for name in features):
            return rules
        share = len(self) / (len(self) + HALF_WEIGHT) * (learned.score if math.isfinite(learned.score) else 0.0)
        told = dict(zip(learned.classes, learned.probabilities([features])[0].tolist(), strict=True))
        mixed = {
            category: rules.probabilities.get(category, _LEAST) ** (1.0 - share)
            * max(told.get(category.value, 0.0), _LEAST) ** share
            for category in Category
        }
        total = sum(mixed.values())
        probabilities = {category: value / total for category, value in mixed.items()}
        best = max(Category, key=lambda category: probabilities[category])
        why = list(rules.why) if rules.category is best and not rules.abstains else []
        if best.value in learned.classes:
            alike = sum(label == best.value for _, label in self._examples)
            reasons = [_worded(name) for name, _ in learned.explain(features, best.value, most=3) if name in features]
            if reasons:
                why.append(f"as in {alike} confirmed incidents of this category: {'; '.join(reasons)}")
        return Classification(best, probabilities, tuple(why), abstains=best is Category.UNKNOWN)

    def save(self, folder: Path) -> None:
        """Write the examples, and the model when there is one."""
        folder.mkdir(parents=True, exist_ok=True)
        data = {"schema_version": LEARNER_SCHEMA_VERSION, "examples": self._examples}
        (folder / "examples.json").write_text(json.dumps(data), encoding="utf-8")
        model = folder / "model.npz"
        if self._learned is not None:
            self._learned.save(model)
        else:
            model.unlink(missing_ok=True)

    def load(self, folder: Path) -> None:
        """Take up what `save` wrote; nothing when there is none. Raises StoreError, NewerFormat."""
        file = folder / "examples.json"
        if not file.exists():
            return
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
            if data["schema_version"] > LEARNER_SCHEMA_VERSION:
                raise NewerFormat(f"{file} has schema version {data['schema_version']}; update Watchkeeper to read it")
            self._examples = [
                ({str(name): float(weight) for name, weight in features.items()}, Category(label).value)
                for features, label in data["examples"]
            ]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(f"{file} cannot be read: {error}; remove it to begin anew") from error
        model = folder / "model.npz"
        self._learned = load_learned(model) if model.exists() else None


def _worded(feature: str) -> str:
    kind, _, rest = feature.partition(":")
    named = {
        "word": "the word",
        "template": "the log line",
        "finding": "a finding",
        "metric": "metrics of",
        "span": "spans:",
        "change": "a change:",
        "title": "the title's word",
    }
    return f"{named.get(kind, kind)} {rest}"
