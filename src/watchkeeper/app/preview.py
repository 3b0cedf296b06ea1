"""What would have been: kept findings grouped anew by other settings, beside the settings in force.

Enters: findings as they ended, in the order in which they were told. Leaves: counts and examples. Pure but for the
findings it is given; changes nothing that is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from watchkeeper.diagnose.grouping import IncidentGrouper
from watchkeeper.diagnose.incident import Incident, IncidentSeverity, IncidentState
from watchkeeper.diagnose.rules import Rules, rules_of
from watchkeeper.diagnose.silence import SILENCED_BY
from watchkeeper.errors import SettingError
from watchkeeper.settings import Settings
from watchkeeper.signals.finding import Finding, FindingState
from watchkeeper.signals.topology import Topology

EXAMPLES_MAX, CHANGED_MAX = 20, 200
DAY_NS = 86_400 * 10**9
_PREFIX = "incident_"


def rules_with(settings: Settings, changed: Mapping[str, Any]) -> Rules:
    """Give the rules in force with some settings changed; raises SettingError for one that grouping does not heed."""
    for name in changed:
        if not name.startswith(_PREFIX):
            raise SettingError(
                f"a preview cannot change {name!r}: it groups the findings that are kept; settings that begin with "
                f"{_PREFIX!r} can be changed"
            )
    values = {row["name"]: row["value"] for row in settings.table()}
    return rules_of(Settings(chosen={**values, **changed}, environment={}))


def grouped(findings: Sequence[Finding], topology: Topology, rules: Rules, *, close_ns: int) -> list[Incident]:
    """Group findings as if they came now; gives every incident but those that went up in others.

    close_ns: quiet time after which a detector closes a finding. Cost: findings times members of live incidents.
    """
    grouper = IncidentGrouper(rules)
    grouper.see(topology)
    steps: list[tuple[int, int, str, Finding]] = []
    for finding in findings:
        steps.append((max(finding.detected_unix_ns, finding.first_unix_ns), 0, finding.id, finding))
        if finding.state is FindingState.CLOSED:
            steps.append((max(finding.last_unix_ns, finding.detected_unix_ns) + close_ns, 1, finding.id, finding))
    kept: dict[str, Incident] = {}
    for at, closes, _, finding in sorted(steps, key=lambda step: step[:3]):
        if at - grouper.now_ns > rules.resolve_ns:
            # What is over is so when it has been quiet for long enough, not when the next finding comes.
            grouper.advance(grouper.now_ns + rules.resolve_ns)
        grouper.advance(at)
        # The detection time is left out: it may lie before the end that is known only now.
        grouper.observe(replace(finding, state=FindingState.CLOSED if closes else FindingState.OPEN), ceiling_ns=at)
        kept |= {incident.id: incident for incident in grouper.take().incidents}
    grouper.advance(grouper.now_ns + rules.resolve_ns)
    kept |= {incident.id: incident for incident in grouper.take().incidents}
    return sorted(
        (each for each in kept.values() if each.state is not IncidentState.MERGED),
        key=lambda incident: (incident.opened_unix_ns, incident.id),
    )


def outcome(incidents: Sequence[Incident]) -> dict[str, Any]:
    """Count incidents by severity and day (UTC), with the latest as examples."""
    days: dict[int, int] = {}
    for incident in incidents:
        day = incident.opened_unix_ns // DAY_NS * DAY_NS
        days[day] = days.get(day, 0) + 1
    return {
        "incidents": len(incidents),
        "by_severity": {
            severity.value: sum(incident.severity is severity for incident in incidents)
            for severity in IncidentSeverity
        },
        "per_day": [{"day_unix_ns": day, "incidents": count} for day, count in sorted(days.items())],
        "examples": [
            {
                "title": incident.title,
                "severity": incident.severity.value,
                "opened_unix_ns": incident.opened_unix_ns,
                "services": list(incident.services),
                "findings_count": incident.findings_count,
                "reopened": incident.reopened,
            }
            for incident in list(reversed(incidents))[:EXAMPLES_MAX]
        ],
    }


def counted(findings: Sequence[Finding]) -> list[Finding]:
    """Leave out what a silence covers."""
    return [finding for finding in findings if SILENCED_BY not in finding.attributes]


def compared(before: Sequence[Incident], after: Sequence[Incident], homes: Mapping[str, str]) -> dict[str, Any]:
    """Tell which incidents differ between two groupings of the same findings; the latest CHANGED_MAX are listed.

    homes: the kept incident of each finding. An incident is `gone` when none of its findings is in one afterwards,
    `new` when none was in one before, else `changed` when it has other findings or another severity.
    """
    rows = [_changed(each, _partner(each, after), homes) for each in before]
    rows += [_changed(None, each, homes) for each in after if _partner(each, before) is None]
    changed = sorted((row for row in rows if row), key=lambda row: (-row["opened_unix_ns"], row["id"]))
    return {
        "before": len(before),
        "after": len(after),
        **{name: sum(row["change"] == name for row in changed) for name in ("gone", "new", "changed")},
        "items": changed[:CHANGED_MAX],
    }


def _partner(one: Incident, others: Sequence[Incident]) -> Incident | None:
    own = set(one.finding_ids)
    shared = [(len(own.intersection(each.finding_ids)), each) for each in others]
    best = max(shared, key=lambda pair: (pair[0], pair[1].id), default=(0, one))
    return best[1] if best[0] else None


def _changed(old: Incident | None, new: Incident | None, homes: Mapping[str, str]) -> dict[str, Any] | None:
    """Give the row of an incident that differs, None for one that does not."""
    known = old or new
    assert known is not None
    same = old is not None and new is not None and set(old.finding_ids) == set(new.finding_ids)
    if same and old is not None and new is not None and old.severity is new.severity:
        return None
    kept = next((homes[each] for each in known.finding_ids if homes.get(each)), known.id)
    return {
        "id": kept,
        "title": known.title,
        "services": list(known.services),
        "opened_unix_ns": known.opened_unix_ns,
        "change": "gone" if new is None else "new" if old is None else "changed",
        "severity_before": old.severity.value if old else "",
        "severity_after": new.severity.value if new else "",
        "findings_before": len(old.finding_ids) if old else 0,
        "findings_after": len(new.finding_ids) if new else 0,
    }
