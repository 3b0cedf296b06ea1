from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.errors import QueryError
from watchkeeper.store.reads.times import parse_duration, parse_range, parse_time

NOW = 1_763_700_000_123_456_789


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1763700000000000000", 1763700000000000000),
        ("now", NOW),
        ("15m", NOW - 900 * 10**9),
        ("500ms", NOW - 5 * 10**8),
        ("2w", NOW - 14 * 86400 * 10**9),
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T01:00:00.000000001+01:00", 1),
        ("2025-11-21 04:40:00.5z", 1763700000500000000),
        ("9999999w", None),
    ],
)
def test_reads_every_form(text, expected):
    if expected is None:
        assert parse_time(text, NOW) == 0
    else:
        assert parse_time(text, NOW) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "-5",
        "15 m",
        "2025-13-01T00:00:00Z",
        "9223372036854775808",
        "1" * 30,
        "2025-11-21",
        "2025-11-21T00:00:00",
        "9999-12-31T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "١٥m",
    ],
)
def test_refuses_the_rest_and_says_what_to_write(text):
    with pytest.raises(QueryError, match=r"RFC 3339|outside"):
        parse_time(text, NOW)


def test_a_range_defaults_to_the_last_hour_and_must_go_forward():
    assert parse_range(None, None, NOW) == (NOW - 3600 * 10**9, NOW)
    assert parse_range("30m", "15m", NOW) == (NOW - 1800 * 10**9, NOW - 900 * 10**9)
    with pytest.raises(QueryError, match="exchange"):
        parse_range("15m", "30m", NOW)


def test_a_duration_has_a_unit():
    assert parse_duration("90s") == 90 * 10**9
    with pytest.raises(QueryError, match="a unit"):
        parse_duration("90")


@given(st.text(max_size=40))
def test_no_text_brings_it_down(text):
    with contextlib.suppress(QueryError):
        assert 0 <= parse_time(text, NOW) < 2**63
