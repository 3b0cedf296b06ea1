"""Health as OpenTelemetry: events and troubles as log records, readings as metrics, ready to send to any collector.

Enters: a HostHealth. Leaves: the bytes of an ExportLogsServiceRequest and of an ExportMetricsServiceRequest. Each GPU
is a resource (`hw.type` gpu, `hw.id` its UUID) on its host, so that the centre ties it to the jobs on that host. Names
are those of OpenTelemetry's semantic conventions for hardware (hw.*) where there are such; XIDs are `nvidia.xid`, with
name, origin and action beside the number. Values not read are left out. Sends nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality

from watchkeeper.host.check import Check, CheckSeverity, CheckStatus
from watchkeeper.host.gpu import THROTTLE_HARDWARE, THROTTLE_REASONS, THROTTLE_THERMAL, Gpu
from watchkeeper.host.kernel_events import KernelEvent
from watchkeeper.host.survey import GpuHealth, HealthState, HostHealth
from watchkeeper.host.xid import ACTIONS, Origin, xid_entry
from watchkeeper.signals.node_report import (
    ADVICE,
    CHECK_ID,
    EVENT_KIND,
    EVENT_ORIGIN,
    HEARTBEAT,
    NODE_SERVICE,
    SCOPE,
    TROUBLE,
    TROUBLES,
    trouble_name,
)
from watchkeeper.version import __version__

_EVENT_CHECKS = {
    "xid": "gpu.xid",
    "gpu_lost": "gpu.xid",
    "double_bit_ecc": "gpu.xid",
    "sxid": "gpu.switch",
    "read_only": "host.read_only",
}
"""The check that tells how long an event's trouble lasts; one of another kind, a kill say, is over once it is told."""
_EVENT_ORIGINS = {
    **dict.fromkeys(("gpu_lost", "sxid", "nvme_reset", "read_only", "infiniband_link_down"), Origin.HARDWARE.value),
    **dict.fromkeys(("oom_kill", "nccl_segfault"), Origin.APPLICATION.value),
}
_SLOWED = {bit for bit in THROTTLE_REASONS if bit & (THROTTLE_HARDWARE | THROTTLE_THERMAL)}
_SEVERITIES = {
    CheckSeverity.INFO: (9, "INFO"),
    CheckSeverity.UNKNOWN: (13, "WARN"),
    CheckSeverity.WARNING: (13, "WARN"),
    CheckSeverity.CRITICAL: (17, "ERROR"),
}


class LogRecord(NamedTuple):
    """One log record with the resource it is about; times in Unix nanoseconds."""

    resource: tuple[tuple[str, str], ...]
    time_unix_ns: int
    severity_number: int
    severity_text: str
    body: str
    event_name: str
    attributes: Mapping[str, Any]


def host_resource(health: HostHealth) -> dict[str, str]:
    """Give the resource attributes of the host."""
    return {"service.name": NODE_SERVICE, "host.name": health.host}


def gpu_resource(health: HostHealth, gpu: Gpu) -> dict[str, str]:
    """Give the resource attributes of a GPU on its host."""
    told = {
        "hw.type": "gpu",
        "hw.id": gpu.id,
        "hw.name": gpu.name or "",
        "hw.vendor": "NVIDIA",
        "hw.driver_version": health.snapshot.driver or "",
        "pci.address": gpu.pci or "",
    }
    return {**host_resource(health), **{key: value for key, value in told.items() if value}}


