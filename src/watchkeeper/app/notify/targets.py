"""Who is to be told of incidents: the targets of the notification file (setting `notify_file`, TOML).

Enters: the file and the environment, which alone holds secrets. Leaves: Targets. Raises SettingError with the target
and the fix. Sends nothing.
"""

from __future__ import annotations

import fnmatch
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from watchkeeper.app.news import Event
from watchkeeper.diagnose.incident import Incident, IncidentSeverity
from watchkeeper.errors import SettingError

E = TypeVar("E", bound=StrEnum)

PAGERDUTY_URL = "https://events.pagerduty.com/v2/enqueue"
RATE_PER_MINUTE = 30.0
TIMEOUT_S = 10.0


class TargetKind(StrEnum):
    """What a target understands."""

    SLACK = "slack"
    WEBHOOK = "webhook"
    PAGERDUTY = "pagerduty"
    ALERTMANAGER = "alertmanager"


_STATES = (Event.OPENED, Event.WORSE, Event.REOPENED, Event.RESOLVED, Event.MERGED)
EVENTS: dict[TargetKind, tuple[Event, ...]] = {
    TargetKind.SLACK: (*_STATES, Event.ACKNOWLEDGED, Event.DIAGNOSED),
    TargetKind.WEBHOOK: (*_STATES, Event.ACKNOWLEDGED, Event.DIAGNOSED),
    TargetKind.PAGERDUTY: (*_STATES, Event.ACKNOWLEDGED),
    TargetKind.ALERTMANAGER: (*_STATES, Event.STILL),
}
"""What each kind of target can be told; a file may name fewer."""

_KEYS = frozenset(
    {
        "name",
        "type",
        "url",
        "url_env",
        "secret_env",
        "severity_min",
        "services",
        "events",
        "rate_per_minute",
        "timeout_s",
    }
)


@dataclass(frozen=True)
class Target:
    """One target. secret: the key of signatures (webhook), the routing key (pagerduty), a bearer token (others)."""

    name: str
    kind: TargetKind
    url: str = field(repr=False)
    secret: str = field(default="", repr=False)
    severity_min: IncidentSeverity = IncidentSeverity.WARNING
    services: tuple[str, ...] = ()
    events: tuple[Event, ...] = ()
    rate_per_minute: float = RATE_PER_MINUTE
    timeout_s: float = TIMEOUT_S

    def wants(self, incident: Incident) -> bool:
        """Tell whether this target is to hear of an incident at all."""
        order = list(IncidentSeverity)
        if order.index(incident.severity) < order.index(self.severity_min):
            return False
        return not self.services or any(
            fnmatch.fnmatchcase(service, pattern) for service in incident.services for pattern in self.services
        )


def read_targets(file: Path, environment: Mapping[str, str]) -> list[Target]:
    """Read the notification file; raises SettingError."""
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingError(f"the notification file {file} cannot be read: {error.strerror}; see notify_file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError(f"{file} is not valid TOML: {error}; mend that line") from error
    entries = data.pop("target", [])
    if data or not isinstance(entries, list):
        raise SettingError(f"{file} holds {sorted(data) or ['target']}; write each target as a table [[target]]")
    targets = [_target(entry, f"target {number} of {file}", environment) for number, entry in enumerate(entries, 1)]
    names = [target.name for target in targets]
    for name in names:
        if names.count(name) > 1:
            raise SettingError(f"two targets of {file} are named {name!r}; give each a name of its own")
    return targets


def _target(entry: Any, where: str, environment: Mapping[str, str]) -> Target:
    if not isinstance(entry, dict):
        raise SettingError(f"{where} is not a table; write [[target]]")
    unknown = sorted(set(entry) - _KEYS)
    if unknown:
        raise SettingError(f"{where} has {unknown[0]!r}, which is not known; it takes {', '.join(sorted(_KEYS))}")
    kind = _one_of(TargetKind, entry.get("type", ""), f"type of {where}")
    name = str(entry.get("name") or kind)
    where = f"{name!r}, {where}"
    url = _from_environment(entry, "url_env", where, environment) or str(entry.get("url", ""))
    if kind is TargetKind.PAGERDUTY:
        url = url or PAGERDUTY_URL
    secret = _from_environment(entry, "secret_env", where, environment)
    if kind is TargetKind.PAGERDUTY and not secret:
        raise SettingError(f"{where} needs the routing key: name the environment variable that holds it in secret_env")
    events = [_one_of(Event, text, f"events of {where}") for text in _texts(entry, "events", where)]
    for event in events:
        if event not in EVENTS[kind]:
            raise SettingError(f"{where} cannot be told {event.value!r}; it takes {', '.join(EVENTS[kind])}")
    return Target(
        name=name,
        kind=kind,
        url=_checked(url, where),
        secret=secret,
        severity_min=_one_of(IncidentSeverity, entry.get("severity_min", "warning"), f"severity_min of {where}"),
        services=tuple(_texts(entry, "services", where)),
        events=tuple(events) or EVENTS[kind],
        rate_per_minute=_number(entry, "rate_per_minute", RATE_PER_MINUTE, where),
        timeout_s=_number(entry, "timeout_s", TIMEOUT_S, where),
    )


def _checked(url: str, where: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(character.isspace() for character in url):
        raise SettingError(f"the address of {where} does not begin with http:// or https:// and a host; set url")
    return url


def _from_environment(entry: Mapping[str, Any], key: str, where: str, environment: Mapping[str, str]) -> str:
    name = str(entry.get(key, ""))
    if name and not environment.get(name):
        raise SettingError(f"{key} of {where} names the environment variable {name}, which is not set")
    return environment.get(name, "").strip()


def _texts(entry: Mapping[str, Any], key: str, where: str) -> list[str]:
    said = entry.get(key, [])
    if not isinstance(said, list) or not all(isinstance(text, str) for text in said):
        raise SettingError(f'{key} of {where} is not a list of texts, as in ["cart"]')
    return said


def _number(entry: Mapping[str, Any], key: str, default: float, where: str) -> float:
    said = entry.get(key, default)
    if not isinstance(said, int | float) or isinstance(said, bool) or not 0 < said <= 3600:
        raise SettingError(f"{key} of {where} is {said!r}; give a number above 0, up to 3600")
    return float(said)


def _one_of(kind: type[E], text: Any, what: str) -> E:
    try:
        return kind(str(text))
    except ValueError:
        raise SettingError(f"the {what} is {str(text)!r}; choose one of {', '.join(kind)}") from None
