"""The words of log findings: title, why it is more than noise, what was expected and seen.

Enters: a Judgement and the template's text. Leaves: text and bands, with the numbers in them. Decides nothing but how
much a finding matters, by what was seen.
"""

from __future__ import annotations

from watchkeeper.detect.judgement import Judgement, Kind
from watchkeeper.detect.parts import SEVERITY_ERROR, SEVERITY_FATAL, SEVERITY_WARN, Timing
from watchkeeper.detect.service import UNSEEN_SCORE_MIN
from watchkeeper.signals.finding import Band, FindingSeverity
from watchkeeper.signals.schema import severity_name

TITLE_TEMPLATE_CHARACTERS = 100


def severity_of(judgement: Judgement) -> FindingSeverity:
    """Give how much it matters."""
    ratio = judgement.lines / max(judgement.mean, 0.1)
    if judgement.kind is Kind.ERRORS:
        return FindingSeverity.CRITICAL if judgement.share >= 0.2 or ratio >= 5 else FindingSeverity.WARNING
    if judgement.kind is Kind.UNSEEN and judgement.severity >= SEVERITY_FATAL:
        return FindingSeverity.CRITICAL
    if judgement.kind is Kind.RATE and judgement.severity >= SEVERITY_ERROR:
        return FindingSeverity.CRITICAL if ratio >= 10 else FindingSeverity.WARNING
    if judgement.kind in {Kind.SILENT, Kind.BURST} or judgement.severity >= SEVERITY_WARN:
        return FindingSeverity.WARNING
    return FindingSeverity.INFO


def title(judgement: Judgement, service: str, template: str) -> str:
    """Give one line in plain words."""
    who = service or "a service without a name"
    what = _shortened(template)
    level = f"{severity_name(judgement.severity)} " if judgement.severity and judgement.severity_told else ""
    times = _times(judgement)
    if judgement.confirmed:
        return f"{who} logs again what people confirmed as an anomaly: {level}“{what}”"
    return {
        Kind.UNSEEN: f"{who} logs something it never logged before: {level}“{what}”",
        Kind.PARAMETER: f"{who} logs “{judgement.value}” where it never stood before: {level}“{what}”",
        Kind.RATE: f"{who} logs “{what}” {times}",
        Kind.STOPPED: f"{who} no longer logs “{what}”",
        Kind.ERRORS: f"{who} logs errors {times}",
        Kind.BURST: f"{who} logs warnings {times}",
        Kind.SILENT: f"{who} has gone silent",
    }[judgement.kind]


def why(judgement: Judgement, timing: Timing) -> str:
    """Say why this is more than noise, with the numbers."""
    window, odds = f"{timing.window_s:g} s", _odds(judgement.score)
    span = f"{timing.window_s * judgement.span:g} s"
    learned = f"learned from {_count(judgement.windows, 'window')} of {window}"
    if judgement.confirmed:
        return (
            "People confirmed this form as an anomaly. So it is not learned as normal, and is told whenever it comes "
            f"again, with the surprise it had then: {judgement.score:.1f}."
        )
    if judgement.kind is Kind.UNSEEN:
        return (
            f"None of the {_count(judgement.learned_lines, 'line')} before it had this form. New forms of this "
            f"severity are due here once in {_duration(1 / max(judgement.mean, 1e-9))}; with what its severity adds, "
            f"the surprise is {judgement.score:.1f} ({UNSEEN_SCORE_MIN:g} is the least that is told)."
        )
    if judgement.kind is Kind.PARAMETER:
        return (
            f"{_count(judgement.learned_lines, 'sampled line')} of this form before it had "
            f"{_listed(judgement.known)} at this place and nothing else. Now “{judgement.value}” was in "
            f"{_count(judgement.lines, 'sampled line')}, in more than one window of {window}."
        )
    if judgement.kind in {Kind.STOPPED, Kind.SILENT}:
        return (
            f"About {judgement.mean:.0f} lines were due by now at {judgement.upper:.1f} in {window} ({learned}), "
            f"and none came. By chance that happens {odds}."
        )
    share = (
        f" Their share of the service's lines went from {judgement.share_expected:.1%} to {judgement.share:.1%}."
        if judgement.template_id is None
        else ""
    )
    return (
        f"{_count(judgement.lines, 'line')} in {span} where {judgement.mean:.1f} are usual and {judgement.upper:.0f} "
        f"the end of the band ({learned}, and allowing for the traffic of the window). By chance that happens {odds}."
        f"{share}"
    )


def expected(judgement: Judgement, timing: Timing) -> Band:
    """Give what was expected: in words of the windows judged together, in numbers of one, as the series has them."""
    unit = f"lines/{timing.window_s:g}s"
    if judgement.kind is Kind.UNSEEN:
        return Band("no line of this form", 0.0, 0.0, unit)
    if judgement.kind is Kind.PARAMETER:
        return Band(_listed(judgement.known), 0.0, 0.0, "lines")
    if judgement.kind in {Kind.STOPPED, Kind.SILENT}:
        return Band(f"about {judgement.upper:.1f} lines in {timing.window_s:g} s", 0.0, None, unit)
    text = f"{judgement.mean:.1f}, at most {judgement.upper:.0f} lines in {timing.window_s * judgement.span:g} s"
    return Band(text, 0.0, round(judgement.upper_window, 3), unit)


def seen(judgement: Judgement, lines: int, peak: int, timing: Timing) -> Band:
    """Give what was seen: `lines` in all, `peak` in the fullest window."""
    unit = f"lines/{timing.window_s:g}s"
    if judgement.kind in {Kind.STOPPED, Kind.SILENT}:
        return Band(f"none for {(judgement.last_ns - judgement.first_ns) / 1e9:g} s", 0.0, 0.0, unit)
    if judgement.kind is Kind.PARAMETER:
        text = f"“{judgement.value}” in {_count(lines, 'sampled line')}"
        return Band(text, float(lines), float(lines), "lines")
    if judgement.kind is Kind.UNSEEN:
        return Band(_count(lines, "line"), float(lines), float(lines), "lines")
    text = f"{_count(judgement.lines, 'line')} in {timing.window_s * judgement.span:g} s"
    return Band(text, None, float(peak), unit)


def _times(judgement: Judgement) -> str:
    ratio = judgement.lines / max(judgement.mean, 1e-9)
    if judgement.mean < 0.5 or ratio > 1000:
        return "where hardly any are usual"
    return f"{ratio:.1f} times as often as usual"


def _shortened(template: str) -> str:
    one_line = " ".join(template.split())
    cut = TITLE_TEMPLATE_CHARACTERS
    return one_line if len(one_line) <= cut else one_line[: cut - 1] + "…"


def _listed(values: tuple[str, ...]) -> str:
    quoted = [f"“{value}”" for value in values]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"


def _odds(score: float) -> str:
    return f"less than once in 10^{score:.0f} windows" if score < 100 else "practically never"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _duration(seconds: float) -> str:
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"
