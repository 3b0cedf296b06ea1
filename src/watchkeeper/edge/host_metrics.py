"""Metrics of this host under OpenTelemetry's names (system.*), read with psutil.

Enters: nothing but the machine. Leaves: Readings, and from them the bytes of an ExportMetricsServiceRequest. Sums are
cumulative since boot. What the platform does not tell is left out. Names and attributes follow the semantic conventions
for system metrics; load averages are named as the OpenTelemetry Collector's host receiver names them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import psutil
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality

from watchkeeper.version import __version__

SCOPE = "watchkeeper.edge.host"
_PSEUDO = {"squashfs", "overlay", "tmpfs", "devtmpfs", "ramfs", "iso9660"}
_LABELS_MAX = 64


class Reading(NamedTuple):
    """One value; `monotonic` makes it a cumulative sum, else it is a gauge."""

    name: str
    unit: str
    value: float
    attributes: Mapping[str, str] = {}
    monotonic: bool = False


class HostMetrics:
    """Reads the host; utilisation is that since the reading before. Cost: a few milliseconds a reading."""

    def __init__(self) -> None:
        self._cpu = psutil.cpu_times()
        self.start_unix_ns = int(psutil.boot_time() * 1e9)

    def read(self) -> list[Reading]:
        """Read everything once."""
        readings: list[Reading] = []
        for part in (self._processor, _memory, _paging, _disks, _filesystems, _networks, _processes):
            # A counter that one kernel or container hides takes nothing from the others.
            with suppress(OSError, psutil.Error, NotImplementedError, RuntimeError):
                readings.extend(part())
        return readings

    def _processor(self) -> Iterator[Reading]:
        before, self._cpu = self._cpu, psutil.cpu_times()
        spent = {name: getattr(self._cpu, name) - getattr(before, name) for name in self._cpu._fields}
        whole = sum(value for name, value in spent.items() if not name.startswith("guest"))
        for name in self._cpu._fields:
            if name.startswith("guest"):
                continue
            mode = {"irq": "interrupt"}.get(name, name)
            yield Reading("system.cpu.time", "s", getattr(self._cpu, name), {"cpu.mode": mode}, monotonic=True)
            if whole > 0:
                yield Reading("system.cpu.utilization", "1", max(0.0, spent[name] / whole), {"cpu.mode": mode})
        for minutes, load in zip((1, 5, 15), os.getloadavg(), strict=True):
            yield Reading(f"system.cpu.load_average.{minutes}m", "{thread}", load)
        yield Reading("system.cpu.logical.count", "{cpu}", float(psutil.cpu_count() or 0))


def _memory() -> Iterator[Reading]:
    told = psutil.virtual_memory()
    cached, buffers = getattr(told, "cached", 0), getattr(told, "buffers", 0)
    used = max(0, told.total - told.free - cached - buffers)
    for state, value in (("used", used), ("free", told.free), ("cached", cached), ("buffers", buffers)):
        yield Reading("system.memory.usage", "By", float(value), {"system.memory.state": state})
        yield Reading("system.memory.utilization", "1", value / told.total, {"system.memory.state": state})
    yield Reading("system.memory.limit", "By", float(told.total))
    yield Reading("system.linux.memory.available", "By", float(told.available))


def _paging() -> Iterator[Reading]:
    told = psutil.swap_memory()
    for state, value in (("used", told.used), ("free", told.free)):
        yield Reading("system.paging.usage", "By", float(value), {"system.paging.state": state})
    for direction, value in (("in", told.sin), ("out", told.sout)):
        yield Reading("system.paging.io", "By", float(value), {"system.paging.direction": direction}, monotonic=True)


def _disks() -> Iterator[Reading]:
    for device, told in sorted(psutil.disk_io_counters(perdisk=True).items())[:_LABELS_MAX]:
        if device.startswith(("loop", "ram")):
            continue
        for direction in ("read", "write"):
            about = {"system.device": device, "disk.io.direction": direction}
            yield Reading("system.disk.io", "By", float(getattr(told, f"{direction}_bytes")), about, monotonic=True)
            operations = float(getattr(told, f"{direction}_count"))
            yield Reading("system.disk.operations", "{operation}", operations, about, monotonic=True)
            seconds = getattr(told, f"{direction}_time") / 1000
            yield Reading("system.disk.operation_time", "s", seconds, about, monotonic=True)
        if hasattr(told, "busy_time"):
            yield Reading("system.disk.io_time", "s", told.busy_time / 1000, {"system.device": device}, monotonic=True)


def _filesystems() -> Iterator[Reading]:
    seen = set()
    for part in psutil.disk_partitions(all=False)[:_LABELS_MAX]:
        if part.fstype in _PSEUDO or part.device in seen:
            continue
        seen.add(part.device)
        with suppress(OSError):
            told = psutil.disk_usage(part.mountpoint)
            about = {"system.device": part.device, "system.filesystem.mountpoint": part.mountpoint}
            about["system.filesystem.type"] = part.fstype
            for state, value in (("used", told.used), ("free", told.free)):
                more = {**about, "system.filesystem.state": state}
                yield Reading("system.filesystem.usage", "By", float(value), more)
            yield Reading("system.filesystem.utilization", "1", told.percent / 100, about)


def _networks() -> Iterator[Reading]:
    for name, told in sorted(psutil.net_io_counters(pernic=True).items())[:_LABELS_MAX]:
        for direction, short, drops in (("transmit", "sent", "out"), ("receive", "recv", "in")):
            about = {"network.interface.name": name, "network.io.direction": direction}
            yield Reading("system.network.io", "By", float(getattr(told, f"bytes_{short}")), about, monotonic=True)
            for metric, unit, value in (
                ("system.network.packet.count", "{packet}", getattr(told, f"packets_{short}")),
                ("system.network.packet.dropped", "{packet}", getattr(told, f"drop{drops}")),
                ("system.network.errors", "{error}", getattr(told, f"err{drops}")),
            ):
                yield Reading(metric, unit, float(value), about, monotonic=True)


def _processes() -> Iterator[Reading]:
    yield Reading("system.process.count", "{process}", float(len(psutil.pids())))


def encode_readings(
    readings: Iterable[Reading], resource: Mapping[str, str], *, start_unix_ns: int, time_unix_ns: int
) -> bytes:
    """Encode readings as an ExportMetricsServiceRequest of one resource."""
    request = ExportMetricsServiceRequest()
    holder = request.resource_metrics.add()
    for key, value in resource.items():
        holder.resource.attributes.add(key=key).value.string_value = value
    scope = holder.scope_metrics.add()
    scope.scope.name, scope.scope.version = SCOPE, __version__
    metrics: dict[str, Any] = {}
    for reading in readings:
        metric = metrics.get(reading.name)
        if metric is None:
            metric = metrics[reading.name] = scope.metrics.add(name=reading.name, unit=reading.unit)
            if reading.monotonic:
                metric.sum.is_monotonic = True
                metric.sum.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
        point = (metric.sum if reading.monotonic else metric.gauge).data_points.add()
        point.time_unix_nano, point.as_double = time_unix_ns, reading.value
        if reading.monotonic:
            point.start_time_unix_nano = start_unix_ns
        for key, value in reading.attributes.items():
            point.attributes.add(key=key).value.string_value = value
    data: bytes = request.SerializeToString()
    return data
