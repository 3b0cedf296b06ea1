"""The contract of the store: what is acknowledged is there, once, before and after every restart."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from tests.store.telemetry import NOON_NS, batch_of, counts, payload, put, segment_files, send, wal_files

from watchkeeper.errors import DiskNearlyFull, QueueFull, StoreError
from watchkeeper.signals.schema import SCHEMAS, Signal
from watchkeeper.store.entry import Appended
from watchkeeper.store.store import Store

Opened = Callable[..., Store]


def test_acknowledged_is_queryable_before_and_after_sealing_and_reopening(opened: Opened) -> None:
    store = opened()
    assert put(store, "a", rows=3) == 1
    assert put(store, "b", rows=4) == 2
    assert counts(store) == {"a": 3, "b": 4}
    store.seal_now()
    assert counts(store) == {"a": 3, "b": 4}
    put(store, "c", rows=5)
    store.close()
    assert counts(opened()) == {"a": 3, "b": 4, "c": 5}


@pytest.mark.parametrize("signal", list(Signal))
def test_every_column_comes_back_as_it_went_in(opened: Opened, signal: Signal) -> None:
    store = opened()
    content = payload("same", rows=50)
    send(store, content, signal=signal, received_unix_ns=NOON_NS).result(10)
    expected = batch_of(signal, content, received_unix_ns=NOON_NS)
    for _ in ("hot", "sealed"):
        found = store.sql(f"SELECT * EXCLUDE (time) FROM {signal.value} ORDER BY time_unix_ns")
        assert found.column_names == SCHEMAS[signal].names
        for name in SCHEMAS[signal].names:
            own = {"batch": [1] * 50, "row": list(range(50))}
            want = own[name] if name in own else expected.column(name).to_pylist()
            assert found[name].to_pylist() == want, name
        store.seal_now()


def test_time_is_the_event_time_in_utc(opened: Opened) -> None:
    store = opened()
    put(store, "a", rows=1)
    row = store.sql("SELECT time, time = TIMESTAMPTZ '2025-11-21 12:00:00+00' AS noon FROM logs").to_pylist()[0]
    assert row["noon"] is True
    assert str(row["time"]) == "2025-11-21 12:00:00+00:00"


def test_a_retry_is_known_before_and_after_sealing_and_reopening(opened: Opened) -> None:
    store = opened()
    content = payload("a")
    assert send(store, content).result(10) == Appended(1, duplicate=False)
    assert send(store, content).result(10) == Appended(1, duplicate=True)
    store.close()
    store = opened()
    assert send(store, content).result(10) == Appended(1, duplicate=True)
    store.seal_now()
    store.close()
    store = opened()
    assert send(store, content).result(10) == Appended(1, duplicate=True)
    assert counts(store) == {"a": 3}


def test_the_same_content_is_stored_again_from_another_sender_signal_or_after_the_window(opened: Opened) -> None:
    store = opened(dedup_window_s=600)
    content = payload("a")
    assert not send(store, content, received_unix_ns=NOON_NS).result(10).duplicate
    assert not send(store, content, sender="other", received_unix_ns=NOON_NS).result(10).duplicate
    assert not send(store, content, signal=Signal.SPANS, received_unix_ns=NOON_NS).result(10).duplicate
    assert send(store, content, received_unix_ns=NOON_NS + 599 * 10**9).result(10).duplicate
    assert not send(store, content, received_unix_ns=NOON_NS + 600 * 10**9).result(10).duplicate
    assert counts(store) == {"a": 9}


def test_retries_in_flight_wait_for_the_same_fsync(opened: Opened) -> None:
    store = opened(wal_commit_delay_ms=200)
    futures = [send(store, payload("a")) for _ in range(3)]
    assert [f.result(10) for f in futures] == [Appended(1, duplicate=i > 0) for i in range(3)]
    assert counts(store) == {"a": 3}


def test_on_durable_tells_every_batch_in_order_after_it_is_queryable(opened: Opened) -> None:
    store = opened()
    told: list[tuple[int, Signal, int]] = []
    done = threading.Event()

    def listen(sequence: int, signal: Signal, batch: pa.RecordBatch) -> None:
        assert batch.column("batch").to_pylist() == [sequence] * batch.num_rows
        visible = store.sql("SELECT count(*) AS n FROM logs WHERE batch = ?", [sequence])["n"][0].as_py()
        told.append((sequence, signal, visible))
        if sequence == 20:
            done.set()

    store.on_durable(listen)
    threads = [
        threading.Thread(target=lambda k=k: [put(store, f"{k}-{i}", rows=2) for i in range(5)]) for k in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done.wait(10)
    assert told == [(sequence, Signal.LOGS, 2) for sequence in range(1, 21)]


def test_a_listener_that_fails_is_counted_and_stops_nothing(opened: Opened) -> None:
    store = opened()

    def listen(sequence: int, signal: Signal, batch: pa.RecordBatch) -> None:
        raise RuntimeError("broken listener")

    store.on_durable(listen)
    put(store, "a")
    put(store, "b")
    assert counts(store) == {"a": 3, "b": 3}
    assert store.stats().failures >= 1


def test_enriched_columns_are_sealed(opened: Opened) -> None:
    store = opened()
    sequence = put(store, "a", rows=3)
    store.enrich(sequence, Signal.LOGS, {"template_id": pa.array([7, 8, None], pa.int64())})
    for _ in ("hot", "sealed"):
        found = store.sql("SELECT template_id FROM logs ORDER BY time_unix_ns")
        assert found["template_id"].to_pylist() == [7, 8, None]
        store.seal_now()
    store.enrich(sequence, Signal.LOGS, {"template_id": pa.array([1, 1, 1], pa.int64())})
    assert store.sql("SELECT max(template_id) AS m FROM logs")["m"].to_pylist() == [8]


def test_sealing_waits_for_the_pipeline(opened: Opened) -> None:
    store = opened()
    first = put(store, "a", rows=1)
    store.enrich(first, Signal.LOGS, {"template_id": pa.array([1], pa.int64())})
    second = put(store, "b", rows=1)
    sealing = threading.Thread(target=store.seal_now)
    sealing.start()
    sealing.join(0.3)
    assert sealing.is_alive()
    assert store.stats().hot_bytes > 0
    store.enrich(second, Signal.LOGS, {"template_id": pa.array([2], pa.int64())})
    sealing.join(20)
    assert store.sql("SELECT sum(template_id) AS s FROM logs")["s"].to_pylist() == [3]
    assert store.stats().hot_bytes == 0


@pytest.mark.parametrize(
    "columns",
    [
        {"template_id": pa.array([1], pa.int64())},
        {"template_id": pa.array(["x", "y", "z"])},
        {"no_such": pa.array([1, 2, 3], pa.int64())},
    ],
)
def test_a_column_that_does_not_fit_is_refused(opened: Opened, columns: dict[str, pa.Array]) -> None:
    store = opened()
    sequence = put(store, "a", rows=3)
    with pytest.raises(ValueError, match="does not fit"):
        store.enrich(sequence, Signal.LOGS, columns)


def test_many_small_batches_join_and_none_is_lost(opened: Opened) -> None:
    store = opened()
    futures = [send(store, payload(f"n{i % 7}", rows=1, start_ns=NOON_NS + i)) for i in range(300)]
    for future in futures:
        store.enrich(future.result(10).sequence, Signal.LOGS, {})
    assert sum(counts(store).values()) == 300
    assert store.sql("SELECT count(DISTINCT batch) AS n FROM logs")["n"].to_pylist() == [300]


def test_recovered_gives_what_was_not_sealed_in_order_and_once(opened: Opened) -> None:
    store = opened()
    put(store, "sealed")
    store.seal_now()
    put(store, "a", rows=1)
    send(store, payload("b", rows=2), signal=Signal.SPANS).result(10)
    store.close()
    store = opened()
    found = [(r.sequence, r.signal, r.batch.num_rows, r.batch.column("batch").to_pylist()) for r in store.recovered()]
    assert found == [(2, Signal.LOGS, 1, [2]), (3, Signal.SPANS, 2, [3, 3])]
    assert list(store.recovered()) == []
    store.enrich(2, Signal.LOGS, {"template_id": pa.array([5], pa.int64())})
    assert store.sql("SELECT template_id FROM logs WHERE batch = 2")["template_id"].to_pylist() == [5]
    assert put(store, "c") == 4


def test_what_was_recovered_is_not_sealed_before_the_pipeline_had_its_chance(opened: Opened, home: Path) -> None:
    store = opened()
    put(store, "a", rows=1)
    store.close()
    store = opened(segment_age_s=1000)
    sealed = store._sealer.seal_completed(time.monotonic())
    assert (sealed, segment_files(home)) == (0, [])
    for recovered in store.recovered():
        store.enrich(recovered.sequence, recovered.signal, {"template_id": pa.array([3], pa.int64())})
    with store._upkeep_lock:
        store._sealer.seal_completed(time.monotonic())
    assert len(segment_files(home)) == 1
    assert store.sql("SELECT template_id FROM logs")["template_id"].to_pylist() == [3]


def test_closing_does_not_wait_for_a_pipeline_that_stands_still(opened: Opened, home: Path) -> None:
    store = opened(segment_age_s=0.05)
    store.enrich(put(store, "a", rows=1), Signal.LOGS, {})
    store.seal_now()
    put(store, "b", rows=1)
    began = time.monotonic()
    store.close()
    assert time.monotonic() - began < 4
    assert counts(opened()) == {"a": 1, "b": 1}


def test_segments_are_sealed_by_age(opened: Opened, home: Path) -> None:
    store = opened(segment_age_s=0.05)
    put(store, "a")
    deadline = threading.Event()
    for _ in range(1000):
        if segment_files(home) and not wal_files(home):
            break
        deadline.wait(0.01)
    assert len(segment_files(home)) == 1
    assert wal_files(home) == []
    assert counts(store) == {"a": 3}


def test_the_queue_is_bounded(opened: Opened) -> None:
    store = opened(queue_bytes_max=4096, wal_commit_delay_ms=300)
    first = send(store, payload("a", filler=3000))
    with pytest.raises(QueueFull) as refused:
        send(store, payload("b", filler=3000))
    assert refused.value.retry_after_s > 0
    first.result(10)
    assert not send(store, payload("b", filler=3000)).result(10).duplicate


def test_hot_memory_is_bounded_and_freed_by_sealing(opened: Opened) -> None:
    store = opened(hot_bytes_max=2**20, wal_file_bytes_max=2**30, segment_age_s=1000)
    with store._upkeep_lock:  # nothing is sealed behind the test's back
        stored = 0
        while stored < 2000:
            try:
                put(store, f"n{stored}", rows=10, filler=4000)
            except QueueFull:
                break
            stored += 1
        assert 5 < stored < 100
        assert store.stats().hot_bytes <= 2**20
    store.seal_now()
    put(store, "after")
    assert sum(counts(store).values()) == stored * 10 + 3


def test_below_the_floor_of_free_space_requests_are_refused(opened: Opened) -> None:
    store = opened(disk_free_bytes_min=2**62)
    with pytest.raises(DiskNearlyFull, match="disk_free_bytes_min"):
        put(store, "a")
    assert counts(store) == {}


def test_a_name_that_does_not_fit_the_log_fails_alone(opened: Opened) -> None:
    store = opened()
    with pytest.raises(StoreError, match="sender"):
        send(store, payload("a"), sender="s" * 70_000)
    put(store, "b")
    assert counts(store) == {"b": 3}


def test_stats_tell_rows_sizes_and_times(opened: Opened, home: Path) -> None:
    store = opened()
    put(store, "a", rows=3)
    send(store, payload("m", rows=2), signal=Signal.METRICS).result(10)
    hot = store.stats()
    assert (hot.signals[Signal.LOGS].rows, hot.signals[Signal.LOGS].segments) == (3, 0)
    assert hot.hot_bytes > 0
    assert hot.wal_bytes == wal_files(home)[0].stat().st_size
    store.seal_now()
    stats = store.stats()
    logs = stats.signals[Signal.LOGS]
    assert (logs.rows, logs.segments, logs.oldest_unix_ns, logs.newest_unix_ns) == (3, 1, NOON_NS, NOON_NS + 2000)
    assert (stats.hot_bytes, stats.wal_bytes) == (0, 0)
    shown = stats.as_dict()
    assert shown["signals"]["logs"]["oldest_unix_ns"] == str(NOON_NS)
    assert shown["signals"]["spans"] == {
        "rows": 0, "bytes": 0, "segments": 0, "oldest_unix_ns": None, "newest_unix_ns": None,
    }  # fmt: skip
    assert shown["quarantined"] == 0
    assert shown["folder"] == str(home)


def test_a_closed_store_refuses(opened: Opened) -> None:
    store = opened()
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        send(store, payload("a"))
