"""Reports held against the truth, by the harness' task `report`: the same models, protocol and figures.

ITBench: 36 scenarios with a propagation chain, told from alerts and the documented call graph, with no telemetry.
Nezha: 45 faults of Train Ticket with metrics, logs and traces; the set has no chains. Beside it a random ranker, three
draws, whose every verdict is reported. `watchkeeper bench run --task report` has more baselines; only here is
`itbench_chain_given_cause`, the chain told from the true cause, so that the path is measured apart
from the ranking. Nothing is fitted here. Needs itbench_sre and nezha_trainticket.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from watchkeeper.bench.base import Item, Model, Split
from watchkeeper.bench.cases import itbench, nezha
from watchkeeper.bench.cases.base import Case
from watchkeeper.bench.forms import FORMS
from watchkeeper.bench.measure import SEEDS
from watchkeeper.bench.merge import merged
from watchkeeper.bench.models.reports import Guessed, Written
from watchkeeper.bench.protocol import run_split
from watchkeeper.bench.scores.bootstrap import mean_interval
from watchkeeper.bench.scores.report import chain
from watchkeeper.bench.tasks.report import Happened
from watchkeeper.bench.tasks.report import measure as measure_reports
from watchkeeper.diagnose.report.path import propagation
from watchkeeper.settings import Settings


def judged(cases: Sequence[Case], make: Callable[[], Model], seeds: Sequence[int] = (0,)) -> dict[str, Any]:
    """Let a model of the harness report each case, by the harness' protocol and task; figures are means over seeds."""
    items = tuple(Item(case.id, case.window, truth_of(case)) for case in cases)
    outcomes = [run_split(make, Split("all", (), items), FORMS.get("report"), seed)[0] for seed in seeds]
    print(f"    {len(cases)} reports written", file=sys.stderr, flush=True)
    measured = merged([measure_reports([each]) for each in outcomes])
    claims = sum(len(told.claims) for each in outcomes for told in each.answers)
    figures: dict[str, Any] = {"cases": len(cases), "claims": claims}
    for name, figure in measured.figures.items():
        figures[name] = round(figure.value, 4)
        figures[f"{name}_95"] = None if figure.low is None else f"{figure.low:.2f}-{figure.high:.2f}"
    return figures


def truth_of(case: Case) -> Happened:
    """Give what is true of a case: its cause, and its chain where the set knows it."""
    return Happened(frozenset(case.truth_nodes), hops=case.attributes.get("hops"))


def given_cause(cases: Sequence[Case]) -> dict[str, Any]:
    """Score the chains told from the true causes."""
    chains = []
    for case in cases:
        shown = {f"service:{finding.service}" for finding in case.window.findings}
        hops = [hop for cause in case.truth_nodes for hop in propagation(case.window.topology, cause, shown)]
        chains.append(chain([(hop.source, hop.target) for hop in hops], case.attributes["hops"]))
    recall = mean_interval([each.recall for each in chains])
    return {
        "cases": len(cases),
        "chain_recall": round(recall.mean, 4),
        "chain_recall_95": f"{recall.low:.2f}-{recall.high:.2f}",
        "chain_precision": round(float(np.mean([each.precision for each in chains])), 4),
    }


def both(cases: Sequence[Case]) -> dict[str, Any]:
    """Score the product's report and that on a random ranking."""
    return {"watchkeeper": judged(cases, Written), "random": judged(cases, Guessed, SEEDS)}


def measure(folder: Path, parts: Sequence[str]) -> dict[str, Any]:
    """Run the chosen parts."""
    result: dict[str, Any] = {}
    if "itbench" in parts:
        scenarios = itbench.cases(folder)
        result["itbench"] = both(scenarios)
        result["itbench_chain_given_cause"] = given_cause(scenarios)
    if "nezha" in parts:
        print("  reading nezha_trainticket", file=sys.stderr, flush=True)
        faults = nezha.cases("nezha_trainticket", folder)
        result["nezha"] = both(faults)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--part", choices=("itbench", "nezha"), action="append", help="only this one")
    chosen = parser.parse_args()
    figures = measure(Settings().path("data"), chosen.part or ("itbench", "nezha"))
    print(json.dumps(figures, indent=None if chosen.json else 2))


if __name__ == "__main__":
    main()
