"""A configuration management database (CMDB) from a file: who owns a service, and what it is said to depend on.

Enters: a CSV or JSON file that people keep. Leaves: entries, and what is wrong with them. Names are matched to those
that are seen, misspelt ones too, down to a floor; below it, or when two names are as near, nothing is guessed. What the
file says is never taken for seen (merge.py). Does not read the network.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from watchkeeper.errors import SettingError

FIELDS = (
    "service_name",
    "domain",
    "owner",
    "language",
    "config_path",
    "system",
    "deployment_env",
    "dependencies",
    "last_updated",
)
FILE_BYTES_MAX = 64 * 2**20
ENTRIES_MAX = 50_000
FLOOR = 0.85
AMBIGUOUS_WITHIN = 0.02
CANDIDATES = 24
SHORT_FOR_SERVICE = frozenset({"svc", "srv", "serv"})
UNKNOWN_OWNERS = frozenset({"", "unknown", "n/a", "na", "none", "null", "tbd", "?", "-"})

_SEPARATORS = re.compile(r"[\s,;|]+")
_WORDS = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True)
class CmdbEntry:
    """One service as the file has it; "" where it says nothing. last_updated: Unix nanoseconds, 0 unknown."""

    service_name: str
    domain: str = ""
    owner: str = ""
    language: str = ""
    config_path: str = ""
    system: str = ""
    deployment_env: str = ""
    dependencies: tuple[str, ...] = ()
    last_updated_unix_ns: int = 0

    @property
    def owner_known(self) -> bool:
        """Tell whether somebody is named as the owner."""
        return self.owner.strip().lower() not in UNKNOWN_OWNERS


@dataclass(frozen=True)
class Cmdb:
    """All entries of a file, in its order, and the rows that could not be read."""

    entries: tuple[CmdbEntry, ...] = ()
    problems: tuple[str, ...] = ()


class Match(NamedTuple):
    """A name that is known and how like it is, 0..1, higher = nearer."""

    name: str
    likeness: float


def read_cmdb(path: Path) -> Cmdb:
    """Read a `.csv` or `.json` file; raises SettingError when it is absent, too large or neither.

    JSON is a list of objects, or an object with the list under `services`. Unknown columns are left out.
    """
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise SettingError(f"the CMDB file {path} is larger than {FILE_BYTES_MAX >> 20} MiB; split it")
        text = path.read_text(encoding="utf-8-sig")
        rows = _json_rows(text) if path.suffix.lower() == ".json" else list(csv.DictReader(io.StringIO(text)))
    except OSError as error:
        raise SettingError(f"the CMDB file {path} cannot be read: {error}; mend the setting cmdb_file") from error
    except (ValueError, csv.Error) as error:
        raise SettingError(f"the CMDB file {path} is neither CSV nor JSON: {error}; mend the file") from error
    return parse(rows)


def parse(rows: Iterable[Mapping[str, Any]]) -> Cmdb:
    """Make entries of rows; a row without a name, or one of a name that was there, is told and left out."""
    entries: dict[str, CmdbEntry] = {}
    problems: list[str] = []
    for number, row in enumerate(rows, 1):
        if len(entries) >= ENTRIES_MAX:
            problems.append(f"only the first {ENTRIES_MAX:,} entries are read")
            break
        name = _text(row.get("service_name"))
        if not name:
            problems.append(f"row {number} has no service_name")
        elif name in entries:
            problems.append(f"row {number}: {name} is there already; the first one counts")
        else:
            entries[name] = _entry(name, row)
    return Cmdb(tuple(entries.values()), tuple(problems))


class Names:
    """Names that are known, and which of them a possibly misspelt one means.

    Cost of a look-up: a product of the two-letter counts with all names, and a comparison of the nearest CANDIDATES.
    """

    def __init__(self, known: Sequence[str]) -> None:
        self._known = list(dict.fromkeys(known))
        self._plain = [plain(name) for name in self._known]
        self._exact = {name: name for name in self._known}
        self._same: dict[str, list[str]] = {}
        self._with: dict[str, list[int]] = {}
        for place, (name, short) in enumerate(zip(self._known, self._plain, strict=True)):
            self._same.setdefault(short, []).append(name)
            for pair in _pairs(short):
                self._with.setdefault(pair, []).append(place)

    def nearest(self, name: str, count: int = 3) -> list[Match]:
        """Give up to `count` known names, nearest first, however far; letter case and separators do not count.

        >>> [match.name for match in Names(["cart-service", "card-service", "payment"]).nearest("cartt_service", 2)]
        ['cart-service', 'card-service']
        """
        if name in self._exact:
            return [Match(name, 1.0)]
        short = plain(name)
        shared: dict[int, int] = {}
        for pair in _pairs(short):
            for place in self._with.get(pair, ()):
                shared[place] = shared.get(place, 0) + 1
        # Dice's coefficient of the letter pairs is quick and keeps all that a comparison letter by letter may like.
        own = len(_pairs(short))
        likely = sorted(shared, key=lambda one: (-2 * shared[one] / (own + len(_pairs(self._plain[one]))), one))
        near = sorted(likely[:CANDIDATES], key=lambda one: (-_shared(short, self._plain[one]), self._known[one]))
        return [Match(self._known[one], likeness(short, self._plain[one])) for one in near[:count]]

    def match(self, name: str) -> Match | None:
        """Give the known name that is meant, None when none is near enough or two are as near."""
        near = sorted(self.nearest(name, 3), key=lambda match: -match.likeness)
        if not near or near[0].likeness < FLOOR:
            return None
        tied = len(near) > 1 and near[0].likeness - near[1].likeness < AMBIGUOUS_WITHIN
        return None if tied else near[0]


def plain(name: str) -> str:
    """Give a name in small letters, its words apart by one hyphen.

    >>> plain("Cart_Service "), plain("cart.service")
    ('cart-service', 'cart-service')
    """
    return _WORDS.sub("-", name.lower()).strip("-")


def likeness(one: str, other: str) -> float:
    """Give how like two plain names are: 1 less the slips of the pen between them for each letter of the longer one.

    A slip is a letter lost, added, wrong, or swapped with its neighbour (optimal string alignment, Damerau 1964).
    Separators do not count, nor does a usual short form of `service`. 0..1, 1 for the same.

    >>> round(likeness("payment-service", "paymnet-svc"), 2), likeness("cart", "cart")
    (0.93, 1.0)
    """
    mine, theirs = _compact(one), _compact(other)
    return 1.0 - slips(mine, theirs) / max(len(mine), len(theirs), 1)


def slips(one: str, other: str) -> int:
    """Give the slips of the pen between two texts. Cost: the product of their lengths.

    >>> slips("cart", "crat"), slips("cart", "carts"), slips("", "ab")
    (1, 1, 2)
    """
    above: list[int] = []
    before = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        now = [row]
        for column, each in enumerate(other, 1):
            best = min(before[column] + 1, now[-1] + 1, before[column - 1] + (letter != each))
            swapped = row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == each
            now.append(min(best, above[column - 2] + 1) if swapped else best)
        above, before = before, now
    return before[-1]


def _shared(one: str, other: str) -> float:
    """Give the share of letters in runs that both have, 0..1, by which names are ranked."""
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()


def _compact(name: str) -> str:
    return "".join("service" if word in SHORT_FOR_SERVICE else word for word in name.split("-"))


def _pairs(name: str) -> set[str]:
    framed = f"^{name}$"
    return {framed[at : at + 2] for at in range(len(framed) - 1)}


def _entry(name: str, row: Mapping[str, Any]) -> CmdbEntry:
    listed = row.get("dependencies")
    each = [_text(one) for one in listed] if isinstance(listed, list) else _SEPARATORS.split(_text(listed))
    fields = {field: _text(row.get(field)) for field in FIELDS[1:7]}
    dependencies = tuple(dict.fromkeys(one for one in each if one))
    return CmdbEntry(
        name, **fields, dependencies=dependencies, last_updated_unix_ns=_time(_text(row.get("last_updated")))
    )


def _json_rows(text: str) -> list[Mapping[str, Any]]:
    read = orjson.loads(text)
    rows = read.get("services", read) if isinstance(read, dict) else read
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("it is not a list of objects")
    return rows


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _time(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0, int(moment.timestamp())) * 10**9
    except (ValueError, OverflowError):
        return 0
