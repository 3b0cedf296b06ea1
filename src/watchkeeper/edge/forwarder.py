"""Forwards what is in the spool to the centre: in order, in batches, with patience, and each batch exactly once.

Enters: the spool. Leaves: OTLP over HTTP. The bounds of a batch are written to disk before it is first sent, so that a
process that comes after a kill sends the very same batch, whose mark (receive/batch_mark.py) the centre recognises.
What the centre can never take is set aside in the folder `dead-letters` and counted; all else waits until it is taken.
"""

from __future__ import annotations

import json
import logging
import random
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from watchkeeper.edge.counts import Counts, LeftOut
from watchkeeper.edge.intake import count_records, parse
from watchkeeper.edge.link import Answer, Link
from watchkeeper.edge.spool import Spool
from watchkeeper.errors import CertificateError, MalformedTelemetry, NewerFormat, StoreError, Unreachable
from watchkeeper.receive.batch_mark import Mark, write_mark
from watchkeeper.signals.signal import Signal
from watchkeeper.store.layout import write_durably

SCHEMA_VERSION = 1
BATCH_BYTES_MAX = 4 << 20
PAUSE_MIN_S = 0.25
PAUSE_MAX_S = 30.0
CHECK_EVERY_S = 60.0
SAVE_EVERY_S = 1.0
DEAD_LETTERS_MAX = 1000
_POISON = {400, 413, 415, 422}

_log = logging.getLogger(__name__)