def log_records(health: HostHealth, known: Iterable[str] = (), *, anew: bool = False) -> list[LogRecord]:
    """Give a record for each new event, and one for each check in trouble but those `known`, keys of `trouble_keys`.

    An event has its own time, a check that of the look. A trouble that an event tells already is not told twice. anew:
    nobody was told before, so what goes on from events of earlier looks is told too.
    """
    gpus = {gpu.gpu.id: gpu.gpu for gpu in health.gpus}
    by_address = _by_address(health)
    records = [_event_record(health, event, by_address.get(event.device)) for event in health.events]
    told = {record.attributes.get(TROUBLE) for record in records}
    passed_over = set(known)
    for check in health.all_checks:
        if check.status not in {CheckStatus.WARN, CheckStatus.FAIL} or _key(check) in passed_over:
            continue
        if check.id in {"gpu.xid", "gpu.switch", "infiniband.drop"} or check.source == "kernel log":
            lasts = check.id in _EVENT_CHECKS.values() and check.attributes.get("origin") != Origin.APPLICATION
            gpu = by_address.get(check.device)
            if not (anew and lasts) or trouble_name(check.id, gpu.id if gpu else check.device) in told:
                continue
            records.append(_check_record(health, check, gpu))
        else:
            records.append(_check_record(health, check, gpus.get(check.device)))
    return records


def heartbeat(health: HostHealth) -> LogRecord:
    """Give the record that says how the node fares now; sent at every look, it lets a centre learn what is usual.

    The body is always the same, and how it fares stands in the attributes: a changed body would be a new template.
    """
    body = "Heartbeat of the node's health"
    more = {
        "watchkeeper.health": health.state.value,
        "watchkeeper.gpus": len(health.gpus),
        "watchkeeper.checks.troubled": len(trouble_keys(health)),
        TROUBLES: _going_on(health),
    }
    resource = tuple(host_resource(health).items())
    return LogRecord(resource, health.time_unix_ns, 9, "INFO", body, HEARTBEAT, more)


def trouble_keys(health: HostHealth) -> set[str]:
    """Name the troubles of a look, so that the next one can leave out those that go on."""
    return {_key(check) for check in health.all_checks if check.status in {CheckStatus.WARN, CheckStatus.FAIL}}


def _going_on(health: HostHealth) -> list[str]:
    """Name the troubles that go on, each device by the name that its records carry."""
    by_address = _by_address(health)
    troubled = [check for check in health.all_checks if check.status in {CheckStatus.WARN, CheckStatus.FAIL}]
    return sorted({trouble_name(check.id, _device(check.device, by_address)) for check in troubled})


def _device(device: str, by_address: Mapping[str, Gpu]) -> str:
    return by_address[device].id if device in by_address else device


def _key(check: Check) -> str:
    return f"{check.id}|{check.device}|{check.status.value}"


def _by_address(health: HostHealth) -> dict[str, Gpu]:
    from watchkeeper.host.kernel_events import pci_key

    gpus = [*health.earlier, *(each.gpu for each in health.gpus)]
    rows = {pci_key(gpu.pci or ""): gpu for gpu in gpus if gpu.pci}
    return {**rows, **{gpu.id: gpu for gpu in gpus}}


def _event_record(health: HostHealth, event: KernelEvent, gpu: Gpu | None) -> LogRecord:
    number, text = _SEVERITIES[event.severity]
    more: dict[str, Any] = {EVENT_KIND: event.kind, "watchkeeper.event.id": event.id}
    origin = str(event.attributes.get("origin", _EVENT_ORIGINS.get(event.kind, "")))
    if origin:
        more[EVENT_ORIGIN] = origin
    if event.kind in _EVENT_CHECKS and origin != Origin.APPLICATION:
        more[TROUBLE] = trouble_name(_EVENT_CHECKS[event.kind], gpu.id if gpu else event.device)
    body = f"{event.title}: {event.text}"
    if event.kind == "xid":
        entry = xid_entry(event.code)
        more |= {
            "nvidia.xid": event.code,
            "nvidia.xid.name": entry.name,
            "nvidia.xid.origin": entry.origin.value,
            "nvidia.xid.action": entry.action,
            "nvidia.xid.source": entry.source,
            ADVICE: ACTIONS[entry.action],
        }
        if "pid" in event.attributes:
            more["process.pid"] = event.attributes["pid"]
        if "process" in event.attributes:
            more["process.executable.name"] = event.attributes["process"]
        body = f"GPU error XID {event.code} {entry.name}: {entry.meaning} [{event.text}]"
    elif event.kind == "sxid":
        more["nvidia.sxid"] = event.code
    if event.device and gpu is None:
        more["pci.address"] = event.device
    resource = gpu_resource(health, gpu) if gpu else host_resource(health)
    name = "nvidia.xid" if event.kind == "xid" else f"host.{event.kind}"
    return LogRecord(tuple(resource.items()), event.time_unix_ns or health.time_unix_ns, number, text, body, name, more)


