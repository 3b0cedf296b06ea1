"""Families of metrics at one moment, kept small while they wait, and written as either message of remote write.

Enters: Families and a time. Leaves: a Snapshot; of one, a compressed request body. Sends nothing.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import NamedTuple

from watchkeeper.app.own_metrics import Family
from watchkeeper.receive.remote_write import messages
from watchkeeper.receive.remote_write.families import Type
from watchkeeper.receive.remote_write.snappy import compress
from watchkeeper.receive.remote_write.translate import Version

Labels = tuple[tuple[str, str], ...]

CONTENT_TYPES = {
    Version.V1: "application/x-protobuf",
    Version.V2: "application/x-protobuf;proto=io.prometheus.write.v2.Request",
}
VERSION_HEADERS = {Version.V1: "0.1.0", Version.V2: "2.0.0"}


class Told(NamedTuple):
    """What is said of a family: its type and help."""

    type: Type
    help: str


class Snapshot(NamedTuple):
    """All metrics at one moment, Unix milliseconds; snapshots of the same series share what is said of them."""

    time_ms: int
    series: tuple[Labels, ...]
    values: array[float]
    families: dict[str, Told]


class Snapshots:
    """Takes snapshots with labels of its own on every series."""

    def __init__(self, labels: Labels) -> None:
        self._labels = labels
        self._last: tuple[Labels, ...] = ()

    def take(self, families: Iterable[Family], time_ms: int) -> Snapshot:
        """Keep the values of families."""
        series: list[Labels] = []
        values = array("d")
        told = {}
        for family in families:
            told[family.name] = Told(Type[family.type.upper()], family.help)
            for labels, value in family.samples:
                named = {"__name__": family.name, **dict(self._labels), **{k: v for k, v in labels.items() if v}}
                series.append(tuple(sorted(named.items())))
                values.append(value)
        if tuple(series) != self._last:
            self._last = tuple(series)
        return Snapshot(time_ms, self._last, values, told)


def body(snapshot: Snapshot, version: Version) -> bytes:
    """Write a snapshot as a compressed request; cost: about 10 microseconds a series."""
    return compress(_v1(snapshot) if version is Version.V1 else _v2(snapshot))


def _v1(snapshot: Snapshot) -> bytes:
    request = messages.WriteRequest()
    for labels, value in zip(snapshot.series, snapshot.values, strict=True):
        series = request.timeseries.add()
        series.labels.extend(messages.Label(name=name, value=text).SerializeToString() for name, text in labels)
        series.samples.add(value=value, timestamp=snapshot.time_ms)
    for name, told in snapshot.families.items():
        request.metadata.add(type=told.type, metric_family_name=name, help=told.help)
    data: bytes = request.SerializeToString()
    return data


def _v2(snapshot: Snapshot) -> bytes:
    request = messages.Request()
    places: dict[str, int] = {"": 0}

    def symbol(text: str) -> int:
        return places.setdefault(text, len(places))

    for labels, value in zip(snapshot.series, snapshot.values, strict=True):
        series = request.timeseries.add()
        series.labels_refs.extend(symbol(text) for pair in labels for text in pair)
        series.samples.add(value=value, timestamp=snapshot.time_ms)
        told = snapshot.families[dict(labels)["__name__"]]
        series.metadata.type, series.metadata.help_ref = told.type, symbol(told.help)
    request.symbols.extend(text.encode() for text in places)
    data: bytes = request.SerializeToString()
    return data
