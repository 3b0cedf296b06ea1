"""The ways in which logs write time, in one table, and what they mean in Unix nanoseconds.

Enters: the match of a regular expression built from the fragments below. Leaves: Unix nanoseconds, or None for a date
that does not exist. A text without a zone is in the Clock's zone, one without a year or date is the latest such moment
not after the Clock's reference. Does not look for a time in a line: the formats say where it stands.
"""

from __future__ import annotations

import calendar
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from watchkeeper.errors import SettingError

SECOND_NS = 1_000_000_000
DAY_S = 86_400
TIME_MAX_UNIX_NS = 2**63 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CACHE_ENTRIES_MAX = 4096

_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1
    )
}
_ZONE_HOURS = {
    "Z": 0, "UTC": 0, "GMT": 0, "WET": 0, "CET": 1, "WEST": 1, "CEST": 2, "EET": 2, "EEST": 3, "MSK": 3,
    "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7, "JST": 9, "KST": 9,
}  # fmt: skip

_DATE = r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)"
_CLOCK = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_FRACTION = r"(?:[.,](?P<fraction>\d{1,9})\d*)?"
_NAMES = "|".join(name for name in _ZONE_HOURS if name != "Z")
_ZONE = rf"(?: ?(?P<zone>Z|(?:{_NAMES})\b|[+-]\d\d:\d\d|[+-]\d{{4}}\b|(?<! )[+-]\d\d\b))?"
_MONTH = r"(?P<month>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_WEEKDAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"


@dataclass(frozen=True)
class Stamp:
    """One way of writing time: a fragment with groups of the names that `StampReader` knows, and an example."""

    name: str
    pattern: str
    example: str


STAMPS: tuple[Stamp, ...] = (
    Stamp(
        "bgl",
        _DATE + r"-(?P<hour>\d\d)\.(?P<minute>\d\d)\.(?P<second>\d\d)\.(?P<fraction>\d{1,9})",
        "2005-06-03-15.42.50.363779",
    ),
    Stamp(
        "iso", _DATE + "[T _]" + _CLOCK + r"(?:[.,:](?P<fraction>\d{1,9})\d*)?" + _ZONE, "2024-01-02T03:04:05.678+01:00"
    ),
    Stamp("iso-minute", _DATE + r"[T ](?P<hour>\d\d):(?P<minute>\d\d)" + _ZONE, "2024-01-02 03:04"),
    Stamp(
        "iso-basic",
        r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)T(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)"
        + _FRACTION
        + _ZONE,
        "20240102T030405Z",
    ),
    Stamp(
        "compact-colons",
        r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)[- ](?P<hour>\d{1,2}):(?P<minute>\d{1,2}):(?P<second>\d{1,2})"
        r"(?::(?P<millisecond>\d{1,3})|[.,](?P<fraction>\d{1,9}))?",
        "20171223-22:15:29:606",
    ),
    Stamp(
        "slash",
        r"(?P<year>\d{4})/(?P<month>\d\d)/(?P<day>\d\d)[ T]" + _CLOCK + _FRACTION + _ZONE,
        "2024/01/02 03:04:05",
    ),
    Stamp("slash-short", r"(?P<year>\d\d)/(?P<month>\d\d)/(?P<day>\d\d) " + _CLOCK + _FRACTION, "17/06/09 20:10:40"),
    Stamp(
        "digits",
        r"(?P<year>\d\d)(?P<month>\d\d)(?P<day>\d\d) (?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)",
        "081109 203615",
    ),
    Stamp(
        "clf",
        r"(?P<day>\d\d)/" + _MONTH + r"/(?P<year>\d{4}):" + _CLOCK + _FRACTION + _ZONE,
        "10/Oct/2000:13:55:36 -0700",
    ),
    Stamp(
        "ctime",
        _WEEKDAY
        + ",? "
        + _MONTH
        + r" +(?P<day>\d{1,2}) "
        + _CLOCK
        + _FRACTION
        + rf"(?: (?P<zone>{_NAMES}))? (?P<year>\d{{4}})",
        "Sun Dec 04 04:47:44 2005",
    ),
    Stamp(
        "mail",
        rf"(?:{_WEEKDAY}, )?(?P<day>\d{{1,2}})[ -]{_MONTH}[ -](?P<year>\d{{4}}) " + _CLOCK + _FRACTION + _ZONE,
        "Tue, 02 Jan 2024 03:04:05 +0000",
    ),
    Stamp(
        "syslog",
        _MONTH + r" {1,2}(?P<day>\d{1,2})(?: (?P<year>\d{4}))? " + _CLOCK + _FRACTION,
        "Jun 14 15:16:01",
    ),
    Stamp(
        "java",
        _MONTH
        + r" (?P<day>\d{1,2}), (?P<year>\d{4}) (?P<hour>\d{1,2}):(?P<minute>\d\d):(?P<second>\d\d) (?P<half>[AP]M)",
        "Oct 18, 2015 6:01:47 PM",
    ),
    Stamp(
        "american",
        r"(?P<month>\d{1,2})/(?P<day>\d{1,2})/(?P<year>\d{4}),? (?P<hour>\d{1,2}):(?P<minute>\d\d):(?P<second>\d\d)"
        + _FRACTION
        + r"(?: (?P<half>[AP]M))?",
        "10/18/2015 6:01:47 PM",
    ),
    Stamp("dotted", r"(?P<day>\d\d)\.(?P<month>\d\d)\.(?P<year>\d{4}) " + _CLOCK + _FRACTION, "18.10.2015 18:01:47"),
    Stamp("month-day", r"(?P<month>\d\d)-(?P<day>\d\d) " + _CLOCK + _FRACTION, "03-17 16:13:38.811"),
    Stamp("month-day-dotted", r"(?P<month>\d\d)\.(?P<day>\d\d) " + _CLOCK, "10.30 16:49:06"),
    Stamp("glog", r"(?:(?P<year>\d{4}))?(?P<month>\d\d)(?P<day>\d\d) " + _CLOCK + _FRACTION, "0102 03:04:05.678901"),
    Stamp("epoch", r"(?P<epoch>\d{9,10}(?:\.\d{1,9})?|\d{13}|\d{16}|\d{19})(?!\d)", "1700000000.123"),
    Stamp("time", _CLOCK + _FRACTION, "03:04:05.678"),
)

