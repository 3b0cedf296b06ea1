"""Records the example shop: calm, then each fault with calm between, as a store and the labels of what was true when.

Enters: an empty folder and what to switch on. Leaves: the home of the Watchkeeper that watched, and the labels, which
are written anew after each fault, so that an interrupted recording is a shorter one. Measures nothing, judges nothing.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from watchkeeper.bench.base import BenchError
from watchkeeper.bench.cases.recording import HOME, LABELS_FILE, Labelled, Labels, Span, write_labels
from watchkeeper.bench.live.programs import Pair, running
from watchkeeper.bench.live.shop import DEPENDENTS, SERVICES, right_nodes
from watchkeeper.bench.machine import commit
from watchkeeper.version import __version__

CATEGORIES = {
    "bad-deploy": "config_or_deploy",
    "error-rate": "application_error",
    "latency": "application_error",
    "cpu-burst": "resource_cpu",
    "memory-leak": "resource_memory",
    "dependency-down": "dependency",
    "queue-jam": "application_error",
}
"""What was truly broken, by docs/categories.md; a program that waits or stops working through a queue is a defect."""

SEALED_S = 10.0
"""What came last is in segments by then, with the templates of its lines."""
LEARNED_WITHIN_S = 240.0
WARMUP_S_MAX = 60.0
STARTED_S = 20.0
"""About how long both programs take to start and to end, for the time left."""


class Course(NamedTuple):
    """How long what lasts, in seconds. settle_s: after a fault's end, neither calm nor faulty."""

    calm_s: float = 300.0
    fault_s: float = 60.0
    rest_s: float = 60.0
    settle_s: float = 15.0


@dataclass(frozen=True)
class Strike:
    """A fault to be switched on."""

    kind: str
    service: str
    round: int


class Told(NamedTuple):
    """How far a recording is: what happens now, and the seconds left of all."""

    what: str
    left_s: float


def record(
    folder: Path,
    course: Course,
    tell: Callable[[Told], None],
    *,
    rounds: int = 1,
    faults: Sequence[str] = (),
    wait: Callable[[float], None] = time.sleep,
) -> Labels:
    """Record into a folder that is empty or not there; gives the labels.

    faults: `KIND` or `KIND@SERVICE`, () for every kind that the shop has. wait: lets seconds pass. Raises BenchError
    when the folder is in use, the shop cannot be started or has no such fault. What ends it early (KeyboardInterrupt)
    leaves the faults that were over, and takes away a home without any.
    """
    _hold(folder, course)
    folder.mkdir(parents=True, exist_ok=True)
    tell(Told("starting Watchkeeper and the shop", _left(course, (len(faults) or len(CATEGORIES)) * rounds)))
    try:
        with running(folder, warmup_s=max(10.0, min(WARMUP_S_MAX, course.calm_s / 2))) as pair:
            try:
                strikes = chosen(pair.control.get("/faults").raise_for_status().json()["kinds"], faults, rounds)
                return _Recording(folder, course, pair, tell, wait).play(strikes)
            except httpx.HTTPError as error:
                raise BenchError(f"the shop or Watchkeeper did not do as asked: {error}") from error
    finally:
        if not (folder / LABELS_FILE).is_file():
            shutil.rmtree(folder / HOME, ignore_errors=True)


def chosen(kinds: Sequence[Mapping[str, Any]], faults: Sequence[str], rounds: int) -> list[Strike]:
    """Give what to switch on, round by round; raises BenchError for a fault that the shop does not have.

    The first round strikes the usual service of each kind, later ones others, each kind another one, so that no place
    stands for a kind; a service named by `KIND@SERVICE` is struck in each round.
    """
    by_name = {str(each["kind"]): each for each in kinds}
    found = []
    for at_round in range(rounds):
        for place, wanted in enumerate(faults or by_name):
            kind, _, service = wanted.partition("@")
            if kind not in by_name or kind not in CATEGORIES:
                raise BenchError(f"the shop has no fault {kind!r}; it has {', '.join(by_name)}")
            fit = [each for each in by_name[kind]["services"] if kind != "dependency-down" or each in DEPENDENTS]
            if service and service not in fit:
                raise BenchError(f"{kind} does not fit {service!r}; it fits {', '.join(fit)}")
            found.append(Strike(kind, service or _turn(fit, at_round, place), at_round))
    return found


