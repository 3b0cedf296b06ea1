"""Findings as plain data and back."""

import json

from watchkeeper.signals.finding import (
    Band,
    Baseline,
    Evidence,
    Finding,
    FindingSeverity,
    FindingState,
    finding_from_dict,
    finding_id,
)


def a_finding() -> Finding:
    return Finding(
        id=finding_id("log.template.unseen", "service=cart", "42", 1),
        kind="log.template.unseen",
        signal="logs",
        service="cart",
        entity="service=cart",
        subject="42",
        title="cart logs a line never seen before",
        why="none of 10,000 lines looked like it",
        severity=FindingSeverity.CRITICAL,
        score=4.2,
        count=3,
        first_unix_ns=2**60,
        last_unix_ns=2**60 + 5,
        expected=Band("never", 0, 0, "lines"),
        seen=Band("3 lines", 3, 3, "lines"),
        baseline=Baseline(1, 2, windows=6, lines=10_000),
        template_id=-(2**62) - 1,
        template="refused <*>",
        evidence=(Evidence("line", "refused 5", 2**60, "ab" * 16), Evidence("series", "lines", points=((1, 2.0),))),
    )


def test_a_finding_survives_json() -> None:
    finding = a_finding()
    again = finding_from_dict(json.loads(json.dumps(finding.as_dict())))
    assert again == finding
    assert again.state is FindingState.OPEN


def test_the_template_id_is_text_for_javascript() -> None:
    assert a_finding().as_dict()["template_id"] == str(-(2**62) - 1)


def test_ids_depend_on_every_fact() -> None:
    ids = {
        finding_id(*facts) for facts in [("a", "b", "c", 1), ("a", "b", "c", 2), ("a", "bc", "", 1), ("ab", "", "c", 1)]
    }
    assert len(ids) == 4


def test_fields_of_a_newer_version_are_left_out() -> None:
    assert finding_from_dict({**a_finding().as_dict(), "later": 1}) == a_finding()
