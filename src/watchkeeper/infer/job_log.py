"""The log of inference jobs: one JSON line a step, the same everywhere a job runs.

Enters: steps. Leaves: `{timestamp, level, component, message, model, duration_ms, ...}` as a line on a stream, as a
line of a file, and as a LogLine to whoever else listens (OTLP). A place that cannot be written is told once and never
ends a job. Prompts and results are not logged: they may be private.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from watchkeeper.errors import StoreError
from watchkeeper.infer.contract import rfc3339

LEVELS = {"debug": 5, "info": 9, "warning": 13, "error": 17}
"""Each with its severity number of OpenTelemetry's log data model."""


class LogLine(NamedTuple):
    """One step. `duration_ms` is None where nothing took time; `model` is "" where none is chosen yet."""

    time_unix_ns: int
    level: str
    component: str
    message: str
    model: str
    duration_ms: float | None
    more: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Give plain data for JSON; the six fields first."""
        return {
            "timestamp": rfc3339(datetime.fromtimestamp(self.time_unix_ns / 1e9, UTC)),
            "level": self.level,
            "component": self.component,
            "message": self.message,
            "model": self.model,
            "duration_ms": None if self.duration_ms is None else round(self.duration_ms, 3),
            **self.more,
        }


Listener = Callable[[LogLine], None]


class JobLog:
    """Writes steps. stream: standard error when None; quiet: no stream at all. For several threads at once."""

    def __init__(
        self,
        component: str = "infer",
        *,
        stream: TextIO | None = None,
        quiet: bool = False,
        file: Path | None = None,
        listeners: Sequence[Listener] = (),
        now_unix_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._component = component
        self._stream = None if quiet else stream or sys.stderr
        self._listeners, self._now = tuple(listeners), now_unix_ns
        self._lock = threading.Lock()
        self._file = None if file is None else _opened(file)

    def write(
        self, level: str, message: str, *, model: str = "", duration_ms: float | None = None, **more: Any
    ) -> None:
        """Write one step. level: a key of LEVELS. more: further fields, such as request_id."""
        if level not in LEVELS:
            raise ValueError(f"level {level!r} is none of {', '.join(LEVELS)}")
        line = LogLine(self._now(), level, self._component, message, model, duration_ms, more)
        text = json.dumps(line.as_dict(), ensure_ascii=True)
        with self._lock:
            self._put(text)
        for listener in self._listeners:
            listener(line)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._file is not None:
                with contextlib.suppress(OSError):
                    self._file.close()
                self._file = None

    def _put(self, text: str) -> None:
        for stream in (self._stream, self._file):
            if stream is None:
                continue
            try:
                stream.write(f"{text}\n")
                stream.flush()
            except (OSError, ValueError) as error:
                self._give_up(stream, error)

    def _give_up(self, stream: TextIO, error: Exception) -> None:
        """Write there no more; the other place is told."""
        other = self._file if stream is self._stream else self._stream
        if stream is self._stream:
            self._stream = None
        else:
            self._file = None
        if other is not None:
            lost = {"level": "warning", "component": self._component, "message": f"a log is given up: {error}"}
            told = {"timestamp": rfc3339(datetime.now(UTC)), **lost, "model": "", "duration_ms": None}
            try:
                other.write(f"{json.dumps(told)}\n")
            except (OSError, ValueError):
                self._stream = self._file = None


def _opened(path: Path) -> TextIO:
    try:
        return path.open("a", encoding="utf-8")
    except OSError as error:
        raise StoreError(
            f"the log {path} cannot be opened: {error.strerror}; name a file that can be written"
        ) from error