def _turn(services: Sequence[str], at_round: int, place: int) -> str:
    others = services[1:]
    return services[0] if not at_round or not others else others[(place + at_round - 1) % len(others)]


def hold_empty(folder: Path) -> None:
    """Raise BenchError unless a folder is empty or not there."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BenchError(f"{folder} is not empty; name another folder, or delete it")


def _hold(folder: Path, course: Course) -> None:
    hold_empty(folder)
    if course.rest_s <= course.settle_s or min(course.calm_s, course.fault_s) <= 0:
        raise BenchError(
            f"the calm between faults ({course.rest_s:g} s) is to be longer than the {course.settle_s:g} s in which a "
            "fault fades, and the first calm and the faults are to last"
        )


def _left(course: Course, strikes: int) -> float:
    return STARTED_S + course.calm_s + SEALED_S + strikes * (course.fault_s + course.rest_s)


class _Recording:
    """One recording while it goes on."""

    def __init__(
        self, folder: Path, course: Course, pair: Pair, tell: Callable[[Told], None], wait: Callable[[float], None]
    ) -> None:
        self._folder, self._course, self._pair = folder, course, pair
        self._tell, self._wait = tell, wait
        self._faults: list[Labelled] = []
        self._calm: list[Span] = []
        self._made_by = {
            "watchkeeper": __version__,
            "commit": commit(),
            "services": list(SERVICES),
            "course": course._asdict(),
        }

    def play(self, strikes: Sequence[Strike]) -> Labels:
        """Go through all of it; gives the labels, which are on disk as well."""
        course = self._course
        self._tell(Told("calm, to learn from", _left(course, len(strikes)) - STARTED_S))
        self._wait(course.settle_s)
        begin, begun_s = time.time_ns(), time.monotonic()
        self._pair.wait_watched(LEARNED_WITHIN_S)
        self._wait(max(0.0, course.calm_s - (time.monotonic() - begun_s)))
        self._calm.append(Span(begin, time.time_ns()))
        for at, strike in enumerate(strikes):
            left_s = _left(course, len(strikes) - at) - STARTED_S - course.calm_s
            self._tell(Told(f"[{at + 1}/{len(strikes)}] {strike.kind} at {strike.service}", left_s))
            self._faults.append(self._strike(strike))
            self._wait(course.settle_s)
            begin = time.time_ns()
            self._wait(course.rest_s - course.settle_s)
            self._calm.append(Span(begin, time.time_ns()))
            labels = Labels(tuple(self._faults), tuple(self._calm), course.settle_s, self._made_by)
            write_labels(self._folder, labels)
        self._tell(Told("the end is written", SEALED_S))
        self._wait(SEALED_S)
        return labels

    def _strike(self, strike: Strike) -> Labelled:
        """Switch a fault on and off; the shop's own word counts for when it was."""
        control, asked = self._pair.control, {"kind": strike.kind, "service": strike.service}
        # Longer than it is to last: it is switched off below, and ends by itself only when this process is gone.
        wish = {**asked, "seconds": self._course.fault_s + 30.0}
        control.post("/faults", json=wish).raise_for_status()
        self._wait(self._course.fault_s)
        (ended,) = control.delete("/faults", params=asked).raise_for_status().json()["ended"]
        return Labelled(
            strike.kind,
            strike.round,
            strike.service,
            CATEGORIES[strike.kind],
            right_nodes(strike.service, ended["parameters"]),
            int(ended["start_unix_ns"]),
            int(ended["end_unix_ns"]),
            ended["parameters"],
        )
