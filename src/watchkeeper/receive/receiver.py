"""The core of receiving, the same for every transport: one request from its first byte to its acknowledgement.

Enters: the bytes of a request and who sent them. Leaves: a future Outcome, set once the telemetry is durable, or an
error of Watchkeeper's tree that tells the transport what to answer. Each request is counted in the ledger exactly once,
however it ends. Does not know HTTP or gRPC, and never waits for detection.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import pyarrow as pa

from watchkeeper.errors import (
    Forbidden,
    InternalFault,
    MalformedTelemetry,
    Refused,
    TooLarge,
    Unauthorized,
    WatchkeeperError,
)
from watchkeeper.receive.admission import Admission
from watchkeeper.receive.batch_mark import Mark
from watchkeeper.receive.budget import Budget
from watchkeeper.receive.decode import decode
from watchkeeper.receive.ledger import Count, Ledger
from watchkeeper.receive.outcome import Outcome
from watchkeeper.receive.peer import Peer
from watchkeeper.receive.tokens import Role, Tokens, identify
from watchkeeper.settings import Settings
from watchkeeper.signals.signal import Signal

if TYPE_CHECKING:
    from watchkeeper.store.entry import Appended

log = logging.getLogger(__name__)


class Keeps(Protocol):
    """What the receiver needs of the store."""

    def append(
        self,
        signal: Signal,
        encoding: str,
        sender: str,
        received_unix_ns: int,
        payload: bytes,
        batch: pa.RecordBatch,
    ) -> Future[Appended]:
        """Make a batch durable; see store/store.py."""


class Receiver:
    """Takes requests in; thread-safe."""

    def __init__(
        self,
        store: Keeps,
        ledger: Ledger,
        tokens: Tokens,
        settings: Settings,
        *,
        now_unix_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.store = store
        self.ledger = ledger
        self.tokens = tokens
        self.settings = settings
        self.now_unix_ns = now_unix_ns
        self.retry_after_s = settings.number("retry_after_s")
        self.budget = Budget(settings.integer("queue_bytes_max"), self.retry_after_s)
        self.admission = Admission(settings)

    def turned_away(self, protocol: str, address: str, reason: str) -> None:
        """Count a peer that never came as far as a request, and why."""
        log.warning("%s is turned away from %s: %s", address, protocol, reason)
        self.ledger.turned_away(address, protocol, reason)

    def begin(self, signal: Signal, peer: Peer) -> Intake:
        """Begin one request of a peer; raises Unauthorized or Forbidden, counted."""
        try:
            self.admission.check(peer)
            identity = identify(self.settings, self.tokens, peer, Role.INGEST)
        except (Unauthorized, Forbidden) as error:
            named = peer.certificate_name or peer.address
            self.ledger.count(named, signal, peer.protocol, Count(rejected=1, error=str(error)))
            raise
        return Intake(self, signal, peer, identity.name if identity else peer.address)

    def export(self, signal: Signal, encoding: str, payload: bytes, *, peer: Peer) -> Future[Outcome]:
        """Take one whole request in: see Intake.export. Raises or sets the error tree."""
        with self.begin(signal, peer) as intake:
            intake.hold(len(payload))
            return intake.export(encoding, payload)


class Intake:
    """One request on its way in; a context manager that gives its memory back and counts what was never counted."""

    def __init__(self, receiver: Receiver, signal: Signal, peer: Peer, sender: str) -> None:
        self._receiver = receiver
        self._signal = signal
        self._peer = peer
        self._lease = receiver.budget.lease()
        self._counted = False
        self.sender = sender

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lease.close()
        if isinstance(error, WatchkeeperError):
            self.failed(error)
        elif error is not None:
            self._count(Count(refused=1, error=f"interrupted: {type(error).__name__}"))

    def hold(self, size: int) -> None:
        """Hold `size` bytes more in memory for this request; raises QueueFull when all requests hold too many."""
        self._lease.grow(size)

    def failed(self, error: WatchkeeperError, *, records: int = 1, size: int = 0) -> None:
        """Count this request as failed, unless it is counted already; a request not read counts as one record."""
        final = isinstance(error, MalformedTelemetry | TooLarge | Unauthorized | Forbidden)
        rejected, refused = (records, 0) if final else (0, records)
        self._count(Count(rejected=rejected, refused=refused, bytes=size, error=str(error)))

    def export(self, encoding: str, payload: bytes, *, already_rejected: int = 0, reason: str = "") -> Future[Outcome]:
        """Decode a request's body and hand it to the store; the future is set once it is durable.

        `encoding` is "protobuf" or "json". `already_rejected` records never made it into the payload, for `reason`.
        Raises or sets MalformedTelemetry (a retry cannot help) or Refused (it can).
        """
        outcome: Future[Outcome] = Future()
        # A transport that gives up cancels what it waits for; the store goes on all the same, and so must the count.
        outcome.set_running_or_notify_cancel()
        rows = 1
        try:
            now = self._receiver.now_unix_ns()
            decoded = decode(self._signal, encoding, payload, sender=self.sender, received_unix_ns=now)
            rows = decoded.batch.num_rows
            if decoded.mark is not None and (decoded.mark.dropped or decoded.mark.refused):
                self._told(decoded.mark)
            self._receiver.admission.check_speaks_as_itself(self._peer, decoded.batch)
            rejected = decoded.rejected + already_rejected
            done = Count(accepted=rows, rejected=rejected, bytes=len(payload), error=reason or decoded.reason)
            if rows == 0:
                self._finish(outcome, done)
                return outcome
            stored = self._receiver.store.append(self._signal, encoding, self.sender, now, payload, decoded.batch)
        except (MalformedTelemetry, Forbidden, Refused) as error:
            self.failed(error, records=rows, size=len(payload))
            raise
        except Exception as error:
            fault = self._fault(error)
            self.failed(fault, records=rows, size=len(payload))
            raise fault from error
        stored.add_done_callback(lambda future: self._settle(outcome, future, done))
        return outcome

    def _told(self, mark: Mark) -> None:
        """Book what an agent had to leave out, in a row of its stream."""
        protocol = f"agent/{mark.stream[:8]}"
        ledger = self._receiver.ledger
        ledger.told(self.sender, self._signal, protocol, dropped=mark.dropped, refused=mark.refused)

    def _settle(self, outcome: Future[Outcome], stored: Future[Appended], done: Count) -> None:
        """Turn the store's answer into the outcome; runs in the store's thread, so it is short and never raises."""
        error = stored.exception()
        if error is None:
            if stored.result().duplicate:
                done = done._replace(accepted=0, deduplicated=done.accepted)
            self._finish(outcome, done, stored.result().position)
            return
        refusal = error if isinstance(error, Refused) else self._fault(error)
        self.failed(refusal, records=done.accepted, size=done.bytes)
        outcome.set_exception(refusal)

    def _finish(self, outcome: Future[Outcome], done: Count, position: int = 0) -> None:
        self._count(done)
        outcome.set_result(Outcome(done.accepted, done.rejected, done.deduplicated, done.error, position))

    def _fault(self, error: BaseException) -> InternalFault:
        log.error("taking in %s from %s failed", self._signal.value, self.sender, exc_info=error)
        return InternalFault(
            f"internal fault, logged by the receiver: {type(error).__name__}; retry",
            retry_after_s=self._receiver.retry_after_s,
        )

    def _count(self, count: Count) -> None:
        if not self._counted:
            self._counted = True
            self._receiver.ledger.count(self.sender, self._signal, self._peer.protocol, count)
