"""The history of events on this host: kept over restarts, acknowledged and cleared by people, cleared by reboots.

Enters: KernelEvents, and what an operator says. Leaves: Conditions: what is still wrong with which device, how often it
has come back, and what to do now. The history is a file of JSON lines, `events.jsonl` (event_file.py); clearing adds a
line to it. It is bounded by ALIKE_MAX. A reboot ends what a reboot mends; what has come back after two of them
wants a look at the hardware (as gpud, leptonai/gpud, does).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from watchkeeper.errors import NotFound, StoreError
from watchkeeper.host.check import CheckSeverity
from watchkeeper.host.event_file import EventFile
from watchkeeper.host.kernel_events import KernelEvent
from watchkeeper.host.xid import ACTIONS, Origin, xid_entry

ALIKE_MAX = 1_000
"""Events of one kind and code on one device of which each is kept; of more, such as a job that is killed again and
again for months, the newest."""
REBOOTS_BEFORE_INSPECTION = 2
SAME_EVENT_S = 5.0
RECOVERY_CHANGED = 154
Key = tuple[str, str, int]
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
    """The history below a folder; without one it is kept in memory only.

    Several processes may have it open, an agent and a command of its operator say: each takes up with `refresh` what
    the others wrote.
    """

    def __init__(self, folder: Path | None, *, now_unix_ns: Callable[[], int]) -> None:
        self._file = EventFile(None if folder is None else folder / "events.jsonl")
        self._now_unix_ns = now_unix_ns
        self.events: list[KernelEvent] = []
        self.marks: list[Mark] = []
        self._ids: set[str] = set()
        self._alike: dict[Key, deque[KernelEvent]] = {}
        self.refresh()

    @property
    def trouble(self) -> str:
        """Say why the history could not be kept, "" when it is."""
        return self._file.trouble

    def refresh(self) -> list[KernelEvent]:
        """Take up what was written since the last time; gives the events among it that are new here.

        Cost: a look at the file's size, where nothing was.
        """
        fresh = [event for row in self._file.read() if (event := self._take(row)) is not None]
        if self._file.large:
            late = self._file.replace([*map(_event_row, self.events), *map(_mark_row, self.marks)])
            fresh += [event for row in late if (event := self._take(row)) is not None]
        return fresh

    def _take(self, row: dict[str, Any]) -> KernelEvent | None:
        """Take a row up; gives the event that is new by it."""
        try:
            if row["type"] == "event":
                event = KernelEvent(
                    row["kind"], CheckSeverity(row["severity"]), int(row["time_unix_ns"]), row["text"], row["device"],
                    int(row["code"]), row["boot_id"], row["source"], row["attributes"],
                    int(row.get("since_boot_us", -1)),
                )  # fmt: skip
                if not self._known(event):
                    self._keep(event)
                    return event
            elif row["type"] == "mark":
                mark = Mark(**{name: row[name] for name in Mark.__dataclass_fields__})
                if mark not in self.marks:
                    self.marks.append(mark)
        except (KeyError, TypeError, ValueError):
            return None
        return None

    def _keep(self, event: KernelEvent) -> None:
        """Keep an event; of those alike the newest ALIKE_MAX at the least, and a tenth more at the most."""
        alike = self._alike.setdefault(_key(event), deque())
        alike.append(event)
        self.events.append(event)
        self._ids.add(event.id)
        if len(alike) > ALIKE_MAX + ALIKE_MAX // 10:
            gone = {alike.popleft().id for _ in range(len(alike) - ALIKE_MAX)}
            self._ids -= gone
            self.events = [each for each in self.events if each.id not in gone]

    def _known(self, event: KernelEvent) -> bool:
        # Rows of older versions do not tell the kernel's own time, and know their events by the time of day.
        if event.id in self._ids or replace(event, since_boot_us=-1).id in self._ids:
            return True
        alike = self._alike.get(_key(event))
        if alike is None or len(alike) < ALIKE_MAX or event.since_boot_us < 0:
            return False
        # Of so many alike, what came before them was known once.
        return event.boot_id == alike[0].boot_id and event.since_boot_us < alike[0].since_boot_us

    def add(self, events: Iterable[KernelEvent], *, since_unix_ns: int | None = None) -> list[KernelEvent]:
        """Keep events that are new, and give them; an XID that both NVML and the kernel's log tell counts once.

        since_unix_ns: when was looked before. What NVML tells came at some time since then, and bears that of the look.
        """
        fresh = []
        for event in events:
            if self._known(event) or (event.source == "NVML" and self._told(event, since_unix_ns)):
                continue
            self._keep(event)
            fresh.append(event)
        if fresh:
            self._file.append(map(_event_row, fresh))
        return fresh

    def _told(self, event: KernelEvent, since_unix_ns: int | None) -> bool:
        """Tell whether the kernel's log has told what NVML tells."""
        near_ns, until_unix_ns = int(SAME_EVENT_S * 1e9), event.time_unix_ns
        first_unix_ns = until_unix_ns if since_unix_ns is None else min(since_unix_ns, until_unix_ns)
        return any(
            _key(each) == _key(event)
            and each.source != "NVML"
            and first_unix_ns - near_ns <= each.time_unix_ns <= until_unix_ns + near_ns
            for each in reversed(self.events[-1000:])
        )

    def mark(self, action: str, *, by: str, device: str = "", kind: str = "", code: int = 0, note: str = "") -> int:
        """Acknowledge or clear conditions, and say how many.

        Raises NotFound when there is none such, StoreError when it cannot be kept; nothing is marked then.
        """
        mark = Mark(action, self._now_unix_ns(), by, note, device, kind, code)
        touched = [each for each in self.conditions("") if any(mark.covers(event) for event in each.events)]
        if not touched:
            raise NotFound(f"nothing is open for {device or 'any device'}; see `watchkeeper gpu history`")
        self._file.append([_mark_row(mark)])
        if self.trouble:
            raise StoreError(f"{self.trouble}; nothing was marked. Run it as the user whose home folder that is")
        self.marks.append(mark)
        return len(touched)

    def conditions(self, boot_id: str, *, since_application_s: float | None = None) -> list[Condition]:
        """Give what is still wrong, gravest first; `boot_id` is the running boot, "" takes every boot as running.

        Faults of applications older than `since_application_s` are left out: the next program starts afresh.
        """
        groups: dict[Key, list[KernelEvent]] = {}
        clears = [mark for mark in self.marks if mark.action == "clear"]
        for event in self.events:
            told = event.severity is not CheckSeverity.INFO or event.code == RECOVERY_CHANGED
            if told and not any(mark.covers(event) for mark in clears):
                groups.setdefault(_key(event), []).append(event)
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


def _key(event: KernelEvent) -> Key:
    """Give what events have in common that are alike."""
    return event.device, event.kind, event.code


def _event_row(event: KernelEvent) -> dict[str, Any]:
    return {"type": "event", **event.as_dict()}


def _mark_row(mark: Mark) -> dict[str, Any]:
    return {"type": "mark", **asdict(mark)}


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
