"""The live feed: every subscriber gets every batch; a slow one loses its oldest and knows how many rows."""

import pyarrow as pa

from watchkeeper.app.tail import SUBSCRIBER_BATCHES_MAX, Tail
from watchkeeper.signals.schema import Signal


def batch(number: int) -> pa.RecordBatch:
    return pa.record_batch({"n": [number, number]})


def test_every_subscriber_gets_what_comes_after_it() -> None:
    tail = Tail()
    tail.publish(Signal.LOGS, batch(0))
    with tail.subscribe() as one, tail.subscribe() as two:
        tail.publish(Signal.LOGS, batch(1))
        for subscriber in (one, two):
            signal, got = subscriber.batches.get_nowait()
            assert (signal, got.column("n").to_pylist()) == (Signal.LOGS, [1, 1])
            assert subscriber.batches.empty()


def test_a_slow_one_loses_the_oldest_and_is_told() -> None:
    tail = Tail()
    with tail.subscribe() as slow:
        for number in range(SUBSCRIBER_BATCHES_MAX + 3):
            tail.publish(Signal.LOGS, batch(number))
        assert slow.missed_rows == 6
        assert slow.batches.get_nowait()[1].column("n")[0].as_py() == 3


def test_one_that_left_gets_nothing() -> None:
    tail = Tail()
    with tail.subscribe() as gone:
        pass
    tail.publish(Signal.LOGS, batch(1))
    assert gone.batches.empty()
