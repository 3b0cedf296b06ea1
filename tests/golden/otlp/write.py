"""Writes the golden bytes and rows from the hand-written JSON, by the reference decoder; see README.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from watchkeeper.receive import otlp_json, otlp_reference
from watchkeeper.receive.otlp_tables import assemble
from watchkeeper.signals.schema import Signal

HERE = Path(__file__).parent
RECEIVED_UNIX_NS = 1_763_700_000_999_999_999
SENDER = "golden"

_NUMBERED_LATER = frozenset({"batch", "row"})
"""Columns that say where the store put a row, not what was sent."""


def rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Give the rows of a batch as they stand in the golden files: no nulls, and doubles that are no numbers as text."""
    return [
        {
            name: repr(value) if isinstance(value, float) and value != value else value  # noqa: PLR0124 - NaN
            for name, value in row.items()
            if value is not None and name not in _NUMBERED_LATER
        }
        for row in batch.to_pylist()
    ]


def main() -> None:
    for signal in Signal:
        request = otlp_json.parse(signal, (HERE / f"{signal}.json").read_bytes())
        found = otlp_reference.read(signal, request, received_unix_ns=RECEIVED_UNIX_NS)
        batch = assemble(signal, found.tables, sender=SENDER, received_unix_ns=RECEIVED_UNIX_NS)
        (HERE / f"{signal}.bin").write_bytes(request.SerializeToString(deterministic=True))
        text = json.dumps(rows(batch), indent=1, ensure_ascii=False)
        (HERE / f"{signal}.rows.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
