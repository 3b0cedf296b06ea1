from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.cli.text import bytes_text, clock_text, duration_text, plot, safe, sparkline, warming_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain Ünïcode 漢字", "plain Ünïcode 漢字"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\nb", "a\\nb"),
        ("\u202eevil", "\\u202eevil"),
        ("\x9b31m", "\\x9b31m"),
        ("\u2028x", "\\u2028x"),
        ("\r\x00", "\\x0d\\x00"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_instead(text, shown):
    assert safe(text) == shown


@given(st.text())
def test_safe_text_holds_nothing_that_a_terminal_obeys(text):
    assert all(unicodedata.category(each) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} for each in safe(text))
    assert all(each == "\n" or unicodedata.category(each) != "Cc" for each in safe(text, lines=True))


@pytest.mark.parametrize(
    ("duration_ns", "text"),
    [
        (0, "0ms"),
        (1_500_000, "1.5ms"),
        (61 * 10**9, "1m 1s"),
        (3600 * 10**9, "1h"),
        (-(10**9), "-1s"),
        (400 * 86_400 * 10**9, "400d"),
    ],
)
def test_durations(duration_ns, text):
    assert duration_text(duration_ns) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (1023, "1023 B"), (2**20, "1 MiB"), (5 * 2**40, "5 TiB")])
def test_sizes(count, text):
    assert bytes_text(count) == text


def test_moments_are_told_to_the_millisecond():
    assert clock_text(1_704_164_645_678_999_999, zone_local=False) == "2024-01-02 03:04:05.678"


@given(st.lists(st.floats(0, 1e12), max_size=80))
def test_a_sparkline_is_as_long_as_its_values(values):
    assert len(sparkline(values)) == len(values)


def test_a_sparkline_tells_none_from_few():
    assert sparkline([0, 1, 1000]) == " ▁█"


def test_a_plot_shows_the_peak_and_the_band():
    points = [(n * 10**9, 1.0) for n in range(20)] + [(20 * 10**9, 10.0)]
    lines = plot(points, low=0.0, high=2.0)
    assert len(lines) == 10
    assert lines[0].endswith("█")
    assert lines[6].split("│")[1] == "▓" * 21
    assert plot(points, low=None, high=5.0)[4].split("│")[1] == "·" * 20 + "▓"
    assert plot([], low=None, high=None) == []


@given(
    st.lists(st.tuples(st.integers(0, 2**62), st.floats(-1e9, 1e9)), max_size=300),
    st.none() | st.floats(-1e9, 1e9),
    st.none() | st.floats(-1e9, 1e9),
)
def test_any_series_can_be_drawn_and_stays_narrow(points, low, high):
    assert all(len(line) <= 100 for line in plot(points, low=low, high=high))


def test_many_warming_services_do_not_flood_the_terminal():
    row = {"state": "warming", "learned_s": 1.0, "needed_s": 600.0, "lines": 5}
    lines = warming_lines(
        [{"service": f"s{i}\x1b[2J", **row} for i in range(1_200)] + [{"service": "x", "state": "watching"}]
    )
    assert len(lines) == 11
    assert lines[0] == "s0\\x1b[2J: 1 of 600 s, 5 lines"
    assert lines[-1] == "and 1,190 more"
