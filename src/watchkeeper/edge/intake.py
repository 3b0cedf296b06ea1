"""Takes in OTLP of the applications on this node: checks it, says which node it comes from, and hands it to the spool.

Enters: requests of the two OTLP ports, and what the agent itself collects. Leaves: acknowledgements once durable, and
errors as the centre's receiver has them. Bytes that are not OTLP end here. A resource without `host.name` is given this
node's; one with another keeps it as `watchkeeper.host.name.said`, for a node speaks only as itself. Does not use Arrow.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

from google.protobuf.message import DecodeError, Message

from watchkeeper.edge.counts import Counts
from watchkeeper.edge.spool import Spool
from watchkeeper.errors import Forbidden, MalformedTelemetry, Refused, TooLarge, Unauthorized, WatchkeeperError
from watchkeeper.receive.budget import Budget
from watchkeeper.receive.otlp_requests import REQUESTS
from watchkeeper.receive.outcome import Outcome
from watchkeeper.receive.peer import Peer
from watchkeeper.receive.tokens import is_loopback
from watchkeeper.settings import Settings
from watchkeeper.signals.signal import Signal

HOST_NAME = "host.name"
SAID = "watchkeeper.host.name.said"
KUBERNETES_NODE = "k8s.node.name"
KUBERNETES_SAID = "watchkeeper.k8s.node.name.said"
OWN = "agent"

_log = logging.getLogger(__name__)

Seen = Callable[[Signal, Message], None]

_GROUPS = {Signal.LOGS: "resource_logs", Signal.METRICS: "resource_metrics", Signal.SPANS: "resource_spans"}
_SCOPES = {Signal.LOGS: "scope_logs", Signal.METRICS: "scope_metrics", Signal.SPANS: "scope_spans"}
_RECORDS = {Signal.LOGS: "log_records", Signal.METRICS: "metrics", Signal.SPANS: "spans"}


class LocalReceiver:
    """Takes requests in for the spool; thread-safe. `on_seen` is called with every request that is new and durable."""

    def __init__(
        self, settings: Settings, spool: Spool, counts: Counts, node: str, names: frozenset[str] | None = None
    ) -> None:
        self.settings = settings
        self.retry_after_s = settings.number("retry_after_s")
        self.budget = Budget(settings.integer("queue_bytes_max"), self.retry_after_s)
        self.spool = spool
        self.counts = counts
        self.node = node
        self.names = names
        self.on_seen: list[Seen] = []
        self._open = is_loopback(settings.text("bind")) or settings.flag("insecure")

    def turned_away(self, protocol: str, address: str, reason: str) -> None:
        """Tell of a peer that never came as far as a request."""
        _log.warning("%s is turned away from %s: %s", address, protocol, reason)

    def begin(self, signal: Signal, peer: Peer) -> LocalIntake:
        """Begin one request of a peer; raises Unauthorized for one from the network without a certificate."""
        if not self._open and not peer.certificate_name:
            self.counts.add("rejected", signal, 1)
            raise Unauthorized("a client certificate is needed here; the agent listens beyond this machine")
        return LocalIntake(self, signal, peer.certificate_name or peer.address)

    def keep(self, signal: Signal, payload: bytes, source: str, *, again: bool = False) -> bool:
        """Keep what the agent itself collected, in protobuf; False when the spool has no room for it.

        It counts as dropped then, unless its source keeps it and it comes `again`. What could never be kept counts as
        dropped and is done with.
        """
        message = parse(signal, payload)
        records = count_records(signal, message)
        name_node(signal, message, self.node, self.names)
        try:
            duplicate = self.spool.append(signal, source, message.SerializeToString(), records).result()
        except TooLarge as error:
            self.counts.add("dropped", signal, records)
            self.counts.last_error = str(error)
            return True
        except Refused as error:
            if not again:
                self.counts.add("dropped", signal, records)
            self.counts.last_error = str(error)
            return False
        self.counts.add("deduplicated" if duplicate else "received", signal, records)
        if not duplicate:
            self.tell(signal, message)
        return True

    def tell(self, signal: Signal, message: Message) -> None:
        """Tell those who look on of a request that is durable."""
        for seen in self.on_seen:
            seen(signal, message)


class LocalIntake:
    """One request on its way in; a context manager that counts what was never counted."""

    def __init__(self, receiver: LocalReceiver, signal: Signal, sender: str) -> None:
        self._receiver = receiver
        self._signal = signal
        self._sender = sender
        self._lease = receiver.budget.lease()
        self._counted = False

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the memory back; count a request that failed before it was read as one record."""
        self._lease.close()
        if isinstance(error, WatchkeeperError):
            self._failed(error, 1)

    def hold(self, size: int) -> None:
        """Hold `size` bytes more in memory for this request; raises QueueFull when all requests hold too many."""
        self._lease.grow(size)

    def export(self, encoding: str, payload: bytes) -> Future[Outcome]:
        """Check a body and hand it to the spool; see receive/outcome.py. Cost: about a microsecond a record."""
        signal, receiver = self._signal, self._receiver
        message = parse(signal, payload) if encoding == "protobuf" else _parse_json(signal, payload)
        records = count_records(signal, message)
        outcome: Future[Outcome] = Future()
        outcome.set_running_or_notify_cancel()
        if not records:
            self._counted = True
            outcome.set_result(Outcome(0, 0, 0, ""))
            return outcome
        if name_node(signal, message, receiver.node, receiver.names) or encoding != "protobuf":
            payload = message.SerializeToString()
        try:
            stored = receiver.spool.append(signal, self._sender, payload, records)
        except WatchkeeperError as error:
            self._failed(error, records)
            raise
        stored.add_done_callback(lambda future: self._settle(outcome, future, message, records))
        return outcome

    def _settle(self, outcome: Future[Outcome], stored: Future[bool], message: Message, records: int) -> None:
        error = stored.exception()
        if error is not None:
            if isinstance(error, WatchkeeperError):
                self._failed(error, records)
            outcome.set_exception(error)
            return
        self._counted = True
        duplicate = stored.result()
        self._receiver.counts.add("deduplicated" if duplicate else "received", self._signal, records)
        outcome.set_result(Outcome(0 if duplicate else records, 0, records if duplicate else 0, ""))
        if not duplicate:
            self._receiver.tell(self._signal, message)

    def _failed(self, error: WatchkeeperError, records: int) -> None:
        if self._counted:
            return
        self._counted = True
        final = isinstance(error, MalformedTelemetry | TooLarge | Unauthorized | Forbidden)
        self._receiver.counts.add("rejected" if final else "refused", self._signal, records)


