"""Runs the real agent, and the real centre on ports that stay the same, as child processes."""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import httpx
from tests.e2e.product import PROTOBUF, Product, environment, log_request, wait_for

READY_WITHIN_S = 120.0
START_NS = time.time_ns()
_SHIFTED = """
import sys, time
shift = float(sys.argv.pop(1))
plain, plain_ns = time.time, time.time_ns
time.time = lambda: plain() + shift
time.time_ns = lambda: plain_ns() + int(shift * 1e9)
from watchkeeper.cli.main import main
main()
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Centre(Product):
    """A centre whose OTLP port stays the same when it is started again."""

    def __init__(self, home: Path, port: int, **settings: object) -> None:
        super().__init__(home, ready_within_s=READY_WITHIN_S, otlp_http_port=port, **settings)

    def count(self, table: str = "logs", where: str = "true") -> int:
        found: int = self.sql(f"SELECT count(*) FROM {table} WHERE {where}")[0][0]
        return found

    def wait_for(self, rows: int, where: str = "body LIKE 'line %'") -> None:
        wait_for(lambda: self.count(where=where) >= rows, within_s=60, what=f"{rows} rows at the centre")

    def ledger(self, protocol: str) -> dict[str, Any]:
        rows = [row for row in self.get("/api/v1/ledger")["items"] if row["protocol"].startswith(protocol)]
        return {row["signal"]: row for row in rows}


class Edge:
    """One `watchkeeper edge`; batches are sent early, so that tests need not wait for them.

    What a test leaves running is ended by the fixture of conftest.py.
    """

    running: ClassVar[list[subprocess.Popen[str]]] = []

    def __init__(
        self,
        home: Path,
        to: str,
        *more: object,
        clock_shift_s: float = 0.0,
        within: Sequence[str] = (),
        **settings: object,
    ) -> None:
        chosen: dict[str, object] = {
            "otlp_http_port": 0,
            "otlp_grpc_port": 0,
            "edge_metrics_port": 0,
            "edge_batch_age_s": 0.1,
            "edge_pause_s_max": 0.3,
            "edge_host_interval_s": 0,
            "edge_health_interval_s": 0,
            **settings,
        }
        program = ["-c", _SHIFTED, str(clock_shift_s)] if clock_shift_s else ["-m", "watchkeeper.cli.main"]
        self._command = [
            *within,
            sys.executable,
            *program,
            *("edge", "--to", to, "--home", str(home), "--json-ready", *map(str, more)),
            *(text for name, value in chosen.items() for text in ("--set", f"{name}={value}")),
        ]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
        )
        Edge.running.append(self.process)
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], READY_WITHIN_S)
        line = self.process.stdout.readline() if readable else ""
        if not line.strip():
            self.process.kill()
            raise AssertionError(f"the agent did not get ready: {self.process.communicate()[1]}")
        self.endpoints: dict[str, str] = json.loads(line)

    def send(self, first: int, count: int) -> int:
        """Send lines by their numbers in one request, the same bytes for the same numbers; gives the HTTP status."""
        body = log_request(
            [f"line {number} end" for number in range(first, first + count)], time_unix_ns=START_NS + first
        )
        answer = httpx.post(
            f"{self.endpoints['otlp_http']}/v1/logs", content=body.SerializeToString(), headers=PROTOBUF, timeout=60
        )
        return answer.status_code

    def metric(self, name: str, signal: str = "") -> float:
        """Read one value of /metrics."""
        wanted = f'{name}{{signal="{signal}"}}' if signal else name
        lines = httpx.get(self.endpoints["metrics"], timeout=60).text.splitlines()
        return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{wanted} "))

    def state(self) -> dict[str, Any]:
        told: dict[str, Any] = httpx.get(self.endpoints["metrics"].replace("/metrics", "/ready"), timeout=60).json()
        return told

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=60)

    def stop(self) -> int:
        self.process.terminate()
        self.process.communicate(timeout=60)
        return self.process.returncode
