"""What leaves a look: DCGM's metric names, OTLP, the exporter, the support archive."""

from __future__ import annotations

import http.client
import tarfile
import threading

import orjson
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from prometheus_client.parser import text_string_to_metric_families
from tests.host.conftest import NOW_NS, answer_of, healthy_gpu

from watchkeeper.errors import SettingError
from watchkeeper.host import otlp
from watchkeeper.host.bundle import redactor, write_bundle
from watchkeeper.host.dcgm import METRICS, exposition
from watchkeeper.host.exporter import Shared, exporter, serve
from watchkeeper.host.survey import HostHealth
from watchkeeper.host.visit import Outlook
from watchkeeper.signals.entity import entity_from_resource

UUID = "GPU-00000001-2222-3333-4444-555555555555"


def look(node, settings) -> HostHealth:
    with Outlook(settings, node.root, machine=node.machine) as outlook:
        return outlook.look()


@pytest.fixture
def sick(gpu_node, settings) -> HostHealth:
    gpu_node.nvml(answer_of(healthy_gpu(0), healthy_gpu(1, throttle_reasons=0x40, margin_c=2)))
    gpu_node.kernel("NVRM: Xid (PCI:0000:3c:00): 119, pid=7, name=train, Timeout waiting for RPC from GSP0!")
    return look(gpu_node, settings)


def test_metrics_have_the_names_and_labels_of_the_dcgm_exporter(sick):
    families = {family.name: family for family in text_string_to_metric_families(exposition(sick))}
    assert families["DCGM_FI_DEV_GPU_TEMP"].samples[1].value == 41
    sample = families["DCGM_FI_DEV_XID_ERRORS"].samples[1]
    assert sample.value == 119
    assert sample.labels == {
        "gpu": "1", "UUID": UUID, "pci_bus_id": "00000000:3c:00.0", "device": "nvidia1",
        "modelName": "NVIDIA H100 80GB HBM3", "Hostname": "gpu-node-17", "DCGM_FI_DRIVER_VERSION": "550.54.15",
    }  # fmt: skip
    states = {
        each.labels["state"]: each.value
        for each in families["watchkeeper_gpu_health"].samples
        if each.labels["gpu"] == "1"
    }
    assert states == {"healthy": 0, "warning": 0, "critical": 1, "unknown": 0}


def test_an_xid_that_nobody_could_tell_is_unknown_and_not_zero(gpu_node, settings):
    (gpu_node.root / "dev/kmsg").unlink()
    gpu_node.nvml(answer_of(healthy_gpu(0), healthy_gpu(1, events_watched=True)))
    health = look(gpu_node, settings)
    found = [
        (check.status.value, check.reason) for each in health.gpus for check in each.checks if check.id == "gpu.xid"
    ]
    assert found == [
        ("skipped", "neither the kernel's log nor the driver's events can be read: unknown, not zero"),
        ("ok", ""),
    ]
    lines = [line for line in exposition(health).splitlines() if line.startswith("DCGM_FI_DEV_XID_ERRORS{")]
    assert [line.rpartition(" ")[2] for line in lines] == ["0"]
    assert 'gpu="1"' in lines[0]


def test_what_was_not_read_is_left_out_and_not_zero(sick):
    text = exposition(sick)
    assert "DCGM_FI_DEV_MEMORY_TEMP" not in text
    assert "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION" not in text
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def logs_of(health: HostHealth, known=()) -> list:
    request = ExportLogsServiceRequest()
    request.ParseFromString(otlp.encode_logs(otlp.log_records(health, known), observed_unix_ns=NOW_NS))
    return [
        ({pair.key: pair.value.string_value for pair in holder.resource.attributes}, record)
        for holder in request.resource_logs
        for scope in holder.scope_logs
        for record in scope.log_records
    ]


def attribute(record, name: str):
    (value,) = (pair.value for pair in record.attributes if pair.key == name)
    return getattr(value, value.WhichOneof("value"))


def test_a_xid_is_a_log_record_of_its_gpu_with_the_catalogues_words(sick):
    ((resource, record),) = [pair for pair in logs_of(sick) if pair[1].event_name == "nvidia.xid"]
    assert attribute(record, "nvidia.xid") == 119
    assert attribute(record, "nvidia.xid.action") == "reset_gpu"
    assert attribute(record, "process.pid") == 7
    assert (record.severity_number, record.time_unix_nano) == (17, (1_800_000_000 + 100) * 10**9)
    assert "GSP_RPC_TIMEOUT" in record.body.string_value
    entity = entity_from_resource(resource)
    assert (entity.gpu, entity.node) == (UUID, "gpu-node-17")


def test_throttling_is_told_once_while_it_goes_on(sick, gpu_node, settings):
    names = [record.event_name for _, record in logs_of(sick)]
    assert names.count("gpu.throttle") == 1
    assert names.count("gpu.temperature") == 1
    again = look(gpu_node, settings)
    assert logs_of(again, otlp.trouble_keys(sick)) == []


def test_the_heartbeat_is_of_the_host_and_says_the_state(sick):
    beat = otlp.heartbeat(sick)
    assert (beat.attributes["watchkeeper.health"], beat.attributes["watchkeeper.checks.troubled"]) == ("critical", 3)
    assert beat.body == "Heartbeat of the node's health"
    assert entity_from_resource(dict(beat.resource)).key == "service=watchkeeper-node|node=gpu-node-17"


