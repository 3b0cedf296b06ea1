"""The interface of the pattern miner.

Enters: an Arrow array of log bodies. Leaves: one template id a line. A template is the line with what varies replaced
by `<*>`; its id is a hash of that text alone, so it is the same in whatever order, batch, process or shard lines come.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

import pyarrow as pa


class Template(NamedTuple):
    """One template: id (int64, a hash of `text`), text with `<*>` for what varies, lines, event times, examples."""

    id: int
    text: str
    lines: int
    first_unix_ns: int
    last_unix_ns: int
    examples: tuple[str, ...]


class PatternMiner(Protocol):
    """Turns lines into template ids."""

    def match(self, bodies: pa.StringArray, times_unix_ns: pa.Int64Array) -> pa.Int64Array:
        """Give each line's template id, counting it and keeping the first few as examples.

        bodies: (n,) text, nulls are taken as "". times_unix_ns: (n,). Returns (n,) without nulls.
        """

    def templates(self) -> list[Template]:
        """Give every template known, most lines first."""

    def parameters(self, body: str) -> list[str]:
        """Give what stands at each `<*>` of the line's template, in order."""

    def save(self, folder: Path) -> None:
        """Write the state as versioned data files (no pickle)."""

    def load(self, folder: Path) -> None:
        """Take the state up again; raises StoreError when it is of a newer version or damaged."""
