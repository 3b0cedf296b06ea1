"""The example shop as it was recorded here: where each fault was, what kind of failure it was.

Enters: `shop_recorded` in the folder of data sets, made by `watchkeeper bench record`. Leaves: for localization one
split without a part to learn from, the faults and the calm between them; for category the faults by round, each round
asked about after learning from the others: later rounds strike other services, so that a place does not stand for a
kind. Labels of training are shown in category.
"""

from __future__ import annotations

from collections.abc import Iterator

from watchkeeper.bench.base import BenchError, DataSpec, Item, Place, Split
from watchkeeper.bench.cases import shop
from watchkeeper.bench.data.incidents import items
from watchkeeper.diagnose.category.features import features_of

RECORDED = "shop_recorded"


def _causes(place: Place) -> Iterator[Split]:
    yield Split("faults", (), items(shop.cases(place.data / RECORDED)))


def _categories(place: Place) -> Iterator[Split]:
    told = [case for case in shop.cases(place.data / RECORDED) if not case.is_fault_free]
    rounds = sorted({case.group for case in told})
    if len(rounds) < 2:
        raise BenchError(
            f"{place.data / RECORDED} holds one round of faults, and categories are learned from the others; record "
            "two at least: `watchkeeper bench record FOLDER --rounds 2`"
        )
    for each in rounds:
        sides = ([case for case in told if case.group != each], [case for case in told if case.group == each])
        train, test = (tuple(Item(case.id, features_of(case.window), case.kind) for case in side) for side in sides)
        yield Split(f"asked {each}", train, test, labelled=True)


DATA = (
    DataSpec(
        "shop",
        1,
        "localization",
        "incident",
        "faults of the example shop as recorded here, logs, metrics and traces, and the calm between them",
        (),
        _causes,
        quick=False,
        system="example_shop",
        recorded=RECORDED,
    ),
    DataSpec(
        "shop",
        1,
        "category",
        "counts",
        "kinds of recorded faults of the example shop by what rose and left its range, one round asked at a time",
        (),
        _categories,
        "full",
        quick=False,
        system="example_shop",
        recorded=RECORDED,
    ),
)
