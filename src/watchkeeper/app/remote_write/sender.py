"""Sends Watchkeeper's metrics of itself to any receiver of Prometheus remote write, every few seconds.

Enters: families of metrics, read at each interval. Leaves: requests of version 1.0 or 2.0, oldest first. 429, 5xx and a
receiver that cannot be reached are tried again after a growing pause (or what Retry-After asks); another 4xx is not.
What waits is bounded, the oldest goes, and every sample is counted as sent, rejected or dropped. A receiver that does
not know 2.0 is sent 1.0 from then on, as the specification advises. Makes no metrics and stores nothing.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from watchkeeper.app.own_metrics import Family
from watchkeeper.app.remote_write.destination import Destination
from watchkeeper.app.remote_write.encode import CONTENT_TYPES, VERSION_HEADERS, Snapshot, Snapshots, body
from watchkeeper.errors import SettingError
from watchkeeper.receive.remote_write.translate import Version
from watchkeeper.version import __version__

if TYPE_CHECKING:
    import httpx

FIRST_PAUSE_S = 1.0
RETRY_AFTER_S_MAX = 300.0
STOP_S = 3.0
ANSWER_CHARACTERS_MAX = 300
ANSWER_BYTES_MAX = 65_536

_SAMPLES_WRITTEN = "x-prometheus-remote-write-samples-written"

log = logging.getLogger(__name__)


class Answer(NamedTuple):
    """What came of one attempt; status 0 when nothing answered, and `text` says why."""

    status: int
    headers: dict[str, str]
    text: str


class RemoteWriteSender:
    """Sends on; `start` before use, `stop` after. `collect` and `send` are one step each, for tests and the thread."""

    def __init__(
        self,
        destination: Destination,
        families: Callable[[], list[Family]],
        *,
        now_unix_ns: Callable[[], int] = time.time_ns,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._to = destination
        self._families = families
        self._now_unix_ns = now_unix_ns
        self._clock = clock
        self._snapshots = Snapshots(destination.labels)
        self._queue: deque[Snapshot] = deque()
        self._version = destination.version
        self._failures = 0
        self._again_s = 0.0
        self._samples = {"sent": 0, "rejected": 0, "dropped": 0}
        self._retries = 0
        self._last_sent_unix_ns = 0
        self._last_error = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="remote-write", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what waits is lost. A receiver that does not answer is waited for a moment only."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    def status(self) -> dict[str, Any]:
        """Tell where is sent to, what became of the samples since the start, what waits, and the newest error."""
        return {
            "url": self._to.shown,
            "version": self._version.value,
            **self._samples,
            "waiting": len(self._queue),
            "last_sent_unix_ns": self._last_sent_unix_ns,
            "last_error": self._last_error,
        }

    def own_families(self) -> list[Family]:
        """Give the metrics of the sending itself."""
        outcomes = [({"outcome": name}, float(count)) for name, count in self._samples.items()]
        return [
            Family(
                "watchkeeper_remote_write_samples_total", "counter", "Own samples by what became of them.", [*outcomes]
            ),
            Family(
                "watchkeeper_remote_write_retries_total",
                "counter",
                "Requests that had to be tried again.",
                [({}, float(self._retries))],
            ),
            Family(
                "watchkeeper_remote_write_waiting",
                "gauge",
                "Requests that wait for the receiver.",
                [({}, float(len(self._queue)))],
            ),
        ]

    def problems(self) -> list[str]:
        """Tell when own metrics were lost since the start, and why."""
        lost = self._lost()
        return [f"{lost} own samples did not reach {self._to.shown}; the last: {self._last_error}"] if lost else []

    def _lost(self) -> int:
        return self._samples["rejected"] + self._samples["dropped"]

    def collect(self) -> None:
        """Take a snapshot; the oldest that waits goes when there are too many."""
        self._queue.append(self._snapshots.take(self._families(), self._now_unix_ns() // 1_000_000))
        while len(self._queue) > self._to.queue_max:
            self._samples["dropped"] += len(self._queue.popleft().values)

    def send(self, client: httpx.Client) -> bool:
        """Send the oldest snapshot if its time has come; tells whether another may be sent at once."""
        if not self._queue or self._clock() < self._again_s:
            return False
        snapshot = self._queue[0]
        answer = self._post(client, snapshot)
        count = len(snapshot.values)
        if 200 <= answer.status < 300:
            return self._taken(answer, count)
        self._last_error = f"{self._to.shown} answered {answer.status}: {answer.text}" if answer.status else answer.text
        if answer.status == 415 and self._version is Version.V2:
            return self._fall_back()
        if answer.status in {0, 429} or answer.status >= 500:
            self._pause(answer)
            return False
        self._settle(sent=0, rejected=count)
        log.warning("own metrics were refused: %s", self._last_error)
        return bool(self._queue)

    def _taken(self, answer: Answer, count: int) -> bool:
        written = answer.headers.get(_SAMPLES_WRITTEN)
        if self._version is Version.V2 and written is None:
            return self._fall_back()
        kept = min(int(written), count) if written is not None and written.isdigit() else count
        self._settle(sent=kept, rejected=count - kept)
        self._last_sent_unix_ns = self._now_unix_ns()
        if not self._lost():
            self._last_error = ""
        return bool(self._queue)

    def _fall_back(self) -> bool:
        log.info("%s does not know remote write 2.0; it is sent 1.0", self._to.shown)
        self._version = Version.V1
        return True

    def _settle(self, *, sent: int, rejected: int) -> None:
        self._queue.popleft()
        self._samples["sent"] += sent
        self._samples["rejected"] += rejected
        self._failures, self._again_s = 0, 0.0

    def _pause(self, answer: Answer) -> None:
        asked = answer.headers.get("retry-after", "")
        asked_s = float(asked) if asked.isascii() and asked.isdigit() else 0.0
        pause_s = min(self._to.pause_s_max, FIRST_PAUSE_S * 2.0 ** min(self._failures, 20))
        self._failures += 1
        self._retries += 1
        self._again_s = self._clock() + max(pause_s * random.uniform(0.5, 1.0), min(asked_s, RETRY_AFTER_S_MAX))

    def _post(self, client: httpx.Client, snapshot: Snapshot) -> Answer:
        """Post once; the text of a fault never holds the address, for that may be a secret."""
        import httpx

        try:
            headers = {
                "content-type": CONTENT_TYPES[self._version],
                "content-encoding": "snappy",
                "x-prometheus-remote-write-version": VERSION_HEADERS[self._version],
                "user-agent": f"watchkeeper/{__version__}",
                **self._to.authorization(),
            }
            content = body(snapshot, self._version)
            with client.stream("POST", self._to.url, content=content, headers=headers) as answer:
                return Answer(answer.status_code, dict(answer.headers), _beginning(answer))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Answer(0, {}, f"{self._to.shown} cannot be reached: {type(error).__name__}")
        except SettingError as error:
            return Answer(0, {}, str(error))

    def _run(self) -> None:
        # A fifth of a second of the start, which only those pay who send.
        import httpx

        due_s = self._clock()
        contexts = self._to.contexts()
        while not self._stopping.is_set():
            # A client keeps its certificates, so there is another once they are renewed.
            context = contexts.current()
            with httpx.Client(
                timeout=self._to.timeout_s, follow_redirects=False, trust_env=False, verify=context
            ) as client:
                while not self._stopping.is_set() and contexts.current() is context:
                    due_s = self._step(client, due_s)

    def _step(self, client: httpx.Client, due_s: float) -> float:
        """Collect and send what is due, else wait; gives when the next snapshot is due."""
        if self._clock() >= due_s:
            due_s = max(due_s + self._to.interval_s, self._clock())
            self._collected()
        if not self.send(client):
            wake_s = min(due_s, self._again_s) if self._queue else due_s
            self._stopping.wait(max(0.01, wake_s - self._clock()))
        return due_s

    def _collected(self) -> None:
        try:
            self.collect()
        except Exception as error:
            self._last_error = f"own metrics cannot be read: {type(error).__name__}: {error}"
            log.exception("own metrics cannot be read")


def _beginning(answer: httpx.Response) -> str:
    """Read what an answer says, of a long one the beginning; read to its end, the connection can be used again."""
    read = b""
    for chunk in answer.iter_bytes(4096):
        read += chunk
        if len(read) >= ANSWER_BYTES_MAX:
            break
    return " ".join(read[:ANSWER_CHARACTERS_MAX].decode("utf-8", "replace").split())
