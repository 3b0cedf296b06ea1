"""Text for terminals: telemetry made harmless, times, sizes, sparklines, plots. Pure functions.

What telemetry carries is not trusted: `safe` takes the terminal's own language out of it, so that a log line can
neither move the cursor, nor set a title, nor hide what stands beside it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

_BARS = "▁▂▃▄▅▆▇█"
_SECOND_NS = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WARMING_SHOWN_MAX = 10
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def safe(text: str, *, lines: bool = False) -> str:
    """Write control, format and bidirectional characters as visible escapes; line ends as `\\n`, or kept with `lines`.

    >>> safe("ok\\x1b[31mred"), safe("a\\tb")
    ('ok\\\\x1b[31mred', 'a    b')
    """
    if text.isascii() and text.isprintable():
        return text
    out = []
    for character in text:
        if character == "\t":
            out.append("    ")
        elif character == "\n":
            out.append("\n" if lines else "\\n")
        elif unicodedata.category(character) in _HIDDEN:
            code = ord(character)
            out.append(f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}")
        else:
            out.append(character)
    return "".join(out)


def clock_text(unix_ns: int, *, zone_local: bool = True) -> str:
    """Write a moment to the millisecond, in the machine's zone or in UTC."""
    moment = _EPOCH + timedelta(microseconds=unix_ns // 1000)
    if zone_local:
        moment = moment.astimezone()
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}"


def duration_text(duration_ns: int) -> str:
    """Write a duration with its two largest units.

    >>> duration_text(90_061 * 10**9), duration_text(1_500_000), duration_text(-3 * 10**9)
    ('1d 1h', '1.5ms', '-3s')
    """
    if duration_ns < 0:
        return "-" + duration_text(-duration_ns)
    if duration_ns < _SECOND_NS:
        return f"{duration_ns / 1e6:.3g}ms"
    seconds = duration_ns // _SECOND_NS
    parts = []
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])


def bytes_text(count: float) -> str:
    """Write a size in bytes with three digits.

    >>> bytes_text(0), bytes_text(1_234_567)
    ('0 B', '1.18 MiB')
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} TiB"


def warming_lines(learning: Sequence[Mapping[str, Any]]) -> list[str]:
    """Tell how far the services have come that are still learned from, `learning` of the API's Status; the first few.

    >>> warming_lines([{"service": "cart", "state": "warming", "learned_s": 3.2, "needed_s": 600.0, "lines": 40}])
    ['cart: 3 of 600 s, 40 lines']
    """
    warming = [row for row in learning if row["state"] == "warming"]
    lines = [
        f"{safe(str(row['service']))}: {float(row['learned_s']):.0f} of {float(row['needed_s']):.0f} s, "
        f"{int(row['lines']):,} lines"
        for row in warming[:_WARMING_SHOWN_MAX]
    ]
    more = len(warming) - len(lines)
    return [*lines, f"and {more:,} more"] if more else lines


def sparkline(values: Sequence[float]) -> str:
    """Draw counts as one line of bars; 0 is a space, so that quiet and low are told apart.

    >>> sparkline([0, 1, 4, 8])
    ' ▁▄█'
    """
    top = max(values, default=0)
    return "".join(_BARS[min(7, max(0, round(value / top * 8) - 1))] if value > 0 else " " for value in values)


def plot(
    points: Sequence[tuple[int, float]], *, low: float | None, high: float | None, width: int = 72, rows: int = 8
) -> list[str]:
    """Draw a series as text, oldest left, with `low` and `high` (the band expected) across. Empty without points."""
    if not points:
        return []
    ordered = sorted(points)[-width * 8 :]
    columns = _columns([value for _, value in ordered], width)
    known = [value for value in (*columns, low, high) if value is not None]
    bottom, top = min(known), max(known)
    if top == bottom:
        bottom, top = min(bottom, 0.0), max(top, bottom + 1.0)
    step = (top - bottom) / (rows - 1)
    level = [round((value - bottom) / step) for value in columns]
    bounds = {round((bound - bottom) / step) for bound in (low, high) if bound is not None}
    lines = []
    for row in range(rows - 1, -1, -1):
        label = f"{bottom + row * step:>10.4g} "
        full, empty = ("▓", "·") if row in bounds else ("█", " ")
        cells = (full if each >= row and (row or each) else empty for each in level)
        lines.append((label + "│" + "".join(cells)).rstrip())
    first, last = clock_text(ordered[0][0])[11:19], clock_text(ordered[-1][0])[11:19]
    lines.append(" " * 11 + "└" + "─" * len(columns))
    lines.append(" " * 12 + first + last.rjust(max(len(columns) - len(first), len(last) + 1)))
    return lines


def _columns(values: Sequence[float], width: int) -> list[float]:
    """Give at most `width` values: the maximum of each stretch."""
    if len(values) <= width:
        return list(values)
    edges = [round(index * len(values) / width) for index in range(width + 1)]
    return [max(values[start:end]) for start, end in pairwise(edges) if end > start]
