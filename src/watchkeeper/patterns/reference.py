"""The masking of log lines in plain Python: what varies becomes `<*>`.

Enters: the bytes of a log body. Leaves: its template and where each parameter stood. A pure function of the bytes: it
learns nothing, so the same line has the same template everywhere. The C kernel (native/mask.c) follows this file
function by function and is tested to give the same bytes; this one serves where the kernel is not built, extracts
parameters, and says what is right. Which lines of a body count is told by patterns/body.py.
"""

from __future__ import annotations

from typing import NamedTuple

from watchkeeper.patterns.body import lines_of
from watchkeeper.patterns.vocabulary import (
    BYTES,
    CREDENTIAL,
    FOR,
    NOT_NAME,
    TIME_UNIT,
    USER,
    ZONE,
)
from watchkeeper.patterns.words import (
    AFTER_URL,
    AFTER_VALUE,
    CLOCK,
    DELIMITERS,
    DIGITS,
    ENDS_ATOM,
    JOINERS,
    KEY_END,
    LEADING,
    LETTERS,
    QUOTES,
    SPACE,
    TRAILING,
    UPPER,
    atom_end,
    date_end,
    fits_key,
    is_hex_address,
    is_known_name,
    is_path,
    is_value_without_digits,
    meaning_of,
    object_end,
    url_end,
)

QUOTED_BYTES_MAX = 256
OBJECT_BYTES_MAX = 512
NAME_BYTES_MAX = 32

VARIABLE = b"<*>"
JOINT = " \u21b5 ".encode()


class Masked(NamedTuple):
    """A template (UTF-8 bytes) and the byte ranges of the body that stand at its `<*>`, in order."""

    template: bytes
    spans: list[tuple[int, int]]


def mask(body: bytes) -> Masked:
    """Give the template of a log body.

    >>> mask(b"Received block blk_-1608999687919862906 of size 91178 from /10.250.10.6").template
    b'Received block <*> of size <*> from <*>'
    """
    scanner = _Scanner(body)
    for number, (start, end) in enumerate(lines_of(body)):
        if number:
            scanner.out += JOINT
        scanner.line(start, end)
    return Masked(bytes(scanner.out), scanner.spans)


