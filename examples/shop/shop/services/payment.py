"""The payment service: charges cards at a bank, which is played by a short wait.

The last four digits of a card decide what the bank says, so that a customer of the load generator can be declined on
purpose: 0002 is declined, 0044 is answered at the second attempt only.
"""

from __future__ import annotations

import asyncio
import itertools
import random

from fastapi import HTTPException
from opentelemetry.trace import SpanKind
from opentelemetry.util.types import AnyValue
from pydantic import BaseModel

from shop.layout import LOOPBACK
from shop.web import Service

DECLINED = "0002"
SLOW_BANK = "0044"


class Charge(BaseModel):
    """What is to be paid, in euro cents."""

    order: str
    amount_cents: int
    card: str


def build(service: Service) -> None:
    """Add the route."""
    app, log = service.app, service.log
    chance = random.Random(service.layout.seed)
    numbers = itertools.count(1)
    charged = service.meter.create_counter(
        "shop.payments", unit="{charge}", description="Charges by what became of them."
    )

    async def ask_bank(amount_cents: int) -> None:
        """Wait as long as a bank takes; when the bank is down, try a port that nobody listens on."""
        attributes: dict[str, AnyValue] = {"server.address": "bank", "payment.amount_cents": amount_cents}
        with service.tracer.start_as_current_span("POST bank", kind=SpanKind.CLIENT, attributes=attributes):
            if service.faults.is_down("bank"):
                await asyncio.open_connection(LOOPBACK, service.layout.closed_port)
            await asyncio.sleep(min(chance.lognormvariate(-4.6, 0.4), 0.1))

    @app.post("/charges", status_code=201)
    async def charge(charge: Charge) -> dict[str, str]:
        ending = charge.card[-4:]
        await ask_bank(charge.amount_cents)
        if ending == SLOW_BANK:
            log.error("Bank did not answer for order %s within 50 ms, attempt 1 of 2", charge.order)
            await ask_bank(charge.amount_cents)
        if ending == DECLINED:
            charged.add(1, {"outcome": "declined"})
            log.warning("Card ending %s declined for order %s: insufficient funds", ending, charge.order)
            raise HTTPException(402, "the card was declined")
        charged.add(1, {"outcome": "charged"})
        number = f"C-{next(numbers):06d}"
        euros = charge.amount_cents / 100
        log.info("Charged %.2f EUR to card ending %s for order %s as %s", euros, ending, charge.order, number)
        return {"charge": number}
