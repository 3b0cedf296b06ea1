"""What loggers call their levels, as OTLP severity numbers.

Enters: a word, a letter or a number of some logger. Leaves: an OTLP severity number 1..24, or 0 when it is none.
Follows the table of the OpenTelemetry log data model, appendix B, where that has a row. Does not read whole lines.
"""

from __future__ import annotations

import re
from typing import Any

TRACE, DEBUG, INFO, NOTICE, WARN, ERROR, CRITICAL, ALERT, FATAL = 1, 5, 9, 10, 13, 17, 18, 19, 21

WORDS: dict[str, int] = {
    "trace": TRACE,
    "finest": TRACE,
    "finer": TRACE,
    "verbose": TRACE,
    "silly": TRACE,
    "debug": DEBUG,
    "debug1": DEBUG,
    "debug2": DEBUG,
    "debug3": DEBUG,
    "debug4": DEBUG,
    "debug5": DEBUG,
    "dbg": DEBUG,
    "fine": DEBUG,
    "config": INFO,
    "info": INFO,
    "inf": INFO,
    "information": INFO,
    "informational": INFO,
    "log": INFO,
    "statement": INFO,
    "detail": INFO,
    "hint": INFO,
    "context": INFO,
    "system": INFO,
    "success": INFO,
    "audit": NOTICE,
    "notice": NOTICE,
    "note": NOTICE,
    "warn": WARN,
    "warning": WARN,
    "wrn": WARN,
    "error": ERROR,
    "err": ERROR,
    "severe": ERROR,
    "failure": ERROR,
    "crit": CRITICAL,
    "alert": ALERT,
    "critical": FATAL,
    "fatal": FATAL,
    "ftl": FATAL,
    "panic": FATAL,
    "dpanic": FATAL,
    "emerg": FATAL,
    "emergency": FATAL,
    "off": FATAL,
}

LETTERS: dict[str, int] = {
    "T": TRACE,
    "V": TRACE,
    "D": DEBUG,
    "I": INFO,
    "N": NOTICE,
    "W": WARN,
    "E": ERROR,
    "C": FATAL,
    "F": FATAL,
    "A": FATAL,
    ".": DEBUG,
    "-": INFO,
    "*": NOTICE,
    "#": WARN,
}

SYSLOG: tuple[int, ...] = (FATAL, ALERT, CRITICAL, ERROR, WARN, NOTICE, INFO, DEBUG)

PINO: dict[int, int] = {10: TRACE, 20: DEBUG, 30: INFO, 40: WARN, 50: ERROR, 60: FATAL}

LEVEL_WORDS = (
    "TRACE|FINEST|FINER|VERBOSE|DEBUG|FINE|CONFIG|INFO|INFORMATION|NOTICE|WARN|WARNING|ERROR|ERR|SEVERE|FAILURE|"
    "CRITICAL|CRIT|ALERT|FATAL|PANIC|EMERG|EMERGENCY"
)
_SHOUTED = re.compile(rf"(?:^|[\s\[(<|:=\]-])({LEVEL_WORDS})(?=$|[\s\]):|>,])")
_PREFIX = re.compile(
    r"\W{0,3}(trace|debug|info|notice|warn|warning|error|err|critical|fatal|panic)\b *[\]:]", re.IGNORECASE
)
_HEAD_CHARACTERS = 96


_NAMES = ("", "trace", "debug", "info", "warn", "error", "fatal")


def severity_name(severity_number: int) -> str:
    """Give the name of a severity number without the digit behind it; "" for 0."""
    return _NAMES[(severity_number + 3) // 4] if 0 <= severity_number <= 24 else ""


def severity_of_word(word: str) -> int:
    """Give the severity number of a level's name or letter, in any case; 0 when it is none.

    >>> severity_of_word("WARNING"), severity_of_word("E"), severity_of_word("lavender")
    (13, 17, 0)
    """
    text = word.strip()
    if len(text) == 1:
        return LETTERS.get(text.upper(), 0)
    return WORDS.get(text.lower(), 0)


def severity_of_priority(priority: int) -> int:
    """Give the severity number of a syslog priority (facility * 8 + severity); 0 when it is negative."""
    return SYSLOG[priority % 8] if priority >= 0 else 0


def severity_of_value(value: Any) -> int:
    """Give the severity number of a structured logger's level: a word, a syslog number 0..7 or a pino/bunyan number.

    >>> severity_of_value("error"), severity_of_value(30), severity_of_value(3)
    (17, 9, 17)
    """
    if isinstance(value, bool):
        return 0
    if isinstance(value, str):
        return (
            severity_of_value(int(value)) if value.strip().isdecimal() and len(value) < 4 else severity_of_word(value)
        )
    if isinstance(value, int | float):
        number = int(value) if abs(value) < 1000 else -1
        return SYSLOG[number] if 0 <= number <= 7 else PINO.get(number - number % 10, 0) if number >= 10 else 0
    return 0


def severity_in_text(text: str) -> tuple[int, str]:
    """Find a level near the start of free text, a word in capitals or `error:`; (0, "") when there is none.

    >>> severity_in_text("worker 7 ERROR cannot open"), severity_in_text("error: no such file"), severity_in_text("ok")
    ((17, 'ERROR'), (17, 'error'), (0, ''))
    """
    head = text[:_HEAD_CHARACTERS]
    found = _PREFIX.match(head) or _SHOUTED.search(head)
    if found is None:
        return 0, ""
    word = found.group(1)
    return severity_of_word(word), word
