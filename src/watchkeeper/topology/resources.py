"""What the attributes of a resource say of the topology: the service, where it runs, and what that is part of.

Enters: resource attributes by their semantic-convention names. Leaves: nodes and edges, each from what depends to what
it depends on: service on pod, pod on host, process on host, job on GPU. Does not guess what is not said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from watchkeeper.signals.entity import Entity, entity_from_resource
from watchkeeper.signals.topology import Edge, EdgeKind, Node, NodeKind

KNOWN_FROM = ("attributes",)
_KEPT = (
    "service.version",
    "deployment.environment.name",
    "deployment.environment",
    "telemetry.sdk.language",
    "os.type",
)
_JOBS = ("k8s.job.name", "slurm.job.id", "slurm.job.name", "job.id", "job.name", "ray.job.id")
_HOST = ("cloud.region", "cloud.availability_zone", "host.type", "host.arch")


class Told(NamedTuple):
    """What one resource tells. service: its node's name, "" when it has none."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    service: str


def told_by(attributes: Mapping[str, Any]) -> Told:
    """Read nodes and edges from resource attributes.

    >>> said = told_by({"service.name": "cart", "k8s.pod.name": "cart-7f", "k8s.node.name": "n1"})
    >>> [f"{edge.source} > {edge.target}" for edge in said.edges]
    ['service:cart > pod:cart-7f', 'service:cart > host:n1', 'pod:cart-7f > host:n1']
    """
    entity = entity_from_resource(attributes)
    nodes: dict[str, Node] = {}
    edges: dict[tuple[str, str], Edge] = {}

    def add(kind: NodeKind, name: str, kept: tuple[str, ...] = ()) -> str:
        if not name:
            return ""
        told = {key: str(attributes[key]) for key in kept if attributes.get(key) not in (None, "")}
        node = Node(kind, name, told)
        nodes.setdefault(node.id, node)
        return node.id

    def relate(source: str, target: str, kind: EdgeKind) -> None:
        if source and target and source != target:
            edges.setdefault((source, target), Edge(source, target, kind, 0, KNOWN_FROM))

    service = add(NodeKind.SERVICE, _service(attributes, entity), _KEPT)
    host = add(NodeKind.HOST, entity.node, _HOST)
    pod = add(NodeKind.POD, entity.pod)
    workload = add(NodeKind.WORKLOAD, entity.workload)
    process = "" if pod else add(NodeKind.PROCESS, _process(attributes, entity))
    job = add(NodeKind.JOB, next((str(attributes[name]) for name in _JOBS if attributes.get(name)), ""))
    gpu = add(NodeKind.GPU, entity.gpu)
    relate(service, pod or process, EdgeKind.RUNS_ON)
    relate(service, host, EdgeKind.RUNS_ON)
    relate(pod or process, host, EdgeKind.RUNS_ON)
    relate(pod, workload, EdgeKind.PART_OF)
    relate(job or service or pod, gpu, EdgeKind.RUNS_ON)
    relate(gpu, host, EdgeKind.PART_OF)
    relate(job, host, EdgeKind.RUNS_ON)
    return Told(tuple(nodes.values()), tuple(edges.values()), _service(attributes, entity))


def _service(attributes: Mapping[str, Any], entity: Entity) -> str:
    """Give the service's name, "" when only a pod or host stands in for it."""
    named = attributes.get("service.name") not in (None, "", "unknown_service")
    return entity.service if named or entity.workload else ""


def _process(attributes: Mapping[str, Any], entity: Entity) -> str:
    name = attributes.get("process.executable.name") or attributes.get("process.command")
    return f"{entity.node}/{name}" if name and entity.node else ""
