"""Forwards what is in the spool to the centre: in order, in batches, with patience, and each batch exactly once.

Enters: the spool. Leaves: OTLP over HTTP. The bounds of a batch are written to disk before it is first sent, so that a
process that comes after a kill sends the very same batch, whose mark (receive/batch_mark.py) the centre recognises.
What the centre can never take is set aside in the folder `dead-letters` and counted; all else waits until it is taken.
"""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from watchkeeper.edge.counts import Counts, LeftOut
from watchkeeper.edge.intake import count_records, parse
from watchkeeper.edge.link import Answer, Link
from watchkeeper.edge.places import Place, Places
from watchkeeper.edge.spool import Spool
from watchkeeper.errors import CertificateError, MalformedTelemetry, Unreachable
from watchkeeper.receive.batch_mark import Mark, write_mark
from watchkeeper.signals.signal import Signal
from watchkeeper.store.layout import write_durably

BATCH_BYTES_MAX = 4 << 20
PAUSE_MIN_S = 0.25
PAUSE_MAX_S = 30.0
FAULT_PAUSE_S = 5.0
CHECK_EVERY_S = 60.0
SAVE_EVERY_S = 1.0
DEAD_LETTERS_MAX = 1000
DEAD_LETTERS_BYTES_MAX = 64 << 20
_POISON = {400, 413, 415, 422}

_log = logging.getLogger(__name__)


class _Batch(NamedTuple):
    signal: Signal
    upto: int
    entries: int
    records: int
    payload: bytes


