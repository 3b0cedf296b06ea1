"""The masking of log lines in plain Python: what varies becomes `<*>`.

Enters: the bytes of a log body. Leaves: its template and where each parameter stood. A pure function of the bytes: it
learns nothing, so the same line has the same template everywhere. The C kernel (native/mask.c) follows this file
function by function and is tested to give the same bytes; this one serves where the kernel is not built, extracts
parameters, and says what is right. Of a body the first BODY_BYTES_MAX are read, of these the first line that is
not blank and up to LINES_MAX - 1 further lines that are not stack frames (indented, or `at ...`, or `...`).
"""

from __future__ import annotations

from typing import NamedTuple

from watchkeeper.patterns.vocabulary import (
    BYTES,
    COMMERCIAL,
    CREDENTIAL,
    DAY,
    FOR,
    KNOWN,
    MONTH,
    NOT_NAME,
    REVERSED_DOMAIN,
    TIME_UNIT,
    TOP_DOMAIN,
    USER,
    VALUE,
    WIDE_DOMAIN,
    WORD_BYTES_MAX,
    WORDS,
    ZONE,
)

BODY_BYTES_MAX = 65_536
LINE_BYTES_MAX = 4_096
LINES_MAX = 4
QUOTED_BYTES_MAX = 256
OBJECT_BYTES_MAX = 512
NAME_BYTES_MAX = 32
KEY_BYTES_MAX = 24

VARIABLE = b"<*>"
JOINT = " \u21b5 ".encode()

_DIGITS = frozenset(b"0123456789")
_UPPER = frozenset(range(65, 91))
_LETTERS = _UPPER | frozenset(range(97, 123))
_HEX = frozenset(b"0123456789abcdefABCDEF")
_SPACE = frozenset([*range(33), 127])
_DELIMITERS = frozenset(b",;=()[]{}\"'|<>")
_ENDS_ATOM = _SPACE | _DELIMITERS
_QUOTES = frozenset(b"\"'")
_LEADING = frozenset(b".:!?*~^`#$%&@")
_TRAILING = frozenset(b".:!?*~^`#$%&@-+")
_AFTER_VALUE = frozenset(b".:!?")
_AFTER_URL = frozenset(b".,;:!")
_ENDS_URL = _SPACE | frozenset(b"\"'<>]})")
_KEY_END = _LETTERS | _DIGITS | frozenset(b"_]-.")
_KEY = _LETTERS | _DIGITS | frozenset(b"_.")
_LABEL = _LETTERS | frozenset(b".-")
_CLOCK = _DIGITS | frozenset(b":.+-Z")
_NAME_LETTERS = frozenset(b"$_.")
_JOINERS = frozenset(b":/#@.")


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
    for number, (start, end) in enumerate(_lines(body)):
        if number:
            scanner.out += JOINT
        scanner.line(start, end)
    return Masked(bytes(scanner.out), scanner.spans)


def _lines(body: bytes) -> list[tuple[int, int]]:
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
    return all(body[at] in _SPACE for at in range(start, end))


def _is_frame(body: bytes, start: int, end: int) -> bool:
    return body[start] in b" \t" or body.startswith((b"at ", b"..."), start, end)


