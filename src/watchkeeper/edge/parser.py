"""Lines to records: envelopes opened, continuations joined, each group read by its format.

Enters: batches of lines of one source. Leaves: Records with the source's resource attributes. A record whose lines said
no time takes that of the record before it and is counted. Does not read files, does not send.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from watchkeeper.edge.envelopes import ENVELOPES, Wrapped, detect_envelope
from watchkeeper.edge.formats import FORMATS, TEXT, Detection, detect_format
from watchkeeper.edge.line_format import LineFormat
from watchkeeper.edge.multiline import Joiner
from watchkeeper.edge.plain_text import dated, parse_plain_line
from watchkeeper.edge.record import Record
from watchkeeper.edge.severity import ERROR
from watchkeeper.edge.timestamps import Clock

ORIGINAL = "log.record.original"
_TRACE_MARKS = ("Traceback (most recent call last)", "\n\tat ", "\n    at ", "goroutine ", "panic: ", "Exception")


@dataclass
class ParseCounts:
    """What became of the lines: `joined_lines` went into the record above, `split` groups were over the bounds."""

    records: int = 0
    joined_lines: int = 0
    without_time: int = 0
    split: int = 0


@dataclass(frozen=True)
class Shape:
    """What a source was found to be: its envelope (or None), its format, and how sure that is."""

    envelope: str | None
    format: LineFormat
    lines: int
    matched: int
    joins_indented: bool

    def describe(self) -> str:
        """Say it in words."""
        wrapped = f" in {self.envelope} lines" if self.envelope else ""
        return f"{self.format.name} ({self.format.title}){wrapped}"


def find_shape(sample: Sequence[str], clock: Clock, chosen: str = "auto") -> Shape:
    """Find envelope and format of a sample; `chosen` names a format to use instead; raises UnknownName."""
    named = None if chosen in {"auto", *ENVELOPES} else FORMATS.get(chosen)
    envelope = chosen if chosen in ENVELOPES else detect_envelope(sample, clock) if named is None else None
    lines = list(sample)
    if envelope is not None:
        unwrap = ENVELOPES[envelope]
        lines = [wrapped.text for line in sample if (wrapped := unwrap(line, clock)) is not None]
    found = Detection(named, 0, 0) if named is not None else detect_format(lines, clock)
    filled = [line for line in lines if line.strip()]
    indented = sum(line[0] in " \t" for line in filled)
    return Shape(envelope, found.format, found.lines, found.matched, 2 * indented <= len(filled))


@dataclass
class _Stream:
    """One stream of lines: stdout and stderr of a container are told apart, so that they do not tear each other."""

    joiner: Joiner
    first: Record | None = None
    wrapped: Wrapped | None = None
    partial: list[str] = field(default_factory=list)


class LogParser:
    """Reads the lines of one source.

    `resource` goes on every record; a record's own values win, except over `fixed` ones. `keep_original` adds each
    record's lines as the attribute log.record.original. `last_time_unix_ns` is the time of the record before the first,
    and then of the last one that was read.
    """

    def __init__(
        self,
        shape: Shape,
        clock: Clock,
        *,
        resource: Sequence[tuple[str, str]] = (),
        fixed: Sequence[tuple[str, str]] = (),
        keep_original: bool = False,
        last_time_unix_ns: int = 0,
    ) -> None:
        self.counts = ParseCounts()
        self._shape = shape
        self._clock = clock
        self._resource = tuple(resource)
        self._fixed = tuple(fixed)
        self._keep_original = keep_original
        self._unwrap = ENVELOPES[shape.envelope] if shape.envelope else None
        self._streams: dict[str, _Stream] = {}
        self._resources: dict[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]] = {}
        self.last_time_unix_ns = last_time_unix_ns

    def feed(self, lines: Sequence[str]) -> list[Record]:
        """Take lines and give the records that they complete; about 10 microseconds a line."""
        records: list[Record] = []
        for line in lines:
            wrapped = self._unwrap(line, self._clock) if self._unwrap is not None else None
            stream = self._stream(wrapped.stream if wrapped else "")
            if wrapped is None:
                self._push(stream, line, None, records)
            elif wrapped.partial:
                stream.partial.append(wrapped.text)
            else:
                text = "".join((*stream.partial, wrapped.text))
                stream.partial.clear()
                self._push(stream, text, wrapped, records)
        return records

    def flush(self) -> list[Record]:
        """Give the records that are still open: at the end of the source, or when it has been quiet."""
        records: list[Record] = []
        for stream in self._streams.values():
            if stream.partial:
                self._push(stream, "".join(stream.partial), None, records)
                stream.partial.clear()
            if (group := stream.joiner.flush()) is not None:
                records.append(self._record(stream, group))
                stream.first = stream.wrapped = None
        return records

    def _stream(self, name: str) -> _Stream:
        if name not in self._streams:
            joiner = Joiner(self._shape.format.continuation, joins_indented=self._shape.joins_indented)
            self._streams[name] = _Stream(joiner)
        return self._streams[name]

    def _push(self, stream: _Stream, line: str, wrapped: Wrapped | None, records: list[Record]) -> None:
        first = self._begin(line)
        was_open = stream.joiner.is_open
        group = stream.joiner.push(line, begins=first is not None)
        if group is not None:
            records.append(self._record(stream, group))
        if line.strip() and (group is not None or not was_open):
            stream.first, stream.wrapped = first, wrapped

    def _begin(self, line: str) -> Record | None:
        """Read a line that begins a record; None when it may belong to the one above."""
        if not line.strip():
            return None
        if self._shape.format is not TEXT and (record := self._shape.format.parse(line, self._clock)) is not None:
            return record
        return parse_plain_line(line, self._clock) if dated(line, self._clock) is not None else None

    def _record(self, stream: _Stream, group: list[str]) -> Record:
        record = stream.first if stream.first is not None else parse_plain_line(group[0], self._clock)
        attributes = dict(record.attributes)
        body = record.body
        number = record.severity_number
        if len(group) > 1:
            rest = "\n".join(group[1:])
            if isinstance(body, str):
                body = f"{body}\n{rest}"
            else:
                attributes["log.continuation"] = rest
            if not number and any(mark in body for mark in _TRACE_MARKS):
                number = ERROR
        if self._keep_original:
            attributes[ORIGINAL] = "\n".join(group)
        if stream.wrapped is not None and stream.wrapped.stream:
            attributes["log.iostream"] = stream.wrapped.stream
        self.counts.records += 1
        self.counts.joined_lines += sum(1 for line in group[1:] if line)
        self.counts.split = sum(each.joiner.split for each in self._streams.values())
        return record._replace(
            body=body,
            severity_number=number,
            attributes=attributes,
            time_unix_ns=self._time(record, stream.wrapped),
            resource=self._merged(record.resource),
        )

    def _time(self, record: Record, wrapped: Wrapped | None) -> int:
        found = record.time_unix_ns or (wrapped.time_unix_ns if wrapped else 0)
        if found:
            self.last_time_unix_ns = found
            return found
        self.counts.without_time += 1
        return self.last_time_unix_ns

    def _merged(self, own: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        merged = self._resources.get(own)
        if merged is None:
            merged = tuple({**dict(self._resource), **dict(own), **dict(self._fixed)}.items())
            if len(self._resources) > 10_000:
                self._resources.clear()
            self._resources[own] = merged
        return merged
