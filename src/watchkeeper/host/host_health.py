"""How the host fares: descriptors, process ids, processes stuck in the driver, and what the kernel's log told.

Enters: a Machine, limits, open Conditions, what earlier checks counted. Leaves: Checks. Thresholds of descriptors,
process ids and stuck processes follow gpud (leptonai/gpud).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from watchkeeper.host.check import Check, CheckSeverity, CheckStatus, failed, passed, skipped, unknown, warned
from watchkeeper.host.history import Condition
from watchkeeper.host.kernel_log import KernelLog
from watchkeeper.host.machine import Machine
from watchkeeper.host.thresholds import Thresholds
from watchkeeper.host.xid import Origin

_HOST_KINDS = ("oom_kill", "lockup", "hung_task", "nvme_reset", "read_only", "nccl_segfault")
_DRIVER_WAITS = ("nv", "os_acquire_", "rm_", "uvm_", "amdgpu", "neuron")


def check_descriptors(machine: Machine, limits: Thresholds) -> Iterator[Check]:
    """Check the file descriptors in use on the whole host."""
    words = (machine.text("/proc/sys/fs/file-nr") or "").split()
    if len(words) != 3 or not all(word.isdecimal() for word in words) or int(words[2]) == 0:
        yield unknown("host.descriptors", "File descriptors", "/proc/sys/fs/file-nr does not tell them")
        return
    yield _usage("host.descriptors", "File descriptors", int(words[0]), int(words[2]), limits, "lsof | wc -l")


def check_pids(machine: Machine, limits: Thresholds) -> Iterator[Check]:
    """Check the process ids in use: threads count, as the kernel counts them."""
    most = machine.number("/proc/sys/kernel/pid_max")
    running = (machine.text("/proc/loadavg") or "").split()
    used = running[3].partition("/")[2] if len(running) > 3 else ""
    if not most or not used.isdecimal():
        yield unknown("host.pids", "Process ids", "/proc does not tell how many are in use")
        return
    yield _usage("host.pids", "Process ids", int(used), most, limits, "ps -eo nlwp,pid,comm --sort=-nlwp | head")


def _usage(check_id: str, title: str, used: int, most: int, limits: Thresholds, action: str) -> Check:
    share = used / most
    seen = f"{used:,} of {most:,} in use ({share:.0%})"
    warning, critical = limits["host_usage_max"], limits["host_usage_critical_max"]
    told = {"threshold": f"{warning:.0%}, critical {critical:.0%}", "source": limits.source("host_usage_max")}
    if share >= critical:
        return failed(check_id, title, seen, "almost none are left", actions=(action,), **told)
    if share >= warning:
        return warned(check_id, title, seen, "few are left", actions=(action,), **told)
    return passed(check_id, title, seen, **told)


class Stuck(NamedTuple):
    """A process in uninterruptible sleep inside a driver; `key` is its id and start, which no other process shares."""

    key: str
    name: str


def stuck_processes(machine: Machine) -> list[Stuck]:
    """List processes in uninterruptible sleep that wait inside a GPU driver or hold its device files."""
    found = []
    for pid in machine.names("/proc"):
        if not pid.isdecimal():
            continue
        stat = machine.text(f"/proc/{pid}/stat") or ""
        head, _, tail = stat.rpartition(")")
        words = tail.split()
        if len(words) < 20 or words[0] != "D":
            continue
        name = head.partition("(")[2]
        waits = machine.text(f"/proc/{pid}/wchan") or ""
        files = (machine.link(f"/proc/{pid}/fd/{each}") or "" for each in machine.names(f"/proc/{pid}/fd"))
        if name.startswith("nv") or waits.startswith(_DRIVER_WAITS) or any(file.startswith("nvidia") for file in files):
            found.append(Stuck(f"{pid}:{words[19]}", name))
    return found


def check_stuck(stuck: Iterable[Stuck], counts: Mapping[str, int], limits: Thresholds) -> Iterator[Check]:
    """Check for processes that the driver has not let go for several checks in a row; `counts` says for how many."""
    most = int(limits["host_stuck_checks_max"])
    told = {"threshold": f"{most} checks in a row", "source": limits.source("host_stuck_checks_max")}
    long = [each for each in stuck if counts.get(each.key, 0) >= most]
    if long:
        names = tuple(f"pid {each.key.partition(':')[0]} ({each.name})" for each in long)
        yield failed(
            "host.stuck", "Processes stuck in the driver", f"{len(long)} processes", "the driver does not let them go",
            evidence=names, actions=("sudo dmesg | grep -iE 'nvrm|xid'", "sudo reboot"), **told,
        )  # fmt: skip
    else:
        yield passed("host.stuck", "Processes stuck in the driver", "none", **told)


def check_kernel_log(log: KernelLog) -> Iterator[Check]:
    """Check that the kernel's log can be read at all; without it XIDs and kills go unseen."""
    title = "Kernel log"
    if log.source:
        yield passed("kernel.log", title, f"{log.source}, {len(log.lines):,} lines")
    else:
        yield unknown(
            "kernel.log", title, f"it cannot be read: {log.trouble}", observed="unreadable",
            actions=("run it as root, or: sudo usermod -aG adm,systemd-journal $USER",),
        )  # fmt: skip


def condition_check(condition: Condition, check_id: str, device: str, title: str = "") -> Check:
    """Make a Check of what is still wrong; one that was acknowledged warns at the most."""
    grave = condition.severity is CheckSeverity.CRITICAL and not condition.acknowledged_by
    reasons = [f"seen {condition.count} times" if condition.count > 1 else "seen once"]
    if condition.origin is Origin.APPLICATION:
        reasons.append("caused by the application, not by the hardware")
    if condition.inspect:
        reasons.append(f"came back after {condition.reboots} reboots: the hardware wants a look")
    if condition.acknowledged_by:
        reasons.append(f"acknowledged by {condition.acknowledged_by}")
    return Check(
        check_id,
        title or condition.title,
        CheckStatus.FAIL if grave else CheckStatus.WARN,
        CheckSeverity.CRITICAL if grave else CheckSeverity.WARNING,
        observed=condition.title,
        device=device,
        source="kernel log",
        evidence=condition.evidence,
        reason="; ".join(reasons),
        actions=condition.actions,
        attributes={"kind": condition.kind, "code": condition.code, "origin": condition.origin.value},
    )


def check_conditions(conditions: Iterable[Condition], log: KernelLog) -> Iterator[Check]:
    """Check what the kernel told of the host itself: kills, lock-ups, disks; one check a kind."""
    open_now = {condition.kind: condition for condition in conditions if condition.kind in _HOST_KINDS}
    for condition in open_now.values():
        yield condition_check(condition, f"host.{condition.kind}", "")
    if not open_now:
        if log.source:
            yield passed(
                "host.events", "Kernel's warnings", "no kill for memory, lock-up, lost disk or read-only remount"
            )
        else:
            yield skipped("host.events", "Kernel's warnings", "the kernel's log cannot be read")
