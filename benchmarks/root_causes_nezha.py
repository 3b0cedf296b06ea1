"""Root cause and fault kind on the Nezha faults of Train Ticket: the service, the region or resource in it, the kind.

45 faults of two days. The rules of evidence were designed in sight of these faults, so their figures here are hopeful;
the router alone is fitted apart from what it is scored on: for each fault on faults of other services, or on all other
faults. Without a router (`unrouted`) all evidence weighs the same, and nothing is fitted at all. The router cannot be
split by day: each day lacks fault kinds that the other has. Onsets are told as the list of faults has them, a minute
early and late. Fault-free windows: of the set's reference, of the evenings, which have metrics only, and the minute
before each fault, where faults often show already. Needs nezha_trainticket.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np

from watchkeeper.bench.cases.base import Case, with_onset
from watchkeeper.bench.cases.nezha import Everything, everything, region_matches
from watchkeeper.bench.scores.ranking import interval, nodes_scored, rank_score, summary
from watchkeeper.diagnose.base import Ranking
from watchkeeper.diagnose.category.kinds import FAMILIES, FaultKinds, Softmax
from watchkeeper.diagnose.rank.combined import combined
from watchkeeper.diagnose.rank.families import Evidence, evidence
from watchkeeper.diagnose.rank.registry import SIMPLE, ranker
from watchkeeper.diagnose.rank.routed import RoutedRanker, calibrated
from watchkeeper.settings import Settings

DATA_SET = "nezha_trainticket"
RULES = (*SIMPLE, "event_support", "trace_latency", "self_time", "gaps")
SHIFTS_S = {"known": 0.0, "a_minute_early": -60.0, "a_minute_late": 60.0}
KINDS = ("return", "exception", "cpu", "delay")

Told = list[tuple[Case, Evidence]]


class Judged(NamedTuple):
    """What the router's rankings of all incidents were, in their order."""

    rankings: list[Ranking]
    kinds: list[str]


def routed(trained: Told, tested: Told, apart: Callable[[Case], Hashable], calm: Sequence[Evidence]) -> Judged:
    """Rank each incident by a router fitted on those that are `apart` from it; both lists are in the same order.

    calm: windows without a fault, from which the curve of confidence learns what is none.
    """
    models: dict[Hashable, FaultKinds] = {}
    rankings, kinds = [], []
    for case, found in tested:
        key = apart(case)
        if key not in models:
            others = [(other, one) for one, other in trained if apart(one) != key]
            model = FaultKinds.fit([(other, one.kind) for other, one in others])
            examples = [(other, one.truth_nodes) for other, one in others] + [(one, ()) for one in calm]
            models[key] = calibrated(model, examples)
        rankings.append(RoutedRanker(models[key]).rank_evidence(case.window, found))
        probable = models[key].kinds(found)
        kinds.append(max(probable, key=lambda kind: (probable[kind], kind)))
    return Judged(rankings, kinds)


def unrouted() -> RoutedRanker:
    """Give the ranker without any router: families weigh the same, whatever their evidence."""
    zeros = Softmax(np.zeros((len(FAMILIES), len(FAMILIES))), np.zeros(len(FAMILIES)))
    return RoutedRanker(FaultKinds(zeros, Softmax(np.zeros((2, 1)), np.zeros(2)), (0.0, 0.0, 0.0)))


def service(cases: Sequence[Case], rankings: Sequence[Ranking]) -> dict[str, Any]:
    """Give the figures of the service ranking."""
    pairs = zip(cases, rankings, strict=True)
    return summary([rank_score(nodes_scored(ranking), case.truth_nodes) for case, ranking in pairs])


def region(cases: Sequence[Case], rankings: Sequence[Ranking]) -> dict[str, Any]:
    """Give how often the first indicator of the first cause, or one of its first three, is the true one."""
    hits: dict[int, list[float]] = {1: [], 3: []}
    for case, ranking in zip(cases, rankings, strict=True):
        first = ranking.causes[0]
        right = [first.node in case.truth_nodes and region_matches(one, case) for one in first.indicators]
        for most, found in hits.items():
            found.append(float(any(right[:most])))
    one, three = interval(hits[1]), interval(hits[3])
    return {
        "region_at_1": round(one.mean, 4),
        "region_at_1_95": f"{one.low:.2f}-{one.high:.2f}",
        "region_at_3": round(three.mean, 4),
    }


def kinds(cases: Sequence[Case], told: Sequence[str]) -> dict[str, Any]:
    """Give macro-F1 over the fault kinds, its 95 % interval, and accuracy."""
    true, said = np.array([case.kind for case in cases]), np.array(told)
    drawn = np.random.default_rng(0).integers(0, len(true), (2_000, len(true)))
    low, high = np.quantile([_macro_f1(true[rows], said[rows]) for rows in drawn], (0.025, 0.975))
    return {
        "macro_f1": round(_macro_f1(true, said), 4),
        "macro_f1_95": f"{low:.2f}-{high:.2f}",
        "accuracy": round(float((true == said).mean()), 4),
    }


def _macro_f1(true: np.ndarray[Any, Any], said: np.ndarray[Any, Any]) -> float:
    found = []
    for kind in KINDS:
        total = int((true == kind).sum() + (said == kind).sum())
        if total:
            found.append(2 * int(((true == kind) & (said == kind)).sum()) / total)
    return float(np.mean(found))


