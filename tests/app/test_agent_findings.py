"""Findings that come as log records: only of the node that sends them, only of their form, never under a foreign id."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from tests.diagnose.incident_findings import finding

from watchkeeper.app.agent_findings import AgentFindings
from watchkeeper.signals.entity import Entity
from watchkeeper.signals.finding import Finding
from watchkeeper.signals.finding_record import EVENT_NAME, finding_attributes
from watchkeeper.signals.schema import LOGS, Signal

MINE = Entity(service="cart", node="n1").key
TOLD = replace(finding(0, "cart"), entity=MINE)


def taken(attributes: str, entity: str = MINE) -> list[Finding]:
    columns = {"attributes": [attributes], "entity": [entity], "event_name": [EVENT_NAME]}
    arrays = [pa.array(columns[each.name]).cast(each.type) if each.name in columns else pa.nulls(1, each.type)
              for each in LOGS]  # fmt: skip
    found: list[Finding] = []
    AgentFindings(found.extend).observe(Signal.LOGS, pa.record_batch(arrays, schema=LOGS))
    return found


def changed(**said: Any) -> str:
    document = json.loads(json.loads(json.dumps(finding_attributes(TOLD)))["watchkeeper.finding"])
    return json.dumps({"watchkeeper.finding": json.dumps({**document, **said})})


def test_a_finding_of_its_own_node_is_taken_under_an_id_of_its_own() -> None:
    (first,), (again,) = taken(changed()), taken(changed(state="closed"))
    assert replace(first, id=TOLD.id) == TOLD
    assert first.id == again.id != TOLD.id
    (other,) = taken(changed(entity=Entity(service="cart", node="n2").key), Entity(service="cart", node="n2").key)
    assert other.id != first.id


@pytest.mark.parametrize(
    "entity", ["service=cart|node=n2", "service=cart", ""], ids=["another node", "no node", "nothing"]
)
def test_who_speaks_of_another_node_or_of_none_is_passed_over(entity: str) -> None:
    assert taken(changed(entity=entity)) == []
    assert taken(changed(), entity) == []


@pytest.mark.parametrize(
    "said",
    [
        {"first_unix_ns": "yesterday"},
        {"last_unix_ns": 2**80},
        {"detected_unix_ns": -1},
        {"score": "NaN"},
        {"score": None},
        {"title": {"html": "<script>"}},
        {"count": [1]},
        {"severity": "apocalyptic"},
        {"evidence": [{"kind": "line"}]},
        {"evidence": "none"},
        {"attributes": []},
        {"baseline": {}},
        {"why": "x" * 300_000},
    ],
    ids=lambda said: next(iter(said)),
)
def test_what_is_not_of_the_form_of_a_finding_is_passed_over(said: dict[str, Any]) -> None:
    assert taken(changed(**said)) == []


@pytest.mark.parametrize("attributes", ["{}", '{"watchkeeper.finding": 7}', '{"watchkeeper.finding": "[1]"}'])
def test_records_without_a_finding_are_passed_over(attributes: str) -> None:
    assert taken(attributes) == []
