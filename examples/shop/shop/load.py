"""The load generator: customers who come by the clock, whatever the shop does, look around, and sometimes buy.

Open loop: visits arrive as a Poisson process, so a slow shop has more of them at once, as in life. The first visits
walk every path of the shop once, the rare ones too (a declined card, an unknown coupon), so that whoever learns what
is normal has seen it all early. The same seed gives the same visits. Writes its counts to load.json each second.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import random
import signal
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from shop import data
from shop.layout import Layout

STATS_FILE = "load.json"
REQUESTS_A_VISIT = 5.6
VISITS_AT_ONCE_MAX = 200
THINK_S = 0.4
STATS_EVERY_S = 1.0
PEER_POLL_S = 0.25
RECENT = 4_000

GOOD_CARDS = tuple(f"4000 0000 0000 {number}" for number in range(1001, 1100))
DECLINED_CARD = "4000 0000 0000 0002"
SLOW_CARD = "4000 0000 0000 0044"
WORDS = ("tea", "coffee", "books", "green", "classic", "winter")
UNKNOWN_WORD = "elephant"
AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64) Firefox/142.0",
    "Mozilla/5.0 (Macintosh) Safari/26.0",
    "ShopApp/3.2 (Android)",
)


@dataclass
class Step:
    """One request of a visit: method, path, query and JSON body."""

    method: str
    path: str
    params: dict[str, Any] = field(default_factory=dict)
    body: dict[str, Any] | None = None


def visit(chance: random.Random) -> list[Step]:
    """Give the requests of one visit."""
    customer = chance.randrange(data.CUSTOMERS) if chance.random() < 0.85 else data.CUSTOMERS + chance.randrange(10**6)
    steps = [Step("GET", "/", {"customer": customer})]
    if chance.random() < 0.5:
        word = UNKNOWN_WORD if chance.random() < 0.04 else chance.choice(WORDS)
        steps.append(Step("GET", "/search", {"q": word}))
    seen = [_popular(chance) for _ in range(1 + chance.randrange(3))]
    steps += [Step("GET", f"/products/{sku}", {"customer": customer}) for sku in seen]
    if chance.random() < 0.01:
        steps.append(Step("GET", f"/products/{data.PRODUCTS + chance.randrange(50)}", {"customer": customer}))
    if chance.random() < 0.65:
        chosen = seen[: 1 + chance.randrange(len(seen))]
        steps += [Step("POST", f"/cart/{customer}", body={"sku": sku, "quantity": 1}) for sku in chosen]
        steps.append(Step("GET", f"/cart/{customer}"))
        if chance.random() < 0.75:
            steps.append(Step("POST", f"/checkout/{customer}", body=_payment(chance)))
    return steps


def tour() -> Iterator[list[Step]]:
    """Give visits that together walk every path, the rare ones twice."""
    for turn in range(2):
        for position, payment in enumerate(
            (
                {"card": GOOD_CARDS[0]},
                {"card": DECLINED_CARD},
                {"card": SLOW_CARD},
                {"card": GOOD_CARDS[1], "coupon": "EASTER99"},
                {"card": GOOD_CARDS[2], "coupon": "SPRING10"},
            )
        ):
            customer = 10 * turn + position
            yield [
                Step("GET", "/", {"customer": customer}),
                Step("POST", f"/cart/{customer}", body={"sku": 10 + customer, "quantity": 1}),
                Step("POST", f"/checkout/{customer}", body=payment),
            ]
        customer = data.CUSTOMERS + 10 + turn
        yield [Step("GET", "/", {"customer": customer}), Step("GET", f"/products/{data.PRODUCTS + turn}")]
        yield [Step("GET", "/search", {"q": word}) for word in (*WORDS, UNKNOWN_WORD)]
        yield [
            Step("GET", f"/products/{sku + turn}", {"customer": customer})
            for sku in range(0, data.PRODUCTS, data.SHELF)
        ]
        yield [Step("POST", f"/checkout/{customer}", body={"card": GOOD_CARDS[3]})]
        yield [
            Step("POST", f"/cart/{customer}", body={"sku": 20 + turn, "quantity": 20}),
            Step("POST", f"/checkout/{customer}", body={"card": GOOD_CARDS[3]}),
        ]


def arrivals(rate: float, day_s: float, chance: random.Random) -> Iterator[float]:
    """Give the times of visits in seconds from the start, for `rate` requests a second on average.

    With `day_s` > 0 the rate swings once in that time between 0.4 and 1.6 of it, as over a day (thinning of a Poisson
    process).
    """
    visits_per_s, now = rate / REQUESTS_A_VISIT, 0.0
    peak = visits_per_s * (1.6 if day_s > 0 else 1.0)
    while True:
        now += chance.expovariate(peak)
        swing = 1 + 0.6 * math.sin(2 * math.pi * now / day_s) if day_s > 0 else 1.0
        if chance.random() * peak <= visits_per_s * swing:
            yield now


def _popular(chance: random.Random) -> int:
    """Give a product; half of all looks go to a tenth of them."""
    return int(data.PRODUCTS * chance.random() ** 3.3)


def _payment(chance: random.Random) -> dict[str, Any]:
    draw = chance.random()
    card = DECLINED_CARD if draw < 0.03 else SLOW_CARD if draw < 0.045 else chance.choice(GOOD_CARDS)
    draw = chance.random()
    coupon = "SPRING10" if draw < 0.1 else "EASTER99" if draw < 0.12 else ""
    return {"card": card, "coupon": coupon}


class Load:
    """Sends the visits and counts what comes back."""

    def __init__(self, client: httpx.AsyncClient, *, rate: float, day_s: float, seed: int, file: Path) -> None:
        self._client = client
        self._rate = rate
        self._day_s = day_s
        self._chance = random.Random(seed)
        self._file = file
        self._visits: set[asyncio.Task[None]] = set()
        self._recent: deque[tuple[float, float]] = deque(maxlen=RECENT)  # (monotonic s, duration s)
        self._statuses: dict[int, int] = {}
        self._turned_away = 0

    async def run(self) -> None:
        """Send visits until cancelled."""
        started = time.monotonic()
        routes = tour()
        for moment in arrivals(self._rate, self._day_s, self._chance):
            await asyncio.sleep(started + moment - time.monotonic())
            if len(self._visits) >= VISITS_AT_ONCE_MAX:
                self._turned_away += 1
                continue
            own = random.Random(self._chance.getrandbits(64))  # visits overlap; each draws from its own
            task = asyncio.create_task(self._visit(next(routes, []) or visit(own), own))
            self._visits.add(task)
            task.add_done_callback(self._visits.discard)

    async def tell(self) -> None:
        """Write the counts each second, whole or not at all."""
        while True:
            await asyncio.sleep(STATS_EVERY_S)
            fresh = self._file.with_suffix(".new")
            fresh.write_text(json.dumps(self.stats()), encoding="utf-8")
            fresh.replace(self._file)

    def stats(self) -> dict[str, Any]:
        """Give the counts; durations in milliseconds over the last RECENT answers."""
        now = time.monotonic()
        durations = sorted(duration for _, duration in self._recent) or [0.0]
        lately = sum(now - moment < 10 for moment, _ in self._recent)
        return {
            "requests": sum(self._statuses.values()),
            "failed": sum(count for status, count in self._statuses.items() if status == 0 or status >= 500),
            "by_status": {str(status): count for status, count in sorted(self._statuses.items())},
            "per_second": round(lately / 10, 1),
            "p50_ms": round(durations[len(durations) // 2] * 1000, 1),
            "p95_ms": round(durations[int(len(durations) * 0.95)] * 1000, 1),
            "visits_now": len(self._visits),
            "turned_away": self._turned_away,
        }

    async def _visit(self, steps: list[Step], chance: random.Random) -> None:
        agent = {"User-Agent": chance.choice(AGENTS)}
        for step in steps:
            started = time.monotonic()
            try:
                answer = await self._client.request(
                    step.method, step.path, params=step.params, json=step.body, headers=agent
                )
                status = answer.status_code
            except httpx.HTTPError:
                status = 0
            ended = time.monotonic()
            self._recent.append((ended, ended - started))
            self._statuses[status] = self._statuses.get(status, 0) + 1
            await asyncio.sleep(chance.expovariate(1 / THINK_S))


def run_load(layout: Layout, _arguments: dict[str, Any]) -> None:
    """Send load until SIGTERM."""
    for listening in layout.sockets.values():
        listening.close()
    asyncio.run(_run(layout))


async def _opened(client: httpx.AsyncClient, layout: Layout, load: Load) -> None:
    """Send visits once the parts of the shop that are elsewhere are open, or the first ones would meet a half of it."""
    for service in layout.spread.peers:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if (await client.get(f"{layout.address(service)}/_control/health")).is_success:
                    break
            await asyncio.sleep(PEER_POLL_S)
    await load.run()


async def _run(layout: Layout) -> None:
    limits = httpx.Limits(max_connections=VISITS_AT_ONCE_MAX, keepalive_expiry=30)
    async with httpx.AsyncClient(
        base_url=layout.front, timeout=15.0, limits=limits, trust_env=False, verify=layout.verify
    ) as client:
        load = Load(client, rate=layout.rate, day_s=layout.day_s, seed=layout.seed, file=layout.folder / STATS_FILE)
        work = asyncio.gather(_opened(client, layout, load), load.tell())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
        try:
            await work
        except asyncio.CancelledError:
            return
