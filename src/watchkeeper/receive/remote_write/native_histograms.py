"""Native histograms of Prometheus become points of OTLP histograms: exponential, or explicit where bounds are custom.

Enters: a Histogram message. Leaves: the bytes of a data point, or BadHistogram with the reason. Float and gauge
histograms have no form in OTLP and are refused, as OpenTelemetry's Prometheus compatibility specification asks.
A bucket of Prometheus is numbered by its upper bound and one of OTLP by its lower, so their numbers differ by one.
Source: prometheus.io/docs/specs/native_histograms.
"""

from __future__ import annotations

import math
import struct
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from opentelemetry.proto.metrics.v1.metrics_pb2 import ExponentialHistogramDataPoint, HistogramDataPoint

from watchkeeper.receive.remote_write.families import Form
from watchkeeper.receive.remote_write.wire import field

SCHEMA_MIN, SCHEMA_MAX, SCHEMA_CUSTOM = -4, 8, -53
RESET_HINT_GAUGE = 3
BUCKETS_MAX = 16_384
"""Buckets of one side, gaps included, which OTLP has to write out: a span may lie anywhere in 32 bits."""
FLAG_NO_VALUE = 1
STALE = 0x7FF0000000000002

_ATTRIBUTES = {Form.EXPONENTIAL_HISTOGRAM: 1, Form.HISTOGRAM: 9}
_INDEX_MAX = 2**31 - 2
_COUNT_MAX = 2**63 - 1


class BadHistogram(ValueError):
    """A histogram that cannot be stored; the message is the reason, alike for all of the fault."""


class Buckets(NamedTuple):
    """A run of buckets: the number of the first, and the count of each."""

    first: int
    counts: list[int]


def is_stale(value: float) -> bool:
    """Tell whether a number is the mark by which Prometheus says that a series has ended."""
    return math.isnan(value) and struct.unpack("<Q", struct.pack("<d", value))[0] == STALE


def form_of(histogram: Any) -> Form:
    """Tell what kind of OTLP histogram this is."""
    return Form.HISTOGRAM if histogram.schema == SCHEMA_CUSTOM else Form.EXPONENTIAL_HISTOGRAM


def point_of(histogram: Any, attributes: tuple[bytes, ...], time_ns: int, start_ns: int) -> bytes:
    """Write the data point of a histogram, tag included; raises BadHistogram."""
    form = form_of(histogram)
    times: dict[str, Any] = {"time_unix_nano": time_ns, "start_time_unix_nano": start_ns}
    if is_stale(histogram.sum):
        kind: Any = HistogramDataPoint if form is Form.HISTOGRAM else ExponentialHistogramDataPoint
        point = kind(flags=FLAG_NO_VALUE, **times)
    else:
        _check(histogram)
        point = (_explicit if form is Form.HISTOGRAM else _exponential)(histogram, times)
    told = b"".join(field(_ATTRIBUTES[form], each) for each in attributes)
    return field(1, told + point.SerializeToString())


def _check(histogram: Any) -> None:
    if histogram.WhichOneof("count") == "count_float" or histogram.WhichOneof("zero") == "zero_count_float":
        raise BadHistogram("float histograms have no form in OTLP")
    if histogram.reset_hint == RESET_HINT_GAUGE:
        raise BadHistogram("gauge histograms have no form in OTLP")
    if not (SCHEMA_MIN <= histogram.schema <= SCHEMA_MAX or histogram.schema == SCHEMA_CUSTOM):
        raise BadHistogram(f"histograms of schema {histogram.schema} are not known")


def _exponential(histogram: Any, times: dict[str, Any]) -> Any:
    point = ExponentialHistogramDataPoint(
        count=histogram.count_int,
        sum=histogram.sum,
        scale=histogram.schema,
        zero_count=histogram.zero_count_int,
        zero_threshold=histogram.zero_threshold,
        **times,
    )
    for side in ("positive", "negative"):
        found = _buckets(getattr(histogram, f"{side}_spans"), getattr(histogram, f"{side}_deltas"))
        if found.counts:
            told = getattr(point, side)
            told.offset = found.first - 1
            told.bucket_counts.extend(found.counts)
    return point


def _explicit(histogram: Any, times: dict[str, Any]) -> Any:
    bounds = list(histogram.custom_values)
    if len(bounds) >= BUCKETS_MAX or not all(low < high for low, high in pairwise(bounds)):
        raise BadHistogram("the custom bounds of a histogram do not rise, or are too many")
    found = _buckets(histogram.positive_spans, histogram.positive_deltas)
    counts = [0] * (len(bounds) + 1)
    if found.counts and not 0 <= found.first <= len(counts) - len(found.counts):
        raise BadHistogram("a histogram has buckets that its custom bounds have not")
    counts[found.first : found.first + len(found.counts)] = found.counts
    return HistogramDataPoint(
        count=histogram.count_int, sum=histogram.sum, explicit_bounds=bounds, bucket_counts=counts, **times
    )


def _buckets(spans: Any, deltas: Any) -> Buckets:
    """Lay buckets out side by side, those in the gaps between spans empty; raises BadHistogram."""
    if not spans:
        if deltas:
            raise BadHistogram("the spans of a histogram do not fit its buckets")
        return Buckets(0, [])
    counts = list(accumulate(deltas))
    first = at = spans[0].offset
    laid: list[int] = []
    taken = 0
    for place, span in enumerate(spans):
        gap = span.offset if place else 0
        if gap < 0 or len(laid) + gap + span.length > BUCKETS_MAX:
            raise BadHistogram(f"a histogram has more than {BUCKETS_MAX} buckets, or spans out of order")
        laid += [0] * gap + counts[taken : taken + span.length]
        taken += span.length
        at += gap + span.length
    if taken != len(counts) or not -_INDEX_MAX < first <= at < _INDEX_MAX:
        raise BadHistogram("the spans of a histogram do not fit its buckets")
    if counts and not 0 <= min(counts) <= max(counts) <= _COUNT_MAX:
        raise BadHistogram("a bucket of a histogram has a count below 0 or past 2^63-1")
    return Buckets(first, laid)
