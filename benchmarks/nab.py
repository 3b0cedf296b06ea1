"""The streaming univariate score on the Numenta Anomaly Benchmark: official rules, three profiles, seven categories.

`optimised`: the threshold is chosen on all 58 series, as the published scoreboard does. `cross-validated`: threshold,
refractory time, window lengths and bins are chosen for each fold on the other folds only: by leaving one of the seven
categories out, and by ten folds of series (mean of five divisions). What no fold chose is the kind of score itself: it
was found in sight of this corpus. Random scores and a clock that alarms at fixed distances go through the same choices;
windowed_gaussian is a published detector made again, to hold this scorer against its published figure. Beside it, with
the threshold of all series of the benchmark, false alarms on asd's train part (5-minute points, unlabelled). Needs nab
and asd.
"""

from __future__ import annotations

import argparse
import csv
import io
import itertools
import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from watchkeeper.bench.scores.nab import (
    PROBATION_POINTS_MAX,
    PROFILES,
    Profile,
    Series,
    best_threshold,
    normalised,
    point_values,
    probation,
)
from watchkeeper.datasets.read import read_members
from watchkeeper.detect.univariate import Refractory, UnivariateScorer, UnivariateSettings
from watchkeeper.settings import Settings

BINS = (48, 64, 80)
WINDOWS = ((1, 3, 9), (1, 4, 12), (1, 4, 16))
REFRACTORY_POINTS = (60, 100, 150)
LEVELS = tuple(round(1.5 + 0.05 * step, 2) for step in range(40))
DEFAULT = ("80 bins", "1-4-12", 100)
"""The variant of the optimised figure: the defaults of UnivariateSettings."""
CLOCK_PERIODS = tuple(range(100, 1001, 50))
FOLDS = 10
DIVISIONS = 5
SEED = 11
GAUSSIAN_WINDOW, GAUSSIAN_STEP = 6_400, 100
PUBLISHED = ("ARTime", "numenta", "contextOSE", "htmjava", "windowedGaussian", "skyline", "random", "null")

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Variant = tuple[Any, ...]


class Corpus(NamedTuple):
    """The series of the benchmark: file names, values (n, T) padded with NaN, lengths, windows of each (w, 2)."""

    names: list[str]
    values: Floats
    lengths: list[int]
    windows: list[Ints]
    published: dict[str, dict[str, float]]

    @property
    def categories(self) -> npt.NDArray[np.str_]:
        return np.array([name.split("/")[0] for name in self.names])

    @property
    def window_counts(self) -> Ints:
        return np.array([len(windows) for windows in self.windows])


class Points(NamedTuple):
    """Of every variant and level (v,): points gained on each series (v, n), by profile."""

    variants: list[Variant]
    gained: dict[str, Floats]


def read_corpus(folder: Path) -> Corpus:
    content = dict(read_members("nab", folder, lambda name: name.endswith((".csv", ".json"))))
    labels = json.loads(_named(content, "labels/combined_windows.json"))
    names, values, windows = sorted(labels), [], []
    for name in names:
        rows = list(csv.reader(io.StringIO(_named(content, f"data/{name}").decode())))[1:]
        place: dict[str, int] = {}
        for index, row in enumerate(rows):
            place.setdefault(row[0][:19], index)
        values.append(np.array([float(row[1]) for row in rows]))
        limits = [[place[limit[:19]] for limit in window] for window in labels[name]]
        windows.append(np.array(limits, np.int64).reshape(-1, 2))
    lengths = [len(one) for one in values]
    padded = np.full((len(names), max(lengths)), np.nan)
    for row, one in zip(padded, values, strict=True):
        row[: len(one)] = one
    published = json.loads(_named(content, "results/final_results.json"))
    return Corpus(names, padded, lengths, windows, published)


def _named(content: dict[str, bytes], name: str) -> bytes:
    [found] = [data for path, data in content.items() if path == name or path.endswith(f"/{name}")]
    return found


def scores_of_variants(corpus: Corpus) -> tuple[dict[Variant, Floats], float]:
    """Give the scores (n, T) of each choice of bins and windows, streamed once for each of BINS; seconds in all."""
    lengths = sorted({length for windows in WINDOWS for length in windows})
    scores: dict[Variant, Floats] = {}
    begun_s = time.process_time()
    for bins in BINS:
        print(f"  {bins} bins", file=sys.stderr, flush=True)
        scorer = UnivariateScorer(len(corpus.names), UnivariateSettings(windows=tuple(lengths), bins=bins))
        parts = np.stack([scorer.take_windows(column) for column in np.ascontiguousarray(corpus.values.T)])
        for windows in WINDOWS:
            chosen = [lengths.index(length) for length in windows]
            scores[f"{bins} bins", "-".join(map(str, windows))] = parts[:, :, chosen].mean(axis=2).T
    return scores, time.process_time() - begun_s


