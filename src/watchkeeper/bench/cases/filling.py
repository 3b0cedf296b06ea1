"""What is true of recorded memories that fill up: which service's, from when to when, what was drawn for it.

Enters: a folder made by `watchkeeper bench record --capacity`: a Watchkeeper's home beside a file of labels. Leaves:
the courses that were drawn. Reads no telemetry. Times are Unix nanoseconds of the machine that recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from watchkeeper.bench.base import BenchError
from watchkeeper.bench.cases.recording import FILLING, LABELS_FILE, Span
from watchkeeper.bench.whole import write_whole

SCHEMA_VERSION = 1
KIND = "filling"
FILLS, STOPS, CALM = "fills", "stops", "calm"
"""What a memory does: grow until it is over its limit, grow and stop below it, or neither."""


@dataclass(frozen=True)
class MemoryCourse:
    """The memory of one service in one round. shape: FILLS, STOPS or CALM; a course ends with its round in any case.

    bytes_per_s, bytes_max: how fast it grows, and how far above what it held; 0 where it is left alone.
    """

    service: str
    round: int
    shape: str
    begin_unix_ns: int
    end_unix_ns: int
    bytes_per_s: float = 0.0
    bytes_max: float = 0.0

    @property
    def id(self) -> str:
        """Give a name that no other course of the recording has."""
        return f"{self.service} #{self.round}"

    @property
    def span(self) -> Span:
        """Give when it was."""
        return Span(self.begin_unix_ns, self.end_unix_ns)


@dataclass(frozen=True)
class MemoryCourses:
    """All of a recording. above_bytes: the limit of each memory, above what it held when its course began."""

    courses: tuple[MemoryCourse, ...]
    above_bytes: float
    round_s: float
    made_by: Mapping[str, Any] = field(default_factory=dict)


def write_courses(folder: Path, told: MemoryCourses) -> None:
    """Write the file of labels, whole or not at all."""
    content = {**asdict(told), "kind": KIND, "schema_version": SCHEMA_VERSION}
    write_whole(folder / LABELS_FILE, orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n")


def read_courses(folder: Path) -> MemoryCourses:
    """Read the file of labels; raises BenchError when there is none or it cannot be understood."""
    path = folder / LABELS_FILE
    try:
        told = orjson.loads(path.read_bytes())
        if told.get("kind") != KIND or told["schema_version"] != SCHEMA_VERSION:
            raise BenchError(
                f"{path} holds no memories that fill up of the schema version {SCHEMA_VERSION}; they are recorded by "
                f"`watchkeeper bench record --capacity` into {FILLING}"
            )
        courses = tuple(MemoryCourse(**each) for each in told["courses"])
        read = MemoryCourses(courses, float(told["above_bytes"]), float(told["round_s"]), told["made_by"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BenchError(f"{path} cannot be read: {type(error).__name__}: {error}; record it anew") from error
    if not courses or any(each.begin_unix_ns >= each.end_unix_ns for each in courses):
        raise BenchError(f"{path} tells of no course, or of one that ends before it begins; record it anew")
    return read
