"""What the six services have in common: the FastAPI app, its instrumentation, calls to other services, control.

A service's own module gets a Service and adds routes. Each request becomes a server span, each call a client span
with the trace carried on in `traceparent`; both count into metrics; what went wrong is logged with its trace.
Paths under /_control are for the supervisor: untraced, and not passed on by nginx.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterable
from typing import Any

import httpx
import psutil
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from opentelemetry import propagate
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.trace import SpanKind, Status, StatusCode, format_span_id, format_trace_id
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shop.effects import FaultBoard
from shop.faults import Fault
from shop.layout import LOOPBACK, Layout
from shop.telemetry import SECONDS_BOUNDS, Telemetry

CALL_TIMEOUT_S = 4.0
SLOW_S = 0.75
WATCH_S = 0.1
BLOCKED_S = 0.25
MEMORY_HEADROOM_BYTES = 96 * 2**20
MEMORY_TOLD_EVERY_S = 1.0


class UpstreamFailed(Exception):
    """Another service cannot be reached or answered with an error; `status` is 0 when it did not answer."""

    def __init__(self, service: str, status: int, why: str) -> None:
        super().__init__(why)
        self.service = service
        self.status = status


class Service:
    """One service: what its module builds on."""

    def __init__(self, name: str, version: str, layout: Layout, telemetry: Telemetry) -> None:
        self.name = name
        self.version = version
        self.layout = layout
        self.tracer = telemetry.tracer
        self.meter = telemetry.meter
        self.log = logging.getLogger(f"shop.{name}")
        self.faults = FaultBoard(name, self.log)
        self.client = httpx.AsyncClient(
            timeout=CALL_TIMEOUT_S,
            limits=httpx.Limits(max_connections=64, keepalive_expiry=30),
            trust_env=False,
            verify=layout.verify,
        )
        self.tasks: list[Callable[[], Any]] = [self._watch]
        self._lag_s = 0.0
        self._process = psutil.Process()
        self._calls = self.meter.create_histogram(
            "http.client.request.duration",
            unit="s",
            description="Duration of calls to other services.",
            explicit_bucket_boundaries_advisory=SECONDS_BOUNDS,
        )
        self._observe_process()
        self.app = FastAPI(title=name, version=version, openapi_url=None, docs_url=None, redoc_url=None)
        self.app.add_exception_handler(UpstreamFailed, self._answer_upstream_failed)
        self._add_control()

    def asgi(self) -> ASGIApp:
        """Give the app within its instrumentation."""
        return _Instrumented(self)

    async def call(self, target: str, method: str, path: str, **options: Any) -> Any:
        """Call another service and give its JSON answer.

        Raises UpstreamFailed when there is no answer or one from 500 up, HTTPException for one from 400 up.
        """
        down = self.faults.is_down(target)
        base = f"http://{LOOPBACK}:{self.layout.closed_port}" if down else self.layout.address(target)
        attributes = {"http.request.method": method, "server.address": target}
        started = time.perf_counter()
        with self.tracer.start_as_current_span(
            f"{method} {target}", kind=SpanKind.CLIENT, attributes={**attributes, "url.path": path}
        ) as span:
            headers: dict[str, str] = {}
            propagate.inject(headers)
            try:
                answer = await self.client.request(method, base + path, headers=headers, **options)
            except httpx.HTTPError as error:
                attributes["error.type"] = type(error).__name__
                span.set_attribute("error.type", type(error).__name__)
                raise UpstreamFailed(target, 0, f"{type(error).__name__}: {error}") from error
            finally:
                self._calls.record(time.perf_counter() - started, attributes)
            span.set_attribute("http.response.status_code", answer.status_code)
            if answer.status_code >= 500:
                span.set_status(Status(StatusCode.ERROR))
                raise UpstreamFailed(target, answer.status_code, f"status {answer.status_code}")
        if answer.status_code >= 400:
            raise HTTPException(answer.status_code, answer.json().get("detail", ""))
        return answer.json()

    async def _answer_upstream_failed(self, request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, UpstreamFailed)
        said = f"answered {error.status}" if error.status else f"cannot be reached ({error})"
        self.log.error("%s %s failed: %s %s", request.method, _route(request.scope), error.service, said)
        return JSONResponse({"detail": f"{error.service} {said}"}, 502 if error.status else 503)

    def _observe_process(self) -> None:
        self._process.cpu_percent()

        def memory(_: CallbackOptions) -> Iterable[Observation]:
            yield Observation(self._process.memory_info().rss)

        def cpu(_: CallbackOptions) -> Iterable[Observation]:
            yield Observation(self._process.cpu_percent() / 100)

        def lag(_: CallbackOptions) -> Iterable[Observation]:
            worst, self._lag_s = self._lag_s, 0.0
            yield Observation(worst)

        gauge = self.meter.create_observable_gauge
        gauge("process.memory.usage", [memory], unit="By", description="Resident memory.")
        gauge("process.cpu.utilization", [cpu], unit="1", description="Share of one core in use.")
        gauge("shop.event_loop.lag", [lag], unit="s", description="Longest time the event loop was kept from turning.")

    async def _watch(self) -> None:
        """Warn when the event loop is kept from turning, or when memory has grown far beyond what the start needed."""
        memory_limit = self._process.memory_info().rss + MEMORY_HEADROOM_BYTES
        told = 0.0
        while True:
            before = time.monotonic()
            await asyncio.sleep(WATCH_S)
            now = time.monotonic()
            lag = now - before - WATCH_S
            self._lag_s = max(self._lag_s, lag)
            if lag > BLOCKED_S:
                self.log.warning("Event loop was blocked for %d ms", lag * 1000)
            if now - told < MEMORY_TOLD_EVERY_S:
                continue
            told, memory = now, self._process.memory_info().rss
            if memory > memory_limit:
                self.log.warning(
                    "Memory use of %d MiB is over the soft limit of %d MiB", memory >> 20, memory_limit >> 20
                )

    def _add_control(self) -> None:
        @self.app.get("/_control/health")
        async def health() -> dict[str, Any]:
            return {"service": self.name, "version": self.version, "pid": os.getpid()}

        @self.app.post("/_control/faults")
        async def switch_on(fault: Fault) -> dict[str, bool]:
            self.faults.switch_on(fault)
            return {"on": True}

        @self.app.delete("/_control/faults/{kind}")
        async def switch_off(kind: str) -> dict[str, bool]:
            return {"was_on": self.faults.switch_off(kind)}


class _Instrumented:
    """Spans, metrics, logs and faults around every request of a service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        meter = service.meter
        self._requests = meter.create_counter(
            "http.server.requests", unit="{request}", description="Requests answered."
        )
        self._active = meter.create_up_down_counter(
            "http.server.active_requests", unit="{request}", description="Requests in flight."
        )
        self._duration = meter.create_histogram(
            "http.server.request.duration",
            unit="s",
            description="Duration of requests.",
            explicit_bucket_boundaries_advisory=SECONDS_BOUNDS,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/_control/"):
            await self._service.app(scope, receive, send)
            return
        method, status = scope["method"], 500
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        started = time.perf_counter()
        with self._service.tracer.start_as_current_span(
            method,
            context=propagate.extract(headers),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method, "url.path": scope["path"]},
        ) as span:
            context = span.get_span_context()
            trace = f"00-{format_trace_id(context.trace_id)}-{format_span_id(context.span_id)}-01"
            begun = False

            async def tell(message: Message) -> None:
                nonlocal status, begun
                if message["type"] == "http.response.start":
                    begun, status = True, message["status"]
                    message["headers"] = [*message["headers"], (b"traceresponse", trace.encode())]
                await send(message)

            self._active.add(1)
            try:
                await self._service.faults.strike()
                await self._service.app(scope, receive, tell)
            except Exception as error:  # the edge of the service: told, counted, answered with 500
                status = 500
                span.record_exception(error)
                self._service.log.error(
                    "%s %s failed: %s: %s", method, _route(scope), type(error).__name__, error, exc_info=error
                )
                if not begun:
                    await JSONResponse({"detail": "internal error"}, 500)(scope, receive, tell)
            finally:
                self._active.add(-1)
            route, seconds = _route(scope), time.perf_counter() - started
            span.update_name(f"{method} {route}")
            span.set_attributes({"http.route": route, "http.response.status_code": status})
            if status >= 500:
                span.set_status(Status(StatusCode.ERROR))
            if seconds > SLOW_S:
                self._service.log.warning("Slow request: %s %s took %d ms", method, route, seconds * 1000)
            labels = {"http.request.method": method, "http.route": route, "http.response.status_code": status}
            self._requests.add(1, labels)
            self._duration.record(seconds, labels)


def _route(scope: Scope) -> str:
    """Give the path's template; the path itself, without its last part, when a fault struck before it was matched."""
    route = getattr(scope.get("route"), "path", None)
    return str(route) if route else "/" + scope["path"].strip("/").split("/")[0]
