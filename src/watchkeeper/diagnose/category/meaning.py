"""MeaningClassifier: the category from what a text means, by embeddings, where the extra `embeddings` is installed.

Enters: texts as people write them, and an encoder of texts. Leaves: class probabilities and the descriptions that a
text came close to. A text is its vector, and how near one of its sentences comes to each description of a category; so
a category of which there are few examples is known by what it is. Options are chosen on held-out folds of what is
learned from. `text_classifier` gives this one where it can be had, TextClassifier (words) otherwise.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from watchkeeper.diagnose.base import Category
from watchkeeper.diagnose.category.folds import stratified_folds
from watchkeeper.diagnose.category.learner import FOLDS, fit_sharpness, macro_f1, sharpened
from watchkeeper.diagnose.category.linear import Linear, softmax_regression
from watchkeeper.diagnose.category.text import TextClassifier, sentences_of
from watchkeeper.embed.minilm import Embedder, is_available
from watchkeeper.errors import NewerFormat, StoreError

MEANING_SCHEMA_VERSION = 1
VECTOR_WEIGHT = 6.0
"""Brings the parts of a unit vector of 384 to a third of the size of the standardised nearnesses beside them."""
DESCRIPTIONS: Mapping[Category, tuple[str, ...]] = {
    Category.APPLICATION: (
        "a software bug in the program: an exception, a crash, a race or a deadlock",
        "a defect in the code of the service made requests fail",
    ),
    Category.CHANGE: (
        "a configuration change or a deployment went wrong",
        "an incorrect setting, certificate or version was rolled out",
        "planned maintenance or an upgrade caused the problem",
    ),
    Category.NETWORK: (
        "network hardware or a link failed: packets were lost",
        "a router, switch or fiber failed and connectivity was lost",
        "name resolution failed",
    ),
    Category.HOST: (
        "power was lost in a data center",
        "cooling failed and temperatures rose",
        "a machine or its hardware failed",
    ),
    Category.CPU: (
        "too much load exhausted the capacity of the service",
        "a sudden increase in traffic or requests overloaded the servers",
    ),
    Category.MEMORY: ("the service ran out of memory",),
    Category.DISK: ("a disk or volume was full",),
    Category.DEPENDENCY: ("a database or another service that is called failed",),
    Category.EXTERNAL: (
        "a third party or an external provider had an outage",
        "a natural event such as a storm or lightning",
    ),
    Category.UNKNOWN: ("the cause is not known",),
}
"""What belongs to each category, as docs/categories.md has it."""
SPREAD_MIN = 0.05
"""Cosines differ by as much by wording alone; a narrower spread of few texts is not taken for knowledge."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Encode = Callable[[Sequence[str]], npt.NDArray[np.float32]]


class Option(NamedTuple):
    """What may be chosen. penalty: of the weights, > 0. even: 0 = texts weigh the same, 1 = classes do."""

    penalty: float
    even: float


OPTIONS = tuple(Option(penalty, even) for penalty in (0.05, 0.005) for even in (0.5, 1.0))


class _Learned(NamedTuple):
    classes: tuple[str, ...]
    middle: Floats
    spread: Floats
    model: Linear
    sharpness: float


