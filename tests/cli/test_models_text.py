"""How versions of models, their audit and the reasons of a verdict are laid out as text."""

from __future__ import annotations

from typing import Any

from watchkeeper.cli.models import audit_lines, list_lines, version_lines
from watchkeeper.cli.why import why_lines

AT = "1763700000000000000"
CARD = {
    "kind": "logs",
    "job_id": "j1",
    "trained_on": {"lines": 548, "distinct": 38, "workloads": [{}]},
    "parameters": {},
    "quality": {"held_out_accuracy": 0.8182, "held_out_flagged": 0.0, "accuracy": 0.4},
    "thresholds": {"chance": 0.001443},
    "notes": "first \x1b[31m",
}
VERSION = {
    "name": "logs/default",
    "number": 2,
    "state": "active",
    "created_unix_ns": AT,
    "card": CARD,
    "sha256": "ab",
    "parent": 1,
    "damaged": "",
}
TOKENS = [
    {"token": "kernel", "rank": 79, "chance": 0.0, "hit": False},
    {"token": "in", "rank": 1, "chance": 0.9, "hit": True},
]
WHY: dict[str, Any] = {
    "line": "kernel in 7G",
    "masked": "kernel in <*>",
    "service": "cart",
    "pattern": None,
    "online": {
        "window_s": 10.0,
        "state": "watching",
        "services": [],
        "services_count": 0,
        "score": 4.9,
        "threshold": 2.8,
    },
    "models": [],
    "no_model": "no log model was trained yet",
    "nearest": [{"line": "cart in <*>", "times": 3, "likeness": 0.5}],
}


def test_a_list_tells_the_held_out_quality_and_what_is_damaged() -> None:
    damaged = {**VERSION, "number": 1, "damaged": "cut"}
    lines = list_lines({"items": [VERSION, damaged], "problems": ["version 1 is damaged"]})
    assert "accuracy 0.8182, flagged 0" in lines[1]
    assert "damaged" in lines[2]
    assert lines[-1] == "version 1 is damaged"
    assert "\x1b" not in "".join(lines)
    assert "no models yet" in list_lines({"items": [], "problems": []})[0]


def test_a_version_tells_what_it_was_made_of() -> None:
    text = "\n".join(version_lines(VERSION))
    assert "by job j1" in text
    assert "lines 548" in text
    assert "chance 0.001443" in text
    assert "and 1 more in --json" in text
    assert "after       version 1" in text
    assert audit_lines([]) == []


def test_why_tells_of_the_online_detector_and_that_there_is_no_model() -> None:
    text = "\n".join(why_lines(WHY))
    assert "never seen" in text
    assert "new to cart: score 4.9, told from 2.8 on; it would be told" in text
    assert "no service has logged it" not in text
    assert "no log model was trained yet" in text
    assert "50% alike, 3 lines: cart in <*>" in text


def test_why_tells_each_word() -> None:
    explanation = {
        "masked": "kernel in <number>",
        "source": "model",
        "tokens": TOKENS,
        "score": 0.5,
        "chance": 0.002,
        "measure": "share",
        "threshold": 0.7,
        "strange": True,
        "neighbours": [],
    }
    lines = why_lines({**WHY, "no_model": "", "models": [{"version": VERSION, "explanation": explanation}]})
    assert "model     logs/default version 2, trained on 548 lines, 38 distinct" in lines
    assert "  verdict   strange: the model was asked now" in lines
    assert "  share     0.5, strange below 0.7" in lines
    assert [line.split() for line in lines[-2:]] == [
        ["-", "kernel", "79", "0.0%"],
        ["in", "1", "90.0%"],
    ]
