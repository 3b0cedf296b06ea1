"""Incidents, previews and diagnoses as text for terminals. Pure functions; what telemetry carries is made harmless."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from watchkeeper.cli.output import STATES, paint, table
from watchkeeper.cli.text import clock_text, duration_text, safe

TIMELINE_SHOWN = 40
CAUSES_SHOWN = 5
_STATES = {**STATES, "acknowledged": "yellow", "resolved": "bright_black", "merged": "bright_black"}
_VERDICTS = {"supported": "red", "possible": "yellow", "refuted": "bright_black"}


def incident_row(item: dict[str, Any]) -> str:
    """Write an incident as one line."""
    severity, state = str(item["severity"]), str(item["state"])
    cause = item.get("cause")
    return (
        f"{paint(str(item['id']), None, bold=True)} {clock_text(int(item['first_unix_ns']))} "
        f"{paint(severity.ljust(8), _STATES.get(severity))} {paint(state.ljust(12), _STATES.get(state))} "
        f"{safe(str(item['title']))}"
        + (f"  (reopened {item['reopened']}x)" if item["reopened"] else "")
        + (f"  cause: {safe(cause['node'])} {cause['confidence']:.0%}" if cause else "")
    )


def incident_lines(item: dict[str, Any]) -> list[str]:
    """Lay one incident out in full."""
    first, last = int(item["first_unix_ns"]), int(item["last_unix_ns"])
    severity = str(item["severity"])
    state = str(item["state"])
    if item["merged_into"]:
        state += f" into {item['merged_into']}"
    elif item["acknowledged_by"] and state == "acknowledged":
        state += f" by {safe(item['acknowledged_by'])}"
    elif item["resolved_by"]:
        state += f" by {safe(item['resolved_by'])}"
    cause = item.get("cause")
    lines = [
        paint(safe(str(item["title"])), _STATES.get(severity), bold=True),
        f"  {severity}, {state}; id {item['id']}",
        f"  when      {clock_text(first)} to {clock_text(last)}, {duration_text(last - first)}",
        f"  impact    {safe(str(item['impact']))}",
        f"  nodes     {safe(', '.join(item['nodes']))}",
        f"  findings  {int(item['findings_count']):,}"
        + (f", reopened {item['reopened']} times" if item["reopened"] else ""),
        "  cause     "
        + (f"{safe(cause['node'])}, {cause['confidence']:.0%} sure" if cause else "none found")
        + f"  (watchkeeper explain {item['id']})",
        "  timeline",
    ]
    timeline = item["timeline"]
    if len(timeline) > TIMELINE_SHOWN:
        lines.append(f"    … {len(timeline) - TIMELINE_SHOWN} earlier entries; --json shows all")
    for entry in timeline[-TIMELINE_SHOWN:]:
        count = f"  x{entry['count']:,}" if entry["count"] > 1 else ""
        by = f"  ({safe(entry['by'])})" if entry["by"] != "watchkeeper" else ""
        lines.append(
            f"    {clock_text(int(entry['time_unix_ns']))}  {entry['kind'].ljust(12)} {safe(entry['text'])}{count}{by}"
        )
    return lines


def preview_lines(answer: dict[str, Any]) -> list[str]:
    """Lay a preview out: the number, by severity and day, beside the settings in force."""
    present = answer["present"]
    what = ", ".join(f"{name}={value}" for name, value in answer["settings"].items()) or "the settings in force"
    span = f"{clock_text(int(answer['from_unix_ns']))} to {clock_text(int(answer['to_unix_ns']))}"
    lines = [
        f"With {safe(what)} there would have been {answer['incidents']} incidents from {span}, "
        f"out of {answer['findings']:,} findings; with the settings in force {present['incidents']}."
    ]
    if answer["truncated"]:
        lines.append("There are more findings in that time; only the latest were taken.")
    severities = [(name, count, present["by_severity"][name]) for name, count in answer["by_severity"].items()]
    lines += table(("severity", "preview", "in force"), severities, right=(1, 2))
    mine = {each["day_unix_ns"]: each["incidents"] for each in answer["per_day"]}
    theirs = {each["day_unix_ns"]: each["incidents"] for each in present["per_day"]}
    days = [
        (clock_text(int(day), zone_local=False)[:10], mine.get(day, 0), theirs.get(day, 0))
        for day in _days(mine, theirs)
    ]
    if days:
        lines += ["", *table(("day (UTC)", "preview", "in force"), days, right=(1, 2)), ""]
    for each in answer["examples"][:5]:
        lines.append(f"  {clock_text(int(each['opened_unix_ns']))} {each['severity'].ljust(8)} {safe(each['title'])}")
    return lines


def diagnosis_lines(incident: dict[str, Any], diagnosis: dict[str, Any]) -> list[str]:
    """Lay a diagnosis out: ranked causes with what speaks for and against, what was ruled out, the category."""
    ranking = diagnosis.get("ranking") or {}
    lines = [paint(safe(str(incident["title"])), _STATES.get(str(incident["severity"])), bold=True)]
    if ranking.get("abstains"):
        lines.append(f"  No cause is named: {safe(str(ranking.get('why') or 'the evidence is thin'))}")
        lines += [f"    missing: {safe(str(each))}" for each in ranking.get("missing") or ()]
    for number, cause in enumerate((ranking.get("causes") or [])[:CAUSES_SHOWN], 1):
        lines += _cause_lines(number, cause)
    ruled_out = ranking.get("ruled_out") or []
    if ruled_out:
        lines.append("  ruled out")
        lines += [f"    {safe(str(node))}: {safe(str(reason))}" for node, reason in ruled_out]
    classification = diagnosis.get("classification") or {}
    if classification.get("category"):
        share = (classification.get("probabilities") or {}).get(classification["category"])
        lines.append(
            f"  category  {safe(str(classification['category']))}" + (f", {share:.0%}" if share is not None else "")
        )
        lines += [f"    {safe(str(each))}" for each in classification.get("why") or ()]
    return lines


def _cause_lines(number: int, cause: dict[str, Any]) -> list[str]:
    verdict = str(cause.get("verdict") or "possible")
    lines = [
        f"  {number}. {paint(safe(str(cause['node'])), _VERDICTS.get(verdict), bold=True)}  "
        f"{float(cause.get('confidence') or 0):.0%} sure, {verdict}"
    ]
    if cause.get("why"):
        lines.append(f"     {safe(str(cause['why']))}")
    lines += [
        f"     {indicator['kind'].replace('_', ' ')}: {safe(str(indicator['name']))}"
        for indicator in (cause.get("indicators") or [])[:3]
    ]
    for sign, name in (("+", "evidence_for"), ("-", "evidence_against")):
        lines += [f"     {sign} [{safe(str(each['id']))}] {safe(str(each['text']))}" for each in cause.get(name) or ()]
    return lines


def _days(*counts: dict[str, int]) -> Iterable[str]:
    return sorted({day for each in counts for day in each}, key=int)
