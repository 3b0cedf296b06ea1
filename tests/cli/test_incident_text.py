"""Incidents, previews and diagnoses as text: everything is said, and nothing of telemetry moves the cursor."""

from __future__ import annotations

from typing import Any

from watchkeeper.cli.incident_text import diagnosis_lines, incident_lines, incident_row, preview_lines

INCIDENT: dict[str, Any] = {
    "id": "a1",
    "title": "cart logs \x1b[31merrors",
    "severity": "critical",
    "state": "merged",
    "merged_into": "b2",
    "acknowledged_by": "",
    "resolved_by": "",
    "first_unix_ns": "1763700000000000000",
    "last_unix_ns": "1763700060000000000",
    "impact": "1 service concerned: cart.",
    "nodes": ["service:cart"],
    "findings_count": 2,
    "reopened": 1,
    "cause": {"node": "service:store", "confidence": 0.82, "indicator": "cpu"},
    "timeline": [{"time_unix_ns": "1763700000000000000", "kind": "note", "text": "n\x1b[2J", "by": "ann", "count": 3}],
}


def test_an_incident_is_told_in_full() -> None:
    text = "\n".join([incident_row(INCIDENT), *incident_lines(INCIDENT)])
    assert "\x1b" not in text
    for said in (
        "merged into b2",
        "1m",
        "service:store, 82% sure",
        "x3  (ann)",
        "reopened 1x",
        "watchkeeper explain a1",
    ):
        assert said in text


def test_a_diagnosis_names_causes_with_evidence_and_what_was_ruled_out() -> None:
    proof = {"id": "e1", "text": "cpu rose \x1b[2J"}
    cause = {
        "node": "service:store",
        "confidence": 0.82,
        "verdict": "supported",
        "why": "it rose first",
        "indicators": [{"kind": "log_template", "name": "out of memory"}],
        "evidence_for": [proof],
        "evidence_against": [{"id": "e2", "text": "few errors"}],
    }
    diagnosis = {
        "ranking": {"causes": [cause], "ruled_out": [["service:pay", "nothing changed there"]]},
        "classification": {"category": "resource_memory", "probabilities": {"resource_memory": 0.7}, "why": ["oom"]},
    }
    text = "\n".join(diagnosis_lines(INCIDENT, diagnosis))
    assert "\x1b" not in text
    for said in (
        "1. service:store  82% sure, supported",
        "log template: out of memory",
        "+ [e1] cpu rose",
        "- [e2] few errors",
        "service:pay: nothing changed there",
        "category  resource_memory, 70%",
    ):
        assert said in text


def test_a_diagnosis_that_abstains_says_what_is_missing() -> None:
    ranking = {"abstains": True, "why": "two causes are equally likely", "missing": ["spans of cart"], "causes": []}
    lines = diagnosis_lines(INCIDENT, {"ranking": ranking})
    assert "No cause is named: two causes are equally likely" in lines[1]
    assert "missing: spans of cart" in lines[2]


def test_a_preview_stands_beside_the_settings_in_force() -> None:
    day = {"day_unix_ns": "1763683200000000000", "incidents": 2}
    outcome = {
        "incidents": 2,
        "by_severity": {"info": 0, "warning": 2, "critical": 0},
        "per_day": [day],
        "examples": [],
    }
    present = {**outcome, "incidents": 5, "per_day": [{**day, "incidents": 5}]}
    answer = {
        **outcome,
        "present": present,
        "settings": {"incident_gap_s": "600"},
        "from_unix_ns": "1763600000000000000",
        "to_unix_ns": "1763700000000000000",
        "findings": 40,
        "truncated": True,
    }
    lines = preview_lines(answer)
    assert lines[0].startswith("With incident_gap_s=600 there would have been 2 incidents")
    assert lines[0].endswith("with the settings in force 5.")
    assert "only the latest" in lines[1]
    assert any(line.split() == ["2025-11-21", "2", "5"] for line in lines)
