"""Whole traces judged one by one, as vectors of the time spent on each call path.

Enters: a matrix, one trace a row, one call path a column, 0 where the trace does not have the path. Leaves: a score a
trace and what it rests on. Traces are normal within their structure, the set of paths they have: a structure never
seen is the greatest surprise; otherwise the whole trace and each of its paths have a band (bands.py). Learns once,
from normal traces; knows neither names nor units, and does not look at spans (detector.py does).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from watchkeeper.detect.traces.bands import SCORE_MAX, Bands, bands_of, upper_scores

FALSE_ALARMS = 0.005
FOLDS = 5
FOLDS_MIN_TRACES = 50
SCHEMA_VERSION = 1

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Structure(NamedTuple):
    """One set of call paths. paths: their columns (p,), ascending. whole: place among them of the longest one.

    bands: of each path (p,). traces: how many normal traces had it.
    """

    paths: Ints
    whole: int
    bands: Bands
    traces: int


class TraceJudgement(NamedTuple):
    """What a trace's score rests on. unseen: the structure is new. worst: columns and their scores, worst first.

    missing, added: columns by which an unseen structure differs from the nearest one known.
    """

    score: float
    unseen: bool
    whole_score: float
    worst: tuple[tuple[int, float], ...]
    missing: tuple[int, ...] = ()
    added: tuple[int, ...] = ()


class TraceVectorProfile:
    """See the module. `threshold`: the score that FALSE_ALARMS of the normal traces exceed, by cross-fitting.

    The score is -log10 of the chance of so long a trace, or of so long a time on its worst path once it is known how
    high the worst of so many paths is in normal traces; 0..SCORE_MAX, higher = more anomalous.
    """

    def __init__(self, structures: dict[bytes, Structure], paths: Bands, threshold: float) -> None:
        self._structures = structures
        self._paths = paths
        self.threshold = threshold

    @classmethod
    def learn(cls, vectors: Floats, *, false_alarms: float = FALSE_ALARMS, seed: int = 0) -> TraceVectorProfile:
        """Learn from normal traces. vectors: (n, k) times >= 0, n >= 1. false_alarms: 0..1, what `threshold` allows.

        Cost: FOLDS + 1 passes over the matrix. What the threshold is set by is never what the bands were learned from.
        """
        fold = np.random.default_rng(seed).permutation(len(vectors)) % FOLDS
        folds = range(FOLDS) if len(vectors) >= FOLDS_MIN_TRACES else ()
        whole, worst = np.zeros(len(vectors)), np.zeros(len(vectors))
        for each in folds:
            mine = fold == each
            whole[mine], worst[mine] = _scores(_structures(vectors[~mine]), vectors[mine])
        paths = bands_of(np.log1p(worst[whole < SCORE_MAX])[:, None] if (whole < SCORE_MAX).any() else np.zeros((1, 1)))
        normal = np.maximum(whole, upper_scores(np.log1p(worst)[:, None], paths)[:, 0])
        threshold = float(np.quantile(normal, 1 - false_alarms)) if len(folds) else -float(np.log10(false_alarms))
        return cls(_structures(vectors), paths, threshold)

    def score(self, vectors: Floats) -> Floats:
        """Give each trace's score. vectors: (n, k). Result (n,): 0..SCORE_MAX, higher = more anomalous."""
        whole, worst = _scores(self._structures, vectors)
        return np.maximum(whole, upper_scores(np.log1p(worst)[:, None], self._paths)[:, 0])

    def explain(self, vector: Floats, *, paths: int = 5) -> TraceJudgement:
        """Tell what the score of one trace (k,) rests on."""
        score = float(self.score(vector[None, :])[0])
        structure = self._structures.get((vector > 0).tobytes())
        if structure is None:
            missing, added = self._difference(np.flatnonzero(vector > 0))
            return TraceJudgement(score, True, SCORE_MAX, (), missing, added)
        each = upper_scores(np.log(vector[structure.paths])[None, :], structure.bands)[0]
        worst = np.argsort(-each, kind="stable")[:paths]
        told = tuple((int(structure.paths[place]), float(each[place])) for place in worst.tolist())
        return TraceJudgement(score, False, float(each[structure.whole]), told)

    def _difference(self, paths: Ints) -> tuple[tuple[int, ...], tuple[int, ...]]:
        known = [set(one.paths.tolist()) for one in self._structures.values()]
        own = set(paths.tolist())
        if not known:
            return (), tuple(sorted(own))
        near = min(known, key=lambda one: (len(one ^ own), sorted(one)))
        return tuple(sorted(near - own)), tuple(sorted(own - near))

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Give the state as arrays for one npz."""
        kept = list(self._structures.values())
        bands = {
            name: np.concatenate([getattr(one.bands, name) for one in kept] or [np.empty(0)]) for name in Bands._fields
        }
        return {
            "schema_version": np.array(SCHEMA_VERSION),
            "threshold": np.array(self.threshold),
            "width": np.array(len(np.frombuffer(next(iter(self._structures)), bool)) if kept else 0),
            "sizes": np.array([len(one.paths) for one in kept], np.int64),
            "traces": np.array([one.traces for one in kept], np.int64),
            "paths": np.concatenate([one.paths for one in kept] or [np.empty(0, np.int64)]),
            **bands,
            **{f"worst_{name}": getattr(self._paths, name) for name in Bands._fields},
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> TraceVectorProfile:
        """Take up what `arrays` gave; raises KeyError or ValueError when it does not fit."""
        if int(arrays["schema_version"]) > SCHEMA_VERSION:
            raise ValueError(f"written by a newer version ({int(arrays['schema_version'])})")
        structures: dict[bytes, Structure] = {}
        begin = 0
        for size, traces in zip(arrays["sizes"].tolist(), arrays["traces"].tolist(), strict=True):
            part = slice(begin, begin + size)
            begin += size
            paths = arrays["paths"][part]
            bands = Bands(*(arrays[name][part] for name in Bands._fields))
            present = np.zeros(int(arrays["width"]), bool)
            present[paths] = True
            structures[present.tobytes()] = Structure(paths, _longest(bands), bands, traces)
        worst = Bands(*(arrays[f"worst_{name}"] for name in Bands._fields))
        return cls(structures, worst, float(arrays["threshold"]))


def _by_structure(vectors: Floats) -> list[tuple[bytes, Ints]]:
    groups: dict[bytes, list[int]] = {}
    for row, present in enumerate(vectors > 0):
        groups.setdefault(present.tobytes(), []).append(row)
    return [(key, np.array(rows)) for key, rows in groups.items()]


def _structures(vectors: Floats) -> dict[bytes, Structure]:
    known: dict[bytes, Structure] = {}
    for key, rows in _by_structure(vectors):
        paths = np.flatnonzero(vectors[rows[0]] > 0)
        bands = bands_of(np.log(vectors[np.ix_(rows, paths)]))
        known[key] = Structure(paths, _longest(bands), bands, len(rows))
    return known


def _longest(bands: Bands) -> int:
    """Give the place of the path that takes longest: it spans the trace. -1 when a trace has no path at all."""
    return int(bands.middle.argmax()) if len(bands.middle) else -1


def _scores(known: dict[bytes, Structure], vectors: Floats) -> tuple[Floats, Floats]:
    """Give the score of each whole trace and that of its worst path, (n,) each; SCORE_MAX for an unseen structure."""
    whole, worst = np.full(len(vectors), SCORE_MAX), np.full(len(vectors), SCORE_MAX)
    for key, rows in _by_structure(vectors):
        structure = known.get(key)
        if structure is None:
            continue
        if not len(structure.paths):
            whole[rows] = worst[rows] = 0.0
            continue
        each = upper_scores(np.log(vectors[np.ix_(rows, structure.paths)]), structure.bands)
        whole[rows], worst[rows] = each[:, structure.whole], each.max(axis=1)
    return whole, worst
