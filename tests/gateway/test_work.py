from __future__ import annotations

import asyncio
import threading

import pytest

from watchkeeper.errors import QueueFull
from watchkeeper.gateway.work import Pool, SingleFlight


def test_a_pool_bounds_what_runs_and_waits():
    async def scenario():
        pool, release = Pool("things", 1, 1), threading.Event()
        running = [asyncio.ensure_future(pool.run(release.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(QueueFull, match="2 things run or wait"):
            await pool.run(release.wait)
        running[0].cancel()
        await asyncio.sleep(0)
        assert pool.busy == 2, "who stops waiting does not stop the work"
        release.set()
        assert await running[1] is True
        while pool.busy:
            await asyncio.sleep(0.001)
        with pytest.raises(ZeroDivisionError):
            await pool.run(lambda: 1 / 0)
        pool.close()

    asyncio.run(scenario())


def test_those_who_ask_at_once_share_one_answer_and_errors_are_not_kept():
    async def scenario():
        now, made = [0.0], []
        shared = SingleFlight(1.0, clock=lambda: now[0])

        async def make():
            made.append(1)
            await asyncio.sleep(0)
            if len(made) == 2:
                raise QueueFull("no")
            return len(made)

        assert await asyncio.gather(*(shared.get("k", make) for _ in range(5))) == [1] * 5
        assert await shared.get("k", make) == 1
        now[0] = 1.0
        with pytest.raises(QueueFull):
            await shared.get("k", make)
        assert await shared.get("k", make) == 3
        assert await shared.get("other", make) == 4

    asyncio.run(scenario())


def test_who_goes_away_does_not_spoil_the_answer_of_the_others():
    async def scenario():
        shared, release = SingleFlight(1.0), asyncio.Event()

        async def make():
            await release.wait()
            return "answer"

        first = asyncio.ensure_future(shared.get("k", make))
        second = asyncio.ensure_future(shared.get("k", make))
        await asyncio.sleep(0)
        first.cancel()
        release.set()
        assert await second == "answer"

    asyncio.run(scenario())


def test_old_answers_are_forgotten():
    async def scenario():
        now = [0.0]
        shared = SingleFlight(1.0, clock=lambda: now[0])

        async def make():
            return 1

        for key in range(2000):
            now[0] += 0.1
            await shared.get(key, make)
        assert len(shared._tasks) <= 300

    asyncio.run(scenario())