def _meaning(word: bytes) -> int:
    return WORDS.get(word.lower(), 0) if len(word) <= WORD_BYTES_MAX else 0


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
            if byte in _SPACE:
                at = self.space(at, end, base)
            elif byte in _DELIMITERS:
                at = self.delimiter(at, end)
            else:
                at = self.word(at, _atom_end(body, at, end), end)
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
        return last in _JOINERS or last == 44 or (last == 32 and kind != b"" and kind == self.kind)

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
        if byte in b"<>" and following in _DIGITS:
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
        elif byte == 91 and following in _DIGITS and self.out.endswith(b"-"):
            close = body.find(b"]", at + 1, min(end, at + 1 + QUOTED_BYTES_MAX))
            if close > 0:
                self.variable(at, close + 1)
                return close + 1
        self.out.append(byte)
        if byte in b"[]":
            self.in_list = byte == 91
        if byte not in _QUOTES and byte != 61:
            self.forget_words()
        return at + 1

    def bound(self, at: int, end: int) -> int:
        """Take `<5`, `>10`, `<1 sec` as one value; 0 when it is `<5>`."""
        body = self.body
        stop = _atom_end(body, at + 1, end)
        if stop < end and body[stop] == 62:
            return 0
        self.variable(at, stop)
        if stop < end and body[stop] == 32:
            unit = stop + 1
            while unit < end and body[unit] in _LETTERS:
                unit += 1
            if _meaning(body[stop + 1 : unit]) & TIME_UNIT:
                self.extend(unit)
                return unit
        return stop

    def value(self, at: int, end: int) -> int:
        """Take what follows `key=` as a value, whatever it is; 0 when nothing follows or no key precedes."""
        body, out, start = self.body, self.out, at + 1
        if not out or not (out[-1] in _KEY_END or out.endswith(VARIABLE)) or start >= end:
            return 0
        first = body[start]
        if first in _QUOTES:
            close = body.find(first, start + 1, min(end, start + 1 + QUOTED_BYTES_MAX))
            if close < 0:
                return 0
            out += bytes((61, first))
            if close > start + 1:
                self.variable(start + 1, close)
            out.append(first)
            return close + 1
        if first in _ENDS_ATOM:
            return 0
        stop = _atom_end(body, start, end)
        if body.find(b"://", start, stop) > start:
            stop = _url_end(body, start, end)
        elif stop < end and body[stop] == 40:
            return 0
        elif stop < end and body[stop] == 123:
            close = _object_end(body, stop, min(end, stop + OBJECT_BYTES_MAX))
            if not close:
                return 0
            out.append(61)
            self.variable(start, close)
            return close
        last = stop
        while last > start and body[last - 1] in _AFTER_VALUE:
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
        if body[start] in _UPPER and stop - start == 3:
            done = _date_end(body, start, stop, end)
            if done:
                self.variable(start, done)
                self.forget_words()
                self.in_date = True
                return done
        if self.in_date:
            if self.after_variable() and (
                _meaning(body[start:stop]) & ZONE or all(body[at] in _CLOCK for at in range(start, stop))
            ):
                self.extend(stop, 1)
                return stop
            self.in_date = False
        if body.find(b"://", start, stop) > start:
            return self.url(start, end)
        if self.after_variable():
            last = stop
            while last > start and body[last - 1] in _AFTER_VALUE:
                last -= 1
            if last > start and _meaning(body[start:last]) & BYTES:
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
        stop = last = _url_end(self.body, start, end)
        while last > start and self.body[last - 1] in _AFTER_URL:
            last -= 1
        self.variable(start, last)
        self.literal(last, stop)
        return stop

    def atom(self, start: int, end: int, is_key: bool) -> None:  # noqa: FBT001 - mirrors the C kernel
        """Set punctuation at both ends apart, then mask what is between."""
        body, first = self.body, start
        while first < end and body[first] in _LEADING:
            if body[first] in b".~" and first + 1 < end and body[first + 1] == 47:
                break
            first += 1
        last = end
        while last > first and body[last - 1] in _TRAILING:
            last -= 1
        sign = first
        while sign < last and body[sign] in b"+-":
            sign += 1
        if sign < last and body[sign] not in _DIGITS and body[sign] != 47:
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
        if _is_path(body, start, end):
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
        if _is_hex_address(body, start, end):
            self.variable(start, end)
            return
        scoped = body[start] in _LETTERS and body.find(b"::", start, end) >= 0
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
        begins_as_name = text[0] in _LETTERS
        if begins_as_name and (scoped or (is_key and _is_key(text))):
            self.literal(start, end)
            self.forget_words()
        elif not any(byte in _DIGITS for byte in text):
            self.digitless(start, end, text)
        elif _is_known_name(text):
            self.literal(start, end)
            self.forget_words()
        else:
            self.forget_words()
            self.with_digits(start, end, text)

    def digitless(self, start: int, end: int, text: bytes) -> None:
        meaning = _meaning(text)
        named = (
            not meaning & NOT_NAME
            and len(text) <= NAME_BYTES_MAX
            and (self.previous & USER or (self.previous & FOR and self.before & CREDENTIAL))
        )
        if named:
            self.forget_words()
        if named or _is_value_without_digits(text, meaning) or text.find(b"@", 1, len(text) - 1) > 0:
            self.variable(start, end)
            return
        self.literal(start, end)
        self.before, self.previous = self.previous, meaning

    def with_digits(self, start: int, end: int, text: bytes) -> None:
        at = text.rfind(b"@")
        if at >= 0:
            left = text[:at]
            is_class = not any(byte in _DIGITS for byte in left) and (b"." in left or b"$" in left)
            if is_class and at + 1 < len(text):
                self.literal(start, start + at + 1)
                start += at + 1
            self.variable(start, end)
            return
        letters = 0
        while letters < len(text) and text[letters] in _LETTERS:
            letters += 1
        rest = text[letters + 1 :]
        if letters >= 2 and rest and text[letters] in b"-." and not any(byte in _LETTERS for byte in rest):
            self.literal(start, start + letters + 1)
            self.variable(start + letters + 1, end)
            return
        self.variable(start, end, text[: letters + 1] if letters < len(text) and text[letters] in b"_-" else b"")


def _atom_end(body: bytes, at: int, end: int) -> int:
    while at < end and body[at] not in _ENDS_ATOM:
        at += 1
    return at


