"""Recorded incidents of PetShop, Sock Shop and Nezha, with windows without a fault, for localization.

Enters: the data sets `petshop`, `rcd_sockshop` and `nezha_trainticket`. Leaves: one split each without a part to learn
from: rankers are not fitted, and the confidence that `blame` ships was fitted on PetShop and Sock Shop (its order of
causes was not). Nezha's quiet windows are of its reference and of the hours after the last fault of a day, of which
there are metrics only; the minutes before faults are none, for in many the coming fault shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from watchkeeper.bench.base import DataSpec, Item, Place, Split
from watchkeeper.bench.cases import nezha, petshop, sockshop
from watchkeeper.bench.cases.base import Case


def items(cases: Iterable[Case]) -> tuple[Item, ...]:
    """Give cases as items; truth is the set of right nodes."""
    return tuple(Item(case.id, case.window, frozenset(case.truth_nodes)) for case in cases)


def _petshop(place: Place) -> Iterator[Split]:
    yield Split("issues", (), items([*petshop.issues(place.data), *petshop.fault_free(place.data)]))


def _sockshop(place: Place) -> Iterator[Split]:
    yield Split("faults", (), items([*sockshop.faults(place.data), *sockshop.fault_free(place.data)]))


def _nezha(place: Place) -> Iterator[Split]:
    found = nezha.everything("nezha_trainticket", place.data)
    yield Split("faults", (), items([*found.incidents, *found.quiet]))


_TASK = "localization"
DATA = (
    DataSpec(
        "petshop", 1, _TASK, "incident", "issues of 5 traffic scenarios and quiet windows", ("petshop",), _petshop
    ),
    DataSpec(
        "sockshop", 1, _TASK, "incident", "50 faults of 5 services and quiet windows", ("rcd_sockshop",), _sockshop
    ),
    DataSpec(
        "nezha",
        2,
        _TASK,
        "incident",
        "45 faults, metrics, logs and traces, and 71 quiet windows, most of metrics alone",
        ("nezha_trainticket",),
        _nezha,
        quick=False,
        cell_s=600.0,
    ),
)
