"""Runs the real program as a child process, for tests that look at it from outside."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

PROTOBUF = {"content-type": "application/x-protobuf"}
FREE_PORTS = {"http_port": 0, "otlp_http_port": 0, "otlp_grpc_port": 0}


class Product:
    """One `watchkeeper up`; `endpoints` is filled once it is ready."""

    def __init__(self, home: Path, *, ready_within_s: float = 30.0, **settings: object) -> None:
        self.home = home
        self._settings = {"home": home, **FREE_PORTS, **settings}
        self._ready_within_s = ready_within_s
        self.endpoints: dict[str, str] = {}
        self.start()

    def start(self) -> None:
        started = time.monotonic()
        self.process = subprocess.Popen(
            command(self._settings), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
        )
        self.endpoints = json.loads(self._first_line())
        self.ready_after_s = time.monotonic() - started

    def _first_line(self) -> str:
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], self._ready_within_s)
        line = self.process.stdout.readline() if readable else ""
        if not line.strip():
            self.process.kill()
            raise AssertionError(f"watchkeeper did not get ready: {self.process.communicate()[1]}")
        return line

    @property
    def url(self) -> str:
        return self.endpoints["http"]

    def get(self, path: str, **parameters: Any) -> Any:
        answer = httpx.get(f"{self.url}{path}", params=parameters, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def sql(self, query: str) -> list[list[Any]]:
        answer = httpx.post(f"{self.url}/api/v1/sql", json={"query": query}, timeout=60)
        assert answer.status_code == 200, answer.text
        rows: list[list[Any]] = answer.json()["rows"]
        return rows

    def send_logs(
        self, bodies: list[str], *, service: str = "cart", severity_number: int = 9, time_unix_ns: int = 0
    ) -> httpx.Response:
        request = log_request(bodies, service=service, severity_number=severity_number, time_unix_ns=time_unix_ns)
        return httpx.post(
            f"{self.endpoints['otlp_http']}/v1/logs", content=request.SerializeToString(), headers=PROTOBUF, timeout=30
        )

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self._reap()

    def kill(self) -> None:
        self.process.kill()
        self._reap()

    def _reap(self) -> int:
        try:
            self.process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        return self.process.returncode


def command(settings: dict[str, object]) -> list[str]:
    chosen = [text for name, value in settings.items() for text in ("--set", f"{name}={value}")]
    return [sys.executable, "-m", "watchkeeper.cli.main", "up", "--json-ready", *chosen]


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("WATCHKEEPER_")}


def log_request(
    bodies: list[str], *, service: str = "cart", severity_number: int = 9, time_unix_ns: int = 0
) -> ExportLogsServiceRequest:
    at = time_unix_ns or time.time_ns()
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    resource.resource.attributes.append(KeyValue(key="service.name", value=AnyValue(string_value=service)))
    resource.scope_logs.add().log_records.extend(
        LogRecord(time_unix_nano=at + number, severity_number=severity_number, body=AnyValue(string_value=body))  # type: ignore[arg-type]
        for number, body in enumerate(bodies)
    )
    return request


def wait_for(condition: Callable[[], Any], *, within_s: float = 20.0, what: str = "the condition") -> Any:
    """Poll until the condition gives something true; fails after the deadline."""
    deadline = time.monotonic() + within_s
    pause = select.poll()
    while time.monotonic() < deadline:
        got = condition()
        if got:
            return got
        pause.poll(50)
    raise AssertionError(f"{what} did not come true within {within_s:g} s")


def watchkeeper(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run one command of the real command line."""
    return subprocess.run(
        [sys.executable, "-m", "watchkeeper.cli.main", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
        check=False,
    )
