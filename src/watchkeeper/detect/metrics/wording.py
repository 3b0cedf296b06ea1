"""The words of metric findings: title, why, what was expected and seen, and how much it matters.

Enters: what episodes.py knows of the channels of one entity. Leaves: text and bands with the numbers in them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from watchkeeper.signals.aspect import aspect_of
from watchkeeper.signals.finding import Band, FindingSeverity

FALL_IS_BAD = frozenset({"success", "availability", "available", "free", "avail", "idle", "hit"})
NEXT_TO_NOTHING = 1e-3


@dataclass(slots=True)
class Member:
    """One channel of an episode. low, high: what was usual when it began. value: the most unusual seen.

    name: the metric's, with what of it (`p99`, `rate`). heat: mean surprise at its highest. readings: unusual ones.
    learned_s: how long the channel had been watched. step_s: its interval.
    """

    row: int
    name: str
    metric: str
    unit: str
    attributes: str
    aspect: str
    low: float
    high: float
    value: float
    heat: float
    first_ns: int
    last_ns: int
    readings: int
    learned_s: float
    step_s: float

    @property
    def rises(self) -> bool:
        """Tell whether it is above what was usual."""
        return self.value > (self.low + self.high) / 2

    @property
    def is_bad(self) -> bool:
        """Tell whether a move in this direction is bad by what the metric is about."""
        falls_bad = any(word in self.metric.lower() for word in FALL_IS_BAD)
        if self.aspect in {"traffic", "other", "network"} and not falls_bad:
            return True
        return self.rises != falls_bad


def aspect(name: str, channel: str, unit: str) -> str:
    """Give the aspect of a channel: the rate of a histogram is traffic, whatever it measures."""
    return "traffic" if channel == "rate" and aspect_of(name, unit) == "latency" else aspect_of(name, unit)


def severity(member: Member, members: int) -> FindingSeverity:
    """Give how much it matters: whether what users feel got worse, and by how much."""
    if not member.is_bad:
        return FindingSeverity.INFO
    felt = member.aspect in {"latency", "errors"}
    width = max(member.high - member.low, abs(member.high) * 0.05)
    far = max(member.value - member.high, member.low - member.value) > 2.0 * width
    return (
        FindingSeverity.CRITICAL if felt and far and (members > 1 or member.readings >= 3) else FindingSeverity.WARNING
    )


def level_title(entity: str, member: Member, others: int) -> str:
    """Give one line in plain words."""
    where = "above" if member.value > member.high else "below" if member.value < member.low else "off"
    more = f" and {others} more of its metrics {'are' if others > 1 else 'is'} off" if others else ""
    return f"{entity}: {member.name} {amount(member.value, member.unit)}, {where} what is usual{more}"


def level_why(member: Member) -> str:
    """Say why this is more than noise."""
    times = f"{member.readings} readings running" if member.readings > 1 else "once"
    return (
        f"{member.name} {amount(member.value, member.unit)} where {span(member.low, member.high, member.unit)} was "
        f"normal over {duration(member.learned_s)}, {times}. By the series' own past, a deviation like these readings' "
        f"has a chance of 1 in 10^{member.heat:.0f} each."
    )


def flat_title(entity: str, member: Member, others: int) -> str:
    """Give one line in plain words."""
    more = f", and {others} more" if others else ""
    return f"{entity}: {member.name} stands still at {amount(member.value, member.unit)}{more}"


def flat_why(member: Member, run: int, moved: float, longest: int) -> str:
    """Say why a series that stands still is out of the ordinary."""
    return (
        f"{member.name} has been exactly {amount(member.value, member.unit)} for {run} readings "
        f"({duration(run * member.step_s)}). Before, {moved:.0%} of its readings differed from the one before, and it "
        f"never stood still for more than {longest}."
    )


def missing_why(name: str, others: int, quiet_s: float, step_s: float, points: int, gap_s: float) -> str:
    """Say why a series that is no longer sent is out of the ordinary."""
    more = f" So are {others} more series of it." if others else ""
    return (
        f"{name} came every {duration(step_s)} ({points:,} times, never more than {duration(gap_s)} apart) and has "
        f"been missing for {duration(quiet_s)}, while the entity's other metrics still come.{more}"
    )


def joint_why(channels: int, value: float, usual: float, heat: float) -> str:
    """Say why many small deviations are out of the ordinary."""
    return (
        f"No metric is far off by itself, but the {channels} together are: their root mean square deviation is "
        f"{value:.1f} scales where at most {usual:.1f} was usual. By its own past, that has a chance of 1 in "
        f"10^{heat:.0f} a reading."
    )


def joint_scored_why(shares: list[tuple[str, float]], channels: int, score: float, usual: float, days: float) -> str:
    """Say why metrics that are not as expected from their past and from each other are out of the ordinary."""
    named = ", ".join(f"{name} ({share:.0%})" for name, share in shares)
    return (
        f"Its {channels} metrics are not what their own past and each other let expect: the score is {score:.1f}. "
        f"Over {duration(days * 86_400)} it rose above {usual:.1f} no more than once in two days. Most of it comes "
        f"from {named}."
    )


def shown(entity: str) -> str:
    """Give an entity's key as people read it: its most telling parts.

    >>> shown("service=cart|pod=cart-7f|node=n1")
    'cart (cart-7f)'
    """
    parts = dict(part.split("=", 1) for part in entity.split("|") if "=" in part)
    service = parts.get("service", "")
    within = next((parts[name] for name in ("gpu", "pod", "node") if parts.get(name)), "")
    if service and within and within != service:
        return f"{service} ({within})"
    return service or within or entity or "an entity without a name"


def band(low: float, high: float, unit: str) -> Band:
    """Give a range of values."""
    return Band(span(low, high, unit), low, high, unit)


def span(low: float, high: float, unit: str) -> str:
    """Give a range in words; an end that is next to nothing beside the other is none.

    >>> span(2.56e-08, 0.003, "1"), span(0.2, 0.2, "1"), span(-1e-9, 3.0, "s")
    ('0 to 0.003', '0.2', '0 s to 3 s')
    """
    least = NEXT_TO_NOTHING * max(abs(low), abs(high))
    first, last = (amount(end if abs(end) >= least else 0.0, unit) for end in (low, high))
    return first if first == last else f"{first} to {last}"


def amount(value: float, unit: str) -> str:
    """Give a value with its unit as people read it.

    >>> amount(0.0423, "s"), amount(1.5e9, "By"), amount(0.93, "1"), amount(12345.6, "1/s")
    ('42.3 ms', '1.4 GiB', '0.93', '12,346/s')
    """
    if not math.isfinite(value):
        return "nothing"
    if unit in {"s", "ms", "us", "ns"}:
        return _seconds(value * {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}[unit])
    if unit in {"By", "By/s", "bytes"}:
        size, name = abs(value), "B"
        for name in ("B", "KiB", "MiB", "GiB", "TiB"):
            if size < 1024 or name == "TiB":
                break
            size /= 1024
        return f"{math.copysign(size, value):.3g} {name}{'/s' if unit.endswith('/s') else ''}".replace("e+03", "000")
    digits = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    if unit.endswith("/s"):
        return f"{digits}/s" if unit.startswith(("1", "{")) else f"{digits} {unit}"
    return f"{digits} {unit}".strip() if unit not in {"", "1"} and not unit.startswith("{") else digits


def _seconds(value: float) -> str:
    for factor, name in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        if abs(value) * factor >= 1:
            return f"{value * factor:.3g} {name}" if abs(value * factor) < 1000 else f"{value * factor:,.0f} {name}"
    return f"{value * 1e9:.3g} ns" if value else "0 s"


def duration(seconds: float) -> str:
    """Give a length of time in words."""
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"