def parse(signal: Signal, payload: bytes) -> Message:
    """Parse protobuf bytes; raises MalformedTelemetry when they are no such request."""
    try:
        return REQUESTS[signal].FromString(payload)
    except DecodeError as error:
        raise MalformedTelemetry(f"the body is no {REQUESTS[signal].__name__}: {error}") from error


def _parse_json(signal: Signal, payload: bytes) -> Message:
    from watchkeeper.receive.otlp_json import parse as parse_json

    return parse_json(signal, payload)


def count_records(signal: Signal, message: Any) -> int:
    """Count log records, data points or spans."""
    total = 0
    for group in getattr(message, _GROUPS[signal]):
        for scope in getattr(group, _SCOPES[signal]):
            found = getattr(scope, _RECORDS[signal])
            total += len(found) if signal is not Signal.METRICS else sum(_points(metric) for metric in found)
    return total


def _points(metric: Any) -> int:
    kind = metric.WhichOneof("data")
    return len(getattr(metric, kind).data_points) if kind else 0


def name_node(signal: Signal, message: Any, node: str, names: frozenset[str] | None = None) -> bool:
    """Say in every resource which node it comes from; gives whether anything was changed.

    `names` are those in this node's certificate, None without one: another name of a Kubernetes node is set aside then,
    for the centre would turn the whole batch away.
    """
    changed = False
    for group in getattr(message, _GROUPS[signal]):
        attributes = group.resource.attributes
        told = {each.key: each for each in attributes if each.key in {HOST_NAME, KUBERNETES_NODE}}
        if HOST_NAME not in told:
            attributes.add(key=HOST_NAME).value.string_value = node
            changed = True
        elif told[HOST_NAME].value.string_value != node:
            attributes.add(key=SAID).value.CopyFrom(told[HOST_NAME].value)
            told[HOST_NAME].value.string_value = node
            changed = True
        other = told.get(KUBERNETES_NODE)
        if other is not None and names is not None and other.value.string_value not in names:
            other.key, changed = KUBERNETES_SAID, True
    return changed
