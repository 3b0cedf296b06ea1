"""The last ten minutes of counters of each GPU, so that rates can be told; kept in a small JSON file between runs.

Enters: GpuSnapshots with their times. Leaves: how much a counter grew over a window, or None when two readings of the
same driver's life are not at hand. A counter that went down was reset: the growth before that is not claimed.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import orjson

from watchkeeper.host.gpu import THROTTLE_HARDWARE, Gpu, GpuSnapshot

TRAIL_SCHEMA_VERSION = 1
KEEP_S = 600.0
_SLACK_S = 60.0
_READINGS_MAX = 720


class Reading(NamedTuple):
    """Counters of one GPU at one moment; those not read are absent."""

    time_unix_ns: int
    counters: dict[str, float]


class Growth(NamedTuple):
    """How much a counter grew, and over how many seconds."""

    amount: float
    seconds: float

    @property
    def per_second(self) -> float:
        """Give the growth a second."""
        return self.amount / self.seconds if self.seconds > 0 else 0.0


class Throttled(NamedTuple):
    """At how many of so many readings the clocks were held down, and over how many seconds these were."""

    readings: int
    held: int
    seconds: float

    @property
    def per_minute(self) -> float:
        """Give the events a minute; of readings more than a minute apart each stands for all of its minutes."""
        return max(self.held / (self.seconds / 60), self.held / self.readings) if self.seconds > 0 else 0.0


def counters_of(gpu: Gpu) -> dict[str, float]:
    """Pick the counters whose growth is judged."""
    crc = [value for value in (gpu.links_total("crc_flit"), gpu.links_total("crc_data")) if value is not None]
    rows = {
        "pcie_replays": gpu.pcie_replays,
        "power_violation_ns": gpu.power_violation_ns,
        "thermal_violation_ns": gpu.thermal_violation_ns,
        "nvlink_replay": gpu.links_total("replay"),
        "nvlink_recovery": gpu.nvlink_recovery_events or gpu.links_total("recovery"),
        "nvlink_crc": sum(crc) if crc else None,
        "throttled": None if gpu.throttle_reasons is None else float(bool(gpu.throttle_reasons & THROTTLE_HARDWARE)),
    }
    return {name: float(value) for name, value in rows.items() if value is not None}


class Trail:
    """Readings of the last ten minutes by GPU; how long processes have been stuck; how often links have dropped."""

    def __init__(self, boot_id: str = "") -> None:
        self._boot_id = boot_id
        self._readings: dict[str, deque[Reading]] = {}
        self.stuck: dict[str, int] = {}
        self.link_drops: dict[str, int] = {}

    def count_stuck(self, keys: list[str]) -> None:
        """Count for how many checks in a row each process has been stuck; one that is not named starts anew."""
        self.stuck = {key: self.stuck.get(key, 0) + 1 for key in keys}

    def new_drops(self, drops: dict[str, int]) -> dict[str, int]:
        """Give by how much each port's count of drops grew since the last check; nothing for a port seen first."""
        known, self.link_drops = self.link_drops, drops
        return {name: count - known[name] for name, count in drops.items() if count > known.get(name, count)}

    def add(self, snapshot: GpuSnapshot, time_unix_ns: int) -> None:
        """Take in a reading of all GPUs."""
        for gpu in snapshot.gpus:
            if gpu.error_code:
                continue
            rows = self._readings.setdefault(gpu.id, deque(maxlen=_READINGS_MAX))
            rows.append(Reading(time_unix_ns, counters_of(gpu)))
            # One more than the window holds is kept: readings a minute apart never span ten minutes exactly.
            while rows and rows[0].time_unix_ns < time_unix_ns - int((KEEP_S + _SLACK_S) * 1e9):
                rows.popleft()

    def growth(self, gpu_id: str, counter: str, window_s: float = KEEP_S) -> Growth | None:
        """Give the growth of a counter over a window, or since the reading before where readings are further apart.

        None without two readings of it.
        """
        rows = [row for row in self._readings.get(gpu_id, ()) if counter in row.counters]
        if len(rows) < 2:
            return None
        start_unix_ns = rows[-1].time_unix_ns - int(window_s * 1e9)
        inside = [row for row in rows if row.time_unix_ns >= start_unix_ns]
        if len(inside) < 2:
            inside = rows[-2:]
        steps = pairwise(inside)
        amount = sum(max(0.0, after.counters[counter] - before.counters[counter]) for before, after in steps)
        return Growth(amount, (inside[-1].time_unix_ns - inside[0].time_unix_ns) / 1e9)

    def throttled(self, gpu_id: str) -> Throttled | None:
        """Count the readings at which the hardware held the clocks down; None without two readings."""
        rows = [row for row in self._readings.get(gpu_id, ()) if "throttled" in row.counters]
        if len(rows) < 2:
            return None
        seconds = (rows[-1].time_unix_ns - rows[0].time_unix_ns) / 1e9
        return Throttled(len(rows), int(sum(row.counters["throttled"] for row in rows)), seconds)

    def save(self, path: Path) -> str:
        """Write the trail in the place of an older one; gives "" or why it could not."""
        data = {
            "schema_version": TRAIL_SCHEMA_VERSION,
            "boot_id": self._boot_id,
            "stuck": self.stuck,
            "link_drops": self.link_drops,
            "gpus": {name: [[row.time_unix_ns, row.counters] for row in rows] for name, rows in self._readings.items()},
        }
        # An agent and a command of its operator may write at once.
        beside = path.with_suffix(f".{os.getpid()}.new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(orjson.dumps(data))
            os.replace(beside, path)
        except OSError as error:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
            return f"{path} cannot be written: {error.strerror}"
        return ""

    @classmethod
    def load(cls, path: Path, boot_id: str) -> Trail:
        """Read a trail back; an empty one when there is none, or it is of another boot, or cannot be read."""
        trail = cls(boot_id)
        try:
            data = orjson.loads(path.read_bytes())
            if data["schema_version"] != TRAIL_SCHEMA_VERSION or data["boot_id"] != boot_id:
                return trail
            trail.stuck, trail.link_drops = dict(data["stuck"]), dict(data["link_drops"])
            for name, rows in data["gpus"].items():
                trail._readings[name] = deque((Reading(int(at), dict(row)) for at, row in rows), maxlen=_READINGS_MAX)
        except (OSError, orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            return cls(boot_id)
        return trail
