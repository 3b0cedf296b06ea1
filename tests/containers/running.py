"""The harness under podman, for tests: brought up by its command line, asked through it and through its ports."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from watchkeeper.harness.engine import Engine
from watchkeeper.harness.harness import Harness, read_state
from watchkeeper.harness.reports import Reporter

CHECKOUT = Path(__file__).parents[2]
PROJECT = "watchkeeper-test"
READY_S = 900
ETH_P_ALL = 0x0003
SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC = 263, 1, 1
_SEND = """
import json, ssl, sys, time, urllib.request
text, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
trust = ssl.create_default_context(cafile="/certs/ca.pem")
trust.load_cert_chain("/certs/client.pem", "/certs/client.key")
now = time.time_ns()
lines = [
    {"timeUnixNano": str(now + number), "severityNumber": 9, "body": {"stringValue": f"{text} {number}"}}
    for number in range(first, first + count)
]
resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "sender"}}]}
body = json.dumps({"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": lines}]}]}).encode()
asked = urllib.request.Request(
    "https://localhost:4318/v1/logs", data=body, headers={"Content-Type": "application/json"}
)
urllib.request.urlopen(asked, timeout=30, context=trust).read()
"""


def wait_for(condition: Callable[[], Any], within_s: float, what: str) -> Any:
    """Wait for a condition and give what it gave; fails with `what` was waited for."""
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {within_s:g} s"
        time.sleep(0.25)
    return value


def podman(*arguments: str, check: bool = True, given: str | None = None, within_s: float = 120) -> str:
    environment = {**os.environ, "DISABLE_HC_SYSTEMD": "true"}
    done = subprocess.run(
        ["podman", *arguments], input=given, capture_output=True, text=True, timeout=within_s, check=False,
        env=environment,
    )  # fmt: skip
    assert not check or done.returncode == 0, f"podman {arguments[0]}: {done.stderr}"
    return done.stdout.strip()


def base_image() -> str:
    """Give a base image: the one that is named, one that is here, else one made by debootstrap."""
    if named := os.environ.get("WATCHKEEPER_BASE_IMAGE"):
        return named
    facts = dict(
        line.split("=", 1) for line in Path("/etc/os-release").read_text(encoding="utf-8").splitlines() if "=" in line
    )
    suite = facts.get("VERSION_CODENAME", "trixie").strip('"') if facts.get("ID") == "debian" else "trixie"
    image = f"localhost/watchkeeper-base:{suite}"
    if subprocess.run(["podman", "image", "exists", image], check=False).returncode:
        assert shutil.which("debootstrap"), "debootstrap is needed where no base image can be pulled"
        made = CHECKOUT / "deploy" / "containers" / "make-base"
        subprocess.run([made, image, suite], check=True, timeout=600)
    return image


def why_no_containers(image: str) -> str:
    """Tell why this machine cannot run any container at all, "" when it can."""
    done = subprocess.run(
        ["podman", "run", "--rm", "--network=none", *Engine("podman").limits(), image, "true"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return done.stderr.strip()[-500:] if done.returncode else ""


class Running:
    """One harness that is up; `told` is what `up --json` told."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.base = base_image()
        self.folder = home / "harness" / PROJECT
        self.told: dict[str, Any] = {}

    def command(self, *arguments: str, check: bool = True, within_s: float = 60) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "watchkeeper.cli.main", "harness", arguments[0], "--project", PROJECT,
             *arguments[1:]],
            capture_output=True, text=True, timeout=within_s, check=False,
            env={**os.environ, "WATCHKEEPER_HOME": str(self.home)},
        )  # fmt: skip
        assert not check or done.returncode == 0, f"harness {arguments}: {done.stdout}{done.stderr}"
        return done

    def up(self) -> dict[str, Any]:
        settings = ("detect_warmup_s=30", "metric_warmup_s=30", "detect_window_s=5", "logs_days_max=1")
        chosen = [option for each in settings for option in ("--set", each)]
        options = ("--json", "--any-ports", "--base-image", self.base, "--checkout", str(CHECKOUT), *chosen)
        done = self.command("up", *options, within_s=READY_S)
        self.told = json.loads(done.stdout)
        return self.told

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.command("status", "--json", check=False).stdout))

    def reporter(self) -> Reporter:
        state = read_state(self.folder)
        assert state is not None
        return Reporter(Harness(Engine("podman"), self.folder, state.plan))

    def edge(self, name: str) -> dict[str, int]:
        """Give an edge's own counts of records by event, of all signals together; `centre_up` is 1 or 0."""
        total: Counter[str] = Counter()
        for (event, _), count in self.reporter().sent(name).items():
            total[event] += count
        return total

    def healthy(self, node: str) -> bool:
        state = read_state(self.folder)
        assert state is not None
        return Harness(Engine("podman"), self.folder, state.plan).health(node)[0]

    def container(self, node: str) -> str:
        return f"{PROJECT}-{node}"

    def trust(self, client: str = "") -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.told["authority"])
        if client:
            certificates = self.folder / "certs"
            context.load_cert_chain(certificates / f"{client}.pem", certificates / f"{client}.key")
        return context

    def api(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.told['token']}"}
        return httpx.Client(base_url=self.told["page"], headers=headers, verify=self.trust(), timeout=30)

    def sql(self, statement: str) -> list[Any]:
        with self.api() as api:
            return list(api.post("/api/v1/sql", json={"query": statement}).raise_for_status().json()["rows"])

    def send(self, node: str, text: str, first: int, count: int) -> None:
        """Send log lines from within an edge, through its agent; returns once the agent has made them durable."""
        arguments = ("exec", "--interactive", self.container(node), "python3", "-", text, str(first), str(count))
        podman(*arguments, given=_SEND)


class Capture:
    """What goes over the bridge of a podman network, as bytes of frames."""

    def __init__(self, network: str) -> None:
        facts = json.loads(podman("network", "inspect", network))[0]
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self._socket.bind((facts["network_interface"], 0))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
        # A bridge hands up what goes from one of its ports to another only while it is promiscuous.
        index = socket.if_nametoindex(facts["network_interface"])
        request = struct.pack("iHH8s", index, PACKET_MR_PROMISC, 0, b"")
        self._socket.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, request)
        self._socket.settimeout(0.2)
        self.frames: list[bytes] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Capture:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self.frames.append(self._socket.recv(65_536))
            except TimeoutError:
                continue

    def between(self, addresses: set[str]) -> list[bytes]:
        """Give the IPv4 packets from one of the addresses to another."""
        packed = {socket.inet_aton(address) for address in addresses}
        return [
            frame for frame in self.frames
            if frame[12:14] == b"\x08\x00" and frame[26:30] in packed and frame[30:34] in packed
        ]  # fmt: skip
