"""What is known of each part of a fleet at one moment: the rows that a risk of failure is learned from.

Enters: a Fleet (which part was where from when to when, and what failed) and a moment. Leaves: one row for each part in
service, of what was known by then and nothing later. Does not learn, and knows no machine: places are plain numbers.

Source of what matters (age, place in the rack, what failed nearby, series of manufacture): Ostrouchov et al., "GPU
lifetimes on Titan supercomputer: survival analysis and reliability", SC 2020.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

DAY_S = 86_400.0
YEAR_DAYS = 365.25
WINDOWS_DAYS = (30, 90, 365)
"""How far back failures are counted: this month, this quarter, this year."""
LONG_AGO_DAYS = 3_650.0
"""Stands for never, in columns that tell how long ago something was."""
ALIKE = (64, 1024)
"""How many parts with the nearest serial numbers count as made together: a box, a lot."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Fleet:
    """Stays of parts in places, and failures.

    part (n,): number of the part that a stay is of. place (n, levels): where, from the largest unit to the smallest.
    installed_s, removed_s (n,): unix seconds; removed_s is inf while it is still in. failed_part, failed_s, failed_kind
    (m,) and failed_place (m, levels): failures, kinds counted from 0. made_s (parts,): when a part was made, NaN when
    not known. serial (parts,): numbers of which near ones were made together. levels: names of the columns of place.
    """

    part: Ints
    place: Ints
    installed_s: Floats
    removed_s: Floats
    failed_part: Ints
    failed_s: Floats
    failed_kind: Ints
    failed_place: Ints
    made_s: Floats
    serial: Ints
    levels: tuple[str, ...]
    kinds: tuple[str, ...]

    def until(self, moment_s: float) -> Fleet:
        """Give the fleet as it was known at a moment: later stays and failures gone, later removals not yet known."""
        seen, past = self.installed_s <= moment_s, self.failed_s <= moment_s
        removed = self.removed_s[seen]
        return replace(
            self,
            part=self.part[seen],
            place=self.place[seen],
            installed_s=self.installed_s[seen],
            removed_s=np.where(removed > moment_s, np.inf, removed),
            failed_part=self.failed_part[past],
            failed_s=self.failed_s[past],
            failed_kind=self.failed_kind[past],
            failed_place=self.failed_place[past],
        )

    def fails(self, part: Ints, after_s: float, until_s: float) -> Flags:
        """Tell which parts fail after one moment and not after the other."""
        within = (self.failed_s > after_s) & (self.failed_s <= until_s)
        return np.isin(part, self.failed_part[within])


class Known(NamedTuple):
    """Rows (n, d) of what is known, the names of the columns, and the number of the part of each row."""

    rows: npt.NDArray[np.float32]
    columns: tuple[str, ...]
    part: Ints


def known_at(fleet: Fleet, moment_s: float) -> Known:
    """Give a row for each part in service at a moment, by what was known by then.

    A part is in service from its installation until its removal. Cost: the number of stays and failures, a few times.
    """
    now = fleet.until(moment_s)
    inside = np.flatnonzero(np.isinf(now.removed_s))
    last = np.lexsort((now.installed_s[inside], now.part[inside]))
    inside = inside[last][np.flatnonzero(np.diff(now.part[inside][last], append=-1))]  # the latest stay of each part
    columns: dict[str, Floats] = {}
    columns |= _of_part(now, inside, moment_s)
    columns |= _of_place(now, inside, moment_s)
    columns |= _of_series(now, inside, moment_s)
    season = 2 * np.pi * (moment_s / DAY_S % YEAR_DAYS) / YEAR_DAYS
    columns["season_sine"] = np.full(len(inside), np.sin(season))
    columns["season_cosine"] = np.full(len(inside), np.cos(season))
    return Known(
        np.stack(list(columns.values()), axis=1).astype(np.float32).reshape(len(inside), len(columns)),
        tuple(columns),
        now.part[inside],
    )


