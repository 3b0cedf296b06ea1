"""The detectors that run, one for each signal, made from the settings; and what they have learned of each service."""

from __future__ import annotations

from collections.abc import Mapping

from watchkeeper.app.patterns import Patterns
from watchkeeper.detect.base import Detector, LearningState
from watchkeeper.detect.joint import JointScorer
from watchkeeper.detect.logs import LogDetector
from watchkeeper.detect.metrics.detector import MetricDetector
from watchkeeper.detect.traces.detector import TraceDetector
from watchkeeper.settings import Settings
from watchkeeper.signals.schema import Signal


def make_detectors(settings: Settings, patterns: Patterns) -> dict[Signal, Detector]:
    """Make a detector for each signal."""
    warmup_s, window_s = settings.number("detect_warmup_s"), settings.number("detect_window_s")
    close_s = settings.number("finding_close_s")
    return {
        Signal.LOGS: LogDetector(
            patterns.text, warmup_s=warmup_s, window_s=window_s, close_s=close_s, parameters=patterns.parameters
        ),
        Signal.SPANS: TraceDetector(warmup_s=warmup_s, window_s=window_s, close_s=close_s),
        Signal.METRICS: MetricDetector(
            warmup_s=settings.number("metric_warmup_s"),
            window_s=window_s,
            close_s=close_s,
            series_max=settings.integer("metric_series_max"),
            forecast_horizon_s=settings.number("metric_forecast_horizon_s"),
            alarms_max=settings.number("metric_alarms_max"),
            joint=JointScorer,
        ),
    }


def learned(detectors: Mapping[Signal, Detector]) -> list[LearningState]:
    """Tell for each service how far learning has come, by its logs, else by its traces, else by its metrics.

    One row a service: what it is judged by first. Sorted by service.
    """
    states: dict[str, LearningState] = {}
    for signal in (Signal.LOGS, Signal.SPANS, Signal.METRICS):
        for state in detectors[signal].learning():
            states.setdefault(state.service, state)
    return [states[service] for service in sorted(states)]
