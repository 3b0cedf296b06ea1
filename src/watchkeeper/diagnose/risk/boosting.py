"""Learns the risk of a rare event from rows with named columns: gradient-boosted symmetric trees, in numpy alone.

Enters: rows (n, d), whether it happened. Leaves: a Boosted: risks, and how much each column raised or lowered one. Of
the rows without an event a drawn part is enough; it is weighed up again, so that risks stay risks. State is npz.

Sources: Friedman, "Greedy function approximation", Annals of Statistics 29(5), 2001; Prokhorenkova et al., "CatBoost",
NeurIPS 2018 (symmetric trees); Saabas, "Interpreting random forests", 2014 (contributions along the path).
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from watchkeeper.errors import NewerFormat, StoreError

SCHEMA_VERSION = 1
BINS = 32
OTHERS = 12
"""Rows without an event that are learned from for each event: a rare event is told by what is rare about it."""
EVENTS_MIN = 500
"""As many events are assumed, so that few of them still stand against enough other rows."""
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Options:
    """How much is learned.

    trees of `depth` splits, each counted by `rate`; columns: share of them tried for each tree; penalty: on leaves.
    """

    trees: int = 200
    depth: int = 4
    rate: float = 0.08
    columns: float = 0.4
    penalty: float = 20.0


DEFAULT = Options()


@dataclass(frozen=True)
class Boosted:
    """A learned risk.

    edges (d, BINS - 1): where columns are cut. feature, cut (trees, depth): a row goes to the right when its bin is
    above the cut. nodes (trees, 2**(depth+1) - 1): log odds of each node, level after level. base: log odds of all.
    columns: names.
    """

    edges: Floats
    feature: Ints
    cut: Ints
    nodes: Floats
    base: float
    columns: tuple[str, ...]

    def risks(self, rows: Rows) -> Floats:
        """Give the probability of each row (n, d), 0..1, higher = likelier."""
        return _sigmoid(self.base + self._walk(binned(rows, self.edges), None))

    @property
    def usual(self) -> float:
        """Give the log odds of a row of which nothing is known."""
        return self.base + float(self.nodes[:, 0].sum())

    def contributions(self, rows: Rows) -> Floats:
        """Give (n, d): by how much log odds each column raised (or lowered) each row's risk above `usual`."""
        told = np.zeros((len(rows), len(self.columns)))
        self._walk(binned(rows, self.edges), told)
        return told

    def explain(self, row: Rows, *, most: int = 5) -> list[tuple[str, float]]:
        """Give the columns that raised the risk of one row (d,), strongest first, with their log odds."""
        moved = self.contributions(row[None])[0]
        order = np.argsort(-moved, kind="stable")[:most]
        return [(self.columns[at], float(moved[at])) for at in order if moved[at] > 0]

    def _walk(self, bins: npt.NDArray[np.uint8], told: Floats | None) -> Floats:
        total, depth = np.zeros(bins.shape[1]), self.feature.shape[1]
        for tree in range(len(self.feature)):
            leaf = np.zeros(bins.shape[1], np.int64)
            value = np.full(bins.shape[1], self.nodes[tree, 0])
            for level in range(depth):
                column = self.feature[tree, level]
                leaf = 2 * leaf + (bins[column] > self.cut[tree, level])
                if told is not None:
                    reached = self.nodes[tree, (1 << (level + 1)) - 1 + leaf]
                    told[:, column] += reached - value
                    value = reached
            total += self.nodes[tree, (1 << depth) - 1 + leaf]
        return total

    def save(self, path: Path) -> None:
        """Write the state as npz."""
        header = {"schema_version": SCHEMA_VERSION, "columns": self.columns, "base": self.base}
        packed = io.BytesIO()
        text = np.frombuffer(json.dumps(header).encode(), np.uint8)
        np.savez_compressed(packed, header=text, **{name: getattr(self, name) for name in _ARRAYS})
        path.write_bytes(packed.getvalue())


_ARRAYS = ("edges", "feature", "cut", "nodes")


