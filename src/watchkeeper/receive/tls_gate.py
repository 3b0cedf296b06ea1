"""The gate of a TLS port: shakes hands with whoever connects, lets the right ones in and says why to the others.

Enters: a listening socket, contexts that follow their files, a protocol for those let in. Leaves: connections, and for
each peer turned away its address and the reason in plain words. The peer gets the TLS alert in full, and a plain-text
client an answer that it can read: closing at once would lose them both. Runs in an event loop; knows no HTTP or gRPC.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from watchkeeper.receive.tls_files import TlsContexts

HANDSHAKE_S = 10.0
FAREWELL_S = 1.0
_HANDSHAKE_RECORD = 0x16

TurnedAway = Callable[[str, str], None]

log = logging.getLogger(__name__)

_alert: ContextVar[list[bytes] | None] = ContextVar("alert", default=None)

_REASONS = (
    ("PEER_DID_NOT_RETURN_A_CERTIFICATE", "it showed no client certificate"),
    ("HAS_EXPIRED", "its certificate has expired"),
    ("NOT_YET_VALID", "its certificate is not valid yet"),
    ("LOCAL_ISSUER", "its certificate is of an authority that is not trusted here"),
    ("SELF-SIGNED", "its certificate is of an authority that is not trusted here"),
    ("SIGNATURE_FAILURE", "its certificate is of an authority that is not trusted here"),
    ("PURPOSE", "its certificate is not for a client"),
    ("UNSUPPORTED_PROTOCOL", "it speaks TLS older than 1.2"),
    ("ALERT_UNKNOWN_CA", "it does not trust the authority of our certificate"),
    ("ALERT_BAD_CERTIFICATE", "it does not accept our certificate"),
    ("ALERT_CERTIFICATE", "it does not accept our certificate"),
)


class _Handshake(ssl.SSLObject):
    """One connection's TLS; when the handshake fails it keeps the alert, which the event loop would throw away."""

    alert: list[bytes] | None = None
    outgoing: ssl.MemoryBIO | None = None

    def do_handshake(self) -> None:
        """As of SSLObject."""
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError:
            if self.alert is not None and self.outgoing is not None:
                self.alert.append(self.outgoing.read())
            raise


class GateContext(ssl.SSLContext):
    """A context that lets the gate have what a failed handshake still wanted to tell the peer."""

    sslobject_class = _Handshake

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *more: Any, **named: Any) -> ssl.SSLObject:
        """As of SSLContext."""
        made = super().wrap_bio(incoming, outgoing, *more, **named)
        if isinstance(made, _Handshake):
            made.alert, made.outgoing = _alert.get(), outgoing
        return made


def reason_of(error: BaseException) -> str:
    """Say why a handshake failed, in plain words where they are known."""
    text = str(error).upper().replace(" ", "_")
    said = next((words for mark, words in _REASONS if mark in text), "")
    if said:
        return said
    if isinstance(error, TimeoutError):
        return f"it did not finish the TLS handshake within {HANDSHAKE_S:g} s"
    return f"the TLS handshake failed: {getattr(error, 'reason', None) or error or type(error).__name__}"


class TlsGate:
    """Lets peers in from one listening socket; `serve` runs until `close`."""

    def __init__(
        self, contexts: TlsContexts, factory: Callable[[], asyncio.BaseProtocol], turned_away: TurnedAway
    ) -> None:
        self._contexts = contexts
        self._factory = factory
        self._turned_away = turned_away
        self._tasks: set[asyncio.Task[None]] = set()
        self._serving: asyncio.Task[None] | None = None

    def start(self, listener: socket.socket) -> None:
        """Begin to accept; call it in the event loop."""
        self._serving = asyncio.get_running_loop().create_task(self._accept(listener))

    def close(self) -> None:
        """Accept no more."""
        for task in (self._serving, *self._tasks):
            if task is not None:
                task.cancel()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, address = await loop.sock_accept(listener)
            except OSError as error:
                # Out of descriptors, most likely: those that end make room.
                log.warning("a connection cannot be accepted: %s", error)
                await asyncio.sleep(0.1)
                continue
            task = loop.create_task(self._admit(sock, str(address[0])))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _admit(self, sock: socket.socket, address: str) -> None:
        sock.setblocking(False)
        alert: list[bytes] = []
        _alert.set(alert)
        spare = sock.dup()
        try:
            first = await _peek(sock)
            if first is None:
                sock.close()
            elif first != _HANDSHAKE_RECORD:
                sock.close()
                self._turned_away(address, "it sent plain text to a port that speaks TLS")
                await _farewell(spare, _PLAIN_ANSWER)
            else:
                await self._shake_hands(sock)
        except (OSError, TimeoutError) as error:
            sock.close()
            self._turned_away(address, reason_of(error))
            await _farewell(spare, b"".join(alert))
        finally:
            spare.close()

    async def _shake_hands(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        context = self._contexts.current()
        await loop.connect_accepted_socket(
            self._factory, sock, ssl=context, ssl_handshake_timeout=HANDSHAKE_S, ssl_shutdown_timeout=FAREWELL_S
        )


_PLAIN_TEXT = b"this port speaks TLS only; write https:// in the address, and name a client certificate\n"
_PLAIN_ANSWER = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: "
    + str(len(_PLAIN_TEXT)).encode()
    + b"\r\n\r\n"
    + _PLAIN_TEXT
)


async def _peek(sock: socket.socket) -> int | None:
    """Wait for the first byte and look at it without taking it; None when the peer went away."""
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[None] = loop.create_future()
    loop.add_reader(sock.fileno(), _settle, readable)
    try:
        await asyncio.wait_for(readable, HANDSHAKE_S)
        return next(iter(sock.recv(1, socket.MSG_PEEK)), None)
    finally:
        loop.remove_reader(sock.fileno())


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def _farewell(sock: socket.socket, last_words: bytes) -> None:
    """Send the last words and wait a moment for the peer to hang up, so that they are not lost on the way."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(FAREWELL_S):
            await loop.sock_sendall(sock, last_words)
            sock.shutdown(socket.SHUT_WR)
            while await loop.sock_recv(sock, 65_536):
                pass
