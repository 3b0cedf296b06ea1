"""Hours, merging and deletion: every row in its own hour's folder, few files, and no more than was allowed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.store.telemetry import HOUR_NS, NOON_NS, counts, payload, put, segment_files, send

from watchkeeper.settings import DAY_S
from watchkeeper.signals.schema import Signal
from watchkeeper.store import compaction, retention, segments
from watchkeeper.store.segments import Segment
from watchkeeper.store.store import Store

Opened = Callable[..., Store]
DAY_NS = DAY_S * 10**9


def segment(number: int, **values: int | str) -> Segment:
    base = Segment(
        id=f"s{number}",
        signal=Signal.LOGS,
        path=f"logs/date=2025-11-21/hour=12/s{number}.parquet",
        rows=1,
        bytes=100,
        arrow_bytes=1000,
        min_time_unix_ns=number,
        max_time_unix_ns=number,
        received_max_unix_ns=number,
        first_sequence=number,
        last_sequence=number,
        columns="a",
        crc32=0,
    )
    return base._replace(**values)


def test_late_and_mixed_rows_lie_in_the_hour_of_their_event_sorted(opened: Opened, home: Path) -> None:
    store = opened()
    put(store, "now", rows=4)
    put(store, "late", rows=4, start_ns=NOON_NS - 30 * HOUR_NS)
    put(store, "across", rows=4, start_ns=NOON_NS + HOUR_NS // 2, step_ns=HOUR_NS // 4)
    put(store, "backwards", rows=3, start_ns=NOON_NS + 9000, step_ns=-1000)
    store.seal_now()
    found = {}
    for file in segment_files(home):
        times = pq.read_table(file, columns=["time_unix_ns"], partitioning=None)["time_unix_ns"].to_pylist()
        assert times == sorted(times)
        found["/".join(file.parts[-3:-1])] = len(times)
    assert found == {
        "date=2025-11-20/hour=06": 4,
        "date=2025-11-21/hour=12": 4 + 2 + 3,
        "date=2025-11-21/hour=13": 2,
    }
    assert counts(store) == {"now": 4, "late": 4, "across": 4, "backwards": 3}


def test_rows_of_very_many_hours_do_not_make_very_many_files(opened: Opened, home: Path) -> None:
    store = opened()
    put(store, "a year", rows=2000, step_ns=3 * HOUR_NS)
    store.seal_now()
    assert len(segment_files(home)) == segments.HOURS_MAX
    assert counts(store) == {"a year": 2000}
    last = NOON_NS + 1999 * 3 * HOUR_NS
    found = store.sql(f"SELECT count(*) AS n FROM logs WHERE time_unix_ns >= {last}", time_range_unix_ns=(last, last))
    assert found["n"].to_pylist() == [1]


def test_segments_are_compressed_dictionary_encoded_parquet_of_one_row_group(opened: Opened, home: Path) -> None:
    store = opened()
    put(store, "a", rows=500)
    store.seal_now()
    metadata = pq.ParquetFile(segment_files(home)[0]).metadata
    assert metadata.num_row_groups == 1
    columns = {metadata.row_group(0).column(i).path_in_schema: metadata.row_group(0).column(i) for i in range(27)}
    assert {c.compression for c in columns.values()} == {"ZSTD"}
    assert "RLE_DICTIONARY" in columns["service"].encodings
    assert columns["time_unix_ns"].statistics.min == NOON_NS
    assert columns["time_unix_ns"].statistics.max == NOON_NS + 499_000


def test_small_segments_of_an_hour_are_merged(opened: Opened, home: Path) -> None:
    store = opened()
    for i in range(6):
        put(store, f"n{i}", rows=5, start_ns=NOON_NS + (5 - i) * 10_000)
        put(store, f"o{i}", rows=5, start_ns=NOON_NS + HOUR_NS)
        store.seal_now()
    before = counts(store)
    assert len(segment_files(home)) == 12
    assert store.compact_now() == 10
    assert len(segment_files(home)) == 2
    assert counts(store) == before
    assert store.compact_now() == 0
    times = pq.read_table(segment_files(home)[0], partitioning=None)["time_unix_ns"].to_pylist()
    assert times == sorted(times)
    store.close()
    store = opened()
    assert counts(store) == before
    assert store.stats().quarantined == ()


def test_a_query_that_runs_keeps_the_files_that_it_reads(opened: Opened, home: Path) -> None:
    store = opened()
    for name in ("a", "b"):
        put(store, name)
        store.seal_now()
    with store._view.snapshot([Signal.LOGS]) as snapshot:
        store.compact_now()
        store.retain_now(2**62)
        for held in snapshot.segments[Signal.LOGS]:
            assert (home / "telemetry" / held.path).exists()
    assert segment_files(home) == []
    assert counts(store) == {}


def test_merged_but_not_deleted_files_are_gone_after_reopening(opened: Opened, home: Path) -> None:
    store = opened()
    for name in ("a", "b"):
        put(store, name)
        store.seal_now()
    snapshot = store._view.snapshot([Signal.LOGS])
    store.compact_now()
    assert len(segment_files(home)) == 3
    store.close()
    snapshot.release()
    store = opened()
    assert len(segment_files(home)) == 1
    assert counts(store) == {"a": 3, "b": 3}


def test_retention_by_age_deletes_whole_segments(opened: Opened, home: Path) -> None:
    store = opened(logs_days_max=14, spans_days_max=7)
    send(store, payload("old"), received_unix_ns=NOON_NS).result(10)
    send(store, payload("old span"), signal=Signal.SPANS, received_unix_ns=NOON_NS).result(10)
    store.seal_now()
    send(store, payload("new"), received_unix_ns=NOON_NS + 10 * DAY_NS).result(10)
    store.seal_now()
    assert store.retain_now(NOON_NS + 7 * DAY_NS) == 0
    assert store.retain_now(NOON_NS + 8 * DAY_NS) == 1
    assert (counts(store), counts(store, "spans")) == ({"old": 3, "new": 3}, {})
    assert store.retain_now(NOON_NS + 15 * DAY_NS) == 1
    assert counts(store) == {"new": 3}
    assert len(segment_files(home)) == 1
    store.close()
    assert counts(opened()) == {"new": 3}


def test_retention_by_size_deletes_the_oldest_events(opened: Opened) -> None:
    store = opened()
    for i in range(5):
        put(store, f"n{i}", start_ns=NOON_NS - i * HOUR_NS)
        store.seal_now()
    size = store.stats().signals[Signal.LOGS].bytes
    store._settings._values["logs_bytes_max"] = size // 2
    assert store.retain_now(NOON_NS) == 3
    assert counts(store) == {"n0": 3, "n1": 3}


@pytest.mark.parametrize(
    ("limits", "gone"),
    [
        ({"days_max": 0, "bytes_max": 0}, []),
        ({"days_max": 1, "bytes_max": 0}, ["s1", "s2"]),
        ({"days_max": 0, "bytes_max": 250}, ["s2", "s1"]),
        ({"days_max": 1, "bytes_max": 100}, ["s1", "s2", "s3"]),
        ({"days_max": 0, "bytes_max": 400}, []),
    ],
)
def test_what_expires(limits: dict[str, int], gone: list[str]) -> None:
    held = [
        segment(1, received_max_unix_ns=NOON_NS - DAY_NS - 1, max_time_unix_ns=20),
        segment(2, received_max_unix_ns=NOON_NS - DAY_NS - 2, max_time_unix_ns=10),
        segment(3, received_max_unix_ns=NOON_NS - DAY_NS, max_time_unix_ns=30),
        segment(4, received_max_unix_ns=NOON_NS, max_time_unix_ns=40),
    ]
    assert [s.id for s in retention.expired(held, NOON_NS, **limits)] == gone


def test_what_is_merged() -> None:
    other_hour = segment(9, path="logs/date=2025-11-21/hour=13/s9.parquet")
    held = [segment(1), segment(2), segment(3, bytes=5000), other_hour]
    assert [[s.id for s in g] for g in compaction.groups(held, bytes_min=1000)] == [["s1", "s2"]]
    assert compaction.groups(held, bytes_min=1000, together_min=3) == []
    heavy = [segment(i, arrow_bytes=compaction.ARROW_BYTES_MAX // 2) for i in range(5)]
    assert [len(g) for g in compaction.groups(heavy, bytes_min=1000)] == [2, 2]
