"""A model that is a command: a process in any language that is spoken to by JSON lines.

Enters: a command and the form that it answers. Leaves: a model like any other. The protocol is told in docs/bench.md: a
line to begin with, a line an example, `fit`, then one question a line, each answered by one line. What is given is the
form's plain data. A command that ends, is silent for too long or answers what is no JSON fails its cell.
"""

from __future__ import annotations

import selectors
import subprocess
import tempfile
import time
import weakref
from collections.abc import Iterable, Sequence
from functools import partial
from typing import IO, Any

import orjson

from watchkeeper.bench.base import BenchError, Context, Example, ModelSpec
from watchkeeper.bench.forms import FORMS, plain

PROTOCOL = 1
TIMEOUT_S = 60.0
ERROR_BYTES, ERROR_LINES = 8_192, 8


class CommandModel:
    """Starts the command when it is to learn; ends it with itself. `timeout_s` is the time for one answer."""

    threshold: float | None = None

    def __init__(self, command: Sequence[str], form: str, timeout_s: float) -> None:
        self._command, self._form, self._timeout_s = tuple(command), FORMS.get(form), timeout_s

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Start the command and give it the examples."""
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        try:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors
            )
        except OSError as error:
            self._errors.close()
            raise BenchError(f"the command {self._command[0]} cannot be started: {error}") from error
        weakref.finalize(self, _end, self._process, self._errors)
        self._pending = b""
        facts = {str(name): plain(value) for name, value in context.facts.items()}
        self._send({"do": "begin", "protocol": PROTOCOL, "form": self._form.name, "seed": context.seed, "facts": facts})
        for example in examples:
            self._send({"do": "example", "given": self._form.plain(example.given), "label": plain(example.label)})
        told = self._ask({"do": "fit"})
        if told.get("threshold") is not None:
            self.threshold = float(told["threshold"])

    def answer(self, given: Any) -> Any:
        """Ask one question."""
        told = self._ask({"do": "answer", "given": self._form.plain(given)})
        if "answer" not in told:
            raise BenchError(f"the command answers without `answer`: {str(told)[:200]}")
        return told["answer"]

    def _send(self, line: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            text = orjson.dumps(line, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS, default=str)
            self._process.stdin.write(text + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None

    def _ask(self, line: dict[str, Any]) -> dict[str, Any]:
        self._send(line)
        text = self._line()
        try:
            told = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise BenchError(f"the command answers what is no JSON: {text[:200]!r}") from error
        if not isinstance(told, dict):
            raise BenchError(f"the command is to answer an object, not {text[:200]!r}")
        return told

    def _line(self) -> bytes:
        """Read one line of the answer within the time."""
        assert self._process.stdout is not None
        until_s = time.monotonic() + self._timeout_s
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._pending:
                left_s = until_s - time.monotonic()
                if left_s <= 0 or not selector.select(left_s):
                    raise BenchError(f"the command was silent for {self._timeout_s:g} s{self._said()}")
                told = self._process.stdout.read1(65_536)  # type: ignore[attr-defined]
                if not told:
                    raise self._ended()
                self._pending += told
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def _ended(self) -> BenchError:
        return BenchError(f"the command ended with status {self._process.wait()}{self._said()}")

    def _said(self) -> str:
        """Give the end of what it wrote on standard error."""
        size = self._errors.seek(0, 2)
        self._errors.seek(max(0, size - ERROR_BYTES))
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        return ": " + " | ".join(lines[-ERROR_LINES:]) if lines else ""


def _end(process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, errors):
        if stream is not None:
            stream.close()


def command_model(
    name: str,
    command: Sequence[str],
    form: str,
    *,
    about: str = "",
    timeout_s: float = TIMEOUT_S,
    labels: bool = False,
    random: bool = False,
) -> ModelSpec:
    """Give the specification of a model that is a command.

    command: the program and its arguments. form: what it answers. labels: it learns from labels of both kinds. random:
    it draws, and is run with several seeds. Raises UnknownName when there is no such form.
    """
    FORMS.get(form)
    return ModelSpec(
        name,
        (form,),
        partial(CommandModel, tuple(command), form, timeout_s),
        about or f"the command {command[0]}",
        random=random,
        needs_labels=labels,
        parameters={"command": list(command), "timeout_s": timeout_s},
    )
