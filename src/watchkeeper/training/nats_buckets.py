"""Buckets as key-value stores of JetStream: the same names, kept by the NATS server over its restarts.

Enters and leaves: what buckets.py says. A bucket that is missing is made on first use, with one value a key; one that
exists stays as it is. The server's refusals are told as Unreachable, for they pass when JetStream is ready.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from watchkeeper.errors import Unreachable
from watchkeeper.receive.nats_address import nats_errors
from watchkeeper.training.nats_link import NatsLink

if TYPE_CHECKING:
    from nats.aio.client import Client

T = TypeVar("T")
TIMEOUT_S = 5.0
HEADROOM_BYTES = 8_192


class JetStreamBuckets:
    """Buckets over a NatsLink; not to be called from the link's own thread.

    prefix: of the subjects. It stands before the buckets' names as well, for two programs on one server would delete
    each other's keys; what a bucket's name cannot hold, such as the dot, becomes `_`.
    """

    def __init__(self, link: NatsLink, *, prefix: str = "") -> None:
        self._link = link
        self._prefix = re.sub(r"[^A-Za-z0-9_-]", "_", prefix)
        self._open: dict[tuple[int, str], Any] = {}

    def put(self, bucket: str, key: str, value: bytes) -> None:
        """Set a value, and wait until the server has stored it."""
        self._ask(bucket, lambda kv: kv.put(key, value))

    def get(self, bucket: str, key: str) -> bytes | None:
        """Give a value, or None."""
        from nats.js.errors import KeyDeletedError, KeyNotFoundError

        async def read(kv: Any) -> bytes | None:
            try:
                value = (await kv.get(key)).value
            except (KeyNotFoundError, KeyDeletedError):
                return None
            return bytes(value or b"")

        return self._ask(bucket, read)

    def keys(self, bucket: str) -> list[str]:
        """Give the keys."""
        from nats.js.errors import NoKeysError

        async def read(kv: Any) -> list[str]:
            try:
                return sorted(await kv.keys())
            except NoKeysError:
                return []

        return self._ask(bucket, read)

    def delete(self, bucket: str, key: str) -> None:
        """Delete a value and what is left of it."""
        self._ask(bucket, lambda kv: kv.purge(key))

    def value_bytes_max(self) -> int:
        """Give the largest value that the server takes now."""
        return max(self._link.payload_bytes_max - HEADROOM_BYTES, HEADROOM_BYTES)

    def _ask(self, bucket: str, ask: Callable[[Any], Awaitable[T]]) -> T:
        async def asked(client: Client) -> T:
            key = (self._link.connections, bucket)
            if key not in self._open:
                self._open = {each: kv for each, kv in self._open.items() if each[0] == key[0]}
                self._open[key] = await _opened(client, f"{self._prefix}{bucket}")
            try:
                return await ask(self._open[key])
            except nats_errors() as error:
                self._open.pop(key, None)
                raise Unreachable(f"the bucket {bucket!r} of NATS: {error or type(error).__name__}") from error

        return self._link.run(asked, timeout_s=2 * TIMEOUT_S)


async def _opened(client: Client, bucket: str) -> Any:
    from nats.js.api import KeyValueConfig
    from nats.js.errors import NotFoundError

    js = client.jetstream(timeout=TIMEOUT_S)
    try:
        return await js.key_value(bucket)
    except NotFoundError:
        return await js.create_key_value(KeyValueConfig(bucket=bucket, history=1))
    except nats_errors() as error:
        reason = str(error) or "JetStream does not answer"
        raise Unreachable(f"the bucket {bucket!r} of NATS: {reason}; start nats-server with -js") from error
