"""Structured lines: JSON objects and logfmt, in the field names of the common loggers.

Enters: one line. Leaves: a Record whose known fields have gone to their places and all others to the attributes, with
their types. Known are the names that logback, log4j2, logrus, zap, zerolog, pino, bunyan, winston, Serilog, structlog,
ECS, GELF, journald, MongoDB and OpenTelemetry write. A field that is not understood stays an attribute.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from watchkeeper.edge.record import Record
from watchkeeper.edge.severity import LETTERS, severity_of_priority, severity_of_value, severity_of_word
from watchkeeper.edge.timestamps import TIME_MAX_UNIX_NS, Clock, epoch_ns, time_of_text

_TIME = (
    "timestamp", "time", "ts", "@timestamp", "@t", "datetime", "date", "asctime", "eventTime", "event_time", "t",
    "_SOURCE_REALTIME_TIMESTAMP", "__REALTIME_TIMESTAMP", "timeUnixNano", "time_unix_ns", "observed_timestamp",
    "timeMillis", "instant", "created", "_time", "time_local", "time_iso8601", "Timestamp",
)  # fmt: skip
_LEVEL = (
    "level", "severity", "lvl", "levelname", "level_name", "loglevel", "log_level", "logLevel", "log.level",
    "severity_text", "severityText", "SeverityText", "@l", "Level", "PRIORITY", "s", "levelno",
)  # fmt: skip
_MESSAGE = (
    "message", "msg", "body", "Body", "@m", "short_message", "MESSAGE", "textPayload", "event", "log", "text", "@mt",
)  # fmt: skip
_LOGGER = ("logger", "logger_name", "loggerName", "log.logger", "SourceContext", "name", "c", "component")
_TRACE = ("trace_id", "traceId", "traceID", "traceid", "trace.id", "TraceId", "@tr", "otelTraceID")
_SPAN = ("span_id", "spanId", "spanID", "spanid", "span.id", "SpanId", "@sp", "otelSpanID")
_SERVICE = ("service.name", "service_name", "serviceName", "service", "SYSLOG_IDENTIFIER")
_HOST = ("host.name", "hostname", "host", "_HOSTNAME")
_NESTED = {"log.level": ("log", "level"), "log.logger": ("log", "logger"), "service.name": ("service", "name")}

_PAIR = re.compile(r'\s*([A-Za-z_@][\w.@/-]*)=(?:"((?:[^"\\]|\\.)*)"|([^\s"]*))(?=\s|$)', re.ASCII)
_HEX = {32: re.compile("[0-9a-f]{32}"), 16: re.compile("[0-9a-f]{16}")}


def parse_json_line(line: str, clock: Clock) -> Record | None:
    """Read a line that is one JSON object; None for anything else."""
    stripped = line.strip()
    if not (stripped.startswith("{") and stripped.endswith("}")):
        return None
    try:
        fields = orjson.loads(stripped)
    except orjson.JSONDecodeError:
        return None
    return record_of_fields(fields, clock, line) if fields else None


def parse_logfmt_line(line: str, clock: Clock) -> Record | None:
    """Read a line that is nothing but two or more key=value pairs, a level, message or time among them."""
    fields: dict[str, Any] = {}
    position = 0
    while position < len(line):
        match = _PAIR.match(line, position)
        if match is None:
            break
        quoted = match[2]
        fields[match[1]] = match[3] if quoted is None else re.sub(r"\\(.)", _unescape, quoted)
        position = match.end()
    known = any(name in fields for name in ("level", "lvl", "msg", "message", "time", "ts", "severity"))
    if line[position:].strip() or len(fields) < 2 or not known:
        return None
    return record_of_fields(fields, clock, line)


def _unescape(match: re.Match[str]) -> str:
    return {"n": "\n", "t": "\t", "r": "\r"}.get(match[1], match[1])


def record_of_fields(fields: dict[str, Any], clock: Clock, line: str) -> Record:
    """Make a Record of a structured logger's fields; `line` is the body when no field is a message."""
    rest = dict(fields)
    time_unix_ns = _take_time(rest, clock)
    number, level = _take_level(rest)
    body = _take_first(rest, _MESSAGE, lambda value: value if value not in (None, "") else None)
    logger = _take_first(rest, _LOGGER, _as_text) or ""
    service = _take_first(rest, _SERVICE, _as_text)
    host = _take_first(rest, _HOST, _as_text)
    return Record(
        line if body is None else body,
        time_unix_ns,
        number,
        level,
        rest,
        logger,
        tuple((name, value) for name, value in (("service.name", service), ("host.name", host)) if value),
        _take_first(rest, _TRACE, lambda value: _as_id(value, 32)) or "",
        _take_first(rest, _SPAN, lambda value: _as_id(value, 16)) or "",
    )