class _Scanner:
    """One pass over a body; `out` grows into the template."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.out = bytearray()
        self.spans: list[tuple[int, int]] = []
        self.kind = b""
        self.previous = 0
        self.before = 0
        self.in_date = False
        self.in_list = False

    def line(self, at: int, end: int) -> None:
        body, base = self.body, len(self.out)
        self.forget_words()
        self.kind, self.in_date, self.in_list = b"", False, False
        while at < end:
            byte = body[at]
            if byte in SPACE:
                at = self.space(at, end, base)
            elif byte in DELIMITERS:
                at = self.delimiter(at, end)
            else:
                at = self.word(at, atom_end(body, at, end), end)
        if len(self.out) > base and self.out[-1] == 32:
            del self.out[-1]

    def space(self, at: int, end: int, base: int) -> int:
        if self.body[at] == 27 and at + 1 < end and self.body[at + 1] == 91:
            at += 2
            while at < end and not 0x40 <= self.body[at] <= 0x7E:
                at += 1
            return min(at + 1, end)
        if len(self.out) > base and self.out[-1] != 32:
            self.out.append(32)
        return at + 1

    def forget_words(self) -> None:
        self.previous = self.before = 0

    # -- output ---------------------------------------------------------------------------------------------------

    def literal(self, start: int, end: int) -> None:
        self.out += self.body[start:end]

    def variable(self, start: int, end: int, kind: bytes = b"") -> None:
        """Write `<*>`, or let the one just written take this in too where the two make one value or one list."""
        out = self.out
        if out.endswith(VARIABLE):
            self.extend(end)
        elif out[-4:-1] == VARIABLE and self.joins(out[-1], kind):
            self.extend(end, 1)
        elif self.in_list and out.endswith(b"<*>, "):
            self.extend(end, 2)
        else:
            out += VARIABLE
            self.spans.append((start, end))
            self.kind = kind

    def joins(self, last: int, kind: bytes) -> bool:
        """Tell whether a byte after a variable makes one value, or one list, of it and the next variable."""
        return last in JOINERS or last == 44 or (last == 32 and kind != b"" and kind == self.kind)

    def extend(self, end: int, less: int = 0) -> None:
        """Let the last variable reach to `end`, taking `less` bytes of output back."""
        if less:
            del self.out[-less:]
        if self.spans:
            self.spans[-1] = (self.spans[-1][0], end)

    def after_variable(self) -> bool:
        return self.out.endswith(b"<*> ")

    # -- between atoms --------------------------------------------------------------------------------------------

    def delimiter(self, at: int, end: int) -> int:
        body, byte = self.body, self.body[at]
        following = body[at + 1] if at + 1 < end else 0
        if byte in b"<>" and following in DIGITS:
            done = self.bound(at, end)
            if done:
                return done
        elif byte == 61:
            done = self.value(at, end)
            if done:
                return done
        elif byte == 40 and following == 41 and self.after_variable():
            self.out += b"("
            self.variable(at + 1, at + 1)
            self.out += b")"
            return at + 2
        elif byte == 91 and following in DIGITS and self.out.endswith(b"-"):
            close = body.find(b"]", at + 1, min(end, at + 1 + QUOTED_BYTES_MAX))
            if close > 0:
                self.variable(at, close + 1)
                return close + 1
        self.out.append(byte)
        if byte in b"[]":
            self.in_list = byte == 91
        if byte not in QUOTES and byte != 61:
            self.forget_words()
        return at + 1

    def bound(self, at: int, end: int) -> int:
        """Take `<5`, `>10`, `<1 sec` as one value; 0 when it is `<5>`."""
        body = self.body
        stop = atom_end(body, at + 1, end)
        if stop < end and body[stop] == 62:
            return 0
        self.variable(at, stop)
        if stop < end and body[stop] == 32:
            unit = stop + 1
            while unit < end and body[unit] in LETTERS:
                unit += 1
            if meaning_of(body[stop + 1 : unit]) & TIME_UNIT:
                self.extend(unit)
                return unit
        return stop

    def value(self, at: int, end: int) -> int:
        """Take what follows `key=` as a value, whatever it is; 0 when nothing follows or no key precedes."""
        body, out, start = self.body, self.out, at + 1
        if not out or not (out[-1] in KEY_END or out.endswith(VARIABLE)) or start >= end:
            return 0
        first = body[start]
        if first in QUOTES:
            close = body.find(first, start + 1, min(end, start + 1 + QUOTED_BYTES_MAX))
            if close < 0:
                return 0
            out += bytes((61, first))
            if close > start + 1:
                self.variable(start + 1, close)
            out.append(first)
            return close + 1
        if first in ENDS_ATOM:
            return 0
        stop = atom_end(body, start, end)
        if body.find(b"://", start, stop) > start:
            stop = url_end(body, start, end)
        elif stop < end and body[stop] == 40:
            return 0
        elif stop < end and body[stop] == 123:
            close = object_end(body, stop, min(end, stop + OBJECT_BYTES_MAX))
            if not close:
                return 0
            out.append(61)
            self.variable(start, close)
            return close
        last = stop
        while last > start and body[last - 1] in AFTER_VALUE:
            last -= 1
        out.append(61)
        if last > start:
            self.variable(start, last)
        self.literal(last, stop)
        return stop

    # -- atoms ----------------------------------------------------------------------------------------------------

    def word(self, start: int, stop: int, end: int) -> int:
        """Take one run of bytes without space or delimiter; give where reading goes on."""
        body = self.body
        if body[start] in UPPER and stop - start == 3:
            done = date_end(body, start, stop, end)
            if done:
                self.variable(start, done)
                self.forget_words()
                self.in_date = True
                return done
        if self.in_date:
            if self.after_variable() and (
                meaning_of(body[start:stop]) & ZONE or all(body[at] in CLOCK for at in range(start, stop))
            ):
                self.extend(stop, 1)
                return stop
            self.in_date = False
        if body.find(b"://", start, stop) > start:
            return self.url(start, end)
        if self.after_variable():
            last = stop
            while last > start and body[last - 1] in AFTER_VALUE:
                last -= 1
            if last > start and meaning_of(body[start:last]) & BYTES:
                self.extend(last, 1)
                self.literal(last, stop)
                return stop
            if body.startswith(b"HTTP/", start, stop):
                self.extend(stop, 1)
                return stop
        if body[start] == 47 and body.startswith(b"/ HTTP/", start, end):
            self.variable(start, stop)
            return stop
        is_key = stop < end and (body[stop] == 61 or body.startswith(b"()", stop, end))
        self.atom(start, stop, is_key)
        return stop

    def url(self, start: int, end: int) -> int:
        stop = last = url_end(self.body, start, end)
        while last > start and self.body[last - 1] in AFTER_URL:
            last -= 1
        self.variable(start, last)
        self.literal(last, stop)
        return stop

    def atom(self, start: int, end: int, is_key: bool) -> None:  # noqa: FBT001 - mirrors the C kernel
        """Set punctuation at both ends apart, then mask what is between."""
        body, first = self.body, start
        while first < end and body[first] in LEADING:
            if body[first] in b".~" and first + 1 < end and body[first + 1] == 47:
                break
            first += 1
        last = end
        while last > first and body[last - 1] in TRAILING:
            last -= 1
        sign = first
        while sign < last and body[sign] in b"+-":
            sign += 1
        if sign < last and body[sign] not in DIGITS and body[sign] != 47:
            first = sign
        self.literal(start, first)
        while first < last:
            dots = body.find(b"..", first + 1, last)
            if dots < 0:
                self.segment(first, last, is_key)
                break
            self.segment(first, dots, False)
            first = dots
            while first < last and body[first] == 46:
                first += 1
            self.literal(dots, first)
        self.literal(last, end)

    def segment(self, start: int, end: int, is_key: bool) -> None:  # noqa: FBT001 - mirrors the C kernel
        body = self.body
        if is_path(body, start, end):
            colon = body.find(b":", start + 2, end)
            if colon < 0 or colon >= end - 1:
                self.variable(start, end)
                self.forget_words()
                return
            self.variable(start, colon)
            self.literal(colon, colon + 1)
            start = colon + 1
        if body.find(b":", start, end) < 0:
            self.part(start, end, is_key, False)
            return
        if is_hex_address(body, start, end):
            self.variable(start, end)
            return
        scoped = body[start] in LETTERS and body.find(b"::", start, end) >= 0
        while True:
            colon = body.find(b":", start, end)
            self.part(start, end if colon < 0 else colon, False, scoped)
            if colon < 0:
                return
            self.literal(colon, colon + 1)
            start = colon + 1

    def part(self, start: int, end: int, is_key: bool, scoped: bool) -> None:  # noqa: FBT001 - mirrors the C kernel
        """Decide on a piece that has no colon: constant or value."""
        if start == end:
            return
        text = self.body[start:end]
        begins_as_name = text[0] in LETTERS
        if begins_as_name and (scoped or (is_key and fits_key(text))):
            self.literal(start, end)
            self.forget_words()
        elif not any(byte in DIGITS for byte in text):
            self.digitless(start, end, text)
        elif is_known_name(text):
            self.literal(start, end)
            self.forget_words()
        else:
            self.forget_words()
            self.with_digits(start, end, text)

    def digitless(self, start: int, end: int, text: bytes) -> None:
        meaning = meaning_of(text)
        named = (
            not meaning & NOT_NAME
            and len(text) <= NAME_BYTES_MAX
            and (self.previous & USER or (self.previous & FOR and self.before & CREDENTIAL))
        )
        if named:
            self.forget_words()
        if named or is_value_without_digits(text, meaning) or text.find(b"@", 1, len(text) - 1) > 0:
            self.variable(start, end)
            return
        self.literal(start, end)
        self.before, self.previous = self.previous, meaning

    def with_digits(self, start: int, end: int, text: bytes) -> None:
        at = text.rfind(b"@")
        if at >= 0:
            left = text[:at]
            is_class = not any(byte in DIGITS for byte in left) and (b"." in left or b"$" in left)
            if is_class and at + 1 < len(text):
                self.literal(start, start + at + 1)
                start += at + 1
            self.variable(start, end)
            return
        letters = 0
        while letters < len(text) and text[letters] in LETTERS:
            letters += 1
        rest = text[letters + 1 :]
        if letters >= 2 and rest and text[letters] in b"-." and not any(byte in LETTERS for byte in rest):
            self.literal(start, start + letters + 1)
            self.variable(start + letters + 1, end)
            return
        self.variable(start, end, text[: letters + 1] if letters < len(text) and text[letters] in b"_-" else b"")
