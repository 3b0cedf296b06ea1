"""What the transports of OTLP need of whoever takes telemetry in: the receiver of the centre, or that of an agent.

Enters and leaves nothing by itself: an Outcome, and two protocols. Knows neither HTTP nor gRPC nor what is stored.
"""

from __future__ import annotations

from concurrent.futures import Future
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from watchkeeper.receive.peer import Peer
from watchkeeper.settings import Settings
from watchkeeper.signals.signal import Signal

ACKNOWLEDGE_TIMEOUT_S = 60.0
"""How long a transport waits for the disk before it asks for a retry, which is recognised if the first was stored."""


class Outcome(NamedTuple):
    """What became of a request that is acknowledged: records stored, told back as bad (and why), stored before.

    `position` is where its stream is, of an agent's batch that was passed over for its place in it; 0 else.
    """

    accepted: int
    rejected: int
    deduplicated: int
    reason: str
    position: int = 0


class Taking(Protocol):
    """One request on its way in; a context manager that counts it however it ends."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it, counted."""

    def hold(self, size: int) -> None:
        """Hold `size` bytes more in memory for this request; raises QueueFull when all requests hold too many."""

    def export(self, encoding: str, payload: bytes) -> Future[Outcome]:
        """Take a whole body in ("protobuf" or "json"); the future is set once it is durable, or to an error."""


class Takes(Protocol):
    """Takes requests in; safe to use from any thread."""

    settings: Settings
    retry_after_s: float

    def turned_away(self, protocol: str, address: str, reason: str) -> None:
        """Count a peer that never came as far as a request, and why."""

    def begin(self, signal: Signal, peer: Peer) -> Taking:
        """Begin one request of a peer; raises Unauthorized or Forbidden, counted."""