def _of_part(now: Fleet, inside: Ints, moment_s: float) -> dict[str, Floats]:
    """Tell of each part: its age, its stays, its failures."""
    part, count = now.part[inside], len(now.made_s)
    first = np.full(count, np.inf)
    np.minimum.at(first, now.part, now.installed_s)
    stays = np.bincount(now.part, minlength=count)
    told = {
        "days_since_first_installed": (moment_s - first[part]) / DAY_S,
        "days_since_installed": (moment_s - now.installed_s[inside]) / DAY_S,
        "days_since_made": np.where(np.isfinite(now.made_s[part]), (moment_s - now.made_s[part]) / DAY_S, -1.0),
        "stays_before": (stays[part] - 1).astype(np.float64),
    }
    for number, kind in enumerate(now.kinds):
        of_kind = now.failed_part[now.failed_kind == number]
        told[f"own_failures_{kind}"] = np.bincount(of_kind, minlength=count)[part].astype(np.float64)
    for days in WINDOWS_DAYS:
        recent = now.failed_part[now.failed_s > moment_s - days * DAY_S]
        told[f"own_failures_{days}d"] = np.bincount(recent, minlength=count)[part].astype(np.float64)
    told["days_since_own_failure"] = _since(now.failed_part, now.failed_s, count, moment_s)[part]
    return told


def _of_place(now: Fleet, inside: Ints, moment_s: float) -> dict[str, Floats]:
    """Tell of each place what failed there lately: of the units around it, and of the same coordinate everywhere."""
    place = now.place[inside]
    told: dict[str, Floats] = {name: place[:, at].astype(np.float64) for at, name in enumerate(now.levels)}
    for depth in range(1, len(now.levels) + 1):
        told |= _failures_of(
            now, place[:, :depth], now.failed_place[:, :depth], f"unit_{now.levels[depth - 1]}", moment_s
        )
    for at, name in enumerate(now.levels):
        told |= _failures_of(now, place[:, at : at + 1], now.failed_place[:, at : at + 1], f"any_{name}", moment_s)
    return told


def _of_series(now: Fleet, inside: Ints, moment_s: float) -> dict[str, Floats]:
    """Tell of each part how those made together with it, and the whole fleet, failed lately."""
    part, told = now.part[inside], {}
    by_serial = np.argsort(now.serial, kind="stable")
    place = np.empty(len(by_serial), np.int64)
    place[by_serial] = np.arange(len(by_serial))
    seen = np.zeros(len(by_serial), bool)
    seen[now.part] = True
    in_line = np.concatenate([[0], np.cumsum(seen[by_serial])])
    for days in WINDOWS_DAYS:
        recent = now.failed_part[now.failed_s > moment_s - days * DAY_S]
        failed = np.bincount(recent, minlength=len(by_serial))
        line = np.concatenate([[0], np.cumsum(failed[by_serial])])
        for alike in ALIKE:
            low, high = np.maximum(place[part] - alike // 2, 0), np.minimum(place[part] + alike // 2 + 1, len(line) - 1)
            others = np.maximum(in_line[high] - in_line[low] - 1, 1)
            told[f"made_together_{alike}_{days}d"] = (line[high] - line[low] - failed[part]) / others
        told[f"fleet_{days}d"] = np.full(len(part), len(recent) / max(len(part), 1))
    return told


def _failures_of(now: Fleet, mine: Ints, failed: Ints, name: str, moment_s: float) -> dict[str, Floats]:
    """Count failures of each window in the group of each row, a part in it."""
    codes = _codes(np.concatenate([mine, failed]))
    group, of_failure = codes[: len(mine)], codes[len(mine) :]
    groups = int(codes.max(initial=0)) + 1
    members = np.bincount(group, minlength=groups)
    told = {f"{name}_days_since": _since(of_failure, now.failed_s, groups, moment_s)[group]}
    for days in WINDOWS_DAYS:
        recent = now.failed_s > moment_s - days * DAY_S
        counts = np.bincount(of_failure[recent], minlength=groups)
        told[f"{name}_{days}d"] = counts[group] / np.maximum(members[group], 1)
    return told


def _since(of: Ints, failed_s: Floats, count: int, moment_s: float) -> Floats:
    """Give how many days ago each of `count` groups last failed, LONG_AGO_DAYS where it never did."""
    latest = np.full(count, -np.inf)
    np.maximum.at(latest, of, failed_s)
    return np.minimum((moment_s - latest) / DAY_S, LONG_AGO_DAYS)


def _codes(places: Ints) -> Ints:
    """Number the distinct rows of places (n, depth), numbers from 0 on, from 0 on."""
    code = np.zeros(len(places), np.int64)
    for column in places.T:
        code = np.unique(code * (int(column.max(initial=0)) + 1) + column, return_inverse=True)[1].reshape(-1)
    return code
