"""What the kernel's log says of GPUs and of the host's health: XIDs, lost GPUs, kills, lock-ups, lost disks.

Enters: KernelLines. Leaves: KernelEvents, each with its kind, severity and the device it names. Lines of any other
meaning are passed over. Forms of NVRM's lines: NVIDIA's XID documentation, the Fabric Manager user guide (SXid), the
driver's own texts; those of the kernel: its sources (mm/oom_kill.c, kernel/watchdog.c, drivers/nvme, fs/ext4).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from watchkeeper.host.check import CheckSeverity
from watchkeeper.host.kernel_log import KernelLine
from watchkeeper.host.xid import Origin, xid_entry

_ADDRESS = r"(?:PCI:)?([0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}(?:\.[0-7])?)"
_XID = re.compile(rf"NVRM: Xid \({_ADDRESS}[^)]*\): (\d+)(?:,\s*(.*))?", re.S)
_SXID = re.compile(rf"(nvidia-nvswitch\d+):? SXid \({_ADDRESS}\): (\d+),?\s*(.*)", re.S)
_NVLINK5 = re.compile(
    r"([A-Z][A-Z0-9_/]+)\s+(Fatal|Nonfatal|Non-fatal)\s+XC(\d+)\s+i(\d+)\s+Link\s+(-?\d+)\s+"
    r"\((0x[0-9a-fA-F]+(?:\s+0x[0-9a-fA-F]+)*)\)"
)
_RECOVERY = re.compile(r"recovery action changed from 0x\w+ \(([^)]*)\) to 0x\w+ \(([^)]*)\)")
_PROCESS = re.compile(r"pid='?(\d+)'?(?:, name='?([^,']+)'?)?")
_LOST = re.compile(rf"NVRM: GPU (?:at )?{_ADDRESS}:? .*fallen off the bus")
_LOST_HEAD = re.compile(rf"NVRM: The NVIDIA GPU {_ADDRESS}")
_LOST_TAIL = re.compile(r"NVRM: .*fallen off the bus and is not responding")
_HEAD_LINES = 3

_HOST_FORMS: tuple[tuple[str, CheckSeverity, re.Pattern[str]], ...] = (
    ("nccl_segfault", CheckSeverity.WARNING, re.compile(r"(\S+)\[(\d+)\]: segfault at .* in libnccl\.so")),
    ("oom_kill", CheckSeverity.CRITICAL, re.compile(r"[Oo]ut of memory: Killed process (\d+) \(([^)]*)\)")),
    ("lockup", CheckSeverity.CRITICAL, re.compile(r"soft lockup - CPU#\d+|hard LOCKUP|rcu.*self-detected stall")),
    ("hung_task", CheckSeverity.CRITICAL, re.compile(r"INFO: task (\S+):(\d+) blocked for more than \d+ seconds")),
    (
        "nvme_reset",
        CheckSeverity.CRITICAL,
        re.compile(r"nvme nvme\d+: .*(?:controller is down; will reset|reset(?:ting)? controller|Device not ready)"),
    ),
    (
        "read_only",
        CheckSeverity.CRITICAL,
        re.compile(r"[Rr]emounting filesystem read-only|forced readonly|XFS \((\S+)\): .*[Ss]hutting down filesystem"),
    ),
    # The same driver says the same of Ethernet ports, whose interfaces have other names.
    ("infiniband_link_down", CheckSeverity.WARNING, re.compile(r"\b(?:mlx5_)?ib\S*: [Ll]ink down")),
)  # fmt: skip

TITLES = {
    "xid": "GPU error (XID)",
    "sxid": "NVSwitch error (SXid)",
    "gpu_lost": "GPU has fallen off the bus",
    "nccl_segfault": "Crash inside NCCL",
    "oom_kill": "Process killed for want of memory",
    "lockup": "Processor locked up",
    "hung_task": "Task blocked for minutes",
    "nvme_reset": "NVMe controller reset",
    "read_only": "File system gone read-only",
    "infiniband_link_down": "InfiniBand link down",
    "double_bit_ecc": "Double-bit memory error",
    "single_bit_ecc_storm": "Many mended memory errors",
}


@dataclass(frozen=True)
class KernelEvent:
    """One event. `device` is a PCI address as `pci_key` writes it, "" for the host; `code` the XID or SXid, 0 else.

    since_boot_us: when by the kernel's own clock, -1 where that is not told.
    """

    kind: str
    severity: CheckSeverity
    time_unix_ns: int
    text: str
    device: str = ""
    code: int = 0
    boot_id: str = ""
    source: str = "kernel log"
    attributes: Mapping[str, Any] = field(default_factory=dict)
    since_boot_us: int = -1

    @property
    def id(self) -> str:
        """Give 16 hexadecimal digits, the same for the same line of the same boot, though the clock be set anew."""
        moment = str(self.time_unix_ns) if self.since_boot_us < 0 else f"boot+{self.since_boot_us}"
        text = "\x1f".join((self.kind, self.device, self.boot_id, moment, self.text))
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    @property
    def title(self) -> str:
        """Say in words what it is."""
        number = f" {self.code}" if self.code else ""
        return TITLES.get(self.kind, self.kind) + number

    def as_dict(self) -> dict[str, Any]:
        """Give plain data for JSON."""
        return {**asdict(self), "id": self.id, "title": self.title}


def pci_key(text: str) -> str:
    """Write a PCI address in one way, whichever of the driver's forms it has; "" stays "".

    >>> pci_key("00000000:3B:00.0"), pci_key("PCI:0000:3b:00")
    ('0000:3b:00', '0000:3b:00')
    """
    parts = text.removeprefix("PCI:").lower().split(".")[0].split(":")
    if len(parts) != 3:
        return text.lower()
    return f"{int(parts[0], 16):04x}:{parts[1]}:{parts[2]}"


def kernel_events(lines: Iterable[KernelLine], boot_id: str = "") -> Iterator[KernelEvent]:
    """Find the events in lines, in their order; a GPU that leaves the bus in three lines is one event."""
    head, since = "", _HEAD_LINES
    for line in lines:
        since += 1
        for text in line.text.split("\n"):
            found = _LOST_HEAD.search(text)
            if found:
                head, since = pci_key(found[1]), 0
        event = _event(line, boot_id, head if since <= _HEAD_LINES else "")
        if event is not None:
            yield replace(event, since_boot_us=line.since_boot_us)


def _event(line: KernelLine, boot_id: str, head: str) -> KernelEvent | None:
    text = line.text
    if "NVRM: Xid" in text and (match := _XID.search(text)):
        return _xid(line, match, boot_id)
    if "SXid" in text and (match := _SXID.search(text)):
        severity = CheckSeverity.CRITICAL if match[4].lower().startswith("fatal") else CheckSeverity.WARNING
        more = {"switch": match[1], "detail": match[4].strip()}
        return KernelEvent(
            "sxid", severity, line.time_unix_ns, text, pci_key(match[2]), int(match[3]), boot_id, attributes=more
        )
    if "fallen off the bus" in text:
        match = _LOST.search(text)
        if match or _LOST_TAIL.search(text):
            device = pci_key(match[1]) if match else head
            return KernelEvent("gpu_lost", CheckSeverity.CRITICAL, line.time_unix_ns, text, device, 0, boot_id)
    for kind, severity, form in _HOST_FORMS:
        if form.search(text):
            return KernelEvent(kind, severity, line.time_unix_ns, text, "", 0, boot_id)
    return None


def _xid(line: KernelLine, match: re.Match[str], boot_id: str) -> KernelEvent:
    code, rest = int(match[2]), (match[3] or "").strip()
    entry = xid_entry(code)
    more: dict[str, Any] = {"name": entry.name, "origin": entry.origin.value, "detail": rest}
    severity = entry.severity
    process = _PROCESS.search(rest)
    if process:
        more["pid"] = int(process[1])
        if process[2]:
            more["process"] = process[2].strip()
    link = _NVLINK5.search(rest) if 144 <= code <= 150 else None
    if link:
        fatal = link[2] == "Fatal"
        severity = CheckSeverity.CRITICAL if fatal else CheckSeverity.WARNING
        more |= {"unit": link[1], "fatal": fatal, "link": int(link[5]), "words": link[6].split()}
    recovery = _RECOVERY.search(rest) if code == 154 else None
    if recovery:
        more |= {"recovery_from": recovery[1], "recovery_to": recovery[2]}
        severity = CheckSeverity.INFO if recovery[2] == "None" else CheckSeverity.CRITICAL
    return KernelEvent("xid", severity, line.time_unix_ns, line.text, pci_key(match[1]), code, boot_id, attributes=more)


def nvml_event(kind: str, data: int, device: str, now_unix_ns: int, boot_id: str) -> KernelEvent:
    """Make an event of one that the driver told through NVML; the kernel's line of the same XID says more."""
    if kind == "xid":
        entry = xid_entry(data)
        text = f"NVML: Xid ({device}): {data}, {entry.name}"
        more = {"name": entry.name, "origin": entry.origin.value}
        return KernelEvent("xid", entry.severity, now_unix_ns, text, device, data, boot_id, "NVML", more)
    severity = CheckSeverity.CRITICAL if kind == "double_bit_ecc" else CheckSeverity.WARNING
    more = {"origin": Origin.HARDWARE.value}
    return KernelEvent(kind, severity, now_unix_ns, f"NVML: {kind} ({device})", device, 0, boot_id, "NVML", more)