def load_boosted(path: Path) -> Boosted:
    """Read what `save` wrote; raises StoreError when it is damaged, NewerFormat when a newer version wrote it."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            arrays = dict(archive)
        header = json.loads(arrays["header"].tobytes())
        if header["schema_version"] > SCHEMA_VERSION:
            raise NewerFormat(f"{path} has schema version {header['schema_version']}; update Watchkeeper to read it")
        kept = {name: arrays[name] for name in _ARRAYS}
        return Boosted(**kept, base=float(header["base"]), columns=tuple(header["columns"]))
    except (OSError, KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise StoreError(f"{path} cannot be read as a learned risk: {error}; remove it to learn anew") from error


def boost(
    rows: Rows,
    happened: Flags,
    columns: tuple[str, ...],
    *,
    weights: Floats | None = None,
    options: Options = DEFAULT,
    seed: int = 0,
) -> Boosted:
    """Learn from rows (n, d), finite, and what happened (n,); raises ValueError when only one kind is there.

    weights (n,): how many rows each stands for, as `thinned` tells. Cost: trees x depth x columns x n.
    """
    if happened.all() or not happened.any():
        raise ValueError("a risk is learned from rows of both kinds, those where it happened and those where not")
    random = np.random.default_rng(seed)
    weights = np.ones(len(rows)) if weights is None else weights
    edges = _edges(rows)
    bins = binned(rows, edges)
    true = happened.astype(np.float64)
    share = float((weights * true).sum() / weights.sum())
    base = float(np.log(share / (1.0 - share)))
    odds = np.full(len(rows), base)
    feature = np.zeros((options.trees, options.depth), np.int64)
    cut = np.zeros_like(feature)
    nodes = np.zeros((options.trees, (2 << options.depth) - 1))
    tried = max(1, round(options.columns * len(columns)))
    for tree in range(options.trees):
        told = _sigmoid(odds)
        pull, weight = weights * (true - told), weights * told * (1.0 - told)
        chosen = np.sort(random.choice(len(columns), tried, replace=False))
        feature[tree], cut[tree] = _grown(bins, pull, weight, chosen, options)
        leaf = _leaves(bins, feature[tree], cut[tree])
        nodes[tree] = options.rate * _values(leaf, pull, weight, options)
        odds += nodes[tree, (1 << options.depth) - 1 + leaf]
    return Boosted(edges, feature, cut, nodes, base, columns)


def thinned(happened: Flags, random: np.random.Generator, others: int = OTHERS) -> tuple[Ints, Floats]:
    """Give the rows to learn from, all events and `others` drawn rows for each, and weights that stand for the rest."""
    events, rest = np.flatnonzero(happened), np.flatnonzero(~happened)
    drawn = min(len(rest), others * max(len(events), EVENTS_MIN))
    kept = np.sort(np.concatenate([events, random.choice(rest, drawn, replace=False)]))
    return kept, np.where(happened[kept], 1.0, len(rest) / drawn)


def binned(rows: Rows, edges: Floats) -> npt.NDArray[np.uint8]:
    """Give the bin (d, n) of each value: how many edges lie below it."""
    return np.stack([np.searchsorted(cuts, rows[:, at], "left") for at, cuts in enumerate(edges)]).astype(np.uint8)


def _edges(rows: Rows) -> Floats:
    """Cut each column between BINS equal parts of its distinct values, or between its values where these are few."""
    told = np.full((rows.shape[1], BINS - 1), np.inf)
    for at in range(rows.shape[1]):
        values = np.unique(rows[:, at])
        if len(values) > BINS:
            values = np.unique(np.quantile(rows[:, at], np.linspace(0, 1, BINS + 1)[1:-1], method="lower"))
        else:
            values = values[:-1]
        told[at, : len(values)] = values
    return told


def _grown(
    bins: npt.NDArray[np.uint8], pull: Floats, weight: Floats, chosen: Ints, options: Options
) -> tuple[Ints, Ints]:
    """Give the columns and cuts of one tree; all nodes of a level are cut alike."""
    feature, cut = np.zeros(options.depth, np.int64), np.zeros(options.depth, np.int64)
    leaf = np.zeros(bins.shape[1], np.int64)
    for level in range(options.depth):
        best = -np.inf
        leaves = 1 << level
        for column in chosen:
            place = leaf * BINS + bins[column]
            left = np.bincount(place, pull, leaves * BINS).reshape(leaves, BINS).cumsum(axis=1)
            heavy = np.bincount(place, weight, leaves * BINS).reshape(leaves, BINS).cumsum(axis=1)
            right, light = left[:, -1:] - left, heavy[:, -1:] - heavy
            gain = (left**2 / (heavy + options.penalty) + right**2 / (light + options.penalty)).sum(axis=0)[:-1]
            at = int(np.argmax(gain))
            if gain[at] > best:
                best, feature[level], cut[level] = float(gain[at]), column, at
        leaf = 2 * leaf + (bins[feature[level]] > cut[level])
    return feature, cut


def _leaves(bins: npt.NDArray[np.uint8], feature: Ints, cut: Ints) -> Ints:
    """Give the leaf of each row in one tree."""
    leaf = np.zeros(bins.shape[1], np.int64)
    for column, at in zip(feature, cut, strict=True):
        leaf = 2 * leaf + (bins[column] > at)
    return leaf


def _values(leaf: Ints, pull: Floats, weight: Floats, options: Options) -> Floats:
    """Give the step of each leaf, and of each node above the mean of what is below it, by weight."""
    count = 1 << options.depth
    steps = np.bincount(leaf, pull, count) / (np.bincount(leaf, weight, count) + options.penalty)
    heavy = np.maximum(np.bincount(leaf, weight, count), 1e-9)
    levels = [steps]
    while len(levels[0]) > 1:
        both = heavy.reshape(-1, 2)
        levels.insert(0, (levels[0].reshape(-1, 2) * both).sum(axis=1) / both.sum(axis=1))
        heavy = both.sum(axis=1)
    return np.concatenate(levels)


def _sigmoid(odds: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(odds, -40.0, 40.0))))