def _check_record(health: HostHealth, check: Check, gpu: Gpu | None) -> LogRecord:
    number, text = _SEVERITIES[check.severity]
    more: dict[str, Any] = {
        CHECK_ID: check.id,
        TROUBLE: trouble_name(check.id, gpu.id if gpu else check.device),
        "watchkeeper.check.status": check.status.value,
        "watchkeeper.check.observed": check.observed,
        "watchkeeper.check.threshold": check.threshold,
        "watchkeeper.check.source": check.source,
        **({EVENT_ORIGIN: Origin.HARDWARE.value} if gpu else {}),
        **({ADVICE: check.actions[0]} if check.actions else {}),
        **check.attributes,
    }
    resource = gpu_resource(health, gpu) if gpu else host_resource(health)
    what = f"GPU {check.title.lower()}" if gpu else check.title
    if check.id in _EVENT_CHECKS.values():
        # It goes on from an event, whose finding it is to join.
        more |= {EVENT_KIND: check.attributes["kind"], EVENT_ORIGIN: check.attributes["origin"]}
        more |= {"nvidia.xid": check.attributes["code"]} if check.attributes["kind"] == "xid" else {}
        more |= {"pci.address": check.device} if check.device and gpu is None else {}
        what = f"GPU error {check.title}" if check.id == "gpu.xid" else check.title
    body = f"{what}: {check.reason} ({check.observed})"
    return LogRecord(tuple(resource.items()), health.time_unix_ns, number, text, body, check.id, more)


def encode_logs(records: Iterable[LogRecord], *, observed_unix_ns: int) -> bytes:
    """Encode records as an ExportLogsServiceRequest; neighbours of one resource share it."""
    request = ExportLogsServiceRequest()
    scope: Any = None
    last: object = None
    for record in records:
        if scope is None or record.resource != last:
            holder = request.resource_logs.add()
            _attributes(holder.resource.attributes, dict(record.resource))
            scope, last = holder.scope_logs.add(), record.resource
            scope.scope.name, scope.scope.version = SCOPE, __version__
        row = scope.log_records.add()
        row.time_unix_nano, row.observed_time_unix_nano = record.time_unix_ns, observed_unix_ns
        row.severity_number, row.severity_text = record.severity_number, record.severity_text
        row.body.string_value, row.event_name = record.body, record.event_name
        _attributes(row.attributes, record.attributes)
    data: bytes = request.SerializeToString()
    return data


class Point(NamedTuple):
    """One value of one metric; `monotonic` makes it a cumulative sum, else it is a gauge."""

    name: str
    unit: str
    value: float
    monotonic: bool = False
    attributes: Mapping[str, Any] = {}


