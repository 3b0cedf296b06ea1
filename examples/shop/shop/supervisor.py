"""Starts the processes of the shop, keeps them up, and ends them all.

Order up: Redis, the services, nginx, the followers of log files, the load; down: the other way round. A process that
dies by itself is started again, a few times. Faults are fault_desk.py's affair, the API control.py's.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx
import psutil

from shop.edge import nginx_command, redis_command
from shop.edge_logs import run_edge_logs
from shop.layout import LOOPBACK, SERVICES, VERSION, Layout
from shop.load import run_load
from shop.processes import Nursery
from shop.serve import run_service

READY_S = 20.0
POLL_S = 0.05
GRACE_S = 4.0
RESTARTS_MAX = 5
RESTARTS_WITHIN_S = 60.0


class StartFailed(RuntimeError):
    """A process of the shop did not become ready, or died too often."""


@dataclass
class Child:
    """One process: how it is started, and what became of it."""

    name: str
    target: str
    arguments: dict[str, Any]
    pid: int = 0
    wanted: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    restarts: deque[float] = field(default_factory=lambda: deque(maxlen=RESTARTS_MAX))


class Supervisor:
    """All processes of one shop."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.children: dict[str, Child] = {}
        self.failed: asyncio.Event = asyncio.Event()
        self.client = httpx.AsyncClient(timeout=2.0, trust_env=False, verify=layout.verify)
        self._restarting: set[asyncio.Task[None]] = set()
        self._version_before: dict[str, str] = {}
        targets = {
            "service": partial(run_service, layout),
            "edge-logs": partial(run_edge_logs, layout),
            "load": partial(run_load, layout),
        }
        self._nursery = Nursery.open(targets, layout.folder, self._on_exit)

    async def start(self) -> None:
        """Start everything and wait until it answers; raises StartFailed with what did not."""
        layout = self.layout
        self._nursery.listen()
        if layout.redis:
            await self._start(Child("redis", "exec", {"argv": redis_command(layout)}))
        for name in layout.sockets:
            await self._start(Child(name, "service", {"version": VERSION}))
        if layout.nginx:
            await self._start(Child("nginx", "exec", {"argv": nginx_command(layout)}))
        for program in ("nginx", "redis"):
            if program in self.children:
                await self._start(Child(f"{program}-logs", "edge-logs", {"program": program}))
        await asyncio.gather(
            *(self.ready(name) for name in layout.sockets), self._answers("nginx"), self._answers("redis")
        )
        if layout.rate > 0 and "frontend" in layout.sockets:
            await self._start(Child("load", "load", {}))

    async def ready(self, service: str) -> None:
        """Wait until a service answers."""
        deadline = time.monotonic() + READY_S
        while True:
            with contextlib.suppress(httpx.HTTPError):
                answer = await self.client.get(f"{self.layout.address(service)}/_control/health")
                if answer.json()["pid"] == self.children[service].pid:
                    return
            if time.monotonic() > deadline or self.failed.is_set():
                raise StartFailed(f"{service} did not answer; its output is {self.layout.folder / (service + '.out')}")
            await asyncio.sleep(POLL_S)

    async def replace(self, service: str, version: str, fault: dict[str, float] | None = None) -> None:
        """End a service and start it in another version; meanwhile its callers wait, for its port stays open."""
        await self.end(service)
        child = self.children[service]
        self._version_before[service] = child.arguments["version"]
        child.arguments = {"name": service, "version": version, **({"fault": fault} if fault else {})}
        await self._start(child)
        await self.ready(service)

    async def restart(self, name: str) -> None:
        """End a process, if it runs, and start it again as it was, in the same version; raises KeyError for none."""
        child = self.children[name]
        await self.end(name)
        await self._start(child)
        await (self.ready(name) if name in SERVICES else self._answers(name))

    async def roll_back(self, service: str) -> str:
        """Replace a service by the version that ran before; gives that version, raises KeyError when there is none."""
        version = self._version_before[service]
        await self.replace(service, version)
        return version

    async def end(self, name: str) -> None:
        """End one process and wait until it has."""
        child = self.children[name]
        child.wanted = False
        await self._end(child)

    async def resume(self, name: str) -> None:
        """Start a process that was ended; one that runs again already is left alone."""
        if self.children[name].wanted:
            return
        await self._start(self.children[name])
        await self._answers(name)

    async def stop(self) -> None:
        """End everything; what does not end in GRACE_S is killed."""
        for child in self.children.values():
            child.wanted = False
        for task in list(self._restarting):
            task.cancel()
        waves = (["load"], ["nginx"], list(SERVICES), ["redis"], ["nginx-logs", "redis-logs"])
        for wave in waves:
            await asyncio.gather(*(self._end(self.children[name]) for name in wave if name in self.children))
        await self.client.aclose()
        self.close()

    def close(self) -> None:
        """Let go of the nursery and, with it, of whatever still runs."""
        self._nursery.close()
        for opened in (*self.layout.sockets.values(), *self.layout.reserved):
            opened.close()

    def usage(self) -> dict[str, dict[str, float]]:
        """Give each process's CPU time in seconds since its start and memory in bytes (shared memory in shares)."""
        table = {}
        pids = {name: child.pid for name, child in self.children.items() if not child.ended.is_set()}
        for name, pid in {**pids, "supervisor": os.getpid(), "nursery": self._nursery.pid}.items():
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                times, memory = process.cpu_times(), process.memory_full_info()
                table[name] = {
                    "cpu_s": round(times.user + times.system, 2),
                    "memory_bytes": getattr(memory, "pss", memory.rss),
                }
        return table

    async def _start(self, child: Child) -> None:
        self.children[child.name] = child
        child.arguments["name"] = child.name
        child.ended.clear()
        child.wanted = True
        child.pid = await self._nursery.start(child.target, child.arguments)

    async def _end(self, child: Child) -> None:
        if child.ended.is_set() or not child.pid:
            return
        _signal(child.pid, signal.SIGTERM)
        try:
            await asyncio.wait_for(child.ended.wait(), GRACE_S)
        except TimeoutError:
            _signal(child.pid, signal.SIGKILL)
            await child.ended.wait()

    def _on_exit(self, pid: int, status: int) -> None:
        if pid == self._nursery.pid:
            print("shop: the nursery ended, and with it everything else", flush=True)
            for child in self.children.values():
                child.wanted = False
                child.ended.set()
            self.failed.set()
            return
        for child in self.children.values():
            if child.pid == pid:
                child.ended.set()
                if child.wanted:
                    self._bring_back(child, status)

    def _bring_back(self, child: Child, status: int) -> None:
        """Start a process again that ended by itself; give up when that was needed too often lately."""
        now = time.monotonic()
        print(f"shop: {child.name} (process {child.pid}) ended by itself with status {status}", flush=True)
        if len(child.restarts) == RESTARTS_MAX and now - child.restarts[0] < RESTARTS_WITHIN_S:
            self.failed.set()
            return
        child.restarts.append(now)
        task = asyncio.get_running_loop().create_task(self._start(child))
        self._restarting.add(task)
        task.add_done_callback(self._restarting.discard)

    async def _answers(self, name: str) -> None:
        """Wait until nginx or Redis takes connections, when it is used."""
        port = {"nginx": self.layout.nginx_port, "redis": self.layout.redis_port}.get(name)
        if port is None or name not in self.children:
            return
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline and not self.failed.is_set():
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(LOOPBACK, port)
                writer.close()
                return
            await asyncio.sleep(POLL_S)
        raise StartFailed(f"{name} did not answer on port {port}; its output is {self.layout.folder / (name + '.out')}")


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
