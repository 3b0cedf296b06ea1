"""Emergencies: the example shop with each of its faults, live, RUNS times each. What is given is a running shop.

Leaves: one split without a training part; an item's truth is the ledger that the harness keeps. `emergency` is a single
fault for the quick suite, a bad deploy, which a restart does not mend.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from watchkeeper.bench.base import DataSpec, Item, Place, Split
from watchkeeper.bench.live.emergency import Emergency, Ledger

FAULTS = ("bad-deploy", "error-rate", "latency", "cpu-burst", "memory-leak", "dependency-down", "queue-jam")
RUNS = 2
"""Runs of each fault, for pass^k."""
WARMUP_S = 60.0
WARMUP_QUICK_S = 25.0


def emergencies(faults: Sequence[str], runs: int, warmup_s: float) -> Iterator[Split]:
    """Give one split with `runs` emergencies of each fault; ids, which name it, are not shown to the model."""
    items = []
    for at, fault in enumerate(fault for _ in range(runs) for fault in faults):
        ledger = Ledger()
        items.append(Item(f"{fault}#{at // len(faults)}", Emergency(fault, warmup_s, ledger), ledger))
    yield Split("live", (), tuple(items))


def splits(place: Place) -> Iterator[Split]:
    """Give every fault."""
    return emergencies(FAULTS, RUNS, WARMUP_S)


def quick(place: Place) -> Iterator[Split]:
    """Give one fault."""
    return emergencies(FAULTS[:1], 1, WARMUP_QUICK_S)


_TASK, _FORM = "automatic-execution", "shop"
DATA = (
    DataSpec(
        "shop",
        1,
        _TASK,
        _FORM,
        f"the example shop, live: each of its faults, {RUNS} times",
        (),
        splits,
        quick=False,
        cell_s=7_200,
        repeats=True,
    ),
    DataSpec("shop_bad_deploy", 1, _TASK, _FORM, "the example shop, live: a bad deploy", (), quick, cell_s=400),
)
