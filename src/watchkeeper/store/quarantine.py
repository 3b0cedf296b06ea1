"""What could not be read: moved or copied aside with the reason, told in the statistics, never a reason not to start.

Enters: a file, or the bytes of a record, and why. Leaves: a file under `quarantine/` and its `.why` beside it, so the
list survives restarts and a person who mends or deletes the files mends the list. Does not judge what is broken.
"""

from __future__ import annotations

import logging
import shutil
import threading
from pathlib import Path

_log = logging.getLogger(__name__)

WHY = ".why"
REASONS_TOLD_MAX = 100


class Quarantine:
    """The folder of what could not be read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def move(self, file: Path, reason: str) -> None:
        """Take a broken file out of use; one that is missing is only told."""
        with self._lock:
            place = self._place(file.name)
            try:
                shutil.move(file, place)
            except OSError as error:
                reason = f"{reason} ({error.strerror or error})"
            self._tell(place, reason)

    def copy(self, file: Path, reason: str) -> None:
        """Keep a copy of a damaged file of which the rest is still used."""
        with self._lock:
            place = self._place(file.name)
            try:
                shutil.copyfile(file, place)
            except OSError as error:
                reason = f"{reason} (no copy could be kept: {error.strerror or error})"
            self._tell(place, reason)

    def keep(self, name: str, content: bytes, reason: str) -> None:
        """Keep bytes that could not be made sense of."""
        with self._lock:
            place = self._place(name)
            try:
                place.write_bytes(content)
            except OSError as error:
                reason = f"{reason} (no copy could be kept: {error.strerror or error})"
            self._tell(place, reason)

    def reasons(self) -> list[str]:
        """Give one line for each thing in quarantine, `name: why`, in order of name."""
        lines = []
        for why in sorted(self._folder.glob(f"*{WHY}")):
            try:
                lines.append(f"{why.name.removesuffix(WHY)}: {why.read_text(encoding='utf-8').strip()}")
            except (OSError, UnicodeDecodeError):
                lines.append(f"{why.name.removesuffix(WHY)}: (its reason cannot be read)")
        return lines

    def _place(self, name: str) -> Path:
        place, number = self._folder / name, 1
        while place.exists() or place.with_name(place.name + WHY).exists():
            place, number = self._folder / f"{name}.{number}", number + 1
        return place

    def _tell(self, place: Path, reason: str) -> None:
        _log.error("quarantined %s: %s", place.name, reason)
        try:
            place.with_name(place.name + WHY).write_text(reason + "\n", encoding="utf-8")
        except OSError as error:
            _log.error("the reason for %s could not be written: %s", place.name, error)
