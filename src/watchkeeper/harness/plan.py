"""What is to run: nodes, names, ports, limits, and which part of the shop is on which edge.

Enters: what a user wishes. Leaves: a Plan, and the engine's arguments for each container. Starts nothing; compose.yaml
and the Quadlet units in deploy/ say the same for those who prefer them, and a test compares the three.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from watchkeeper.errors import HarnessError

LABEL = "org.watchkeeper.harness"
PLAN_LABEL = "org.watchkeeper.plan"
CENTRE = "centre"
EDGES = 3
IMAGES = {"edge": "localhost/watchkeeper-edge", "centre": "localhost/watchkeeper-centre"}
PORTS = {"page": 3000, "otlp_grpc": 4317, "otlp_http": 4318, "prometheus": 9090}
EDGE_PORT = 8889
SHOP_PORT = 7100
SHOP_SERVICES = ("frontend", "catalogue", "cart", "checkout", "payment", "recommendation")
"""In the order in which the shop gives them ports."""
SHOP_PARTS = (("frontend",), ("catalogue", "cart", "recommendation"), ("checkout", "payment"))


@dataclass(frozen=True)
class Plan:
    """One harness. `ports` maps page, otlp_grpc, otlp_http, prometheus and each edge to ports of the host."""

    project: str = "watchkeeper"
    edges: tuple[str, ...] = tuple(f"edge-{number + 1}" for number in range(EDGES))
    ports: Mapping[str, int] = field(default_factory=lambda: usual_ports(EDGES))
    publish: str = "127.0.0.1"
    rate: float = 8.0
    detect: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    data: str = ""
    edge_memory: str = "640m"
    centre_memory: str = "3g"

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of all nodes, the centre first, as they know each other."""
        return (CENTRE, *self.edges)

    def container(self, node: str) -> str:
        """Give the name of a node's container; raises HarnessError for a node that is not there."""
        if node not in self.nodes:
            raise HarnessError(f"there is no {node!r} in this harness; there are {', '.join(self.nodes)}")
        return f"{self.project}-{node}"

    def volume(self, node: str) -> str:
        """Give the name of the volume of a node's state."""
        return f"{self.container(node)}-state"

    def certificates(self, node: str) -> str:
        """Give the name of the volume of a node's certificates."""
        return f"{self.container(node)}-certs"

    def published(self, node: str) -> dict[int, int]:
        """Give the ports of a node that the host publishes: port of the host -> port of the container."""
        if node == CENTRE:
            return {self.ports[name]: port for name, port in PORTS.items()}
        return {self.ports[node]: EDGE_PORT}

    def part(self, edge: str) -> tuple[str, ...]:
        """Give the services of the shop that run on an edge; few edges have more of them each, a fourth has none."""
        parts: list[tuple[str, ...]] = [() for _ in self.edges]
        for index, services in enumerate(SHOP_PARTS):
            parts[min(index, len(parts) - 1)] += services
        return parts[self.edges.index(edge)]

    def environment(self, node: str) -> dict[str, str]:
        """Give the variables of a node's container; what is the same for all nodes of a kind is in its image."""
        if node == CENTRE:
            chosen = {f"WATCHKEEPER_{name.upper()}": value for name, value in self.settings.items()}
            data = {"WATCHKEEPER_DATA": "/data"} if self.data else {}
            return {"EDGES": ",".join(self.edges), **data, **chosen}
        here = self.part(node)
        peers = [
            f"{service}=https://{edge}:{SHOP_PORT + SHOP_SERVICES.index(service)}"
            for edge in self.edges
            if edge != node
            for service in self.part(edge)
        ]
        options = {"AGENT_OPTIONS": "--detect"} if self.detect else {}
        if not here:
            return options
        return {
            "SHOP_SERVICES": ",".join(here),
            "SHOP_PEERS": ",".join(peers),
            "SHOP_RATE": f"{self.rate:g}",
            **options,
        }

    def run_arguments(self, node: str) -> list[str]:
        """Give the arguments of `run` for a node's container, image last."""
        arguments = ["--name", self.container(node), "--hostname", node, "--network", self.project]
        arguments += ["--network-alias", node, "--label", f"{LABEL}={self.project}"]
        arguments += ["--memory", self.centre_memory if node == CENTRE else self.edge_memory]
        arguments += ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
        arguments += ["--tmpfs", "/tmp:rw,exec,mode=1777"]
        arguments += ["--volume", f"{self.volume(node)}:/var/lib/watchkeeper"]
        arguments += ["--volume", f"{self.certificates(node)}:/certs:ro"]
        if node == CENTRE and self.data:
            arguments += ["--volume", f"{self.data}:/data:ro"]
        for host_port, port in self.published(node).items():
            arguments += ["--publish", f"{self.publish}:{host_port}:{port}"]
        for name, value in self.environment(node).items():
            arguments += ["--env", f"{name}={value}"]
        return [*arguments, IMAGES["centre" if node == CENTRE else "edge"]]

    def digest(self, node: str, image: str) -> str:
        """Give what tells a container that is as planned from one that is not; `image` stands for its image."""
        return hashlib.sha256(json.dumps([image, *self.run_arguments(node)]).encode()).hexdigest()[:16]

    def as_dict(self) -> dict[str, Any]:
        """Give it as data for JSON."""
        return {**asdict(self), "ports": dict(self.ports), "settings": dict(self.settings)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Plan:
        """Make it of such data."""
        return cls(**{**data, "edges": tuple(data["edges"])})


def usual_ports(edges: int) -> dict[str, int]:
    """Give the ports that users expect: 3000, 4317, 4318, 9090, and 8889 and on for the edges."""
    return {**PORTS, **{f"edge-{number + 1}": EDGE_PORT + number for number in range(edges)}}
