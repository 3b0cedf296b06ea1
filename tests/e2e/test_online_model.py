"""The learned state of a running server: saved, carried on, rolled back in one step, while telemetry goes on coming."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from tests.e2e.product import PROTOBUF, Product, wait_for, watchkeeper

SECOND_NS = 10**9
STEP_S, NORMAL_S, SHIFTED_S = 5, 600, 600
QUICK = {"detect_warmup_s": 60, "detect_window_s": 5, "finding_close_s": 30, "model_online_every_s": 0}
USUAL = "order 4711 paid in 12 ms"
SHIFTED = "card reader lost its link to the bank"


@pytest.fixture
def product(tmp_path: Path) -> Iterator[Product]:
    running = Product(tmp_path / "home", ready_within_s=120.0, **QUICK)
    yield running
    if running.process.poll() is None:
        running.stop()


class Till:
    """Tells what a service logs, by event times of its own."""

    def __init__(self, product: Product) -> None:
        self._product = product
        self.now_ns = time.time_ns() - (NORMAL_S + SHIFTED_S + 900) * SECOND_NS
        self.sent = self.mined = 0

    def run(self, seconds: int, *, shifted: bool) -> None:
        request = ExportLogsServiceRequest()
        resource = request.resource_logs.add()
        resource.resource.attributes.append(KeyValue(key="service.name", value=AnyValue(string_value="till")))
        records = resource.scope_logs.add().log_records
        for step in range(seconds // STEP_S):
            at = self.now_ns + step * STEP_S * SECOND_NS
            told = [(USUAL, 9)] * 5 + [(SHIFTED, 17)] * (3 if shifted else 0)
            for body, severity in told:
                records.add(time_unix_nano=at, severity_number=severity, body=AnyValue(string_value=body))
        self.now_ns += seconds * SECOND_NS
        self.sent += len(records)
        answer = httpx.post(
            f"{self._product.endpoints['otlp_http']}/v1/logs",
            content=request.SerializeToString(),
            headers=PROTOBUF,
            timeout=60,
        )
        assert answer.status_code == 200

    def judged(self, *, others: int = 0) -> None:
        """Wait until every line sent is judged: it is counted as it is begun with, and `why` waits for its end."""
        mined = self.mined + self.sent + others
        wait_for(lambda: self._product.get("/api/v1/status")["pipeline"]["lines_mined"] >= mined, within_s=60)
        self.known()

    def known(self) -> list[dict[str, Any]]:
        """Give which services know the line of the shift."""
        asked = {"line": SHIFTED, "service": "till"}
        answer = httpx.post(f"{self._product.url}/api/v1/why", json=asked, timeout=60)
        known: list[dict[str, Any]] = answer.json()["online"]["services"]
        return known

    def findings(self, *, others: int = 0) -> list[dict[str, Any]]:
        self.judged(others=others)
        items: list[dict[str, Any]] = self._product.get("/api/v1/findings", limit=1000)["items"]
        return items

    def unseen(self) -> set[str]:
        return {
            each["id"] for each in self.findings() if each["template"] == SHIFTED and each["kind"].endswith("unseen")
        }


def models(product: Product, *arguments: str) -> str:
    ran = watchkeeper("--server", product.url, "models", *arguments)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_rolled_back_the_old_normal_judges_again_and_nothing_is_lost(product: Product) -> None:
    till = Till(product)
    till.run(NORMAL_S, shifted=False)
    assert till.findings() == []
    assert "version 1 of online is active" in models(product, "save", "online", "--why", "a normal day", "--by", "ada")
    till.run(SHIFTED_S, shifted=True)
    [first] = till.unseen()
    till.run(120, shifted=False)
    till.run(60, shifted=True)
    assert till.unseen() == {first}, "it has been absorbed: known, it is not told as never seen again"

    stop = threading.Event()
    others: list[int] = []

    def meanwhile() -> None:
        while not stop.is_set():
            others.append(product.send_logs(["heartbeat of the store"], service="store").status_code)

    thread = threading.Thread(target=meanwhile)
    thread.start()
    try:
        said = models(product, "rollback", "online", "--why", "the reader's fault was learned as normal", "--by", "ada")
    finally:
        stop.set()
        thread.join(30)
    assert "version 1 of online is active" in said
    assert set(others) == {200}
    till.judged(others=len(others))
    till.mined = len(others)
    assert product.sql("SELECT count(*) FROM logs WHERE service = 'store'") == [[len(others)]]
    assert product.sql("SELECT count(*) FROM logs WHERE service = 'till'") == [[till.sent]]
    assert {each["state"] for each in till.findings()} == {"closed"}

    before = {each["id"] for each in till.findings()}
    till.run(120, shifted=False)
    assert {each["id"] for each in till.findings() if each["service"] == "till"} <= before, "the old normal is normal"
    till.run(60, shifted=True)
    assert len(till.unseen()) == 2, "the old normal judges: what had been absorbed is told again"

    assert "version 2 of online is active" in models(product, "promote", "online", "2", "--by", "ada")
    known = till.unseen()
    till.run(120, shifted=True)
    assert till.unseen() == known, "what was learned meanwhile was kept as a version, and can be had again"


def test_what_runs_is_what_is_active_after_a_kill(product: Product) -> None:
    till = Till(product)
    till.run(120, shifted=False)
    till.judged()
    models(product, "save", "online")
    till.run(60, shifted=True)
    till.judged()
    assert len(till.known()) == 1
    models(product, "rollback", "online")
    product.kill()
    product.start()
    versions = product.get("/api/v1/models", name="online")["items"]
    assert [(each["number"], each["state"]) for each in versions] == [(2, "retired"), (1, "active")]
