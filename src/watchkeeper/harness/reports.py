"""What a harness tells of itself: health and memory of each container, what each edge sent and the centre received.

Enters: a Harness that runs. Leaves: a Report. The edges' own counts are asked for inside their containers, for an edge
that is cut off is to be told of as well; the centre's ledger comes from its API. Changes nothing.
"""

from __future__ import annotations

import re
import ssl
from typing import Any, NamedTuple

import httpx

from watchkeeper.errors import HarnessError
from watchkeeper.harness.harness import Harness
from watchkeeper.harness.plan import CENTRE

ANSWER_S = 10.0
_SAMPLE = re.compile(r'^watchkeeper_edge_(\w+?)_records_total\{signal="(\w+)"\} (\S+)$', re.MULTILINE)


class Node(NamedTuple):
    """One container. Of an edge: records received from its programs, forwarded, dropped, waiting; whether it is cut."""

    name: str
    healthy: bool
    said: str
    memory: str
    reached: bool | None = None
    received: int = 0
    forwarded: int = 0
    dropped: int = 0
    stored: int = 0
    deduplicated: int = 0
    refused: int = 0

    @property
    def waiting(self) -> int:
        """Records that the edge has and the centre has not taken."""
        return max(0, self.received - self.forwarded)


class Report(NamedTuple):
    """All of it: nodes, the targets of Prometheus (instance -> health), open incidents, and what could not be asked."""

    nodes: tuple[Node, ...]
    targets: dict[str, str]
    incidents: tuple[str, ...]
    problems: tuple[str, ...]


class Reporter:
    """Asks one harness."""

    def __init__(self, harness: Harness) -> None:
        self._harness = harness
        self._plan = harness.plan

    def client(self) -> httpx.Client:
        """Give a client of the centre's API; raises HarnessError where there is no authority or token yet."""
        if not self._harness.authority.exists() or not self._harness.token:
            raise HarnessError("this harness is not up; `watchkeeper harness up` starts it")
        trust = ssl.create_default_context(cafile=str(self._harness.authority))
        headers = {"Authorization": f"Bearer {self._harness.token}"}
        return httpx.Client(base_url=self.page, headers=headers, verify=trust, timeout=ANSWER_S, trust_env=False)

    @property
    def page(self) -> str:
        """The address of the page."""
        return f"https://{self._host}:{self._plan.ports['page']}"

    @property
    def prometheus(self) -> str:
        """The address of Prometheus."""
        return f"http://{self._host}:{self._plan.ports['prometheus']}"

    @property
    def _host(self) -> str:
        return "127.0.0.1" if self._plan.publish in {"0.0.0.0", "::"} else self._plan.publish

    def report(self) -> Report:
        """Ask everything once; what does not answer is a problem told, not an error."""
        problems: list[str] = []
        ledger: list[dict[str, Any]] = []
        incidents: list[dict[str, Any]] = []
        targets: dict[str, str] = {}
        try:
            with self.client() as client:
                ledger = client.get("/api/v1/ledger").raise_for_status().json()["items"]
                incidents = client.get("/api/v1/incidents", params={"limit": 20}).raise_for_status().json()["items"]
            targets = self.targets()
        except (httpx.HTTPError, HarnessError) as error:
            problems.append(f"the centre: {error}")
        memory = self._harness.engine.memory([self._plan.container(node) for node in self._plan.nodes])
        found = self._harness.containers()
        nodes = tuple(
            self._node(node, self._harness.health(node, found), memory, ledger, problems) for node in self._plan.nodes
        )
        told = tuple(
            f"{each['id']}  {each['title']}" for each in incidents if each["state"] not in {"resolved", "closed"}
        )
        return Report(nodes, targets, told, tuple(problems))

    def targets(self) -> dict[str, str]:
        """Give what Prometheus scrapes and whether it answers: instance -> up, down or unknown."""
        answer = httpx.get(f"{self.prometheus}/api/v1/targets", timeout=ANSWER_S, trust_env=False).raise_for_status()
        return {each["labels"]["instance"]: each["health"] for each in answer.json()["data"]["activeTargets"]}

    def sent(self, edge: str) -> dict[tuple[str, str], int]:
        """Give an edge's own counts: (event, signal) -> records; raises HarnessError."""
        ask = ("python3", "/opt/harness/ask.py", "https://localhost:8889/metrics")
        text = self._harness.engine.run("exec", self._plan.container(edge), *ask).output
        return {(event, signal): int(float(value)) for event, signal, value in _SAMPLE.findall(text)} | {
            ("centre_up", ""): int("\nwatchkeeper_edge_centre_up 1" in text)
        }

    def _node(
        self,
        node: str,
        health: tuple[bool, str],
        memory: dict[str, str],
        ledger: list[dict[str, Any]],
        problems: list[str],
    ) -> Node:
        healthy, said = health
        used = memory.get(self._plan.container(node), "-")
        if node == CENTRE:
            stored = sum(row["accepted"] for row in ledger)
            return Node(node, healthy, said, used, stored=stored)
        rows = [row for row in ledger if row["sender"] == node and not row["protocol"].startswith("agent/")]
        counts: dict[tuple[str, str], int] = {}
        try:
            counts = self.sent(node)
        except HarnessError as error:
            problems.append(f"{node}: {error}")

        def total(event: str) -> int:
            return sum(value for (name, _), value in counts.items() if name == event)

        return Node(
            node,
            healthy,
            said,
            used,
            reached=bool(total("centre_up")) if counts else None,
            received=total("received"),
            forwarded=total("forwarded"),
            dropped=total("dropped"),
            **{key: sum(row[name] for row in rows) for key, name in _LEDGER.items()},
        )


_LEDGER = {"stored": "accepted", "deduplicated": "deduplicated", "refused": "refused"}
