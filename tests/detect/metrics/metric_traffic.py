"""Made-up metric points of a small shop, as batches of the metrics schema."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from watchkeeper.detect.metrics.detector import MetricDetector
from watchkeeper.signals.finding import Finding
from watchkeeper.signals.schema import METRICS

SECOND_NS = 1_000_000_000
START_NS = 1_763_700_000 * SECOND_NS
STEP_S = 10.0
MOMENTS_TOGETHER = 8

Point = dict[str, Any]


def point(at_s: float, service: str, name: str, value: float | None, **more: Any) -> Point:
    """Give a point `at_s` seconds after START_NS; a gauge unless `more` says otherwise."""
    said = {
        "time_unix_ns": START_NS + int(at_s * SECOND_NS),
        "service": service,
        "entity": f"service={service}",
        "name": name,
        "kind": "gauge",
        "attributes": "{}",
        "unit": "",
        "value_double": value,
        **more,
    }
    key = "\x1f".join(str(said[part]) for part in ("entity", "name", "attributes", "kind"))
    said.setdefault("series", zlib.crc32(key.encode()) * 2**31 - 2**62)
    said.setdefault("received_unix_ns", said["time_unix_ns"])
    return said


def metric_batch(points: Sequence[Point]) -> pa.RecordBatch:
    """Give a batch of the metrics schema."""
    columns = []
    for one in METRICS:
        values = [each.get(one.name) for each in points]
        plain = one.type.value_type if pa.types.is_dictionary(one.type) else one.type
        column = pa.array(values, plain)
        columns.append(column.dictionary_encode() if pa.types.is_dictionary(one.type) else column)
    return pa.RecordBatch.from_arrays(columns, schema=METRICS)


SHAPES = {
    "request.duration": ("s", 0.05, 0.005),
    "cpu.utilization": ("1", 0.4, 0.03),
    "memory.usage": ("By", 5e8, 5e6),
    "queue.size": ("{message}", 20.0, 4.0),
    "temperature": ("Cel", 55.0, 0.7),
}


class Shop:
    """Gauges of some services every STEP_S with noise; `fault` scales a metric of a service."""

    def __init__(self, seed: int = 1, services: Iterable[str] = ("cart", "payment", "catalogue")) -> None:
        self._random = np.random.default_rng(seed)
        self.services = tuple(services)

    def at(self, at_s: float, faults: dict[tuple[str, str], float] | None = None) -> list[Point]:
        """Give the points of one moment."""
        points = []
        for service in self.services:
            for name, (unit, level, noise) in SHAPES.items():
                value = (level + noise * self._random.standard_normal()) * (faults or {}).get((service, name), 1.0)
                points.append(point(at_s, service, name, value, unit=unit))
        return points

    def between(
        self, begin_s: float, end_s: float, faults: dict[tuple[str, str], float] | None = None
    ) -> list[list[Point]]:
        """Give the points of each moment of a range."""
        return [self.at(at, faults) for at in np.arange(begin_s, end_s, STEP_S).tolist()]


def detector(**more: Any) -> MetricDetector:
    """Give a detector that learns for ten minutes."""
    return MetricDetector(**{"warmup_s": 600.0, "close_s": 60.0, **more})


def learn(own: MetricDetector, moments: Iterable[list[Point]]) -> list[Finding]:
    """Feed some moments at a time; gives every finding told, in order."""
    told: list[Finding] = []
    every = list(moments)
    for at in range(0, len(every), MOMENTS_TOGETHER):
        told += own.learn(metric_batch([one for points in every[at : at + MOMENTS_TOGETHER] for one in points]))
    return told


def last(findings: Iterable[Finding]) -> dict[str, Finding]:
    """Give each finding as it was told last."""
    return {finding.id: finding for finding in findings}
