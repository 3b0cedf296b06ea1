"""One log record as read from a file: what every line format gives and the OTLP encoder takes. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Record(NamedTuple):
    """A log record.

    `time_unix_ns` is 0 when the line said none. `body` and the attributes' values are text, numbers, booleans, None,
    lists and mappings of these. `logger` becomes the scope's name, `resource` adds to the resource's attributes.
    """

    body: Any
    time_unix_ns: int = 0
    severity_number: int = 0
    severity_text: str = ""
    attributes: Mapping[str, Any] = {}
    logger: str = ""
    resource: tuple[tuple[str, str], ...] = ()
    trace_id: str = ""
    span_id: str = ""
    event_name: str = ""
