from __future__ import annotations

import random

import pytest

from watchkeeper.errors import QueryError
from watchkeeper.store.reads.base import TimeRange
from watchkeeper.store.reads.live import LiveFilter
from watchkeeper.store.reads.logs import LogFilter, log_histogram, read_cursor, search_logs


def pages(tables, within, *, limit, between=lambda: None, **options):
    cursor, all_items = None, []
    while True:
        page = search_logs(tables, LogFilter(), within, limit=limit, cursor=cursor, now_unix_ns=tables.now, **options)
        assert len(page.items) <= limit
        all_items += page.items
        if page.next_cursor is None:
            return all_items
        assert len(page.items) == limit
        cursor = page.next_cursor
        between()


@pytest.mark.parametrize("ascending", [False, True])
@pytest.mark.parametrize("limit", [1, 3, 50, 1000])
def test_pages_hold_every_row_once_even_where_rows_are_equal(tables, limit, ascending):
    chance = random.Random(4)
    at = [tables.now - chance.choice([1, 1, 2, 5, 90, 4000, 80_000]) * tables.second for _ in range(60)]
    for start in range(0, 60, 20):
        tables.logs(*[{"time_unix_ns": t, "body": chance.choice("ab")} for t in at[start : start + 20]])
    items = pages(tables, TimeRange(0, tables.now + 1), limit=limit, ascending=ascending)
    times = [int(item["time_unix_ns"]) for item in items]
    assert times == sorted(at, reverse=not ascending)
    assert len({item["key"] for item in items}) == 60


def test_what_arrives_between_pages_neither_repeats_nor_shifts_a_row(tables):
    tables.logs(*[{"time_unix_ns": tables.now - i * 10**8, "body": f"line {i}"} for i in range(40)])

    def arrive():
        tables.logs({"time_unix_ns": tables.now + tables.second, "body": "new"})

    items = pages(tables, TimeRange(0, 2**63 - 1), limit=7, between=arrive)
    assert [item["body"] for item in items] == [f"line {i}" for i in range(40)]


def test_the_newest_lines_of_a_long_range_are_found_without_reading_all_of_it(tables):
    day = 86_400 * tables.second
    tables.logs(*[{"time_unix_ns": tables.now - i * tables.second, "body": "x"} for i in range(1, 50)])
    tables.logs(*[{"time_unix_ns": tables.now - day - i, "body": "x"} for i in range(500)])
    tables.ranges.clear()
    page = search_logs(
        tables, LogFilter(), TimeRange(tables.now - 14 * day, 2**63 - 1), limit=20, now_unix_ns=tables.now
    )
    assert len(page.items) == 20
    assert page.scanned == 49
    assert {from_ns for from_ns, _ in tables.ranges} == {tables.now - 60 * tables.second}


def test_a_record_has_every_field(tables):
    tables.logs(
        {
            "time_unix_ns": tables.now - 1,
            "severity_number": 0,
            "severity_text": "Notice",
            "service": "cart",
            "entity": "service=cart",
            "body": '{"a":1}',
            "body_type": 6,
            "attributes": {"n": 9007199254740993},
            "resource_attributes": {"service.name": "cart"},
            "scope_name": "s",
            "trace_id": "0a" * 16,
            "span_id": "0b" * 8,
            "event_name": "e",
            "template_id": -(2**62),
        }
    )
    (item,) = search_logs(tables, LogFilter(), TimeRange(0, tables.now), limit=5).items
    assert read_cursor(item.pop("key")).time_unix_ns == tables.now - 1
    assert item == {
        "time_unix_ns": str(tables.now - 1),
        "severity_number": 0,
        "severity": "notice",
        "severity_text": "Notice",
        "service": "cart",
        "entity": "service=cart",
        "body": '{"a":1}',
        "body_type": "map",
        "attributes": {"n": 9007199254740993},
        "resource_attributes": {"service.name": "cart"},
        "scope_name": "s",
        "trace_id": "0a" * 16,
        "span_id": "0b" * 8,
        "event_name": "e",
        "template_id": str(-(2**62)),
    }


def test_filters_join(tables):
    base = {
        "time_unix_ns": tables.now - 5,
        "service": "a",
        "severity_number": 17,
        "template_id": 3,
        "trace_id": "ab" * 16,
    }
    tables.logs(
        {**base, "body": "yes"},
        {**base, "service": "b"},
        {**base, "severity_number": 9},
        {**base, "template_id": 4},
        {**base, "trace_id": ""},
        {**base, "body": "no"},
    )
    chosen = LogFilter(query="yes", service="a", severity_min=13, template_id=3, trace_id="AB" * 16)
    assert [item["body"] for item in search_logs(tables, chosen, TimeRange(0, tables.now), limit=9).items] == ["yes"]


@pytest.mark.parametrize("cursor", ["x", "!!!!", "MS4y", "", "MS4yLjMuLTE", "é"])
def test_a_bad_cursor_is_refused(tables, cursor):
    if cursor == "":
        assert search_logs(tables, LogFilter(), TimeRange(0, 9), limit=1, cursor=cursor).items == []
        return
    with pytest.raises(QueryError, match="cursor"):
        search_logs(tables, LogFilter(), TimeRange(0, tables.now), limit=1, cursor=cursor)


def test_the_histogram_counts_every_row_once(tables):
    start = tables.now - 100 * tables.second
    tables.logs(
        *[{"time_unix_ns": start + i * tables.second, "severity_number": 17 if i % 10 == 0 else 9} for i in range(100)]
    )
    tables.logs({"time_unix_ns": start - 1}, {"time_unix_ns": tables.now})
    answer = log_histogram(tables, LogFilter(), TimeRange(start, tables.now), buckets=7)
    assert len(answer["items"]) == 7
    assert sum(item["count"] for item in answer["items"]) == 100
    assert sum(item["errors"] for item in answer["items"]) == 10
    assert int(answer["items"][1]["time_unix_ns"]) - start == int(answer["step_ns"])


def test_a_range_shorter_than_its_buckets_has_one_step_a_nanosecond(tables):
    assert len(log_histogram(tables, LogFilter(), TimeRange(5, 8), buckets=60)["items"]) == 3


def test_the_live_filter_gives_what_search_gives(tables):
    tables.logs(*[{"time_unix_ns": tables.now - 50 + i, "body": f"line {i % 3}", "service": "s"} for i in range(30)])
    chosen = LogFilter(query='"line 1"', service="s")
    searched = search_logs(tables, chosen, TimeRange(0, tables.now), limit=100, ascending=True).items
    table = tables.sql("SELECT * FROM logs")
    live = LiveFilter(chosen)
    try:
        found, left_out = live.matching(table.to_batches(max_chunksize=7), limit=100)
        assert (found, left_out) == (searched, 0)
        assert live.matching(table.to_batches(), limit=4) == (searched[-4:], 6)
        assert live.matching([], limit=4) == ([], 0)
        tables.logs(*[{"time_unix_ns": tables.now, "body": f"line 1 part {i}", "service": "s"} for i in (2, 0, 1)])
        same_time = tables.sql("SELECT * FROM logs WHERE body LIKE '%part%'").to_batches()
        assert [item["body"][-1] for item in live.matching(same_time, limit=9)[0]] == ["2", "0", "1"]
        assert live.matching(tables.sql("SELECT * FROM logs WHERE body = 'none'").to_batches(), limit=4) == ([], 0)
    finally:
        live.close()
