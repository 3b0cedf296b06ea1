"""The separate client of examples/ passes against a real server with real trainings, over HTTP and NATS."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.product import Product, wait_for, watchkeeper

pytest.importorskip("nats", reason="needs the extra nats (nats-py)")
from tests.infer.nats_server import PROGRAM, NatsServer

CLIENT = Path(__file__).parents[2] / "examples" / "training_gateway_client.py"
LINES = 200
DEADLINE_S = 540

MISSING = [name for name in ("torch", "onnx", "onnxruntime") if importlib.util.find_spec(name) is None]


def test_the_client_knows_nothing_of_watchkeeper():
    text = CLIENT.read_text(encoding="utf-8")
    assert "import watchkeeper" not in text
    assert "from watchkeeper" not in text


def run(product: Product, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(CLIENT), "--http", product.url, "--otlp", product.endpoints["otlp_http"], *more]
    return subprocess.run(
        [*command, "--lines", str(LINES), "--timeout", str(DEADLINE_S / 2)],
        capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(DEADLINE_S + 60)
@pytest.mark.skipif(bool(MISSING), reason="needs the extra learning")
@pytest.mark.skipif(PROGRAM is None, reason="needs nats-server (Debian: apt-get install nats-server)")
def test_the_separate_client_passes_over_http_and_nats(tmp_path):
    folder = tmp_path / "nats"
    folder.mkdir()
    server = NatsServer(folder)
    product = Product(tmp_path / "home", ready_within_s=90, nats_url=server.url)
    try:
        status = product.get("/api/v1/status")
        assert status["training_gateway"]["nats"]["state"] == "connecting", "it starts without NATS and says so"
        server.start()
        wait_for(lambda: product.get("/api/v1/status")["training_gateway"]["nats"]["state"] == "connected")
        ran = run(product, "--nats", server.url)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert "FAILED" not in ran.stdout
        assert "JetStream  ok" in ran.stdout
    finally:
        product.kill()
        server.kill()


def test_the_command_line_chooses_what_is_watched(tmp_path):
    product = Product(tmp_path / "home", ready_within_s=90)
    at = ("--server", product.url)
    try:
        for service in ("cart-a", "cart-b", "pay"):
            assert product.send_logs(["ready", "steady"], service=service).status_code == 200
        wait_for(lambda: product.get("/api/v1/workloads")["total"] == 3)
        known = watchkeeper(*at, "watch", "list", "--known", "--match", "cart-*")
        assert [line.split() for line in known.stdout.splitlines()[1:]] == [
            ["local", "default", "cart-a", "2"],
            ["local", "default", "cart-b", "2"],
        ]
        added = watchkeeper(*at, "watch", "add", "cart-*", "pay", "--json")
        assert [each["deployment"] for each in json.loads(added.stdout)["added"]] == ["cart-a", "cart-b", "pay"]
        removed = watchkeeper(*at, "watch", "remove", "*-b")
        assert "1 removed:\n  local/default/cart-b" in removed.stdout
        listed = watchkeeper(*at, "watch", "list")
        assert "watchlist default: no model trained" in listed.stdout
        assert "not submitted yet" in listed.stdout
        assert "cart-b" not in listed.stdout
        nothing = watchkeeper(*at, "watch", "add", "nowhere/*")
        assert nothing.returncode == 1
        assert "no workload that sent logs" in nothing.stderr
        assert watchkeeper(*at, "watch", "add", "x", "--watchlist", "Night").returncode == 1
    finally:
        product.kill()


def test_a_server_that_is_away_is_told(tmp_path):
    command = [sys.executable, str(CLIENT), "--http", "http://127.0.0.1:9", "--otlp", "http://127.0.0.1:9"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 2
    assert "no answer" in ran.stderr
