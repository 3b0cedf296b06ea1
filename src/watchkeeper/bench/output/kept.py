"""Reads the scoreboard that `bench run` keeps beside the records; imports nothing of the harness, so a server can."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

FILE = "scoreboard.json"
SCHEMA_VERSION = 1


def read_board(out: Path) -> dict[str, Any] | None:
    """Give the scoreboard of a folder of records, None when there is none that can be read."""
    try:
        board = orjson.loads((out / FILE).read_bytes())
        return dict(board) if board["schema_version"] == SCHEMA_VERSION else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