def test_readings_are_metrics_of_the_gpu(sick):
    request = ExportMetricsServiceRequest()
    request.ParseFromString(otlp.encode_metrics(sick))
    assert len(request.resource_metrics) == 2
    metrics = {metric.name: metric for metric in request.resource_metrics[1].scope_metrics[0].metrics}
    assert metrics["hw.temperature"].gauge.data_points[0].as_double == 41
    assert metrics["hw.gpu.memory.usage"].unit == "By"
    throttled = metrics["hw.gpu.throttled"].gauge.data_points
    slowed = {point.attributes[0].value.string_value: point.as_double for point in throttled}
    others = {"hardware slowdown": 0, "software thermal slowdown": 0, "hardware power brake": 0}
    assert slowed == {**others, "hardware thermal slowdown": 1}
    assert metrics["hw.errors"].sum.is_monotonic
    assert "hw.energy" not in metrics
    points = sum(
        len(metric.sum.data_points) + len(metric.gauge.data_points)
        for holder in request.resource_metrics
        for metric in holder.scope_metrics[0].metrics
    )
    assert points == otlp.metric_points(sick)


def test_the_exporter_shares_a_look_within_the_interval(sick):
    looks, now_s = [], [0.0]

    def count() -> HostHealth:
        looks.append(1)
        return sick

    shared = Shared(count, 10.0, monotonic=lambda: now_s[0])
    with exporter(shared, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            host, port = server.server_address[:2]

            def get(path: str) -> tuple[int, str, bytes]:
                connection = http.client.HTTPConnection(str(host), int(port), timeout=10)
                connection.request("GET", path)
                answer = connection.getresponse()
                told = (answer.status, answer.headers["Content-Type"], answer.read())
                connection.close()
                return told

            first, second = get("/metrics"), get("/metrics")
            assert first == second
            assert (first[0], len(looks)) == (200, 1)
            assert b"DCGM_FI_DEV_XID_ERRORS" in first[2]
            now_s[0] = 11.0
            assert get("/health")[0::2] == (503, b'{"health":"critical"}')
            assert (get("/other")[0], len(looks)) == (404, 2)
        finally:
            server.shutdown()
            thread.join()


def test_the_exporter_serves_on_ipv6_and_asks_no_name_server_for_its_own_name(sick, monkeypatch):
    monkeypatch.setattr("socket.getfqdn", lambda *_: pytest.fail("a name server that does not answer is waited for"))
    try:
        server = exporter(Shared(lambda: sick, 10.0), "::1", 0)
    except SettingError as error:
        pytest.skip(f"this machine has no IPv6: {error}")
    with server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        connection = http.client.HTTPConnection("::1", server.server_port, timeout=10)
        connection.request("GET", "/health")
        assert connection.getresponse().read() == b'{"health":"critical"}'
        connection.close()
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("address", "says"),
    [("nowhere", "write it as"), ("127.0.0.1:99999", "write it as"), ("0.0.0.0:9400", "open to everyone")],
)
def test_the_exporter_refuses_wrong_and_open_addresses(address, says):
    with pytest.raises(SettingError, match=says):
        serve(lambda: pytest.fail("nothing may be read"), address, interval_s=1.0)


def test_the_archive_for_support_holds_no_names(gpu_node, settings, tmp_path):
    gpu_node.kernel(
        "Out of memory: Killed process 7 (train) by gpu-node-17 10.1.2.3 /home/ann/job ann@example.org",
        "NVRM: Xid (PCI:0000:3c:00): 119, GPU-00000001-2222-3333-4444-555555555555",
    )
    file = tmp_path / "support.tar.gz"
    with Outlook(settings, gpu_node.root, machine=gpu_node.machine) as outlook:
        outlook.look()
        outlook.history.mark("acknowledge", by="ann o'hara", note="seen")
        report, health = outlook.report()
        names = write_bundle(file, report, health, outlook.history, salt=b"salt")
    with tarfile.open(file) as archive:
        texts = {name: archive.extractfile(f"watchkeeper-support/{name}").read().decode() for name in names}
    assert set(texts) == {"about.json", "report.json", "gpu.json", "events.jsonl", "marks.jsonl"}
    for text in texts.values():
        for secret in ("gpu-node-17", "10.1.2.3", "/home/ann", "ann@example.org", "GPU-00000001-2222", "o'hara"):
            assert secret not in text
    who = orjson.loads(texts["marks.jsonl"])["by"]
    assert who.startswith("<user-")
    assert f"acknowledged by {who}" in texts["report.json"]
    assert f'"acknowledged_by": "{who}"' in texts["gpu.json"]
    assert "0000:3c:00" in texts["events.jsonl"]
    assert orjson.loads(texts["report.json"])["schema_version"] == 1
    mark = redactor("", b"salt")("GPU-00000001-2222-3333-4444-555555555555")
    assert mark in texts["events.jsonl"]
    assert mark in texts["gpu.json"]


@pytest.mark.parametrize(
    "text",
    ["token=abcdef", "password: hunter2", "fe80::1ff:fe23:4567:890a", "00:1a:2b:3c:4d:5e", "Authorization: Bearer abc"],
)
def test_secrets_and_addresses_are_redacted(text):
    hidden = redactor("", b"salt")(text)
    assert hidden != text
    assert "<" in hidden
    for word in ("abcdef", "hunter2", "4567", "4d:5e", "abc"):
        assert word not in hidden


def test_the_same_name_has_the_same_mark_in_one_archive_only():
    one, other = redactor("n1", b"a"), redactor("n1", b"b")
    assert one("n1 and n1").split(" and ")[0] == one("x n1")[2:]
    assert one("n1") != other("n1")
    assert one("n17") == "n17"
