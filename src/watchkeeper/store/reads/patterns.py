"""Log patterns for pages: how often, since when and where each template was seen in a range, with example lines.

Enters: a LogFilter and a store; template texts come from the caller, who has the miner. Leaves: Patterns of
docs/api.md. Counting happens in SQL on `template_id`; nothing is mined here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

from watchkeeper.patterns.base import Template
from watchkeeper.signals.schema import severity_name
from watchkeeper.store.reads.base import Queryable, TimeRange, filled, rows
from watchkeeper.store.reads.logs import LogFilter

SPARKLINE_BUCKETS = 30
EXAMPLES_MAX = 20
SAMPLE_LINES = 200
VALUES_MAX = 10
SORTS = {
    "count": "n DESC, last_unix_ns DESC, template_id",
    "recent": "last_unix_ns DESC, n DESC, template_id",
    "rare": "n ASC, last_unix_ns DESC, template_id",
}

TemplateLookup = Callable[[int], Template | None]


def list_patterns(
    store: Queryable, log_filter: LogFilter, within: TimeRange, lookup: TemplateLookup, *, sort: str, limit: int
) -> list[dict[str, Any]]:
    """Give the patterns of the matching lines; `sort` is a key of SORTS. Lines not yet mined are in no pattern."""
    condition = log_filter.condition
    found = rows(
        store,
        f"""SELECT template_id, count(*) AS n, min(time_unix_ns) AS first_unix_ns, max(time_unix_ns) AS last_unix_ns,
                   max(severity_number) AS severity_number, list(DISTINCT service) AS services,
                   arg_max(body, time_unix_ns) AS example
            FROM logs WHERE time_unix_ns >= ? AND time_unix_ns < ? AND template_id IS NOT NULL AND {condition.sql}
            GROUP BY template_id ORDER BY {SORTS[sort]} LIMIT ?""",
        [*within, *condition.parameters, limit],
        within=within,
    )
    sparklines = _sparklines(store, log_filter, within, [row["template_id"] for row in found])
    return [_pattern(row, sparklines[row["template_id"]], lookup(row["template_id"])) for row in found]


def one_pattern(store: Queryable, template_id: int, within: TimeRange, lookup: TemplateLookup) -> dict[str, Any] | None:
    """Give one pattern with up to 20 different lines and the values at each `<*>`; None when it is not known.

    What the miner remembers stands in where the range holds no line of it.
    """
    log_filter = LogFilter(template_id=template_id)
    template = lookup(template_id)
    found = list_patterns(store, log_filter, within, lookup, sort="count", limit=1)
    if not found and template is None:
        return None
    pattern = found[0] if found else _remembered(template_id, template)
    newest = rows(
        store,
        """SELECT body FROM logs WHERE time_unix_ns >= ? AND time_unix_ns < ? AND template_id = ?
           ORDER BY time_unix_ns DESC LIMIT ?""",
        [*within, template_id, SAMPLE_LINES],
        within=within,
    )
    lines = [row["body"] or "" for row in newest]
    examples = list(dict.fromkeys([*lines, *pattern["examples"]]))[:EXAMPLES_MAX]
    return {**pattern, "examples": examples, "parameters": parameter_values(pattern["template"], lines or examples)}


def parameter_values(template: str, lines: list[str]) -> list[dict[str, Any]]:
    """Tell what stands at each `<*>` of a template in the lines that fit it, the most frequent first.

    >>> parameter_values("user <*> in", ["user ann in", "user bob in", "user ann in"])
    [{'position': 0, 'distinct': 2, 'values': [{'value': 'ann', 'count': 2}, {'value': 'bob', 'count': 1}]}]
    """
    columns: list[Counter[str]] = []
    for line in lines:
        values = _parameters(template, line)
        if values is None:
            continue
        columns = columns or [Counter() for _ in values]
        for counter, value in zip(columns, values, strict=True):
            counter[value] += 1
    return [
        {
            "position": position,
            "distinct": len(counter),
            "values": [{"value": value, "count": count} for value, count in counter.most_common(VALUES_MAX)],
        }
        for position, counter in enumerate(columns)
    ]


def _parameters(template: str, line: str) -> list[str] | None:
    """Cut a line at the constant parts of its template, in one pass; None when it does not fit."""
    first, *rest = template.split("<*>")
    if not rest or not line.startswith(first):
        return None
    values: list[str] = []
    at = len(first)
    for constant in rest[:-1]:
        end = line.find(constant, at) if constant else at
        if end < 0:
            return None
        values.append(line[at:end])
        at = end + len(constant)
    last = rest[-1]
    end = len(line) - len(last)
    if end < at or not line.endswith(last):
        return None
    return [*values, line[at:end]]


def _sparklines(
    store: Queryable, log_filter: LogFilter, within: TimeRange, template_ids: list[int]
) -> dict[int, list[int]]:
    counts: defaultdict[int, dict[int, int]] = defaultdict(dict)
    if template_ids:
        step_ns = -(-within.width_ns // SPARKLINE_BUCKETS)
        condition = log_filter.condition
        found = rows(
            store,
            f"""SELECT template_id, (time_unix_ns - ?) // ? AS bucket, count(*) AS n FROM logs
                WHERE time_unix_ns >= ? AND time_unix_ns < ? AND template_id IN ({", ".join("?" * len(template_ids))})
                  AND {condition.sql} GROUP BY ALL""",
            [within.from_unix_ns, step_ns, *within, *template_ids, *condition.parameters],
            within=within,
        )
        for row in found:
            counts[row["template_id"]][row["bucket"]] = row["n"]
    return {template_id: filled(counts[template_id], SPARKLINE_BUCKETS) for template_id in template_ids}


def _pattern(row: dict[str, Any], sparkline: list[int], template: Template | None) -> dict[str, Any]:
    example = row["example"] or ""
    return {
        "template_id": str(row["template_id"]),
        "template": template.text if template else example,
        "count": row["n"],
        "first_unix_ns": str(row["first_unix_ns"]),
        "last_unix_ns": str(row["last_unix_ns"]),
        "services": sorted(service for service in row["services"] if service),
        "severity": severity_name(row["severity_number"] or 0),
        "sparkline": sparkline,
        "examples": list(template.examples) if template and template.examples else [example],
    }


def _remembered(template_id: int, template: Template | None) -> dict[str, Any]:
    assert template is not None
    return {
        "template_id": str(template_id),
        "template": template.text,
        "count": 0,
        "first_unix_ns": str(template.first_unix_ns),
        "last_unix_ns": str(template.last_unix_ns),
        "services": [],
        "severity": severity_name(0),
        "sparkline": [0] * SPARKLINE_BUCKETS,
        "examples": list(template.examples),
    }
