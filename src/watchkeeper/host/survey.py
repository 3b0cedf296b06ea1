"""One look at the GPUs and the host's health: reads, remembers, judges. Doctor, gpu and an agent all look through it.

Enters: a Machine, limits, a reader of the GPUs, the history and the trail. Leaves: a HostHealth a look: each GPU with
its state and the reason, checks of the host, and the events that are new since the last look. Prints and sends nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import Any

from watchkeeper.host import accelerators, host_health, stack_checks
from watchkeeper.host import nvml as binding
from watchkeeper.host.check import (
    REPORT_SCHEMA_VERSION,
    Check,
    CheckSeverity,
    CheckStatus,
    failed,
    passed,
    rfc3339,
    skipped,
    timed,
    unknown,
    worst,
)
from watchkeeper.host.gpu import Gpu, GpuSnapshot
from watchkeeper.host.gpu_rules import Patient, judge
from watchkeeper.host.history import Condition, History
from watchkeeper.host.kernel_events import KernelEvent, kernel_events, nvml_event, pci_key
from watchkeeper.host.kernel_log import KernelFollower, KernelLine, KernelLog
from watchkeeper.host.machine import Machine
from watchkeeper.host.pci import nvidia_gpus, pci_devices
from watchkeeper.host.thresholds import Thresholds
from watchkeeper.host.trail import Trail
from watchkeeper.host.xid import xid_entry

APPLICATION_FAULT_S = 3600.0
_GPU_KINDS = {"xid", "gpu_lost", "double_bit_ecc", "single_bit_ecc_storm"}
_HEAD_LINES = 3


class HealthState(StrEnum):
    """How a GPU, or the whole host, fares. NO_GPU: there is none, which is neither healthy nor an error."""

    HEALTHY = "healthy"
    WARNING = "warning"
    CRITICAL = "critical"
    UNKNOWN = "unknown"
    NO_GPU = "no_gpu"


_STATES = {
    CheckSeverity.INFO: HealthState.HEALTHY,
    CheckSeverity.UNKNOWN: HealthState.UNKNOWN,
    CheckSeverity.WARNING: HealthState.WARNING,
    CheckSeverity.CRITICAL: HealthState.CRITICAL,
}


@dataclass(frozen=True)
class GpuHealth:
    """One GPU with its state, the reason for it ("" when healthy), its checks, and what is open in the history."""

    gpu: Gpu
    state: HealthState
    reason: str
    checks: tuple[Check, ...]
    conditions: tuple[Condition, ...]
    process_names: dict[int, str]

    def as_dict(self) -> dict[str, Any]:
        """Give one object a GPU, as `watchkeeper gpu --json` writes it."""
        row = self.gpu.as_dict()
        for process in row["processes"] or ():
            process["name"] = self.process_names.get(process["pid"])
        return {
            **row,
            "health": self.state.value,
            "reason": self.reason,
            "xid_events": [_condition_dict(each) for each in self.conditions],
            "checks": [check.as_dict() for check in self.checks],
        }


def _condition_dict(condition: Condition) -> dict[str, Any]:
    row: dict[str, Any] = {
        "kind": condition.kind,
        "code": condition.code,
        "severity": condition.severity.value,
        "count": condition.count,
        "first_at": rfc3339(condition.first_unix_ns),
        "last_at": rfc3339(condition.last_unix_ns),
        "origin": condition.origin.value,
        "reboots": condition.reboots,
        "acknowledged_by": condition.acknowledged_by,
        "actions": list(condition.actions),
        "evidence": list(condition.evidence),
    }
    if condition.kind == "xid":
        entry = xid_entry(condition.code)
        row |= {"name": entry.name, "meaning": entry.meaning, "source": entry.source}
    return row


@dataclass(frozen=True)
class HostHealth:
    """One look: `events` are those not seen before; `time_unix_ns` is when it was taken.

    earlier: GPUs that earlier looks saw and this one does not; one that has left the bus still has its name.
    """

    host: str
    time_unix_ns: int
    boot_id: str
    snapshot: GpuSnapshot
    gpus: tuple[GpuHealth, ...]
    checks: tuple[Check, ...]
    events: tuple[KernelEvent, ...]
    present: bool
    earlier: tuple[Gpu, ...] = ()

    @property
    def state(self) -> HealthState:
        """Give the state of the GPUs together; NO_GPU where there is none."""
        if not self.present:
            return HealthState.NO_GPU
        return _STATES[worst([check for gpu in self.gpus for check in gpu.checks] + self.gpu_checks)]

    @property
    def gpu_checks(self) -> list[Check]:
        """Give the checks of the GPUs as a whole: the driver, GPUs that NVML does not show, the fabric manager."""
        return [check for check in self.checks if check.id.startswith("gpu.")]

    @property
    def all_checks(self) -> tuple[Check, ...]:
        """Give the checks of every GPU, then those of the host."""
        return (*(check for gpu in self.gpus for check in gpu.checks), *self.checks)

    def as_dict(self) -> dict[str, Any]:
        """Give plain data for JSON, with `schema_version`."""
        return {
            "schema_version": REPORT_SCHEMA_VERSION,
            "host": self.host,
            "started_at": rfc3339(self.time_unix_ns),
            "verdict": self.state.value,
            "driver": self.snapshot.driver,
            "cuda": self.snapshot.cuda_version,
            "gpus": [gpu.as_dict() for gpu in self.gpus],
            "checks": [check.as_dict() for check in self.checks],
        }


class Survey:
    """Looks again and again; `read` gives a reading of the GPUs. Not for several threads at once."""

    def __init__(
        self,
        machine: Machine,
        limits: Thresholds,
        read: Callable[[], GpuSnapshot],
        history: History,
        trail: Trail,
        *,
        trail_file: Path | None = None,
    ) -> None:
        self.machine = machine
        self.history = history
        self.trail = trail
        self._limits = limits
        self._read = read
        self._trail_file = trail_file
        self._follower = KernelFollower(machine)
        self._recent: tuple[KernelLine, ...] = ()
        self._addresses: dict[str, str] = {}
        self._seen: dict[str, Gpu] = {}
        self._looked_unix_ns: int | None = None

    def look(self) -> HostHealth:
        """Look once; as long as the driver takes to answer, else some ten milliseconds."""
        machine, limits = self.machine, self._limits
        now_unix_ns = machine.now_unix_ns()
        snapshot = self._read()
        self.trail.add(snapshot, now_unix_ns)
        self._addresses |= {gpu.id: pci_key(gpu.pci or gpu.id) for gpu in snapshot.gpus if gpu.pci}
        now_seen = {gpu.id: gpu for gpu in snapshot.gpus}
        self._seen |= now_seen
        earlier = tuple(gpu for name, gpu in self._seen.items() if name not in now_seen)
        log = self._follower.take()
        lines = (*self._recent, *log.lines)
        self._recent = lines[-_HEAD_LINES:]
        # What an operator marked meanwhile counts from now on, and what another process saw is news here too.
        fresh = self.history.refresh()
        events = [*kernel_events(lines, machine.boot_id), *self._driver_events(snapshot, now_unix_ns)]
        fresh += self.history.add(events, since_unix_ns=self._looked_unix_ns)
        fresh += self._dropped_links(now_unix_ns)
        self._looked_unix_ns = now_unix_ns
        stuck = host_health.stuck_processes(machine)
        self.trail.count_stuck([each.key for each in stuck])
        conditions = self.history.conditions(machine.boot_id, since_application_s=APPLICATION_FAULT_S)
        gpus = tuple(self._judge(gpu, conditions, log, now_unix_ns) for gpu in snapshot.gpus)
        drops = [each for each in conditions if each.kind == "infiniband_link_down"]
        checks = timed(
            chain(
                self._stack(snapshot),
                filter(has_trouble, stack_checks.check_card(machine, snapshot, limits)),
                self._unseen(snapshot, conditions),
                accelerators.check_fabric_manager(machine),
                host_health.check_descriptors(machine, limits),
                host_health.check_pids(machine, limits),
                host_health.check_stuck(stuck, self.trail.stuck, limits),
                host_health.check_kernel_log(log),
                host_health.check_conditions(conditions, log),
                accelerators.check_infiniband(machine, limits, drops),
                accelerators.check_neuron(machine),
                accelerators.check_amd(machine),
                self._kept(),
            )
        )
        driven = bool(snapshot.gpus) or snapshot.code in binding.OF_A_LOADED_DRIVER
        present = driven or bool(nvidia_gpus(pci_devices(machine)))
        return HostHealth(
            machine.host, now_unix_ns, machine.boot_id, snapshot, gpus, tuple(checks), tuple(fresh), present, earlier
        )

    def _driver_events(self, snapshot: GpuSnapshot, now_unix_ns: int) -> list[KernelEvent]:
        return [
            nvml_event(
                event.kind, event.data, self._addresses.get(event.uuid, event.uuid), now_unix_ns, self.machine.boot_id
            )
            for event in snapshot.events
        ]

    def _dropped_links(self, now_unix_ns: int) -> list[KernelEvent]:
        counted = {
            port.name: port.drops for port in accelerators.infiniband_ports(self.machine) if port.drops is not None
        }
        return self.history.add(
            KernelEvent(
                "infiniband_link_down", CheckSeverity.WARNING, now_unix_ns,
                f"InfiniBand port {name}: its link went down {grown} times since the last check",
                "", 0, self.machine.boot_id, "sysfs", {"port": name, "drops": grown},
            )
            for name, grown in self.trail.new_drops(counted).items()
        )  # fmt: skip

    def _judge(self, gpu: Gpu, conditions: list[Condition], log: KernelLog, now_unix_ns: int) -> GpuHealth:
        mine = tuple(each for each in conditions if each.kind in _GPU_KINDS and each.device in self._names(gpu))
        checks = judge(Patient(gpu, self.trail, self._limits, now_unix_ns))
        checks += [host_health.condition_check(each, "gpu.xid", gpu.id, _xid_title(each)) for each in mine]
        if not mine:
            checks.append(_no_xid(gpu, log))
        grave = worst(checks)
        state = _STATES[grave]
        reasons = [f"{check.title}: {check.reason}" for check in checks if check.severity is grave]
        names = {process.pid: self.machine.text(f"/proc/{process.pid}/comm") or "" for process in gpu.processes or ()}
        return GpuHealth(
            gpu, state, "" if state is HealthState.HEALTHY else "; ".join(reasons), tuple(checks), mine, names
        )

    def _names(self, gpu: Gpu) -> set[str]:
        return {pci_key(gpu.pci or ""), self._addresses.get(gpu.id, ""), gpu.id} - {""}

    def _unseen(self, snapshot: GpuSnapshot, conditions: list[Condition]) -> Iterator[Check]:
        """Give what is open for devices that NVML does not show: lost GPUs, and switches."""
        shown = {name for gpu in snapshot.gpus for name in self._names(gpu)}
        for condition in conditions:
            if condition.kind == "sxid" or (condition.kind in _GPU_KINDS and condition.device not in shown):
                title = _xid_title(condition)
                check_id = "gpu.switch" if condition.kind == "sxid" else "gpu.xid"
                yield host_health.condition_check(condition, check_id, condition.device, title)

    def _stack(self, snapshot: GpuSnapshot) -> Iterator[Check]:
        cards = nvidia_gpus(pci_devices(self.machine))
        if snapshot.code == binding.SUCCESS or not (cards or snapshot.code in binding.OF_A_LOADED_DRIVER):
            return
        reason = f"{len(cards)} GPUs on the PCI bus, and NVML says: {snapshot.text or snapshot.code}"
        fix = ("watchkeeper doctor",)
        source = f"NVML error {snapshot.code}"
        yield failed("gpu.nvml", "NVIDIA driver", "NVML does not serve", reason, source=source, actions=fix)

    def _kept(self) -> Iterator[Check]:
        """Keep the trail, and say so when history or trail cannot be kept."""
        trouble = self.trail.save(self._trail_file) if self._trail_file else ""
        for text in filter(None, (trouble, self.history.trouble)):
            yield unknown("host.history", "History", text, observed="not kept")


def _no_xid(gpu: Gpu, log: KernelLog) -> Check:
    """Say that no XID is open, if anybody would have told one."""
    title = "GPU errors (XID)"
    if log.source or gpu.events_watched:
        return passed("gpu.xid", title, "none is open", device=gpu.id)
    reason = "neither the kernel's log nor the driver's events can be read: unknown, not zero"
    return skipped("gpu.xid", title, reason, device=gpu.id)


def _xid_title(condition: Condition) -> str:
    if condition.kind != "xid":
        return condition.title
    entry = xid_entry(condition.code)
    return f"XID {condition.code} {entry.name}: {entry.meaning}"


def has_trouble(check: Check) -> bool:
    """Tell whether a check is worth an operator's look."""
    return check.status in {CheckStatus.WARN, CheckStatus.FAIL}
