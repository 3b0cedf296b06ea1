"""What is told of a model version: its card, its state, and the entries of the audit.

Types and their form as JSON; enters and leaves nothing else. Does not read or write files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from watchkeeper.errors import QueryError

State = Literal["candidate", "active", "retired"]

NAME_MAX = 80
_NAME = re.compile(r"[A-Za-z0-9][\w .:@+-]*(/[A-Za-z0-9][\w .:@+-]*)*", re.ASCII)


@dataclass(frozen=True)
class Card:
    """What a version is and what it was made of.

    kind: what wrote it ("logs", "online", ...). trained_on: workloads, from and until (Unix nanoseconds), lines,
    distinct lines; whatever its maker knows. quality: held-out figures by name. thresholds: by name, in the score's
    own unit.
    """

    kind: str
    job_id: str = ""
    trained_on: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    quality: Mapping[str, float] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    notes: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Give the card as JSON data."""
        return asdict(self)


@dataclass(frozen=True)
class Version:
    """One version of one model.

    number: 1, 2, ... for each name; never used twice. parent: the number of the version that was active when this one
    was published. damaged: "" or why its files cannot be used; such a version is never loaded.
    """

    name: str
    number: int
    state: State
    created_unix_ns: int
    card: Card
    folder: Path
    sha256: str
    parent: int | None
    damaged: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Give the version as JSON data, without the folder, which is nobody's business outside."""
        return {
            "name": self.name,
            "number": self.number,
            "state": self.state,
            "created_unix_ns": self.created_unix_ns,
            "card": self.card.as_dict(),
            "sha256": self.sha256,
            "parent": self.parent,
            "damaged": self.damaged,
        }


class AuditEntry(NamedTuple):
    """Who did what to which version, when and why; `number` is None where all versions of a name are meant."""

    time_unix_ns: int
    name: str
    number: int | None
    what: str
    who: str
    why: str


def checked_name(name: str) -> str:
    """Give the name back; raises QueryError when it cannot be the name of a model."""
    if len(name) > NAME_MAX or not _NAME.fullmatch(name):
        raise QueryError(
            f"{name[:NAME_MAX]!r} cannot be the name of a model: words of letters, digits and ` . _ : @ + -` "
            f"separated by `/`, {NAME_MAX} characters at the most"
        )
    return name
