"""Learns classes from labelled features: chooses its model and calibrates it on held-out folds, explains each answer.

Enters: examples (mappings of feature to weight >= 0) and labels of any list. Leaves: a Learned: probabilities, and the
features that spoke for the answer. Which model fits is decided by cross-validation within the examples given, never by
those it is asked about. State is one npz file without pickle.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

from watchkeeper.diagnose.category.folds import stratified_folds
from watchkeeper.diagnose.category.forest import Forest, grow
from watchkeeper.diagnose.category.linear import Linear, complement_bayes, softmax_regression
from watchkeeper.errors import NewerFormat, StoreError

LEARNER_SCHEMA_VERSION = 1
FEATURES_MAX = 4_000
FOLDS = 5
SHARPNESS = np.geomspace(0.25, 8.0, 41)
_LEAST = 1e-6

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Features = Mapping[str, float]


@dataclass(frozen=True)
class Option:
    """One model that may be chosen. kind: `forest`, `softmax` or `bayes`.

    strength: softmax: the penalty; bayes: the smoothing; forest: features tried at a node, as a power of their number.
    tfidf: rows are weighed by rarity and scaled to length 1 (texts), else they are the logarithm of counts.
    """

    kind: str
    strength: float
    tfidf: bool = False


FOREST = Option("forest", 0.5)
EVENTS = (FOREST,)
TEXTS = (
    *(Option("softmax", penalty, tfidf=True) for penalty in (3e-4, 3e-3)),
    *(Option("bayes", smoothing, tfidf=True) for smoothing in (0.1, 1.0)),
)


@dataclass(frozen=True)
class Learned:
    """What was learned: `classes` (C,), `names` (D,) of the features, their `rarity` (D,), the model, its sharpness.

    sharpness: > 0, the power that probabilities are raised to; above 1 where held-out answers were too timid. score:
    held-out macro-F1 of the chosen option, NaN when there were too few examples to hold any out.
    """

    classes: tuple[str, ...]
    names: tuple[str, ...]
    rarity: Floats
    model: Forest | Linear
    option: Option
    sharpness: float
    score: float

    def probabilities(self, examples: Sequence[Features]) -> Floats:
        """Give (M, C), rows sum to 1."""
        return sharpened(self.model.probabilities(self._rows(examples)), self.sharpness)

    def predict(self, examples: Sequence[Features]) -> list[str]:
        """Give the likeliest class of each."""
        return [self.classes[at] for at in self.probabilities(examples).argmax(axis=1)]

    def explain(self, example: Features, label: str, *, most: int = 5) -> list[tuple[str, float]]:
        """Give the features that spoke for `label`, strongest first, with how much; absent features speak too."""
        moved = self.model.contributions(self._rows([example])[0])[:, self.classes.index(label)]
        order = np.argsort(-moved, kind="stable")[:most]
        return [(self.names[at], float(moved[at])) for at in order if moved[at] > 0]

    def _rows(self, examples: Sequence[Features]) -> Floats:
        return weighed(matrix(examples, self.names), self.rarity, self.option)

    def save(self, path: Path) -> None:
        """Write the state as npz."""
        header = {
            "schema_version": LEARNER_SCHEMA_VERSION,
            "classes": self.classes,
            "names": self.names,
            "option": [self.option.kind, self.option.strength, self.option.tfidf],
            "sharpness": self.sharpness,
            "score": self.score,
        }
        arrays = {f"model_{field.name}": getattr(self.model, field.name) for field in fields(self.model)}
        packed = io.BytesIO()
        text = np.frombuffer(json.dumps(header).encode(), np.uint8)
        np.savez_compressed(packed, header=text, rarity=self.rarity, **arrays)
        path.write_bytes(packed.getvalue())


def load_learned(path: Path) -> Learned:
    """Read what `save` wrote; raises StoreError when it is damaged, NewerFormat when a newer version wrote it."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            arrays = dict(archive)
        header = json.loads(arrays.pop("header").tobytes())
        if header["schema_version"] > LEARNER_SCHEMA_VERSION:
            raise NewerFormat(f"{path} has schema version {header['schema_version']}; update Watchkeeper to read it")
        kind, strength, tfidf = header["option"]
        model_type = Forest if kind == "forest" else Linear
        model = model_type(**{field.name: arrays[f"model_{field.name}"] for field in fields(model_type)})
        return Learned(
            classes=tuple(header["classes"]),
            names=tuple(header["names"]),
            rarity=arrays["rarity"],
            model=model,
            option=Option(kind, strength, tfidf),
            sharpness=float(header["sharpness"]),
            score=float(header["score"]),
        )
    except (OSError, KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise StoreError(f"{path} cannot be read as a learned classifier: {error}; remove it to learn anew") from error


def learn(
    examples: Sequence[Features],
    labels: Sequence[str],
    *,
    options: Sequence[Option] = EVENTS,
    groups: Sequence[Hashable] | None = None,
    trees: int = 200,
    seed: int = 0,
) -> Learned:
    """Learn from examples and their labels, both (N,), N >= 1; raises ValueError when there are none.

    groups: examples that hang together, held out together. Cost: each option is fitted FOLDS times with a third of the
    trees, then the chosen one once.
    """
    if not examples or len(examples) != len(labels):
        raise ValueError(f"learning needs as many labels as examples, and one at least; got {len(examples)}, {labels}")
    classes = tuple(sorted(set(labels)))
    numbers = np.array([classes.index(label) for label in labels])
    # A word that a single text has cannot tell classes apart; a single event in a few incidents may.
    names = vocabulary(examples, seen_min=2 if any(option.tfidf for option in options) and len(examples) > 20 else 1)
    raw = matrix(examples, names)
    folds = stratified_folds(labels, FOLDS, seed=seed, groups=groups)
    chosen, sharpness, score = options[0], 1.0, float("nan")
    if len(classes) > 1 and len(np.unique(folds)) > 1:
        judged = [_held_out(raw, numbers, len(classes), folds, option, max(trees // 3, 20), seed) for option in options]
        best = int(np.argmax([score for score, _ in judged]))
        chosen, (score, probabilities) = options[best], judged[best]
        sharpness = fit_sharpness(probabilities, numbers)
    rarity = rarity_of(raw)
    model = _fit(weighed(raw, rarity, chosen), numbers, len(classes), chosen, trees, seed)
    return Learned(classes, names, rarity, model, chosen, sharpness, score)


def vocabulary(examples: Sequence[Features], *, seen_min: int = 1) -> tuple[str, ...]:
    """Give the names of the features that most examples have, in order of name: FEATURES_MAX of them at most."""
    seen: dict[str, int] = {}
    for example in examples:
        for name in example:
            seen[name] = seen.get(name, 0) + 1
    enough = [name for name, count in seen.items() if count >= seen_min]
    return tuple(sorted(sorted(enough, key=lambda name: (-seen[name], name))[:FEATURES_MAX]))


def matrix(examples: Sequence[Features], names: Sequence[str]) -> Floats:
    """Give (M, D) of the weights; what is not in `names` is left out."""
    place = {name: at for at, name in enumerate(names)}
    rows = np.zeros((len(examples), len(names)))
    for row, example in enumerate(examples):
        for name, weight in example.items():
            if (at := place.get(name)) is not None:
                rows[row, at] = weight
    return rows


def rarity_of(raw: Floats) -> Floats:
    """Give the smoothed inverse document frequency (D,) of each feature."""
    return np.asarray(np.log((1 + len(raw)) / (1 + (raw > 0).sum(axis=0))) + 1.0)


def weighed(raw: Floats, rarity: Floats, option: Option) -> Floats:
    """Give the rows as the option wants them."""
    rows = np.log1p(np.maximum(raw, 0.0))
    if not option.tfidf:
        return rows
    rows = rows * rarity
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), _LEAST))


def sharpened(probabilities: Floats, sharpness: float) -> Floats:
    """Raise probabilities (M, C) to a power and make them sum to 1 again."""
    raised = np.maximum(probabilities, _LEAST) ** sharpness
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def fit_sharpness(probabilities: Floats, numbers: Ints) -> float:
    """Give the power with the least log-loss on held-out answers (temperature scaling, Guo et al., ICML 2017)."""
    every = np.arange(len(numbers))
    losses = [-np.log(sharpened(probabilities, power)[every, numbers]).mean() for power in SHARPNESS]
    return float(SHARPNESS[int(np.argmin(losses))])


def macro_f1(truth: Ints, told: Ints, classes: int) -> float:
    """Give the mean F1 of the classes that are in `truth` or `told`."""
    scores = []
    for number in range(classes):
        right = int(((truth == number) & (told == number)).sum())
        both = int((truth == number).sum() + (told == number).sum())
        if both:
            scores.append(2.0 * right / both)
    return float(np.mean(scores))


def _held_out(
    raw: Floats, numbers: Ints, classes: int, folds: Ints, option: Option, trees: int, seed: int
) -> tuple[float, Floats]:
    told = np.full((len(raw), classes), 1.0 / classes)
    for fold in np.unique(folds):
        out = folds == fold
        rarity = rarity_of(raw[~out])
        model = _fit(weighed(raw[~out], rarity, option), numbers[~out], classes, option, trees, seed)
        told[out] = model.probabilities(weighed(raw[out], rarity, option))
    return macro_f1(numbers, told.argmax(axis=1), classes), told


def _fit(rows: Floats, numbers: Ints, classes: int, option: Option, trees: int, seed: int) -> Forest | Linear:
    if option.kind == "forest":
        tried = max(1, round(rows.shape[1] ** option.strength))
        return grow(rows, numbers, classes, trees=trees, seed=seed, features=tried)
    if option.kind == "bayes":
        return complement_bayes(rows, numbers, classes, smoothing=option.strength)
    return softmax_regression(rows, numbers, classes, penalty=option.strength)
