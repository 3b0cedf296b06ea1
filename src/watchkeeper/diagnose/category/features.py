"""What an incident looks like, as named counts: the one form in which failures are learned, compared and told.

Enters: an IncidentWindow. Leaves: a mapping of feature to weight, such as `word:refused`, `template:<text>`,
`finding:<kind>`, `metric:memory`, `span:errors_to_dependency`, `change:deploy`. Names of nodes are left out, so that
what was learned of one service holds for another. Judges nothing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from watchkeeper.diagnose.window import Aspect, EventCounts, IncidentWindow, Series

Features = Mapping[str, float]

CHANGE_NEAR_S = 1_800.0
"""A change this long before the onset may have caused it; Google's SRE book puts most outages near a change."""
GAP_FACTOR = 2.0
LEVEL_MIN = 3.0
_NS = 1e9
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]{2,}|[A-Z]{2,}")
_STOP_WORDS = (
    "the an and or of to in on at by is are was were be been for from with as it its that this not no has have had "
    "will may can do does did we you they"
)
_STOP = frozenset(_STOP_WORDS.split())


def words(text: str) -> list[str]:
    """Give the words of a template or a sentence in lower case; CamelCase is split, numbers and masks are left out.

    >>> words("OutOfMemoryError: Java heap space <*> 42")
    ['out', 'memory', 'error', 'java', 'heap', 'space']
    """
    return [word for found in _WORD.findall(text) if (word := found.lower()) not in _STOP]


def features_of(window: IncidentWindow) -> dict[str, float]:
    """Give the features of a window, each > 0; {} when nothing was measured. Cost: one pass over its arrays."""
    found: defaultdict[str, float] = defaultdict(float)
    for text, count in risen_templates(window):
        found[f"template:{text}"] += count
        for word in set(words(text)):
            found[f"word:{word}"] += 1.0
    for finding in window.findings:
        found[f"finding:{finding.kind}"] += 1.0
        if not finding.template:
            for word in set(words(finding.title)):
                found[f"title:{word}"] += 1.0
    for series in window.series:
        if (level := deviation(series, window)) >= LEVEL_MIN and series.aspect is not Aspect.OTHER:
            found[f"metric:{series.aspect.value}"] = max(found[f"metric:{series.aspect.value}"], level)
    for name, weight in span_evidence(window).items():
        found[f"span:{name}"] = weight
    for change in window.changes:
        if near(change.time_unix_ns, window):
            found[f"change:{change.kind}"] += 1.0
    return dict(found)


def sequence_features(events: Sequence[object], *, orders: Sequence[int] = (1,)) -> dict[str, float]:
    """Give the counts of events and of runs of events (n-grams) in one sequence.

    >>> sequence_features([7, 8, 7], orders=(1, 2))
    {'event:7': 2.0, 'event:8': 1.0, 'event:7>8': 1.0, 'event:8>7': 1.0}
    """
    found: defaultdict[str, float] = defaultdict(float)
    for order in orders:
        for start in range(len(events) - order + 1):
            found["event:" + ">".join(str(event) for event in events[start : start + order])] += 1.0
    return dict(found)


def near(time_unix_ns: int, window: IncidentWindow) -> bool:
    """Tell whether something at that time came shortly before the onset, or up to a minute after it."""
    return -60.0 <= (window.onset_unix_ns - time_unix_ns) / _NS <= CHANGE_NEAR_S


def risen_templates(window: IncidentWindow) -> list[tuple[str, float]]:
    """Give (template, how many more in the incident than before at the same length), findings' templates among them."""
    risen: dict[str, float] = {}
    for finding in window.findings:
        if finding.template:
            risen[finding.template] = max(risen.get(finding.template, 0.0), float(max(finding.count, 1)))
    for counts in window.events:
        if counts.kind == "log":
            for text, more in _risen(counts, window):
                risen[text] = max(risen.get(text, 0.0), more)
    return sorted(risen.items(), key=lambda item: (-item[1], item[0]))


def _risen(counts: EventCounts, window: IncidentWindow) -> Iterator[tuple[str, float]]:
    during = (counts.starts_unix_ns >= window.onset_unix_ns) & (counts.starts_unix_ns < window.until_unix_ns)
    before = (counts.starts_unix_ns >= window.baseline_from_unix_ns) & (counts.starts_unix_ns < window.onset_unix_ns)
    if not during.any():
        return
    now = counts.counts[:, during].sum(axis=1)
    scale = during.sum() / before.sum() if before.any() else 0.0
    expected = counts.counts[:, before].sum(axis=1) * scale
    for row in np.flatnonzero(now > expected + 3.0 * np.sqrt(expected + 1.0) * (expected > 0)):
        yield counts.subjects[row], float(now[row] - expected[row])


def deviation(series: Series, window: IncidentWindow) -> float:
    """Give how far the incident's median left the baseline's, in robust deviations; 0 when one of them is missing."""
    before = series.values[
        (series.times_unix_ns >= window.baseline_from_unix_ns) & (series.times_unix_ns < window.onset_unix_ns)
    ]
    during = series.values[
        (series.times_unix_ns >= window.onset_unix_ns) & (series.times_unix_ns < window.until_unix_ns)
    ]
    before, during = before[np.isfinite(before)], during[np.isfinite(during)]
    if len(before) < 3 or not len(during):
        return 0.0
    middle = float(np.median(before))
    spread = 1.4826 * float(np.median(np.abs(before - middle)))
    floor = max(float(before.std()) * 0.25, abs(middle) * 0.01, np.finfo(float).tiny)
    return min(abs(float(np.median(during)) - middle) / max(spread, floor), 100.0)


def span_evidence(window: IncidentWindow) -> dict[str, float]:
    """Give what spans tell: `errors_to_dependency`, `own_errors` (shares), `gap` (a factor, GAP_FACTOR at least)."""
    told: dict[str, float] = {}
    for counts in window.events:
        if counts.kind != "span":
            continue
        during = (counts.starts_unix_ns >= window.onset_unix_ns) & (counts.starts_unix_ns < window.until_unix_ns)
        before = (counts.starts_unix_ns >= window.baseline_from_unix_ns) & (
            counts.starts_unix_ns < window.onset_unix_ns
        )
        calls = counts.counts[:, during].sum(axis=1)
        failed = counts.errors[:, during].sum(axis=1) / np.maximum(calls, 1)
        usual = counts.errors[:, before].sum(axis=1) / np.maximum(counts.counts[:, before].sum(axis=1), 1)
        for row in np.flatnonzero((failed > usual + 0.05) & (calls >= 3)):
            called = bool(counts.callers) and counts.callers[row] not in ("", counts.nodes[row])
            name = "errors_to_dependency" if called else "own_errors"
            told[name] = max(told.get(name, 0.0), float(failed[row] - usual[row]))
    gaps = [gap.during_s / max(gap.before_s, 1e-6) for gap in window.gaps if gap.calls_during >= 3]
    if gaps and max(gaps) >= GAP_FACTOR:
        told["gap"] = min(max(gaps), 100.0)
    return told
