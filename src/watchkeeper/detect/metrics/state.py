"""The metric detector's state on disk: what of it is kept, how it is taken up. Holds no logic of detection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from watchkeeper.detect.kept import Arrays, Kept, StateFiles

if TYPE_CHECKING:
    from watchkeeper.detect.metrics.detector import MetricDetector

FILES = StateFiles("metrics", 2)


def save(folder: Path, detector: MetricDetector) -> None:
    """Write the state."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays: Arrays = {}
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
    FILES.write(folder, document, arrays)


def read(folder: Path) -> Kept:
    """Read the two files; raises StoreError, or NewerFormat of a newer version."""
    return FILES.read(folder)


def take(folder: Path, saved: Kept, detector: MetricDetector) -> None:
    """Put what was read into a detector that knows nothing; raises StoreError when it does not fit."""
    with FILES.understood(folder):
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


def _part(saved: Kept, part: str) -> Arrays:
    head = f"{part}/"
    return {name.removeprefix(head): array for name, array in saved.arrays.items() if name.startswith(head)}
