"""Incidents of the whole program: from findings to the end, across kills, and with a real Alertmanager."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.product import Product, wait_for, watchkeeper

ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
QUICK = {"incident_resolve_s": 1, "finding_close_s": 1}


@pytest.fixture
def product(tmp_path: Path) -> Iterator[Product]:
    running = Product(tmp_path / "home", **QUICK)
    yield running
    if running.process.poll() is None:
        running.stop()


def moment(ago_s: float = 0) -> str:
    return (datetime.now(UTC) - timedelta(seconds=ago_s)).isoformat()


def alert(name: str, service: str, *, began: str, resolved: bool = False) -> dict[str, Any]:
    return {
        "status": "resolved" if resolved else "firing",
        "labels": {"alertname": name, "service": service, "severity": "warning"},
        "annotations": {"summary": f"{service} is slow"},
        "startsAt": began,
        "endsAt": moment() if resolved else "0001-01-01T00:00:00Z",
    }


def send(product: Product, *alerts: dict[str, Any]) -> None:
    answer = httpx.post(
        f"{product.url}/api/v1/alerts/alertmanager", json={"version": "4", "alerts": list(alerts)}, timeout=30
    )
    assert answer.status_code == 200, answer.text


def incidents(product: Product, **filters: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = product.get("/api/v1/incidents", **filters)["items"]
    return items


def command(product: Product, *arguments: object) -> Any:
    ran = watchkeeper("--server", product.url, *arguments)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_from_a_finding_to_the_end_and_back(product: Product) -> None:
    began = moment(5)
    command(product, "incidents", "change", "add", "cart 2 deployed", "--service", "cart", "--by", "ci")
    send(product, alert("Slow", "cart", began=began))
    (opened,) = incidents(product, state="live")
    assert (opened["title"], opened["state"], opened["services"]) == ("cart is slow", "open", ["cart"])
    acted = json.loads(command(product, "incidents", "ack", opened["id"], "--by", "ann", "-m", "mine", "--json"))
    assert (acted["state"], acted["acknowledged_by"]) == ("acknowledged", "ann")
    send(product, alert("Slow", "cart", began=began, resolved=True))
    wait_for(lambda: incidents(product, state="resolved"), what="resolving by itself")
    send(product, alert("Slow", "cart", began=moment()))
    whole = product.get(f"/api/v1/incidents/{opened['id']}")
    assert (whole["state"], whole["reopened"], len(whole["findings"])) == ("open", 1, 2)
    kinds = [entry["kind"] for entry in whole["timeline"]]
    assert [kind for kind in kinds if kind in {"opened", "acknowledged", "resolved", "reopened"}] == [
        "opened",
        "acknowledged",
        "resolved",
        "reopened",
    ]
    assert "change" in kinds
    assert product.get("/api/v1/status")["incidents"]["open"] == 1
    shown = command(product, "incidents", "show", opened["id"])
    assert "cart 2 deployed" in shown
    assert "mine  (ann)" in shown
    assert opened["id"] in command(product, "incidents")
    assert "there would have been 1 incidents" in command(
        product, "incidents", "preview", "--set", "incident_hops_max=1"
    )
    explained = watchkeeper("--server", product.url, "explain", opened["id"])
    assert explained.returncode in {0, 1}
    assert "Traceback" not in explained.stderr


def test_a_silence_by_command_line(product: Product) -> None:
    made = json.loads(
        command(product, "incidents", "silence", "add", "--service", "cart", "--why", "known", "--for", "1h", "--json")
    )
    send(product, alert("Slow", "cart", began=moment(5)))
    (finding,) = product.get("/api/v1/findings")["items"]
    assert finding["attributes"]["silenced_by"] == made["id"]
    assert incidents(product) == []
    assert "known" in command(product, "incidents", "silence", "list")
    command(product, "incidents", "silence", "remove", made["id"])
    send(product, alert("Slow", "cart", began=moment(5)))
    assert len(incidents(product)) == 1


def test_errors_in_logs_become_an_incident_that_ends_by_itself(tmp_path: Path) -> None:
    product = Product(tmp_path / "home", detect_warmup_s=60, detect_window_s=5, **QUICK)
    try:
        start = 1_700_000_000_000_000_000
        for second in range(0, 240, 5):
            bodies = [f"GET /items/{number + second} took {number} ms" for number in range(50)]
            product.send_logs(bodies, time_unix_ns=start + second * 10**9)
            if 180 <= second < 190:
                refused = [f"card refused by bank {number}" for number in range(10)]
                product.send_logs(refused, severity_number=17, time_unix_ns=start + second * 10**9 + 1000)
        found = wait_for(lambda: incidents(product), what="an incident")
        assert [incident["services"] for incident in found] == [["cart"]]
        wait_for(lambda: incidents(product, state="resolved"), what="its end")
        assert len(incidents(product)) == 1
    finally:
        product.stop()


def test_kills_neither_lose_nor_double_incidents(product: Product) -> None:
    began = moment(60)
    sent = 0
    for _ in range(2):
        with ThreadPoolExecutor(4) as pool:
            alerts = [alert(f"Slow{number}", f"service-{number}", began=began) for number in range(sent, sent + 12)]
            waiting = [pool.submit(send, product, each) for each in alerts]
            waiting[5].result()
            product.kill()
            for each in waiting:
                each.exception()
        sent += 12
        product.start()
        kept = {item["id"] for item in product.get("/api/v1/findings", limit=1000)["items"]}
        found = [product.get(f"/api/v1/incidents/{item['id']}") for item in incidents(product, limit=1000)]
        joined = [identifier for incident in found for identifier in incident["finding_ids"]]
        assert sorted(joined) == sorted(kept), "every finding is in one incident, and in one only"
        for each in alerts:
            send(product, each)
        assert len(incidents(product, limit=1000)) == sent


class Alertmanager:
    """A real Alertmanager that sends everything to Watchkeeper's webhook."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._folder = folder
        self._port = port

    def start(self, webhook: str) -> None:
        config = self._folder / "alertmanager.yml"
        config.write_text(
            f"""
route: {{receiver: watchkeeper, group_by: ["..."], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}
receivers:
- name: watchkeeper
  webhook_configs: [{{url: "{webhook}", send_resolved: true}}]
"""
        )
        self._process = subprocess.Popen(
            [
                str(ALERTMANAGER),
                f"--config.file={config}",
                f"--storage.path={self._folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self._port}",
                "--cluster.listen-address=",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(self._answers, what="Alertmanager")

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def post(self, labels: dict[str, str], **said: str) -> None:
        alerts = [{"labels": labels, "annotations": {"summary": "disk is nearly full"}, **said}]
        httpx.post(f"{self.url}/api/v2/alerts", json=alerts, timeout=10).raise_for_status()

    def alerts(self, name: str) -> list[dict[str, Any]]:
        answer = httpx.get(f"{self.url}/api/v2/alerts", params={"filter": f'alertname="{name}"'}, timeout=10)
        alerts: list[dict[str, Any]] = answer.raise_for_status().json()
        return alerts

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(20)


@pytest.mark.skipif(ALERTMANAGER is None, reason="prometheus-alertmanager is not installed")
def test_a_real_alertmanager_on_both_sides(tmp_path: Path) -> None:
    manager = Alertmanager(tmp_path)
    file = tmp_path / "notify.toml"
    file.write_text(f'[[target]]\nname = "am"\ntype = "alertmanager"\nurl = "{manager.url}"\nrate_per_minute = 600\n')
    product = Product(tmp_path / "home", notify_file=file, public_url="http://wk.example", **QUICK)
    try:
        manager.start(f"{product.url}/api/v1/alerts/alertmanager")
        labels = {"alertname": "DiskFull", "severity": "critical", "instance": "10.1.1.1:9100", "job": "node"}
        began = moment(10)
        manager.post(labels, startsAt=began)
        (incident,) = wait_for(lambda: incidents(product, state="live"), what="an incident from the alert")
        assert (incident["severity"], incident["nodes"]) == ("critical", ["service:node", "host:10.1.1.1"])
        (told,) = wait_for(lambda: manager.alerts("WatchkeeperIncident"), what="the incident as an alert")
        assert told["labels"]["watchkeeper_incident"] == incident["id"]
        assert (told["labels"]["severity"], told["status"]["state"]) == ("critical", "active")
        assert told["annotations"]["summary"] == "node: disk is nearly full"
        assert told["generatorURL"] == f"http://wk.example/incidents/{incident['id']}"
        manager.post(labels, startsAt=began, endsAt=moment())
        wait_for(lambda: incidents(product, state="resolved"), within_s=40, what="the incident's end")
        wait_for(lambda: not manager.alerts("WatchkeeperIncident"), what="the end of the alert")
        assert len(incidents(product)) == 1, "its own alerts do not come round"
        assert {item["kind"] for item in product.get("/api/v1/findings")["items"]} == {"alert.DiskFull"}
        timeline = product.get(f"/api/v1/incidents/{incident['id']}")["timeline"]
        assert [entry["text"] for entry in timeline if entry["kind"] == "notified"] == [
            "am was told: opened",
            "am was told: resolved",
        ]
    finally:
        product.stop()
        manager.stop()
