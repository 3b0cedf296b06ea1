"""OTLP over gRPC: the three collector services, handed raw bytes.

Enters: Export calls, plain or compressed (gRPC undoes that, bounded). Leaves: Export responses, or errors with
google.rpc.Status in `grpc-status-details-bin`; a RetryInfo in it tells a client that it may retry. No message is parsed
here. A message over gRPC's own limit is refused by the library, before the ledger can count it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NoReturn

import grpc

from watchkeeper.errors import InternalFault, SettingError, TooLarge, Unauthorized, WatchkeeperError
from watchkeeper.receive.grpc_gate import LOOPBACK, FarEnd, GrpcGate
from watchkeeper.receive.listen import bind as bind_socket
from watchkeeper.receive.outcome import ACKNOWLEDGE_TIMEOUT_S, Takes
from watchkeeper.receive.peer import Certificate, Peer, bearer_secret, grpc_address
from watchkeeper.receive.status_proto import (
    PROTOBUF_TYPE,
    code_of,
    encode,
    retry_after_s,
    retry_info,
    status_of,
    success,
)
from watchkeeper.receive.tls import ServerTls, server_tls
from watchkeeper.settings import Settings
from watchkeeper.signals.signal import Signal

SERVICES: dict[str, Signal] = {
    "opentelemetry.proto.collector.logs.v1.LogsService": Signal.LOGS,
    "opentelemetry.proto.collector.metrics.v1.MetricsService": Signal.METRICS,
    "opentelemetry.proto.collector.trace.v1.TraceService": Signal.SPANS,
}
THREADS = 16
"""Calls served at a time; each waits for the disk, where those that wait together share one commit."""
STREAMS_MAX = 128
METADATA_BYTES_MAX = 16 << 10

_CODES = {code.value[0]: code for code in grpc.StatusCode}

log = logging.getLogger(__name__)


class GrpcServer:
    """The gRPC server; `start` binds and serves, `stop` ends it."""

    def __init__(self, receiver: Takes, settings: Settings) -> None:
        self._receiver = receiver
        self._settings = settings
        self._server: grpc.Server | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._gate: GrpcGate | None = None

    def start(self) -> int:
        """Listen on `bind` and `otlp_grpc_port`; gives the port. Raises SettingError when it cannot be had."""
        bytes_max = self._settings.integer("request_bytes_max")
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="otlp-grpc")
        server = grpc.server(
            self._threads,
            options=[
                # Between the two limits it is our handler that refuses, and so the ledger that counts.
                (
                    "grpc.max_receive_message_length",
                    max(bytes_max, self._settings.integer("request_decompressed_bytes_max")),
                ),
                ("grpc.max_concurrent_streams", STREAMS_MAX),
                ("grpc.max_metadata_size", METADATA_BYTES_MAX),
                # Else a second Watchkeeper on the same port would silently take half of the calls.
                ("grpc.so_reuseport", 0),
            ],
        )
        export = _Export(self._receiver, bytes_max, self._far_end)
        server.add_generic_rpc_handlers(tuple(export.handlers()))
        port = self._bind(server)
        server.start()
        self._server = server
        if self._gate is not None:
            self._gate.start()
        return port

    def stop(self, grace_s: float) -> None:
        """Refuse new calls, give those under way `grace_s` seconds, then end them."""
        if self._gate is not None:
            self._gate.refuse_new()
        if self._server is not None:
            self._server.stop(grace_s).wait()
            self._server = None
        if self._gate is not None:
            self._gate.stop()
            self._gate = None
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None

    def _bind(self, server: grpc.Server) -> int:
        bind = self._settings.text("bind")
        address = f"[{bind}]" if ":" in bind and not bind.startswith("[") else bind
        target = f"{address}:{self._settings.integer('otlp_grpc_port')}"
        tls = server_tls(self._settings)
        if tls is not None:
            return self._bind_behind_gate(server, bind.strip("[]"), tls)
        try:
            port: int = server.add_insecure_port(target)
        except RuntimeError as error:
            raise SettingError(
                f"cannot listen on {target}; is another Watchkeeper or collector running? Choose another port with "
                "--set otlp_grpc_port=NUMBER"
            ) from error
        return port

    def _far_end(self, peer: str) -> FarEnd:
        """Tell who calls, by gRPC's name of a peer; raises Unauthorized for a way in that is none."""
        if self._gate is None:
            return FarEnd(grpc_address(peer), Certificate())
        port = peer.rpartition(":")[2]
        found = self._gate.far_end(int(port)) if port.isdecimal() else None
        if found is None:
            raise Unauthorized("this connection did not come through the port that speaks TLS")
        return found

    def _bind_behind_gate(self, server: grpc.Server, bind: str, tls: ServerTls) -> int:
        listener = bind_socket(bind, self._settings.integer("otlp_grpc_port"), "otlp_grpc_port")
        inner = server.add_insecure_port(f"{LOOPBACK}:0")
        self._gate = GrpcGate(listener, inner, tls.grpc, partial(self._receiver.turned_away, "grpc"))
        port: int = listener.getsockname()[1]
        return port


