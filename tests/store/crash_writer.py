"""A process that writes to a store until it is killed, and tells each acknowledgement through a pipe.

First it sends again what an earlier process was not told to be stored, as a client does. Its store seals, merges and
answers queries all the while, so that a kill hits those too.
"""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import Future
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import duckdb  # noqa: F401 - loaded before the fork, so that a killed process spent its short life on work
import pyarrow as pa
import pyarrow.parquet
from tests.store.telemetry import NOON_NS, open_store, payload, send

from watchkeeper.errors import Refused
from watchkeeper.signals.schema import Signal
from watchkeeper.store import store as store_module
from watchkeeper.store.entry import Appended
from watchkeeper.store.store import Store

ROWS = 7
IN_FLIGHT_MAX = 48
SMALL_STORE = {"segment_age_s": 0.05, "wal_file_bytes_max": 16_384, "wal_commit_delay_ms": 0.2, "query_timeout_s": 20}


def request(number: int) -> tuple[Signal, bytes]:
    """Give request `number`: always the same bytes, spread over hours, one in five a batch of spans."""
    signal = Signal.SPANS if number % 5 == 0 else Signal.LOGS
    start = NOON_NS + (number % 3) * 3600 * 10**9 + number * 1000
    return signal, payload(f"r{number}", rows=ROWS, start_ns=start, step_ns=1, filler=200)


def run(home: str, again: list[int], first: int, pipe: Connection) -> None:
    """Write requests `again`, then `first` and onwards, for ever."""
    store_module.COMPACT_TOGETHER_MIN = 3
    store = open_store(Path(home), **SMALL_STORE)
    room = threading.Semaphore(IN_FLIGHT_MAX)
    lock = threading.Lock()
    pipe.send(("open", 0))

    def acknowledged(number: int, future: Future[Appended]) -> None:
        room.release()
        if future.exception() is None:
            with lock:
                pipe.send(("known" if future.result().duplicate else "stored", number))

    def enrich(sequence: int, signal: Signal, batch: pa.RecordBatch) -> None:
        store.enrich(sequence, signal, {})

    for recovered in store.recovered():
        store.enrich(recovered.sequence, recovered.signal, {})
    store.on_durable(enrich)
    threading.Thread(target=_read, args=(store,), daemon=True).start()
    numbers = itertools.chain(again, itertools.count(first))
    for number in numbers:
        room.acquire()
        with lock:
            pipe.send(("sent", number))
        _send(store, number, partial(acknowledged, number))


def _send(store: Store, number: int, acknowledged: partial[None]) -> None:
    signal, content = request(number)
    while True:
        try:
            send(store, content, signal=signal).add_done_callback(acknowledged)
        except Refused:
            threading.Event().wait(0.002)
            continue
        return


def _read(store: Store) -> None:
    while True:
        store.sql("SELECT count(*), max(time) FROM logs")
