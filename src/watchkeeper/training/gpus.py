"""The GPUs of the cluster as Kubernetes counts resources: this machine's, and those that agents of other nodes tell of.

Enters: a reading of the driver, the PCI bus, metrics in the store. Leaves: one GpuResource for each kind of GPU of each
node. Right without any GPU: an empty list is "no data", a driver that does not answer is "error". Blocks for as long
as the driver may take; an answer is kept for a while.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

from watchkeeper.errors import QueryError, StoreError
from watchkeeper.host import nvml as binding
from watchkeeper.host.gpu import GpuSnapshot
from watchkeeper.host.machine import Machine
from watchkeeper.host.nvml_client import NvmlClient
from watchkeeper.host.pci import amd_gpus, neuron_devices, nvidia_gpus, pci_devices
from watchkeeper.store.reads.base import Queryable

KEPT_S = 30.0
AGENTS_S = 600.0
NVIDIA, AMD, NEURON = "nvidia.com/gpu", "amd.com/gpu", "aws.amazon.com/neuron"
"""Names of the resources as the vendors' device plugins for Kubernetes give them."""
FAILED = "failed"

_AGENTS = """SELECT resource_attributes AS resource, arg_max(json_extract_string(attributes, '$."hw.state"'),
        time_unix_ns) FILTER (coalesce(value_double, value_int) = 1) AS state
    FROM metrics WHERE name = 'hw.status' AND time_unix_ns >= ? AND resource_attributes LIKE '%"hw.type":"gpu"%'
    GROUP BY 1"""


class GpuResource(NamedTuple):
    """GPUs of one kind on one node. capacity: those that are there; allocatable: those that can be used."""

    name: str
    capacity: int
    allocatable: int
    node: str
    models: tuple[str, ...] = ()


class GpuInfo(NamedTuple):
    """All GPUs that are known of; `state` "no data" means that there are none, "error" that it cannot be told."""

    state: Literal["healthy", "no data", "error"]
    problem: str
    items: tuple[GpuResource, ...]


class Gpus:
    """Asks at the most once in KEPT_S, whoever asks; safe to use from any thread."""

    def __init__(
        self,
        machine: Machine,
        read: Callable[[], GpuSnapshot],
        store: Queryable,
        *,
        now_unix_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._machine, self._read, self._store = machine, read, store
        self._now_unix_ns = now_unix_ns
        self._lock = threading.Lock()
        self._known: GpuInfo | None = None
        self._known_unix_ns = 0

    def info(self) -> GpuInfo:
        """Give the GPUs; one who asks while another is asking waits for that answer."""
        with self._lock:
            now = self._now_unix_ns()
            if self._known is None or now - self._known_unix_ns >= KEPT_S * 1e9:
                self._known, self._known_unix_ns = self._look(now), now
            return self._known

    def _look(self, now_unix_ns: int) -> GpuInfo:
        here, problem = local_gpus(self._machine, self._read())
        try:
            elsewhere = agents_gpus(self._store, now_unix_ns - int(AGENTS_S * 1e9))
        except (QueryError, StoreError) as error:
            elsewhere, problem = [], "; ".join(filter(None, [problem, f"GPUs of other nodes cannot be read: {error}"]))
        own = {each.node for each in here}
        items = tuple(sorted([*here, *(each for each in elsewhere if each.node not in own)]))
        state: Literal["healthy", "no data", "error"] = "error" if problem else "healthy" if items else "no data"
        return GpuInfo(state, problem, items)


def read_driver(timeout_s: float) -> GpuSnapshot:
    """Read the driver once, in a process of its own that ends afterwards."""
    with NvmlClient(timeout_s=timeout_s) as client:
        return client.read()


def local_gpus(machine: Machine, snapshot: GpuSnapshot) -> tuple[list[GpuResource], str]:
    """Give this machine's GPUs, and what is wrong with the driver, "" when nothing is."""
    devices = pci_devices(machine)
    on_bus, problem = len(nvidia_gpus(devices)), ""
    found = []
    if snapshot.code == binding.SUCCESS and snapshot.gpus:
        usable = sum(1 for gpu in snapshot.gpus if not gpu.error_code)
        models = tuple(sorted({gpu.name for gpu in snapshot.gpus if gpu.name}))
        found.append(GpuResource(NVIDIA, max(on_bus, len(snapshot.gpus)), usable, machine.host, models))
    elif on_bus:
        problem = f"the driver of {on_bus} NVIDIA GPUs does not serve them: {snapshot.text}"
        found.append(GpuResource(NVIDIA, on_bus, 0, machine.host))
    elif snapshot.code in binding.OF_A_LOADED_DRIVER:
        problem = f"the NVIDIA driver does not answer as it should: {snapshot.text}"
    for name, cards in ((AMD, amd_gpus(devices)), (NEURON, neuron_devices(devices))):
        if cards:
            found.append(GpuResource(name, len(cards), sum(1 for card in cards if card.driver), machine.host))
    return found, problem


def agents_gpus(store: Queryable, from_unix_ns: int) -> list[GpuResource]:
    """Give the NVIDIA GPUs of the nodes whose agents told of them since; raises QueryError."""
    table = store.sql(_AGENTS, [from_unix_ns], time_range_unix_ns=(from_unix_ns, 2**63 - 1))
    nodes: dict[str, dict[str, tuple[str, str]]] = {}
    for row in table.to_pylist():
        told = _attributes(row["resource"])
        node = str(told.get("k8s.node.name") or told.get("host.name") or "")
        if node and told.get("hw.id"):
            gpus = nodes.setdefault(node, {})
            gpus[str(told["hw.id"])] = (str(told.get("hw.name") or ""), str(row["state"] or ""))
    return [_of_node(node, gpus.values()) for node, gpus in nodes.items()]


def _of_node(node: str, gpus: Iterable[tuple[str, str]]) -> GpuResource:
    told = list(gpus)
    models = tuple(sorted({model for model, _ in told if model}))
    return GpuResource(NVIDIA, len(told), sum(1 for _, state in told if state != FAILED), node, models)


def _attributes(resource: str) -> Mapping[str, Any]:
    try:
        read = json.loads(resource)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}
