"""The log detector's state on disk: what of its watches is kept, how it is taken up. Holds no logic of detection."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from watchkeeper.detect.findings import OpenFindings
from watchkeeper.detect.kept import Arrays, StateFiles
from watchkeeper.detect.novelty import NoveltyClock
from watchkeeper.detect.parameters import ParameterWatch
from watchkeeper.detect.parts import Timing
from watchkeeper.detect.series import SeriesBank
from watchkeeper.detect.service import ServiceWatch

FILES = StateFiles("logs", 1)


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
    arrays: Arrays = {}
    for number, watch in enumerate(watches):
        arrays.update({f"{number}.{name}": array for name, array in watch.bank.arrays().items()})
        arrays[f"{number}.templates"] = np.array(list(watch.ids), np.int64)
        arrays[f"{number}.indices"] = np.array(list(watch.ids.values()), np.int64)
        arrays.update({f"{number}.counts.{window}": counts for window, counts in watch.counts.items()})
    document = {
        "newest_ns": newest_ns,
        "services": [_service(watch) for watch in watches],
        "findings": findings,
        "parameters": parameters,
    }
    FILES.write(folder, document, arrays)


def load(folder: Path, timing: Timing, findings: OpenFindings, parameters: ParameterWatch | None) -> Saved:
    """Read the state, putting open findings into `findings` and values known into `parameters`.

    Raises StoreError, or NewerFormat of a newer version.
    """
    document, arrays = FILES.read(folder)
    with FILES.understood(folder):
        watches = [_watch(item, number, arrays, timing) for number, item in enumerate(document["services"])]
        findings.take(document["findings"])
        if parameters is not None:
            parameters.take_up(document.get("parameters", []))
        return Saved(watches, int(document["newest_ns"]))


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
