"""Where blocking work of the gateway runs: bounded pools of threads, and answers shared by those who ask at once.

Enters: functions that block (queries). Leaves: their results, in the event loop. Work beyond the bound is refused at
once with QueueFull (429), so that a page of slow queries can neither hold up ingest nor pile up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from watchkeeper.errors import QueueFull

P = ParamSpec("P")
T = TypeVar("T")

QUERY_THREADS = 4
QUERIES_WAITING_MAX = 32
SQL_THREADS = 2
SQL_WAITING_MAX = 4
LIVE_THREADS = 2
INGEST_THREADS = 2
INGEST_WAITING_MAX = 64
LIVE_WAITING_MAX = 256
OUTSIDE_THREADS = 2
OUTSIDE_WAITING_MAX = 16
CACHED_MAX = 256


class Pool:
    """Threads for one kind of work, with a bound on what waits for them. For one event loop."""

    def __init__(self, name: str, threads: int, waiting_max: int) -> None:
        self._name = name
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=f"gateway-{name}")
        self._most = threads + waiting_max
        self.busy = 0

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function in a thread; raises QueueFull when too many wait already, and what the function raises."""
        if self.busy >= self._most:
            raise QueueFull(f"{self.busy} {self._name} run or wait already; ask again in a second", retry_after_s=1.0)
        self.busy += 1
        future = asyncio.get_running_loop().run_in_executor(self._executor, lambda: function(*args, **kwargs))
        future.add_done_callback(self._done)
        return await asyncio.shield(future)

    def _done(self, future: asyncio.Future[Any]) -> None:
        self.busy -= 1
        if not future.cancelled():
            future.exception()

    def close(self) -> None:
        """Let go of the threads without waiting for them."""
        self._executor.shutdown(wait=False, cancel_futures=True)


class SingleFlight:
    """Answers that are kept for a moment; those who ask for the same one while it is being made wait for that one."""

    def __init__(self, keep_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._keep_s = keep_s
        self._clock = clock
        self._tasks: dict[Hashable, tuple[float, asyncio.Task[Any]]] = {}

    async def get(self, key: Hashable, make: Callable[[], Awaitable[T]]) -> T:
        """Give the answer for the key, made anew when it is older than `keep_s`; an error is told but not kept."""
        begun, task = self._tasks.get(key, (0.0, None))
        if task is None or (task.done() and self._clock() - begun >= self._keep_s) or _failed(task):
            self._forget_old()
            task = asyncio.ensure_future(_await(make))
            self._tasks[key] = (self._clock(), task)
        return await asyncio.shield(task)

    def _forget_old(self) -> None:
        if len(self._tasks) < CACHED_MAX:
            return
        now = self._clock()
        for key, (begun, task) in list(self._tasks.items()):
            if task.done() and now - begun >= self._keep_s:
                del self._tasks[key]


def _failed(task: asyncio.Task[Any]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


async def _await(make: Callable[[], Awaitable[T]]) -> T:
    return await make()


class Work:
    """The pools of one gateway: its own queries, SQL of users, live tails and status, `POST /logs`, slow looks."""

    def __init__(self) -> None:
        self.queries = Pool("queries", QUERY_THREADS, QUERIES_WAITING_MAX)
        self.sql = Pool("SQL statements", SQL_THREADS, SQL_WAITING_MAX)
        self.live = Pool("live tails", LIVE_THREADS, LIVE_WAITING_MAX)
        self.ingest = Pool("uploads", INGEST_THREADS, INGEST_WAITING_MAX)
        self.outside = Pool("looks at drivers and object stores", OUTSIDE_THREADS, OUTSIDE_WAITING_MAX)

    def close(self) -> None:
        """Let go of all threads."""
        for pool in (self.queries, self.sql, self.live, self.ingest, self.outside):
            pool.close()
