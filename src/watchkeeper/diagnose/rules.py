"""The numbers by which findings become incidents, read from the settings that begin with `incident_`."""

from __future__ import annotations

from typing import NamedTuple

from watchkeeper.settings import Settings


class Rules(NamedTuple):
    """When findings belong together and when an incident is over; times in nanoseconds, hops in dependencies."""

    gap_ns: int = 300 * 10**9
    hops: int = 2
    coincidence_ns: int = 0
    resolve_ns: int = 300 * 10**9
    reopen_ns: int = 1_800 * 10**9
    stale_ns: int = 86_400 * 10**9


def rules_of(settings: Settings) -> Rules:
    """Read the rules in force."""

    def ns(name: str) -> int:
        return int(settings.number(name) * 1e9)

    return Rules(
        gap_ns=ns("incident_gap_s"),
        hops=settings.integer("incident_hops_max"),
        coincidence_ns=ns("incident_coincidence_s"),
        resolve_ns=ns("incident_resolve_s"),
        reopen_ns=ns("incident_reopen_s"),
        stale_ns=ns("incident_stale_s"),
    )
