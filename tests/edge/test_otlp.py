from __future__ import annotations

import pytest
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from watchkeeper.edge.otlp import encode_logs, read_error, read_response, set_any_value
from watchkeeper.edge.record import Record


def decode(records: list[Record]) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    request.ParseFromString(encode_logs(records, observed_unix_ns=7))
    return request


def plain(value: AnyValue) -> object:
    which = value.WhichOneof("value")
    if which == "kvlist_value":
        return {pair.key: plain(pair.value) for pair in value.kvlist_value.values}
    if which == "array_value":
        return [plain(each) for each in value.array_value.values]
    return getattr(value, which) if which else None


def test_a_record_goes_over_whole():
    record = Record("b", 5, 17, "ERROR", {"k": 1, "deep": {"a": [True, None, 2.5]}}, "log", (("service.name", "cart"),),
                    "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "ev")  # fmt: skip
    resource = decode([record]).resource_logs[0]
    scope = resource.scope_logs[0]
    message = scope.log_records[0]
    assert [(pair.key, pair.value.string_value) for pair in resource.resource.attributes] == [("service.name", "cart")]
    assert scope.scope.name == "log"
    assert (message.time_unix_nano, message.observed_time_unix_nano) == (5, 7)
    assert (message.severity_number, message.severity_text, message.body.string_value) == (17, "ERROR", "b")
    assert {pair.key: plain(pair.value) for pair in message.attributes} == record.attributes
    assert (message.trace_id.hex(), message.span_id.hex()) == (record.trace_id, record.span_id)
    assert message.event_name == "ev"


def test_neighbours_share_headers_and_the_order_is_kept():
    one, two = (("service.name", "a"),), (("service.name", "b"),)
    request = decode(
        [Record("1", resource=one), Record("2", resource=one), Record("3", resource=two), Record("4", resource=one)]
    )
    assert [len(resource.scope_logs[0].log_records) for resource in request.resource_logs] == [2, 1, 1]
    bodies = [record.body.string_value for r in request.resource_logs for s in r.scope_logs for record in s.log_records]
    assert bodies == ["1", "2", "3", "4"]


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63 - 1)
        | st.floats(allow_nan=False)
        | st.text()
        | st.binary(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
        max_leaves=10,
    )
)
def test_any_plain_value_survives(value):
    message = AnyValue()
    set_any_value(message, value)
    assert plain(message) == value


def test_an_integer_beyond_64_bits_keeps_its_digits_as_text():
    message = AnyValue()
    set_any_value(message, 2**70)
    assert message.string_value == str(2**70)


@pytest.mark.parametrize(
    ("body", "content_type", "found"),
    [
        (b"", "application/x-protobuf", (0, "")),
        (b"\x0a\x04\x08\x02\x12\x00", "application/x-protobuf", (2, "")),
        (b'{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"old"}}', "application/json", (3, "old")),
        (b"<html>", "text/html", (0, "")),
        (b"{broken", "application/json", (0, "")),
    ],
)
def test_answers_are_read(body, content_type, found):
    assert read_response(body, content_type) == found


@pytest.mark.parametrize(
    ("body", "content_type", "found"),
    [
        (Status(message="bad bytes").SerializeToString(), "application/x-protobuf", "bad bytes"),
        (b'{"code":3,"message":"bad json"}', "application/json", "bad json"),
        (b"Not\n  Found", "text/plain", "Not Found"),
        (b"\xff\xfe", "application/json", "\ufffd\ufffd"),
    ],
)
def test_reasons_are_read(body, content_type, found):
    assert read_error(body, content_type) == found
