"""OTLP's JSON encoding means what the protobuf encoding means."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.receive.otlp_strategies import otlp_json, random_request, requests
from watchkeeper.errors import MalformedTelemetry
from watchkeeper.receive.decode import decode
from watchkeeper.receive.otlp_json import parse
from watchkeeper.signals.schema import Signal

SIGNALS = pytest.mark.parametrize("signal", list(Signal))


def logs(record: dict[str, Any]) -> bytes:
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).encode()


def row(payload: bytes) -> dict[str, Any]:
    rows = decode(Signal.LOGS, "json", payload, sender="s", received_unix_ns=5).batch.to_pylist()
    assert len(rows) == 1
    found: dict[str, Any] = rows[0]
    return found


@SIGNALS
@given(data=st.data())
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
def test_json_gives_the_message_that_protobuf_gives(signal: Signal, data: st.DataObject) -> None:
    request = data.draw(requests(signal))
    again = parse(signal, json.dumps(otlp_json(request)).encode())
    assert again.SerializeToString(deterministic=True) == request.SerializeToString(deterministic=True)


@SIGNALS
def test_both_encodings_end_in_the_same_batch(signal: Signal) -> None:
    request = random_request(random.Random(11), signal)
    texts = json.dumps(otlp_json(request)).encode()
    by_json = decode(signal, "json", texts, sender="s", received_unix_ns=5)
    by_protobuf = decode(signal, "protobuf", request.SerializeToString(), sender="s", received_unix_ns=5)
    assert by_json.batch.num_rows > 0
    assert repr(by_json.batch.to_pylist()) == repr(by_protobuf.batch.to_pylist())


def test_the_example_of_the_specification_shape_is_understood() -> None:
    found = row(
        logs(
            {
                "timeUnixNano": "1763700000000000001",
                "observedTimeUnixNano": 1763700000000000003,
                "severityNumber": 17,
                "severityText": "ERROR",
                "traceId": "5B8EFFF798038103D269B633813FC60C",
                "spanId": "eee19b7ec3c1b174",
                "body": {"kvlistValue": {"values": [{"key": "n", "value": {"intValue": "9007199254740993"}}]}},
                "attributes": [{"key": "raw", "value": {"bytesValue": "AQI="}}],
            }
        )
    )
    assert found["time_unix_ns"] == 1763700000000000001
    assert found["observed_time_unix_ns"] == 1763700000000000003
    assert found["trace_id"] == "5b8efff798038103d269b633813fc60c"
    assert found["span_id"] == "eee19b7ec3c1b174"
    assert found["body"] == '{"n":9007199254740993}'
    assert found["attributes"] == '{"raw":{"$bytes":"AQI="}}'


def test_an_integer_beyond_2_to_the_53_survives_as_a_json_number() -> None:
    assert row(logs({"body": {"intValue": 9007199254740993}}))["body"] == "9007199254740993"


def test_fields_in_snake_case_names_of_enums_and_unknown_fields_are_taken() -> None:
    record = {"severity_number": "SEVERITY_NUMBER_WARN", "event_name": "e", "someday": {"traceId": 1}, "flags": 1}
    found = row(logs({key: value for key, value in record.items() if key != "someday"}))
    assert (found["severity_number"], found["event_name"], found["flags"]) == (13, "e", 1)
    assert row(logs({"body": {"stringValue": "x"}, "someday": {"deep": [1]}}))["body"] == "x"


def test_numbers_that_json_lacks_come_as_words() -> None:
    assert row(logs({"body": {"doubleValue": "NaN"}}))["body"] == '{"$double":"NaN"}'
    assert row(logs({"body": {"doubleValue": "-Infinity"}}))["body"] == '{"$double":"-Infinity"}'
    assert row(logs({"body": {"doubleValue": 1}}))["body"] == "1.0"


def test_half_a_surrogate_pair_becomes_the_replacement_character() -> None:
    assert row(logs({"body": {"stringValue": "cut \ud83d"}}))["body"] == "cut \ufffd"
    assert row(logs({"body": {"stringValue": "whole \U0001f600"}}))["body"] == "whole \U0001f600"


def test_ids_that_are_not_sent_are_empty() -> None:
    assert row(logs({"traceId": "", "spanId": None}))["trace_id"] == ""


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b"{", "line 1, column 2"),
        (b"", "line 1, column 1"),
        (b"[]", "the document is [], not an object"),
        (b"\xff{}", "not UTF-8 at byte 0"),
        (b'{"resourceLogs":7}', "resourceLogs"),
        (b'{"resourceLogs":[{},7]}', "resourceLogs[1] is 7"),
        (b'{"resourceLogs":[null]}', "resourceLogs"),
        (b'{"a":NaN}', "the word NaN"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (logs({"traceId": "zz"}), "resourceLogs[0].scopeLogs[0].logRecords[0].traceId is 'zz'"),
        (logs({"spanId": 7}), "logRecords[0].spanId is 7"),
        (logs({"timeUnixNano": "soon"}), "resourceLogs[0].scopeLogs[0].logRecords[0].timeUnixNano is 'soon'"),
        (logs({"timeUnixNano": -1}), "timeUnixNano"),
        (logs({"timeUnixNano": 2**64}), "timeUnixNano"),
        (logs({"timeUnixNano": 1.5}), "timeUnixNano"),
        (logs({"body": {"intValue": 1e999}}).replace(b"Infinity", b"1e999"), "intValue"),
        (logs({"body": {"bytesValue": "*"}}), "bytesValue is '*'"),
        (logs({"body": {"stringValue": 5}}), "stringValue"),
        (logs({"body": {"intValue": 1, "boolValue": True}}), "not one of what AnyValue can be"),
    ],
)
def test_what_is_no_such_request_is_refused_with_the_place(payload: bytes, said: str) -> None:
    with pytest.raises(MalformedTelemetry) as caught:
        decode(Signal.LOGS, "json", payload, sender="s", received_unix_ns=5)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 600


def test_values_are_nested_as_deeply_as_protobuf_allows_and_no_deeper() -> None:
    def nested(levels: int) -> bytes:
        value: dict[str, Any] = {"intValue": 1}
        for _ in range(levels):
            value = {"arrayValue": {"values": [value]}}
        return logs({"body": value})

    assert row(nested(48))["body"] == "[" * 48 + "1" + "]" * 48
    with pytest.raises(MalformedTelemetry, match="within 100 levels"):
        parse(Signal.LOGS, nested(49))


def test_bytes_may_be_in_the_url_safe_alphabet_and_without_padding() -> None:
    for text in ("-_-_AQ==", "+/+/AQ==", "+/+/AQ"):
        assert row(logs({"body": {"bytesValue": text}}))["body"] == '{"$bytes":"+/+/AQ=="}'


def test_damaged_json_is_read_or_refused() -> None:
    source = random.Random(3)
    texts = [json.dumps(otlp_json(random_request(source, Signal.LOGS)), ensure_ascii=False) for _ in range(5)]
    refused = 0
    for _ in range(400):
        text = list(source.choice(texts))
        for _ in range(source.choice((1, 2))):
            at = source.randrange(len(text))
            text[at] = source.choice(['"', "{", "}", "[", "]", "0", "-", "e", "null", "\\", "", ",", ":", "true", "é"])
        try:
            parse(Signal.LOGS, "".join(text).encode())
        except MalformedTelemetry:
            refused += 1
    assert 0 < refused < 400
