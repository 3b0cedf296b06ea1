"""The workload that telemetry comes from: cluster, namespace and deployment, as the training gateway counts them.

Enters: resource attributes by their semantic-convention names, or text that a person typed. Leaves: a Workload, which
is what watchlists hold, or a WorkloadPattern, which names many by wildcards. Unlike an Entity a Workload has no gaps:
what nobody said has a stated name. Reads no store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from watchkeeper.errors import QueryError

NAME_CHARACTERS_MAX = 253
"""Of a part of a workload; the longest name of an object of Kubernetes. What is longer is cut."""
CLUSTER_UNSAID = "local"
NAMESPACE_UNSAID = "default"
DEPLOYMENT_UNSAID = "unknown"

_CLUSTER = ("k8s.cluster.name", "k8s.cluster.uid", "deployment.environment.name", "deployment.environment")
_NAMESPACE = ("k8s.namespace.name", "service.namespace")
_DEPLOYMENT = (
    "k8s.deployment.name",
    "k8s.statefulset.name",
    "k8s.daemonset.name",
    # Before the job: a CronJob's jobs have a new name each time.
    "k8s.cronjob.name",
    "k8s.job.name",
    "service.name",
)


class Workload(NamedTuple):
    """One source of logs; no part is empty. Orders by cluster, then namespace, then deployment."""

    cluster_id: str
    namespace: str
    deployment: str

    @property
    def text(self) -> str:
        """Give `cluster/namespace/deployment`; a slash in the first two is written %2F, a % there %25.

        >>> Workload("local", "shop", "team/cart").text
        'local/shop/team/cart'
        """
        return f"{_escape(self.cluster_id)}/{_escape(self.namespace)}/{self.deployment}"

    def as_dict(self) -> dict[str, str]:
        """Give plain data, as the gateway's operations carry it."""
        return {"cluster_id": self.cluster_id, "namespace": self.namespace, "deployment": self.deployment}


class WorkloadPattern(NamedTuple):
    """Workloads by wildcards in each part: `*` any text, `?` one character, `[abc]` one of these."""

    cluster_id: str = "*"
    namespace: str = "*"
    deployment: str = "*"

    @property
    def is_exact(self) -> bool:
        """Tell whether no part has a wildcard."""
        return not any(character in part for part in self for character in "*?[")

    def matches(self, workload: Workload) -> bool:
        """Tell whether a workload is meant; upper and lower case differ."""
        return all(fnmatchcase(part, pattern) for part, pattern in zip(workload, self, strict=True))

    def of(self, workloads: Iterable[Workload]) -> list[Workload]:
        """Give those that are meant, in order, each once."""
        return sorted({each for each in workloads if self.matches(each)})


def workload_of(resource: Mapping[str, Any]) -> Workload:
    """Read the Workload from resource attributes. Cost: a few look-ups; do it once a distinct resource.

    The cluster is `k8s.cluster.name` or `.uid`, else the deployment environment, else "local"; the namespace
    `k8s.namespace.name`, else `service.namespace`, else "default"; the deployment the Kubernetes workload of whatever
    kind, else `service.name`, else "unknown". Values that are not text are written as text.

    >>> workload_of({"service.name": "cart", "service.namespace": "shop"})
    Workload(cluster_id='local', namespace='shop', deployment='cart')
    """
    return Workload(
        _said(resource, _CLUSTER) or CLUSTER_UNSAID,
        _said(resource, _NAMESPACE) or NAMESPACE_UNSAID,
        _said(resource, _DEPLOYMENT) or DEPLOYMENT_UNSAID,
    )


def workloads_in(items: Iterable[Mapping[str, Any]]) -> frozenset[Workload]:
    """Read workloads back from plain data; raises KeyError for one that lacks a part."""
    return frozenset(Workload(*(str(each[part]) for part in Workload._fields)) for each in items)


def read_pattern(text: str) -> WorkloadPattern:
    """Read what a person typed: `deployment`, `namespace/deployment` or `cluster/namespace/deployment`.

    Parts that are left out, or empty, mean any. Raises QueryError for text that names nothing at all.

    >>> read_pattern("shop/cart-*")
    WorkloadPattern(cluster_id='*', namespace='shop', deployment='cart-*')
    """
    parts = text.strip().split("/", 2)
    if not any(parts):
        raise QueryError(f"{text!r} names no workload; write cluster/namespace/deployment, with * for any")
    parts = ["*"] * (3 - len(parts)) + [part or "*" for part in parts]
    return WorkloadPattern(_unescape(parts[0]), _unescape(parts[1]), parts[2])


def _said(resource: Mapping[str, Any], names: tuple[str, ...]) -> str:
    for name in names:
        value = resource.get(name)
        if value not in (None, "") and not (name == "service.name" and value == "unknown_service"):
            text = str(value)[:NAME_CHARACTERS_MAX].strip()
            if text:
                return text
    return ""


def _escape(part: str) -> str:
    return part.replace("%", "%25").replace("/", "%2F")


def _unescape(part: str) -> str:
    return part.replace("%2F", "/").replace("%25", "%")
