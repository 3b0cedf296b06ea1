"""The scoreboard as plain data: for `--json`, and for the page, which reads it beside the records.

Enters: tables, the folder of records. Leaves: JSON data with figures, intervals, cost, marks and curves, and the file
`scoreboard.json`. Tables and cells of it that are not planned this time (another user's file, another choice) are kept.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from watchkeeper.bench.output.board import PENDING, Row, Table
from watchkeeper.bench.output.kept import FILE, SCHEMA_VERSION, read_board
from watchkeeper.bench.records import DONE
from watchkeeper.bench.whole import write_whole


def plain_table(table: Table) -> dict[str, Any]:
    """Give one table."""
    return {
        "task": table.task.name,
        "stage": table.task.stage,
        "about": table.task.about,
        "data": table.data.id,
        "data_about": table.data.about,
        "headline": table.headline.name,
        "metrics": [
            {"name": metric.name, "about": metric.about, "higher_is_better": metric.higher_is_better}
            for metric in table.metrics
        ],
        "cells": [plain_row(row) for row in table.rows],
    }


def plain_row(row: Row) -> dict[str, Any]:
    """Give one cell; figures are [value, low, high] and only there when it is done."""
    record = row.record if row.record and row.state == DONE else {}
    seconds = record.get("seconds")
    return {
        "id": row.cell.id,
        "model": row.cell.model.name,
        "model_about": row.cell.model.about,
        "enhancement": row.cell.enhancement.name,
        "trivial": row.cell.model.trivial,
        "state": row.state,
        "reason": row.reason,
        "loses_to": row.loses_to,
        "figures": record.get("figures", {}),
        "seconds": round(seconds["fit"] + seconds["answer"], 3) if seconds else None,
        "peak_memory_bytes": record.get("peak_memory_bytes"),
        "model_bytes": record.get("model_bytes"),
        "seeds": record.get("seeds", []),
        "date": record.get("date", ""),
        "commit": record.get("commit", ""),
        "curves": record.get("curves", {}),
    }


def write_board(out: Path, tables: Sequence[Table]) -> Path:
    """Write the scoreboard beside the records; a reader sees the old one or the new one.

    Tables of which nothing was run, failed or measured are left out.
    """
    fresh = {(table.task.name, table.data.id): plain_table(table) for table in tables}
    before = read_board(out)
    for table in before["tables"] if before else ():
        mine = fresh.setdefault((table["task"], table["data"]), table)
        told = {cell["id"] for cell in mine["cells"]}
        mine["cells"] += [cell for cell in table["cells"] if cell["id"] not in told and cell["state"] != PENDING]
    shown = [table for table in fresh.values() if any(cell["state"] in {DONE, "failed"} for cell in table["cells"])]
    board = {
        "schema_version": SCHEMA_VERSION,
        "written": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": _machine(tables),
        "tables": shown,
    }
    path = out / FILE
    write_whole(path, orjson.dumps(board))
    return path


def _machine(tables: Sequence[Table]) -> str:
    """Name the machine of the newest record."""
    done = [row.record for table in tables for row in table.rows if row.record and row.state == DONE]
    if not done:
        return ""
    told = max(done, key=lambda record: str(record["date"]))["machine"]
    return f"{told['processor']}, {told['cores']} cores, {told['memory_gib']} GiB"
