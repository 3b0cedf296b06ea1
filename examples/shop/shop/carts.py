"""Where carts are kept: Redis where it runs, else a SQLite file. Both answer the same three questions.

Every use is a client span with the names that OpenTelemetry gives to databases. When the shop takes Redis away, its
client meets the operating system's refusal; the SQLite file is looked for where there is none.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Protocol, cast

import redis.asyncio
from opentelemetry.trace import SpanKind
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from shop.layout import LOOPBACK
from shop.web import Service

CART_EXPIRES_S = 1_800


class Carts(Protocol):
    """The carts of all customers: SKU -> quantity."""

    async def add(self, customer: int, sku: int, quantity: int) -> int:
        """Add to a cart; gives the quantity that it holds of that product now."""

    async def get(self, customer: int) -> dict[int, int]:
        """Give a cart; an unknown one is empty."""

    async def clear(self, customer: int) -> None:
        """Empty a cart."""


@contextlib.contextmanager
def _span(service: Service, system: str, operation: str) -> Iterator[None]:
    attributes = {"db.system.name": system, "db.operation.name": operation, "db.collection.name": "cart"}
    with service.tracer.start_as_current_span(f"{operation} cart", kind=SpanKind.CLIENT, attributes=attributes):
        yield


class RedisCarts:
    """Carts as Redis hashes that expire."""

    def __init__(self, service: Service, port: int) -> None:
        self._service = service
        self._redis = redis.asyncio.Redis(
            host=LOOPBACK,
            port=port,
            socket_timeout=1.0,
            socket_connect_timeout=1.0,
            max_connections=32,
            # At once and once: the client's own back-off outlasts the patience of those who ask the cart.
            retry=Retry(NoBackoff(), 1),
        )

    async def add(self, customer: int, sku: int, quantity: int) -> int:
        """Add to a cart."""
        key = f"cart:{customer}"
        with _span(self._service, "redis", "HINCRBY"):
            held = int(await self._redis.hincrby(key, str(sku), quantity))
            await self._redis.expire(key, CART_EXPIRES_S)
        return held

    async def get(self, customer: int) -> dict[int, int]:
        """Give a cart."""
        with _span(self._service, "redis", "HGETALL"):
            items = await cast("Awaitable[dict[bytes, bytes]]", self._redis.hgetall(f"cart:{customer}"))
        return {int(sku): int(quantity) for sku, quantity in items.items()}

    async def clear(self, customer: int) -> None:
        """Empty a cart."""
        with _span(self._service, "redis", "DEL"):
            await self._redis.delete(f"cart:{customer}")


class SqliteCarts:
    """Carts in a SQLite file, opened for each use as a small script would."""

    def __init__(self, service: Service, file: Path) -> None:
        self._service = service
        self._file = file
        with contextlib.closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS cart (customer INTEGER, sku INTEGER, quantity INTEGER NOT NULL,"
                " PRIMARY KEY (customer, sku))"
            )

    @contextlib.contextmanager
    def _connected(self, operation: str) -> Iterator[sqlite3.Connection]:
        down = self._service.faults.is_down("carts")
        file = self._file.parent / "unmounted" / self._file.name if down else self._file
        with (
            _span(self._service, "sqlite", operation),
            contextlib.closing(sqlite3.connect(file, timeout=1.0)) as connection,
            connection,
        ):
            connection.execute("PRAGMA synchronous = OFF")
            yield connection

    async def add(self, customer: int, sku: int, quantity: int) -> int:
        """Add to a cart."""
        with self._connected("INSERT") as connection:
            row = connection.execute(
                "INSERT INTO cart VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET quantity = quantity + excluded.quantity"
                " RETURNING quantity",
                (customer, sku, quantity),
            ).fetchone()
        return int(row[0])

    async def get(self, customer: int) -> dict[int, int]:
        """Give a cart."""
        with self._connected("SELECT") as connection:
            rows = connection.execute("SELECT sku, quantity FROM cart WHERE customer = ?", (customer,)).fetchall()
        return {int(sku): int(quantity) for sku, quantity in rows}

    async def clear(self, customer: int) -> None:
        """Empty a cart."""
        with self._connected("DELETE") as connection:
            connection.execute("DELETE FROM cart WHERE customer = ?", (customer,))
