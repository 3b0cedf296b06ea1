"""A real HTTP server on loopback that speaks chat completions as scripted: whole, broken, late, wrong."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.collector import serving

Script = Callable[[BaseHTTPRequestHandler], None]


class ChatServer:
    """What was asked, and the scripts that answer, in order; the last one answers all that follow."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[tuple[str, str]] = []
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.scripts: deque[Script] = deque()
        self.arrived = threading.Semaphore(0)
        self.let_go = threading.Event()

    def answer(self, *scripts: Script) -> None:
        self.scripts = deque(scripts)

    def hang(self, handler: BaseHTTPRequestHandler) -> None:
        """Say nothing until the end."""
        self.let_go.wait(30)
        handler.close_connection = True

    def answer_once_let_go(self, handler: BaseHTTPRequestHandler) -> None:
        self.let_go.wait(30)
        stream("late")(handler)

    def hang_in_stream(self, handler: BaseHTTPRequestHandler) -> None:
        _head(handler, 200, {"Content-Type": "text/event-stream", "Connection": "close"})
        handler.wfile.write(event("never "))
        handler.wfile.flush()
        self.let_go.wait(30)

    def drip(self, handler: BaseHTTPRequestHandler) -> None:
        """Send a word now and then, for ever."""
        _head(handler, 200, {"Content-Type": "text/event-stream", "Connection": "close"})
        try:
            while not self.let_go.wait(0.02):
                handler.wfile.write(event("word "))
                handler.wfile.flush()
        except OSError:
            handler.close_connection = True


def event(text: str, finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}
    return b"data: " + json.dumps({"model": "served", "choices": [choice]}).encode() + b"\r\n\r\n"


def raw(body: bytes, kind: str = "text/event-stream") -> Script:
    """Send these bytes and end the answer properly."""

    def script(handler: BaseHTTPRequestHandler) -> None:
        _head(handler, 200, {"Content-Type": kind, "Content-Length": str(len(body))})
        handler.wfile.write(body)

    return script


def stream(*words: str) -> Script:
    usage = b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "x": "y"}}\n\n'
    return raw(b": hello\n\n" + b"".join(map(event, words)) + event("", "stop") + usage + b"data: [DONE]\n\n")


def document(content: Any, finish_reason: str = "stop") -> Script:
    choice = {"message": {"role": "assistant", "content": content}, "finish_reason": finish_reason}
    return raw(json.dumps({"model": "served", "choices": [choice]}).encode(), "application/json")


def broken(*words: str) -> Script:
    """Begin a chunked stream and break the connection in the middle of it."""

    def script(handler: BaseHTTPRequestHandler) -> None:
        _head(handler, 200, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"})
        for word in words:
            piece = event(word)
            handler.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        handler.wfile.write(b"40\r\nda")
        handler.close_connection = True

    return script


def refuse(status: int, message: str, **headers: str) -> Script:
    body = json.dumps({"error": {"message": message}}).encode()

    def script(handler: BaseHTTPRequestHandler) -> None:
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        _head(handler, status, {"Content-Type": "application/json", "Content-Length": str(len(body)), **told})
        handler.wfile.write(body)

    return script


def _head(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str]) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()


@contextmanager
def chat_serving() -> Iterator[ChatServer]:
    state = ChatServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            state.asked.append(("GET", self.path))
            refuse(404, "there is nothing")(self)

        def do_POST(self) -> None:
            state.asked.append(("POST", self.path))
            state.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            state.keys.append(self.headers.get("Authorization", ""))
            script = state.scripts.popleft() if len(state.scripts) > 1 else state.scripts[0]
            state.arrived.release()
            script(self)

        def log_message(self, *unused: object) -> None:
            pass

    with serving(Handler) as url:
        state.url = url
        try:
            yield state
        finally:
            state.let_go.set()
