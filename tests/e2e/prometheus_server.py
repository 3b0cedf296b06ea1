"""A real Prometheus on loopback, and a target for it to scrape whose metrics a test sets."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx

from tests.collector import serving
from tests.e2e.product import wait_for

PROGRAM = shutil.which("prometheus")


def version() -> tuple[int, int]:
    """Give the version of the Prometheus that is installed, (0, 0) for none."""
    if PROGRAM is None:
        return 0, 0
    said = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"version (\d+)\.(\d+)", said.stdout + said.stderr)
    assert found, said
    return int(found[1]), int(found[2])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


class Prometheus:
    """Started with `start`; keeps its port and data over restarts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.write_url = f"{self.url}/api/v1/write"

    def start(self, config: str) -> None:
        file = self._folder / "prometheus.yml"
        file.write_text(config)
        self._log = (self._folder / "prometheus.log").open("ab")
        self._process = subprocess.Popen(
            [
                str(PROGRAM),
                f"--config.file={file}",
                f"--storage.tsdb.path={self._folder / 'prometheus'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
                "--web.enable-remote-write-receiver",
            ],
            stdout=self._log,
            stderr=self._log,
        )
        wait_for(self._answers, within_s=60, what="Prometheus")

    def _answers(self) -> bool:
        assert self._process.poll() is None, (self._folder / "prometheus.log").read_text()
        try:
            return httpx.get(f"{self.url}/-/ready", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def query(self, promql: str) -> list[dict[str, Any]]:
        """Ask PromQL; gives the result as the API of Prometheus has it."""
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": promql}, timeout=20).raise_for_status()
        result: list[dict[str, Any]] = answer.json()["data"]["result"]
        return result

    def samples(self, series: str) -> dict[int, float]:
        """Give what it has of one series in the last hour: Unix milliseconds and values."""
        found = self.query(f"{series}[1h]")
        assert len(found) <= 1
        return {round(float(at) * 1000): float(value) for each in found for at, value in each["values"]}

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)
        self._log.close()


class Target:
    """What is scraped: the text of its metrics, and how often it was asked for."""

    def __init__(self) -> None:
        self.text = ""
        self.scrapes = 0
        self.address = ""


@contextmanager
def scraped() -> Iterator[Target]:
    """Serve /metrics for a while; every scrape adds one to the counter `scrapes_total`."""
    target = Target()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            target.scrapes += 1
            counter = f"# TYPE scrapes counter\nscrapes_total {target.scrapes}\n"
            body = (target.text + counter + "# EOF\n").encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/openmetrics-text; version=1.0.0; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *unused: object) -> None:
            pass

    with serving(Handler) as url:
        target.address = url.removeprefix("http://")
        yield target
