"""Learned state on disk: one folder a checkpoint, written beside the old one and put in its place by a rename.

A checkpoint that cannot be read is set aside and told, and the one before it is taken; without any, learning begins
anew.
"""

from __future__ import annotations

import json
import logging
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from watchkeeper.errors import WatchkeeperError

CHECKPOINT_SCHEMA_VERSION = 1
KEPT = 2

log = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints under one folder, named by the sequence of the last batch that they hold.

    Whoever holds `lock` reads them unchanged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.problems: list[str] = []
        self.lock = threading.RLock()

    def save(self, sequence: int, write: Callable[[Path], None]) -> Path:
        """Let `write` fill a new folder, publish it by a rename, and delete all but the newest few."""
        with self.lock:
            return self._save(sequence, write)

    def _save(self, sequence: int, write: Callable[[Path], None]) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        partial = self._folder / "partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        write(partial)
        record = {"schema_version": CHECKPOINT_SCHEMA_VERSION, "sequence": sequence}
        (partial / "checkpoint.json").write_text(json.dumps(record), encoding="utf-8")
        target = self._folder / f"{sequence:020d}"
        if target.exists():
            shutil.rmtree(target)
        partial.rename(target)
        for old in self._all()[KEPT:]:
            shutil.rmtree(old, ignore_errors=True)
        return target

    def load(self, read: Callable[[Path], None]) -> int:
        """Let `read` take up the newest readable checkpoint; gives its sequence, or 0 when there is none."""
        for folder in self._all():
            try:
                record = json.loads((folder / "checkpoint.json").read_text(encoding="utf-8"))
                if record["schema_version"] > CHECKPOINT_SCHEMA_VERSION:
                    raise ValueError(f"schema version {record['schema_version']} is newer than this Watchkeeper's")
                read(folder)
                return int(record["sequence"])
            except (OSError, ValueError, KeyError, WatchkeeperError) as error:
                aside = folder.with_name(f"damaged-{folder.name}")
                shutil.rmtree(aside, ignore_errors=True)
                folder.rename(aside)
                self.problems.append(f"learned state {folder.name} could not be read ({error}); it is kept in {aside}")
                log.warning(self.problems[-1])
        return 0

    def _all(self) -> list[Path]:
        if not self._folder.exists():
            return []
        return sorted((path for path in self._folder.iterdir() if path.name.isdigit()), reverse=True)
