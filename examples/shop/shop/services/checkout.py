"""The checkout: from a cart to a paid order in the queue, and from there to the carrier."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from fastapi import HTTPException
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.trace import Link, SpanContext, SpanKind, get_current_span
from pydantic import BaseModel

from shop.web import Service

QUEUE_MAX = 16
QUEUE_LONG = 4
QUEUE_TOLD_EVERY_S = 1.0
COUPONS = {"SPRING10": 10, "WELCOME5": 5}
CARRIERS = ("north post", "bicycle courier", "river freight")


class Purchase(BaseModel):
    """Who buys, and how it is paid."""

    customer: int
    card: str
    coupon: str = ""


class Order(NamedTuple):
    """A paid order that waits to be sent."""

    number: str
    placed: float
    context: SpanContext


def build(service: Service) -> None:
    """Add the routes and the worker that sends orders."""
    app, log, call = service.app, service.log, service.call
    queue: asyncio.Queue[Order] = asyncio.Queue(QUEUE_MAX)
    numbers = itertools.count(int(time.time()) % 10_000_000)
    value = service.meter.create_counter("shop.orders.value", unit="EUR", description="Value of the orders taken.")
    waited = service.meter.create_histogram("shop.orders.wait", unit="s", description="Time an order is in the queue.")

    def depth(_: CallbackOptions) -> Iterable[Observation]:
        yield Observation(queue.qsize())

    service.meter.create_observable_gauge(
        "shop.orders.queue.depth", [depth], description="Orders that wait to be sent."
    )

    @app.post("/orders", status_code=201)
    async def order(purchase: Purchase) -> dict[str, Any]:
        number = f"O-{next(numbers)}"
        items = (await call("cart", "GET", f"/carts/{purchase.customer}"))["items"]
        if not items:
            log.warning("Order %s refused: the cart of customer %d is empty", number, purchase.customer)
            raise HTTPException(409, "the cart is empty")
        if queue.full():
            log.error("Order %s refused: the order queue is full with %d orders", number, queue.qsize())
            raise HTTPException(503, "too many orders wait; come again later")
        reserved = await call("catalogue", "POST", "/reservations", json={"items": items})
        total = _discounted(service, number, reserved["total_cents"], purchase.coupon)
        charge = {"order": number, "amount_cents": total, "card": purchase.card}
        paid = await call("payment", "POST", "/charges", json=charge)
        queue.put_nowait(Order(number, time.monotonic(), get_current_span().get_span_context()))
        await call("cart", "DELETE", f"/carts/{purchase.customer}")
        value.add(total / 100)
        log.info("Order %s of customer %d: %d products, %.2f EUR, charge %s", number, purchase.customer, len(items),
                 total / 100, paid["charge"])  # fmt: skip
        return {"order": number, "total_cents": total}

    async def send_orders() -> None:
        chance = random.Random(service.layout.seed)
        while True:
            while service.faults.active("queue-jam"):
                await asyncio.sleep(0.1)
            order = await queue.get()
            waited.record(time.monotonic() - order.placed)
            with service.tracer.start_as_current_span(
                "send order", kind=SpanKind.CONSUMER, links=[Link(order.context)], attributes={"order": order.number}
            ):
                await asyncio.sleep(chance.uniform(0.02, 0.06))
                log.info("Order %s given to the %s", order.number, chance.choice(CARRIERS))

    async def watch_queue() -> None:
        while True:
            await asyncio.sleep(QUEUE_TOLD_EVERY_S)
            if queue.qsize() > QUEUE_LONG:
                log.warning(
                    "Order queue holds %d of at most %d orders and is not getting shorter", queue.qsize(), QUEUE_MAX
                )

    service.tasks += [send_orders, watch_queue]


def _discounted(service: Service, number: str, total_cents: int, coupon: str) -> int:
    percent = COUPONS.get(coupon, 0)
    if coupon and not percent:
        service.log.warning("Order %s: coupon %r is not valid", number, coupon)
    return total_cents * (100 - percent) // 100
