"""Canary releases: several changes of a shop at a time, one of them faulty, seen until the first one spreads.

Enters: the data set `changerca`. Leaves: one split of 51 releases and no part to learn from. Nothing of the gate was
fitted on these labels: its constants were set before its first run on them, and one rule (what counts as silent) was
corrected once after its misses had been looked at, which docs/measurements.md tells with both figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa

from watchkeeper.bench.base import DataSpec, Item, Place, Split
from watchkeeper.bench.cases import changerca
from watchkeeper.bench.data.cached import cached


def _tables(folder: Path) -> Mapping[str, pa.Table]:
    return changerca.tables(folder)


def _releases(place: Place) -> Iterator[Split]:
    told = cached("changerca", ("changerca",), place, _tables)
    items = [Item(f"{one.id} {one.kind}", one.rollout, frozenset({one.faulty})) for one in changerca.releases(told)]
    yield Split("releases", (), tuple(items))


DATA = (
    DataSpec(
        "changerca",
        1,
        "failure-prevention",
        "release",
        "51 canary releases of several changes, which one to hold",
        ("changerca",),
        _releases,
    ),
)