def gpu_points(health: GpuHealth) -> Iterator[Point]:
    """Give the values of one GPU under the names of the conventions (hw.gpu.*, hw.*); those not read are left out."""
    gpu = health.gpu
    rows: list[tuple[str, str, float | None, bool, dict[str, Any]]] = [
        ("hw.gpu.utilization", "1", _share(gpu.utilization_percent), False, {"hw.gpu.task": "general"}),
        ("hw.gpu.utilization", "1", _share(gpu.encoder_utilization_percent), False, {"hw.gpu.task": "encoder"}),
        ("hw.gpu.utilization", "1", _share(gpu.decoder_utilization_percent), False, {"hw.gpu.task": "decoder"}),
        ("hw.gpu.memory.usage", "By", gpu.memory_used_bytes, False, {}),
        ("hw.gpu.memory.limit", "By", gpu.memory_total_bytes, False, {}),
        ("hw.temperature", "Cel", gpu.temperature_c, False, {"hw.sensor_location": "gpu"}),
        ("hw.temperature", "Cel", gpu.memory_temperature_c, False, {"hw.sensor_location": "memory"}),
        ("hw.gpu.temperature.margin", "Cel", gpu.margin_c, False, {}),
        ("hw.power", "W", gpu.power_w, False, {}),
        ("hw.energy", "J", None if gpu.energy_mj is None else gpu.energy_mj / 1000, True, {}),
        ("hw.gpu.clock", "MHz", gpu.clock_sm_mhz, False, {"domain": "sm"}),
        ("hw.gpu.clock", "MHz", gpu.clock_memory_mhz, False, {"domain": "memory"}),
        ("hw.gpu.violation.time", "ns", gpu.power_violation_ns, True, {"reason": "power"}),
        ("hw.gpu.violation.time", "ns", gpu.thermal_violation_ns, True, {"reason": "thermal"}),
        ("hw.errors", "{error}", gpu.ecc_corrected_volatile, True, {"error.type": "corrected"}),
        ("hw.errors", "{error}", gpu.ecc_uncorrected_volatile, True, {"error.type": "uncorrected"}),
        ("hw.errors", "{error}", gpu.pcie_replays, True, {"error.type": "pcie_replay"}),
        ("hw.errors", "{error}", gpu.links_total("replay"), True, {"error.type": "nvlink_replay"}),
        ("hw.errors", "{error}", gpu.links_total("crc_flit"), True, {"error.type": "nvlink_crc"}),
        ("hw.gpu.rows.remapped", "{row}", gpu.rows_remapped_corrected, True, {"error.type": "corrected"}),
        ("hw.gpu.rows.remapped", "{row}", gpu.rows_remapped_uncorrected, True, {"error.type": "uncorrected"}),
    ]
    for name, unit, value, monotonic, attributes in rows:
        if value is not None:
            yield Point(name, unit, float(value), monotonic, attributes)
    for bit, reason in THROTTLE_REASONS.items():
        if gpu.throttle_reasons is not None and bit in _SLOWED:
            yield Point("hw.gpu.throttled", "1", float(bool(gpu.throttle_reasons & bit)), False, {"reason": reason})
    states = {"ok": HealthState.HEALTHY, "degraded": HealthState.WARNING, "failed": HealthState.CRITICAL}
    for state, ours in states.items():
        yield Point("hw.status", "1", float(health.state is ours), False, {"hw.state": state})


def _share(percent: float | None) -> float | None:
    return None if percent is None else percent / 100


def encode_metrics(health: HostHealth) -> bytes:
    """Encode the readings of every GPU as an ExportMetricsServiceRequest, one resource a GPU."""
    request = ExportMetricsServiceRequest()
    for each in health.gpus:
        holder = request.resource_metrics.add()
        _attributes(holder.resource.attributes, gpu_resource(health, each.gpu))
        scope = holder.scope_metrics.add()
        scope.scope.name, scope.scope.version = SCOPE, __version__
        rows: dict[str, Any] = {}
        for point in gpu_points(each):
            metric = rows.get(point.name)
            if metric is None:
                metric = rows[point.name] = scope.metrics.add()
                metric.name, metric.unit = point.name, point.unit
                if point.monotonic:
                    metric.sum.is_monotonic = True
                    metric.sum.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
            told = (metric.sum if point.monotonic else metric.gauge).data_points.add()
            told.time_unix_nano, told.as_double = health.time_unix_ns, point.value
            _attributes(told.attributes, point.attributes)
    data: bytes = request.SerializeToString()
    return data


def metric_points(health: HostHealth) -> int:
    """Count the points that `encode_metrics` writes."""
    return sum(1 for each in health.gpus for _ in gpu_points(each))


def _attributes(target: Any, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        pair = target.add()
        pair.key = key
        if isinstance(value, bool):
            pair.value.bool_value = value
        elif isinstance(value, int):
            pair.value.int_value = value
        elif isinstance(value, float):
            pair.value.double_value = value
        elif isinstance(value, list | tuple):
            pair.value.array_value.SetInParent()
            for each in value:
                pair.value.array_value.values.add().string_value = str(each)
        else:
            pair.value.string_value = str(value)
