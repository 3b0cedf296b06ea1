"""The frontend: what users see, put together from the services behind it."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import HTTPException
from pydantic import BaseModel

from shop.web import Service, UpstreamFailed


class Item(BaseModel):
    """A product put into the cart."""

    sku: int
    quantity: int = 1


class Purchase(BaseModel):
    """What a customer says at the till."""

    card: str
    coupon: str = ""


def build(service: Service) -> None:
    """Add the pages."""
    app, log, call = service.app, service.log, service.call

    async def recommended(params: dict[str, Any]) -> list[Any]:
        """Ask for recommendations; a page is shown without them rather than not at all."""
        try:
            answer = await call("recommendation", "GET", "/recommendations", params=params)
        except UpstreamFailed as error:
            log.warning("Page shown without recommendations: %s %s", error.service, error)
            return []
        return list(answer["items"])

    @app.get("/")
    async def home(customer: int = -1) -> dict[str, Any]:
        featured, also = await asyncio.gather(
            call("catalogue", "GET", "/products", params={"limit": 8}), recommended({"customer": customer, "count": 4})
        )
        log.info("Home page for customer %d: %d products, %d recommended", customer, len(featured["items"]), len(also))
        return {"featured": featured["items"], "recommended": also}

    @app.get("/products/{sku}")
    async def product(sku: int, customer: int = -1) -> dict[str, Any]:
        found, also = await asyncio.gather(
            call("catalogue", "GET", f"/products/{sku}"),
            recommended({"customer": customer, "sku": sku, "count": 4}),
            return_exceptions=True,
        )
        if isinstance(found, HTTPException):
            log.warning("Product %d is asked for and does not exist", sku)
        for answer in (found, also):
            if isinstance(answer, BaseException):
                raise answer
        log.info("Product page %d (%s) for customer %d", sku, found["category"], customer)
        return {**found, "recommended": also}

    @app.get("/search")
    async def search(q: str) -> dict[str, Any]:
        found = await call("catalogue", "GET", "/search", params={"q": q})
        log.info("Search page for %r: %d products", q, len(found["items"]))
        return dict(found)

    @app.get("/cart/{customer}")
    async def cart(customer: int) -> dict[str, Any]:
        return dict(await call("cart", "GET", f"/carts/{customer}"))

    @app.post("/cart/{customer}", status_code=201)
    async def add(customer: int, item: Item) -> dict[str, Any]:
        return dict(await call("cart", "POST", f"/carts/{customer}/items", json=item.model_dump()))

    @app.post("/checkout/{customer}", status_code=201)
    async def checkout(customer: int, purchase: Purchase) -> dict[str, Any]:
        order = await call("checkout", "POST", "/orders", json={"customer": customer, **purchase.model_dump()})
        log.info("Customer %d bought order %s for %.2f EUR", customer, order["order"], order["total_cents"] / 100)
        return dict(order)