def alarms_of(scores: Floats, level: float, refractory: int) -> Ints:
    """Give where a series alarms: at scores (T,) of at least `level` that no alarm precedes by `refractory` or less."""
    candidates = np.flatnonzero(scores >= level)
    alarms, at = [], 0
    while at < len(candidates):
        alarms.append(candidates[at])
        at = int(np.searchsorted(candidates, candidates[at] + refractory, side="right"))
    return np.array(alarms, np.int64)


def gained(alarms: Ints, values: Floats, where: Ints, windows: int, profile: Profile) -> float:
    """Give the points of the alarms of one series; alarms in the probation are none."""
    alarms = alarms[alarms >= probation(len(values))]
    inside = where[alarms]
    # Values fall within a window, so its first alarm is its best.
    found, first = np.unique(inside[inside >= 0], return_index=True)
    best = values[alarms[inside >= 0]][first].sum()
    return float(values[alarms[inside < 0]].sum() + best - profile.false_negative * (windows - len(found)))


def points_of(corpus: Corpus, alarms: dict[Variant, list[Ints]]) -> Points:
    """Give the points of alarms by variant, those of each series in a list."""
    result: dict[str, Floats] = {}
    for name, profile in PROFILES.items():
        worth = [point_values(n, w, profile) for n, w in zip(corpus.lengths, corpus.windows, strict=True)]
        counts = corpus.window_counts.tolist()
        result[name] = np.array(
            [
                [gained(own, *worth[i], counts[i], profile) for i, own in enumerate(of_series)]
                for of_series in alarms.values()
            ]
        )
    return Points(list(alarms), result)


def optimised(corpus: Corpus, points: Points, keep: Sequence[int] | None = None) -> dict[str, float]:
    """Give the best of the variants (those numbered in `keep`) over all series, for each profile."""
    total = int(corpus.window_counts.sum())
    rows = range(len(points.variants)) if keep is None else keep
    best = {name: max(float(gains[row].sum()) for row in rows) for name, gains in points.gained.items()}
    return {name: round(normalised(best[name], total, PROFILES[name]), 2) for name in PROFILES}


def cross_validated(gains: Floats, folds: npt.NDArray[Any]) -> Floats:
    """Give the points of each series (n,) under the variant that gains most on the series of the other folds."""
    result = np.zeros(gains.shape[1])
    for fold in np.unique(folds):
        held_out = folds == fold
        chosen = int(np.argmax(gains[:, ~held_out].sum(axis=1)))
        result[held_out] = gains[chosen, held_out]
    return result


def by_category(corpus: Corpus, points: Points) -> dict[str, float]:
    total = int(corpus.window_counts.sum())
    held = {name: cross_validated(points.gained[name], corpus.categories).sum() for name in PROFILES}
    return {name: round(normalised(float(held[name]), total, PROFILES[name]), 2) for name in PROFILES}


def by_series(corpus: Corpus, points: Points) -> dict[str, float]:
    """Give the mean over DIVISIONS of the series into FOLDS folds."""
    total = int(corpus.window_counts.sum())
    rng = np.random.default_rng(SEED)
    divisions = [rng.permutation(len(corpus.names)) % FOLDS for _ in range(DIVISIONS)]
    result = {}
    for name, profile in PROFILES.items():
        sums = [cross_validated(points.gained[name], folds).sum() for folds in divisions]
        result[name] = round(float(np.mean([normalised(float(one), total, profile) for one in sums])), 2)
    return result


def windowed_gaussian(corpus: Corpus) -> dict[str, float]:
    """Give the figures of the published detector: the normal tail over a window of 6,400, moved by 100 once full."""
    every = []
    for row, length, windows in zip(corpus.values, corpus.lengths, corpus.windows, strict=True):
        values = row[:length] - row[:length].mean()
        index = np.arange(length)
        late = np.maximum(index - GAUSSIAN_WINDOW, 0) // GAUSSIAN_STEP * GAUSSIAN_STEP
        end, begin = np.where(index < GAUSSIAN_WINDOW, index, GAUSSIAN_WINDOW + late), late
        sums = np.concatenate([[0.0], np.cumsum(values)])
        squares = np.concatenate([[0.0], np.cumsum(values**2)])
        count = np.maximum(end - begin, 1)
        mean = (sums[end] - sums[begin]) / count
        spread = np.sqrt(np.maximum((squares[end] - squares[begin]) / count - mean**2, 0.0))
        distance = np.abs(values - mean) / np.where(spread > 1e-9, spread, 1e-6)
        scores = np.array([1.0 - 0.5 * math.erfc(one / math.sqrt(2)) for one in distance.tolist()])
        scores[0] = 0.0
        every.append(Series(scores, windows))
    total = int(corpus.window_counts.sum())
    return {
        name: round(normalised(best_threshold(every, profile).points, total, profile), 2)
        for name, profile in PROFILES.items()
    }


