"""The catalogue: products, search, and the stock, which is kept in a SQLite file."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Any

from fastapi import HTTPException
from opentelemetry.trace import SpanKind
from pydantic import BaseModel

from shop import data
from shop.web import Service

STOCK_START = 9
STOCK_LOW = 3
STOCK_FULL = 14
RESTOCK_S = 10.0


class Reservation(BaseModel):
    """What an order takes from the stock: (SKU, quantity) pairs."""

    items: list[tuple[int, int]]


class Stock:
    """Pieces left of each product."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._file = service.layout.folder / "stock.db"
        self._file.unlink(missing_ok=True)
        with contextlib.closing(sqlite3.connect(self._file)) as connection, connection:
            connection.execute("CREATE TABLE stock (sku INTEGER PRIMARY KEY, pieces INTEGER NOT NULL)")
            rows = [(sku, 2 + (sku * 7) % STOCK_START) for sku in range(data.PRODUCTS)]
            connection.executemany("INSERT INTO stock VALUES (?, ?)", rows)

    @contextlib.contextmanager
    def connected(self, operation: str) -> Iterator[sqlite3.Connection]:
        """Give a connection within a span; commits at the end."""
        attributes = {"db.system.name": "sqlite", "db.operation.name": operation, "db.collection.name": "stock"}
        down = self._service.faults.is_down("stock")
        file = self._file.parent / "unmounted" / self._file.name if down else self._file
        with (
            self._service.tracer.start_as_current_span(
                f"{operation} stock", kind=SpanKind.CLIENT, attributes=attributes
            ),
            contextlib.closing(sqlite3.connect(file, timeout=1.0)) as connection,
            connection,
        ):
            connection.execute("PRAGMA synchronous = OFF")
            yield connection

    def pieces(self, skus: list[int]) -> dict[int, int]:
        """Give the pieces left of some products."""
        marks = ",".join("?" * len(skus))
        with self.connected("SELECT") as connection:
            return dict(connection.execute(f"SELECT sku, pieces FROM stock WHERE sku IN ({marks})", skus))

    def take(self, items: list[tuple[int, int]]) -> int | None:
        """Take all items, or none; gives the SKU that there is too little of, if any."""
        with self.connected("UPDATE") as connection:
            for sku, quantity in items:
                taken = connection.execute(
                    "UPDATE stock SET pieces = pieces - ? WHERE sku = ? AND pieces >= ?", (quantity, sku, quantity)
                ).rowcount
                if not taken:
                    connection.rollback()
                    return sku
        return None

    def refill(self) -> int:
        """Fill up what is low; gives how many products that was."""
        with self.connected("UPDATE") as connection:
            return connection.execute("UPDATE stock SET pieces = ? WHERE pieces < ?", (STOCK_FULL, STOCK_LOW)).rowcount


def build(service: Service) -> None:
    """Add the routes and the restocking."""
    app, log = service.app, service.log
    products = data.products(service.layout.seed)
    stock = Stock(service)

    def described(sku: int, pieces: int) -> dict[str, Any]:
        product = products[sku]
        return {"sku": sku, "name": product.name, "category": product.category,
                "price_cents": product.price_cents, "pieces": pieces}  # fmt: skip

    @app.get("/products")
    async def listed(limit: int = 20) -> dict[str, Any]:
        pieces = stock.pieces(list(range(0, data.PRODUCTS, max(1, data.PRODUCTS // limit)))[:limit])
        log.info("Listed %d products", len(pieces))
        return {"items": [described(*each) for each in pieces.items()]}

    @app.get("/products/{sku}")
    async def one(sku: int) -> dict[str, Any]:
        if not 0 <= sku < data.PRODUCTS:
            raise HTTPException(404, f"there is no product {sku}")
        pieces = stock.pieces([sku])[sku]
        log.info("Product %d has %d pieces in stock", sku, pieces)
        return described(sku, pieces)

    @app.get("/search")
    async def search(q: str) -> dict[str, Any]:
        words = q.lower().split()
        found = [product.sku for product in products if all(word in product.name for word in words)][:20]
        if not found:
            log.warning("Search for %r found nothing", q)
            return {"items": []}
        log.info("Search for %r found %d products", q, len(found))
        return {"items": [described(*each) for each in stock.pieces(found).items()]}

    @app.get("/stock")
    async def in_stock(skus: str) -> dict[str, int]:
        return {str(sku): left for sku, left in stock.pieces([int(sku) for sku in skus.split(",")]).items()}

    @app.post("/reservations", status_code=201)
    async def reserve(reservation: Reservation) -> dict[str, Any]:
        missing = stock.take(reservation.items)
        if missing is not None:
            log.warning("Product %d is out of stock, reservation of %d products refused", missing,
                        len(reservation.items))  # fmt: skip
            raise HTTPException(409, f"product {missing} is out of stock")
        total = sum(products[sku].price_cents * quantity for sku, quantity in reservation.items)
        log.info("Reserved %d products worth %.2f EUR", len(reservation.items), total / 100)
        return {"total_cents": total}

    async def restock() -> None:
        while True:
            await asyncio.sleep(RESTOCK_S)
            try:
                log.info("Restocked %d products", stock.refill())
            except sqlite3.Error as error:
                log.error("Restocking failed: %s", error)

    service.tasks.append(restock)
