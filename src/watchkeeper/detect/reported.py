"""What hardware and kernel report of themselves, as findings at once: an XID, memory errors, a read-only file system.

Enters: log batches. Leaves: a finding for each trouble of a GPU or host, open until the node's heartbeat no longer
lists it. Nothing is learned and nothing is waited for: such a report is a reading, not a claim about what is usual. So
its score grades how grave it is and is no likelihood, and the statistical detectors do not judge these rows again.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from watchkeeper.detect.parts import SEVERITY_ERROR, SEVERITY_WARN
from watchkeeper.signals.finding import Band, Baseline, Evidence, Finding, FindingSeverity, FindingState, finding_id
from watchkeeper.signals.node_report import (
    ADVICE,
    CHECK_ID,
    EVENT_KIND,
    EVENT_ORIGIN,
    HEARTBEAT,
    REPORTED,
    SCOPE,
    TROUBLE,
    TROUBLES,
)

SCORES = {FindingSeverity.CRITICAL: 10.0, FindingSeverity.WARNING: 5.0}
OPEN_MAX = 1_000
EXAMPLES_MAX = 5
TITLE_CHARACTERS_MAX = 160
REFRESH_NS = 60 * 10**9
UNHEARD_NS = 7_200 * 10**9
"""A node that has not been heard for so long tells nothing of its troubles any more; they are closed."""

Key = tuple[str, str]


class _Row(NamedTuple):
    """One record of a node's health. entity: of the GPU or host that it is about."""

    event_name: str
    severity_number: int
    time_unix_ns: int
    received_unix_ns: int
    body: str
    service: str
    entity: str
    told: Mapping[str, Any]