def _take_first(rest: dict[str, Any], names: tuple[str, ...], read: Any) -> Any:
    """Take the first of the named fields that `read` understands out of `rest`, and give what it means."""
    for name in names:
        if name in rest:
            found = read(rest[name])
            if found is not None:
                del rest[name]
                return found
        elif name in _NESTED:
            outer, inner = _NESTED[name]
            holder = rest.get(outer)
            if isinstance(holder, dict) and inner in holder and (found := read(holder[inner])) is not None:
                remaining = {key: value for key, value in holder.items() if key != inner}
                if remaining:
                    rest[outer] = remaining
                else:
                    del rest[outer]
                return found
    return None


def _as_text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _as_id(value: Any, digits: int) -> str | None:
    text = value.lower() if isinstance(value, str) else ""
    return text if _HEX[digits].fullmatch(text) and text.strip("0") else None


def _take_time(rest: dict[str, Any], clock: Clock) -> int:
    found = _take_first(rest, _TIME, lambda value: time_of_value(value, clock))
    return int(found) if found is not None else 0


def time_of_value(value: Any, clock: Clock) -> int | None:
    """Read a structured logger's time: text, a Unix number of any unit, `{"$date": ..}`, log4j2's instant."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return epoch_ns(str(value)) if value >= 10**8 else None
    if isinstance(value, float):
        return _float_epoch_ns(value)
    if isinstance(value, str):
        return time_of_text(value, clock)
    if isinstance(value, dict):
        if isinstance(value.get("epochSecond"), int) and isinstance(value.get("nanoOfSecond"), int):
            moment: int = value["epochSecond"] * 1_000_000_000 + value["nanoOfSecond"]
            return moment if 0 < moment <= TIME_MAX_UNIX_NS else None
        if "$date" in value:
            return time_of_value(value["$date"], clock)
    return None


def _float_epoch_ns(value: float) -> int | None:
    if not 1e8 <= value < 1e19:
        return None
    return epoch_ns(f"{value:.6f}" if value < 1e12 else f"{value:.3f}")


def _take_level(rest: dict[str, Any]) -> tuple[int, str]:
    """Take the level out: its severity number and, when it was a word, the word."""
    number = rest.get("severity_number", rest.get("severityNumber"))
    if isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= 24:
        rest.pop("severity_number", None)
        rest.pop("severityNumber", None)
        return number, _take_first(rest, _LEVEL, _as_text) or ""
    for name in _LEVEL:
        value = _peek(rest, name)
        severity_number = _level_number(name, value)
        if severity_number:
            _take_first(rest, (name,), lambda found: found)
            return severity_number, value if isinstance(value, str) and not value.isdecimal() else ""
    return 0, ""


def _peek(rest: dict[str, Any], name: str) -> Any:
    if name in rest or name not in _NESTED:
        return rest.get(name)
    outer, inner = _NESTED[name]
    holder = rest.get(outer)
    return holder.get(inner) if isinstance(holder, dict) else None


def _level_number(name: str, value: Any) -> int:
    if name == "PRIORITY" and str(value).isdecimal():
        return severity_of_priority(int(value))
    if name == "levelno" and isinstance(value, int):
        return {10: 5, 20: 9, 30: 13, 40: 17, 50: 21}.get(value, 0)
    if name == "s":
        return LETTERS.get(value, 0) if isinstance(value, str) else 0
    return severity_of_word(value) or severity_of_value(value) if isinstance(value, str) else severity_of_value(value)
