"""A real collector on loopback: takes OTLP/HTTP, decodes it, and answers as it is told to."""

from __future__ import annotations

import gzip
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)


class Collector:
    """What arrived, and the answers still to give: (status, headers, body); none left means success."""

    def __init__(self) -> None:
        self.requests: list[ExportLogsServiceRequest] = []
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.answers: deque[tuple[int, dict[str, str], bytes]] = deque()
        self.url = ""

    def records(self) -> list[Any]:
        return [
            record
            for request in self.requests
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]

    def resources(self) -> list[dict[str, str]]:
        return [
            {pair.key: pair.value.string_value for pair in resource.resource.attributes}
            for request in self.requests
            for resource in request.resource_logs
        ]

    def partial(self, rejected: int, message: str) -> None:
        response = ExportLogsServiceResponse()
        response.partial_success.rejected_log_records = rejected
        response.partial_success.error_message = message
        self.answers.append((200, {"Content-Type": "application/x-protobuf"}, response.SerializeToString()))


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on a free port of loopback for a while; gives the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    state = Collector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.bodies.append(body)
            state.paths.append(self.path)
            state.headers.append({name.lower(): value for name, value in self.headers.items()})
            status, headers, answer = state.answers.popleft() if state.answers else (200, {}, b"")
            if status == 0:
                self.close_connection = True
                return
            if status < 300:
                request = ExportLogsServiceRequest()
                request.ParseFromString(gzip.decompress(body))
                state.requests.append(request)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *unused: object) -> None:
            pass

    with serving(Handler) as url:
        state.url = url
        yield state