class Place(NamedTuple):
    """How far a signal is: all up to `done` is settled; a batch that ends at `upto` was begun when that is higher.

    `left_out` are the totals that the begun batch tells.
    """

    done: int = 0
    upto: int = 0
    left_out: LeftOut = LeftOut(0, 0)


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
        self._file = folder / "places.json"
        self._dead = folder / "dead-letters"
        self._batch_records = batch_records
        self._batch_age_s = batch_age_s
        self._pause_max_s = pause_max_s
        self._monotonic = monotonic
        self._stopping = threading.Event()
        self._draining = threading.Event()
        self._told: dict[Signal, LeftOut] = {}
        self._single_until: dict[Signal, int] = {}
        self.reached: bool | None = None
        self.stream, self._places = self._load()
        for signal, place in self._places.items():
            spool.resume(signal, place.done)
            self._told[signal] = place.left_out
        self._saved_left_out = self._left_out()
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

    def _load(self) -> tuple[str, dict[Signal, Place]]:
        try:
            data = json.loads(self._file.read_bytes())
        except FileNotFoundError:
            return secrets.token_hex(16), {signal: Place() for signal in Signal}
        except (OSError, ValueError) as error:
            raise StoreError(
                f"{self._file} cannot be read ({error}); without it batches may be sent twice. Move the folder "
                f"{self._file.parent} away to begin a new stream"
            ) from error
        if data["schema_version"] > SCHEMA_VERSION:
            raise NewerFormat(f"{self._file} was written by a newer Watchkeeper; upgrade this one")
        for signal in Signal:
            row = data["left_out"][signal.value]
            self._counts.resume(signal, LeftOut(row["dropped"], row["refused"]))
        places = {
            signal: Place(row["done"], row["upto"], LeftOut(row["dropped"], row["refused"]))
            for signal in Signal
            for row in [data["places"][signal.value]]
        }
        return data["stream"], places

    def _left_out(self) -> dict[Signal, LeftOut]:
        return {signal: self._counts.left_out(signal) for signal in Signal}

    def _save(self) -> None:
        left_out = self._left_out()
        rows = {
            signal.value: {"done": place.done, "upto": place.upto, **place.left_out._asdict()}
            for signal, place in self._places.items()
        }
        totals = {signal.value: each._asdict() for signal, each in left_out.items()}
        data = {"schema_version": SCHEMA_VERSION, "stream": self.stream, "places": rows, "left_out": totals}
        write_durably(self._file, json.dumps(data).encode())
        self._saved_left_out = left_out

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            wait_s = CHECK_EVERY_S
            try:
                for signal in Signal:
                    while (batch := self._next(signal)) is not None and not self._stopping.is_set():
                        pause_s = self._send(batch, failures)
                        failures = failures + 1 if pause_s else 0
                        if pause_s and self._draining.is_set():
                            return
                        self._pause(pause_s)
                    wait_s = min(wait_s, self._due_in_s(signal))
                self._keep_left_out()
            except OSError as error:
                failures += 1
                self._fail(f"the agent's own disk fails: {error}")
                wait_s = PAUSE_MIN_S
            if self._draining.is_set():
                return
            if not self._stopping.is_set():
                self._spool.wait(max(0.01, min(wait_s, 0.5)))

    def _pause(self, pause_s: float) -> None:
        """Wait between two attempts, and keep on disk meanwhile what is left out."""
        until_s = self._monotonic() + pause_s
        while (left_s := until_s - self._monotonic()) > 0 and not self._stopping.wait(min(left_s, SAVE_EVERY_S)):
            self._keep_left_out()

    def _keep_left_out(self) -> None:
        if self._left_out() != self._saved_left_out:
            self._save()

    def _due_in_s(self, signal: Signal) -> float:
        since_s = self._spool.waiting(signal).since_s
        return CHECK_EVERY_S if since_s is None else max(0.0, since_s + self._batch_age_s - self._monotonic())

    def _next(self, signal: Signal) -> _Batch | None:
        """Give the batch to send now: the one that was begun, else a new one if it is due, its bounds on disk."""
        place = self._places[signal]
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
            self._places[signal] = Place(last, last, place.left_out)
            self._save()
            self._spool.forwarded(signal, last, 0)
            return None
        place = Place(place.done, upto, self._counts.left_out(signal))
        self._places[signal] = place
        self._save()
        return self._compose(signal, place)

    def _report(self, signal: Signal, place: Place) -> _Batch:
        """Give a batch without records, to tell what was left out when there is nothing else to send."""
        left_out = self._counts.left_out(signal)
        self._places[signal] = place._replace(left_out=left_out)
        return _Batch(signal, place.done, 0, 0, write_mark(Mark(self._name(signal), place.done, *left_out)))

    def _name(self, signal: Signal) -> str:
        return f"{self.stream}/{signal.value}"

    def _bound(self, signal: Signal, after: int) -> int:
        """Give where a new batch ends: at its bounds of records and bytes, or where the spool does."""
        upto, records, size = after, 0, 0
        single = self._single_until.get(signal, 0) > after
        for entry in self._spool.entries(signal, after):
            if upto > after and (single or size + len(entry.payload) > BATCH_BYTES_MAX):
                break
            upto, size = entry.sequence, size + len(entry.payload)
            records += _count(signal, entry.payload)
            if records >= self._batch_records:
                break
        return upto

    def _compose(self, signal: Signal, place: Place) -> _Batch:
        """Put the batch together; requests of protobuf are joined by writing one behind the other."""
        mark = Mark(self._name(signal), place.upto, *place.left_out)
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

    def _poison(self, batch: _Batch, answer: Answer) -> None:
        """Set a batch aside that the centre can never take; of several requests only the bad one, by sending each."""
        place = self._places[batch.signal]
        if batch.entries > 1:
            self._single_until[batch.signal] = batch.upto
            self._places[batch.signal] = place._replace(upto=place.done)
            self._save()
            return
        self._dead.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = f"{self.stream[:8]}-{batch.signal.value}-{batch.upto:020d}"
        reason = {"status": answer.status, "message": answer.message, "records": batch.records}
        write_durably(self._dead / f"{name}.json", json.dumps(reason).encode())
        write_durably(self._dead / f"{name}.pb", batch.payload)
        for old in sorted(self._dead.glob("*.pb"))[:-DEAD_LETTERS_MAX]:
            old.unlink(missing_ok=True)
            old.with_suffix(".json").unlink(missing_ok=True)
        _log.error("%d records of %s are set aside in %s: %s", batch.records, batch.signal, self._dead, answer.message)
        self._counts.add("dead_letters", batch.signal, batch.records)
        self._settled(batch)

    def _settled(self, batch: _Batch) -> None:
        place = self._places[batch.signal]
        self._told[batch.signal] = place.left_out
        self._places[batch.signal] = Place(batch.upto, batch.upto, place.left_out)
        self._spool.forwarded(batch.signal, batch.upto, batch.records)

    def _fail(self, message: str) -> None:
        self._counts.attempts_failed += 1
        self._counts.last_error = message

    def status(self) -> dict[str, Any]:
        """Tell whether the centre answers (None: not tried yet) and how far each signal is."""
        return {"reached": self.reached, "done": {signal.value: each.done for signal, each in self._places.items()}}


def _count(signal: Signal, payload: bytes) -> int:
    try:
        return count_records(signal, parse(signal, payload))
    except MalformedTelemetry:
        return 0
