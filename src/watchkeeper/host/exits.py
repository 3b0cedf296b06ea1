"""The exit status of doctor and of gpu, in three styles, and NPD's one line.

Enters: a Report and which requirements count. Leaves: a number. The numbers are stable: scripts and units depend on
them. Prints nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

from watchkeeper.errors import SettingError
from watchkeeper.host.check import Check, CheckSeverity, CheckStatus, Report, Requirement

EXIT_OF = {
    Requirement.GPU: 1,
    Requirement.DRIVER: 2,
    Requirement.CUDA: 3,
    Requirement.CONTAINER: 4,
    Requirement.OTHER: 10,
}
_NPD_LINE_MAX = 80


class ExitStyle(StrEnum):
    """How a verdict becomes a number.

    SEED: 0 all good, 1 no GPU, 2 driver, 3 CUDA, 4 container engine missing, 10 other failure.
    NAGIOS: 0 ok, 1 warning, 2 critical, 3 unknown. NPD (Kubernetes' node-problem-detector): 0 ok, 1 problem, 2 unknown.
    """

    SEED = "seed"
    NAGIOS = "nagios"
    NPD = "npd"


def requirements(text: str) -> frozenset[Requirement]:
    """Read `gpu,driver,...`; all of them for an empty text. Raises SettingError for a name that there is not.

    >>> sorted(requirements("gpu, cuda"))
    [<Requirement.CUDA: 'cuda'>, <Requirement.GPU: 'gpu'>]
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    wrong = [name for name in names if name not in set(Requirement)]
    if wrong:
        raise SettingError(f"--require {wrong[0]!r} is not one of {', '.join(Requirement)}")
    return frozenset(Requirement(name) for name in names) or frozenset(Requirement)


def counted(report: Report, required: Collection[Requirement]) -> list[Check]:
    """Keep the checks that count."""
    return [check for check in report.checks if check.requirement in required]


def exit_status(report: Report, style: ExitStyle, required: Collection[Requirement]) -> int:
    """Give the exit status; of several failures the first of gpu, driver, cuda, container, other decides."""
    checks = counted(report, required)
    broken = {check.requirement for check in checks if check.status is CheckStatus.FAIL}
    missing = any(check.requirement is Requirement.GPU and check.absent for check in checks)
    if style is ExitStyle.SEED:
        if missing:
            broken |= {Requirement.GPU}
        return next((status for requirement, status in EXIT_OF.items() if requirement in broken), 0)
    unclear = missing or any(check.severity is CheckSeverity.UNKNOWN for check in checks if check.device)
    warns = any(check.status is CheckStatus.WARN for check in checks)
    if style is ExitStyle.NAGIOS:
        return 2 if broken else 1 if warns else 3 if unclear else 0
    return 1 if broken else 2 if unclear else 0


def npd_line(report: Report, required: Collection[Requirement]) -> str:
    """Give the one line that node-problem-detector shows, at most 80 characters."""
    checks = counted(report, required)
    broken = [check for check in checks if check.status is CheckStatus.FAIL]
    worth = broken or [check for check in checks if check.requirement is Requirement.GPU and check.absent]
    line = f"{worth[0].id}: {worth[0].reason}" if worth else "all checks passed"
    return line if len(line) <= _NPD_LINE_MAX else line[: _NPD_LINE_MAX - 1] + "…"
