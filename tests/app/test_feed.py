"""The live feed: all who subscribe hear all that is told from then on, and who reads slowly misses the oldest."""

from __future__ import annotations

import queue
import threading

import pytest

from watchkeeper.app import feed
from watchkeeper.app.feed import Feed


def drained(subscriber: queue.Queue[int]) -> list[int]:
    return [subscriber.get_nowait() for _ in range(subscriber.qsize())]


def test_everyone_hears_what_is_told_while_they_listen() -> None:
    own: Feed[int] = Feed()
    own.tell([1])
    with own.subscribe() as first:
        own.tell([2])
        with own.subscribe() as second:
            own.tell(each for each in (3, 4))
        own.tell([5])
    own.tell([6])
    assert (drained(first), drained(second)) == ([2, 3, 4, 5], [3, 4])


def test_a_full_queue_misses_its_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "QUEUE_MAX", 3)
    own: Feed[int] = Feed()
    with own.subscribe() as slow:
        own.tell(range(10))
        assert drained(slow) == [7, 8, 9]


def test_many_tell_at_once_and_each_thing_is_heard_once() -> None:
    own: Feed[int] = Feed()
    with own.subscribe() as subscriber:
        threads = [threading.Thread(target=own.tell, args=(range(at * 100, at * 100 + 100),)) for at in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert sorted(drained(subscriber)) == list(range(800))
