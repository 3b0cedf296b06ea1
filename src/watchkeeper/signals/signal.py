"""The three kinds of telemetry, by themselves: what only forwards telemetry needs their names and not Arrow."""

from __future__ import annotations

from enum import StrEnum


class Signal(StrEnum):
    """The three kinds of telemetry; the values are the names of the tables too."""

    LOGS = "logs"
    METRICS = "metrics"
    SPANS = "spans"
