"""`python -m shop up`: one shop, from its start to Ctrl-C.

Everything heavy is imported here, before the nursery is forked, so that the services inherit it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import importlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import uvicorn

from shop.control import control_app
from shop.fault_desk import FaultDesk
from shop.layout import LOOPBACK, SERVICES, STATE_FILE, Layout
from shop.load import STATS_FILE
from shop.supervisor import StartFailed, Supervisor

LOCK_FILE = "lock"


class _Control(uvicorn.Server):
    """A server whose signals are the supervisor's affair."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run(layout: Layout, *, say: TextIO, json_ready: bool, started: float) -> int:
    """Run a shop until SIGINT or SIGTERM; gives the exit status. `started` is the monotonic time of the command."""
    with (layout.folder / LOCK_FILE).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print(f"a shop runs in {layout.folder} already; stop it, or choose another --folder", file=sys.stderr)
            return 2
        for old in (STATS_FILE, STATE_FILE):
            (layout.folder / old).unlink(missing_ok=True)
        for name in SERVICES:
            importlib.import_module(f"shop.services.{name}")
        supervisor = Supervisor(layout)
        try:
            return asyncio.run(_run(supervisor, say=say, json_ready=json_ready, started=started))
        finally:
            supervisor.close()
            (layout.folder / STATE_FILE).unlink(missing_ok=True)


async def _run(supervisor: Supervisor, *, say: TextIO, json_ready: bool, started: float) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    desk = FaultDesk(supervisor)
    with socket.create_server((LOOPBACK, 0)) as listening:
        config = uvicorn.Config(control_app(supervisor, desk), lifespan="off", access_log=False, log_config=None)
        control = _Control(config)
        serving = asyncio.create_task(control.serve(sockets=[listening]))
        try:
            starting = asyncio.create_task(supervisor.start())
            await _first(starting, stop.wait())
            if starting.done():
                await starting
                state = _state(supervisor.layout, listening.getsockname()[1])
                _publish(supervisor.layout.folder / STATE_FILE, state)
                print(json.dumps(state) if json_ready else _greeting(supervisor, state, started), file=say, flush=True)
            else:
                starting.cancel()
                await asyncio.wait([starting])
            await _first(stop.wait(), supervisor.failed.wait())
        except StartFailed as error:
            print(f"shop: {error}", file=sys.stderr)
            return 1
        finally:
            await desk.close()
            await supervisor.stop()
            control.should_exit = True
            await serving
    return 1 if supervisor.failed.is_set() else 0


async def _first(*works: Any) -> None:
    """Wait for the first of some works; the others are left if they are tasks of somebody else, else cancelled."""
    tasks = {work if isinstance(work, asyncio.Task) else asyncio.ensure_future(work): work for work in works}
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task, work in tasks.items():
        if task is not work:
            task.cancel()


def _state(layout: Layout, control_port: int) -> dict[str, Any]:
    return {
        "control": f"http://{LOOPBACK}:{control_port}",
        "front": layout.front,
        "otlp": layout.otlp,
        "pid": os.getpid(),
        "folder": str(layout.folder),
        "nginx": layout.nginx_port is not None,
        "carts": "redis" if layout.redis else "sqlite",
    }


def _publish(file: Path, state: dict[str, Any]) -> None:
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(state), encoding="utf-8")
    fresh.replace(file)


def _greeting(supervisor: Supervisor, state: dict[str, Any], started: float) -> str:
    memory = sum(row["memory_bytes"] for row in supervisor.usage().values()) / 2**20
    front = "nginx" if state["nginx"] else "the frontend itself (nginx is not installed or not wanted)"
    carts = "Redis" if state["carts"] == "redis" else "a SQLite file (Redis is not installed or not wanted)"
    return "\n".join(
        (
            f"The shop is open after {time.monotonic() - started:.1f} s: {state['front']}",
            f"  in front: {front}",
            f"  carts in: {carts}",
            f"  telemetry to: {state['otlp']}",
            f"  load: {supervisor.layout.rate:g} requests/s; memory of all processes: {memory:.0f} MiB",
            "  faults: python -m shop fault list | on KIND | off    Ctrl-C ends the shop",
        )
    )
