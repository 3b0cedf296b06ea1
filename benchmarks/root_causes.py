"""Root causes on recorded faults: where and by which metric, beside the simple rules, under one protocol.

PetShop (recorded train issues) and Sock Shop: accuracy at 1, 3 and 5, average at 5, mean reciprocal rank, bootstrap
intervals, ties by expectation, seconds a case; with the onset as recorded and told early or late (PetShop one sample,
Sock Shop 60 s). Fault-free windows: how often a ranker abstains. Nothing in a ranker is fitted but the confidence of
`blame`; its figures here come from fits that left out the scenario or service that is scored. Every PetShop issue that
is recorded for training has the same cause, so faults are also written into fault-free windows at other places: these
are synthetic. `changed_by_units`: the share of cases whose order changes when metrics are multiplied by 2^20.
`--fit` prints the coefficients for `calibration.py`. Needs petshop and rcd_sockshop.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from watchkeeper.bench.cases import petshop, sockshop
from watchkeeper.bench.cases.base import Case, leave_one_group_out, with_onset
from watchkeeper.bench.cases.injected import injected
from watchkeeper.bench.scores.ranking import RankScore, indicators_scored, nodes_scored, rank_score, summary
from watchkeeper.diagnose.base import Ranking
from watchkeeper.diagnose.diagnoser import DEFAULT
from watchkeeper.diagnose.rank.calibration import FLOOR, Curve, confidence, features, fit_curve
from watchkeeper.diagnose.rank.registry import SIMPLE, ranker
from watchkeeper.diagnose.window import Aspect, Series
from watchkeeper.settings import Settings

OWN = "blame"
RANKERS = (*SIMPLE, OWN, DEFAULT)
SHIFTS_S = {"petshop": float(petshop.STEP_S), "sockshop": 60.0}
FACTOR = 2.0**20


class Judged(NamedTuple):
    """One case and what a ranker made of it."""

    case: Case
    ranking: Ranking
    seconds: float

    @property
    def top_two(self) -> tuple[float, float]:
        """Give the two highest scores."""
        scores = [*sorted((cause.score for cause in self.ranking.causes), reverse=True), 0.0, 0.0]
        return scores[0], scores[1]

    @property
    def right(self) -> bool:
        """Tell whether the first cause is a true one."""
        return self.ranking.causes[0].node in self.case.truth_nodes


def judge(name: str, cases: Sequence[Case]) -> list[Judged]:
    """Rank each case."""
    chosen, judged = ranker(name), []
    for case in cases:
        begun_s = time.perf_counter()
        ranking = chosen.rank(case.window)
        judged.append(Judged(case, ranking, time.perf_counter() - begun_s))
    return judged


def by_node(judged: Sequence[Judged]) -> list[RankScore]:
    """Score where."""
    return [rank_score(nodes_scored(one.ranking), set(one.case.truth_nodes)) for one in judged]


def by_indicator(judged: Sequence[Judged]) -> list[RankScore]:
    """Score where and by which metric, over all pairs of both."""
    return [
        rank_score(
            indicators_scored(one.ranking),
            {(node, name) for node in one.case.truth_nodes for name in one.case.truth_indicators},
        )
        for one in judged
    ]


def recorded(name: str, cases: Sequence[Case]) -> dict[str, Any]:
    """Give the tables of one data set's recorded faults."""
    known: dict[str, Any] = {}
    detected: dict[str, Any] = {}
    indicators: dict[str, Any] = {}
    for each in RANKERS:
        print(f"  {name}: {each}", file=sys.stderr, flush=True)
        judged = judge(each, cases)
        known[each] = {**summary(by_node(judged)), "case_s": round(float(np.mean([one.seconds for one in judged])), 4)}
        if any(case.truth_indicators for case in cases):
            indicators[each] = summary(by_indicator(judged))
        for word, side in (("early", -1.0), ("late", 1.0)):
            shift_s = side * SHIFTS_S[name]
            scored = summary(by_node(judge(each, [with_onset(case, shift_s) for case in cases])))
            detected[f"{each}_{word}"] = {figure: scored[figure] for figure in ("at_1", "at_3", "average_at_5", "mrr")}
    told = {"known_onset": known, f"onset_{SHIFTS_S[name]:.0f}s_off": detected}
    return {**told, "service_and_metric": indicators} if indicators else told


def silence(free: Mapping[str, Sequence[Case]]) -> dict[str, Any]:
    """Give how often each ranker abstains when nothing is broken (`blame` with the coefficients that it ships)."""
    return {
        each: {
            **{f"{name}_windows": len(cases) for name, cases in free.items()},
            **{
                f"{name}_abstains": round(float(np.mean([one.ranking.abstains for one in judge(each, cases)])), 4)
                for name, cases in free.items()
            },
        }
        for each in RANKERS
    }


