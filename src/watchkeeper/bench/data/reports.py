"""Incidents to be reported: Nezha's faults, ITBench's alerts with chains, HolmesGPT's alerts with recorded evidence.

Enters: `nezha_trainticket`, `itbench_sre` and `holmesgpt_cases`. Leaves: one split each without a part to learn from,
for the product's report learns nothing; of HolmesGPT three folds, whose answerable cases of the training part are
shown with their facts. Truth is the cause, the category as docs/categories.md maps it, and the chain where it is known.
"""

from __future__ import annotations

from collections.abc import Iterator

from watchkeeper.bench.base import DataSpec, Item, Place, Split
from watchkeeper.bench.cases import holmesgpt, itbench, nezha
from watchkeeper.bench.data.questions import evidence_folds
from watchkeeper.bench.tasks.report import Happened
from watchkeeper.diagnose.base import Category

CATEGORIES = {
    "return": Category.APPLICATION,
    "exception": Category.APPLICATION,
    "cpu": Category.CPU,
    "delay": Category.NETWORK,
}
"""Nezha's kinds of faults, as docs/categories.md maps them."""


def _nezha(place: Place) -> Iterator[Split]:
    items = [
        Item(case.id, case.window, Happened(frozenset(case.truth_nodes), frozenset({CATEGORIES[case.kind].value})))
        for case in nezha.cases("nezha_trainticket", place.data)
    ]
    yield Split("faults", (), tuple(items))


def _itbench(place: Place) -> Iterator[Split]:
    items = [
        Item(case.id, case.window, Happened(frozenset(case.truth_nodes), hops=case.attributes["hops"]))
        for case in itbench.cases(place.data)
    ]
    yield Split("scenarios", (), tuple(items))


def _holmesgpt(place: Place) -> Iterator[Split]:
    told = [case for case in holmesgpt.cases(place.data) if case.part != "test_ask_holmes" and case.facts]
    return evidence_folds(told)


_TASK = "report"
DATA = (
    DataSpec("itbench", 1, _TASK, "report", "alerts with a known chain, no telemetry", ("itbench_sre",), _itbench),
    DataSpec(
        "nezha", 1, _TASK, "report", "45 faults: metrics, logs, traces", ("nezha_trainticket",), _nezha, quick=False
    ),
    DataSpec(
        "holmesgpt",
        1,
        _TASK,
        "query",
        "alerts with recorded evidence and expected facts",
        ("holmesgpt_cases",),
        _holmesgpt,
        "full",
        headline="fact_recall",
    ),
)
