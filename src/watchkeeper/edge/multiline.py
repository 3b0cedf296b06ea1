"""Which lines are one record: stack traces and other continuations are joined to the line that they belong to.

Enters: lines in order, each told whether it begins like its format. Leaves: groups of lines. Bounded: a group that
grows over the bounds is given out and the next line begins another; nothing is dropped. Does not read times or levels.
"""

from __future__ import annotations

import re
from enum import Enum

from watchkeeper.edge.line_format import Continuation

GROUP_LINES_MAX = 1000
GROUP_CHARACTERS_MAX = 256 * 1024


class _Trace(Enum):
    """What kind of stack trace the open group is in the middle of."""

    NONE = "none"
    PYTHON = "python"
    GO = "go"
    NODE = "node"


_PYTHON_START = re.compile(r"(?:.*\s)?Traceback \(most recent call last\):\s*$")
_PYTHON_CHAIN = re.compile(r"(?:During handling of the above exception|The above exception was the direct cause)")
_PYTHON_ERROR = re.compile(r"[A-Za-z_][\w.]*(?::|$)")
_GO_START = re.compile(r"(?:panic: |fatal error: |goroutine \d+ \[|SIG[A-Z]+: |runtime: )")
_GO_PART = re.compile(
    r"(?:goroutine \d+ \[|\[signal |\S+\(.*\)$|created by |exit status \d|\t|panic: |[a-z0-9]+ +0x[0-9a-f]+)"
)
_NODE_START = re.compile(
    r"(?:(?:node:)?[\w./\\:-]+\.[cm]?[jt]s:\d+|(?:Uncaught )?(?:[A-Z]\w*)?(?:Error|Exception)(?: \[\w+\])?: )"
)
_NODE_PART = re.compile(r"(?:(?:Uncaught )?(?:[A-Z]\w*)?(?:Error|Exception)\b|Node\.js v|[}\]]|throw )")
_JAVA_PART = re.compile(r"(?:Caused by: |Suppressed: |\.\.\. \d+ (?:more|common frames)|at [\w.$/<>]+\()")


class Joiner:
    """Groups the lines of one stream.

    With Continuation.HEADER every line that does not begin like the format belongs to the group above. With STACK
    only indented lines and what the stack traces of Java, Python, Go and Node.js are made of. `joins_indented` is to
    be False where most lines of a file are indented and indentation therefore means nothing.
    """

    def __init__(self, continuation: Continuation, *, joins_indented: bool = True) -> None:
        self._continuation = continuation
        self._joins_indented = joins_indented
        self._group: list[str] = []
        self._characters = 0
        self._blank = 0
        self._trace = _Trace.NONE
        self.split = 0

    @property
    def is_open(self) -> bool:
        """Tell whether a group is open."""
        return bool(self._group)

    def push(self, line: str, *, begins: bool) -> list[str] | None:
        """Take a line; give the group that it ends, if any. Empty lines are kept within a group, dropped between."""
        if not line.strip():
            self._blank += bool(self._group)
            return None
        if self._group and not begins and self._belongs(line):
            if len(self._group) + self._blank < GROUP_LINES_MAX and self._characters < GROUP_CHARACTERS_MAX:
                self._group.extend([""] * self._blank)
                self._blank = 0
                self._add(line)
                return None
            self.split += 1
        ended = self.flush()
        self._start(line)
        return ended

    def flush(self) -> list[str] | None:
        """Give the open group, if there is one."""
        ended, self._group = self._group, []
        self._characters = self._blank = 0
        self._trace = _Trace.NONE
        return ended or None

    def _start(self, line: str) -> None:
        self._trace = _Trace.NONE
        self._add(line)
        if _PYTHON_START.match(line):
            self._trace = _Trace.PYTHON
        elif _GO_START.match(line):
            self._trace = _Trace.GO
        elif _NODE_START.match(line):
            self._trace = _Trace.NODE

    def _add(self, line: str) -> None:
        self._group.append(line)
        self._characters += len(line)

    def _belongs(self, line: str) -> bool:
        if self._continuation is Continuation.HEADER:
            return True
        if self._trace is _Trace.GO and _GO_PART.match(line):
            return True
        if self._trace is _Trace.PYTHON:
            return self._python_belongs(line)
        if self._trace is _Trace.NODE and _NODE_PART.match(line):
            return True
        if self._blank:
            return False
        return (self._joins_indented and line[0] in " \t") or _JAVA_PART.match(line) is not None

    def _python_belongs(self, line: str) -> bool:
        """Within a traceback: frames are indented, one line that is not names the exception, a chain may go on."""
        if _PYTHON_CHAIN.match(line) or (_PYTHON_START.match(line) and _chained(self._group)):
            return True
        if self._blank:
            return False
        if line[0] in " \t":
            return True
        return self._group[-1][:1] in {" ", "\t"} and _PYTHON_ERROR.match(line) is not None


def _chained(group: list[str]) -> bool:
    return any(_PYTHON_CHAIN.match(line) for line in group[-2:])
