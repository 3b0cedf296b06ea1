"""Values at the places of a template where only few ever stand, such as status codes, hosts and versions.

Enters: each service's part of a batch and the bodies. Leaves: a judgement for a value that was never seen at its place
before. A bounded sample of lines is looked at: at most SAMPLES_PER_WINDOW of a template in a window and one in
ROWS_PER_SAMPLE of a batch, so what comes in a small share of the lines is found late or not at all. Places with many
values, or with times of day, are left alone for good; a template that has only such costs nothing more.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from watchkeeper.detect.judgement import Judgement, Kind
from watchkeeper.detect.parts import Part, Timing

VALUES_MAX, VALUE_CHARACTERS_MAX, POSITIONS_MAX = 8, 64, 16
TEMPLATES_MAX = 2_000
LOOKS_PER_BATCH, SAMPLES_PER_WINDOW, SAMPLES_MIN, ROWS_PER_SAMPLE = 64, 8, 4, 500
LINE_CHARACTERS_MAX = 512
LEARNED_S_MIN, SCORE_MIN = 600.0, 2.8
LINES_TO_TELL, WINDOWS_TO_TELL, SUSPECT_WINDOWS = 3, 2, 6
TOLD_S = 1800.0
NEAR, NEAR_SHARE = 2.0, 0.15

_NUMBER = re.compile(r"([-+]?\d+(?:\.\d+)?)\s?[a-zA-Zµ%]{0,3}")
_CLOCK = re.compile(r"\d:\d\d|\d{4}[-/.]\d\d?[-/.]\d|\d\d?[-/.]\d\d?[-/.]\d{4}")


@dataclass(slots=True)
class Newcomer:
    """A value that was not known: its sampled lines and the windows in which they were."""

    first_ns: int
    first_window: int
    last_window: int
    lines: int = 0
    windows: int = 1
    told: bool = False


@dataclass(slots=True)
class Position:
    """What stands at one `<*>` of a template.

    samples: lines looked at. since: those after the newest value. late: values that came after learning.
    """

    values: list[str] = field(default_factory=list)
    samples: int = 0
    since: int = 0
    late: int = 0
    newcomers: dict[str, Newcomer] = field(default_factory=dict)

    def score(self) -> float:
        """Give -log10 of the chance that a sampled line brings a new value; >= 0."""
        return max(0.0, -math.log10((self.late + 0.5) / (self.since + 1)))

    def learn(self, value: str, *, late: bool) -> None:
        """Take a value as usual here."""
        self.samples += 1
        if value in self.values:
            self.since += 1
            return
        self.values.append(value)
        self.since = 0
        self.late += late

    def is_near(self, value: str) -> bool:
        """Tell whether a value is a number little off a known one: a measure that drifts, not something else."""
        number = _number(value)
        if number is None:
            return False
        reach = max(NEAR, NEAR_SHARE * abs(number))
        return any(abs(number - known) <= reach for known in map(_number, self.values) if known is not None)


@dataclass(slots=True)
class Places:
    """A template's positions, None for those that are left alone, and the lines sampled in the window at hand."""

    first_ns: int
    window: int
    positions: list[Position | None] | None = None
    sampled: int = 0

    def idle(self) -> bool:
        """Tell whether there is nothing to watch."""
        return self.positions is not None and not any(self.positions)


