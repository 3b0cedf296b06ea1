from __future__ import annotations

import pytest

from watchkeeper.edge.severity import (
    severity_in_text,
    severity_name,
    severity_of_priority,
    severity_of_value,
    severity_of_word,
)


@pytest.mark.parametrize(
    ("word", "number"),
    [("INFO", 9), ("warn", 13), ("Warning", 13), ("ERROR", 17), ("crit", 18), ("CRITICAL", 21), ("FATAL", 21),
     ("notice", 10), ("trace", 1), ("V", 1), ("I", 9), ("#", 13), ("sunny", 0), ("", 0)],
)  # fmt: skip
def test_words(word, number):
    assert severity_of_word(word) == number


@pytest.mark.parametrize(("priority", "number"), [(0, 21), (11, 17), (34, 18), (165, 10), (191, 5), (-1, 0)])
def test_syslog_priorities(priority, number):
    assert severity_of_priority(priority) == number


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("error", 17),
        ("30", 9),
        (30, 9),
        (50, 17),
        (60, 21),
        (3, 17),
        (6, 9),
        (35, 9),
        (True, 0),
        (None, 0),
        (1e400, 0),
        ({}, 0),
    ],
)
def test_values_of_structured_loggers(value, number):
    assert severity_of_value(value) == number


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2 workers ERROR cannot open", (17, "ERROR")),
        ("error: no such file", (17, "error")),
        ("[warn] slow", (13, "warn")),
        ("(WARN) slow", (13, "WARN")),
        ("errors were found", (0, "")),
        ("INFORMATION_SCHEMA was read", (0, "")),
        ("x" * 200 + " ERROR", (0, "")),
    ],
)
def test_levels_in_free_text(text, found):
    assert severity_in_text(text) == found


def test_names():
    assert [severity_name(number) for number in (0, 1, 9, 12, 13, 17, 24, 99)] == [
        "", "trace", "info", "info", "warn", "error", "fatal", "",
    ]  # fmt: skip
