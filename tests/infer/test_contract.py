"""The contract: what a job must hold, and where each fault of it is."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.errors import InvalidJob, TooLarge
from watchkeeper.infer.contract import JOB_BYTES_MAX, Answer, JobFaults, Parameters, output_of, parse_job

GOOD: dict[str, Any] = {
    "model": "category",
    "prompt": "disk full",
    "parameters": {"max_tokens": 16, "temperature": 0.5},
    "request_id": "r-1",
}


def faults_of(data: bytes) -> list[tuple[int, int, str, str]]:
    with pytest.raises(JobFaults) as caught:
        parse_job(data)
    return [(*each.position, each.field, each.problem) for each in caught.value.faults]


def test_a_good_job_is_read_and_its_request_id_kept() -> None:
    job = parse_job(json.dumps(GOOD).encode())
    assert (job.model, job.prompt, job.request_id) == ("category", "disk full", "r-1")
    assert job.parameters == Parameters(16, 0.5)


def test_a_request_id_is_made_up_where_there_is_none_and_differs_each_time() -> None:
    data = json.dumps({name: value for name, value in GOOD.items() if name != "request_id"}).encode()
    first, second = parse_job(data), parse_job(data)
    assert first.request_id != second.request_id
    assert len(first.request_id) == 36
    assert parse_job(data, request_id="given").request_id == "given"
    assert parse_job(json.dumps(GOOD).encode(), request_id="given").request_id == "r-1"


def test_all_faults_are_told_at_once_with_line_column_and_field() -> None:
    data = b"""{
  "model": 7,
  "promt": "x",
  "parameters": {"max_tokens": 0,
                 "temperature": 2.5, "top_p": 1},
  "request_id": "a\\u0007b"
}"""
    assert faults_of(data) == [
        (1, 1, "prompt", "is missing"),
        (2, 12, "model", "is a number, not a string"),
        (3, 12, "promt", "is not known; did you mean 'prompt'?"),
        (4, 32, "parameters.max_tokens", "is 0; it must be from 1 to 1000000"),
        (5, 33, "parameters.temperature", "is 2.5; it must be from 0 to 2"),
        (5, 47, "parameters.top_p", "is not known; the fields are max_tokens, temperature"),
        (6, 17, "request_id", "holds control characters or half of a surrogate pair"),
    ]


@pytest.mark.parametrize(
    ("data", "place", "problem"),
    [
        (b"", (1, 1), "is empty"),
        (b" \n ", (2, 2), "is empty"),
        (b'{"model": "x",\n "prompt" }', (2, 11), "is not JSON: Expecting ':' delimiter"),
        (b"\n [1]", (2, 2), "is an array, not an object"),
        (b'{"model": "x\xff"}', (1, 13), "not UTF-8: invalid start byte"),
        (b'{"prompt": NaN}', (1, 1), "is not JSON: NaN is no number of JSON"),
        (b"[" * 200_000, (1, 1), "is not JSON: nested too deeply"),
        (b'{"model": "a",\n "model": "b"}', (2, 2), "is given twice"),
    ],
)
def test_what_is_no_json_object_is_told_with_its_place(data: bytes, place: tuple[int, int], problem: str) -> None:
    [(line, column, _, told)] = faults_of(data)
    assert ((line, column), told) == (place, problem)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("model", "", "is empty"),
        ("model", "m" * 257, "has 257 characters; 256 are the most"),
        ("prompt", " \n", "is empty"),
        ("prompt", None, "is null, not a string"),
        ("prompt", "\ud800", "holds half of a surrogate pair, which is no text"),
        ("request_id", 12, "is a number, not a string"),
        ("request_id", "r" * 129, "has 129 characters; 128 are the most"),
        ("parameters", [], "is an array, not an object"),
    ],
)
def test_each_field_is_validated(name: str, value: Any, problem: str) -> None:
    [(_, _, field, told)] = faults_of(json.dumps(GOOD | {name: value}).encode())
    assert (field, told) == (name, problem)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("max_tokens", "true", "is a boolean; it must be a whole number"),
        ("max_tokens", "1.5", "is 1.5; it must be a whole number"),
        ("max_tokens", "-3", "is -3; it must be from 1 to 1000000"),
        ("max_tokens", "1" + "0" * 400, "is too large; it must be from 1 to 1000000"),
        ("max_tokens", "1e999", "is too large; it must be a whole number"),
        ("temperature", "1e999", "is too large; it must be from 0 to 2"),
        ("temperature", "1" + "0" * 400, "is too large; it must be from 0 to 2"),
        ("temperature", "-0.1", "is -0.1; it must be from 0 to 2"),
        ("temperature", '"0"', "is a string, not a number"),
        ("temperature", "false", "is a boolean, not a number"),
    ],
)
def test_each_parameter_is_validated(name: str, text: str, problem: str) -> None:
    values = {"max_tokens": "1", "temperature": "0"} | {name: text}
    inner = ", ".join(f'"{each}": {value}' for each, value in values.items())
    [(_, _, field, told)] = faults_of(b'{"model": "m", "prompt": "p", "parameters": {' + inner.encode() + b"}}")
    assert (field, told) == (f"parameters.{name}", problem)


def test_every_field_but_the_request_id_is_required() -> None:
    assert [field for _, _, field, _ in faults_of(b"{}")] == ["model", "parameters", "prompt"]
    data = json.dumps(GOOD | {"parameters": {}}).encode()
    assert [field for _, _, field, _ in faults_of(data)] == ["parameters.max_tokens", "parameters.temperature"]


def test_a_faulty_job_still_tells_its_request_id() -> None:
    with pytest.raises(JobFaults) as caught:
        parse_job(json.dumps(GOOD | {"prompt": ""}).encode())
    assert caught.value.request_id == "r-1"


def test_a_job_beyond_the_limit_is_refused_unread() -> None:
    with pytest.raises(TooLarge, match=str(JOB_BYTES_MAX)):
        parse_job(b" " * (JOB_BYTES_MAX + 1))


@given(st.one_of(st.binary(max_size=60), st.text(alphabet='{}[]":,\\u d8model0\n', max_size=60).map(str.encode)))
def test_no_bytes_raise_anything_but_a_told_fault(data: bytes) -> None:
    with pytest.raises(InvalidJob):
        parse_job(data)


@settings(max_examples=50)
@given(
    st.dictionaries(
        st.sampled_from(["model", "prompt", "parameters", "request_id", "\u00e9", "other"]),
        st.recursive(
            st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
            max_leaves=6,
        ),
    ),
    st.sampled_from([None, 1]),
)
def test_the_place_of_a_fault_is_where_its_value_begins(fields: dict[str, Any], indent: int | None) -> None:
    text = json.dumps(fields, indent=indent)
    with pytest.raises(JobFaults) as caught:
        parse_job(text.encode())
    for fault in caught.value.faults:
        if fault.field in fields:
            line = text.split("\n")[fault.position.line - 1]
            rest = "\n".join([line[fault.position.column - 1 :], *text.split("\n")[fault.position.line :]])
            assert json.JSONDecoder().raw_decode(rest)[0] == fields[fault.field]


def test_the_output_has_what_the_contract_says() -> None:
    job = parse_job(json.dumps(GOOD).encode())
    moment = datetime(2026, 5, 1, 12, 0, 0, 1500, tzinfo=UTC)
    told = output_of(job, Answer("text", {"why": []}), processed_at=moment, duration_ms=1.23456)
    assert told == {
        "schema_version": 1,
        "result": "text",
        "request_id": "r-1",
        "model": "category",
        "processed_at": "2026-05-01T12:00:00.001Z",
        "duration_ms": 1.235,
        "parameters": {"max_tokens": 16, "temperature": 0.5},
        "details": {"why": []},
    }
