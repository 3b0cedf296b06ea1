"""The metric detector's state on disk: `metrics.json` for what is small and named, `metrics.npz` for the arrays.

Both are written beside the old ones and then put in their place, the JSON last; a stamp in both tells that they belong
together. Holds no logic of detection.
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

from watchkeeper.errors import NewerFormat, StoreError

if TYPE_CHECKING:
    from watchkeeper.detect.metrics.detector import MetricDetector

STATE_VERSION = 2

Arrays = dict[str, npt.NDArray[np.generic]]
DAMAGED = (OSError, EOFError, KeyError, ValueError, TypeError, IndexError, zipfile.BadZipFile)


class Saved(NamedTuple):
    """What the two files hold."""

    document: dict[str, Any]
    arrays: Arrays


def save(folder: Path, detector: MetricDetector) -> None:
    """Write the state."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = int.from_bytes(os.urandom(4), "little")
    arrays: Arrays = {"stamp": np.array([stamp])}
    watch = detector.watch
    scorers = detector.joints.save(folder)
    parts: dict[str, Arrays] = {
        "sources": detector.sources.arrays(),
        "bank": detector.bank.arrays(),
        "services": detector.services.arrays(),
        "thresholds": detector.thresholds.arrays(),
        "capacity": detector.capacity.arrays(),
        "season": detector.season.arrays(),
        "watch": {name: getattr(watch, name) for name in watch.ARRAYS},
        "scorers": scorers,
    }
    for part, own in parts.items():
        arrays.update({f"{part}/{name}": array for name, array in own.items()})
    document = {
        "schema_version": STATE_VERSION,
        "stamp": stamp,
        "abouts": [None if one is None else list(one) for one in detector.sources.abouts],
        "evicted": detector.sources.evicted,
        "refused_points": detector.sources.refused_points,
        "told": vars(detector.told),
        "services": [detector.names.names, detector.names.references],
        "entities": [detector.entities.names, detector.entities.references],
        "limits": [[*key, row] for key, row in detector.capacity.limits.items()],
        "kinds": watch.kinds.as_list(),
        "episodes": detector.episodes.as_list(),
    }
    partial = folder / f"metrics.{os.getpid()}.partial"
    with partial.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    partial.replace(folder / "metrics.npz")
    partial.write_bytes(orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY))
    partial.replace(folder / "metrics.json")


def read(folder: Path) -> Saved:
    """Read the two files; raises StoreError, or NewerFormat of a newer version."""
    try:
        document = orjson.loads((folder / "metrics.json").read_bytes())
        version = document["schema_version"]
        if version > STATE_VERSION:
            raise NewerFormat(
                f"{folder}/metrics.json was written by a newer Watchkeeper (version {version}, this one reads "
                f"{STATE_VERSION}); upgrade, or delete the folder to learn anew"
            )
        with (folder / "metrics.npz").open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = dict(archive)
        if int(arrays["stamp"][0]) != document["stamp"]:
            raise ValueError("metrics.json and metrics.npz were not written together")
        return Saved(document, arrays)
    except DAMAGED as error:
        raise _unreadable(folder, error) from error


def take(folder: Path, saved: Saved, detector: MetricDetector) -> None:
    """Put what was read into a detector that knows nothing; raises StoreError when it does not fit."""
    try:
        document, watch = saved.document, detector.watch
        detector.sources.take(_part(saved, "sources"), document["abouts"])
        detector.sources.evicted = int(document["evicted"])
        detector.sources.refused_points = int(document["refused_points"])
        for name, count in document["told"].items():
            setattr(detector.told, name, int(count))
        detector.bank.take(_part(saved, "bank"))
        detector.season.take(_part(saved, "season"))
        detector.services.take_up(_part(saved, "services"))
        detector.thresholds.take(_part(saved, "thresholds"))
        detector.capacity.take_up(_part(saved, "capacity"), document["limits"])
        for name, array in _part(saved, "watch").items():
            setattr(watch, name, np.array(array, np.int64))
        detector.names.restore(*document["services"])
        detector.entities.restore(*document["entities"])
        detector.episodes.take(document["episodes"])
        watch.kinds.take(document["kinds"])
        detector.joints.load(folder, _part(saved, "scorers"))
    except DAMAGED as error:
        raise _unreadable(folder, error) from error


def _part(saved: Saved, part: str) -> Arrays:
    head = f"{part}/"
    return {name.removeprefix(head): array for name, array in saved.arrays.items() if name.startswith(head)}


def _unreadable(folder: Path, error: Exception) -> StoreError:
    if isinstance(error, StoreError):
        return error
    return StoreError(
        f"the metric detector's state in {folder} cannot be read: {error}; delete the folder to learn anew"
    )