class Forwarder:
    """Forwards from a thread of its own; `folder` keeps places.json and dead letters."""

    def __init__(
        self,
        spool: Spool,
        link: Link,
        counts: Counts,
        folder: Path,
        *,
        batch_records: int,
        batch_age_s: float,
        pause_max_s: float = PAUSE_MAX_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spool = spool
        self._link = link
        self._counts = counts
        self._dead = folder / "dead-letters"
        self._batch_records = batch_records
        self._batch_age_s = batch_age_s
        self._pause_max_s = pause_max_s
        self._monotonic = monotonic
        self._stopping = threading.Event()
        self._draining = threading.Event()
        self._told: dict[Signal, LeftOut] = {}
        self._single_until: dict[Signal, int] = {}
        self._failures = dict.fromkeys(Signal, 0)
        self._not_before_s = dict.fromkeys(Signal, float("-inf"))
        self._saved_s = float("-inf")
        self._told_fault = ""
        self.reached: bool | None = None
        self._places = Places(folder / "places.json")
        for signal in Signal:
            place = self._places.get(signal)
            counts.resume(signal, self._places.left_out[signal])
            self._told[signal] = place.left_out
            self._places.open_stream(signal, spool.resume(signal, place.done))
        # Before anything is taken in: what this process takes in must never be counted to an earlier one's stream.
        self._save()
        self._thread = threading.Thread(target=self._run, name="edge-forwarder", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def drain(self) -> None:
        """Send what waits now, however little or young it is, until the centre does not answer."""
        self._draining.set()

    def stop(self, grace_s: float = 2.0) -> None:
        """Send what waits for at most `grace_s` if the centre answers; what is left stays in the spool."""
        if self.reached and grace_s:
            self.drain()
            self._thread.join(grace_s)
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(grace_s + 1)
        if not self._thread.is_alive():
            self._link.close()

    def _left_out(self) -> dict[Signal, LeftOut]:
        return {signal: self._counts.left_out(signal) for signal in Signal}

    def _save(self) -> None:
        self._places.save(self._left_out())
        self._saved_s = self._monotonic()

    def _run(self) -> None:
        while not self._stopping.is_set():
            sent = False
            try:
                for signal in Signal:
                    sent = self._step(signal) or sent
                self._keep_left_out()
            except OSError as error:
                sent = False
                self._fail(f"the agent's own disk fails: {error}")
                self._spool.make_room()
                self._stopping.wait(PAUSE_MIN_S)
            except Exception as error:  # noqa: BLE001 the boundary of a thread: without it nothing is ever forwarded
                sent = False
                self._fail(f"forwarding fails: {error!r}")
                if self._told_fault != repr(error):
                    self._told_fault = repr(error)
                    _log.error("forwarding fails and is begun again", exc_info=error)
                self._stopping.wait(min(FAULT_PAUSE_S, self._pause_max_s))
            if sent:
                continue
            if self._draining.is_set():
                return
            if not self._stopping.is_set():
                self._spool.wait(max(0.01, min(0.5, *(self._due_in_s(signal) for signal in Signal))))

    def _step(self, signal: Signal) -> bool:
        """Send one batch of a signal if one is due; gives whether it was settled. A signal in trouble holds none up."""
        if self._monotonic() < self._not_before_s[signal]:
            return False
        batch = self._next(signal)
        if batch is None or self._stopping.is_set():
            return False
        pause_s = self._send(batch, self._failures[signal])
        self._failures[signal] = self._failures[signal] + 1 if pause_s else 0
        for each in Signal if self.reached is False else (signal,):
            # Nobody is there to take the others either.
            self._not_before_s[each] = self._monotonic() + pause_s
        return not pause_s

    def _keep_left_out(self) -> None:
        now_s = self._monotonic()
        if now_s - self._saved_s >= SAVE_EVERY_S and self._left_out() != self._places.left_out:
            self._save()

    def _due_in_s(self, signal: Signal) -> float:
        since_s = self._spool.waiting(signal).since_s
        if since_s is None:
            return CHECK_EVERY_S
        return max(0.0, max(since_s + self._batch_age_s, self._not_before_s[signal]) - self._monotonic())

    def _next(self, signal: Signal) -> _Batch | None:
        """Give the batch to send now: the one that was begun, else a new one if it is due, its bounds on disk."""
        place = self._places.get(signal)
        if place.upto > place.done:
            return self._compose(signal, place)
        waiting = self._spool.waiting(signal)
        told = self._counts.left_out(signal) != self._told.get(signal)
        if waiting.since_s is None:
            return self._report(signal, place) if told else None
        full = waiting.behind or waiting.records >= self._batch_records
        if not (full or self._draining.is_set() or told or self._due_in_s(signal) <= 0):
            return None
        last = self._spool.last(signal)
        upto = self._bound(signal, place.done)
        if upto == place.done:
            # Nothing of what the files hold can be read: it is damage, told already.
            self._places.put(signal, Place(last, last, place.position, place.left_out))
            self._save()
            self._spool.forwarded(signal, last, 0)
            return None
        place = self._places.begin(signal, upto, self._counts.left_out(signal))
        self._save()
        return self._compose(signal, place)

    def _report(self, signal: Signal, place: Place) -> _Batch:
        """Give a batch without records, to tell what was left out when there is nothing else to send."""
        left_out = self._counts.left_out(signal)
        self._places.put(signal, place._replace(left_out=left_out))
        stream, _ = self._places.stretch_of(signal, place.done)
        return _Batch(signal, place.done, 0, 0, write_mark(Mark(stream, place.position, *left_out)))

    def _bound(self, signal: Signal, after: int) -> int:
        """Give where a new batch ends: at its bounds of records and bytes, or where its stream or the spool does."""
        upto, records, size = after, 0, 0
        end: int | None = None
        single = self._single_until.get(signal, 0) > after
        for entry in self._spool.entries(signal, after):
            if upto == after:
                _, end = self._places.stretch_of(signal, entry.sequence)
            elif single or size + len(entry.payload) > BATCH_BYTES_MAX or (end is not None and entry.sequence > end):
                break
            upto, size = entry.sequence, size + len(entry.payload)
            records += _count(signal, entry.payload)
            if records >= self._batch_records:
                break
        return upto

    def _compose(self, signal: Signal, place: Place) -> _Batch:
        """Put the batch together; requests of protobuf are joined by writing one behind the other."""
        stream, _ = self._places.stretch_of(signal, place.upto)
        mark = Mark(stream, place.position, *place.left_out)
        pieces = [write_mark(mark)]
        records = 0
        for entry in self._spool.entries(signal, place.done):
            if entry.sequence > place.upto:
                break
            pieces.append(entry.payload)
            records += _count(signal, entry.payload)
        return _Batch(signal, place.upto, len(pieces) - 1, records, b"".join(pieces))

    def _send(self, batch: _Batch, failures: int) -> float:
        """Send one batch once; gives the seconds to wait before the next attempt, 0 when it is settled."""
        pause_s: float = min(self._pause_max_s, PAUSE_MIN_S * 2 ** min(failures, 16)) * random.uniform(0.5, 1.0)
        try:
            answer = self._link.post(batch.signal, batch.payload)
        except (Unreachable, CertificateError) as error:
            if self.reached is not False:
                _log.warning("%s", error)
            self.reached = False
            self._fail(str(error))
            return pause_s
        if 200 <= answer.status < 300:
            self.reached = True
            self._counts.last_error = ""
            if self._set_back(batch, answer):
                return 0.0
            rejected = min(answer.rejected, batch.records)
            self._counts.add("forwarded", batch.signal, batch.records - rejected)
            if rejected:
                self._counts.add("told_back", batch.signal, rejected)
                _log.warning("the centre told %d of %d records back: %s", rejected, batch.records, answer.message)
            self._settled(batch)
            return 0.0
        self.reached = True
        self._fail(f"the centre answered {answer.status}: {answer.message}")
        if answer.status in _POISON:
            self._poison(batch, answer)
            return 0.0
        _log.warning("the centre answered %d and is asked again: %s", answer.status, answer.message)
        return max(pause_s, answer.retry_after_s)

    def _set_back(self, batch: _Batch, answer: Answer) -> bool:
        """Tell whether the centre took a new batch for an old one, for it is further in this stream than we are.

        That is so for an agent whose memory was set back while it ran. What it has is sent again in a new stream; what
        it had before it was set back may then be stored twice, rather than what came since be lost. Of a stream of an
        earlier start all was on disk when that was copied, so there the centre is right.
        """
        place = self._places.get(batch.signal)
        if not batch.entries or answer.position in {0, place.position}:
            return False
        if self._places.stretch_of(batch.signal, batch.upto)[1] is not None:
            return False
        _log.warning(
            "the centre is at place %d of this stream of %s and we are at %d: this agent was set back to an older "
            "state; it sends what it has in a new stream",
            *(answer.position, batch.signal, place.position),
        )
        self._places.open_stream(batch.signal, place.done + 1)
        self._places.put(batch.signal, place._replace(upto=place.done))
        self._save()
        return True

    def _poison(self, batch: _Batch, answer: Answer) -> None:
        """Set a batch aside that the centre can never take; of several requests only the bad one, by sending each."""
        place = self._places.get(batch.signal)
        if batch.entries > 1:
            self._single_until[batch.signal] = batch.upto
            self._places.put(batch.signal, place._replace(upto=place.done))
            self._save()
            return
        self._dead.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = f"{self._places.agent[:8]}-{batch.signal.value}-{batch.upto:020d}"
        reason = {"status": answer.status, "message": answer.message, "records": batch.records}
        write_durably(self._dead / f"{name}.json", json.dumps(reason).encode())
        write_durably(self._dead / f"{name}.pb", batch.payload)
        trim(self._dead, letters_max=DEAD_LETTERS_MAX, bytes_max=DEAD_LETTERS_BYTES_MAX)
        _log.error("%d records of %s are set aside in %s: %s", batch.records, batch.signal, self._dead, answer.message)
        self._counts.add("dead_letters", batch.signal, batch.records)
        self._settled(batch)

    def _settled(self, batch: _Batch) -> None:
        place = self._places.get(batch.signal)
        self._told[batch.signal] = place.left_out
        self._places.put(batch.signal, place._replace(done=batch.upto, upto=batch.upto))
        self._spool.forwarded(batch.signal, batch.upto, batch.records)

    def _fail(self, message: str) -> None:
        self._counts.attempts_failed += 1
        self._counts.last_error = message

    def status(self) -> dict[str, Any]:
        """Tell whether the centre answers (None: not tried yet) and how far each signal is."""
        return {"reached": self.reached, "done": {signal.value: self._places.get(signal).done for signal in Signal}}


def trim(folder: Path, *, letters_max: int, bytes_max: int) -> None:
    """Remove the oldest dead letters beyond a number or a size of all; the newest always stays."""
    letters = sorted((each.stat().st_mtime_ns, each.name, each.stat().st_size) for each in folder.glob("*.pb"))
    total = sum(size for _, _, size in letters)
    for place, (_, name, size) in enumerate(letters[:-1]):
        if len(letters) - place <= letters_max and total <= bytes_max:
            break
        total -= size
        (folder / name).unlink(missing_ok=True)
        (folder / name).with_suffix(".json").unlink(missing_ok=True)


def _count(signal: Signal, payload: bytes) -> int:
    try:
        return count_records(signal, parse(signal, payload))
    except MalformedTelemetry:
        return 0
