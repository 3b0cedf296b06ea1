"""Writes a file whole or not at all: whoever reads it sees the old one or the new one, never half of it."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write beside the place, then take it; the folder is made if need be. Raises OSError, with nothing left behind.

    A process killed in between leaves `NAME.PID.part`, which nobody reads. It does not wait for the disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
