"""What container runtimes wrap around each line: Docker's JSON files and the CRI format of containerd and CRI-O.

Enters: a raw line. Leaves: the line that the program wrote, when and on which stream it wrote it, and whether more of
the same line follows (runtimes cut long lines). Does not read what the program wrote.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import orjson

from watchkeeper.edge.timestamps import FRAGMENTS, Clock, StampReader

_CRI = re.compile(rf"{FRAGMENTS['iso']} (?P<stream>stdout|stderr) (?P<tag>[FP])(?::\S*)? ?(?P<text>.*)", re.ASCII)
_CRI_STAMP = StampReader(_CRI)
_DOCKER_FIELDS = {"log", "stream", "time"}


class Wrapped(NamedTuple):
    """A line taken out of its envelope; `partial` when its end is yet to come."""

    text: str
    time_unix_ns: int
    stream: str
    partial: bool


Envelope = Callable[[str, Clock], Wrapped | None]


def unwrap_cri(line: str, clock: Clock) -> Wrapped | None:
    """Take a line out of the CRI format; None when it is not of it."""
    match = _CRI.fullmatch(line)
    if match is None or (time_unix_ns := _CRI_STAMP.read(match, clock)) is None:
        return None
    return Wrapped(match["text"], time_unix_ns, match["stream"], match["tag"] == "P")


def unwrap_docker(line: str, clock: Clock) -> Wrapped | None:
    """Take a line out of a Docker JSON file; None when it is not of it."""
    if not line.startswith("{"):
        return None
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not (fields.keys() >= _DOCKER_FIELDS and isinstance(fields["log"], str) and isinstance(fields["time"], str)):
        return None
    match = _ISO.fullmatch(fields["time"])
    time_unix_ns = _ISO_STAMP.read(match, clock) if match else None
    text = fields["log"]
    return Wrapped(text.rstrip("\r\n"), time_unix_ns or 0, str(fields["stream"]), not text.endswith("\n"))


_ISO = re.compile(FRAGMENTS["iso"], re.ASCII)
_ISO_STAMP = StampReader(_ISO)

ENVELOPES: dict[str, Envelope] = {"docker": unwrap_docker, "cri": unwrap_cri}


def detect_envelope(sample: Sequence[str], clock: Clock) -> str | None:
    """Name the envelope that nine tenths of a sample are in, or None."""
    lines = [line for line in sample if line]
    for name, unwrap in ENVELOPES.items():
        if lines and sum(unwrap(line, clock) is not None for line in lines) >= 0.9 * len(lines):
            return name
    return None
