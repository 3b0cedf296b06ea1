"""The pipeline: what waits together is judged together, one signal after another, and its memory is bounded."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
import pytest
from tests.store.telemetry import open_store, payload, send

from watchkeeper.app.pipeline import Pipeline
from watchkeeper.app.tail import Tail
from watchkeeper.errors import QueueFull
from watchkeeper.patterns.miner import TemplateMiner
from watchkeeper.signals.schema import Signal
from watchkeeper.store.store import Store


class Watcher:
    """An observer that notes what passes, and can be held up."""

    def __init__(self) -> None:
        self.seen: list[tuple[Signal, list[int]]] = []
        self.reached = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def observe(self, signal: Signal, batch: pa.RecordBatch) -> None:
        """Note the sequences of a batch."""
        self.seen.append((signal, list(dict.fromkeys(batch.column("batch").to_pylist()))))
        self.reached.set()
        self.go_on.wait()


@contextmanager
def running(home: Path, watcher: Watcher, **chosen: object) -> Iterator[tuple[Store, Pipeline]]:
    store = open_store(home, **chosen)
    pipeline = Pipeline(store, TemplateMiner(), {}, tail=Tail(), publish=lambda findings: None, observers=[watcher])
    store.on_durable(pipeline.submit)
    store.count_held(pipeline.held_bytes)
    pipeline.start()
    try:
        yield store, pipeline
    finally:
        watcher.go_on.set()
        pipeline.stop()
        store.close()


def test_what_waits_together_is_judged_by_signal_in_order(tmp_path: Path) -> None:
    watcher = Watcher()
    with running(tmp_path, watcher) as (store, pipeline):
        watcher.go_on.clear()
        send(store, payload("first")).result(10)
        assert watcher.reached.wait(10)
        signals = [Signal.LOGS, Signal.SPANS, Signal.LOGS, Signal.SPANS]
        for number, signal in enumerate(signals):
            send(store, payload(f"n{number}"), signal=signal).result(10)
        held = pipeline.held_bytes()
        assert held > 0
        assert pipeline.stats().pending_batches == 4
        watcher.go_on.set()
        assert pipeline.wait_idle(10)
        assert watcher.seen[1:] == [(Signal.LOGS, [2, 4]), (Signal.SPANS, [3, 5])]
        assert pipeline.sequence == 5
        assert pipeline.held_bytes() == 0


def test_what_waits_to_be_judged_is_bounded_even_when_it_is_sealed(tmp_path: Path) -> None:
    watcher = Watcher()
    with running(tmp_path, watcher, hot_bytes_max=2**20, segment_age_s=1000) as (store, pipeline):
        watcher.go_on.clear()
        sent = 0
        with suppress(QueueFull):
            while sent < 2000:
                send(store, payload(f"n{sent}", rows=10, filler=4000)).result(10)
                sent += 1
        store.seal_now()
        assert store.stats().hot_bytes < 2**19
        with pytest.raises(QueueFull, match="hot_bytes_max"):
            send(store, payload("one more", rows=10, filler=4000))
        assert pipeline.held_bytes() <= 2**21
        watcher.go_on.set()
        assert pipeline.wait_idle(30)
        send(store, payload("after")).result(10)
        assert pipeline.wait_idle(10)
        assert sorted(sequence for _, group in watcher.seen for sequence in group) == list(range(1, sent + 2))
