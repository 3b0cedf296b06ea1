"""The history of events on this host: kept over restarts, acknowledged and cleared by people, cleared by reboots.

Enters: KernelEvents, and what an operator says. Leaves: Conditions: what is still wrong with which device, how often it
has come back, and what to do now. The history is an append-only file of JSON lines, `events.jsonl`; a line that cannot
be read is passed over. Nothing in it is ever taken away: clearing adds a line. A reboot ends what a reboot mends; what
has come back after two of them wants a look at the hardware (as gpud, leptonai/gpud, does).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from watchkeeper.errors import NotFound
from watchkeeper.host.check import CheckSeverity
from watchkeeper.host.kernel_events import KernelEvent
from watchkeeper.host.xid import ACTIONS, Origin, xid_entry

HISTORY_SCHEMA_VERSION = 1
REBOOTS_BEFORE_INSPECTION = 2
SAME_EVENT_S = 5.0
RECOVERY_CHANGED = 154
_MENDED_KINDS = {
    "gpu_lost", "oom_kill", "lockup", "hung_task", "nccl_segfault", "double_bit_ecc", "single_bit_ecc_storm", "sxid",
}  # fmt: skip


@dataclass(frozen=True)
class Mark:
    """What an operator did: `action` is acknowledge or clear; "" and 0 mean all, the device `host` the host itself."""

    action: str
    time_unix_ns: int
    by: str
    note: str = ""
    device: str = ""
    kind: str = ""
    code: int = 0

    def covers(self, event: KernelEvent) -> bool:
        """Tell whether an event is one of those that were marked."""
        return (
            event.time_unix_ns <= self.time_unix_ns
            and self.device in {"", event.device or "host"}
            and self.kind in {"", event.kind}
            and self.code in {0, event.code}
        )


@dataclass(frozen=True)
class Condition:
    """Events of one kind and code on one device that are not over: `reboots` have not helped so far."""

    device: str
    kind: str
    code: int
    severity: CheckSeverity
    title: str
    first_unix_ns: int
    last_unix_ns: int
    count: int
    reboots: int
    acknowledged_by: str
    actions: tuple[str, ...]
    evidence: tuple[str, ...]
    origin: Origin
    events: tuple[KernelEvent, ...]

    @property
    def inspect(self) -> bool:
        """Tell whether reboots have been tried enough."""
        return self.reboots >= REBOOTS_BEFORE_INSPECTION


class History:
    """The history below a folder; without one it is kept in memory only."""

    def __init__(self, folder: Path | None, *, now_unix_ns: Callable[[], int]) -> None:
        self._path = None if folder is None else folder / "events.jsonl"
        self._now_unix_ns = now_unix_ns
        self.events: list[KernelEvent] = []
        self.marks: list[Mark] = []
        self._ids: set[str] = set()
        self.trouble = ""
        for row in self._rows():
            self._take(row)

    def _rows(self) -> Iterator[dict[str, Any]]:
        if self._path is None or not self._path.exists():
            return
        try:
            lines = self._path.read_bytes().splitlines()
        except OSError as error:
            self.trouble = f"{self._path} cannot be read: {error.strerror}"
            return
        for line in lines:
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue
            if isinstance(row, dict) and row.get("schema_version") == HISTORY_SCHEMA_VERSION:
                yield row

    def _take(self, row: dict[str, Any]) -> None:
        try:
            if row["type"] == "event":
                event = KernelEvent(
                    row["kind"], CheckSeverity(row["severity"]), int(row["time_unix_ns"]), row["text"], row["device"],
                    int(row["code"]), row["boot_id"], row["source"], row["attributes"],
                )  # fmt: skip
                self.events.append(event)
                self._ids.add(event.id)
            elif row["type"] == "mark":
                names = Mark.__dataclass_fields__
                self.marks.append(Mark(**{name: row[name] for name in names}))
        except (KeyError, TypeError, ValueError):
            return

    def _write(self, rows: Iterable[dict[str, Any]]) -> None:
        if self._path is None:
            return
        data = b"".join(orjson.dumps({"schema_version": HISTORY_SCHEMA_VERSION, **row}) + b"\n" for row in rows)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(descriptor, data)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            self.trouble = f"{self._path} cannot be written: {error.strerror}"

    def add(self, events: Iterable[KernelEvent]) -> list[KernelEvent]:
        """Keep events that are new, and give them; an XID that both NVML and the kernel's log tell counts once."""
        fresh = []
        for event in events:
            if event.id in self._ids or (event.source == "NVML" and self._told(event)):
                continue
            self._ids.add(event.id)
            self.events.append(event)
            fresh.append(event)
        if fresh:
            self._write({"type": "event", **event.as_dict()} for event in fresh)
        return fresh

    def _told(self, event: KernelEvent) -> bool:
        near_ns = int(SAME_EVENT_S * 1e9)
        return any(
            (each.kind, each.code, each.device) == (event.kind, event.code, event.device)
            and each.source != "NVML"
            and abs(each.time_unix_ns - event.time_unix_ns) <= near_ns
            for each in reversed(self.events[-1000:])
        )

    def mark(self, action: str, *, by: str, device: str = "", kind: str = "", code: int = 0, note: str = "") -> int:
        """Acknowledge or clear conditions, and say how many; raises NotFound when there is none such."""
        mark = Mark(action, self._now_unix_ns(), by, note, device, kind, code)
        touched = [each for each in self.conditions("") if any(mark.covers(event) for event in each.events)]
        if not touched:
            raise NotFound(f"nothing is open for {device or 'any device'}; see `watchkeeper gpu history`")
        self.marks.append(mark)
        self._write([{"type": "mark", **{name: getattr(mark, name) for name in Mark.__dataclass_fields__}}])
        return len(touched)

    def conditions(self, boot_id: str, *, since_application_s: float | None = None) -> list[Condition]:
        """Give what is still wrong, gravest first; `boot_id` is the running boot, "" takes every boot as running.

        Faults of applications older than `since_application_s` are left out: the next program starts afresh.
        """
        groups: dict[tuple[str, str, int], list[KernelEvent]] = {}
        clears = [mark for mark in self.marks if mark.action == "clear"]
        for event in self.events:
            told = event.severity is not CheckSeverity.INFO or event.code == RECOVERY_CHANGED
            if told and not any(mark.covers(event) for mark in clears):
                groups.setdefault((event.device, event.kind, event.code), []).append(event)
        found = [
            condition
            for events in groups.values()
            if (condition := self._condition(events, boot_id, since_application_s)) is not None
        ]
        order = list(CheckSeverity)
        return sorted(found, key=lambda each: (-order.index(each.severity), each.device, each.code))

    def _condition(
        self, events: list[KernelEvent], boot_id: str, since_application_s: float | None
    ) -> Condition | None:
        events = sorted(events, key=lambda event: event.time_unix_ns)
        last = events[-1]
        if last.severity is CheckSeverity.INFO:
            return None
        entry = xid_entry(last.code) if last.kind == "xid" else None
        origin = Origin(str(last.attributes.get("origin", Origin.HARDWARE.value)))
        mended = entry.mended_by_reboot if entry else last.kind in _MENDED_KINDS
        boots = list(dict.fromkeys(event.boot_id for event in events))
        if boot_id and mended and last.boot_id and last.boot_id != boot_id:
            return None
        age_s = (self._now_unix_ns() - last.time_unix_ns) / 1e9
        if since_application_s is not None and origin is Origin.APPLICATION and age_s > since_application_s:
            return None
        reboots = len(boots) - 1 if origin is not Origin.APPLICATION else 0
        actions = entry.advice if entry else _advice(last)
        if reboots >= REBOOTS_BEFORE_INSPECTION:
            actions = (ACTIONS["inspect_hardware"], *actions)
        marks = [mark for mark in self.marks if mark.action == "acknowledge" and mark.covers(last)]
        return Condition(
            last.device, last.kind, last.code, max((event.severity for event in events), key=list(CheckSeverity).index),
            last.title, events[0].time_unix_ns, last.time_unix_ns, len(events), reboots, marks[-1].by if marks else "",
            actions, tuple(event.text for event in events[-3:]), origin, tuple(events),
        )  # fmt: skip


def _advice(event: KernelEvent) -> tuple[str, ...]:
    """Say what to do about an event that is no XID."""
    return {
        "gpu_lost": (ACTIONS["reboot_node"], ACTIONS["inspect_hardware"]),
        "sxid": ("sudo systemctl status nvidia-fabricmanager", ACTIONS["check_nvlink"]),
        "double_bit_ecc": (ACTIONS["reset_gpu"], ACTIONS["run_field_diagnostic"]),
        "oom_kill": (
            "give the job less to hold or the node more memory; sudo journalctl -k | grep -i 'killed process'",
        ),
        "nccl_segfault": ("look at the job's own log around this time; run it with NCCL_DEBUG=INFO",),
        "nvme_reset": ("sudo nvme smart-log /dev/nvme0; plan to replace the disk when it comes back",),
        "read_only": ("sudo dmesg | tail -50; check the disk (smartctl -a), then the file system (fsck)",),
        "infiniband_link_down": ("ibstat; look at cable, transceiver and the switch's port",),
    }.get(event.kind, ("sudo journalctl -k -b --since '-1h'",))