def _url_end(body: bytes, at: int, end: int) -> int:
    while at < end and body[at] not in _ENDS_URL:
        at += 1
    return at


def _object_end(body: bytes, at: int, end: int) -> int:
    """Give where the braces that open at `at` are closed again, 0 when they are not."""
    depth = 0
    while at < end:
        if body[at] == 123:
            depth += 1
        elif body[at] == 125:
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    return 0


def _skip_spaces(body: bytes, at: int, end: int) -> int:
    while at < end and body[at] == 32:
        at += 1
    return at


def _date_end(body: bytes, start: int, stop: int, end: int) -> int:
    """Give where a date like `Sat Jun 11`, `Jun 11`, `Sat, 11 Jun` ends that begins with this word, 0 for none."""
    meaning = _meaning(body[start:stop])
    at = stop
    if meaning & DAY:
        if at < end and body[at] == 44:
            at += 1
        at = _skip_spaces(body, at, end)
        stop = _atom_end(body, at, end)
        if 1 <= stop - at <= 2 and all(body[k] in _DIGITS for k in range(at, stop)):
            at = _skip_spaces(body, stop, end)
            stop = _atom_end(body, at, end)
            return stop if stop - at == 3 and _meaning(body[at:stop]) & MONTH else 0
        if stop - at != 3:
            return 0
        meaning = _meaning(body[at:stop])
        at = stop
    if not meaning & MONTH:
        return 0
    at = _skip_spaces(body, at, end)
    stop = at
    while stop < end and body[stop] in _DIGITS:
        stop += 1
    return stop if 1 <= stop - at <= 2 else 0


def _is_path(body: bytes, start: int, end: int) -> bool:
    first, size = body[start], end - start
    if (first == 47 and size > 1) or (first == 46 and size > 2):
        return True
    if size > 2 and first == 126 and body[start + 1] == 47:
        return True
    if size > 2 and first in _LETTERS and body[start + 1] == 58 and body[start + 2] in b"\\/":
        return True
    slashes = body.count(b"/", start, end)
    if slashes >= 2 or body.count(b"\\", start, end) >= 2:
        return True
    return slashes == 1 and body.startswith((b"com.", b"org."), start, end) and body.count(b".", start, end) >= 2


def _is_hex_address(body: bytes, start: int, end: int) -> bool:
    """Tell whether this is a MAC or IPv6 address, or a clock time: two colons or more, groups of up to 4 hex digits."""
    groups = body[start:end].split(b":")
    return (
        len(groups) >= 3
        and all(len(group) <= 4 and all(byte in _HEX for byte in group) for group in groups)
        and any(body[at] in _DIGITS for at in range(start, end))
    )


def _is_key(text: bytes) -> bool:
    digits = sum(byte in _DIGITS for byte in text)
    return digits <= 2 and len(text) <= KEY_BYTES_MAX and all(byte in _KEY for byte in text)


def _is_known_name(text: bytes) -> bool:
    """Tell whether a text with digits is an identifier (HttpServer2$Filter, Slf4jLogger) rather than a value."""
    if _meaning(text) & KNOWN:
        return True
    letters = digits = 0
    first = last = -1
    for at, byte in enumerate(text):
        if byte in _DIGITS:
            first = at if first < 0 else first
            last = at
            digits += 1
        elif byte in _LETTERS:
            letters += 1
        elif byte not in _NAME_LETTERS:
            return False
    if last - first + 1 != digits or first < 2 or text[first - 1] not in _LETTERS:
        return False
    after = text[last + 1 :]
    if digits == 1 and letters >= 7 and len(after) >= 2:
        return all(byte in _LETTERS or byte == 36 for byte in after[:2])
    upper = sum(byte in _UPPER for byte in after)
    return len(after) >= 6 and all(byte in _LETTERS for byte in after) and 0 < upper < len(after)


def _is_value_without_digits(text: bytes, meaning: int) -> bool:
    if meaning & VALUE or (len(text) >= 8 and all(byte in _HEX for byte in text)):
        return True
    dots = text.count(b".")
    if not dots:
        return False
    first, last = text[: text.find(b".")], text[text.rfind(b".") + 1 :]
    if not first or not last:
        return False
    begins, ends = _meaning(first), _meaning(last)
    if not begins & REVERSED_DOMAIN and (ends & WIDE_DOMAIN or (dots >= 2 and ends & TOP_DOMAIN)):
        return b".." not in text and all(byte in _LABEL for byte in text)
    if dots < 2:
        return False
    if len(last) >= 2 and all(byte in _UPPER or byte == 95 for byte in last):
        return True
    return bool(begins & COMMERCIAL) and not any(byte in _UPPER for byte in text)