FRAGMENTS: dict[str, str] = {stamp.name: stamp.pattern for stamp in STAMPS}

_MINUTE_FIELDS = ("year", "month", "day", "hour", "minute", "half", "zone")
_FRACTION_NS: tuple[int, ...] = tuple(10 ** (9 - digits) for digits in range(10))


@dataclass
class Clock:
    """What is assumed where a text says less than a moment: its zone, and the latest moment it can mean."""

    zone: tzinfo = UTC
    reference_unix_ns: int = 0
    minutes: dict[tuple[str | None, ...], int | None] = field(default_factory=dict, repr=False)

    def reference(self) -> datetime:
        """Give the reference in the clock's zone."""
        return (_EPOCH + timedelta(seconds=self.reference_unix_ns // SECOND_NS)).astimezone(self.zone)


class StampReader:
    """Reads the time out of the matches of one compiled pattern; remembers minutes, for neighbours share them."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        known = pattern.groupindex
        self._fields = tuple(name for name in _MINUTE_FIELDS if name in known)
        self._has = {name: name in known for name in ("second", "fraction", "millisecond", "epoch")}
        self._dates = bool(self._fields)

    @property
    def reads_time(self) -> bool:
        """Tell whether the pattern holds a time at all."""
        return self._dates or self._has["epoch"]

    def read(self, match: re.Match[str], clock: Clock) -> int | None:
        """Give Unix nanoseconds, or None when the match holds no time or no real one; about 2 microseconds."""
        if self._has["epoch"] and match["epoch"]:
            return epoch_ns(match["epoch"])
        if not self._dates or match["minute"] is None:
            return None
        values = match.group(*self._fields)
        key = (*self._fields, *values)
        if key in clock.minutes:
            minute_s = clock.minutes[key]
        else:
            minute_s = _minute_unix_s(dict(zip(self._fields, values, strict=True)), clock)
            if len(clock.minutes) >= _CACHE_ENTRIES_MAX:
                clock.minutes.clear()
            clock.minutes[key] = minute_s
        if minute_s is None:
            return None
        second = int(match["second"]) if self._has["second"] else 0
        return _in_range((minute_s + second) * SECOND_NS + self._fraction_ns(match))

    def _fraction_ns(self, match: re.Match[str]) -> int:
        if self._has["fraction"] and (digits := match["fraction"]):
            return int(digits) * _FRACTION_NS[len(digits)]
        if self._has["millisecond"] and (digits := match["millisecond"]):
            return int(digits) * 1_000_000
        return 0


def _minute_unix_s(values: dict[str, str | None], clock: Clock) -> int | None:
    """Turn the fields of one minute into Unix seconds; None when there is no such minute."""
    hour = int(values["hour"] or 0)
    if half := values.get("half"):
        hour = hour % 12 + (12 if half.upper() == "PM" else 0)
    zone = _zone(values.get("zone"), clock)
    try:
        if not values.get("day"):
            return _latest_time(hour, int(values["minute"] or 0), zone, clock)
        month_text = values["month"] or ""
        month = _MONTHS[month_text.lower()] if month_text.isalpha() else int(month_text)
        day, minute = int(values["day"] or 0), int(values["minute"] or 0)
        if year_text := values.get("year"):
            year = int(year_text)
            year += (2000 if year < 70 else 1900) if len(year_text) == 2 else 0
            return _unix_s(datetime(year, month, day, hour, minute, tzinfo=zone))
        return _latest_date(month, day, hour, minute, zone, clock)
    except (ValueError, OverflowError, KeyError):
        return None


def _unix_s(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(seconds=1)


def _latest_date(month: int, day: int, hour: int, minute: int, zone: tzinfo, clock: Clock) -> int | None:
    """Give the latest such date that is not more than a day after the reference (clocks and zones differ)."""
    reference = clock.reference()
    for year in range(reference.year + 1, reference.year - 9, -1):
        try:
            moment = _unix_s(datetime(year, month, day, hour, minute, tzinfo=zone))
        except ValueError:
            continue
        if moment <= clock.reference_unix_ns // SECOND_NS + DAY_S:
            return moment
    return None


def _latest_time(hour: int, minute: int, zone: tzinfo, clock: Clock) -> int:
    reference = clock.reference().astimezone(zone)
    moment = _unix_s(reference.replace(hour=hour, minute=minute, second=0, microsecond=0))
    return moment - DAY_S if moment > clock.reference_unix_ns // SECOND_NS + 60 else moment


def _zone(text: str | None, clock: Clock) -> tzinfo:
    if not text:
        return clock.zone
    if text in _ZONE_HOURS:
        return timezone(timedelta(hours=_ZONE_HOURS[text]))
    digits = text[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:4]))
    return timezone(-offset if text[0] == "-" else offset)


def _in_range(unix_ns: int) -> int | None:
    return unix_ns if 0 < unix_ns <= TIME_MAX_UNIX_NS else None


def epoch_ns(text: str) -> int | None:
    """Read Unix seconds, milliseconds, microseconds or nanoseconds, told apart by their size.

    >>> epoch_ns("1700000000.25"), epoch_ns("1700000000250"), epoch_ns("x")
    (1700000000250000000, 1700000000250000000, None)
    """
    whole, _, fraction = text.strip().partition(".")
    if not (whole.isascii() and whole.isdecimal()) or (fraction and not (fraction.isascii() and fraction.isdecimal())):
        return None
    scale = 9 if len(whole) <= 11 else 6 if len(whole) <= 14 else 3 if len(whole) <= 17 else 0
    fraction = fraction[:scale].ljust(scale, "0")
    return _in_range(int(whole[:25]) * 10**scale + int(fraction or "0"))


class _LocalZone(tzinfo):
    """The zone of this machine, with the offset that held at each moment."""

    def utcoffset(self, moment: datetime | None) -> timedelta:
        """Give the offset at a wall-clock time; at a clock change, the one that the C library chooses."""
        wall = (moment or datetime(1970, 1, 2)).replace(tzinfo=None)
        return timedelta(seconds=time.localtime(time.mktime(wall.timetuple())).tm_gmtoff)

    def dst(self, moment: datetime | None) -> timedelta:
        """Give zero: the offset includes it."""
        return timedelta(0)

    def tzname(self, moment: datetime | None) -> str:
        """Give the name that the command line takes."""
        return "local"

    def fromutc(self, moment: datetime) -> datetime:
        """Turn a UTC time into the local one."""
        offset = time.localtime(calendar.timegm(moment.timetuple())).tm_gmtoff
        return moment + timedelta(seconds=offset)


def zone_of_text(text: str) -> tzinfo:
    """Read a zone as the command line takes it: `local`, `UTC`, `+02:00`, `Europe/Berlin`; raises SettingError."""
    name = text.strip()
    if name.lower() == "local":
        return _LocalZone()
    if re.fullmatch(r"[+-]\d\d:?\d\d", name):
        return _zone(name, Clock())
    if name.upper() in _ZONE_HOURS:
        return _zone(name.upper(), Clock())
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise SettingError(
            f"there is no time zone {text!r}; write local, UTC, +02:00 or a name as Europe/Berlin"
        ) from error


_ANY_STAMP: tuple[tuple[re.Pattern[str], StampReader], ...] = tuple(
    (pattern, StampReader(pattern)) for pattern in (re.compile(stamp.pattern, re.ASCII) for stamp in STAMPS)
)


def time_of_text(text: str, clock: Clock) -> int | None:
    """Read a text that is a time and nothing else, in any form of the table; None when it is none.

    >>> time_of_text("2024-01-02T03:04:05Z", Clock())
    1704164645000000000
    """
    stripped = text.strip()
    for pattern, reader in _ANY_STAMP:
        match = pattern.fullmatch(stripped)
        if match is not None and (found := reader.read(match, clock)) is not None:
            return found
    return None
