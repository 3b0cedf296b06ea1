"""The folder of one job: how the server and the worker's process tell each other things.

    job.json       server: what to do, with every setting that the worker needs
    data/          server: the lines as of the start, see reading.py; removed once they are counted
    previous/      server: the version that was active, to be measured beside the new one
    progress.json  worker: Statistics, a count of its heart's beats, its peak memory
    log.txt        both: one line a step
    counts/, checkpoint/  worker: what it goes on from after a kill
    model/         worker: the model, whole once result.json is there
    result.json    worker: the last thing it writes; quality, thresholds, what was learned from
    fault.json     worker: why it cannot go on, where it knows

Each JSON file is replaced in one step and durable. Neither side reads a file of its own again but to go on from it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from watchkeeper.store.layout import write_durably

LOG_BYTES_MAX = 4 << 20
TAIL_BYTES = 4_000
_KEPT = frozenset({"log.txt", "job.json"})


class JobFolder:
    """The files of one job below `path`; methods raise OSError where the disk refuses."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = path / "data"
        self.previous = path / "previous"
        self.counts = path / "counts"
        self.checkpoint = path / "checkpoint"
        self.model = path / "model"
        self.log_file = path / "log.txt"

    def make(self) -> None:
        """Make the folder, readable by its owner only."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        """Replace `<name>.json`."""
        write_durably(self.path / f"{name}.json", json.dumps(content).encode())

    def tell(self, name: str, content: Mapping[str, Any]) -> None:
        """Replace `<name>.json` in one step, but not durably: for what is told every second."""
        file = self.path / f"{name}.json"
        temporary = file.with_name(f"{name}.json.tmp")
        temporary.write_text(json.dumps(content), encoding="utf-8")
        temporary.rename(file)

    def read(self, name: str) -> dict[str, Any] | None:
        """Give the content of `<name>.json`; None when it is not there or damaged."""
        try:
            content = json.loads((self.path / f"{name}.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        return content if isinstance(content, dict) else None

    def forget(self, *names: str) -> None:
        """Remove `<name>.json` of each name."""
        for name in names:
            (self.path / f"{name}.json").unlink(missing_ok=True)

    def log(self, text: str, now_unix_ns: int) -> None:
        """Append one line with its time; nothing once the log is full."""
        if self.log_file.exists() and self.log_file.stat().st_size > LOG_BYTES_MAX:
            return
        at = datetime.fromtimestamp(now_unix_ns / 1e9, UTC)
        with self.log_file.open("a", encoding="utf-8") as file:
            file.write(f"{at:%Y-%m-%dT%H:%M:%S}Z {' '.join(text.split())}\n")

    def log_text(self, *, offset: int = 0, bytes_max: int = LOG_BYTES_MAX) -> tuple[str, int]:
        """Give the log from a byte on, whole lines only, and the offset to go on from."""
        try:
            with self.log_file.open("rb") as file:
                file.seek(offset)
                content = file.read(bytes_max)
        except FileNotFoundError:
            return "", 0
        end = content.rfind(b"\n") + 1
        return content[:end].decode("utf-8", "replace"), offset + end

    def log_tail(self, bytes_max: int = TAIL_BYTES) -> str:
        """Give the end of the log, beginning with a whole line."""
        try:
            size = self.log_file.stat().st_size
        except FileNotFoundError:
            return ""
        with self.log_file.open("rb") as file:
            file.seek(max(0, size - bytes_max))
            content = file.read(bytes_max)
        if size > bytes_max:
            content = content.partition(b"\n")[2]
        return content.decode("utf-8", "replace")

    def last_line(self) -> str:
        """Give the last line of the log; after a crash, what the traceback ends with."""
        return self.log_tail().rstrip().rpartition("\n")[2]

    def clear(self) -> None:
        """Remove everything but the log and what was asked for."""
        for path in self.path.iterdir() if self.path.is_dir() else ():
            if path.name in _KEPT:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the folder."""
        if self.path.exists():
            shutil.rmtree(self.path, ignore_errors=True)

    def bytes(self) -> int:
        """Give the bytes below the folder that only this job holds; hard-linked segments count with the store."""
        files = (Path(root) / name for root, _, names in os.walk(self.path) for name in names)
        return sum(file.stat().st_size for file in files if file.stat().st_nlink == 1)
