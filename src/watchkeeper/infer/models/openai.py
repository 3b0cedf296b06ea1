"""The models `openai:NAME`: any server with OpenAI's chat completions, such as Ollama, vLLM, llama.cpp or OpenAI.

Enters: a job; the server's address and key from settings and environment. Leaves: the text that the server's model
NAME wrote. Asks for a stream, takes a whole document too. What may pass (429, 5xx, an answer that breaks off) is tried
again, after Retry-After where the server tells it. Never lists the server's models, follows no redirect, and never
shows the key.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from watchkeeper.errors import (
    Forbidden,
    ModelFault,
    Refused,
    SettingError,
    TooLarge,
    Unauthorized,
    UnknownName,
    Unreachable,
    WatchkeeperError,
)
from watchkeeper.infer.contract import Answer, Job
from watchkeeper.infer.models.base import Model
from watchkeeper.infer.models.chat import (
    ANSWER_BYTES_MAX,
    ChatStream,
    Completion,
    beginning,
    broken_off,
    error_text,
    read_document,
)
from watchkeeper.settings import Settings
from watchkeeper.version import __version__

KEY_VARIABLE = "OPENAI_API_KEY"
CONNECT_TIMEOUT_S_MAX = 10.0
PAUSE_FIRST_S = 0.5
REFUSAL_BYTES_MAX = 65_536
_PASSING = {408, 409, 425, 429}


class TimedOut(Unreachable):
    """The server took longer than it may; the job was given up, for it would likely take as long again."""


@dataclass(frozen=True)
class Endpoint:
    """Where and how: `url` is that of chat completions, `key` may be "" (not shown when printed); seconds, attempts."""

    url: str
    key: str = field(default="", repr=False)
    timeout_s: float = 120.0
    attempts_max: int = 3
    pause_s_max: float = 30.0


class OpenAIModel(Model):
    """Asks one model of one server; keeps its connection."""

    def __init__(
        self,
        name: str,
        endpoint: Endpoint,
        *,
        sleep: Callable[[float], object] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._endpoint, self._sleep, self._monotonic = name, endpoint, sleep, monotonic
        headers = {"User-Agent": f"watchkeeper/{__version__}", "Accept-Encoding": "identity"}
        if endpoint.key:
            headers["Authorization"] = f"Bearer {endpoint.key}"
        waits = httpx.Timeout(endpoint.timeout_s, connect=min(CONNECT_TIMEOUT_S_MAX, endpoint.timeout_s))
        self._client = httpx.Client(headers=headers, timeout=waits, follow_redirects=False)

    def answer(self, job: Job) -> Answer:
        """Ask, again where that may help; `details` has the token counts, why it ended, and how many attempts it took.

        Raises TimedOut and Unreachable, Refused, ModelFault, Unauthorized, Forbidden, TooLarge.
        """
        attempt = 1
        while True:
            try:
                told = self._once(job)
                break
            except (Refused, Unreachable, ModelFault) as error:
                pause_s = self._pause_s(error, attempt)
                if pause_s is None:
                    raise
            self._sleep(pause_s)
            attempt += 1
        details = {
            "finish_reason": told.finish_reason,
            "truncated": told.finish_reason == "length",
            "usage": told.usage,
            "served_model": told.model,
            "attempts": attempt,
        }
        return Answer(told.text, details)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _pause_s(self, error: WatchkeeperError, attempt: int) -> float | None:
        """Give how long to wait before the next attempt, None when there is to be none."""
        lasting = isinstance(error, TimedOut) or (isinstance(error, ModelFault) and error.lasting)
        if lasting or attempt >= self._endpoint.attempts_max:
            return None
        usual = min(PAUSE_FIRST_S * 2.0 ** (attempt - 1), self._endpoint.pause_s_max)
        pause_s = max(usual, error.retry_after_s) if isinstance(error, Refused) else usual
        return pause_s if pause_s <= self._endpoint.pause_s_max else None

    def _once(self, job: Job) -> Completion:
        body = {
            "model": self._name,
            "messages": [{"role": "user", "content": job.prompt}],
            "max_tokens": job.parameters.max_tokens,
            "temperature": job.parameters.temperature,
            "stream": True,
        }
        url, begun = self._endpoint.url, self._monotonic()
        reading: ChatStream | None = None
        try:
            with self._client.stream("POST", url, json=body) as response:
                if response.status_code != 200:
                    raise self._refusal(response.status_code, response.headers, _start(response))
                pieces = self._pieces(response, begun)
                if "event-stream" not in response.headers.get("content-type", ""):
                    return read_document(b"".join(pieces))
                reading = ChatStream()
                for piece in pieces:
                    reading.feed(piece)
                    if reading.ended:
                        break
                return reading.finish()
        except httpx.TimeoutException as error:
            raise self._timed_out() from error
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.DecodingError) as error:
            if reading is not None:
                raise broken_off(reading.characters) from error
            raise ModelFault(f"{url} broke off its answer: {error or type(error).__name__}") from error
        except (httpx.TransportError, httpx.InvalidURL) as error:
            reason = str(error) or type(error).__name__
            raise Unreachable(f"no server answers at {url}: {reason}; start it, or set infer_openai_url") from error

    def _pieces(self, response: httpx.Response, begun: float) -> Iterator[bytes]:
        """Give the body as it comes, bounded in bytes and in time."""
        size = 0
        for piece in response.iter_bytes():
            size += len(piece)
            if size > ANSWER_BYTES_MAX:
                raise ModelFault(f"{self._endpoint.url} sent more than {ANSWER_BYTES_MAX} bytes", lasting=True)
            if self._monotonic() - begun > self._endpoint.timeout_s:
                raise self._timed_out()
            yield piece

    def _timed_out(self) -> TimedOut:
        return TimedOut(
            f"{self._endpoint.url} did not finish within {self._endpoint.timeout_s:g} s; "
            "ask for fewer tokens, or raise infer_timeout_s"
        )

    def _refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> WatchkeeperError:
        """Say what a status other than 200 means."""
        said = f"{self._endpoint.url} answered {status}: {self._hidden(refusal_text(body))}"
        if status in _PASSING or status >= 500:
            wait_s = retry_after_s(headers.get("retry-after", ""), now_s=time.time())
            asks = f"; it asks to wait {wait_s:g} s" if wait_s else ""
            return Refused(f"{said}{asks}; try again later", retry_after_s=max(wait_s, 0.1))
        if status == 401:
            return Unauthorized(f"{said}; give its key by {KEY_VARIABLE} or infer_openai_key_file")
        if status == 403:
            return Forbidden(f"{said}; the key must be allowed to use this model")
        if status == 413:
            return TooLarge(f"{said}; send a shorter prompt")
        if 300 <= status < 400:
            return ModelFault(
                f"{said}; redirects are not followed, set infer_openai_url to where it leads", lasting=True
            )
        if status == 404:
            hint = f"the server has no model {self._name!r}, or infer_openai_url is not its address"
            return ModelFault(f"{said}; {hint}", lasting=True)
        return ModelFault(f"{said}; the server does not take this job", lasting=True)

    def _hidden(self, text: str) -> str:
        return text.replace(self._endpoint.key, "***") if self._endpoint.key else text


def open_openai(rest: str, settings: Settings) -> Model:
    """Make the model of what stands behind `openai:`; raises UnknownName, SettingError."""
    if not rest.strip():
        raise UnknownName("a model of an OpenAI-compatible server is named as openai:NAME, with the server's own name")
    return OpenAIModel(rest, endpoint_of(settings, os.environ))


def endpoint_of(settings: Settings, environment: Mapping[str, str]) -> Endpoint:
    """Read address and key; raises SettingError, whose text holds no secret."""
    return Endpoint(
        completions_url(settings.text("infer_openai_url")),
        _key(settings.text("infer_openai_key_file"), environment),
        settings.number("infer_timeout_s"),
        settings.integer("infer_attempts_max"),
        settings.number("infer_pause_s_max"),
    )


def completions_url(address: str) -> str:
    """Give the address of chat completions of a server's address, with or without `/v1`; raises SettingError.

    >>> completions_url("http://127.0.0.1:11434"), completions_url("https://api.example.com/v1/")
    ('http://127.0.0.1:11434/v1/chat/completions', 'https://api.example.com/v1/chat/completions')
    """
    if not address:
        raise SettingError(
            "the models openai:NAME need the address of their server: set infer_openai_url to one such as "
            "http://127.0.0.1:11434/v1 (or the variable WATCHKEEPER_INFER_OPENAI_URL)"
        )
    try:
        parts = urlsplit(address)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid or parts.username is not None or parts.query or parts.fragment:
        raise SettingError(
            "infer_openai_url is no address of a server; write it as http://127.0.0.1:11434/v1, without a user, "
            f"? or #, and give a key by {KEY_VARIABLE} or infer_openai_key_file"
        )
    path = parts.path.rstrip("/")
    if not path.endswith("/chat/completions"):
        path += "/chat/completions" if path.endswith("/v1") else "/v1/chat/completions"
    return parts._replace(path=path).geturl()


def retry_after_s(header: str, *, now_s: float) -> float:
    """Read a Retry-After header, seconds or a date (RFC 9110, 10.2.3), as seconds from now; 0 when there is none.

    >>> retry_after_s("7", now_s=0.0), retry_after_s("Thu, 01 Jan 1970 00:00:09 GMT", now_s=2.0)
    (7.0, 7.0)
    """
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(parsedate_to_datetime(text).timestamp() - now_s, 0.0)
    except ValueError:
        return 0.0


def refusal_text(body: bytes) -> str:
    """Give why a server refused: the message of its `error`, else how its answer begins."""
    try:
        told = json.loads(body)
        return error_text(told.get("error", told) if isinstance(told, dict) else told)
    except (ValueError, RecursionError):
        return beginning(body) if body.strip() else "nothing more"


def _key(file: str, environment: Mapping[str, str]) -> str:
    source = f"the file {file}" if file else f"the variable {KEY_VARIABLE}"
    try:
        text = Path(file).expanduser().read_text(encoding="utf-8") if file else environment.get(KEY_VARIABLE, "")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"infer_openai_key_file cannot be read: {error}") from error
    key = text.strip()
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise SettingError(f"{source} holds no key: one word of ASCII characters is expected")
    return key


def _start(response: httpx.Response) -> bytes:
    """Read the beginning of an answer."""
    read = b""
    for piece in response.iter_bytes(4096):
        read += piece
        if len(read) >= REFUSAL_BYTES_MAX:
            break
    return read