def specificity(data: Everything, trained: Told) -> dict[str, Any]:
    """Give the share of fault-free windows in which the router, fitted on the other day's faults or all, abstains."""
    figures: dict[str, Any] = {}
    days = sorted({case.group for case in data.incidents})
    models = {
        "all_faults": {day: FaultKinds.fit([(found, case.kind) for case, found in trained]) for day in days},
        "the_other_days_faults": {
            day: FaultKinds.fit([(found, case.kind) for case, found in trained if case.group != day]) for day in days
        },
    }
    coming = {case.window.onset_unix_ns: case for case in data.incidents}
    groups = {
        "evenings_metrics_only": [case for case in data.quiet if not _traced(case)],
        "reference_logs_and_traces": [case for case in data.quiet if _traced(case)],
        "minute_before_a_fault": data.minutes_before,
    }
    for name, cases in groups.items():
        found = [evidence(case.window) for case in cases]
        row: dict[str, Any] = {"windows": len(cases)}
        for fitted, by_day in models.items():
            silent = [not by_day[case.group].speaks(one) for case, one in zip(cases, found, strict=True)]
            row[f"silent_fitted_on_{fitted}"] = round(float(np.mean(silent)), 4)
        loud = [
            (case, RoutedRanker(models["all_faults"][case.group]).rank_evidence(case.window, one))
            for case, one in zip(cases, found, strict=True)
        ]
        loud = [(case, ranking) for case, ranking in loud if not ranking.abstains]
        named = [
            ranking.causes[0].node in coming[case.window.until_unix_ns].truth_nodes
            for case, ranking in loud
            if case.window.until_unix_ns in coming
        ]
        row["of_the_others_naming_the_coming_fault"] = round(float(np.mean(named)), 4) if named else None
        figures[name] = row
    return figures


def _traced(case: Case) -> bool:
    return any((one.counts[:, one.starts_unix_ns >= case.window.onset_unix_ns] > 0).any() for one in case.window.events)


def calibration(cases: Sequence[Case], rankings: Sequence[Ranking]) -> dict[str, Any]:
    """Give the mean confidence in the first cause beside how often it was right, and the Brier score (0 is best)."""
    sure = np.array([ranking.causes[0].confidence for ranking in rankings])
    pairs = zip(cases, rankings, strict=True)
    right = np.array([float(ranking.causes[0].node in case.truth_nodes) for case, ranking in pairs])
    return {
        "mean_confidence": round(float(sure.mean()), 4),
        "right": round(float(right.mean()), 4),
        "brier": round(float(((sure - right) ** 2).mean()), 4),
        "abstained": round(float(np.mean([ranking.abstains for ranking in rankings])), 4),
    }


def figures() -> dict[str, Any]:
    """Measure all; cost: about three minutes on a core."""
    begun_s = time.perf_counter()
    data = everything(DATA_SET, Settings().path("data"))
    read_s = time.perf_counter() - begun_s
    cases = data.incidents
    result: dict[str, Any] = {"faults": len(cases), "read_s": round(read_s, 1)}
    begun_s = time.perf_counter()
    trained = [(case, evidence(case.window)) for case in cases]
    result["watchkeeper_per_case_s"] = round((time.perf_counter() - begun_s) / len(cases), 4)
    calm = [evidence(case.window) for case in data.quiet]
    rules = {}
    for name in RULES:
        print(f"  {name}", file=sys.stderr, flush=True)
        rules[name] = service(cases, [ranker(name).rank(case.window) for case in cases])
    plain = [unrouted().rank_evidence(case.window, found) for case, found in trained]
    rules["unrouted"] = service(cases, plain)
    splits: dict[str, Callable[[Case], Hashable]] = {
        "other_services": lambda case: case.truth_nodes,
        "all_others": lambda case: case.id,
    }
    routing: dict[str, Any] = {}
    blame = ranker("blame")
    for shift, seconds in SHIFTS_S.items():
        shifted = [with_onset(case, seconds) for case in cases]
        tested = trained if not seconds else [(case, evidence(case.window)) for case in shifted]
        for split, apart in splits.items():
            judged = routed(trained, tested, apart, calm)
            name = f"routed_{shift}_fitted_on_{split}"
            rules[name] = service(cases, judged.rankings)
            routing[name] = {**region(cases, judged.rankings), **kinds(cases, judged.kinds)}
            # The default: blame along the graph stands in where the events' opinion abstains.
            both = [
                combined(case.window, ranking, blame.rank(case.window))
                for case, ranking in zip(shifted, judged.rankings, strict=True)
            ]
            rules[f"combined_{shift}_fitted_on_{split}"] = service(cases, both)
            routing[f"combined_{shift}_fitted_on_{split}"] = region(cases, both)
            if not seconds:
                result[f"confidence_fitted_on_{split}"] = calibration(cases, judged.rankings)
    majority = max(KINDS, key=lambda kind: sum(case.kind == kind for case in cases))
    result["service"] = rules
    result["region_and_kind"] = {**routing, "unrouted_region": region(cases, plain)}
    result["kind_always_the_majority"] = kinds(cases, [majority] * len(cases))
    result["fault_free"] = specificity(data, trained)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    print(json.dumps(figures(), indent=None if chosen.json else 2))


if __name__ == "__main__":
    main()
