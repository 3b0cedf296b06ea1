"""The Notifier: takes news into the durable queue, and delivers it, one thread a target, without ever being waited for.

A failed attempt is repeated after a growing pause, and given up after `notify_attempts_max`; both are told in status.
Only http and https, no redirects followed, no proxy of the environment, bounded times and answers.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from watchkeeper.app.news import Event, News
from watchkeeper.app.notify.outbox import Delivery, Outbox
from watchkeeper.app.notify.payloads import ALERT_HOLDS, Message, request_of
from watchkeeper.app.notify.targets import Target, TargetKind
from watchkeeper.diagnose.grouping import is_live
from watchkeeper.diagnose.incident import Incident
from watchkeeper.errors import StoreError
from watchkeeper.store.metadata import Metadata

if TYPE_CHECKING:
    import httpx

FIRST_PAUSE_S = 2.0
PAUSE_S_MAX = 600.0
RETRY_AFTER_S_MAX = 3_600.0
STOP_S = 3.0
ANSWER_BYTES_MAX = 65_536
STILL_EVERY_NS = int(ALERT_HOLDS.total_seconds() * 1e9) // 3
AGAIN = frozenset({408, 425, 429})

log = logging.getLogger(__name__)


class Refusal(Exception):
    """An attempt that failed; `again_s` is the least pause before the next, None when another cannot help."""

    def __init__(self, message: str, *, again_s: float | None = 0.0) -> None:
        super().__init__(message)
        self.again_s = again_s


class Notifier:
    """Delivers news to targets; `start` before use, `stop` after. `enqueue` works from the beginning."""

    def __init__(
        self,
        metadata: Metadata,
        targets: Sequence[Target],
        *,
        public_url: str = "",
        attempts_max: int = 10,
        repeat_ns: int = 600 * 10**9,
        now_unix_ns: Callable[[], int] = time.time_ns,
        first_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        self._metadata = metadata
        self._targets = {target.name: target for target in targets}
        self._public_url = public_url.rstrip("/")
        self._attempts_max = attempts_max
        self._now_unix_ns = now_unix_ns
        self._first_pause_s = first_pause_s
        self._outbox = Outbox(metadata, repeat_ns=repeat_ns)
        self._wake = {target.name: threading.Event() for target in targets}
        self._stopping = threading.Event()
        self._last_sent = dict.fromkeys(self._targets, 0)
        self._sent = dict.fromkeys(self._targets, 0)
        self.on_sent: Callable[[str, str], None] | None = None
        self._threads = [
            threading.Thread(target=self._run, args=[target], name=f"notify-{target.name}", daemon=True)
            for target in targets
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the threads; what waits stays in the queue. A target that does not answer is waited for a moment only."""
        self._stopping.set()
        self.wake()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(STOP_S)

    def enqueue(self, connection: sqlite3.Connection, news: Sequence[News]) -> None:
        """Queue news for every target that is to hear of it, within the caller's transaction."""
        now = self._now_unix_ns()
        for one in news:
            for target in self._targets.values():
                self._outbox.add(connection, target, one, now)

    def wake(self) -> None:
        """Look for what waits."""
        for event in self._wake.values():
            event.set()

    def remind(self, get: Callable[[str], Incident | None]) -> None:
        """Tell those targets that forget, of the incidents that still go on."""
        for target in self._targets.values():
            if target.kind is not TargetKind.ALERTMANAGER:
                continue
            live = [
                get(each) for each in self._outbox.live_of(target.name, before=self._now_unix_ns() - STILL_EVERY_NS)
            ]
            for incident in live:
                if incident is not None and is_live(incident):
                    with self._metadata.transaction() as connection:
                        self._outbox.add(connection, target, News(Event.STILL, incident), self._now_unix_ns())
            self._wake[target.name].set()

    def status(self) -> list[dict[str, Any]]:
        """Tell, for each target, how many notifications wait, were sent and were given up, and the newest error."""
        counts = self._outbox.counts()
        none = {"waiting": 0, "dead": 0, "last_error": ""}
        return [
            {
                "name": name,
                "type": target.kind.value,
                **counts.get(name, none),
                "sent": self._sent[name],
                "last_sent_unix_ns": self._last_sent[name],
            }
            for name, target in self._targets.items()
        ]

    def problems(self) -> list[str]:
        """Tell the targets for which notifications were given up, with the newest reason."""
        return [
            f"{row['dead']} notifications to {row['name']} were given up; the last: {row['last_error']}"
            for row in self.status()
            if row["dead"]
        ]

    def delete_old(self) -> None:
        """Delete what was given up long ago."""
        self._outbox.delete_old(self._now_unix_ns())

    def _run(self, target: Target) -> None:
        # A fifth of a second of the start, which only those pay who have somebody to tell.
        import httpx

        wake = self._wake[target.name]
        between_s = 60.0 / target.rate_per_minute
        with httpx.Client(timeout=target.timeout_s, follow_redirects=False, trust_env=False) as client:
            while not self._stopping.is_set():
                wake.clear()
                try:
                    delivery = self._outbox.next(target.name, self._now_unix_ns())
                    if delivery is not None:
                        self._deliver(client, target, delivery)
                except StoreError as error:
                    log.error("the queue of notifications to %s cannot be used: %s", target.name, error)
                    self._stopping.wait(PAUSE_S_MAX / 10)
                    continue
                if delivery is not None:
                    self._stopping.wait(between_s)
                else:
                    wake.wait(self._pause_s(target))

    def _pause_s(self, target: Target) -> float:
        due = self._outbox.next_due(target.name)
        return PAUSE_S_MAX if due is None else min(PAUSE_S_MAX, max(0.01, (due - self._now_unix_ns()) / 1e9))

    def _deliver(self, client: httpx.Client, target: Target, delivery: Delivery) -> None:
        link = f"{self._public_url}/incidents/{delivery.incident_id}" if self._public_url else ""
        message = Message(delivery.event, delivery.incident, link, f"{delivery.id}-{delivery.incident_id}")
        try:
            _post(client, target, message, self._now_unix_ns())
        except Refusal as refusal:
            now = self._now_unix_ns()
            again: int | None = None
            if refusal.again_s is not None and delivery.attempts + 1 < self._attempts_max:
                pause_s = min(PAUSE_S_MAX, self._first_pause_s * 2.0 ** min(delivery.attempts, 20))
                again = now + int(max(pause_s, refusal.again_s) * 1e9)
            self._outbox.failed(delivery, str(refusal), now, again_unix_ns=again)
            log.warning("notification %d to %s failed: %s", delivery.id, target.name, refusal)
            return
        self._outbox.sent(delivery)
        self._sent[target.name] += 1
        self._last_sent[target.name] = self._now_unix_ns()
        if self.on_sent is not None and delivery.event is not Event.STILL:
            self.on_sent(delivery.incident_id, f"{target.name} was told: {delivery.event.value}")


