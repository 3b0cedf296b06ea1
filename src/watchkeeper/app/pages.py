"""Pages of documents kept in SQLite, latest first: by time and id, so that what comes meanwhile moves no page.

Enters: a table with the columns `id`, `document` (JSON) and one of time, conditions, the cursor of the page before.
Leaves: documents and the cursor of the next page.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from watchkeeper.errors import QueryError
from watchkeeper.store.metadata import Metadata

_CURSOR = re.compile(r"(-?[0-9]{1,19}):(.+)", re.DOTALL)
INT64_MAX = 2**63 - 1

Condition = tuple[str, Any]
"""Text with a mark for each value, and the value, or a tuple of them; None and "" stand for no condition."""


def read_page(
    metadata: Metadata, table: str, time: str, conditions: Iterable[Condition], *, limit: int, cursor: str | None
) -> tuple[list[dict[str, Any]], str | None]:
    """Give up to `limit` documents of a table, the latest by its column `time` first, and the cursor of the next page.

    The cursor is None when these are the last. Cost: the rows of the page, through an index on (time DESC, id). Raises
    QueryError for a bad cursor.
    """
    said = [(text, value) for text, value in conditions if value not in (None, "")]
    texts = [text for text, _ in said]
    values = [each for _, value in said for each in (value if isinstance(value, tuple) else (value,))]
    if cursor:
        at, identifier = _read_cursor(cursor)
        texts.append(f"({time} < ? OR ({time} = ? AND id > ?))")
        values += [at, at, identifier]
    where = f"WHERE {' AND '.join(texts)}" if texts else ""
    rows = metadata.read(
        f"SELECT document, {time} AS at, id FROM {table} {where} ORDER BY {time} DESC, id LIMIT ?", [*values, limit + 1]
    )
    more = f"{rows[limit - 1]['at']}:{rows[limit - 1]['id']}" if len(rows) > limit else None
    return [json.loads(row["document"]) for row in rows[:limit]], more


def _read_cursor(cursor: str) -> tuple[int, str]:
    told = _CURSOR.fullmatch(cursor)
    if told is None or abs(int(told[1])) > INT64_MAX:
        raise QueryError(f"{cursor[:100]!r} is not a cursor; take `next_cursor` from the page before")
    return int(told[1]), told[2]
