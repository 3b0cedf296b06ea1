"""Makes findings of what nodes report of themselves, as it passes; detect/reported.py judges, this only wires it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pyarrow as pa

from watchkeeper.detect.reported import Reports
from watchkeeper.signals.finding import Finding
from watchkeeper.signals.schema import Signal


class NodeReports:
    """An observer of the pipeline."""

    def __init__(self, publish: Callable[[list[Finding]], None], *, close_s: float) -> None:
        self._publish = publish
        self._reports = Reports(close_s)

    def take_up(self, findings: Iterable[Finding]) -> None:
        """Go on with what an earlier run left open; before the pipeline starts."""
        self._reports.take_up(findings)

    def observe(self, signal: Signal, batch: pa.RecordBatch) -> None:
        """Publish what a batch of logs opened, changed or closed."""
        found = self._reports.take(batch) if signal is Signal.LOGS else []
        if found:
            self._publish(found)
