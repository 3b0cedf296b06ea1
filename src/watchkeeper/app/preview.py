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

EXAMPLES_MAX = 20
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
