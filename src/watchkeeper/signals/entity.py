"""Who telemetry speaks of: the Entity, read from OpenTelemetry resource attributes.

Enters: resource attributes by their semantic-convention names. Leaves: an Entity and its key, a stable text that is
the same for the same thing whatever the order of attributes. Does not guess what is not said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

_WORKLOADS = (
    "k8s.deployment.name",
    "k8s.statefulset.name",
    "k8s.daemonset.name",
    "k8s.cronjob.name",
    "k8s.job.name",
)


class Entity(NamedTuple):
    """One watched thing; each part is "" when not said.

    `key` is what findings and stored rows carry.
    """

    cluster: str = ""
    namespace: str = ""
    workload: str = ""
    pod: str = ""
    node: str = ""
    gpu: str = ""
    service: str = ""

    @property
    def key(self) -> str:
        """Give the stable text of this entity, e.g. `service=cart|pod=cart-7f`; "" when nothing is known.

        >>> Entity(service="cart", pod="cart-7f").key
        'service=cart|pod=cart-7f'
        """
        order = ("service", "gpu", "pod", "workload", "node", "namespace", "cluster")
        return "|".join(f"{part}={_escape(getattr(self, part))}" for part in order if getattr(self, part))


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("|", "%7C").replace("=", "%3D")


def entity_from_resource(attributes: Mapping[str, Any]) -> Entity:
    """Read the Entity from resource attributes (OpenTelemetry semantic conventions 1.x names).

    Values that are not text are written as text. `service` is `service.name`, qualified as `namespace/name` when
    `service.namespace` is given; when no service is named, the workload, process or host name stands in for it.

    >>> entity_from_resource({"service.name": "cart", "host.name": "n1"}).key
    'service=cart|node=n1'
    """

    def said(*names: str) -> str:
        for name in names:
            value = attributes.get(name)
            if value not in (None, ""):
                return str(value)
        return ""

    node = said("k8s.node.name", "host.name")
    workload = said(*_WORKLOADS)
    service = said("service.name")
    group = said("service.namespace")
    if service and group:
        service = f"{group}/{service}"
    if not service or service == "unknown_service":
        service = workload or said("process.executable.name") or service or node
    return Entity(
        cluster=said("k8s.cluster.name", "k8s.cluster.uid"),
        namespace=said("k8s.namespace.name"),
        workload=workload,
        pod=said("k8s.pod.name", "service.instance.id", "container.id"),
        node=node,
        gpu=said("gpu.uuid", "hw.id") if said("hw.type") in ("", "gpu") else "",
        service=service,
    )
