"""Takes up what agents found on their nodes: their findings come as log records and become findings here.

Enters: log batches as they pass. Leaves: findings, with the times that the agent gave them, under ids of their own. An
agent speaks only of its own node: a finding about another, or about none, is passed over and told, and so is one that
is not of the form of a finding. Judges nothing.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import asdict, replace

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import TypeAdapter, ValidationError

from watchkeeper.signals.finding import Finding, finding_id
from watchkeeper.signals.finding_record import EVENT_NAME, finding_of_attributes, node_of
from watchkeeper.signals.schema import Signal

ATTRIBUTES_CHARACTERS_MAX = 262_144
TIME_UNIX_NS_MAX = 2**63 - 1

log = logging.getLogger(__name__)

_FORM = TypeAdapter(Finding)


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
            finding = _read(attributes, node_of(entity))
            if finding is None:
                log.warning("a finding of %s is passed over: it cannot be read, or is of another node", entity)
                continue
            found.append(finding)
        if found:
            self._publish(found)


def _read(attributes: str, node: str) -> Finding | None:
    """Give the finding that a node tells of itself; None when it is none, or not about that node.

    Its id is made of the node and the id there, so that no agent can change what was found here or by another.
    """
    if len(attributes) > ATTRIBUTES_CHARACTERS_MAX:
        return None
    told = finding_of_attributes(attributes)
    if told is None:
        return None
    try:
        finding = _FORM.validate_python(asdict(told))
    except ValidationError:
        return None
    times = (finding.first_unix_ns, finding.last_unix_ns, finding.detected_unix_ns)
    if not all(0 <= time <= TIME_UNIX_NS_MAX for time in times) or not math.isfinite(finding.score):
        return None
    if not node or node_of(finding.entity) != node:
        return None
    return replace(finding, id=finding_id(finding.kind, node, finding.id, 0))
