"""The live feed of batches that have just become queryable, for tails and live counters.

A subscriber that falls behind misses its oldest batches and can ask how many rows that were. Keeps nothing else.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pyarrow as pa

from watchkeeper.signals.schema import Signal

SUBSCRIBER_BATCHES_MAX = 256


@dataclass
class TailSubscriber:
    """One reader of the feed: its queue of (signal, batch), and the rows that it was too slow for."""

    batches: queue.Queue[tuple[Signal, pa.RecordBatch]] = field(
        default_factory=lambda: queue.Queue(SUBSCRIBER_BATCHES_MAX)
    )
    missed_rows: int = 0


class Tail:
    """Hands each batch to every subscriber; costs nothing while there is none.

    on_batch: called with every batch before the subscribers get it, in the pipeline's thread; must not raise.
    """

    def __init__(self, on_batch: Callable[[Signal, pa.RecordBatch], None] | None = None) -> None:
        self._on_batch = on_batch
        self._subscribers: list[TailSubscriber] = []
        self._lock = threading.Lock()

    def publish(self, signal: Signal, batch: pa.RecordBatch) -> None:
        """Hand the batch to every subscriber, pushing out its oldest where it is full."""
        if self._on_batch is not None:
            self._on_batch(signal, batch)
        with self._lock:
            for subscriber in self._subscribers:
                while True:
                    try:
                        subscriber.batches.put_nowait((signal, batch))
                        break
                    except queue.Full:
                        subscriber.missed_rows += _drop_oldest(subscriber)

    @contextmanager
    def subscribe(self) -> Iterator[TailSubscriber]:
        """Give a subscriber that receives every batch from now on."""
        subscriber = TailSubscriber()
        with self._lock:
            self._subscribers.append(subscriber)
        try:
            yield subscriber
        finally:
            with self._lock:
                self._subscribers.remove(subscriber)


def _drop_oldest(subscriber: TailSubscriber) -> int:
    try:
        return int(subscriber.batches.get_nowait()[1].num_rows)
    except queue.Empty:
        return 0
