"""Telemetry of one process through the OpenTelemetry Python SDK: traces, metrics and logs, over OTLP/HTTP.

Every process of the shop calls `start` once. Batches leave after a second, metrics after two, so that a fault is
told soon. While the collector is down the SDK's bounded queues drop; the shop goes on. Sets no global provider, so that
nothing but the shop's own instrumentation tells anything.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass

from opentelemetry._logs import Logger
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.logging.handler import LoggingHandler
from opentelemetry.metrics import Meter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Tracer

BATCH_DELAY_MS = 1_000
METRICS_INTERVAL_MS = 2_000
EXPORT_TIMEOUT_S = 3
SHUTDOWN_S = 1.5

SECONDS_BOUNDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Telemetry:
    """The three ways to tell, and the way to end."""

    tracer: Tracer
    meter: Meter
    logger: Logger
    shutdown: Callable[[], None]


def start(name: str, version: str, otlp: str) -> Telemetry:
    """Set up the SDK for this process; log records of `logging` leave too, with the ids of the trace they belong to."""
    resource = Resource.create(
        {
            "service.name": name,
            "service.version": version,
            "service.instance.id": f"{name}-0",
            "deployment.environment.name": "demo",
            "host.name": socket.gethostname(),
            "process.pid": os.getpid(),
        }
    )
    traces = TracerProvider(resource=resource)
    traces.add_span_processor(
        BatchSpanProcessor(
            OTLPSpanExporter(f"{otlp}/v1/traces", timeout=EXPORT_TIMEOUT_S), schedule_delay_millis=BATCH_DELAY_MS
        )
    )
    reader = PeriodicExportingMetricReader(
        OTLPMetricExporter(f"{otlp}/v1/metrics", timeout=EXPORT_TIMEOUT_S),
        export_interval_millis=METRICS_INTERVAL_MS,
        export_timeout_millis=EXPORT_TIMEOUT_S * 1000,
    )
    metrics = MeterProvider([reader], resource)
    logs = LoggerProvider(resource)
    logs.add_log_record_processor(
        BatchLogRecordProcessor(
            OTLPLogExporter(f"{otlp}/v1/logs", timeout=EXPORT_TIMEOUT_S), schedule_delay_millis=BATCH_DELAY_MS
        )
    )
    _route_logging(logs)

    def shutdown() -> None:
        """Send what is left; gives up after SHUTDOWN_S, for the collector may be down."""
        ends = [threading.Thread(target=provider.shutdown, daemon=True) for provider in (logs, traces, metrics)]
        for end in ends:
            end.start()
        for end in ends:
            end.join(SHUTDOWN_S)

    return Telemetry(traces.get_tracer("shop"), metrics.get_meter("shop"), logs.get_logger("shop"), shutdown)


def _route_logging(logs: LoggerProvider) -> None:
    """Send the shop's log records to OTLP, and the SDK's own complaints to the process's output only."""
    shop = logging.getLogger("shop")
    shop.setLevel(logging.INFO)
    shop.addHandler(LoggingHandler(logger_provider=logs))
    shop.propagate = False
    console = logging.StreamHandler()
    for name in ("opentelemetry", "uvicorn"):
        other = logging.getLogger(name)
        other.setLevel(logging.ERROR)
        other.addHandler(console)
        other.propagate = False