class Reports:
    """The reports that are open. close_s: event time after which one that no heartbeat lists is closed."""

    def __init__(self, close_s: float = 120.0) -> None:
        self._close_ns = int(close_s * 1e9)
        self._open: OrderedDict[Key, Finding] = OrderedDict()
        self._heard_ns: dict[Key, int] = {}
        self._newest_received_ns = 0

    def take_up(self, findings: Iterable[Finding]) -> None:
        """Go on with findings that an earlier run left open."""
        for finding in findings:
            if finding.kind == REPORTED and finding.state is FindingState.OPEN:
                self._open[finding.entity, finding.subject] = finding

    def take(self, batch: pa.RecordBatch) -> list[Finding]:
        """Give the findings that a batch opened, changed or closed; each once. Cost: one comparison a row."""
        changed: dict[str, Finding] = {}
        for row in _rows(batch):
            self._newest_received_ns = max(self._newest_received_ns, row.received_unix_ns)
            found = self._beat(row) if row.event_name == HEARTBEAT else self._report(row)
            changed |= {finding.id: finding for finding in found}
        return list(changed.values())

    def _report(self, row: _Row) -> list[Finding]:
        if row.severity_number < SEVERITY_WARN:
            return []
        key = (row.entity, _subject(row))
        known = self._open.get(key)
        self._heard_ns[key] = row.received_unix_ns
        line = Evidence("line", row.body, row.time_unix_ns)
        if known is None:
            self._open[key] = _finding(row, key[1], line)
            return [self._open[key], *self._trim()]
        if line in known.evidence:
            return []
        evidence = known.evidence if len(known.evidence) >= EXAMPLES_MAX else (*known.evidence, line)
        now = replace(
            known,
            count=known.count + 1,
            seen=_seen(known.count + 1),
            last_unix_ns=max(known.last_unix_ns, row.time_unix_ns),
            evidence=evidence,
        )
        if _severity(row) is FindingSeverity.CRITICAL and known.severity is not FindingSeverity.CRITICAL:
            now = replace(now, severity=FindingSeverity.CRITICAL, score=_score(row), title=_title(row), why=_why(row))
        self._open[key] = now
        return [now]

    def _beat(self, row: _Row) -> list[Finding]:
        """Keep open what the node's heartbeat lists, and close what has been quiet or whose node is not heard."""
        said, node = row.told.get(TROUBLES), _node(row.entity)
        listed = said if isinstance(said, list) else []
        found = []
        for key, finding in list(self._open.items()):
            heard_ns = self._heard_ns.setdefault(key, row.received_unix_ns)
            quiet_ns = row.time_unix_ns - finding.last_unix_ns
            if _node(finding.entity) != node:
                if self._newest_received_ns - heard_ns > UNHEARD_NS:
                    found.append(self._close(key))
                continue
            self._heard_ns[key] = row.received_unix_ns
            if finding.attributes.get("trouble") in listed:
                if quiet_ns >= min(REFRESH_NS, self._close_ns // 2):
                    self._open[key] = replace(finding, last_unix_ns=row.time_unix_ns)
                    found.append(self._open[key])
            elif quiet_ns >= self._close_ns:
                found.append(self._close(key))
        return found

    def _close(self, key: Key) -> Finding:
        self._heard_ns.pop(key, None)
        return replace(self._open.pop(key), state=FindingState.CLOSED)

    def _trim(self) -> list[Finding]:
        return [self._close(next(iter(self._open))) for _ in range(len(self._open) - OPEN_MAX)]


def without_reports(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Give the rows of a log batch that statistics are to judge: all but what a node reports of itself."""
    reports = pc.and_(_of_nodes(batch), pc.greater_equal(batch.column("severity_number"), SEVERITY_WARN))
    return batch.filter(pc.invert(pc.fill_null(reports, False))) if pc.any(reports).as_py() else batch


def _of_nodes(batch: pa.RecordBatch) -> pa.BooleanArray:
    return pc.fill_null(pc.equal(batch.column("scope_name").cast(pa.string()), SCOPE), False)


def _rows(batch: pa.RecordBatch) -> Iterable[_Row]:
    which = _of_nodes(batch)
    if not pc.any(which).as_py():
        return
    names = ("event_name", "severity_number", "time_unix_ns", "received_unix_ns", "body", "service", "entity")
    for row in batch.select([*names, "attributes"]).filter(which).to_pylist():
        told = json.loads(row["attributes"] or "{}")
        if row["event_name"] == HEARTBEAT or CHECK_ID in told or EVENT_KIND in told:
            yield _Row(
                row["event_name"],
                row["severity_number"] or 0,
                row["time_unix_ns"],
                row["received_unix_ns"],
                row["body"] or "",
                row["service"] or "",
                row["entity"] or "",
                told,
            )


def _subject(row: _Row) -> str:
    """Give what is in trouble: an XID by its code, else the kind of event or the check; of no known GPU its address."""
    told = row.told
    what = f"xid:{told['nvidia.xid']}" if "nvidia.xid" in told else told.get(EVENT_KIND) or told[CHECK_ID]
    device = told.get("pci.address", "")
    return f"{what}@{device}" if device else str(what)


def _node(entity: str) -> str:
    return next((part for part in entity.split("|") if part.startswith("node=")), "")


def _severity(row: _Row) -> FindingSeverity:
    return FindingSeverity.CRITICAL if row.severity_number >= SEVERITY_ERROR else FindingSeverity.WARNING


def _score(row: _Row) -> float:
    return SCORES[_severity(row)]


def _title(row: _Row) -> str:
    where = _node(row.entity).removeprefix("node=") or row.service
    flat = " ".join(f"{where} reports: {row.body}".split())
    return flat if len(flat) <= TITLE_CHARACTERS_MAX else flat[: TITLE_CHARACTERS_MAX - 1] + "…"


def _why(row: _Row) -> str:
    told = row.told
    parts = ["The node's own hardware, driver or kernel reports it: a reading, with no statistics behind it."]
    if told.get("watchkeeper.check.threshold"):
        held = f"{told['watchkeeper.check.threshold']} ({told.get('watchkeeper.check.source') or 'no source told'})"
        parts.append(f"Seen: {told.get('watchkeeper.check.observed', '')}; held against: {held}.")
    if told.get(EVENT_ORIGIN) == "application":
        parts.append("It is mostly the application that brings it about, not the hardware.")
    if told.get(ADVICE):
        parts.append(f"What to do: {told[ADVICE]}.")
    return " ".join(parts)


def _seen(count: int) -> Band:
    return Band(f"{count:,} report{'' if count == 1 else 's'}", float(count), float(count), "reports")


def _finding(row: _Row, subject: str, line: Evidence) -> Finding:
    kept = {"trouble": row.told.get(TROUBLE, ""), "origin": row.told.get(EVENT_ORIGIN, ""), "event": row.event_name}
    kept |= {"xid": row.told["nvidia.xid"]} if "nvidia.xid" in row.told else {}
    return Finding(
        id=finding_id(REPORTED, row.entity, subject, row.time_unix_ns),
        kind=REPORTED,
        signal="logs",
        service=row.service,
        entity=row.entity,
        subject=subject,
        title=_title(row),
        why=_why(row),
        severity=_severity(row),
        score=_score(row),
        count=1,
        first_unix_ns=row.time_unix_ns,
        last_unix_ns=row.time_unix_ns,
        expected=Band("no such report", 0.0, 0.0, "reports"),
        seen=_seen(1),
        baseline=Baseline(row.time_unix_ns, row.time_unix_ns),
        evidence=(line,),
        detected_unix_ns=row.time_unix_ns,
        attributes=kept,
    )
