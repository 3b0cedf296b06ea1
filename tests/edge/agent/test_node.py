"""A cut-off node with a broken GPU: it warns by itself, and its news arrive later, with the node's own times."""

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
STEPS, STEP_S = 60, 10
WARMUP_S = 10
XID = "NVRM: Xid (PCI:0000:3b:00): 119, pid=7, name=train, Timeout waiting for RPC from GSP0!"
NEWS = {"GSP_RPC_TIMEOUT", "GPU throttling", "GPU memory errors"}


def booted_s() -> int:
    rows = dict(line.split(" ", 1) for line in Path("/proc/stat").read_text().splitlines())
    return int(rows["btime"])


def findings_here(edge: Edge) -> str:
    lines = httpx.get(edge.endpoints["metrics"], timeout=60).text.splitlines()
    return "\n".join(line for line in lines if line.startswith("watchkeeper_edge_findings_total{"))


def tell(edge: Edge, times_unix_ns: list[int], *, slow: bool) -> None:
    """Tell of steps of a training job on the node: how long each took, and a few lines."""
    logs, metrics = ExportLogsServiceRequest(), ExportMetricsServiceRequest()
    lines, numbers = logs.resource_logs.add(), metrics.resource_metrics.add()
    for holder in (lines, numbers):
        holder.resource.attributes.add(key="service.name").value.string_value = "trainer"
    scope = lines.scope_logs.add()
    metric = numbers.scope_metrics.add().metrics.add(name="training.step.duration", unit="s")
    chance = random.Random(times_unix_ns[0])
    for at_unix_ns in times_unix_ns:
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


def kernel_says(recorded: Node, text: str) -> None:
    recorded.kernel(text, at_s=time.time() - booted_s())


@pytest.mark.slow
def test_a_cut_off_node_warns_and_its_news_arrive_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = Node(tmp_path / "root")
    recorded.gpus("0000:3b:00.0", "0000:5e:00.0")
    compiled(tmp_path, "libnvidia-ml.so.1")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    monkeypatch.setenv("FAKE_NVML", "healthy")
    port = free_port()
    warmups = {"detect_warmup_s": WARMUP_S, "metric_warmup_s": 120, "finding_close_s": 3600}
    binds = (("dev/kmsg", "/dev/kmsg"), ("sys/bus/pci/devices", "/sys/bus/pci/devices"))
    script = "\n".join(f"mount --bind '{recorded.root / own}' {there}" for own, there in binds)
    with own_mounts(script) as mounts:
        edge = Edge(
            *(tmp_path / "edge", f"http://127.0.0.1:{port}", "--detect"),
            within=mounts.within,
            edge_node_name="gpu-node-17",
            edge_health_interval_s=0.5,
            **warmups,
        )
        healthy_s = time.monotonic()
        now = time.time_ns()
        tell(edge, [now - (STEPS - step) * STEP_S * SECOND_NS for step in range(STEPS)], slow=False)
        wait_for(lambda: time.monotonic() - healthy_s > 2 * WARMUP_S, within_s=60, what="a while of good health")
        assert edge.stop() == 0, "what was learned is kept"
        monkeypatch.setenv("FAKE_NVML", "sick")
        kernel_says(recorded, XID)
        broken_unix_ns = time.time_ns()
        edge.start()
        slow = _SlowSteps(edge)
        wait_for(lambda: slow.tell() and findings_here(edge), within_s=120, what="a finding on the node itself")
        warned_unix_ns = time.time_ns()
        centre = Centre(tmp_path / "centre", port, **warmups)
        try:
            wait_for(lambda: slow.tell() and _news(centre) >= NEWS, within_s=180, what="the news of the GPU")
            agents_own = wait_for(lambda: _of_agent(centre), what="the finding of the agent")
        finally:
            centre.stop()
        assert edge.stop() == 0
    first = min(int(finding["first_unix_ns"]) for finding in agents_own)
    assert broken_unix_ns < first < warned_unix_ns, "it has the time of the node, not that of its arrival"


class _SlowSteps:
    """A job that goes on, slowly, as long as somebody waits."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._told_s = 0.0

    def tell(self) -> bool:
        if time.monotonic() - self._told_s > 1.0:
            self._told_s = time.monotonic()
            tell(self._edge, [time.time_ns() - SECOND_NS], slow=True)
        return True


def _news(centre: Centre) -> set[str]:
    """Give which of NEWS are at the centre, as log lines of this node."""
    rows = centre.sql("SELECT body FROM logs WHERE service = 'watchkeeper-node' AND entity LIKE '%node=gpu-node-17%'")
    return {news for news in NEWS for row in rows if news in row[0]}


def _of_agent(centre: Centre) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = centre.get("/api/v1/findings")["items"]
    return [each for each in found if each["entity"] == "service=trainer|node=gpu-node-17"]
