"""SQL: one moment, one reading statement, and no way out of the telemetry folder."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.store.telemetry import HOUR_NS, NOON_NS, counts, payload, put, send

from watchkeeper.errors import QueryError
from watchkeeper.signals.schema import LOGS, Signal
from watchkeeper.store.query import TRUNCATED
from watchkeeper.store.store import Store

Opened = Callable[..., Store]

REFUSED = [
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('{home}/metadata.sqlite')",
    "SELECT * FROM read_parquet('{home}/telemetry/**/*.parquet')",
    "SELECT * FROM read_csv('{home}/FORMAT')",
    "SELECT * FROM '{home}/FORMAT'",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM query('SELECT * FROM read_text(''/etc/passwd'')')",
    "SELECT * FROM query_table('logs')",
    "SELECT (SELECT content FROM read_text('/etc/passwd'))",
    "WITH x AS (SELECT * FROM read_text('/etc/passwd')) SELECT * FROM x",
    "SELECT * FROM logs WHERE body IN (SELECT content FROM read_text('/etc/passwd'))",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM pg_catalog.pg_tables",
    "SELECT * FROM hot_logs",
    "SELECT * FROM nowhere",
    "ATTACH '{home}/metadata.sqlite'",
    "ATTACH ':memory:' AS m",
    "COPY logs TO '{home}/telemetry/out.csv'",
    "COPY (SELECT 1) TO '/tmp/out.csv'",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{home}/telemetry/out.csv'",
    "WITH x AS MATERIALIZED (INSERT INTO logs VALUES (1) RETURNING *) SELECT * FROM x",
    "WITH x AS (DELETE FROM logs RETURNING *) SELECT * FROM x",
    "CREATE TABLE t (a INT)",
    "CREATE MACRO f() AS 1",
    "INSERT INTO logs VALUES (1)",
    "UPDATE logs SET body = ''",
    "DELETE FROM logs",
    "DROP VIEW logs",
    "SET threads = 8",
    "SET enable_external_access = true",
    "RESET lock_configuration",
    "PRAGMA database_list",
    "CALL pragma_version()",
    "INSTALL httpfs",
    "LOAD httpfs",
    "EXPORT DATABASE '/tmp/x'",
    "BEGIN",
    "PREPARE p AS SELECT 1",
    "EXPLAIN EXPLAIN SELECT 1",
    "SELECT 1; SELECT 2",
    "SELECT 1; COPY (SELECT 1) TO '/tmp/x'",
    "",
    ";",
    "-- nothing",
    "SELEC 1",
    "SELECT nope FROM logs",
    "SELECT",
    "SELECT 'x",
    "SELECT * FROM logs WHERE",
]


@pytest.fixture
def store(opened: Opened) -> Store:
    store = opened()
    put(store, "a", rows=20)
    store.seal_now()
    put(store, "b", rows=10, start_ns=NOON_NS + HOUR_NS)
    return store


@pytest.mark.parametrize("query", REFUSED)
def test_what_is_not_a_reading_statement_over_telemetry_is_refused(store: Store, home: Path, query: str) -> None:
    with pytest.raises(QueryError):
        store.sql(query.format(home=home))
    assert not list(home.rglob("out.csv"))
    assert counts(store) == {"a": 20, "b": 10}


def test_duckdb_itself_is_locked_too(store: Store, home: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    cursor = store._queries._cursor()
    (home / "telemetry" / "link").symlink_to(home / "metadata.sqlite")
    for query in (
        "SELECT * FROM read_text('/etc/passwd')",
        f"SELECT * FROM read_blob('{home}/metadata.sqlite')",
        f"SELECT * FROM read_blob('{home}/telemetry/../metadata.sqlite')",
        f"SELECT * FROM read_blob('{home}/telemetry/link')",
        f"ATTACH '{home}/metadata.sqlite'",
        "SET threads = 8",
        "SET enable_external_access = true",
        "SET allowed_directories = ['/']",
        "INSTALL httpfs",
    ):
        with pytest.raises(duckdb.Error):
            cursor.execute(query).fetchall()
    cursor.close()


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("SELECT * FROM logs", 30),
        ("FROM logs", 30),
        ("VALUES (1), (2)", 2),
        ("WITH x AS (SELECT 1 AS a UNION ALL SELECT 2) SELECT * FROM x", 2),
        ("WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT * FROM t", 5),
        ("SELECT * FROM range(3), unnest([1, 2])", 6),
        ("SELECT a.body FROM logs a JOIN logs b USING (time_unix_ns)", 30),
        ("SELECT json_extract_string(attributes, '$.row') FROM logs LIMIT 4;", 4),
        ("DESCRIBE logs", len(LOGS) + 1),
        ("EXPLAIN SELECT * FROM logs", 1),
        ("  explain analyze select 1", 1),
        ("SELECT * FROM metrics", 0),
        ("SELECT 1 -- a comment", 1),
    ],
)
def test_reading_statements_run(store: Store, query: str, rows: int) -> None:
    assert store.sql(query).num_rows == rows


def test_parameters_by_position_and_by_name(store: Store) -> None:
    assert store.sql("SELECT * FROM logs WHERE body = ?", ["a"]).num_rows == 20
    assert store.sql("SELECT * FROM logs WHERE body = $name", {"name": "b"}).num_rows == 10
    hostile = "' OR 1=1 --"
    assert store.sql("SELECT * FROM logs WHERE body = $name", {"name": hostile}).num_rows == 0


def test_rows_are_capped_and_the_cap_is_told(store: Store) -> None:
    short = store.sql("SELECT * FROM logs ORDER BY time_unix_ns", rows_max=7)
    assert short["time_unix_ns"].to_pylist() == [NOON_NS + 1000 * i for i in range(7)]
    assert short.schema.metadata[TRUNCATED] == b"true"
    assert store.sql("SELECT * FROM logs", rows_max=30).schema.metadata[TRUNCATED] == b"false"


def test_the_setting_caps_rows_by_default(opened: Opened) -> None:
    store = opened(query_rows_max=5)
    put(store, "a", rows=20)
    assert store.sql("SELECT * FROM logs").num_rows == 5


def test_a_long_query_is_stopped(store: Store) -> None:
    began = time.monotonic()
    with pytest.raises(QueryError, match="longer than"):
        store.sql("SELECT count(*) FROM range(1000000000) a, range(1000000) b", timeout_s=0.2)
    assert time.monotonic() - began < 10
    assert store.sql("SELECT 1 AS one")["one"].to_pylist() == [1]


def test_memory_is_bounded(opened: Opened) -> None:
    store = opened(query_memory_bytes_max=32 * 2**20)
    with pytest.raises(QueryError, match=r"(?i)memory"):
        store.sql("SELECT list(hash(a.range) ORDER BY hash(a.range)) FROM range(30000000) a")
    assert store.sql("SELECT 1 AS one")["one"].to_pylist() == [1]


def test_the_time_range_prunes_files_and_filters_nothing(store: Store) -> None:
    store.seal_now()
    late = store._view.snapshot([Signal.LOGS], (NOON_NS + HOUR_NS, NOON_NS + 2 * HOUR_NS))
    with late:
        assert [s.path.split("/")[2] for s in late.segments[Signal.LOGS]] == ["hour=13"]
    found = store.sql("SELECT count(*) AS n FROM logs", time_range_unix_ns=(NOON_NS + HOUR_NS, 2**63 - 1))
    assert found["n"].to_pylist() == [10]
    first = store.sql("SELECT count(*) AS n FROM logs", time_range_unix_ns=(NOON_NS, NOON_NS))
    assert first["n"].to_pylist() == [20]


def test_older_segments_without_a_column_give_null(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    from watchkeeper.store import segments

    store = opened()
    real = segments.write_one

    def older(root: Path, signal: Signal, table: object, **options: object) -> segments.Segment:
        return real(root, signal, table.drop_columns(["event_name", "template_id"]), **options)  # type: ignore[attr-defined]

    put(store, "old")
    with monkeypatch.context() as patched:
        patched.setattr(segments, "write_one", older)
        store.seal_now()
    put(store, "new")
    store.seal_now()
    assert counts(store) == {"old": 3, "new": 3}
    assert store.sql("SELECT count(*) AS n FROM logs WHERE template_id IS NULL")["n"].to_pylist() == [6]
    assert store.compact_now() == 1
    assert counts(store) == {"old": 3, "new": 3}
    assert store.sql("DESCRIBE logs").num_rows == len(LOGS) + 1


def test_readers_beside_a_writer_see_every_row_once(opened: Opened) -> None:
    store = opened(segment_age_s=0.05, wal_file_bytes_max=8192)
    stop = threading.Event()
    faults: list[str] = []
    reads = [0, 0]

    def read(index: int) -> None:
        last = 0
        while not stop.is_set():
            acknowledged = stored[0]
            row = store.sql("SELECT count(*) AS n, count(DISTINCT (batch, time_unix_ns)) AS d FROM logs").to_pylist()[0]
            if row["n"] != row["d"] or row["n"] < max(last, acknowledged):
                faults.append(f"{row} after {last}, {acknowledged} acknowledged")
                return
            last = row["n"]
            reads[index] += 1

    stored = [0]
    readers = [threading.Thread(target=read, args=(i,)) for i in range(2)]
    for reader in readers:
        reader.start()
    until = time.monotonic() + 5
    number = 0
    while time.monotonic() < until and not faults:
        number += 1
        send(store, payload(f"n{number}", rows=10)).result(10)
        stored[0] += 10
        if number % 25 == 0:
            store.compact_now()
    stop.set()
    for reader in readers:
        reader.join()
    assert faults == []
    assert min(reads) > 5
    assert sum(counts(store).values()) == number * 10
    assert store.stats().quarantined == ()
