"""Doctor: runs every check in order, times each, and makes the report.

Enters: a Machine, limits, and how to read the GPUs. Leaves: a Report. A check that ends unexpectedly in an error of the
operating system is reported as unknown, so that one odd file never hides the rest. Prints nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from watchkeeper.host import container_checks, stack_checks, system_checks
from watchkeeper.host.check import Check, Report, timed, unknown
from watchkeeper.host.gpu import NO_LIBRARY, GpuSnapshot
from watchkeeper.host.machine import Machine
from watchkeeper.host.pci import nvidia_gpus, pci_devices
from watchkeeper.host.thresholds import Thresholds

PORTS = {"otlp_grpc_port": 4317, "otlp_http_port": 4318, "http_port": 8080, "edge_metrics_port": 8889}


@dataclass(frozen=True)
class Visit:
    """What doctor looks at: the machine, the limits, one reading of the GPUs, and the ports by their settings."""

    machine: Machine
    limits: Thresholds = field(default_factory=Thresholds)
    snapshot: GpuSnapshot = NO_LIBRARY
    ports: Mapping[str, int] = field(default_factory=lambda: dict(PORTS))

    @property
    def has_gpu(self) -> bool:
        """Tell whether there is an NVIDIA GPU, by the bus or by the driver."""
        return bool(self.snapshot.gpus) or bool(nvidia_gpus(pci_devices(self.machine)))


Checker = Callable[[Visit], Iterable[Check]]

CHECKERS: dict[str, Checker] = {
    "system.kernel": lambda visit: system_checks.check_system(visit.machine, visit.limits),
    "system.cpu": lambda visit: system_checks.check_cpu(visit.machine, visit.limits),
    "system.memory": lambda visit: system_checks.check_memory(visit.machine, visit.limits),
    "system.disk": lambda visit: system_checks.check_disks(visit.machine, visit.limits),
    "system.time": lambda visit: system_checks.check_clock(visit.machine, visit.limits),
    "system.shm": lambda visit: system_checks.check_shared_memory(visit.machine, visit.limits),
    "system.ulimits": lambda visit: system_checks.check_limits(visit.machine, visit.limits),
    "system.ports": lambda visit: system_checks.check_ports(visit.machine, visit.limits, visit.ports),
    "gpu.present": lambda visit: stack_checks.check_card(visit.machine, visit.snapshot, visit.limits),
    "gpu.driver": lambda visit: stack_checks.check_driver(visit.machine, visit.snapshot),
    "cuda.toolkit": lambda visit: stack_checks.check_cuda(visit.machine, visit.snapshot),
    "container.engine": lambda visit: container_checks.check_engine(visit.machine),
    "container.toolkit": lambda visit: container_checks.check_toolkit(visit.machine, has_gpu=visit.has_gpu),
    "python.version": lambda visit: system_checks.check_python(visit.machine, visit.limits),
}


def examine(visit: Visit, *, more: Iterable[Check] = (), clock: Callable[[], float] = time.perf_counter) -> Report:
    """Run every check and give the report; `more` are checks made elsewhere, added at the end. A second or two."""
    started_unix_ns, began = visit.machine.now_unix_ns(), clock()
    checks = [check for name, checker in CHECKERS.items() for check in _timed(name, checker, visit, clock)]
    return Report(visit.machine.host, started_unix_ns, (*checks, *more), (clock() - began) * 1000)


def _timed(name: str, checker: Checker, visit: Visit, clock: Callable[[], float]) -> Iterator[Check]:
    """Run one checker; each of its checks carries the time since the one before."""
    began_s = clock()
    try:
        yield from timed(checker(visit), clock)
    except OSError as error:
        yield unknown(name, name, f"it cannot be read: {error}", duration_ms=round((clock() - began_s) * 1000, 3))