class _Export:
    """The method Export of the three services."""

    def __init__(self, receiver: Takes, bytes_max: int, far_end: Callable[[str], FarEnd]) -> None:
        self._receiver = receiver
        self._far_end = far_end
        self._bytes_max = bytes_max

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """Give a handler for each service; without serializers gRPC hands bytes through."""
        return [
            grpc.method_handlers_generic_handler(
                service, {"Export": grpc.unary_unary_rpc_method_handler(self._behaviour(signal))}
            )
            for service, signal in SERVICES.items()
        ]

    def _behaviour(self, signal: Signal) -> Any:
        def export(payload: bytes, context: grpc.ServicerContext) -> bytes:
            try:
                return self._take_in(signal, payload, context)
            except WatchkeeperError as error:
                _abort(context, error)
            except Exception as error:
                log.exception("serving a call of %s failed", context.peer())
                message = f"internal fault, logged by the receiver: {type(error).__name__}; retry"
                _abort(context, InternalFault(message, retry_after_s=self._receiver.retry_after_s))

        return export

    def _take_in(self, signal: Signal, payload: bytes, context: grpc.ServicerContext) -> bytes:
        with self._receiver.begin(signal, self._peer(context)) as intake:
            if len(payload) > self._bytes_max:
                raise TooLarge(
                    f"the message is larger than {self._bytes_max} bytes (request_bytes_max); send smaller batches"
                )
            intake.hold(len(payload))
            stored = intake.export("protobuf", payload)
            try:
                outcome = stored.result(ACKNOWLEDGE_TIMEOUT_S)
            except TimeoutError:
                raise InternalFault(
                    f"the disk did not answer within {ACKNOWLEDGE_TIMEOUT_S:g} s; retry",
                    retry_after_s=self._receiver.retry_after_s,
                ) from None
        return encode(success(signal, outcome.rejected, outcome.reason), PROTOBUF_TYPE)

    def _peer(self, context: grpc.ServicerContext) -> Peer:
        authorization = None
        for key, value in context.invocation_metadata():
            if key == "authorization":
                authorization = value if isinstance(value, str) else value.decode("latin-1")
        address, certificate = self._far_end(context.peer())
        return Peer(protocol="grpc", address=address, secret=bearer_secret(authorization), certificate=certificate)


def _abort(context: grpc.ServicerContext, error: WatchkeeperError) -> NoReturn:
    status = status_of(error)
    trailer: list[tuple[str, bytes]] = [("grpc-status-details-bin", status.SerializeToString())]
    seconds = retry_after_s(error)
    if seconds is not None:
        # The Python SDK looks for the delay here, and not in the status where the specification puts it.
        trailer.append(("google.rpc.retryinfo-bin", retry_info(seconds).SerializeToString()))
    context.set_trailing_metadata(tuple(trailer))
    context.abort(_CODES[code_of(error).rpc], status.message)
    raise AssertionError("abort always raises")
