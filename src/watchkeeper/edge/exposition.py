"""The agent's own port: /metrics for a Prometheus, /health and /ready for whoever watches over the agent.

Enters: functions that tell the state. Leaves: HTTP answers in Prometheus's text format 0.0.4 and in JSON, over TLS if
the agent has a server certificate. Serves what the agent counts, the host's last readings and what detection on this
node finds. Has no authentication and nothing secret in it; listens where the agent listens.
"""

from __future__ import annotations

import logging
import re
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from http.server import ThreadingHTTPServer
from typing import Any, NamedTuple

import orjson

from watchkeeper.edge.counts import EVENTS, Counts
from watchkeeper.edge.host_metrics import Reading
from watchkeeper.errors import SettingError
from watchkeeper.host.scrape import IDLE_S, ScrapeHandler, ScrapeServer, shown
from watchkeeper.receive.tls_files import TlsContexts
from watchkeeper.signals.signal import Signal

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_log = logging.getLogger(__name__)
_ODD = re.compile(r"[^a-zA-Z0-9_]")
_UNITS = {"s": "seconds", "By": "bytes", "1": "ratio"}


class Sample(NamedTuple):
    """One sample of the exposition."""

    name: str
    kind: str
    help: str
    value: float
    labels: Mapping[str, str] = {}


def count_samples(counts: Counts) -> list[Sample]:
    """Give what the agent counts."""
    samples = [
        Sample(f"watchkeeper_edge_{event}_records_total", "counter", about, counts.get(event, signal), _of(signal))
        for event, about in EVENTS.items()
        for signal in Signal
    ]
    about = "Attempts to send a batch that the centre did not take."
    samples.append(Sample("watchkeeper_edge_attempts_failed_total", "counter", about, counts.attempts_failed))
    return samples


def _of(signal: Signal) -> dict[str, str]:
    return {"signal": signal.value}


def reading_samples(readings: Iterable[Reading]) -> list[Sample]:
    """Give the host's readings under OpenTelemetry's names as Prometheus writes them.

    >>> sample, = reading_samples([Reading("system.cpu.time", "s", 2.5, {"cpu.mode": "user"}, monotonic=True)])
    >>> sample.name, sample.labels
    ('system_cpu_time_seconds_total', {'cpu_mode': 'user'})
    """
    samples = []
    for reading in readings:
        name = _ODD.sub("_", reading.name)
        unit = _UNITS.get(reading.unit, "")
        name = f"{name}_{unit}" if unit and not name.endswith(unit) else name
        kind = "counter" if reading.monotonic else "gauge"
        labels = {_ODD.sub("_", key): value for key, value in reading.attributes.items()}
        samples.append(Sample(f"{name}_total" if reading.monotonic else name, kind, "", reading.value, labels))
    return samples


def exposition(samples: Iterable[Sample]) -> str:
    """Write samples, those of one name together."""
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.name, []).append(sample)
    lines = []
    for name, group in groups.items():
        if group[0].help:
            lines.append(f"# HELP {name} {group[0].help}")
        lines.append(f"# TYPE {name} {group[0].kind}")
        for sample in group:
            labels = ",".join(f'{key}="{_escape(value)}"' for key, value in sample.labels.items())
            lines.append(f"{name}{{{labels}}} {sample.value:.17g}" if labels else f"{name} {sample.value:.17g}")
    return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


class Tells(NamedTuple):
    """What the port asks: samples for /metrics; the state, in which `ready` decides the status of /ready."""

    samples: Callable[[], Iterable[Sample]]
    state: Callable[[], dict[str, object]]


class StateServer(ScrapeServer):
    """The server; speaks TLS once it is given contexts."""

    tls: TlsContexts | None = None

    def finish_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: Any) -> None:
        """Shake hands, where there is TLS, and answer; in the connection's thread, for a peer may be slow to do so."""
        if self.tls is None:
            super().finish_request(request, client_address)
            return
        assert isinstance(request, socket.socket)
        request.settimeout(IDLE_S)
        try:
            secured = self.tls.current().wrap_socket(request, server_side=True)
        except (OSError, ValueError) as error:
            _log.info("%s is turned away from /metrics: %s", client_address[0], error)
            return
        with secured:
            try:
                super().finish_request(secured, client_address)
                secured.unwrap()
            except (ssl.SSLError, OSError) as error:
                _log.info("%s broke off: %s", client_address[0], error)


def state_server(tells: Tells, host: str, port: int, tls: TlsContexts | None = None) -> ThreadingHTTPServer:
    """Make the server, bound and not yet serving; port 0 takes a free one. Raises SettingError when it is taken."""

    class Handler(ScrapeHandler):
        def asked(self, path: str) -> None:
            if path == "/metrics":
                self.answer(200, CONTENT_TYPE, exposition(tells.samples()).encode())
            elif path in {"/health", "/ready"}:
                state = tells.state()
                ready = path == "/health" or bool(state.get("ready"))
                self.answer(200 if ready else 503, "application/json", orjson.dumps(state))
            else:
                self.answer(404, "text/plain; charset=utf-8", b"there are /metrics, /health and /ready\n")

    try:
        server = StateServer(host, port, Handler)
    except OSError as error:
        raise SettingError(
            f"cannot listen on {shown(host, port)} ({error.strerror}); choose another port with "
            "--set edge_metrics_port=NUMBER"
        ) from error
    server.tls = tls
    return server
