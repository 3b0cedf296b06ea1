"""What an OpenAI-compatible server answers to a chat completion, as a stream of events or as one document.

Enters: the bytes of the answer as they come. Leaves: a Completion, or a ModelFault that says what is wrong with them.
Does no I/O. Form: the OpenAI API reference, "Create chat completion"; server-sent events: the WHATWG HTML standard.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from watchkeeper.errors import ModelFault

ANSWER_BYTES_MAX = 32 * 2**20


class Completion(NamedTuple):
    """text: the whole answer. finish_reason: `stop`, `length` ... or "". usage: token counts. model: as told."""

    text: str
    finish_reason: str
    usage: dict[str, int]
    model: str


class ChatStream:
    """Takes a stream of server-sent events in pieces of any size; `finish` gives the answer."""

    def __init__(self) -> None:
        self._rest = b""
        self._parts: list[str] = []
        self._finish_reason, self._model = "", ""
        self._usage: dict[str, int] = {}
        self._answered = False
        self.ended = False
        self.characters = 0

    def feed(self, piece: bytes) -> None:
        """Take the next bytes; raises ModelFault."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            self._line(line)

    def finish(self) -> Completion:
        """Give the answer once no more bytes come; raises ModelFault when the stream broke off before its end."""
        self._line(self._rest)
        self._rest = b""
        if not self.ended and not self._finish_reason:
            raise broken_off(self.characters)
        if not self._answered:
            raise _without_text(self._finish_reason)
        return Completion(_sound("".join(self._parts)), self._finish_reason, self._usage, self._model)

    def _line(self, line: bytes) -> None:
        if self.ended or not line.startswith(b"data:"):
            return
        data = line.removeprefix(b"data:").strip()
        if data == b"[DONE]":
            self.ended = True
        elif data:
            self._event(_object(data, "a part of the stream"))

    def _event(self, event: dict[str, Any]) -> None:
        if event.get("error"):
            raise ModelFault(f"the server broke off after {self.characters} characters: {error_text(event['error'])}")
        self._model = self._model or _text(event.get("model"))
        self._usage = _usage(event.get("usage")) or self._usage
        choice = _choice(event)
        if choice is None:
            return
        delta = choice.get("delta")
        content = delta.get("content") if isinstance(delta, dict) else None
        if isinstance(content, str):
            self._answered = True
            self._parts.append(content)
            self.characters += len(content)
        self._finish_reason = _text(choice.get("finish_reason")) or self._finish_reason


def read_document(data: bytes) -> Completion:
    """Read an answer that came as one JSON document; raises ModelFault."""
    told = _object(data, "the answer")
    if told.get("error"):
        raise ModelFault(f"the server answered with an error: {error_text(told['error'])}")
    choice = _choice(told)
    if choice is None:
        raise ModelFault(f"the answer holds no `choices`, so it is no chat completion: {beginning(data)}")
    message = choice.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    finish_reason = _text(choice.get("finish_reason"))
    if not isinstance(content, str):
        raise _without_text(finish_reason)
    return Completion(_sound(content), finish_reason, _usage(told.get("usage")), _text(told.get("model")))


def broken_off(characters: int) -> ModelFault:
    """Say that an answer broke off."""
    return ModelFault(f"the stream broke off after {characters} characters, before its end; nothing of it is kept")


def error_text(error: Any) -> str:
    """Give the message of an `error` value, one line."""
    told = error.get("message") if isinstance(error, dict) else error
    return " ".join(str(told if told is not None else error).split())[:400]


def beginning(data: bytes) -> str:
    """Quote how an answer begins, one line."""
    return repr(" ".join(data[:120].decode("utf-8", "replace").split()))


def _object(data: bytes, what: str) -> dict[str, Any]:
    try:
        told = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ModelFault(f"{what} is not valid JSON ({beginning(data)}); is that server OpenAI-compatible?") from error
    if not isinstance(told, dict):
        raise ModelFault(f"{what} is no JSON object ({beginning(data)}); is that server OpenAI-compatible?")
    return told


def _choice(told: dict[str, Any]) -> dict[str, Any] | None:
    choices = told.get("choices")
    return choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else None


def _without_text(finish_reason: str) -> ModelFault:
    return ModelFault(f"the model gave no text (finish_reason {finish_reason or 'not told'})")


def _usage(told: Any) -> dict[str, int]:
    """Keep the counts: whole numbers only."""
    if not isinstance(told, dict):
        return {}
    return {name: value for name, value in told.items() if isinstance(value, int) and not isinstance(value, bool)}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _sound(text: str) -> str:
    """Replace halves of surrogate pairs, which no file can hold."""
    return text.encode("utf-8", "replace").decode()
