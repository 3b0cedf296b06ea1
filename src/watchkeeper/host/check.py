"""What a check of this machine found, and the report that all checks make together.

Enters: nothing. Leaves: Check and Report, plain data that the command line, the metrics, OTLP and the support archive
are all made from, and the verdict over many checks. Looks at nothing itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

REPORT_SCHEMA_VERSION = 1


class CheckStatus(StrEnum):
    """How a check ended. SKIPPED: there was nothing to check, or it could not be told; `reason` says which."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"


class CheckSeverity(StrEnum):
    """How much what was seen matters, least first. UNKNOWN: it could not be read, so nothing is claimed."""

    INFO = "info"
    UNKNOWN = "unknown"
    WARNING = "warning"
    CRITICAL = "critical"


class Requirement(StrEnum):
    """What a check stands for in the exit status; OTHER is all that has no status of its own."""

    GPU = "gpu"
    DRIVER = "driver"
    CUDA = "cuda"
    CONTAINER = "container"
    OTHER = "other"


@dataclass(frozen=True)
class Check:
    """One check.

    id: dotted and stable, `gpu.temperature`. device: "" for the host, else a GPU's UUID or PCI address. observed: what
    was seen. threshold: what it was held against, with its unit; source: where that threshold comes from. evidence:
    lines and values. actions: commands to type or things to do, the first one first. absent: the thing checked is not
    in this machine (`reason` says so), which is neither good nor bad. duration_ms: how long the check took.
    """

    id: str
    title: str
    status: CheckStatus
    severity: CheckSeverity = CheckSeverity.INFO
    observed: str = ""
    device: str = ""
    threshold: str = ""
    source: str = ""
    evidence: tuple[str, ...] = ()
    reason: str = ""
    actions: tuple[str, ...] = ()
    duration_ms: float = 0.0
    requirement: Requirement = Requirement.OTHER
    absent: bool = False
    attributes: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Give plain data for JSON."""
        return asdict(self)


def passed(check_id: str, title: str, observed: str, **more: Any) -> Check:
    """Give a check that found nothing wrong."""
    return Check(check_id, title, CheckStatus.OK, CheckSeverity.INFO, observed, **more)


def warned(check_id: str, title: str, observed: str, reason: str, **more: Any) -> Check:
    """Give a check whose finding a person should look at, though work can go on."""
    return Check(check_id, title, CheckStatus.WARN, CheckSeverity.WARNING, observed, reason=reason, **more)


def failed(check_id: str, title: str, observed: str, reason: str, **more: Any) -> Check:
    """Give a check that found something broken."""
    return Check(check_id, title, CheckStatus.FAIL, CheckSeverity.CRITICAL, observed, reason=reason, **more)


def skipped(check_id: str, title: str, reason: str, **more: Any) -> Check:
    """Give a check with nothing to look at; with `absent`, the thing is not in this machine."""
    return Check(check_id, title, CheckStatus.SKIPPED, reason=reason, **more)


def unknown(check_id: str, title: str, reason: str, **more: Any) -> Check:
    """Give a check whose value could not be read: neither good nor bad, and not zero."""
    return Check(check_id, title, CheckStatus.SKIPPED, CheckSeverity.UNKNOWN, reason=reason, **more)


def timed(checks: Iterable[Check], clock: Callable[[], float] = time.perf_counter) -> Iterator[Check]:
    """Give checks as they are made, each with the time since the one before; `clock` tells seconds.

    >>> ticks = iter([0.0, 0.25])
    >>> [check.duration_ms for check in timed([passed("a.b", "A", "seen")], lambda: next(ticks))]
    [250.0]
    """
    last_s = clock()
    for check in checks:
        now_s = clock()
        yield replace(check, duration_ms=round((now_s - last_s) * 1000, 3))
        last_s = now_s


class Verdict(StrEnum):
    """The whole in one word. NO_GPU: all is well, and there is no GPU, which is a state of its own."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    NO_GPU = "no_gpu"


@dataclass(frozen=True)
class Report:
    """All checks of one run on one host, in the order in which a person would mend them; times in Unix nanoseconds.

    duration_ms: of the whole run, the reading of the GPUs included.
    """

    host: str
    started_unix_ns: int
    checks: tuple[Check, ...]
    duration_ms: float = 0.0

    @property
    def verdict(self) -> Verdict:
        """Give the worst that was found; a machine without a GPU is NO_GPU only where nothing else is wrong."""
        if any(check.status is CheckStatus.FAIL for check in self.checks):
            return Verdict.FAIL
        if any(check.status is CheckStatus.WARN for check in self.checks):
            return Verdict.WARN
        return Verdict.NO_GPU if self.no_gpu else Verdict.OK

    @property
    def no_gpu(self) -> bool:
        """Tell whether this machine has no GPU at all."""
        return any(check.requirement is Requirement.GPU and check.absent for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """Give plain data for JSON, with `schema_version`; `started_at` is RFC 3339 in UTC."""
        return {
            "schema_version": REPORT_SCHEMA_VERSION,
            "host": self.host,
            "started_at": rfc3339(self.started_unix_ns),
            "verdict": self.verdict.value,
            "duration_ms": round(self.duration_ms, 3),
            "checks": [check.as_dict() for check in self.checks],
        }


def worst(checks: Iterable[Check]) -> CheckSeverity:
    """Give the gravest severity among checks; UNKNOWN counts only where nothing graver was seen, INFO when empty."""
    order = list(CheckSeverity)
    return max((check.severity for check in checks), key=order.index, default=CheckSeverity.INFO)


def rfc3339(unix_ns: int) -> str:
    """Write a moment as RFC 3339 in UTC, to the millisecond.

    >>> rfc3339(1_700_000_000_123_000_000)
    '2023-11-14T22:13:20.123Z'
    """
    import datetime

    moment = datetime.datetime.fromtimestamp(unix_ns // 1_000_000_000, tz=datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{unix_ns // 1_000_000 % 1000:03d}Z"
