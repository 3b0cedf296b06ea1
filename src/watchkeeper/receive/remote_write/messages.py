"""The two messages of Prometheus remote write, as protobuf classes that are made at import.

Written from the field numbers of the specifications (prometheus.io/docs/specs/prw, versions 1.0 and 2.0). Labels and
symbols are declared as bytes and not as the messages and texts that they are, which is the same on the wire: a series
that came before is then known by its bytes alone. Reads and writes nothing by itself.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "watchkeeper.remote_write"
_KINDS = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    name: getattr(_KINDS, f"TYPE_{name.upper()}")
    for name in ("bytes", "double", "int32", "int64", "sint32", "sint64", "string", "uint32", "uint64")
}

_SCHEMA: dict[str, str] = {
    "Sample": "double value=1; int64 timestamp=2; int64 start_timestamp=3",
    "Span": "sint32 offset=1; uint32 length=2",
    "Histogram": (
        "count: uint64 count_int=1; count: double count_float=2; double sum=3; sint32 schema=4; "
        "double zero_threshold=5; zero: uint64 zero_count_int=6; zero: double zero_count_float=7; "
        "*Span negative_spans=8; *sint64 negative_deltas=9; *double negative_counts=10; "
        "*Span positive_spans=11; *sint64 positive_deltas=12; *double positive_counts=13; "
        "int32 reset_hint=14; int64 timestamp=15; *double custom_values=16; int64 start_timestamp=17"
    ),
    "MetricMetadata": "int32 type=1; string metric_family_name=2; string help=4; string unit=5",
    "TimeSeries": "*bytes labels=1; *Sample samples=2; *bytes exemplars=3; *Histogram histograms=4",
    "WriteRequest": "*TimeSeries timeseries=1; *MetricMetadata metadata=3",
    "Label": "string name=1; string value=2",
    "Metadata": "int32 type=1; uint32 help_ref=3; uint32 unit_ref=4",
    "TimeSeries2": (
        "*uint32 labels_refs=1; *Sample samples=2; *Histogram histograms=3; *bytes exemplars=4; Metadata metadata=5; "
        "int64 created_timestamp=6"
    ),
    "Request": "*bytes symbols=4; *TimeSeries2 timeseries=5",
}
"""Each message as `type name=number` of its fields; `*` repeats one, `word:` puts it into a oneof of that name."""


def _field(message: Any, text: str) -> None:
    oneof, colon, rest = text.partition(": ")
    kind, _, said = (rest if colon else text).partition(" ")
    name, _, number = said.partition("=")
    field = message.field.add(name=name, number=int(number))
    field.label = _KINDS.LABEL_REPEATED if kind.startswith("*") else _KINDS.LABEL_OPTIONAL
    kind = kind.removeprefix("*")
    if kind in _TYPES:
        field.type = _TYPES[kind]
    else:
        field.type, field.type_name = _KINDS.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    if colon:
        known = [each.name for each in message.oneof_decl]
        if oneof not in known:
            message.oneof_decl.add(name=oneof)
            known.append(oneof)
        field.oneof_index = known.index(oneof)


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="watchkeeper/remote_write.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _SCHEMA.items():
        message = file.message_type.add(name=name)
        for text in fields.split("; "):
            _field(message, text)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _SCHEMA}


_CLASSES = _classes()
WriteRequest: Any = _CLASSES["WriteRequest"]
Request: Any = _CLASSES["Request"]
Label: Any = _CLASSES["Label"]
