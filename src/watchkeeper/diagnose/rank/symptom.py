"""What the incident is seen by: the aspect and the measure of the symptom, so that like is compared with like.

Enters: an IncidentWindow and its deviations. Leaves: the symptom's aspect, and the deviations of the same measure on
other nodes. Where no finding tells, the symptom's own strongest metric does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from watchkeeper.diagnose.rank.deviation import Deviation, deviations
from watchkeeper.diagnose.window import Aspect, IncidentWindow

FELT = (Aspect.LATENCY, Aspect.ERRORS)
"""The aspects that users feel."""


def told_metric(window: IncidentWindow) -> str:
    """Give the symptom's metric that a finding names, the earliest first; "" when no finding names one."""
    names = {one.name for one in window.series if one.node == window.symptom}
    for finding in sorted(window.findings, key=lambda each: (each.first_unix_ns, each.id)):
        if finding.subject in names and window.symptom in (finding.entity, finding.service):
            return finding.subject
    return ""


def symptom_aspect(window: IncidentWindow, found: Sequence[Deviation]) -> Aspect | None:
    """Give the aspect by which the symptom suffers, None when no symptom is known or it shows nothing."""
    told = told_metric(window)
    for one in window.series:
        if told and one.node == window.symptom and one.name == told:
            return one.aspect
    felt = [one for one in found if one.node == window.symptom and one.series.aspect in FELT and one.z > 0.0]
    return max(felt, key=lambda one: (one.z, one.growth)).series.aspect if felt else None


def of_the_symptom(window: IncidentWindow, found: Sequence[Deviation]) -> list[Deviation]:
    """Give the deviations of the measure that raised the alarm, on any node; all of them when none is told."""
    told = told_metric(window)
    aspect = symptom_aspect(window, found)
    if told:
        return [one for one in found if one.series.name == told]
    return [one for one in found if aspect is None or one.series.aspect is aspect]


def symptom_deviations(window: IncidentWindow) -> list[Deviation]:
    """Give what `of_the_symptom` gives of all deviations, without judging metrics that it would leave out."""
    told = told_metric(window)
    if told:
        return deviations(replace(window, series=tuple(one for one in window.series if one.name == told)))
    return of_the_symptom(window, deviations(window))
