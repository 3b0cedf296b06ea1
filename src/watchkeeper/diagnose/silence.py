"""A Silence: findings that a person does not want to hear of for a while, and how one is recognised.

Enters: a Finding. Leaves: yes or no. Patterns are matched by RE2 (through Arrow), whose time is linear in the text, so
that no pattern can hold up detection.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from watchkeeper.diagnose.member import nodes_of
from watchkeeper.errors import QueryError
from watchkeeper.signals.finding import Finding

SILENCED_BY = "silenced_by"
MATCHERS = ("service", "node", "kind", "template", "severity")
PATTERN_CHARACTERS_MAX = 500
TEXT_CHARACTERS_MAX = 4_000


@dataclass(frozen=True)
class Silence:
    """Matchers that must all hold; `service`, `node` and `kind` take `*`, `template` is a regular expression (RE2).

    It holds from `from_unix_ns` up to `until_unix_ns` (wall clock), or until a person ends it.
    """

    id: str
    matchers: Mapping[str, str]
    by: str
    why: str
    from_unix_ns: int
    until_unix_ns: int

    def as_dict(self) -> dict[str, Any]:
        """Give plain data for JSON."""
        return {**asdict(self), "matchers": dict(self.matchers)}

    def active(self, now_unix_ns: int) -> bool:
        """Tell whether it holds at this moment."""
        return self.from_unix_ns <= now_unix_ns < self.until_unix_ns


def check_matchers(matchers: Mapping[str, str]) -> dict[str, str]:
    """Give the matchers that say something; raises QueryError for unknown, none at all, or a bad pattern."""
    said = {name: value for name, value in matchers.items() if value}
    unknown = sorted(set(said) - set(MATCHERS))
    if unknown:
        raise QueryError(f"a silence cannot match by {unknown[0]!r}; it takes {', '.join(MATCHERS)}")
    if not said:
        raise QueryError(f"a silence needs one of {', '.join(MATCHERS)}; one that matches all would hide everything")
    for name, value in said.items():
        if len(value) > PATTERN_CHARACTERS_MAX:
            raise QueryError(f"the matcher {name} is longer than {PATTERN_CHARACTERS_MAX} characters; shorten it")
    if said.get("severity", "info") not in {"info", "warning", "critical"}:
        raise QueryError(f"there is no severity {said['severity']!r}; choose info, warning or critical")
    if "template" in said:
        try:
            _found(said["template"], "")
        except pa.ArrowInvalid as error:
            raise QueryError(
                f"the pattern {said['template']!r} cannot be read: {error}; write it as RE2 does"
            ) from error
    return said


def matches(silence: Silence, finding: Finding) -> bool:
    """Tell whether every matcher holds for the finding, whatever the time."""
    for name, value in silence.matchers.items():
        if name == "template":
            text = (finding.template or finding.title)[:TEXT_CHARACTERS_MAX]
            if not _found(value, text):
                return False
        elif name == "severity":
            if finding.severity.value != value:
                return False
        elif name == "node":
            if not any(_like(value, node) or _like(value, node.partition(":")[2]) for node in nodes_of(finding)):
                return False
        elif not _like(value, {"service": finding.service, "kind": finding.kind}[name]):
            return False
    return True


def _found(pattern: str, text: str) -> bool:
    return bool(pc.match_substring_regex(pa.array([text]), pattern)[0].as_py())


def _like(pattern: str, text: str) -> bool:
    return _globbed(pattern).fullmatch(text[:TEXT_CHARACTERS_MAX]) is not None


@lru_cache(256)
def _globbed(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(re.sub(r"[\[?]", lambda found: f"[{found[0]}]", re.sub(r"\*+", "*", pattern))))
