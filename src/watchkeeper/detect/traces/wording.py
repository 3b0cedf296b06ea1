"""The words of findings on traces: titles, reasons, bands, severity.

Enters: a Judgement. Leaves: plain sentences. Computes nothing but what it says.
"""

from __future__ import annotations

from watchkeeper.detect.traces.judgement import Judgement, Kind
from watchkeeper.signals.finding import Band, FindingSeverity

CRITICAL_SHARE = 0.25
CRITICAL_RATIO = 10.0
WARNING_RATIO = 2.0


def quantity(value: float, unit: str) -> str:
    """Write a value with its unit.

    >>> quantity(0.0123, "s"), quantity(2.5, "s"), quantity(0.25, "1"), quantity(3.0, "spans")
    ('12.3 ms', '2.5 s', '25 %', '3 spans')
    """
    if unit == "s":
        return f"{value * 1e3:,.3g} ms" if value < 1 else f"{value:,.3g} s"
    return f"{value * 100:.3g} %" if unit == "1" else f"{value:,.3g} {unit}"


def about(one: Judgement) -> str:
    """Name what a judgement is about."""
    return one.operation or f"calls to {one.callee}"


def title(one: Judgement) -> str:
    """Give the title of a finding."""
    takes = "takes" if one.operation else "take"
    if one.kind is Kind.LATENCY:
        return f"{one.service}: {about(one)} {takes} {quantity(one.seen, 's')} instead of {quantity(one.usual, 's')}"
    if one.kind is Kind.ERRORS:
        return f"{one.service}: {quantity(one.seen, '1')} of {about(one)} fail"
    if one.kind is Kind.THROUGHPUT:
        more = "more" if one.measure == "surge" else "less"
        return f"{one.service}: {one.operation} runs {more} often, {one.count_text} a window"
    if one.kind is Kind.UNSEEN:
        by = f"{one.operation} calls {one.child}" if one.operation else f"{one.child} is called from outside"
        where = f" of {one.callee}" if one.operation and one.callee != one.service else ""
        return f"{one.service}: {by}{where} for the first time"
    if one.kind is Kind.MISSING:
        where = f" of {one.callee}" if one.callee != one.service else ""
        return f"{one.service}: {one.operation} no longer leads to {one.child}{where}"
    return f"{one.service}: calls to {one.callee} take {quantity(one.seen, 's')} beyond its own work"


def why(one: Judgement) -> str:
    """Give the reason in sentences."""
    chance = f"By what was learned, the chance of this is about 1 in 10^{min(one.score, 99):.0f}."
    return " ".join(part for part in (_seen_text(one), chance, _explained(one)) if part)


def _seen_text(one: Judgement) -> str:
    high = quantity(one.high or 0.0, one.unit)
    if one.kind is Kind.LATENCY:
        return (
            f"The {one.measure} of {one.total} spans was {quantity(one.seen, 's')}; from window to window it is "
            f"usually {quantity(one.usual, 's')} and seldom over {high}."
        )
    if one.kind is Kind.ERRORS:
        return f"{one.events} of {one.total} spans failed; usually {quantity(one.usual, '1')} do, at most about {high}."
    if one.kind is Kind.THROUGHPUT:
        return (
            f"{one.count_text} where {one.usual:,.3g} were due, and {one.low or 0:,.3g} to {one.high or 0:,.3g} are "
            "usual; its callers did not change as much."
        )
    if one.kind is Kind.UNSEEN:
        return f"The call was seen in {one.events} traces, and never in the {one.learned_windows} windows before."
    if one.kind is Kind.MISSING:
        return (
            f"{one.events} of {one.total} spans that did not fail lack a child that all but "
            f"{quantity(one.usual, '1')} of them had."
        )
    return (
        f"Beyond the work of {one.callee} a call took {quantity(one.seen, 's')} (median), usually "
        f"{quantity(one.usual, 's')}: this is the network or a queue before the callee, not its work."
    )


def _explained(one: Judgement) -> str:
    if one.explained_by and one.kind is Kind.ERRORS:
        return f"Most of the failures come with a failed call to {one.explained_by}."
    if one.explained_by:
        return f"Most of the added time was spent waiting for {one.explained_by}."
    if one.kind is Kind.LATENCY and one.own_share >= 0 and one.operation:
        return f"{one.own_share * 100:.0f} % of the added time is its own work."
    return ""


def expected(one: Judgement) -> Band:
    """Give the band that was expected."""
    if one.kind is Kind.UNSEEN:
        return Band("never seen", None, 0.0, "traces")
    text = f"usually {quantity(one.usual, one.unit)}"
    return Band(text, one.low, one.high, one.unit)


def seen(one: Judgement) -> Band:
    """Give what was seen."""
    return Band(quantity(one.seen, one.unit), one.seen, one.seen, one.unit)


def severity(one: Judgement) -> FindingSeverity:
    """Grade a judgement: failures by their share, slowness by its factor; what a callee explains is never critical."""
    grade = FindingSeverity.WARNING
    if one.kind is Kind.UNSEEN or (one.kind is Kind.THROUGHPUT and one.measure == "surge"):
        grade = FindingSeverity.INFO
    elif one.kind is Kind.ERRORS and one.seen >= CRITICAL_SHARE:
        grade = FindingSeverity.CRITICAL
    elif one.kind is Kind.LATENCY and one.usual > 0:
        ratio = one.seen / one.usual
        grade = FindingSeverity.CRITICAL if ratio >= CRITICAL_RATIO else grade
        grade = FindingSeverity.INFO if ratio < WARNING_RATIO else grade
    if one.explained_by and grade is FindingSeverity.CRITICAL:
        return FindingSeverity.WARNING
    return grade


def series_text(one: Judgement, window_s: float) -> str:
    """Say what the points to draw are."""
    what = {
        Kind.LATENCY: f"{one.measure} of {about(one)}",
        Kind.ERRORS: f"share of {about(one)} that failed",
        Kind.THROUGHPUT: f"spans of {one.operation}",
        Kind.MISSING: f"share of {one.operation} without {one.child}",
        Kind.GAP: f"median gap of {about(one)}",
    }
    return f"{what.get(one.kind, one.subject)} in windows of {window_s:g} s"
