"""Titan's GPUs: where each card was from when to when, and what failed (2013 to 2019), as a Fleet.

Enters: the data set `titan_gpu`. Leaves: a Fleet. A row without a time of installation tells of a failure only. The
serial number tells week and year of manufacture. A card counts as in service from the inventory that first saw it.
"""

from __future__ import annotations

import csv
import datetime
import io
import math
import re
from pathlib import Path

import numpy as np

from watchkeeper.datasets.read import open_member
from watchkeeper.diagnose.risk.fleet import Fleet
from watchkeeper.errors import DataSetError

MEMBER = "data/gc_full.csv"
LEVELS = ("column", "row", "cage", "slot", "node")
KINDS = ("dbe", "otb")
"""A double-bit error, and a card that went off the bus."""
_PLACE = re.compile(r"c(\d+)-(\d+)c(\d+)s(\d+)n(\d+)")


def fleet(folder: Path) -> Fleet:
    """Read the history; raises DataSetError when the set is not there or a row is none of it."""
    with open_member("titan_gpu", MEMBER, folder) as stream:
        rows = list(csv.DictReader(io.TextIOWrapper(stream, "utf-8")))
    names = sorted({row["SN"] for row in rows})
    number = {name: at for at, name in enumerate(names)}
    stays = [row for row in rows if row["insert"]]
    failures = [row for row in rows if row["event"]]
    return Fleet(
        part=np.array([number[row["SN"]] for row in stays], np.int64),
        place=np.array([_place(row["location"]) for row in stays], np.int64),
        installed_s=np.array([_time_s(row["insert"]) for row in stays]),
        removed_s=np.array([_time_s(row["remove"]) for row in stays]),
        failed_part=np.array([number[row["SN"]] for row in failures], np.int64),
        failed_s=np.array([_time_s(row["remove"]) for row in failures]),
        failed_kind=np.array([KINDS.index(row["event"].lower()) for row in failures], np.int64),
        failed_place=np.array([_place(row["location"]) for row in failures], np.int64),
        made_s=np.array([made_s(name) for name in names]),
        serial=np.array([int(name) for name in names], np.int64),
        levels=LEVELS,
        kinds=KINDS,
    )


def made_s(serial: str) -> float:
    """Give when a card was made, by the week and year in its serial number (03WWYYn...); NaN when these are none."""
    try:
        made = datetime.date.fromisocalendar(2000 + int(serial[5:7]), int(serial[3:5]), 1)
    except ValueError:
        return math.nan
    return datetime.datetime(made.year, made.month, made.day, tzinfo=datetime.UTC).timestamp()


def _place(text: str) -> tuple[int, ...]:
    found = _PLACE.fullmatch(text)
    if found is None:
        raise DataSetError(f"titan_gpu: {text!r} is no place of a node; fetch the data set again")
    return tuple(int(each) for each in found.groups())


def _time_s(text: str) -> float:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC).timestamp()
