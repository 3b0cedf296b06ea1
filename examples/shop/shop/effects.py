"""What a fault does inside a service: the board of faults that are on, asked at each request and use of a dependency.

Every effect ends by itself at its deadline, whether or not anybody switches it off. Effects are real: real exceptions,
real waiting, a real core kept busy, real memory. Does not decide which faults are on.
"""

from __future__ import annotations

import asyncio
import logging
import random
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass

from shop.faults import Fault

MIB = 2**20
BURN_S = 0.4
LEAK_STEP_S = 0.25

_FAILURES: dict[str, Callable[[], Exception]] = {
    "frontend": lambda: LookupError("template 'home' has no block 'offers'"),
    "catalogue": lambda: sqlite3.OperationalError("database is locked"),
    "cart": lambda: TimeoutError("no connection from the pool of 8 within 500 ms"),
    "checkout": lambda: ValueError("order total 0.00 EUR is not the sum of its lines"),
    "payment": lambda: ConnectionResetError("card processor closed the connection during authorisation"),
    "recommendation": lambda: FloatingPointError("NaN in the item embeddings"),
}

_DEFECTS: dict[str, Callable[[], Exception]] = {
    "frontend": lambda: AttributeError("'NoneType' object has no attribute 'currency_symbol'"),
    "catalogue": lambda: sqlite3.OperationalError("no such column: products.discount_percent"),
    "cart": lambda: TypeError("Object of type Decimal is not JSON serializable"),
    "checkout": lambda: TypeError("reserve() missing 1 required keyword-only argument: 'warehouse'"),
    "payment": lambda: KeyError("settlement_currency"),
    "recommendation": lambda: ValueError("shapes (1,24) and (32,120) not aligned: 24 (dim 1) != 32 (dim 0)"),
}


@dataclass
class _Active:
    fault: Fault
    until: float  # monotonic seconds
    work: asyncio.Task[None] | None = None


class FaultBoard:
    """The faults that are on in this service."""

    def __init__(self, service: str, log: logging.Logger) -> None:
        self._service = service
        self._log = log
        self._active: dict[str, _Active] = {}
        self._chance = random.Random()
        self._leaked: list[bytearray] = []

    def switch_on(self, fault: Fault) -> None:
        """Put a fault on until its time is over; one of the same kind is replaced."""
        self.switch_off(fault.kind)
        active = _Active(fault, time.monotonic() + fault.seconds)
        if fault.kind == "cpu-burst":
            active.work = asyncio.create_task(self._burn(float(fault.parameters["busy_share"]), active.until))
        elif fault.kind == "memory-leak":
            active.work = asyncio.create_task(self._leak(fault, active.until))
        self._active[fault.kind] = active

    def switch_off(self, kind: str) -> bool:
        """Take a fault off; tells whether it was on."""
        active = self._active.pop(kind, None)
        if active is None:
            return False
        if active.work is not None:
            active.work.cancel()
        if kind == "memory-leak":
            self._leaked.clear()
        return True

    def active(self, kind: str) -> Fault | None:
        """Give the fault of a kind when it is on."""
        active = self._active.get(kind)
        if active is None:
            return None
        if time.monotonic() >= active.until:
            self.switch_off(kind)
            return None
        return active.fault

    async def strike(self) -> None:
        """Do to a request what the faults that are on do to requests: wait, or raise."""
        if not self._active:
            return
        slow = self.active("latency")
        if slow is not None and self._hits(slow):
            await asyncio.sleep(float(slow.parameters["delay_ms"]) / 1000 * self._chance.uniform(0.8, 1.2))
        failing = self.active("error-rate")
        if failing is not None and self._hits(failing):
            raise _FAILURES[self._service]()
        defect = self.active("bad-deploy")
        if defect is not None and self._hits(defect):
            raise _DEFECTS[self._service]()

    def is_down(self, dependency: str) -> bool:
        """Tell whether a dependency is made unreachable now."""
        fault = self.active("dependency-down")
        return fault is not None and fault.parameters["dependency"] == dependency

    def _hits(self, fault: Fault) -> bool:
        return self._chance.random() < float(fault.parameters["share"])

    async def _burn(self, busy_share: float, until: float) -> None:
        """Keep the event loop itself busy, as a calculation in a handler that forgot to leave it does."""
        while time.monotonic() < until:
            end = time.monotonic() + BURN_S
            value = 1
            while time.monotonic() < end:
                value = value * 31 % 1_000_003
            await asyncio.sleep(BURN_S * (1 - busy_share) / busy_share)

    async def _leak(self, fault: Fault, until: float) -> None:
        step = max(1, int(float(fault.parameters["mib_per_s"]) * MIB * LEAK_STEP_S))
        left = int(float(fault.parameters["mib_max"]) * MIB)
        while time.monotonic() < until:
            if left > 0:
                self._leaked.append(bytearray(b"\x5a") * min(step, left))
                left -= step
            await asyncio.sleep(LEAK_STEP_S)
        self._leaked.clear()
