"""OTLP requests prepared as bytes, whose time stamps are set anew for each sending; and a plain sender of them.

Enters: bodies. Leaves: one protobuf request, and where its records' times stand, so that stamping 1,000 records costs
microseconds and what is measured is the receiver. Each sending has its own bytes, so none is taken for a retry.
"""

from __future__ import annotations

import http.client
import itertools
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from watchkeeper.datasets.logs import log_parts
from watchkeeper.errors import DataSetError
from watchkeeper.settings import Settings

PROTOBUF = {"Content-Type": "application/x-protobuf"}
SHARED_THREADS = 16


class Prepared:
    """One request of logs; `stamped` gives its bytes with times of now."""

    def __init__(self, content: bytes, time_offsets: Sequence[int]) -> None:
        self._content = np.frombuffer(content, np.uint8).copy()
        self._places = np.asarray(time_offsets)[:, None] + np.arange(8)  # (records, 8)
        self.records = len(time_offsets)

    def stamped(self, now_unix_ns: int) -> bytes:
        """Give the request with records a nanosecond apart from `now_unix_ns` on."""
        times: npt.NDArray[np.int64] = now_unix_ns + np.arange(self.records, dtype="<i8")
        self._content[self._places] = times.view(np.uint8).reshape(-1, 8)
        return self._content.tobytes()


class Sender:
    """One kept connection that posts to a URL; raises ConnectionError or OSError when the server is gone."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._path = parts.path
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)

    def post(self, content: bytes) -> float:
        """Post until it is acknowledged; gives the seconds that the acknowledged try took."""
        while True:
            begun = time.perf_counter()
            self._connection.request("POST", self._path, content, PROTOBUF)
            answer = self._connection.getresponse()
            told = answer.read()
            if answer.status == 200:
                return time.perf_counter() - begun
            if answer.status not in {429, 503}:
                raise ConnectionError(f"{self._path} answered {answer.status}: {told[:200]!r}")
            time.sleep(float(answer.headers.get("retry-after", 1)))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def prepare(bodies: Sequence[str], service: str) -> Prepared:
    """Write one request, noting the offsets of its time stamps."""
    records, offsets, at = [], [], 0
    for number, body in enumerate(bodies):
        record = LogRecord(time_unix_nano=1, severity_number=9, severity_text="INFO", body=AnyValue(string_value=body))  # type: ignore[arg-type]
        record.attributes.append(KeyValue(key="thread.id", value=AnyValue(int_value=number % SHARED_THREADS)))
        data = record.SerializeToString()
        head = b"\x12" + _varint(len(data))
        offsets.append(at + len(head) + 1)
        records.append(head + data)
        at += len(head) + len(data)
    scope = b"".join(records)
    resource = Resource(attributes=[KeyValue(key="service.name", value=AnyValue(string_value=service))])
    described = resource.SerializeToString()
    inner = b"\x0a" + _varint(len(described)) + described + b"\x12" + _varint(len(scope))
    outer = b"\x0a" + _varint(len(inner) + len(scope)) + inner
    return Prepared(outer + scope, [len(outer) + offset for offset in offsets])


def hdfs_lines(count: int) -> tuple[list[str], str]:
    """Give HDFS lines and "hdfs", or without that data set made-up lines of the same shape and "made up"."""
    try:
        part = log_parts("hdfs", Settings().path("data"))[0]
        with part.open() as stream:
            return [line.decode("utf-8", "replace").rstrip() for line in itertools.islice(stream, count)], "hdfs"
    except DataSetError:
        form = "081109 203615 148 INFO dfs.DataNode$PacketResponder: Receiving block blk_{} src: /10.0.{}.{}:{}"
        return [form.format(i * 7919 % 10**9, i % 250, i % 199, i % 60000) for i in range(count)], "made up"


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)
