from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.edge.timestamps import (
    STAMPS,
    Clock,
    StampReader,
    epoch_ns,
    time_of_text,
    zone_of_text,
)
from watchkeeper.errors import SettingError

REFERENCE = datetime(2024, 3, 1, 12, 0, tzinfo=UTC)


def ns(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1)) * 1000


def clock() -> Clock:
    return Clock(UTC, ns(REFERENCE.isoformat()))


@pytest.mark.parametrize("stamp", STAMPS, ids=lambda stamp: stamp.name)
def test_every_stamp_reads_its_own_example(stamp):
    pattern = re.compile(stamp.pattern, re.ASCII)
    match = pattern.fullmatch(stamp.example)
    assert match is not None
    assert StampReader(pattern).read(match, clock()) is not None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-01-02T03:04:05Z", "2024-01-02T03:04:05+00:00"),
        ("2024-01-02 03:04:05,678", "2024-01-02T03:04:05.678+00:00"),
        ("2024-01-02T03:04:05.678901+01:00", "2024-01-02T02:04:05.678901+00:00"),
        ("2024-01-02T03:04:05-0330", "2024-01-02T06:34:05+00:00"),
        ("2024-01-02 03:04:05+02", "2024-01-02T01:04:05+00:00"),
        ("2024-01-02 03:04:05 UTC", "2024-01-02T03:04:05+00:00"),
        ("2024-01-02 03:04:05 CEST", "2024-01-02T01:04:05+00:00"),
        ("2024-01-02 03:04", "2024-01-02T03:04:00+00:00"),
        ("20240102T030405.5Z", "2024-01-02T03:04:05.5+00:00"),
        ("2005-06-03-15.42.50.363779", "2005-06-03T15:42:50.363779+00:00"),
        ("20171223-22:15:29:606", "2017-12-23T22:15:29.606+00:00"),
        ("20171224-0:7:20:44", "2017-12-24T00:07:20.044+00:00"),
        ("2024/01/02 03:04:05", "2024-01-02T03:04:05+00:00"),
        ("17/06/09 20:10:40", "2017-06-09T20:10:40+00:00"),
        ("081109 203615", "2008-11-09T20:36:15+00:00"),
        ("10/Oct/2000:13:55:36 -0700", "2000-10-10T20:55:36+00:00"),
        ("Sun Dec 04 04:47:44 2005", "2005-12-04T04:47:44+00:00"),
        ("Fri Sep 09 10:42:29.902022 2011", "2011-09-09T10:42:29.902022+00:00"),
        ("Mon Jan  2 15:04:05 MST 2006", "2006-01-02T22:04:05+00:00"),
        ("Tue, 02 Jan 2024 03:04:05 +0000", "2024-01-02T03:04:05+00:00"),
        ("18-Oct-2015 18:01:47.123", "2015-10-18T18:01:47.123+00:00"),
        ("Oct 18, 2015 6:01:47 PM", "2015-10-18T18:01:47+00:00"),
        ("Oct 18, 2015 12:01:47 AM", "2015-10-18T00:01:47+00:00"),
        ("10/18/2015 6:01:47 AM", "2015-10-18T06:01:47+00:00"),
        ("18.10.2015 18:01:47", "2015-10-18T18:01:47+00:00"),
        ("Oct 11 2023 22:14:15", "2023-10-11T22:14:15+00:00"),
        ("1700000000", "2023-11-14T22:13:20+00:00"),
        ("1700000000.5", "2023-11-14T22:13:20.5+00:00"),
        ("1700000000500", "2023-11-14T22:13:20.5+00:00"),
        ("1700000000500000", "2023-11-14T22:13:20.5+00:00"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00+00:00"),
    ],
)
def test_a_whole_time_is_read_to_the_nanosecond(text, expected):
    assert time_of_text(text, clock()) == ns(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Jan  5 03:04:05", "2024-01-05T03:04:05+00:00"),
        ("Mar  2 11:00:00", "2024-03-02T11:00:00+00:00"),
        ("Dec 31 23:59:59", "2023-12-31T23:59:59+00:00"),
        ("Feb 29 00:00:01", "2024-02-29T00:00:01+00:00"),
        ("03-17 16:13:38.811", "2023-03-17T16:13:38.811+00:00"),
        ("0102 03:04:05.678901", "2024-01-02T03:04:05.678901+00:00"),
        ("03:04:05.678", "2024-03-01T03:04:05.678+00:00"),
        ("13:00:00", "2024-02-29T13:00:00+00:00"),
    ],
)
def test_a_time_without_its_year_or_date_is_the_latest_not_after_the_reference(text, expected):
    assert time_of_text(text, clock()) == ns(expected)


def test_29_february_is_found_when_the_reference_is_not_in_a_leap_year():
    assert time_of_text("Feb 29 10:00:00", Clock(UTC, ns("2023-06-01T00:00:00+00:00"))) == ns(
        "2020-02-29T10:00:00+00:00"
    )


@pytest.mark.parametrize(
    "text",
    ["", "2024-13-02T03:04:05Z", "2024-02-30 03:04:05", "24:61:00", "1969-12-31T00:00:00Z", "yesterday", "9" * 40],
)
def test_what_is_no_time_is_none(text):
    assert time_of_text(text, clock()) is None


def test_the_clock_s_zone_holds_where_the_text_names_none():
    berlin = Clock(zone_of_text("Europe/Berlin"), clock().reference_unix_ns)
    assert time_of_text("2024-07-01 12:00:00", berlin) == ns("2024-07-01T10:00:00+00:00")
    assert time_of_text("2024-01-01 12:00:00", berlin) == ns("2024-01-01T11:00:00+00:00")
    assert time_of_text("2024-07-01 12:00:00Z", berlin) == ns("2024-07-01T12:00:00+00:00")


def test_the_local_zone_has_the_offset_of_each_moment(monkeypatch):
    import time

    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        local = Clock(zone_of_text("local"), clock().reference_unix_ns)
        assert time_of_text("2024-07-01 12:00:00", local) == ns("2024-07-01T10:00:00+00:00")
        assert time_of_text("2024-01-01 12:00:00", local) == ns("2024-01-01T11:00:00+00:00")
        assert time_of_text("Jan  5 03:04:05", local) == ns("2024-01-05T02:04:05+00:00")
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(("text", "hours"), [("UTC", 0), ("+02:00", 2), ("-0330", -3.5)])
def test_zones_of_the_command_line(text, hours):
    assert zone_of_text(text).utcoffset(REFERENCE) == timedelta(hours=hours)


@pytest.mark.parametrize("text", ["Europe/Atlantis", "", "../etc/passwd"])
def test_an_unknown_zone_says_what_to_write(text):
    with pytest.raises(SettingError, match="Europe/Berlin"):
        zone_of_text(text)


@given(
    st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2200, 1, 1)),
    st.integers(min_value=-14 * 60, max_value=14 * 60),
)
def test_iso_times_with_any_offset_come_back(moment, offset_minutes):
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=offset_minutes)))
    assert time_of_text(aware.isoformat(), clock()) == ns(aware.isoformat())


@given(st.text(max_size=60))
def test_any_text_is_a_time_or_none_and_never_an_error(text):
    found = time_of_text(text, clock())
    assert found is None or 0 < found < 2**63
    epoch_ns(text)