def category_rows(corpus: Corpus, points: Points, best: int, alarms: list[Ints]) -> dict[str, Any]:
    """Give what the optimised variant `best` does in each category, and the cross-validated score of it."""
    held = cross_validated(points.gained["standard"], corpus.categories)
    mine = points.gained["standard"][best]
    rows: dict[str, Any] = {}
    for category in np.unique(corpus.categories).tolist():
        inside = corpus.categories == category
        windows = int(corpus.window_counts[inside].sum())
        found = false = 0
        for index in np.flatnonzero(inside).tolist():
            own = alarms[index][alarms[index] >= probation(corpus.lengths[index])]
            _, where = point_values(corpus.lengths[index], corpus.windows[index], PROFILES["standard"])
            false += int((where[own] < 0).sum())
            found += len(np.unique(where[own][where[own] >= 0]))

        def score(gains: Floats, windows: int = windows, inside: npt.NDArray[Any] = inside) -> float | None:
            total = float(gains[inside].sum())
            return round(normalised(total, windows, PROFILES["standard"]), 2) if windows else None

        rows[category] = {
            "standard": score(mine),
            "cross-validated": score(held),
            "windows": windows,
            "found": found,
            "false alarms": false,
            "series": int(inside.sum()),
        }
    return rows


def asd_false_alarms(folder: Path, level: float) -> dict[str, float]:
    """Give how often the score alarms on the unlabelled train part of asd, after the probation that nab has."""
    alarms, days, points = 0, 0.0, 0
    seconds = 0.0
    for _, data in read_members("asd", folder, lambda name: name.endswith(".npz")):
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            values = archive["train"].astype(np.float64)
        scorer, refractory = UnivariateScorer(len(values)), Refractory(len(values), level, DEFAULT[2])
        begun_s = time.process_time()
        scores = scorer.take_block(values)
        seconds += time.process_time() - begun_s
        told = np.stack([refractory.take(column) for column in scores.T], axis=1)
        alarms += int((told[:, PROBATION_POINTS_MAX:] >= level).sum())
        points += told[:, PROBATION_POINTS_MAX:].size
        days += told[:, PROBATION_POINTS_MAX:].size / 288
    return {
        "series_days": round(days),
        "alarms": alarms,
        "alarms_per_series_day": round(alarms / days, 3),
        "alarms_per_1000_points": round(1000 * alarms / points, 2),
    }


def measure(folder: Path) -> dict[str, Any]:
    corpus = read_corpus(folder)
    scores, seconds = scores_of_variants(corpus)
    print("  alarms of all variants", file=sys.stderr, flush=True)
    alarms = {
        (*variant, refractory, level): [alarms_of(row, level, refractory) for row in rows]
        for variant, rows in scores.items()
        for refractory, level in itertools.product(REFRACTORY_POINTS, LEVELS)
    }
    points = points_of(corpus, alarms)
    rng = np.random.default_rng(SEED)
    chance = -np.log10(rng.random(corpus.values.shape))
    chance[np.isnan(corpus.values)] = 0.0
    levels = [2.0 + 0.1 * step for step in range(21)]
    random = points_of(
        corpus,
        {
            (refractory, level): [alarms_of(row, level, refractory) for row in chance]
            for refractory, level in itertools.product(REFRACTORY_POINTS, levels)
        },
    )
    clock = points_of(corpus, {(p,): [np.arange(0, n, p) for n in corpus.lengths] for p in CLOCK_PERIODS})
    default = [row for row, variant in enumerate(points.variants) if variant[:3] == DEFAULT]
    best = max(default, key=lambda row: float(points.gained["standard"][row].sum()))
    return {
        "series": len(corpus.names),
        "points": sum(corpus.lengths),
        "windows": int(corpus.window_counts.sum()),
        "threshold": points.variants[best][-1],
        "cpu_microseconds_per_point": round(1e6 * seconds / len(BINS) / sum(corpus.lengths), 1),
        "score": {
            "watchkeeper_optimised": optimised(corpus, points, default),
            "watchkeeper_cross_validated_by_category": by_category(corpus, points),
            "watchkeeper_cross_validated_by_series": by_series(corpus, points),
            "random_optimised": optimised(corpus, random),
            "random_cross_validated_by_category": by_category(corpus, random),
            "clock_optimised": optimised(corpus, clock),
            "clock_cross_validated_by_category": by_category(corpus, clock),
            "null": dict.fromkeys(PROFILES, 0.0),
            "windowed_gaussian_made_again": windowed_gaussian(corpus),
            **{
                f"published_{name}": {profile: round(corpus.published[name][profile], 2) for profile in PROFILES}
                for name in PUBLISHED
            },
        },
        "category": category_rows(corpus, points, best, alarms[points.variants[best]]),
        "asd_train": asd_false_alarms(folder, float(points.variants[best][-1])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    print(json.dumps(measure(Settings().path("data")), indent=None if chosen.json else 2))


if __name__ == "__main__":
    main()
