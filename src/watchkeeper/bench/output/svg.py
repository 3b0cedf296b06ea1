"""Plots as SVG text: points and lines on two axes, one of them logarithmic where that helps.

Enters: named series of (x, y). Leaves: an SVG element that stands by itself and takes its colours from the page. Draws
nothing when there are no points.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from watchkeeper.bench.output.words import number

Points = Sequence[tuple[float, float]]
WIDTH, HEIGHT = 460, 280
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 44
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#a6761d")
"""Distinguishable also by most who do not see all colours (Okabe and Ito, "Color Universal Design", 2008)."""
LEGEND_COLUMNS, LEGEND_ROW = 2, 16
MARKS = ("circle", "square", "diamond", "triangle")


class Axis(NamedTuple):
    """A title and limits; `log` spaces powers of ten evenly."""

    title: str
    low: float
    high: float
    log: bool = False

    def at(self, value: float) -> float:
        """Give the place of a value, 0..1."""
        low, high, value = (self._scaled(each) for each in (self.low, self.high, value))
        return (value - low) / (high - low) if high > low else 0.5

    def ticks(self) -> list[float]:
        """Give the values to mark."""
        if self.log:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            every = max(1, (last - first) // 5)
            return [10.0**each for each in range(first, last + 1, every) if self.low <= 10.0**each <= self.high]
        step = (self.high - self.low) / 5
        return [self.low + step * each for each in range(6)] if step > 0 else [self.low]

    def _scaled(self, value: float) -> float:
        return math.log10(max(value, 1e-12)) if self.log else value


def plot(series: Mapping[str, Points], x: Axis, y: Axis, *, joined: bool) -> str:
    """Draw series in order; `joined` draws lines, otherwise marks. "" when there is nothing to draw."""
    if not any(series.values()):
        return ""
    head = f'<svg role="img" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">'
    return "".join([head, *_drawn(series, x, y, joined=joined), "</svg>", _legend(list(series))])


def standalone(series: Mapping[str, Points], x: Axis, y: Axis, *, joined: bool) -> str:
    """Draw the same as a file of its own, on white, with the names below; `series` is not empty."""
    names = list(series)
    rows = -(-len(names) // LEGEND_COLUMNS)
    height = HEIGHT + rows * LEGEND_ROW + 8
    keys = []
    for at, name in enumerate(names):
        left, top = (
            14 + at % LEGEND_COLUMNS * (WIDTH // LEGEND_COLUMNS),
            HEIGHT + 10 + at // LEGEND_COLUMNS * LEGEND_ROW,
        )
        keys.append(_mark(left, top, COLOURS[at % len(COLOURS)], MARKS[at // len(COLOURS) % len(MARKS)], ""))
        keys.append(f'<text x="{left + 10}" y="{top + 4}">{escape(name)}</text>')
    return "".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            'font-family="system-ui, sans-serif" font-size="11" color="#222">',
            f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
            *_drawn(series, x, y, joined=joined),
            *keys,
            "</svg>\n",
        ]
    )


def _drawn(series: Mapping[str, Points], x: Axis, y: Axis, *, joined: bool) -> list[str]:
    parts = [f"<title>{escape(y.title)} against {escape(x.title)}</title>", *_frame(x, y)]
    for place, (name, points) in enumerate(series.items()):
        colour = COLOURS[place % len(COLOURS)]
        label = f"<title>{escape(name)}</title>"
        if joined:
            path = " ".join(f"{_x(x, a):.1f},{_y(y, b):.1f}" for a, b in points)
            dashes = f' stroke-dasharray="{2 + place // len(COLOURS) * 3} 3"' if place >= len(COLOURS) else ""
            parts.append(
                f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"{dashes}>{label}</polyline>'
            )
        for a, b in () if joined else points:
            parts.append(_mark(_x(x, a), _y(y, b), colour, MARKS[place // len(COLOURS) % len(MARKS)], label))
    return parts


def _frame(x: Axis, y: Axis) -> list[str]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = [f'<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="currentColor" opacity=".5"/>']
    parts += [
        f'<text x="{_x(x, value):.1f}" y="{bottom + 14}" text-anchor="middle">{number(value)}</text>'
        for value in x.ticks()
    ]
    parts += [
        f'<text x="{LEFT - 5}" y="{_y(y, value) + 4:.1f}" text-anchor="end">{number(value)}</text>'
        for value in y.ticks()
    ]
    middle = (LEFT + right) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x.title)}</text>')
    parts.append(
        f'<text x="12" y="{(TOP + bottom) / 2}" text-anchor="middle" '
        f'transform="rotate(-90 12 {(TOP + bottom) / 2})">{escape(y.title)}</text>'
    )
    return parts


def _mark(x: float, y: float, colour: str, kind: str, label: str) -> str:
    shapes = {
        "circle": f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{colour}">{label}</circle>',
        "square": f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" fill="{colour}">{label}</rect>',
        "diamond": f'<path d="M{x:.1f} {y - 5:.1f}l5 5l-5 5l-5-5z" fill="{colour}">{label}</path>',
        "triangle": f'<path d="M{x:.1f} {y - 5:.1f}l5 9h-10z" fill="{colour}">{label}</path>',
    }
    return shapes[kind]


def _legend(names: Sequence[str]) -> str:
    keys = []
    for at, name in enumerate(names):
        mark = _mark(6, 6, COLOURS[at % len(COLOURS)], MARKS[at // len(COLOURS) % len(MARKS)], "")
        keys.append(f'<span><svg width="12" height="12">{mark}</svg> {escape(name)}</span>')
    return f'<div class="legend">{"".join(keys)}</div>'


def _x(axis: Axis, value: float) -> float:
    return LEFT + min(max(axis.at(value), 0.0), 1.0) * (WIDTH - LEFT - RIGHT)


def _y(axis: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - min(max(axis.at(value), 0.0), 1.0) * (HEIGHT - TOP - BOTTOM)
