"""A data set from Watchkeeper's own store: what a service logged in a minute, and the incidents that people confirmed.

Enters: a home at rest or a backup, and a range of time. Leaves: one split in order of time, sessions of service and
minute. The earlier half of the minutes is learned from without labels, the later half is scored. Confirmed is an
incident that people called right (`watchkeeper feedback`), or acknowledged, resolved or reopened where nobody said what
it was. One that people called wrong is normal; of any other the minutes are left out of both sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from watchkeeper.bench.base import BenchError, DataSpec, Place, Split
from watchkeeper.bench.data.cached import SESSION_LABELS, SESSION_LINES, SESSION_TEXTS
from watchkeeper.bench.data.sessions import SessionTable
from watchkeeper.bench.own.home import Home, TimeRange, at_rest, check
from watchkeeper.diagnose.incident import Incident, IncidentState
from watchkeeper.diagnose.taken_up import is_confirmed, is_expected
from watchkeeper.patterns.miner import TemplateMiner

MINUTE_NS = 60 * 10**9
TOLD_MAX = 3
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Spell(NamedTuple):
    """The minutes of an incident, numbered from 1970, both ends within, and its services, none for all."""

    id: str
    first: int
    last: int
    services: frozenset[str]
    confirmed: bool
    expected: bool = False


class Lines(NamedTuple):
    """Log lines (n,): time in Unix ns, number of the service, template; names of services; texts of templates."""

    times_unix_ns: Ints
    services: Ints
    templates: Ints
    names: tuple[str, ...]
    texts: dict[int, str]


def store_data(name: str, home: Path, begin: datetime, end: datetime, *, version: int = 1, about: str = "") -> DataSpec:
    """Give the data set of a home or backup from `begin` up to `end`; raises BenchError where there is none."""
    check(home)
    within = read_range(name, begin, end)
    told = about or f"your own, from the store {home.name}: what services logged, minute by minute"
    splits = partial(_splits, home, within)
    return DataSpec(name, version, "anomaly-detection", "sessions", told, (), splits, system=name)


def read_range(name: str, begin: datetime, end: datetime) -> TimeRange:
    """Give the range in Unix ns; raises BenchError when it is none."""
    if begin.tzinfo is None or end.tzinfo is None or begin >= end:
        raise BenchError(
            f"the store {name}: from and to are to be two moments with an offset, such as 2026-11-16T00:00:00Z, "
            f"the earlier one first; not {begin.isoformat()} and {end.isoformat()}"
        )
    return _unix_ns(begin), _unix_ns(end)


def spells(incidents: Sequence[Incident]) -> list[Spell]:
    """Give the minutes of incidents; one that was merged counts as the one that took it over."""
    by_id = {each.id: each for each in incidents}
    heads: dict[str, list[Incident]] = {}
    for incident in incidents:
        head, passed = incident, {incident.id}
        while head.state is IncidentState.MERGED and head.merged_into in by_id and head.merged_into not in passed:
            head = by_id[head.merged_into]
            passed.add(head.id)
        heads.setdefault(head.id, []).append(incident)
    return [_spell(by_id[each], group) for each, group in heads.items()]


def _spell(head: Incident, group: Sequence[Incident]) -> Spell:
    first = min(each.first_unix_ns for each in group) // MINUTE_NS
    last = max(each.last_unix_ns for each in group) // MINUTE_NS
    services = frozenset(name for each in group for name in each.services) if head.services else frozenset()
    confirmed = any(is_confirmed(each) for each in group)
    return Spell(head.id, first, last, services, confirmed, not confirmed and all(is_expected(each) for each in group))


def judged(minutes: Ints, services: npt.NDArray[np.object_], told: Sequence[Spell]) -> tuple[Flags, Flags]:
    """Give which sessions (n,) are anomalous, and which of them count at all.

    Anomalous: the services of a confirmed incident in its minutes. Left out: the other services then, for how far it
    went nobody said; and the services of an incident that nobody confirmed, in its minutes, unless it is expected.
    """
    anomalous, unsure = np.zeros(len(minutes), bool), np.zeros(len(minutes), bool)
    for spell in told:
        during = (minutes >= spell.first) & (minutes <= spell.last)
        named = during & (np.isin(services, list(spell.services)) if spell.services else True)
        anomalous |= named & spell.confirmed
        unsure |= during if spell.confirmed else named & (not spell.expected)
    return anomalous, anomalous | ~unsure


def _splits(source: Path, within: TimeRange, place: Place) -> Iterator[Split]:
    with at_rest(source) as home:
        lines = _gathered(home, within)
        extent, told = home.extent(), spells(home.incidents)
    ids = [each.id for each in told if not each.confirmed and not each.expected and _meets(each, within)]
    if not len(lines.times_unix_ns):
        there = f"it has them from {_moment(extent[0])} to {_moment(extent[1])}" if extent else "it has none at all"
        raise BenchError(f"{source} has no log lines from {_moment(within[0])} to {_moment(within[1])}; {there}")
    width = len(lines.names)
    keys, session = np.unique(lines.times_unix_ns // MINUTE_NS * width + lines.services, return_inverse=True)
    minutes, names = keys // width, np.array(lines.names, dtype=object)[keys % width]
    anomalous, counted = judged(minutes, names, told)
    distinct = np.unique(minutes[counted])
    scored_from = int(distinct[len(distinct) // 2]) if len(distinct) else 0
    _hold(source, within, scored_from, anomalous, counted & (minutes >= scored_from), ids)
    kept = counted[session]
    titles = [f"{_moment(at * MINUTE_NS)} {name}" for at, name in zip(minutes, names, strict=True)]
    table = SessionTable(
        pa.table([session[kept], lines.templates[kept], lines.times_unix_ns[kept] / 1e9], schema=SESSION_LINES),
        pa.table([np.arange(len(keys)), titles, anomalous], schema=SESSION_LABELS).filter(pa.array(counted)),
        pa.table([list(lines.texts), list(lines.texts.values())], schema=SESSION_TEXTS),
    )
    numbers, first = np.arange(len(table)), int((counted & (minutes < scored_from)).sum())
    yield table.split("earlier and later", numbers[:first], numbers[first:], clean=False)


def _hold(
    source: Path, within: TimeRange, scored_from: int, anomalous: Flags, scored: Flags, unconfirmed: Sequence[str]
) -> None:
    """Raise BenchError unless what is scored holds both kinds; says what to do."""
    if (anomalous & scored).any() and (~anomalous & scored).any():
        return
    at = _moment(scored_from * MINUTE_NS)
    if (anomalous & scored).any():
        raise BenchError(
            f"{source} has nothing but confirmed incidents from {at} on, the half that is scored; let `from` be earlier"
        )
    waiting = ", ".join(unconfirmed[:TOLD_MAX]) + (", ..." if len(unconfirmed) > TOLD_MAX else "")
    advice = (
        f"incidents in the range that nobody confirmed: {waiting or 'none'}; say which were real with "
        "`watchkeeper feedback right ID`, or `incidents ack ID`, and read it anew"
    )
    if anomalous.any():
        raise BenchError(
            f"{source} has confirmed incidents before {at} alone, and what comes from there on is scored; "
            f"let `to` be earlier; {advice}"
        )
    raise BenchError(
        f"{source} has no confirmed incident with log lines of its services from {_moment(within[0])} to "
        f"{_moment(within[1])}; {advice}"
    )


def _gathered(home: Home, within: TimeRange) -> Lines:
    """Read the lines of a range. Cost: about 1 second and 50 MB for a million lines."""
    miner, numbers, texts = TemplateMiner(), dict[str, int](), dict[int, str]()
    parts: list[tuple[Ints, Ints, Ints]] = []
    for batch in home.lines(within):
        if not batch.num_rows:
            continue
        service = batch.column("service")
        names = [each or "" for each in service.dictionary.to_pylist()]
        known = [*names, ""] if service.null_count else names
        code = np.array([numbers.setdefault(each, len(numbers)) for each in known])
        parts.append(
            (
                batch.column("time_unix_ns").to_numpy(),
                code[service.indices.fill_null(len(names)).to_numpy()],
                _templates(batch, miner, texts),
            )
        )
    joined = [np.concatenate([np.zeros(0, np.int64), *column]) for column in zip(*parts, strict=True)]
    times, services, templates = joined or [np.zeros(0, np.int64)] * 3
    return Lines(times, services, templates, tuple(numbers), texts)


def _templates(batch: pa.RecordBatch, miner: TemplateMiner, texts: dict[int, str]) -> Ints:
    """Give the template of each line as it was stored, mined here where it was stored before it was mined."""
    bodies, stored = batch.column("body"), batch.column("template_id")
    ids = stored.fill_null(0).to_numpy().copy()
    missing = np.flatnonzero(stored.is_null().to_numpy(zero_copy_only=False))
    if len(missing):
        ids[missing] = _mined(miner, bodies, missing)
    known, rows = np.unique(ids, return_index=True)
    new = np.array([at for at, each in enumerate(known.tolist()) if each not in texts], np.int64)
    for identifier, mined in zip(known[new].tolist(), _mined(miner, bodies, rows[new]).tolist(), strict=True):
        found = miner.get(mined)
        texts[identifier] = found.text if found else ""
    return np.asarray(ids, np.int64)


def _mined(miner: TemplateMiner, bodies: pa.Array, rows: Ints) -> Ints:
    return np.asarray(miner.match(bodies.take(pa.array(rows)), pa.nulls(len(rows), pa.int64())).to_numpy(), np.int64)


def _meets(spell: Spell, within: TimeRange) -> bool:
    return spell.last >= within[0] // MINUTE_NS and spell.first * MINUTE_NS < within[1]


def _unix_ns(moment: datetime) -> int:
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1_000


def _moment(unix_ns: int) -> str:
    return datetime.fromtimestamp(int(unix_ns) // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
