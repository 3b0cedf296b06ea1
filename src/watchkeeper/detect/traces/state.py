"""The trace detector's state on disk: what of its watch is kept, how it is taken up. Holds no logic of detection."""

from __future__ import annotations

import math
from collections import deque
from pathlib import Path
from typing import Any

from watchkeeper.detect.kept import Arrays, StateFiles
from watchkeeper.detect.traces.findings import OpenTraceFindings
from watchkeeper.detect.traces.history import Figures, Key, Watched
from watchkeeper.detect.traces.spans import Spans, together
from watchkeeper.detect.traces.watch import Service, TraceWatch

FILES = StateFiles("traces", 1)
_NUMBERS = ("next_window", "newest_ns", "late_spans", "dropped_spans")


def save(folder: Path, watch: TraceWatch, findings: OpenTraceFindings) -> None:
    """Write the state."""
    arrays: Arrays = {
        **watch.histories.arrays(),
        **watch.sketches.arrays(),
        **watch.volumes.arrays(),
    }
    for window, parts in watch.pending.items():
        arrays.update(_named(f"pending.{window}", together(parts)))
    for window, spans in watch.recent:
        arrays.update(_named(f"recent.{window}", spans))
    document = {
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
    FILES.write(folder, document, arrays)


def load(folder: Path, watch: TraceWatch, findings: OpenTraceFindings) -> None:
    """Put the state into a new watch and its findings; raises StoreError, or NewerFormat of a newer version."""
    document, arrays = FILES.read(folder)
    with FILES.understood(folder):
        _restore(document, arrays, watch)
        findings.take(document["findings"])
        watch.settled = findings.settled()


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