def _post(client: httpx.Client, target: Target, message: Message, now_unix_ns: int) -> None:
    """Send one request; raises Refusal, whose message never holds the address, for that may be a secret."""
    import httpx

    request = request_of(target, message, now_unix_ns)
    try:
        with client.stream("POST", request.url, headers=request.headers, content=request.body) as response:
            status, answer = response.status_code, _beginning(response)
    except httpx.TransportError as error:
        raise Refusal(f"{target.name} cannot be reached: {type(error).__name__}") from error
    except (httpx.InvalidURL, ValueError) as error:
        raise Refusal(f"the address of {target.name} cannot be used", again_s=None) from error
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise Refusal(f"{target.name} answered with a redirect ({status}), and none is followed; set url", again_s=None)
    text = f"{target.name} answered {status}: {answer}"
    if status in AGAIN or status >= 500:
        raise Refusal(text, again_s=_retry_after_s(response.headers.get("retry-after", "")))
    raise Refusal(text, again_s=None)


def _beginning(response: httpx.Response) -> str:
    read = b""
    for chunk in response.iter_bytes(4096):
        read += chunk
        if len(read) >= ANSWER_BYTES_MAX:
            break
    return " ".join(read[:300].decode("utf-8", "replace").split())


def _retry_after_s(text: str) -> float:
    return min(RETRY_AFTER_S_MAX, float(text)) if text.isascii() and text.isdigit() else 0.0