def calibrated(faults: Sequence[Case], free: Sequence[Case]) -> dict[str, Any]:
    """Give how `blame` does with confidence fitted on all other scenarios and services."""
    by_case = {one.case.id: one for one in judge(OWN, [*faults, *free])}
    told: dict[str, dict[str, list[float]]] = {}
    for _, learn, ask in leave_one_group_out([*faults, *free]):
        curve = fitted([by_case[case.id] for case in learn])
        for case in ask:
            one = by_case[case.id]
            sure = confidence(*one.top_two, curve)
            kind = "fault_free" if case.is_fault_free else "faults"
            figures = told.setdefault(kind, {"abstains": [], "brier": [], "confidence": []})
            figures["abstains"].append(float(sure < FLOOR))
            figures["brier"].append((sure - float(one.right)) ** 2)
            figures["confidence"].append(sure)
    return {
        kind: {"cases": len(each["brier"]), **{name: round(float(np.mean(values)), 4) for name, values in each.items()}}
        for kind, each in told.items()
    }


def fitted(judged: Sequence[Judged]) -> Curve:
    """Fit the confidence on these."""
    return fit_curve([features(*one.top_two) for one in judged], [float(one.right) for one in judged])


def changed_by_units(cases: Sequence[Case]) -> float:
    """Give the share of cases whose order of causes changes when every other metric is multiplied by 2^20."""

    def scaled(place: int, one: Series) -> Series:
        return replace(one, values=one.values * FACTOR) if place % 2 else one

    moved = [
        replace(case, window=replace(case.window, series=tuple(map(scaled, range(10**6), case.window.series))))
        for case in cases
    ]
    pairs = zip(judge(OWN, cases), judge(OWN, moved), strict=True)
    return float(np.mean([nodes_scored(one.ranking) != nodes_scored(other.ranking) for one, other in pairs]))


def elsewhere(free: Sequence[Case]) -> dict[str, Any]:
    """Give how rankers do with faults written into fault-free windows at every place that the symptom depends on."""
    cases = [
        each
        for case in free
        for each in injected(case, Aspect.LATENCY if case.id.endswith("latency") else Aspect.ERRORS)
    ]
    told: dict[str, Any] = {}
    for name in RANKERS:
        scored = summary(by_node(judge(name, cases)))
        told[name] = {
            "cases": len(cases),
            "places": len({case.truth_nodes for case in cases}),
            **{figure: scored[figure] for figure in ("at_1", "at_3", "average_at_5", "mrr")},
        }
    return told


def measure(folder: Path, chosen: Sequence[str] = ()) -> dict[str, Any]:
    """Give the figures of the chosen sections, of all when none is chosen."""
    faults = {"petshop": petshop.issues(folder), "sockshop": sockshop.faults(folder)}
    free = {"petshop": petshop.fault_free(folder, share=0.05), "sockshop": sockshop.fault_free(folder)}
    every, none = [each for cases in faults.values() for each in cases], [*free["petshop"], *free["sockshop"]]
    sections: dict[str, Callable[[], dict[str, Any]]] = {
        "petshop": lambda: recorded("petshop", faults["petshop"]),
        "sockshop": lambda: recorded("sockshop", faults["sockshop"]),
        "fault_free": lambda: silence(free),
        "confidence_left_out": lambda: calibrated(every, none),
        "changed_by_units": lambda: {
            name: {"cases": len(cases), "share": changed_by_units(cases)} for name, cases in faults.items()
        },
        "synthetic_elsewhere": lambda: elsewhere(petshop.fault_free(folder, share=0.5)),
    }
    result = {}
    for name, section in sections.items():
        if not chosen or name in chosen:
            print(f"  {name}", file=sys.stderr, flush=True)
            result[name] = section()
    return result


def fit(folder: Path) -> dict[str, float]:
    """Give the coefficients of the confidence, fitted on all recorded faults and fault-free windows."""
    cases = [*petshop.issues(folder), *sockshop.faults(folder)]
    cases += [*petshop.fault_free(folder, share=0.02), *sockshop.fault_free(folder)]
    return fitted(judge(OWN, cases))._asdict()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--fit", action="store_true", help="print the coefficients of the confidence instead")
    parser.add_argument("--only", nargs="+", default=[], metavar="SECTION", help="such as petshop or fault_free")
    chosen = parser.parse_args()
    folder = Settings().path("data")
    result = fit(folder) if chosen.fit else measure(folder, chosen.only)
    print(json.dumps(result, indent=None if chosen.json else 2))


if __name__ == "__main__":
    main()
