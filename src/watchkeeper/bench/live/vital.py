"""The vital signs of the shop, and whether they are back where they were.

Enters: nginx's access log and what the shop tells of its processes. Leaves: Signs of a window of time: share of failed
requests and latency at the front, memory and processor use of each process. Independent of what Watchkeeper sees.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

FAILED_MORE_MAX = 0.03
SLOWER_MAX, SLOWER_MAX_S = 1.5, 0.15
MEMORY_MORE_MAX_BYTES = 64 * 2**20
BUSIER_MAX = 0.35
REQUESTS_MIN = 20
WELL_FAILED_MAX, WELL_S_MAX = 0.02, 1.0
"""Of a shop without a fault: share of failed requests, p95. Beyond that a band around it says nothing."""


class Signs(NamedTuple):
    """One window: requests, share that failed, p95 in seconds; by process: bytes held, share of a core used."""

    requests: int
    failed: float
    p95_s: float
    memory_bytes: Mapping[str, float]
    busy: Mapping[str, float]


class Watch:
    """Reads signs over windows that begin when `mark` is called."""

    def __init__(self, folder: Path, status: Any) -> None:
        self._log = folder / "nginx" / "access.json"
        self._status = status
        self.mark()

    def mark(self) -> None:
        """Begin a window."""
        self._from_s, self._cpu = time.time(), self._usage()

    def signs(self) -> Signs:
        """Give the signs from the mark until now."""
        usage, now = self._usage(), time.time()
        rows = self._rows(self._from_s)
        took = [float(row["seconds"]) for row in rows]
        span = max(now - self._from_s, 0.1)
        return Signs(
            len(rows),
            sum(int(row["status"]) >= 500 for row in rows) / max(len(rows), 1),
            float(np.quantile(took, 0.95)) if took else 0.0,
            {name: each["memory_bytes"] for name, each in usage.items()},
            {
                name: max(0.0, each["cpu_s"] - self._cpu[name]["cpu_s"]) / span
                for name, each in usage.items()
                if name in self._cpu
            },
        )

    def _usage(self) -> dict[str, dict[str, float]]:
        return dict(self._status()["usage"])

    def _rows(self, from_s: float) -> list[dict[str, str]]:
        rows = []
        for line in self._log.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue  # the last line may be half written
            if float(row["time"]) >= from_s:
                rows.append(row)
        return rows


def unwell(signs: Signs) -> str:
    """Give what is wrong with a shop that has no fault, "" when it runs well."""
    if signs.requests < REQUESTS_MIN:
        return f"only {signs.requests} requests"
    if signs.failed > WELL_FAILED_MAX:
        return f"{signs.failed:.0%} of the requests fail"
    return f"p95 is {signs.p95_s * 1000:.0f} ms" if signs.p95_s > WELL_S_MAX else ""


def deviations(before: Signs, now: Signs) -> list[str]:
    """Give what lies outside the band of before, [] when all is back in it."""
    told = []
    if now.requests < REQUESTS_MIN:
        told.append(f"only {now.requests} requests")
    if now.failed > before.failed + FAILED_MORE_MAX:
        told.append(f"{now.failed:.0%} of the requests fail")
    if now.p95_s > before.p95_s * SLOWER_MAX + SLOWER_MAX_S:
        told.append(f"p95 is {now.p95_s * 1000:.0f} ms, was {before.p95_s * 1000:.0f} ms")
    for name, held in before.memory_bytes.items():
        if name not in now.memory_bytes:
            told.append(f"{name} is gone")
        elif now.memory_bytes[name] > held + MEMORY_MORE_MAX_BYTES:
            told.append(f"{name} holds {now.memory_bytes[name] / 2**20:.0f} MiB, held {held / 2**20:.0f} MiB")
    for name, share in now.busy.items():
        if share > before.busy.get(name, 0.0) + BUSIER_MAX:
            told.append(f"{name} uses {share:.0%} of a core")
    return told
