"""Sends the health of this node to a collector: new events and troubles as logs, readings of GPUs as metrics.

Enters: HostHealths, one a look. Leaves: OTLP over HTTP to /v1/logs and /v1/metrics of one address: a heartbeat with
each look, new events, troubles. A trouble that goes on is told again only once it has changed, or after an hour.
Keeps nothing on disk: what a collector that cannot be reached would have had is the caller's to keep.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import SplitResult

from watchkeeper.edge.sender import Sender, Target
from watchkeeper.host import otlp
from watchkeeper.host.kernel_events import KernelEvent
from watchkeeper.host.survey import HostHealth

_AGAIN_S = 3600.0
_WAITING_MAX = 1_000


@dataclass(frozen=True)
class MetricsTarget(Target):
    """The same collector's address for metrics."""

    def parts(self) -> SplitResult:
        """Take the address apart, with the path of metrics."""
        parts = super().parts()
        return parts._replace(path=f"{parts.path.removesuffix('/v1/logs')}/v1/metrics")


class HealthNews:
    """Makes the requests of looks, and remembers what was told. Not for several threads at once.

    Events of a look whose records were not taken go with the next one: a look gives each event once.
    """

    def __init__(self) -> None:
        self._told: dict[str, int] = {}
        self._waiting: dict[str, KernelEvent] = {}
        self._anew = True

    def requests(self, health: HostHealth) -> tuple[bytes, bytes]:
        """Give the logs and the metrics of one look in OTLP; no metrics (b"") without a GPU."""
        logs = otlp.encode_logs(self.records(health), observed_unix_ns=health.time_unix_ns)
        return logs, otlp.encode_metrics(health) if otlp.metric_points(health) else b""

    def records(self, health: HostHealth) -> list[otlp.LogRecord]:
        """Give the heartbeat, new events, and troubles that were not told lately."""
        self._waiting |= {event.id: event for event in health.events}
        for oldest in list(self._waiting)[:-_WAITING_MAX]:
            del self._waiting[oldest]
        whole = replace(health, events=tuple(self._waiting.values()))
        return [otlp.heartbeat(whole), *otlp.log_records(whole, self._known(health), anew=self._anew)]

    def told(self, health: HostHealth) -> None:
        """Note that the records of a look were taken."""
        self._waiting, self._anew = {}, False
        known = self._known(health)
        current = otlp.trouble_keys(health)
        self._told = {key: self._told[key] if key in known else health.time_unix_ns for key in current}

    def _known(self, health: HostHealth) -> list[str]:
        return [key for key, at in self._told.items() if health.time_unix_ns - at < _AGAIN_S * 1e9]


class NodeHealthSender:
    """Sends looks; one connection for each signal. Not for several threads at once."""

    def __init__(self, target: Target, *, sleep: Callable[[float], object] | None = None) -> None:
        fields = {name: getattr(target, name) for name in Target.__dataclass_fields__}
        self._logs = Sender(target, sleep=sleep)
        self._metrics = Sender(MetricsTarget(**fields), sleep=sleep)
        self._news = HealthNews()

    def send(self, health: HostHealth) -> tuple[int, int]:
        """Send one look: how many log records and metric points were taken. Raises as Sender.send does."""
        records = self._news.records(health)
        taken = self._logs.send(otlp.encode_logs(records, observed_unix_ns=health.time_unix_ns), len(records)).accepted
        self._news.told(health)
        points = otlp.metric_points(health)
        if points:
            points = self._metrics.send(otlp.encode_metrics(health), points).accepted
        return taken, points

    def close(self) -> None:
        """Close both connections."""
        self._logs.close()
        self._metrics.close()
