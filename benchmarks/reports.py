"""Reports held against the truth: cause recall, propagation recall, and the share of claims without support.

ITBench: 36 scenarios with a propagation chain, told from alerts and the documented call graph, with no telemetry; the
ranker is the one for findings alone. `chain_given_cause` tells the chain from the true cause, so that the path is
measured apart from the ranking. Nezha: 45 faults of Train Ticket with metrics, logs and traces; the shipped ranker as
it is; the set has no chains. `cause_recall` counts a true cause among those that the report names (three at most),
`cause_first` that it is named first. Beside it a random ranker whose every verdict is reported. Nothing is fitted here.
Needs itbench_sre and nezha_trainticket.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from watchkeeper.bench.cases import itbench, nezha
from watchkeeper.bench.cases.base import Case
from watchkeeper.bench.scores.bootstrap import mean_interval
from watchkeeper.bench.scores.report import Chain, chain, evidence_nodes, named, unsupported
from watchkeeper.diagnose.base import Proof, Ranker, Ranking
from watchkeeper.diagnose.category.rules import EvidenceClassifier
from watchkeeper.diagnose.diagnoser import DEFAULT
from watchkeeper.diagnose.rank.findings import FindingsRanker
from watchkeeper.diagnose.rank.registry import ranker
from watchkeeper.diagnose.report.path import propagation
from watchkeeper.diagnose.report.writer import write_report
from watchkeeper.settings import Settings


class Guess:
    """Ranks at random and is sure of it: each verdict cites the first finding that there is."""

    def rank(self, window: Any) -> Ranking:
        """Give a random order with evidence that is not about the node."""
        ranking = ranker("random").rank(window)
        proof = tuple(Proof(finding.id, finding.title, finding_id=finding.id) for finding in window.findings[:1])
        causes = tuple(replace(cause, evidence_for=proof) for cause in ranking.causes)
        return replace(ranking, causes=causes, abstains=False)


def judged(cases: Sequence[Case], chosen: Ranker) -> dict[str, Any]:
    """Write the report of each case and score them."""
    first, recalled, abstained = [], [], 0
    chains: list[Chain] = []
    claims = bad = dropped = 0
    for number, case in enumerate(cases, 1):
        if not number % 10:
            print(f"    report {number} of {len(cases)}", file=sys.stderr, flush=True)
        ranking = chosen.rank(case.window)
        told = EvidenceClassifier().classify(case.window, ranking)
        report = write_report(None, case.window.findings, case.window, ranking, told)
        abstained += ranking.abstains
        leading = [] if ranking.abstains else ranking.nodes()[:1]
        first.append(float(bool(set(leading) & set(case.truth_nodes)) and named(report.claims, case.truth_nodes)))
        recalled.append(float(named(report.claims, case.truth_nodes)))
        if "hops" in case.attributes:
            chains.append(chain(report.hops, case.attributes["hops"]))
        about = evidence_nodes(case.window, ranking)
        claims += len(report.claims)
        bad += len(unsupported(report.claims, about, case.window.nodes))
        dropped += len(report.dropped)
    recall = mean_interval(recalled)
    return {
        "cases": len(cases),
        "abstained": abstained,
        "cause_first": round(float(np.mean(first)), 3),
        "cause_recall": round(recall.mean, 3),
        "cause_recall_low": round(recall.low, 3),
        "cause_recall_high": round(recall.high, 3),
        **_chained(chains),
        "claims": claims,
        "unsupported_share": round(bad / claims, 4) if claims else 0.0,
        "dropped": dropped,
    }


def _chained(chains: Sequence[Chain]) -> dict[str, float | None]:
    if not chains:
        return {
            "propagation_recall": None,
            "propagation_low": None,
            "propagation_high": None,
            "propagation_precision": None,
        }
    recall = mean_interval([each.recall for each in chains])
    return {
        "propagation_recall": round(recall.mean, 3),
        "propagation_low": round(recall.low, 3),
        "propagation_high": round(recall.high, 3),
        "propagation_precision": round(float(np.mean([each.precision for each in chains])), 3),
    }


def given_cause(cases: Sequence[Case]) -> dict[str, Any]:
    """Score the chains told from the true causes."""
    chains = []
    for case in cases:
        shown = {f"service:{finding.service}" for finding in case.window.findings}
        hops = [hop for cause in case.truth_nodes for hop in propagation(case.window.topology, cause, shown)]
        chains.append(chain(hops, case.attributes["hops"]))
    return {"cases": len(cases), **_chained(chains)}


def measure(folder: Path, parts: Sequence[str]) -> dict[str, Any]:
    """Run the chosen parts."""
    result: dict[str, Any] = {}
    if "itbench" in parts:
        scenarios = itbench.cases(folder)
        result["itbench"] = {"watchkeeper": judged(scenarios, FindingsRanker()), "random": judged(scenarios, Guess())}
        result["itbench_chain_given_cause"] = given_cause(scenarios)
    if "nezha" in parts:
        print("  reading nezha_trainticket", file=sys.stderr, flush=True)
        faults = nezha.cases("nezha_trainticket", folder)
        result["nezha"] = {"watchkeeper": judged(faults, ranker(DEFAULT)), "random": judged(faults, Guess())}
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
