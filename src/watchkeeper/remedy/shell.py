"""Reads shell commands: which utilities with which flags, and where arguments stand.

Enters: the text of a command line. Leaves: its calls, its skeleton (structure, utilities, flags; no arguments), its
template (with the type of each argument) and the arguments with their places, so that others can be put there. Parsed
with tree-sitter's bash grammar (extra `remediation`). Runs nothing, and tells nobody that a command is safe.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from watchkeeper.errors import MissingExtra, WatchkeeperError

COMMAND_BYTES_MAX = 20_000
_RUNS_ANOTHER = {"sudo": "", "xargs": "", "env": "", "nohup": "", "time": "", "nice": "", "watch": "", "exec": ""}
_TAKES_VALUE = {"xargs": "-I -n -P -L -d -s -E -a -i", "sudo": "-u -g", "nice": "-n", "watch": "-n", "env": "-u"}
_ONE_DASH_WORDS = ("find", "java", "openssl", "convert", "mysqladmin")
_FIND_RUNS = ("-exec", "-execdir", "-ok", "-okdir")
_OPERATORS = ("|", "|&", "&&", "||", ";", "&", "\n")
_WORDS = {
    "word",
    "number",
    "string",
    "raw_string",
    "ansi_c_string",
    "translated_string",
    "concatenation",
    "simple_expansion",
    "expansion",
    "command_substitution",
    "process_substitution",
    "arithmetic_expansion",
}
_TYPES = (
    ("VARIABLE", re.compile(r"^\$[\w{(@*#?!$-].*$", re.DOTALL)),
    ("NUMBER", re.compile(r"^[+-]?\d+(\.\d+)?$")),
    ("SIZE", re.compile(r"^[+-]?\d+(\.\d+)?([bcwkKmMgGTsdh]|[KMGT]i?B)$")),
    ("MODE", re.compile(r"^([ugoa]*[+=-][rwxXst]+,?)+$")),
    ("PATTERN", re.compile(r"[*?\[]")),
    ("PATH", re.compile(r"(^[.~/])|/")),
    ("FILE", re.compile(r"^[\w-]+(\.[A-Za-z]\w{0,5})+$")),
)


class Unparsable(WatchkeeperError):
    """A text that is no shell command; never a reason to run it all the same."""


class Argument(NamedTuple):
    """One argument: what it says without quotes, its type, and the place [start, end) of it within quotes."""

    value: str
    type: str
    start: int
    end: int


@dataclass(frozen=True)
class Call:
    """One utility with its flags in order and its arguments; `within` are the calls that it runs."""

    utility: str
    flags: tuple[str, ...]
    arguments: tuple[Argument, ...]
    within: tuple[Call, ...] = ()


@dataclass(frozen=True)
class Shell:
    """A parsed command line. `shape` has a Call for every call and text for operators, redirections and control."""

    text: str
    shape: tuple[Call | str, ...]

    @property
    def calls(self) -> tuple[Call, ...]:
        """Give every call, also those run by others, in order."""
        return tuple(each for part in self.shape if isinstance(part, Call) for each in _all(part))

    @property
    def utilities(self) -> tuple[str, ...]:
        """Give the names of the utilities in order."""
        return tuple(call.utility for call in self.calls)

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """Give every argument in order of place."""
        return tuple(sorted((each for call in self.calls for each in call.arguments), key=lambda each: each.start))

    @property
    def skeleton(self) -> str:
        """Give structure, utilities and sorted flags.

        >>> parse("find . -type f -name '*.c' | xargs wc -l").skeleton
        'find(-name,-type) | xargs( wc(-l))'
        """
        return " ".join(part if isinstance(part, str) else _skeleton(part) for part in self.shape)

    @property
    def template(self) -> str:
        """Give what the skeleton gives, flags in order and with the types of all arguments."""
        return " ".join(part if isinstance(part, str) else _template(part) for part in self.shape)


@lru_cache(maxsize=50_000)
def parse(text: str) -> Shell:
    """Parse a command line; raises Unparsable, or MissingExtra where tree-sitter is not installed. About 0.1 ms."""
    data = text.encode("utf-8", "replace")
    if not text.strip() or len(data) > COMMAND_BYTES_MAX:
        raise Unparsable(f"a command has 1 to {COMMAND_BYTES_MAX} bytes, not {len(data)}")
    root = _parser().parse(data).root_node
    if root.has_error:
        raise Unparsable(f"this is no bash command: {text[:200]!r}")
    shape = tuple(_shape(root))
    if not any(isinstance(part, Call) for part in shape):
        raise Unparsable(f"this runs nothing: {text[:200]!r}")
    return Shell(text, shape)


def filled(shell: Shell, values: dict[int, str]) -> str:
    """Give the text with other values at the places (start) of arguments; values keep to single-quoted or bare words.

    >>> line = parse("grep -c 'x y' log.txt")
    >>> filled(line, {line.arguments[0].start: "it's", line.arguments[1].start: "a b.txt"})
    "grep -c 'it'\\\\''s' 'a b.txt'"
    """
    data = shell.text.encode()
    for argument in reversed(shell.arguments):
        value = values.get(argument.start)
        if value is None or value == argument.value:
            continue
        before = data[argument.start - 1 : argument.start]
        if before in (b"'", b'"'):
            quote = before.decode()
            safe = value.replace("'", "'\\''") if quote == "'" else re.sub(r'([$`"\\])', r"\\\1", value)
        elif re.fullmatch(r"[\w./~+:=,%@-]+", value):
            safe = value
        else:
            safe = "'" + value.replace("'", "'\\''") + "'"
        data = data[: argument.start] + safe.encode() + data[argument.end :]
    return data.decode()


def type_of(value: str) -> str:
    """Give the type of an argument: VARIABLE, NUMBER, SIZE, MODE, PATTERN, PATH, FILE or WORD."""
    return next((name for name, pattern in _TYPES if pattern.search(value)), "WORD")


@lru_cache(maxsize=1)
def _parser() -> Any:
    try:
        import tree_sitter
        import tree_sitter_bash
    except ImportError as error:
        raise MissingExtra(
            f"reading shell commands needs {error.name}; install it with: pip install 'watchkeeper[remediation]'"
        ) from error
    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_bash.language()))


def _all(call: Call) -> Iterator[Call]:
    yield call
    for each in call.within:
        yield from _all(each)


def _skeleton(call: Call) -> str:
    inner = "".join(f" {_skeleton(each)}" for each in call.within)
    return f"{call.utility}({','.join(sorted(set(call.flags)))}{inner})"


def _template(call: Call) -> str:
    parts = [*call.flags, *(each.type for each in call.arguments), *(_template(each) for each in call.within)]
    return f"{call.utility}({' '.join(parts)})"


def _shape(node: Any) -> Iterator[Call | str]:
    """Walk statements in order; whatever is neither call nor redirection is told by its operators and keywords."""
    if node.type == "command":
        yield _call(node)
        for each in node.children:
            if each.type in ("herestring_redirect", "heredoc_redirect"):
                yield "<<"
        return
    if node.type == "file_redirect":
        yield next(each.type for each in node.children if not each.is_named)
        yield from _substituted(node)
        return
    if node.type in _WORDS or node.type == "variable_assignment":
        yield from _substituted(node)
        return
    for child in node.children:
        if child.is_named:
            yield from _shape(child)
        elif child.type in _OPERATORS or child.type.isalpha():
            yield child.type if child.type != "\n" else ";"


def _substituted(node: Any) -> Iterator[Call | str]:
    """Give what a word runs to be made, at any depth."""
    if node.type in ("command_substitution", "process_substitution"):
        yield "$("
        for inner in node.children:
            if inner.is_named:
                yield from _shape(inner)
        yield ")"
        return
    for child in node.children:
        yield from _substituted(child)


def _call(node: Any) -> Call:
    name, words = "", []
    within: list[Call] = []
    for child in node.children:
        if child.type == "command_name":
            name = child.text.decode("utf-8", "replace")
        elif child.type in _WORDS:
            words.append(child)
        within += [part for part in _substituted(child) if isinstance(part, Call)]
    return _read(name, words, tuple(within))


def _read(name: str, words: list[Any], within: tuple[Call, ...]) -> Call:
    """Sort words into flags and arguments, and follow those that name another utility to run."""
    utility = name.rsplit("/", 1)[-1]
    flags: list[str] = []
    arguments: list[Argument] = []
    inner: list[Call] = list(within)
    at = 0
    while at < len(words):
        argument = _argument(words[at])
        value = argument.value
        bare = words[at].type in ("word", "number", "concatenation")
        if bare and utility == "find" and value in _FIND_RUNS:
            flags.append(value)
            end = next((i for i in range(at + 1, len(words)) if _text(words[i]) in ("\\;", "+", "';'")), len(words))
            if at + 1 < end:
                inner.append(_read(_text(words[at + 1]), words[at + 2 : end], ()))
            at = end + 1
            continue
        if bare and _is_flag(value, utility):
            flags += _flags(value, utility)
            takes = value in _TAKES_VALUE.get(utility, "").split()
            if takes and at + 1 < len(words) and utility in _RUNS_ANOTHER:
                arguments.append(_argument(words[at + 1]))
                at += 1
        elif utility in _RUNS_ANOTHER and "=" not in value:
            inner.append(_read(_text(words[at]), words[at + 1 :], ()))
            break
        elif value not in ("\\(", "\\)", "{}", "\\;", "+"):
            arguments.append(argument)
        at += 1
    return Call(utility, tuple(flags), tuple(arguments), tuple(inner))


def _is_flag(value: str, utility: str) -> bool:
    if value in ("!", "\\!") and utility == "find":
        return True
    return bool(re.match(r"^--?[A-Za-z#@]", value)) or bool(utility in ("head", "tail") and re.match(r"^-\d", value))


def _flags(value: str, utility: str) -> list[str]:
    """Give flags one by one: `-xzf` is -x -z -f, `--name=value` is --name, `-n5` is -n, `-5` of head is -n."""
    if value in ("!", "\\!", "-not"):
        return ["!"]
    if value.startswith("--"):
        return [value.split("=", 1)[0]]
    if utility in _ONE_DASH_WORDS:
        return [value.split("=", 1)[0]]
    if value[1].isdigit():
        return ["-n"]
    letters = re.match(r"[A-Za-z]+", value[1:])
    return [f"-{letter}" for letter in (letters[0] if letters else value[1:])]


def _text(node: Any) -> str:
    return str(node.text.decode("utf-8", "replace"))


def _argument(node: Any) -> Argument:
    text, start, end = _text(node), node.start_byte, node.end_byte
    quoted = node.type in ("string", "raw_string") and len(text) >= 2
    if quoted:
        text, start, end = text[1:-1], start + 1, end - 1
    return Argument(text, type_of(text), start, end)
