"""A cut-off node with a broken GPU: it warns by itself, and its news become one incident later, the GPU its cause."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from tests.e2e.product import PROTOBUF, wait_for
from tests.edge.agent.processes import Centre, Edge, free_port
from tests.host.conftest import Node, compiled
from tests.own_mounts import own_mounts

SECOND_NS = 10**9
QUIET_STEPS, SLOW_STEPS, STEP_S = 60, 18, 10
XID = "NVRM: Xid (PCI:0000:3b:00): 119, pid=7, name=train, Timeout waiting for RPC from GSP0!"
READ_ONLY = "EXT4-fs (nvme0n1p1): Remounting filesystem read-only"
KILLED = "Out of memory: Killed process 4711 (train) total-vm:1kB, anon-rss:1kB"
NODE = "gpu-node-17"
BROKEN_GPU = "gpu:GPU-00000000-2222-3333-4444-555555555555"
NEWS = (
    *("GSP_RPC_TIMEOUT", "GPU throttling", "GPU memory errors"),
    *("File system gone read-only", "Process killed for want of memory", "training.step.duration"),
)


def booted_s() -> int:
    rows = dict(line.split(" ", 1) for line in Path("/proc/stat").read_text().splitlines())
    return int(rows["btime"])


def findings_here(edge: Edge) -> str:
    lines = httpx.get(edge.endpoints["metrics"], timeout=60).text.splitlines()
    return "\n".join(line for line in lines if line.startswith("watchkeeper_edge_findings_total{"))


def tell(edge: Edge, times_unix_ns: list[int], *, slow_from_unix_ns: int) -> None:
    """Tell of steps of a training job on the node: how long each took, and a few lines."""
    logs, metrics = ExportLogsServiceRequest(), ExportMetricsServiceRequest()
    lines, numbers = logs.resource_logs.add(), metrics.resource_metrics.add()
    for holder in (lines, numbers):
        holder.resource.attributes.add(key="service.name").value.string_value = "trainer"
    scope = lines.scope_logs.add()
    metric = numbers.scope_metrics.add().metrics.add(name="training.step.duration", unit="s")
    chance = random.Random(times_unix_ns[0])
    for at_unix_ns in times_unix_ns:
        slow = at_unix_ns >= slow_from_unix_ns
        texts = [(9, f"step {number} loss {chance.random():.3f} done") for number in range(5)]
        if slow:
            texts.append((13, f"step is slow: waited {chance.uniform(20, 30):.1f} s for rank 1"))
        for severity, text in texts:
            scope.log_records.add(time_unix_nano=at_unix_ns, severity_number=severity).body.string_value = text
        took_s = chance.gauss(2, 0.05) * (3 if slow else 1)
        metric.gauge.data_points.add(time_unix_nano=at_unix_ns, as_double=took_s)
    for signal, request in (("logs", logs), ("metrics", metrics)):
        url = f"{edge.endpoints['otlp_http']}/v1/{signal}"
        answer = httpx.post(url, content=request.SerializeToString(), headers=PROTOBUF, timeout=60)
        assert answer.status_code == 200


@pytest.mark.slow
def test_a_cut_off_node_warns_and_its_gpu_and_the_job_become_one_incident(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = Node(tmp_path / "root")
    recorded.gpus("0000:3b:00.0", "0000:5e:00.0")
    compiled(tmp_path, "libnvidia-ml.so.1")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    monkeypatch.setenv("FAKE_NVML", "sick")
    port = free_port()
    warmups = {"detect_warmup_s": 60, "metric_warmup_s": 120, "finding_close_s": 3600}
    binds = (("dev/kmsg", "/dev/kmsg"), ("sys/bus/pci/devices", "/sys/bus/pci/devices"))
    script = "\n".join(f"mount --bind '{recorded.root / own}' {there}" for own, there in binds)
    broken_s = time.time() - SLOW_STEPS * STEP_S
    recorded.kernel(XID, READ_ONLY, KILLED, at_s=broken_s - booted_s())
    broken_unix_ns = int(broken_s) * SECOND_NS
    with own_mounts(script) as mounts:
        edge = Edge(
            *(tmp_path / "edge", f"http://127.0.0.1:{port}", "--detect"),
            within=mounts.within,
            edge_node_name=NODE,
            edge_health_interval_s=0.5,
            **warmups,
        )
        times = [broken_unix_ns + step * STEP_S * SECOND_NS for step in range(-QUIET_STEPS, SLOW_STEPS)]
        tell(edge, times, slow_from_unix_ns=broken_unix_ns)
        wait_for(lambda: 'kind="node.reported"' in findings_here(edge), within_s=60, what="the GPU's warning here")
        wait_for(lambda: 'kind="log.' in findings_here(edge), within_s=60, what="the job's warning here")
        warned_unix_ns = time.time_ns()
        centre = Centre(tmp_path / "centre", port, **warmups)
        try:
            whole = wait_for(lambda: _incident(centre), within_s=120, what="one incident of the GPU and the job")
            agents_own = wait_for(lambda: _of_agent(centre), what="the finding of the agent")
        finally:
            centre.stop()
        assert edge.stop() == 0
    assert {f"host:{NODE}", "service:trainer", BROKEN_GPU} <= set(whole["nodes"])
    titles = " ".join(finding["title"] for finding in whole["findings"])
    assert all(news in titles for news in NEWS)
    assert "hardware gpu" in whole["diagnosis"]["report_markdown"]
    (xid,) = [finding for finding in whole["findings"] if finding["attributes"].get("xid") == 119]
    assert xid["severity"] == "critical"
    assert abs(int(xid["first_unix_ns"]) - broken_unix_ns) < 5 * SECOND_NS, "it has the kernel's time"
    first = min(int(finding["first_unix_ns"]) for finding in agents_own)
    assert broken_unix_ns <= first < warned_unix_ns, "it has the time of the node, not that of its arrival"


def _incident(centre: Centre) -> dict[str, Any] | None:
    """Give the one incident that is live, once the GPU is told as its cause."""
    live = centre.get("/api/v1/incidents", state="live")["items"]
    ours = [set(each["services"]) == {"trainer", "watchkeeper-node"} for each in live]
    if (
        ours != [True]
        or live[0]["category"] != "hardware_gpu"
        or (live[0].get("cause") or {}).get("node") != BROKEN_GPU
    ):
        return None
    whole: dict[str, Any] = centre.get(f"/api/v1/incidents/{live[0]['id']}")
    titles = " ".join(finding["title"] for finding in whole["findings"])
    return whole if all(news in titles for news in NEWS) else None


def _of_agent(centre: Centre) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = centre.get("/api/v1/findings")["items"]
    return [each for each in found if each["entity"] == f"service=trainer|node={NODE}"]
