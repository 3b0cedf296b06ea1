"""What the event streams send: new log records for a tail, status, findings and incidents for a page.

Enters: the program's live feeds, each with a bounded queue for every stream. Leaves: Events. Feeds are looked at five
times a second rather than waited for, so that a stream costs no thread.
"""

from __future__ import annotations

import asyncio
import queue
from typing import Any, TypeVar

from watchkeeper.gateway.context import Gateway
from watchkeeper.gateway.shapes import finding_shape, times_as_text
from watchkeeper.gateway.sse import POLL_S, Event, Events
from watchkeeper.signals.schema import Signal
from watchkeeper.store.reads.live import LiveFilter
from watchkeeper.store.reads.logs import LogFilter

T = TypeVar("T")

LINES_A_POLL_MAX = 200
ITEMS_A_POLL_MAX = 1_000
STATUS_EVERY_S = 1.0


async def log_events(gateway: Gateway, chosen: LogFilter) -> Events:
    """Give `log` events, at most a thousand a second, and `dropped` with the count of those that were too many."""
    live = LiveFilter(chosen)
    told = 0
    try:
        with gateway.keeper.tail.subscribe() as subscriber:
            while True:
                batches = [batch for signal, batch in _drain(subscriber.batches) if signal is Signal.LOGS]
                if batches:
                    records, left_out = await gateway.work.live.run(live.matching, batches, limit=LINES_A_POLL_MAX)
                    for record in records:
                        yield Event("log", record)
                    missed, told = subscriber.missed_rows - told, subscriber.missed_rows
                    if left_out + missed:
                        yield Event("dropped", {"count": left_out + missed})
                yield None
                await asyncio.sleep(POLL_S)
    finally:
        live.close()


async def page_events(gateway: Gateway) -> Events:
    """Give `status` at once and every second, `finding` and `incident` for each that opens, changes or closes."""
    clock = asyncio.get_running_loop().time
    next_status = clock()
    keeper = gateway.keeper
    with keeper.findings.subscribe() as findings, keeper.incidents.store.subscribe() as incidents:
        while True:
            for finding in _drain(findings):
                yield Event("finding", finding_shape(finding))
            for incident in _drain(incidents):
                yield Event("incident", times_as_text(incident.summary()))
            if clock() >= next_status:
                yield Event("status", await shared_status(gateway))
                next_status = clock() + STATUS_EVERY_S
            yield None
            await asyncio.sleep(POLL_S)


async def shared_status(gateway: Gateway) -> dict[str, Any]:
    """Give the Status as the API shows it, made at most once a second for all who ask."""

    async def make() -> dict[str, Any]:
        shape: dict[str, Any] = times_as_text(await gateway.work.live.run(gateway.keeper.status))
        return shape

    return await gateway.shared.get("status", make)


def _drain(source: queue.Queue[T]) -> list[T]:
    items: list[T] = []
    while len(items) < ITEMS_A_POLL_MAX:
        try:
            items.append(source.get_nowait())
        except queue.Empty:
            break
    return items
