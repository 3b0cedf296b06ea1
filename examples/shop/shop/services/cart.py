"""The carts of customers who have not bought yet, in Redis or SQLite."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from shop.carts import Carts, RedisCarts, SqliteCarts
from shop.web import Service


class Item(BaseModel):
    """A product put into a cart."""

    sku: int
    quantity: int = Field(1, ge=1, le=20)


def build(service: Service) -> None:
    """Add the routes."""
    app, log, port = service.app, service.log, service.layout.redis_port
    carts: Carts = (
        SqliteCarts(service, service.layout.folder / "carts.db") if port is None else RedisCarts(service, port)
    )

    @app.get("/carts/{customer}")
    async def get(customer: int) -> dict[str, Any]:
        items = await carts.get(customer)
        log.info("Cart of customer %d holds %d products", customer, len(items))
        return {"items": list(items.items())}

    @app.post("/carts/{customer}/items", status_code=201)
    async def add(customer: int, item: Item) -> dict[str, Any]:
        held = await carts.add(customer, item.sku, item.quantity)
        log.info("Added %d of product %d to the cart of customer %d", item.quantity, item.sku, customer)
        return {"sku": item.sku, "quantity": held}

    @app.delete("/carts/{customer}")
    async def clear(customer: int) -> dict[str, Any]:
        await carts.clear(customer)
        log.info("Emptied the cart of customer %d", customer)
        return {"items": []}
