"""A live feed: whoever subscribes gets all that is told from then on, and no slow reader holds the others up.

Enters: things as they happen, from any thread. Leaves: a queue of each subscriber. Keeps nothing.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

QUEUE_MAX = 1_000

T = TypeVar("T")


class Feed(Generic[T]):
    """Subscribers of one sort of thing; a full queue misses its oldest."""

    def __init__(self) -> None:
        self._subscribers: list[queue.Queue[T]] = []
        self._lock = threading.Lock()

    def tell(self, things: Iterable[T]) -> None:
        """Tell every subscriber; waits for none."""
        told = list(things)
        with self._lock:
            subscribers = list(self._subscribers)
        for subscriber in subscribers:
            for thing in told:
                _offer(subscriber, thing)

    @contextmanager
    def subscribe(self) -> Iterator[queue.Queue[T]]:
        """Give a queue that receives all that is told from now on."""
        subscriber: queue.Queue[T] = queue.Queue(QUEUE_MAX)
        with self._lock:
            self._subscribers.append(subscriber)
        try:
            yield subscriber
        finally:
            with self._lock:
                self._subscribers.remove(subscriber)


def _offer(subscriber: queue.Queue[T], thing: T) -> None:
    while True:
        try:
            subscriber.put_nowait(thing)
            return
        except queue.Full:
            try:
                subscriber.get_nowait()
            except queue.Empty:
                continue
