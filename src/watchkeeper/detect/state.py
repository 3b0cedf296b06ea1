"""The log detector's state on disk: `logs.json` for what is small and named, `logs.npz` for the arrays.

Both are written beside the old ones and then put in their place, the JSON last; a stamp in both tells that they belong
together. Holds no logic of detection.
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson

from watchkeeper.detect.findings import OpenFindings
from watchkeeper.detect.novelty import NoveltyClock
from watchkeeper.detect.parameters import ParameterWatch
from watchkeeper.detect.parts import Timing
from watchkeeper.detect.series import SeriesBank
from watchkeeper.detect.service import ServiceWatch
from watchkeeper.errors import NewerFormat, StoreError

STATE_VERSION = 1


class Saved(NamedTuple):
    """The watches, least recently heard first, and the newest event time of all."""

    watches: list[ServiceWatch]
    newest_ns: int


def save(
    folder: Path,
    watches: list[ServiceWatch],
    findings: list[dict[str, Any]],
    parameters: list[dict[str, Any]],
    newest_ns: int,
) -> None:
    """Write the state."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = int.from_bytes(os.urandom(4), "little")
    arrays: dict[str, Any] = {"stamp": np.array([stamp])}
    for number, watch in enumerate(watches):
        arrays.update({f"{number}.{name}": array for name, array in watch.bank.arrays().items()})
        arrays[f"{number}.templates"] = np.array(list(watch.ids), np.int64)
        arrays[f"{number}.indices"] = np.array(list(watch.ids.values()), np.int64)
        arrays.update({f"{number}.counts.{window}": counts for window, counts in watch.counts.items()})
    document = {
        "schema_version": STATE_VERSION,
        "stamp": stamp,
        "newest_ns": newest_ns,
        "services": [_service(watch) for watch in watches],
        "findings": findings,
        "parameters": parameters,
    }
    partial = folder / f"logs.{os.getpid()}.partial"
    with partial.open("wb") as file:
        np.savez(file, **arrays)
    partial.replace(folder / "logs.npz")
    partial.write_bytes(orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS))
    partial.replace(folder / "logs.json")


def load(folder: Path, timing: Timing, findings: OpenFindings, parameters: ParameterWatch | None) -> Saved:
    """Read the state, putting open findings into `findings` and values known into `parameters`.

    Raises StoreError, or NewerFormat of a newer version.
    """
    try:
        document = orjson.loads((folder / "logs.json").read_bytes())
        version = document["schema_version"]
        if version > STATE_VERSION:
            raise NewerFormat(
                f"{folder}/logs.json was written by a newer Watchkeeper (version {version}, this one reads "
                f"{STATE_VERSION}); upgrade, or delete the folder to learn anew"
            )
        with (folder / "logs.npz").open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = dict(archive)
        if int(arrays["stamp"][0]) != document["stamp"]:
            raise ValueError("logs.json and logs.npz were not written together")
        watches = [_watch(item, number, arrays, timing) for number, item in enumerate(document["services"])]
        findings.take(document["findings"])
        if parameters is not None:
            parameters.take_up(document.get("parameters", []))
        return Saved(watches, int(document["newest_ns"]))
    except (OSError, EOFError, KeyError, ValueError, TypeError, IndexError, zipfile.BadZipFile) as error:
        raise StoreError(
            f"the log detector's state in {folder} cannot be read: {error}; delete the folder to learn anew"
        ) from error


def _service(watch: ServiceWatch) -> dict[str, Any]:
    return {
        "name": watch.name,
        "first_ns": watch.first_ns,
        "newest_ns": watch.newest_ns,
        "lines": watch.lines,
        "late_lines": watch.late_lines,
        "next_window": watch.next_window,
        "silent_windows": watch.silent_windows,
        "empty_windows": watch.empty_windows,
        "behind_ns": watch.behind_ns,
        "windows": sorted(watch.counts),
        "heat": [[window, list(scores.items())] for window, scores in watch.heat.items()],
        "suspects": [[window, sorted(series)] for window, series in watch.suspects.items()],
        "settled": sorted(watch.settled),
        "clocks": [[clock.from_ns, clock.events, clock.at_ns] for clock in watch.clocks],
    }


def _watch(item: dict[str, Any], number: int, arrays: dict[str, Any], timing: Timing) -> ServiceWatch:
    watch = ServiceWatch(str(item["name"]), int(item["first_ns"]), timing)
    prefix = f"{number}."
    own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    watch.bank = SeriesBank.from_arrays(own)
    watch.ids = dict(zip(own["templates"].tolist(), own["indices"].tolist(), strict=True))
    watch.counts = {int(window): own[f"counts.{window}"] for window in item["windows"]}
    watch.heat = {int(w): {int(index): float(score) for index, score in scores} for w, scores in item["heat"]}
    watch.suspects = {int(window): {int(index) for index in series} for window, series in item["suspects"]}
    watch.settled = {int(index) for index in item["settled"]}
    watch.clocks = [NoveltyClock(int(start), float(events), int(at)) for start, events, at in item["clocks"]]
    watch.empty_windows = int(item.get("empty_windows", 0))
    for name in ("newest_ns", "lines", "late_lines", "next_window", "silent_windows", "behind_ns"):
        setattr(watch, name, int(item[name]))
    return watch