class MeaningClassifier:
    """Learns classes of texts; `fit` first, or `load`. The same interface as TextClassifier."""

    def __init__(self, encode: Encode, options: Sequence[Option] = OPTIONS) -> None:
        self._encode, self._options = encode, options
        self._learned: _Learned | None = None
        self._told = [text for texts in DESCRIPTIONS.values() for text in texts]
        self._whose = np.repeat(np.arange(len(DESCRIPTIONS)), [len(texts) for texts in DESCRIPTIONS.values()])
        self._described = encode(self._told).astype(np.float64)  # (descriptions, D)

    def fit(self, texts: Sequence[str], labels: Sequence[str], *, groups: Sequence[Hashable] | None = None) -> None:
        """Learn from labelled texts, N >= 1; the option is chosen by held-out folds of these, groups held together.

        Chosen by the sum of accuracy and macro-F1. Cost: the encoding, then FOLDS x options small regressions.
        """
        classes = tuple(sorted(set(labels)))
        numbers = np.array([classes.index(label) for label in labels])
        rows = self.rows(texts)
        folds = stratified_folds(labels, FOLDS, groups=groups)
        chosen, sharpness = self._options[0], 1.0
        if len(classes) > 1 and len(np.unique(folds)) > 1:
            judged = [_held_out(rows, numbers, len(classes), folds, option) for option in self._options]
            scores = [
                macro_f1(numbers, told.argmax(axis=1), len(classes)) + float((told.argmax(axis=1) == numbers).mean())
                for told in judged
            ]
            best = int(np.argmax(scores))
            chosen, sharpness = self._options[best], fit_sharpness(judged[best], numbers)
        middle, spread = _scale(rows)
        model = _fit((rows - middle) / spread, numbers, len(classes), chosen)
        self._learned = _Learned(classes, middle, spread, model, sharpness)

    @property
    def learned(self) -> _Learned:
        """Give what was learned; raises ValueError before `fit`."""
        if self._learned is None:
            raise ValueError("a MeaningClassifier answers only after fit or load")
        return self._learned

    def probabilities(self, text: str) -> Mapping[str, float]:
        """Give the probability of each class."""
        told = self.learned
        row = (self.rows([text]) - told.middle) / told.spread
        chances = sharpened(told.model.probabilities(row), told.sharpness)[0]
        return dict(zip(told.classes, chances.tolist(), strict=True))

    def why(self, text: str, label: str, *, most: int = 2) -> tuple[str, ...]:
        """Give the descriptions that the text came close to and that spoke for a class, strongest first."""
        told = self.learned
        row = ((self.rows([text]) - told.middle) / told.spread)[0]
        spoke = told.model.contributions(row)[: len(DESCRIPTIONS), told.classes.index(label)]
        near = self._near([text])[0]
        found = [at for at in np.argsort(-spoke, kind="stable") if spoke[at] > 0 and row[at] > 0][:most]
        best = [max(np.flatnonzero(self._whose == at), key=lambda each: float(near[each])) for at in found]
        return tuple(self._told[at] for at in best)

    def rows(self, texts: Sequence[str]) -> Floats:
        """Give (N, categories + D): nearness to each category's descriptions, then the vector of the whole text."""
        near = self._near(texts)
        firsts = np.searchsorted(self._whose, np.arange(len(DESCRIPTIONS)))
        nearest = np.maximum.reduceat(near, firsts, axis=1)
        return np.hstack([nearest, self._encode(texts).astype(np.float64)])

    def _near(self, texts: Sequence[str]) -> Floats:
        """Give (N, descriptions): the highest cosine that any sentence of the text has."""
        parts = [sentences_of(text) or [text] for text in texts]
        vectors = self._encode([sentence for part in parts for sentence in part]).astype(np.float64)
        begins = np.cumsum([0, *(len(part) for part in parts)])[:-1]
        return np.asarray(np.maximum.reduceat(vectors @ self._described.T, begins, axis=0))

    def save(self, path: Path) -> None:
        """Write the state as npz; the encoder is not in it."""
        told = self.learned
        header = {"schema_version": MEANING_SCHEMA_VERSION, "classes": told.classes, "sharpness": told.sharpness}
        packed = io.BytesIO()
        text = np.frombuffer(json.dumps(header).encode(), np.uint8)
        arrays: dict[str, Any] = {
            "middle": told.middle,
            "spread": told.spread,
            "weights": told.model.weights,
            "bias": told.model.bias,
        }
        np.savez_compressed(packed, header=text, **arrays)
        path.write_bytes(packed.getvalue())

    def load(self, path: Path) -> None:
        """Take up what `save` wrote; raises StoreError, NewerFormat."""
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
                arrays = dict(archive)
            header = json.loads(arrays.pop("header").tobytes())
            if header["schema_version"] > MEANING_SCHEMA_VERSION:
                raise NewerFormat(f"{path} has schema version {header['schema_version']}; update Watchkeeper")
            model = Linear(arrays["weights"], arrays["bias"])
            self._learned = _Learned(
                tuple(header["classes"]), arrays["middle"], arrays["spread"], model, float(header["sharpness"])
            )
        except (OSError, KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise StoreError(
                f"{path} cannot be read as a learned classifier: {error}; remove it to learn anew"
            ) from error


def text_classifier(cache: Path | None = None) -> MeaningClassifier | TextClassifier:
    """Give the classifier of texts that this installation allows; raises DataSetError when its weights are damaged."""
    return MeaningClassifier(Embedder(cache).encode) if is_available() else TextClassifier()


def _scale(rows: Floats) -> tuple[Floats, Floats]:
    """Give what to subtract and divide by: nearnesses are standardised, vectors only made larger."""
    count = len(DESCRIPTIONS)
    middle, spread = np.zeros(rows.shape[1]), np.full(rows.shape[1], 1.0 / VECTOR_WEIGHT)
    middle[:count] = rows[:, :count].mean(axis=0)
    spread[:count] = np.maximum(rows[:, :count].std(axis=0), SPREAD_MIN)
    return middle, spread


def _held_out(rows: Floats, numbers: Ints, classes: int, folds: Ints, option: Option) -> Floats:
    told = np.full((len(rows), classes), 1.0 / classes)
    for fold in np.unique(folds):
        out = folds == fold
        middle, spread = _scale(rows[~out])
        model = _fit((rows[~out] - middle) / spread, numbers[~out], classes, option)
        told[out] = model.probabilities((rows[out] - middle) / spread)
    return told


def _fit(rows: Floats, numbers: Ints, classes: int, option: Option) -> Linear:
    return softmax_regression(rows, numbers, classes, penalty=option.penalty, even=option.even)
