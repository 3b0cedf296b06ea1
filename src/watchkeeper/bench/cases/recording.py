"""What is true of a recording: a Watchkeeper's home beside a file of labels, made by `watchkeeper bench record`.

Enters: a folder. Leaves: the faults that were switched on, with time, place and category, and the calm between them.
Reads no telemetry and records nothing. Times are Unix nanoseconds of the machine that recorded; spans are half-open.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from watchkeeper.bench.base import BenchError
from watchkeeper.bench.whole import write_whole

SCHEMA_VERSION = 1
RECORDED = "shop_recorded"
"""The folder in the folder of data sets in which cells look for it."""
FILLING = "shop_filling"
"""The same of memories that fill up (cases/filling.py)."""
LABELS_FILE = "labels.json"
HOME = "home"


class Span(NamedTuple):
    """Half-open: the begin belongs to it, the end does not."""

    begin_unix_ns: int
    end_unix_ns: int


@dataclass(frozen=True)
class Labelled:
    """One fault. name: its kind. round: from 0. service: where it was switched on. nodes: any of them is the cause."""

    name: str
    round: int
    service: str
    category: str
    nodes: tuple[str, ...]
    begin_unix_ns: int
    end_unix_ns: int
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Give a name that no other fault of the recording has."""
        return f"{self.name} at {self.service} #{self.round}"

    @property
    def span(self) -> Span:
        """Give when it was on."""
        return Span(self.begin_unix_ns, self.end_unix_ns)


@dataclass(frozen=True)
class Labels:
    """All that is true. calm: nothing was on, and what was on before had `settle_s` to fade; in order of time."""

    faults: tuple[Labelled, ...]
    calm: tuple[Span, ...]
    settle_s: float
    made_by: Mapping[str, Any] = field(default_factory=dict)

    @property
    def first_calm(self) -> tuple[Span, ...]:
        """Give the calm before the first fault."""
        return tuple(each for each in self.calm if each.end_unix_ns <= self.faults[0].begin_unix_ns)

    @property
    def later_calm(self) -> tuple[Span, ...]:
        """Give the calm after the first fault."""
        return tuple(each for each in self.calm if each.begin_unix_ns >= self.faults[0].begin_unix_ns)


def write_labels(folder: Path, labels: Labels) -> None:
    """Write the file of labels, whole or not at all."""
    told = {**asdict(labels), "schema_version": SCHEMA_VERSION}
    told["calm"] = [each._asdict() for each in labels.calm]
    write_whole(folder / LABELS_FILE, orjson.dumps(told, option=orjson.OPT_INDENT_2) + b"\n")


def read_labels(folder: Path) -> Labels:
    """Read the file of labels; raises BenchError when there is none or it cannot be understood."""
    path = folder / LABELS_FILE
    try:
        told = orjson.loads(path.read_bytes())
        if told["schema_version"] != SCHEMA_VERSION:
            raise BenchError(f"{path} has the schema version {told['schema_version']!r}, known is {SCHEMA_VERSION}")
        faults = tuple(Labelled(**{**each, "nodes": tuple(each["nodes"])}) for each in told["faults"])
        calm = tuple(Span(**each) for each in told["calm"])
        labels = Labels(faults, calm, float(told["settle_s"]), told["made_by"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BenchError(f"{path} cannot be read: {type(error).__name__}: {error}; record it anew") from error
    _hold(path, labels)
    return labels


def _hold(path: Path, labels: Labels) -> None:
    """Raise BenchError unless there is a fault with calm before it, and all is in order of time."""
    if not labels.faults or not labels.first_calm:
        raise BenchError(f"{path} tells of no fault with calm before it; record it anew")
    spans = sorted([*(each.span for each in labels.faults), *labels.calm])
    if any(one.end_unix_ns > other.begin_unix_ns for one, other in pairwise(spans)) or any(
        one.begin_unix_ns >= one.end_unix_ns for one in spans
    ):
        raise BenchError(f"{path} tells of spans that overlap, or that end before they begin; record it anew")


def missing(folder: Path) -> str:
    """Give how to record what is not in the folder, "" when it is there."""
    if (folder / LABELS_FILE).is_file() and (folder / HOME).is_dir():
        return ""
    return f"record it with `watchkeeper bench record{' --capacity' if folder.name == FILLING else ''}`"


def fingerprint(folder: Path) -> str:
    """Give the SHA-256 of the labels, which tells one recording from another; "" when there is none."""
    path = folder / LABELS_FILE
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def within_any(begin_unix_ns: int, width_ns: int, spans: Sequence[Span]) -> bool:
    """Tell whether a window lies wholly in one of some spans."""
    return any(one.begin_unix_ns <= begin_unix_ns and begin_unix_ns + width_ns <= one.end_unix_ns for one in spans)
