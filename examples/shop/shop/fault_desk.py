"""Switches faults on and off, sees that each ends by itself, and writes the truth about them.

The truth is a JSON line for each fault that is over, in truth.jsonl: service, kind, start and end in Unix
nanoseconds, parameters. It is for measuring what a watcher found, so a watcher must not be shown it.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import asdict, dataclass
from typing import Any

import httpx

from shop.faults import KINDS, Fault, FaultRefused
from shop.layout import BAD_VERSION, TRUTH_FILE, VERSION
from shop.supervisor import StartFailed, Supervisor


@dataclass
class Running:
    """A fault that is on."""

    fault: Fault
    start_unix_ns: int
    timer: asyncio.TimerHandle

    def as_dict(self) -> dict[str, Any]:
        """Give it as data for JSON."""
        return {**asdict(self.fault), "start_unix_ns": self.start_unix_ns}


class FaultDesk:
    """The faults that are on in a shop."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._running: dict[tuple[str, str], Running] = {}
        self._busy = asyncio.Lock()
        self._endings: set[asyncio.Task[Any]] = set()
        self.truth = supervisor.layout.folder / TRUTH_FILE

    def running(self) -> list[dict[str, Any]]:
        """Give the faults that are on, oldest first."""
        return [each.as_dict() for each in self._running.values()]

    def usual_service(self, kind: str) -> str | None:
        """Give the service that a kind of fault usually strikes, of those that run here; None when it fits none."""
        here = self._supervisor.layout.sockets
        return next((name for name in KINDS[kind].services if name in here), None) if kind in KINDS else None

    async def switch_on(self, fault: Fault) -> dict[str, Any]:
        """Put a fault on; raises FaultRefused when the service has one of that kind already, or runs elsewhere."""
        key = (fault.kind, fault.service)
        if fault.service not in self._supervisor.layout.sockets:
            raise FaultRefused(f"{fault.service} does not run here, but at {self._address(fault)}")
        async with self._busy:
            if key in self._running:
                raise FaultRefused(f"{fault.kind} is on at {fault.service} already; switch it off first")
            start = time.time_ns()
            await self._begin(fault)
            loop = asyncio.get_running_loop()
            timer = loop.call_later(fault.seconds, self._end_by_itself, key)
            self._running[key] = Running(fault, start, timer)
            return self._running[key].as_dict()

    async def switch_off(self, kind: str | None = None, service: str | None = None) -> list[dict[str, Any]]:
        """Take faults off, all when nothing is named; gives the truths written."""
        async with self._busy:
            keys = [key for key in self._running if kind in (None, key[0]) and service in (None, key[1])]
            return [await self._finish(key) for key in keys]

    async def close(self) -> None:
        """Write the truth of what is still on; the services are ended anyway."""
        async with self._busy:
            for key in list(self._running):
                self._tell(self._running.pop(key))

    def _end_by_itself(self, key: tuple[str, str]) -> None:
        task = asyncio.get_running_loop().create_task(self.switch_off(*key))
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    async def _begin(self, fault: Fault) -> None:
        if fault.kind == "bad-deploy":
            defect = {"seconds": fault.seconds, "share": float(fault.parameters["share"])}
            await self._supervisor.replace(fault.service, BAD_VERSION, defect)
        elif self._takes_redis(fault):
            await self._supervisor.end("redis")
        else:
            answer = await self._supervisor.client.post(self._address(fault), json=asdict(fault))
            answer.raise_for_status()

    async def _finish(self, key: tuple[str, str]) -> dict[str, Any]:
        running = self._running.pop(key)
        running.timer.cancel()
        fault = running.fault
        try:
            if fault.kind == "bad-deploy":
                if self._supervisor.children[fault.service].arguments["version"] != VERSION:
                    await self._supervisor.replace(fault.service, VERSION)
            elif self._takes_redis(fault):
                await self._supervisor.resume("redis")
            else:
                await self._supervisor.client.delete(f"{self._address(fault)}/{fault.kind}", timeout=10.0)
        except (httpx.HTTPError, StartFailed) as error:
            print(f"shop: {fault.kind} at {fault.service} did not end in order: {error}", flush=True)
        return self._tell(running)

    def _tell(self, running: Running) -> dict[str, Any]:
        running.timer.cancel()
        fault = running.fault
        truth = {
            "service": fault.service,
            "kind": fault.kind,
            "start_unix_ns": running.start_unix_ns,
            "end_unix_ns": time.time_ns(),
            "parameters": fault.parameters,
        }
        with self.truth.open("a", encoding="utf-8") as file:
            file.write(json.dumps(truth) + "\n")
        return truth

    def _takes_redis(self, fault: Fault) -> bool:
        return (fault.kind, fault.service) == ("dependency-down", "cart") and self._supervisor.layout.redis is not None

    def _address(self, fault: Fault) -> str:
        return f"{self._supervisor.layout.address(fault.service)}/_control/faults"
