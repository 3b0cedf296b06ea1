"""Takes up what agents found on their nodes: their findings come as log records and become findings here.

Enters: log batches as they pass. Leaves: findings, with the times that the agent gave them. An agent speaks only of its
own node: a finding about another is passed over and told. Judges nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from watchkeeper.signals.finding import Finding
from watchkeeper.signals.finding_record import EVENT_NAME, finding_of_attributes, node_of
from watchkeeper.signals.schema import Signal

log = logging.getLogger(__name__)


class AgentFindings:
    """An observer of the pipeline; costs one comparison a log record."""

    def __init__(self, publish: Callable[[list[Finding]], None]) -> None:
        self._publish = publish

    def observe(self, signal: Signal, batch: pa.RecordBatch) -> None:
        """Take up the findings in a batch."""
        if signal is not Signal.LOGS:
            return
        told = batch.filter(pc.equal(batch.column("event_name"), EVENT_NAME))
        found = []
        for attributes, entity in zip(
            told.column("attributes").to_pylist(), told.column("entity").to_pylist(), strict=True
        ):
            finding = finding_of_attributes(attributes)
            if finding is None or node_of(finding.entity) not in {"", node_of(entity)}:
                log.warning("a finding of %s is passed over: it cannot be read, or is of another node", entity)
                continue
            found.append(finding)
        if found:
            self._publish(found)
