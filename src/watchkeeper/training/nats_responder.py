"""Answers requests on NATS: each operation on its subject, by the same handlers as HTTP, in a queue group.

Enters: requests in JSON, from whoever may publish on the subjects (the server's own accounts say who). Leaves: a reply
in JSON each, or `{"error": {"code", "message"}}`. Handlers run in threads, a few an operation at once, so neither a
slow request nor one that cannot be read holds up others. Decides nothing.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from watchkeeper.errors import (
    Conflict,
    MissingExtra,
    NotFound,
    QueryError,
    Refused,
    SettingError,
    StoreError,
    TooLarge,
    Unreachable,
    WatchkeeperError,
)
from watchkeeper.receive.nats_address import nats_errors
from watchkeeper.training.nats_link import NatsLink

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

QUEUE_GROUP = "watchkeeper"
AT_ONCE = 2
WAITING_MAX = 64
HEADROOM_BYTES = 1_024
WHO = "nats"

Handler = Callable[[Any, str], dict[str, Any]]
_PREFIX = re.compile(r"(?:[\w-]+\.)*[\w-]*", re.ASCII)

CODES: tuple[tuple[type[WatchkeeperError], str], ...] = (
    (QueryError, "invalid_request"),
    (SettingError, "invalid_request"),
    (NotFound, "not_found"),
    (Conflict, "conflict"),
    (MissingExtra, "missing_extra"),
    (TooLarge, "too_large"),
    (Refused, "unavailable"),
    (Unreachable, "unavailable"),
    (StoreError, "unavailable"),
)
BUSY, INTERNAL = "busy", "internal"

log = logging.getLogger(__name__)


class Responder:
    """Serves operations over a link, on each connection anew; `close` after the link has stopped."""

    def __init__(self, link: NatsLink, operations: Mapping[str, Handler], *, prefix: str = "") -> None:
        self._link, self._operations, self._prefix = link, operations, prefix
        self._threads = ThreadPoolExecutor(AT_ONCE * len(operations), thread_name_prefix="training-request")
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting = dict.fromkeys(operations, 0)
        self._gates: dict[str, asyncio.Semaphore] = {}
        link.on_connected(self._subscribe)

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def subjects(self) -> list[str]:
        """Give the subjects that are answered."""
        return [f"{self._prefix}{name}" for name in self._operations]

    async def _subscribe(self, client: Client) -> None:
        self._gates = {name: asyncio.Semaphore(AT_ONCE) for name in self._operations}
        self._waiting = dict.fromkeys(self._operations, 0)
        for name in self._operations:
            await client.subscribe(f"{self._prefix}{name}", queue=QUEUE_GROUP, cb=partial(self._take, client, name))
        await client.flush()

    async def _take(self, client: Client, name: str, message: Msg) -> None:
        """Take a request in; never waits, for the next one of the subject comes only afterwards."""
        if self._waiting[name] >= WAITING_MAX:
            await self._reply(
                client, message, error_body(BUSY, f"{WAITING_MAX} requests wait already; ask again later")
            )
            return
        self._waiting[name] += 1
        task = asyncio.create_task(self._serve(client, name, message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: Client, name: str, message: Msg) -> None:
        waiting, gate = self._waiting, self._gates[name]
        try:
            async with gate:
                loop = asyncio.get_running_loop()
                answer = await loop.run_in_executor(self._threads, answer_to, self._operations[name], message.data)
        finally:
            waiting[name] -= 1
        most = self._link.payload_bytes_max - HEADROOM_BYTES
        if len(answer) > most:
            why = f"the answer has {len(answer)} bytes, the server takes {most}; read it over HTTP, or from its bucket"
            answer = error_body("too_large", why)
        await self._reply(client, message, answer)

    @staticmethod
    async def _reply(client: Client, message: Msg, answer: bytes) -> None:
        if message.reply and client.is_connected:
            try:
                await client.publish(message.reply, answer)
            except nats_errors() as error:
                log.warning("a reply to %s was lost: %s", message.subject, error)


def checked_prefix(prefix: str) -> str:
    """Give the prefix of subjects; raises SettingError for one that no subject of NATS can begin with."""
    if not _PREFIX.fullmatch(prefix):
        raise SettingError(
            f"nats_subject_prefix = {prefix[:100]!r} cannot stand before a subject; write words of letters, digits, _ "
            "and - with a dot after each, such as west."
        )
    return prefix


def answer_to(handler: Handler, data: bytes) -> bytes:
    """Answer one request; whatever goes wrong is an answer, too."""
    try:
        request = json.loads(data) if data.strip() else None
    except (ValueError, RecursionError) as error:
        return error_body("invalid_request", f"the request is no JSON: {error}")
    try:
        return json.dumps(handler(request, WHO), separators=(",", ":"), allow_nan=False).encode()
    except WatchkeeperError as error:
        code = next((code for kind, code in CODES if isinstance(error, kind)), INTERNAL)
        return error_body(code, str(error))
    except Exception as error:
        # The boundary: one request's fault must not end the responder.
        log.exception("a request on NATS failed")
        return error_body(INTERNAL, f"a fault of Watchkeeper, which its log tells about: {type(error).__name__}")


def error_body(code: str, message: str) -> bytes:
    """Give the reply that tells of an error."""
    return json.dumps({"error": {"code": code, "message": message}}).encode()
