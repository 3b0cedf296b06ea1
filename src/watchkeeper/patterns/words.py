"""What a word of a log line is: where it ends, and whether it is a path, an address, a date, a name or a value.

Enters: bytes and the range that is asked about. Leaves: an end, or a yes or no. The plain Python of the masking
(patterns/reference.py) asks here; the C kernel (native/mask.c) has the same functions. Keeps no state.
"""

from __future__ import annotations

from watchkeeper.patterns.vocabulary import (
    COMMERCIAL,
    DAY,
    KNOWN,
    MONTH,
    REVERSED_DOMAIN,
    TOP_DOMAIN,
    VALUE,
    WIDE_DOMAIN,
    WORD_BYTES_MAX,
    WORDS,
)

KEY_BYTES_MAX = 24

DIGITS = frozenset(b"0123456789")
UPPER = frozenset(range(65, 91))
LETTERS = UPPER | frozenset(range(97, 123))
HEX = frozenset(b"0123456789abcdefABCDEF")
SPACE = frozenset([*range(33), 127])
DELIMITERS = frozenset(b",;=()[]{}\"'|<>")
ENDS_ATOM = SPACE | DELIMITERS
QUOTES = frozenset(b"\"'")
LEADING = frozenset(b".:!?*~^`#$%&@")
TRAILING = frozenset(b".:!?*~^`#$%&@-+")
AFTER_VALUE = frozenset(b".:!?")
AFTER_URL = frozenset(b".,;:!")
ENDS_URL = SPACE | frozenset(b"\"'<>]})")
KEY_END = LETTERS | DIGITS | frozenset(b"_]-.")
KEY = LETTERS | DIGITS | frozenset(b"_.")
LABEL = LETTERS | frozenset(b".-")
CLOCK = DIGITS | frozenset(b":.+-Z")
NAME_LETTERS = frozenset(b"$_.")
JOINERS = frozenset(b":/#@.")


def meaning_of(word: bytes) -> int:
    """Give the bits of patterns/vocabulary.py that are known of a word, 0 for none; letter case does not matter."""
    return WORDS.get(word.lower(), 0) if len(word) <= WORD_BYTES_MAX else 0


def atom_end(body: bytes, at: int, end: int) -> int:
    """Give where the run of bytes that are neither space nor delimiter ends."""
    while at < end and body[at] not in ENDS_ATOM:
        at += 1
    return at


def url_end(body: bytes, at: int, end: int) -> int:
    """Give where a URL ends that goes on at `at`."""
    while at < end and body[at] not in ENDS_URL:
        at += 1
    return at


def object_end(body: bytes, at: int, end: int) -> int:
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


def skip_spaces(body: bytes, at: int, end: int) -> int:
    """Give the first byte from `at` on that is no space."""
    while at < end and body[at] == 32:
        at += 1
    return at


def date_end(body: bytes, start: int, stop: int, end: int) -> int:
    """Give where a date like `Sat Jun 11`, `Jun 11`, `Sat, 11 Jun` ends that begins with this word, 0 for none."""
    meaning = meaning_of(body[start:stop])
    at = stop
    if meaning & DAY:
        if at < end and body[at] == 44:
            at += 1
        at = skip_spaces(body, at, end)
        stop = atom_end(body, at, end)
        if 1 <= stop - at <= 2 and all(body[k] in DIGITS for k in range(at, stop)):
            at = skip_spaces(body, stop, end)
            stop = atom_end(body, at, end)
            return stop if stop - at == 3 and meaning_of(body[at:stop]) & MONTH else 0
        if stop - at != 3:
            return 0
        meaning = meaning_of(body[at:stop])
        at = stop
    if not meaning & MONTH:
        return 0
    at = skip_spaces(body, at, end)
    stop = at
    while stop < end and body[stop] in DIGITS:
        stop += 1
    return stop if 1 <= stop - at <= 2 else 0


def is_path(body: bytes, start: int, end: int) -> bool:
    """Tell whether this is a path of a file system, or a qualified name with a slash."""
    first, size = body[start], end - start
    if (first == 47 and size > 1) or (first == 46 and size > 2):
        return True
    if size > 2 and first == 126 and body[start + 1] == 47:
        return True
    if size > 2 and first in LETTERS and body[start + 1] == 58 and body[start + 2] in b"\\/":
        return True
    slashes = body.count(b"/", start, end)
    if slashes >= 2 or body.count(b"\\", start, end) >= 2:
        return True
    return slashes == 1 and body.startswith((b"com.", b"org."), start, end) and body.count(b".", start, end) >= 2


def is_hex_address(body: bytes, start: int, end: int) -> bool:
    """Tell whether this is a MAC or IPv6 address, or a clock time: two colons or more, groups of up to 4 hex digits."""
    groups = body[start:end].split(b":")
    return (
        len(groups) >= 3
        and all(len(group) <= 4 and all(byte in HEX for byte in group) for group in groups)
        and any(body[at] in DIGITS for at in range(start, end))
    )


def fits_key(text: bytes) -> bool:
    """Tell whether a text may stand before `=`: short, letters, at most two digits."""
    digits = sum(byte in DIGITS for byte in text)
    return digits <= 2 and len(text) <= KEY_BYTES_MAX and all(byte in KEY for byte in text)


def is_known_name(text: bytes) -> bool:
    """Tell whether a text with digits is an identifier (HttpServer2$Filter, Slf4jLogger) rather than a value."""
    if meaning_of(text) & KNOWN:
        return True
    letters = digits = 0
    first = last = -1
    for at, byte in enumerate(text):
        if byte in DIGITS:
            first = at if first < 0 else first
            last = at
            digits += 1
        elif byte in LETTERS:
            letters += 1
        elif byte not in NAME_LETTERS:
            return False
    if last - first + 1 != digits or first < 2 or text[first - 1] not in LETTERS:
        return False
    after = text[last + 1 :]
    if digits == 1 and letters >= 7 and len(after) >= 2:
        return all(byte in LETTERS or byte == 36 for byte in after[:2])
    upper = sum(byte in UPPER for byte in after)
    return len(after) >= 6 and all(byte in LETTERS for byte in after) and 0 < upper < len(after)


def is_value_without_digits(text: bytes, meaning: int) -> bool:
    """Tell whether a text without digits varies all the same: a hash, a host name, a name of a generated class."""
    if meaning & VALUE or (len(text) >= 8 and all(byte in HEX for byte in text)):
        return True
    dots = text.count(b".")
    if not dots:
        return False
    first, last = text[: text.find(b".")], text[text.rfind(b".") + 1 :]
    if not first or not last:
        return False
    begins, ends = meaning_of(first), meaning_of(last)
    if not begins & REVERSED_DOMAIN and (ends & WIDE_DOMAIN or (dots >= 2 and ends & TOP_DOMAIN)):
        return b".." not in text and all(byte in LABEL for byte in text)
    if dots < 2:
        return False
    if len(last) >= 2 and all(byte in UPPER or byte == 95 for byte in last):
        return True
    return bool(begins & COMMERCIAL) and not any(byte in UPPER for byte in text)
