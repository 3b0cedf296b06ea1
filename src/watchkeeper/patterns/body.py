"""The lines of a log body that make its template.

Of a body the first BODY_BYTES_MAX are read, of these the first line that is not blank and up to LINES_MAX - 1 further
lines that are not stack frames (indented, or `at ...`, or `...`). The C kernel (native/mask.c) chooses the same.
"""

from __future__ import annotations

from watchkeeper.patterns.words import SPACE

BODY_BYTES_MAX = 65_536
LINE_BYTES_MAX = 4_096
LINES_MAX = 4


def lines_of(body: bytes) -> list[tuple[int, int]]:
    """Give the byte ranges of the lines that make the template."""
    chosen: list[tuple[int, int]] = []
    start, stop = 0, _cut(body, 0, len(body), BODY_BYTES_MAX)
    while start < stop and len(chosen) < LINES_MAX:
        newline = body.find(b"\n", start, stop)
        end = stop if newline < 0 else newline
        if not _is_blank(body, start, end) and not (chosen and _is_frame(body, start, end)):
            chosen.append((start, _cut(body, start, end, LINE_BYTES_MAX)))
        start = end + 1
    return chosen


def _cut(body: bytes, start: int, end: int, limit: int) -> int:
    """Give where a text ends that may be `limit` bytes at the most, whole characters only."""
    if end - start <= limit:
        return end
    end = start + limit
    while end > start and body[end] & 0xC0 == 0x80:
        end -= 1
    return end


def _is_blank(body: bytes, start: int, end: int) -> bool:
    return all(body[at] in SPACE for at in range(start, end))


def _is_frame(body: bytes, start: int, end: int) -> bool:
    return body[start] in b" \t" or body.startswith((b"at ", b"..."), start, end)