class ParameterWatch:
    """See the module. parameters: gives what stands at each `<*>` of a line, in order.

    Memory: TEMPLATES_MAX templates of a service, the least recently seen forgotten first, each of POSITIONS_MAX places
    of VALUES_MAX values of VALUE_CHARACTERS_MAX at the most. Cost: at most 0.3 microseconds a line in large batches.
    """

    def __init__(self, parameters: Callable[[str], list[str]], timing: Timing) -> None:
        self._parameters = parameters
        self._timing = timing
        self._places: OrderedDict[tuple[str, int], Places] = OrderedDict()

    def take(self, service: str, part: Part, bodies: pa.Array) -> list[Judgement]:
        """Judge a sample of the part, then learn it. bodies: of the batch, by `part.rows`."""
        count = len(part.rows)
        left = max(SAMPLES_MIN, count // ROWS_PER_SAMPLE)
        looks = np.unique(np.linspace(0, count - 1, min(count, LOOKS_PER_BATCH)).astype(np.int64))
        found: list[Judgement] = []
        for place, template in zip(looks.tolist(), part.templates[looks].tolist(), strict=True):
            time_ns = int(part.times[place])
            places = self._wanted(service, template, time_ns)
            if places is None:
                continue
            places.sampled += 1
            row = int(part.rows[place])
            values = self._parameters((bodies[row].as_py() or "")[:LINE_CHARACTERS_MAX])
            severity = int(part.severities[place])
            found += self._judge(template, places, values, time_ns, severity, row)
            left -= 1
            if not left:
                break
        return found

    def _wanted(self, service: str, template: int, time_ns: int) -> Places | None:
        """Give the places of a template when another of its lines is wanted in this window."""
        key = (service, template)
        places = self._places.get(key)
        window = time_ns // self._timing.window_ns
        if places is None:
            places = self._places[key] = Places(time_ns, window)
            if len(self._places) > TEMPLATES_MAX:
                self._places.popitem(last=False)
        self._places.move_to_end(key)
        if window > places.window:
            places.window, places.sampled = window, 0
        return None if places.idle() or places.sampled >= SAMPLES_PER_WINDOW else places

    def _judge(
        self, template: int, places: Places, values: list[str], time_ns: int, severity: int, row: int
    ) -> list[Judgement]:
        if places.positions is None:
            places.positions = [Position() for _ in values[:POSITIONS_MAX]]
        found = []
        learned_s = (time_ns - places.first_ns) / 1e9
        watched = learned_s >= max(LEARNED_S_MIN, self._timing.warmup_s)
        for number, (position, value) in enumerate(zip(places.positions, values, strict=False)):
            if position is None:
                continue
            if len(value) > VALUE_CHARACTERS_MAX or _CLOCK.search(value):
                places.positions[number] = None
                continue
            self._expire(position, places.window)
            if self._is_usual(position, value, watched=watched):
                position.learn(value, late=watched)
            else:
                newcomer = self._count(position, value, time_ns, places.window)
                if newcomer.told:
                    told = self._told(template, number, position, value, newcomer, places, time_ns)
                    found.append(told._replace(severity=severity, rows=np.array([row])))
            if len(position.values) + len(position.newcomers) > VALUES_MAX:
                places.positions[number] = None
        return found

    def _is_usual(self, position: Position, value: str, *, watched: bool) -> bool:
        if value in position.newcomers:
            return False
        return value in position.values or not watched or position.score() < SCORE_MIN or position.is_near(value)

    def _expire(self, position: Position, window: int) -> None:
        """Learn the newcomers that did not come often enough to be told, and those that have been told for long."""
        if not position.newcomers:
            return
        told_windows = TOLD_S / self._timing.window_s
        for value, one in list(position.newcomers.items()):
            limit = told_windows if one.told else SUSPECT_WINDOWS
            if window - one.first_window >= limit:
                del position.newcomers[value]
                position.learn(value, late=True)

    def _count(self, position: Position, value: str, time_ns: int, window: int) -> Newcomer:
        newcomer = position.newcomers.get(value)
        if newcomer is None:
            newcomer = position.newcomers[value] = Newcomer(time_ns, window, window)
        if window > newcomer.last_window:
            newcomer.last_window = window
            newcomer.windows += 1
        newcomer.lines += 1
        newcomer.told |= newcomer.lines >= LINES_TO_TELL and newcomer.windows >= WINDOWS_TO_TELL
        return newcomer

    def _told(
        self,
        template: int,
        number: int,
        position: Position,
        value: str,
        newcomer: Newcomer,
        places: Places,
        time_ns: int,
    ) -> Judgement:
        return Judgement(
            Kind.PARAMETER,
            template,
            -1,
            places.window,
            position.score() * min(newcomer.lines, LINES_TO_TELL),
            newcomer.lines,
            newcomer.first_ns,
            time_ns,
            mean=float(len(position.values)),
            position=number,
            value=value,
            known=tuple(sorted(position.values)),
            windows=int((newcomer.first_ns - places.first_ns) // self._timing.window_ns),
            learned_lines=position.samples,
            learned_from_ns=places.first_ns,
            each=((newcomer.first_window, newcomer.lines),),
        )

    # -- state ----------------------------------------------------------------------------------------------------

    def as_list(self) -> list[dict[str, Any]]:
        """Give plain data to save; what is only suspected is not kept."""
        return [
            {
                "service": service,
                "template": template,
                "first_ns": places.first_ns,
                "window": places.window,
                "positions": None if places.positions is None else [_saved(one) for one in places.positions],
            }
            for (service, template), places in self._places.items()
        ]

    def take_up(self, saved: Iterable[dict[str, Any]]) -> None:
        """Take up what `as_list` gave; raises KeyError, TypeError or ValueError when it does not fit."""
        self._places.clear()
        for item in saved:
            told = item["positions"]
            positions = None if told is None else [_restored(one) for one in told]
            places = Places(int(item["first_ns"]), int(item["window"]), positions, SAMPLES_PER_WINDOW)
            self._places[str(item["service"]), int(item["template"])] = places


def _number(value: str) -> float | None:
    """Give the number that a value is, with a unit or without."""
    match = _NUMBER.fullmatch(value)
    return float(match[1]) if match else None


def _saved(position: Position | None) -> dict[str, Any] | None:
    if position is None:
        return None
    told = [value for value, one in position.newcomers.items() if one.told]
    late = position.late + len(told)
    return {"values": [*position.values, *told], "samples": position.samples, "since": position.since, "late": late}


def _restored(saved: dict[str, Any] | None) -> Position | None:
    if saved is None:
        return None
    values = [str(value) for value in saved["values"]]
    return Position(values, int(saved["samples"]), int(saved["since"]), int(saved["late"]))
