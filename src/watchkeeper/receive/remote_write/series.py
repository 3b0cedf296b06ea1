"""What the labels of a Prometheus series say: the name, whose it is, its scope, and the attributes that remain.

Enters: labels as pairs of text. Leaves: a Series, by OpenTelemetry's Prometheus compatibility specification: `job` is
`service.name` (and `service.namespace` before a slash), `instance` is `service.instance.id` (and `server.address` and
`server.port`, where it is a host and port), `otel_scope_*` are the scope's; every other label is an attribute as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from watchkeeper.receive.remote_write.wire import field, head, int_attribute, text_attribute

NAME = "__name__"
TARGET_INFO = "target_info"
NAMELESS = "a series has no __name__"
PORT_MAX = 65_535
SERIES_MAX = 50_000
LABEL_BYTES_MAX = 16 << 20

_SCOPE = "otel_scope_"
_ATTRIBUTES_OF_A_NUMBER = 7
_NUMBER_BYTES = 18
"""Of a time and a double in a NumberDataPoint, with their tags."""
_TIME_TAG = b"\x19"


class BadSeries(ValueError):
    """The labels are none that a series can have; the message is the reason, alike for all series of the fault."""


class Target(NamedTuple):
    """Who was scraped: the labels `job` and `instance`, "" where there is none."""

    job: str
    instance: str


class Scope(NamedTuple):
    """The instrumentation scope: name, version, schema URL, its attributes as KeyValues."""

    name: str
    version: str
    schema_url: str
    attributes: tuple[bytes, ...]


class Owner:
    """A target and a scope, as one object for all series that have both, so that it is looked up by identity."""

    __slots__ = ("scope", "target")

    def __init__(self, target: Target, scope: Scope) -> None:
        self.target = target
        self.scope = scope


class Group:
    """The series of one name of an owner, as one object likewise."""

    __slots__ = ("name", "owner")

    def __init__(self, owner: Owner, name: str) -> None:
        self.owner = owner
        self.name = name


class Read(NamedTuple):
    """What the labels of a series say; `attributes` are KeyValues of OTLP."""

    name: str
    target: Target
    scope: Scope
    attributes: tuple[bytes, ...]


class Series(NamedTuple):
    """One series that is known. number_head: all that stands in a point of a number before the 8 bytes of its time."""

    group: Group
    attributes: tuple[bytes, ...]
    number_head: bytes


def read_labels(labels: Sequence[tuple[str, str]]) -> Read:
    """Read the labels of a series; raises BadSeries. Labels with an empty value count as not there."""
    told = dict(labels)
    if len(told) != len(labels):
        raise BadSeries("a label is there twice")
    if "" in told:
        raise BadSeries("a label has no name")
    name = told.pop(NAME, "")
    if not name:
        raise BadSeries(NAMELESS)
    target = Target(told.pop("job", ""), told.pop("instance", ""))
    scope = _scope({key: told.pop(key) for key in list(told) if key.startswith(_SCOPE)})
    attributes = tuple(text_attribute(key, value) for key, value in told.items() if value)
    return Read(name, target, scope, attributes)


class SeriesBook:
    """The series that came before, by the bytes of their labels. Memory: three times these bytes, some 1 kB a series.

    Safe to use from any thread. It begins anew at SERIES_MAX series, or LABEL_BYTES_MAX bytes of labels.
    """

    def __init__(self) -> None:
        self._bytes = 0
        self._known: dict[bytes | tuple[bytes, ...], Series] = {}
        self._owners: dict[tuple[Target, Scope], Owner] = {}
        self._groups: dict[tuple[Owner, str], Group] = {}

    def get(self, key: bytes | tuple[bytes, ...]) -> Series | None:
        """Give a series that is known."""
        return self._known.get(key)

    def make(self, read: Read) -> Series:
        """Make a series of its labels."""
        if max(len(self._known), len(self._groups)) >= SERIES_MAX or self._bytes >= LABEL_BYTES_MAX:
            self._known, self._owners, self._groups, self._bytes = {}, {}, {}, 0
        self._bytes += len(read.name) + sum(map(len, (*read.target, *read.attributes)))
        found = self._owners.setdefault((read.target, read.scope), Owner(read.target, read.scope))
        group = self._groups.setdefault((found, read.name), Group(found, read.name))
        body = b"".join(field(_ATTRIBUTES_OF_A_NUMBER, each) for each in read.attributes)
        return Series(group, read.attributes, head(1, len(body) + _NUMBER_BYTES) + body + _TIME_TAG)

    def keep(self, key: bytes | tuple[bytes, ...], series: Series) -> None:
        """Remember a series by a key that is its own."""
        self._known[key] = series


def _scope(told: dict[str, str]) -> Scope:
    of_scope = {key.removeprefix(_SCOPE): value for key, value in told.items()}
    own = (of_scope.pop("name", ""), of_scope.pop("version", ""), of_scope.pop("schema_url", ""))
    return Scope(*own, tuple(text_attribute(key, value) for key, value in of_scope.items() if key and value))


def resource_of(target: Target, info: Sequence[tuple[str, str]]) -> bytes:
    """Write OTLP's Resource of a target; `info` are the labels of its target_info, which never replace the target's."""
    pairs: dict[str, bytes] = {}
    namespace, _, name = target.job.partition("/")
    if target.job:
        service = (name, namespace) if name and namespace else (target.job, "")
        pairs["service.name"] = text_attribute("service.name", service[0])
        if service[1]:
            pairs["service.namespace"] = text_attribute("service.namespace", service[1])
    if target.instance:
        pairs["service.instance.id"] = text_attribute("service.instance.id", target.instance)
        address, _, port = target.instance.rpartition(":")
        if address and "/" not in address and port.isascii() and port.isdigit() and 0 < int(port) <= PORT_MAX:
            pairs["server.address"] = text_attribute("server.address", address.strip("[]"))
            pairs["server.port"] = int_attribute("server.port", int(port))
    for key, value in info:
        pairs.setdefault(key, text_attribute(key, value))
    return b"".join(field(1, each) for each in pairs.values())
