"""One request of remote write on its way to OTLP: collects points by metric, then writes the whole.

Enters: series with their samples and histograms, what is told of families and targets, what is to be left out.
Leaves: an ExportMetricsServiceRequest in protobuf, with the counts of what became of everything. Reads no labels.
"""

from __future__ import annotations

import struct
from math import isnan
from typing import Any, NamedTuple

from watchkeeper.receive.remote_write.families import Form, Frame, Head, Type, frame_of, head_of
from watchkeeper.receive.remote_write.known import Family, Known, Labels
from watchkeeper.receive.remote_write.native_histograms import FLAG_NO_VALUE, BadHistogram, form_of, is_stale, point_of
from watchkeeper.receive.remote_write.series import Group, Owner, Scope, Series, Target, resource_of
from watchkeeper.receive.remote_write.wire import field, head
from watchkeeper.signals.schema import TIME_MAX_UNIX_NS

SCOPE_NAME = "watchkeeper.remote_write"
"""The scope of points whose own is not told; without a version, for a series stays the same over an upgrade."""
NS_PER_MS = 1_000_000
TIME_MAX_MS = TIME_MAX_UNIX_NS // NS_PER_MS
REASONS_MAX = 5

_POINT = struct.Struct("<QBd")
_VALUE_TAG = 0x21
_TIME = struct.Struct("<BQ")
_START_TAG, _TIME_TAG = 0x11, 0x19
_STALE_FLAGS = b"\x40" + bytes([FLAG_NO_VALUE])
_BAD_TIME = "a time is not between 1970 and 2262"


class Translated(NamedTuple):
    """What became of a request: OTLP's bytes; samples and histograms written; how many were left out, and why.

    exemplars: those that were there; none is kept.
    """

    payload: bytes
    samples: int
    histograms: int
    exemplars: int
    rejected: int
    reason: str


class Request:
    """See the module; used by one thread."""

    def __init__(self, sender: str, known: Known) -> None:
        self.families: dict[str, Family] = {}
        self._sender = sender
        self._known = known
        self._targets: dict[Target, Labels] = {}
        self._points: dict[Form | None, dict[Group, list[bytes]]] = {None: {}}
        self._numbers = self._points[None]
        self._samples = self._histograms = self._exemplars = self._rejected = 0
        self._reasons: dict[str, int] = {}

    def refuse(self, count: int, reason: str) -> None:
        """Leave out so many samples or histograms."""
        if count:
            self._rejected += count
            self._reasons[reason] = self._reasons.get(reason, 0) + count

    def note_target(self, target: Target, labels: Labels, message: Any) -> None:
        """Take what a target_info tells; its mark of the end changes nothing, for a target may well come back."""
        self._samples += len(message.samples)
        self._exemplars += len(message.exemplars)
        self.refuse(len(message.histograms), "target_info is no histogram")
        if any(not is_stale(sample.value) for sample in message.samples):
            self._targets[target] = labels

    def add(self, series: Series, message: Any, start_ms: int = 0) -> None:
        """Add what a series has in this request. start_ms: when its counter began, 0 when that is not told."""
        samples = message.samples
        if samples:
            points = self._numbers.get(series.group)
            if points is None:
                points = self._numbers[series.group] = []
            for sample in samples:
                time_ms, value, start = sample.timestamp, sample.value, sample.start_timestamp or start_ms
                if not 0 < time_ms <= TIME_MAX_MS:
                    self.refuse(1, _BAD_TIME)
                elif start or isnan(value):
                    points.append(_unusual_point(series, time_ms, value, start))
                    self._samples += 1
                else:
                    points.append(series.number_head + _POINT.pack(time_ms * NS_PER_MS, _VALUE_TAG, value))
                    self._samples += 1
        if message.histograms:
            self._add_histograms(series, message.histograms, start_ms)
        self._exemplars += len(message.exemplars)

    def _add_histograms(self, series: Series, histograms: Any, start_ms: int) -> None:
        for histogram in histograms:
            if not 0 < histogram.timestamp <= TIME_MAX_MS:
                self.refuse(1, _BAD_TIME)
                continue
            start = histogram.start_timestamp or start_ms
            start_ns = start * NS_PER_MS if 0 < start <= TIME_MAX_MS else 0
            try:
                point = point_of(histogram, series.attributes, histogram.timestamp * NS_PER_MS, start_ns)
            except BadHistogram as error:
                self.refuse(1, str(error))
                continue
            self._points.setdefault(form_of(histogram), {}).setdefault(series.group, []).append(point)
            self._histograms += 1

    def finish(self) -> Translated:
        """Write OTLP's request, and keep what was told of families and targets."""
        self._known.note(self._sender, self.families, self._targets)
        frames: dict[tuple[str, Form | None], Frame] = {}
        by_owner: dict[Owner, list[bytes]] = {}
        for form, groups in self._points.items():
            for group, points in groups.items():
                if not points:
                    continue
                key = (group.name, form)
                frame = frames.get(key)
                if frame is None:
                    frame = frames[key] = frame_of(group.name, self._head(group.name, form))
                pieces = by_owner.get(group.owner)
                if pieces is None:
                    pieces = by_owner[group.owner] = []
                pieces += frame.pieces(points)
        by_target: dict[Target, list[bytes]] = {}
        for owner, pieces in by_owner.items():
            by_target.setdefault(owner.target, []).append(_scoped(owner.scope, b"".join(pieces)))
        whole = b"".join(self._resource(target, scoped) for target, scoped in by_target.items())
        return Translated(whole, self._samples, self._histograms, self._exemplars, self._rejected, self._reason())

    def _resource(self, target: Target, scoped: list[bytes]) -> bytes:
        resource = field(1, resource_of(target, self._known.target(self._sender, target)))
        body = b"".join([resource, *scoped])
        return head(1, len(body)) + body

    def _head(self, name: str, form: Form | None) -> Head:
        if form is None:
            return head_of(name, self._family)
        return Head(form, False, self._family(name) or Family(Type.HISTOGRAM, "", ""))

    def _family(self, name: str) -> Family | None:
        return self.families.get(name) or self._known.family(self._sender, name)

    def _reason(self) -> str:
        if not self._rejected:
            return ""
        told = sorted(self._reasons.items(), key=lambda each: -each[1])[:REASONS_MAX]
        return f"{self._rejected} left out: " + "; ".join(f"{reason} ({count})" for reason, count in told)


def _unusual_point(series: Series, time_ms: int, value: float, start_ms: int) -> bytes:
    """Write a point whose start is told, or whose value is NaN; the mark of an end becomes a point without a value."""
    body = b"".join(field(7, each) for each in series.attributes) + _TIME.pack(_TIME_TAG, time_ms * NS_PER_MS)
    if 0 < start_ms <= TIME_MAX_MS:
        body += _TIME.pack(_START_TAG, start_ms * NS_PER_MS)
    return field(1, body + (_STALE_FLAGS if is_stale(value) else struct.pack("<Bd", _VALUE_TAG, value)))


def _scoped(scope: Scope, metrics: bytes) -> bytes:
    return field(2, field(1, _scope(scope)) + metrics + _optional(3, scope.schema_url))


def _scope(scope: Scope) -> bytes:
    name = scope.name or ("" if scope.version else SCOPE_NAME)
    return _optional(1, name) + _optional(2, scope.version) + b"".join(field(3, each) for each in scope.attributes)


def _optional(number: int, text: str) -> bytes:
    return field(number, text.encode()) if text else b""
