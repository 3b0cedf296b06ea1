"""The trace detector's state on disk: `traces.json` for what is small and named, `traces.npz` for the arrays.

Both are written beside the old ones and then put in their place, the JSON last; a stamp in both tells that they belong
together. Holds no logic of detection.
"""

from __future__ import annotations

import math
import os
import zipfile
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from watchkeeper.detect.traces.findings import OpenTraceFindings
from watchkeeper.detect.traces.history import Figures, Key, Watched
from watchkeeper.detect.traces.spans import Spans, together
from watchkeeper.detect.traces.watch import Service, TraceWatch
from watchkeeper.errors import NewerFormat, StoreError

STATE_VERSION = 1
_NUMBERS = ("next_window", "newest_ns", "late_spans", "dropped_spans")


def save(folder: Path, watch: TraceWatch, findings: OpenTraceFindings) -> None:
    """Write the state."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = int.from_bytes(os.urandom(4), "little")
    arrays: dict[str, Any] = {
        "stamp": np.array([stamp]),
        **watch.histories.arrays(),
        **watch.sketches.arrays(),
        **watch.volumes.arrays(),
    }
    for window, parts in watch.pending.items():
        arrays.update(_named(f"pending.{window}", together(parts)))
    for window, spans in watch.recent:
        arrays.update(_named(f"recent.{window}", spans))
    document = {
        "schema_version": STATE_VERSION,
        "stamp": stamp,
        "operations": [list(one) for one in watch.operations.names],
        "rows": [list(key) for key in watch.histories.rows],
        "services": [[name, one.first_ns, one.newest_ns, one.spans] for name, one in watch.services.items()],
        "callees": list(watch.blame.callees.items()),
        "paths": watch.paths.as_dict(),
        "samples": watch.samples.as_lists(),
        "votes": [[list(key), kind, *vote] for (key, kind), vote in watch.votes.items()],
        "runs": [[list(key), *run] for key, run in watch.runs.items()],
        "held": [[list(key), window, list(figures)] for key, (window, figures) in watch.held.items()],
        "volume_votes": list(watch.volume_votes.items()),
        "pending": list(watch.pending),
        "recent": [window for window, _ in watch.recent],
        "findings": findings.as_list(),
        **{name: getattr(watch, name) for name in _NUMBERS},
    }
    partial = folder / f"traces.{os.getpid()}.partial"
    with partial.open("wb") as file:
        np.savez(file, **arrays)
    partial.replace(folder / "traces.npz")
    partial.write_bytes(orjson.dumps(document))
    partial.replace(folder / "traces.json")


def load(folder: Path, watch: TraceWatch, findings: OpenTraceFindings) -> None:
    """Put the state into a new watch and its findings; raises StoreError, or NewerFormat of a newer version."""
    try:
        document = orjson.loads((folder / "traces.json").read_bytes())
        version = document["schema_version"]
        if version > STATE_VERSION:
            raise NewerFormat(
                f"{folder}/traces.json was written by a newer Watchkeeper (version {version}, this one reads "
                f"{STATE_VERSION}); upgrade, or delete the folder to learn anew"
            )
        with (folder / "traces.npz").open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = dict(archive)
        if int(arrays["stamp"][0]) != document["stamp"]:
            raise ValueError("traces.json and traces.npz were not written together")
        _restore(document, arrays, watch)
        findings.take(document["findings"])
        watch.settled = findings.settled()
    except (OSError, EOFError, KeyError, ValueError, TypeError, IndexError, zipfile.BadZipFile) as error:
        raise StoreError(
            f"the trace detector's state in {folder} cannot be read: {error}; delete the folder to learn anew"
        ) from error


def _restore(document: dict[str, Any], arrays: dict[str, Any], watch: TraceWatch) -> None:
    watch.operations.restore(document["operations"])
    watch.histories.restore(document["rows"], arrays)
    watch.sketches.restore(arrays)
    watch.volumes.restore(arrays)
    watch.paths.restore(document["paths"])
    watch.samples.restore(document["samples"])
    watch.services = {
        name: Service(int(first), int(newest), int(spans)) for name, first, newest, spans in document["services"]
    }
    watch.blame.callees = {int(operation): str(service) for operation, service in document["callees"]}
    watch.votes = {(_key(key), kind): (int(window), float(total)) for key, kind, window, total in document["votes"]}
    watch.runs = {
        _key(key): (int(window), int(trials), int(failed), int(length))
        for key, window, trials, failed, length in document["runs"]
    }
    watch.held = {_key(key): (int(window), _figures(figures)) for key, window, figures in document["held"]}
    watch.volume_votes = {int(operation): int(window) for operation, window in document["volume_votes"]}
    watch.pending = {int(window): [_spans(f"pending.{window}", arrays)] for window in document["pending"]}
    watch.recent = deque((int(window), _spans(f"recent.{window}", arrays)) for window in document["recent"])
    for name in _NUMBERS:
        setattr(watch, name, int(document[name]))


def _key(parts: list[str]) -> Key:
    return Key(Watched(parts[0]), *parts[1:])


def _figures(values: list[float | None]) -> Figures:
    trials, failures, *rest = values
    return Figures(int(trials or 0), int(failures or 0), *(math.nan if one is None else float(one) for one in rest))


def _named(name: str, spans: Spans) -> dict[str, Any]:
    return {f"{name}.{field}": column for field, column in zip(Spans._fields, spans, strict=True)}


def _spans(name: str, arrays: dict[str, Any]) -> Spans:
    return Spans(*(arrays[f"{name}.{field}"] for field in Spans._fields))
