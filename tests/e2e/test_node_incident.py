"""An XID and throttling on a node, and the slow-down of the job on it, reach the centre as one incident of the GPU."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from tests.e2e.product import PROTOBUF, Product, wait_for
from tests.host.conftest import Node, answer_of, healthy_gpu
from watchkeeper.edge.node_health import NodeHealthSender
from watchkeeper.edge.sender import Target
from watchkeeper.host.visit import Outlook
from watchkeeper.settings import Settings

SECOND_NS = 10**9
STEP_S = 10
QUIET_STEPS, BROKEN_STEPS = 60, 18
SICK_GPU = "gpu:GPU-00000001-2222-3333-4444-555555555555"
HOST = {"service.name": "trainer", "host.name": "gpu-node-17"}


class Job:
    """A training job on the node: log lines and the duration of its steps."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._chance = random.Random(3)

    def tell(self, step: int, at_unix_ns: int, *, slow: bool) -> None:
        logs, metrics = ExportLogsServiceRequest(), ExportMetricsServiceRequest()
        lines, numbers = logs.resource_logs.add(), metrics.resource_metrics.add()
        for holder in (lines, numbers):
            for key, value in HOST.items():
                holder.resource.attributes.add(key=key).value.string_value = value
        scope = lines.scope_logs.add()
        texts = [(9, f"step {step * 5 + number} loss {self._chance.random():.3f} done") for number in range(5)]
        if slow:
            texts.append((13, f"step {step * 5} is slow: waited {self._chance.uniform(20, 30):.1f} s for rank 1"))
        for number, (severity, text) in enumerate(texts):
            scope.log_records.add(
                time_unix_nano=at_unix_ns + number * SECOND_NS, severity_number=severity
            ).body.string_value = text
        metric = numbers.scope_metrics.add().metrics.add(name="training.step.duration", unit="s")
        duration_s = (2 + self._chance.gauss(0, 0.05)) * (3 if slow else 1)
        metric.gauge.data_points.add(time_unix_nano=at_unix_ns, as_double=duration_s)
        for signal, request in (("logs", logs), ("metrics", metrics)):
            content = request.SerializeToString()
            answer = httpx.post(f"{self._endpoint}/v1/{signal}", content=content, headers=PROTOBUF, timeout=30)
            assert answer.status_code == 200

    def gpu(self, index: int, *, sick: bool) -> dict[str, Any]:
        if sick:
            return healthy_gpu(index, throttle_reasons=0x48, margin_c=2, temperature_c=88, clock_sm_mhz=600)
        return healthy_gpu(
            index, temperature_c=70 + self._chance.randint(-2, 2), margin_c=20 + self._chance.randint(-2, 2)
        )


@pytest.mark.slow
def test_a_gpu_fault_and_the_job_it_slows_are_one_incident_with_its_cause(tmp_path: Path) -> None:
    product = Product(tmp_path / "home", detect_warmup_s=60, metric_warmup_s=120, finding_close_s=3600)
    start_unix_ns = time.time_ns() - (QUIET_STEPS + BROKEN_STEPS) * STEP_S * SECOND_NS
    boot_s = start_unix_ns // SECOND_NS - 1000
    root = tmp_path / "root"
    root.mkdir()
    node = Node(root)
    node.gpus("0000:3b:00.0", "0000:3c:00.0")
    node.file("/proc/stat", f"btime {boot_s}\n")
    job = Job(product.endpoints["otlp_http"])
    sender = NodeHealthSender(Target(product.endpoints["otlp_http"]))
    settings = Settings(chosen={"home": str(tmp_path / "node")}, environment={})
    try:
        with Outlook(settings, root, machine=node.machine) as outlook:
            for step in range(QUIET_STEPS + BROKEN_STEPS):
                sick = step >= QUIET_STEPS
                at_unix_ns = node.now_unix_ns = start_unix_ns + step * STEP_S * SECOND_NS
                node.nvml(answer_of(job.gpu(0, sick=False), job.gpu(1, sick=sick)))
                if step == QUIET_STEPS:
                    line = "NVRM: Xid (PCI:0000:3c:00): 119, pid=7, name=train, Timeout waiting for RPC from GSP0!"
                    node.kernel(line, at_s=at_unix_ns / SECOND_NS - boot_s)
                sender.send(outlook.look())
                job.tell(step, at_unix_ns, slow=sick)
        sender.close()

        def told() -> bool:
            live = product.get("/api/v1/incidents", state="live")["items"]
            ours = [set(each["services"]) == {"trainer", "watchkeeper-node"} for each in live]
            if ours != [True] or live[0]["category"] != "hardware_gpu" or not live[0].get("cause"):
                return False
            return live[0]["cause"]["node"] == SICK_GPU

        wait_for(told, what="one incident of the GPU")
        (incident,) = product.get("/api/v1/incidents", state="live")["items"]
        whole = product.get(f"/api/v1/incidents/{incident['id']}")
    finally:
        product.stop()
    assert {"host:gpu-node-17", SICK_GPU} <= set(whole["nodes"])
    titles = " ".join(finding["title"] for finding in whole["findings"])
    assert "GSP_RPC_TIMEOUT" in titles
    assert "training.step.duration" in titles
    assert "hardware gpu" in whole["diagnosis"]["report_markdown"]
