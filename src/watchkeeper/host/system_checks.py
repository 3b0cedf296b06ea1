"""Doctor's checks of the computer itself: system, processor, memory, disk, clock, limits, ports, Python.

Enters: a Machine and Thresholds. Leaves: Checks. Each function looks at one thing, takes milliseconds, and raises
nothing for what it does not find: that is `unknown`.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Mapping

from watchkeeper.host.check import Check, Requirement, failed, passed, skipped, unknown, warned
from watchkeeper.host.machine import Machine
from watchkeeper.host.pci import hypervisor
from watchkeeper.host.thresholds import Thresholds

_GIB = 2**30


def check_system(machine: Machine, limits: Thresholds) -> Iterator[Check]:
    """Check which operating system and kernel run, and whether this is a virtual machine."""
    release = dict(line.split("=", 1) for line in (machine.text("/etc/os-release") or "").splitlines() if "=" in line)
    name = release.get("PRETTY_NAME", "").strip('"') or "an operating system that does not say its name"
    kernel = machine.text("/proc/sys/kernel/osrelease") or _release_of_version(machine.text("/proc/version") or "")
    guest = hypervisor(machine)
    where = f"a virtual machine under {guest}" if guest else "no virtual machine"
    if not kernel:
        yield unknown("system.kernel", "Operating system", "the kernel's release is not told in /proc", observed=name)
        return
    yield passed("system.kernel", "Operating system", f"{name}, kernel {kernel}, {where}")


def _release_of_version(text: str) -> str:
    """Read the release out of /proc/version, `Linux version 6.1.0 (...)`."""
    words = text.split()
    return words[2] if words[:2] == ["Linux", "version"] and len(words) > 2 else ""


def check_cpu(machine: Machine, limits: Thresholds) -> Iterator[Check]:
    """Check processors and load: more runnable work than twice the processors for a quarter of an hour warns."""
    lines = (machine.text("/proc/cpuinfo") or "").splitlines()
    cores = sum(line.startswith("processor") for line in lines)
    if not cores:
        yield unknown("system.cpu", "Processors", "/proc/cpuinfo does not list processors")
        return
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    load = (machine.text("/proc/loadavg") or "").split()
    seen = f"{cores} processors{f' ({model})' if model else ''}" + (f", load {' '.join(load[:3])}" if load else "")
    try:
        long_load = float(load[2])
    except (IndexError, ValueError):
        long_load = 0.0
    if long_load > 2 * cores:
        yield warned(
            "system.cpu", "Processors", seen,
            f"for 15 minutes {long_load:g} tasks have waited for {cores} processors",
            threshold=f"load of 15 minutes at most {2 * cores}", source="Watchkeeper's own",
            actions=("top -o %CPU",),
        )  # fmt: skip
    else:
        yield passed("system.cpu", "Processors", seen)


def check_memory(machine: Machine, limits: Thresholds) -> Iterator[Check]:
    """Check that memory is available."""
    rows = _table(machine.text("/proc/meminfo") or "")
    total, free = rows.get("MemTotal", 0) * 1024, rows.get("MemAvailable", 0) * 1024
    if not total:
        yield unknown("system.memory", "Memory", "/proc/meminfo does not tell the memory")
        return
    seen = f"{free / _GIB:.1f} of {total / _GIB:.1f} GiB available"
    least = limits["host_memory_free_min"]
    told = {"threshold": f"at least {least:.0%} available", "source": limits.source("host_memory_free_min")}
    if free < least * total:
        yield warned(
            "system.memory", "Memory", seen, "almost no memory is left; the kernel may end processes",
            actions=("ps aux --sort=-rss | head",), **told,
        )  # fmt: skip
    else:
        yield passed("system.memory", "Memory", seen, **told)


def _table(text: str) -> dict[str, int]:
    """Read `name: number ...` lines."""
    rows = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdecimal():
            rows[name.strip()] = int(words[0])
    return rows


def check_disks(machine: Machine, limits: Thresholds) -> Iterator[Check]:
    """Check the bytes and inodes that are free on the root, /var and /tmp."""
    least = limits["host_disk_free_min"]
    told = {"threshold": f"at least {least:.0%} free", "source": limits.source("host_disk_free_min")}
    seen: set[tuple[int, int]] = set()
    for place in ("/", "/var", "/tmp"):
        room = machine.space(place)
        if room is None or room.bytes_total == 0 or (room.bytes_total, room.bytes_free) in seen:
            continue
        seen.add((room.bytes_total, room.bytes_free))
        text = f"{place}: {room.bytes_free / _GIB:.1f} of {room.bytes_total / _GIB:.1f} GiB free"
        share = room.bytes_free / room.bytes_total
        yield _room("system.disk", f"Disk {place}", text, share, least, f"du -xh {place} | sort -h | tail -20", told)
        if room.inodes_total:
            share = room.inodes_free / room.inodes_total
            text = f"{place}: {room.inodes_free:,} of {room.inodes_total:,} inodes free"
            action = f"du -x --inodes {place} | sort -n | tail -20"
            yield _room("system.inodes", f"Inodes {place}", text, share, least, action, told)
    if not seen:
        yield unknown("system.disk", "Disk", "no file system tells its room")


def _room(
    check_id: str, title: str, text: str, share: float, least: float, action: str, told: Mapping[str, str]
) -> Check:
    if share < least / 5:
        return failed(check_id, title, text, f"only {share:.1%} is free", actions=(action,), **told)
    if share < least:
        return warned(check_id, title, text, f"only {share:.1%} is free", actions=(action,), **told)
    return passed(check_id, title, text, **told)


def check_clock(machine: Machine, limits: Thresholds) -> Iterator[Check]:
    """Check that the clock is plausible and follows a time server; telemetry with a wrong time misleads."""
    now_unix_ns = machine.now_unix_ns()
    if now_unix_ns < machine.boot_unix_ns or now_unix_ns < 1_700_000_000 * 10**9:
        yield failed(
            "system.time", "Time", f"the clock shows {now_unix_ns // 10**9} s since 1970",
            "that is before this machine started or before this program was made",
            actions=("sudo timedatectl set-ntp true",),
        )  # fmt: skip
    else:
        yield passed("system.time", "Time", "the clock is after the start of the machine")
    told = machine.run(("timedatectl", "show", "--property=NTPSynchronized", "--value"), 5.0)
    tracked = machine.run(("chronyc", "-n", "tracking"), 5.0) if told is None or not told.ok else None
    if told is not None and told.ok:
        synchronized, by = told.stdout.strip() == "yes", "timedatectl"
    elif tracked is not None and tracked.ok:
        synchronized, by = "Leap status     : Normal" in tracked.stdout, "chrony"
    elif machine.exists("/run/systemd/timesync/synchronized"):
        synchronized, by = True, "systemd-timesyncd"
    else:
        yield unknown(
            "system.clock_sync", "Clock synchronisation",
            "neither timedatectl nor chronyc tells (in a container, the host keeps the clock)",
        )  # fmt: skip
        return
    if synchronized:
        yield passed("system.clock_sync", "Clock synchronisation", f"the clock follows a time server ({by})")
    else:
        yield warned(
            "system.clock_sync", "Clock synchronisation", f"{by} says that no time server is followed",
            "events of this node will not line up with those of others",
            actions=("sudo timedatectl set-ntp true", "timedatectl timesync-status"),
        )  # fmt: skip


def check_shared_memory(machine: Machine, limits: Thresholds) -> Iterator[Check]:
    """Check the size of /dev/shm, which data loaders and NCCL use between processes."""
    room = machine.space("/dev/shm")
    least = limits["host_shm_bytes_min"]
    told = {"threshold": f"more than {least / 2**20:.0f} MiB", "source": limits.source("host_shm_bytes_min")}
    if room is None or room.bytes_total == 0:
        yield unknown("system.shm", "Shared memory", "/dev/shm is not mounted", **told)
    elif room.bytes_total <= least:
        yield warned(
            "system.shm", "Shared memory", f"/dev/shm is {room.bytes_total / 2**20:.0f} MiB",
            "workers that share tensors, and NCCL, will fail with a bus error",
            actions=("podman run --shm-size=8g ...", "sudo mount -o remount,size=50% /dev/shm   # on a host"), **told,
        )  # fmt: skip
    else:
        yield passed("system.shm", "Shared memory", f"/dev/shm is {room.bytes_total / 2**20:,.0f} MiB", **told)


def check_limits(machine: Machine, limits: Thresholds) -> Iterator[Check]:
    """Check the limits of a process (ulimit): open files and locked memory."""
    rows = {}
    for line in (machine.text("/proc/self/limits") or "").splitlines():
        name, words = line[:26].strip(), line[26:].split()
        if len(words) >= 2:
            rows[name] = words[0]
    files = rows.get("Max open files")
    if files is None:
        yield unknown("system.ulimits", "Limits of a process", "/proc/self/limits does not tell them")
        return
    locked = rows.get("Max locked memory", "not told")
    seen = f"open files {files}, locked memory {locked}{'' if locked == 'unlimited' else ' bytes'}"
    least = limits["host_open_files_min"]
    told = {"threshold": f"at least {least:.0f} open files", "source": limits.source("host_open_files_min")}
    if files != "unlimited" and int(files) < least:
        yield warned(
            "system.ulimits", "Limits of a process", seen, "a server with many connections will run out of files",
            actions=("ulimit -n 65536   # for good: /etc/security/limits.d/ or LimitNOFILE= of the service",), **told,
        )  # fmt: skip
    else:
        yield passed("system.ulimits", "Limits of a process", seen, **told)


def check_ports(machine: Machine, limits: Thresholds, ports: Mapping[str, int]) -> Iterator[Check]:
    """Check that the ports this product listens on are free; `ports` names them by their settings."""
    tables = [machine.text(f"/proc/net/{name}") for name in ("tcp", "tcp6")]
    if not any(tables):
        yield unknown("system.ports", "Ports", "/proc/net/tcp is not there")
        return
    listening = {port for table in tables if table for port in _listening(table)}
    taken = {name: port for name, port in ports.items() if port in listening}
    seen = ", ".join(f"{port} {'taken' if name in taken else 'free'}" for name, port in ports.items() if port)
    if taken:
        first = next(iter(taken.values()))
        yield warned(
            "system.ports", "Ports", seen,
            "taken ports: Watchkeeper runs already, or another program must go or be given other ports",
            actions=(f"ss -ltnp 'sport = :{first}'", f"start Watchkeeper with --set {next(iter(taken))}=PORT"),
        )  # fmt: skip
    else:
        yield passed("system.ports", "Ports", seen)


def _listening(table: str) -> Iterator[int]:
    for line in table.splitlines()[1:]:
        words = line.split()
        if len(words) > 3 and words[3] == "0A":
            yield int(words[1].rpartition(":")[2], 16)


def check_python(machine: Machine, limits: Thresholds) -> Iterator[Check]:
    """Check the Python that this program runs on; of a recorded machine nothing is known."""
    if machine.recorded:
        yield skipped("python.version", "Python", "a recorded machine runs no Python")
        return
    seen = f"Python {platform.python_version()} ({sys.executable})"
    yield passed("python.version", "Python", seen, requirement=Requirement.OTHER)
