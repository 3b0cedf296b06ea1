"""The faults that can be switched on: kinds, the services each fits, parameters with their defaults and bounds.

Plain data and its checking, used by the control API, the command line and the services. Causes nothing by itself;
effects.py does, within a service.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shop.layout import SERVICES

SECONDS_DEFAULT = 60.0
SECONDS_MAX = 600.0

DEPENDENCIES: dict[str, tuple[str, ...]] = {
    "frontend": ("catalogue", "cart", "checkout", "recommendation"),
    "catalogue": ("stock",),
    "cart": ("carts",),
    "checkout": ("payment", "cart", "catalogue"),
    "payment": ("bank",),
    "recommendation": ("catalogue",),
}


class FaultRefused(ValueError):
    """A fault that is unknown, does not fit the service, or has a parameter out of bounds."""


@dataclass(frozen=True)
class Bound:
    """A numeric parameter: its default and the values allowed, ends included."""

    default: float
    low: float
    high: float


@dataclass(frozen=True)
class Kind:
    """One kind of fault; `services` are those it fits, the first is taken when none is named."""

    name: str
    help: str
    services: tuple[str, ...]
    bounds: Mapping[str, Bound] = field(default_factory=dict)


def _first(service: str) -> tuple[str, ...]:
    return (service, *(other for other in SERVICES if other != service))


_SHARE = Bound(0.5, 0.01, 1.0)

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("error-rate", "A share of the requests fails with status 500.", _first("payment"), {"share": _SHARE}),
        Kind(
            "latency",
            "A share of the requests takes longer.",
            _first("catalogue"),
            {"delay_ms": Bound(1_200, 1, 10_000), "share": _SHARE},
        ),
        Kind(
            "cpu-burst",
            "Calculation on the event loop takes most of a core; every request waits for it.",
            _first("recommendation"),
            {"busy_share": Bound(0.7, 0.05, 0.95)},
        ),
        Kind(
            "memory-leak",
            "Memory grows and is not given back; it stops at mib_max.",
            _first("recommendation"),
            {"mib_per_s": Bound(16, 0.1, 128), "mib_max": Bound(256, 1, 512)},
        ),
        Kind("dependency-down", "What the service depends on refuses connections.", _first("cart")),
        Kind(
            "bad-deploy",
            "The service is replaced by a new version, a share of whose requests fails with an error never seen.",
            _first("payment"),
            {"share": _SHARE},
        ),
        Kind("queue-jam", "Orders are taken but no longer sent off; the queue fills up.", ("checkout",)),
    )
}


@dataclass(frozen=True)
class Fault:
    """One fault, checked: its kind, the service it strikes, how long at the most, and all parameters with values."""

    kind: str
    service: str
    seconds: float
    parameters: dict[str, float | str]


def checked(
    kind: str, service: str | None = None, seconds: float | None = None, parameters: Mapping[str, Any] | None = None
) -> Fault:
    """Make a Fault of what a user asked for, with defaults filled in; raises FaultRefused with what is allowed.

    >>> checked("latency").service, checked("queue-jam").seconds
    ('catalogue', 60.0)
    """
    known = KINDS.get(kind)
    if known is None:
        raise FaultRefused(f"there is no fault {kind!r}; there are {', '.join(KINDS)}")
    service = service or known.services[0]
    if service not in known.services:
        raise FaultRefused(f"{kind} does not fit {service!r}; it fits {', '.join(known.services)}")
    seconds = SECONDS_DEFAULT if seconds is None else seconds
    if not 0 < seconds <= SECONDS_MAX:
        raise FaultRefused(
            f"a fault lasts more than 0 and at most {SECONDS_MAX:g} s, not {seconds:g}; it ends by itself"
        )
    return Fault(kind, service, seconds, _values(known, service, dict(parameters or {})))


def _values(kind: Kind, service: str, given: dict[str, Any]) -> dict[str, float | str]:
    values: dict[str, float | str] = {}
    if kind.name == "dependency-down":
        allowed = DEPENDENCIES[service]
        dependency = str(given.pop("dependency", allowed[0]))
        if dependency not in allowed:
            raise FaultRefused(f"{service} does not depend on {dependency!r}; it depends on {', '.join(allowed)}")
        values["dependency"] = dependency
    for name, bound in kind.bounds.items():
        try:
            value = float(given.pop(name, bound.default))
        except (TypeError, ValueError):
            raise FaultRefused(f"{kind.name}: {name} is not a number") from None
        if not bound.low <= value <= bound.high:
            raise FaultRefused(f"{kind.name}: {name} = {value:g} is not within {bound.low:g} .. {bound.high:g}")
        values[name] = value
    if given:
        known = ", ".join([*kind.bounds, *(["dependency"] if kind.name == "dependency-down" else [])]) or "none"
        raise FaultRefused(f"{kind.name} has no parameter {next(iter(given))!r}; it has: {known}")
    return values
