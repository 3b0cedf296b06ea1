"""Log events that tell of a change, and the many that do not."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from watchkeeper.diagnose.changes import changes_from_logs
from watchkeeper.receive.decode import decode
from watchkeeper.signals.schema import Signal

AT = 1_763_700_000_000_000_000


def attributes(said: dict[str, str]) -> list[KeyValue]:
    return [KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in said.items()]


def batch(*events: dict[str, Any], resource: dict[str, str] | None = None) -> pa.RecordBatch:
    request = ExportLogsServiceRequest()
    logs = request.resource_logs.add()
    logs.resource.attributes.extend(attributes({"service.name": "cart", **(resource or {})}))
    records = logs.scope_logs.add().log_records
    for number, event in enumerate(events):
        record = records.add()
        record.time_unix_nano = AT + number
        record.event_name = event.get("name", "")
        record.body.string_value = event.get("body", "")
        record.attributes.extend(attributes(event.get("attributes", {})))
    return decode(Signal.LOGS, "protobuf", request.SerializeToString(), sender="", received_unix_ns=AT).batch


@pytest.mark.parametrize(
    ("event", "kind", "node", "title"),
    [
        (
            {"attributes": {"deployment.status": "succeeded", "service.version": "1.4"}},
            "deploy",
            "service:cart",
            "deploy of cart 1.4: succeeded",
        ),
        ({"name": "deployment.finished"}, "deploy", "service:cart", "deploy of cart"),
        (
            {
                "name": "feature_flag.change",
                "attributes": {"feature_flag.key": "new-checkout", "feature_flag.result.variant": "on"},
            },
            "flag",
            "service:cart",
            "feature flag new-checkout is now on",
        ),
        (
            {
                "body": "Scaled up replica set cart-7f to 3",
                "attributes": {
                    "k8s.event.reason": "ScalingReplicaSet",
                    "k8s.object.name": "cart",
                    "k8s.event.uid": "u1",
                },
            },
            "scale",
            "workload:cart",
            "Scaled up replica set cart-7f to 3",
        ),
        (
            {"attributes": {"event.name": "config.reloaded", "config.version": "v9"}},
            "config",
            "service:cart",
            "configuration of cart changed v9",
        ),
    ],
)
def test_events_that_tell_of_a_change(event: dict[str, Any], kind: str, node: str, title: str) -> None:
    (change,) = changes_from_logs(batch({"body": "GET /"}, event, {"body": "GET /"}))
    assert (change.kind, change.node, change.title, change.source) == (kind, node, title, "telemetry")
    assert change.time_unix_ns == AT + 1
    assert changes_from_logs(batch({"body": "GET /"}, event)) == [change], "sent again it is the same"


@pytest.mark.parametrize(
    "event",
    [
        {"body": "deployment.status is unknown"},
        {"name": "feature_flag.evaluation", "attributes": {"feature_flag.key": "x"}},
        {"attributes": {"k8s.event.reason": "BackOff"}},
        {"name": "http.request", "attributes": {"deployment.environment.name": "prod"}},
        {"name": "configure"},
    ],
)
def test_events_that_do_not(event: dict[str, Any]) -> None:
    assert changes_from_logs(batch(event, resource={"deployment.id": "77", "config.version": "3"})) == []


def test_one_deployment_on_many_lines_is_one_change_for_each_of_its_states() -> None:
    lines = [
        {"attributes": {"deployment.id": "77", "deployment.status": status}} for status in ("started", "done") * 50
    ]
    assert [change.title[-4:] for change in changes_from_logs(batch(*lines))] == ["rted", "done"]
