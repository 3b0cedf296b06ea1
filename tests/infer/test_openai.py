"""The models of an OpenAI-compatible server, against a real server that answers well, late, broken and wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.infer.chat_server import ChatServer, broken, document, event, raw, refuse, stream

from watchkeeper.errors import (
    Forbidden,
    ModelFault,
    Refused,
    SettingError,
    TooLarge,
    Unauthorized,
    UnknownName,
    Unreachable,
)
from watchkeeper.infer.contract import Job, Parameters
from watchkeeper.infer.models.catalogue import Models
from watchkeeper.infer.models.openai import Endpoint, OpenAIModel, TimedOut, completions_url, endpoint_of
from watchkeeper.settings import Settings

JOB = Job("openai:small", "Why?", Parameters(8, 0.25), "r-1")


class Asked:
    """A model of the chat server, and the pauses that it made."""

    def __init__(self, chat: ChatServer, *, timeout_s: float = 10.0, attempts_max: int = 3) -> None:
        self.pauses: list[float] = []
        endpoint = Endpoint(completions_url(chat.url), "secret-key", timeout_s, attempts_max, pause_s_max=30.0)
        self.model = OpenAIModel("small", endpoint, sleep=self.pauses.append)


@pytest.fixture
def asked(chat: ChatServer) -> Iterator[Asked]:
    told = Asked(chat)
    yield told
    told.model.close()


def test_a_stream_is_put_together(chat: ChatServer, asked: Asked) -> None:
    chat.answer(stream("Be", "cause ", "é"))
    answer = asked.model.answer(JOB)
    assert answer.result == "Because é"
    assert answer.details == {
        "finish_reason": "stop",
        "truncated": False,
        "usage": {"prompt_tokens": 3, "completion_tokens": 2},
        "served_model": "served",
        "attempts": 1,
    }
    assert chat.bodies == [
        {
            "model": "small",
            "messages": [{"role": "user", "content": "Why?"}],
            "max_tokens": 8,
            "temperature": 0.25,
            "stream": True,
        }
    ]
    assert chat.keys == ["Bearer secret-key"]


def test_a_whole_document_is_taken_too_and_the_list_of_models_never_asked_for(chat: ChatServer, asked: Asked) -> None:
    chat.answer(document("Because", "length"))
    answer = asked.model.answer(JOB)
    assert (answer.result, answer.details["truncated"]) == ("Because", True)
    assert chat.asked == [("POST", "/v1/chat/completions")]


def test_429_is_tried_again_after_what_the_server_asks(chat: ChatServer, asked: Asked) -> None:
    chat.answer(refuse(429, "slow down", Retry_After="7"), refuse(503, "loading"), stream("yes"))
    answer = asked.model.answer(JOB)
    assert (answer.result, answer.details["attempts"]) == ("yes", 3)
    assert asked.pauses == [7.0, 1.0]


def test_429_that_asks_for_too_long_is_given_up_with_the_time(chat: ChatServer, asked: Asked) -> None:
    chat.answer(refuse(429, "quota of secret-key used up", Retry_After="3600"))
    with pytest.raises(Refused, match=r"answered 429: quota of \*\*\* used up; it asks to wait 3600 s") as caught:
        asked.model.answer(JOB)
    assert caught.value.retry_after_s == 3600.0
    assert (asked.pauses, len(chat.asked)) == ([], 1)


def test_attempts_are_limited(chat: ChatServer, asked: Asked) -> None:
    chat.answer(refuse(500, "broken"))
    with pytest.raises(Refused, match="answered 500: broken"):
        asked.model.answer(JOB)
    assert len(chat.asked) == 3


@pytest.mark.parametrize("way", ["hang", "hang_in_stream", "drip"])
def test_a_server_that_does_not_finish_in_time_is_given_up_at_once(chat: ChatServer, way: str) -> None:
    asked = Asked(chat, timeout_s=0.3)
    chat.answer(getattr(chat, way))
    with pytest.raises(TimedOut, match=r"did not finish within 0\.3 s.*infer_timeout_s"):
        asked.model.answer(JOB)
    assert len(chat.asked) == 1
    asked.model.close()


def test_a_stream_that_breaks_off_is_told_and_its_beginning_never_given(chat: ChatServer, asked: Asked) -> None:
    chat.answer(broken("Be", "cau"))
    with pytest.raises(ModelFault, match="broke off after 5 characters"):
        asked.model.answer(JOB)
    assert len(chat.asked) == 3
    chat.answer(broken("Be"), stream("whole"))
    assert asked.model.answer(JOB).result == "whole"


@pytest.mark.parametrize(
    ("body", "kind", "problem"),
    [
        (event("Be"), "text/event-stream", "broke off after 2 characters"),
        (b"", "text/event-stream", "broke off after 0 characters"),
        (b"data: {oops\n\n", "text/event-stream", "a part of the stream is not valid JSON"),
        (b"data: [1]\n\n", "text/event-stream", "a part of the stream is no JSON object"),
        (event("B") + b'data: {"error": {"message": "no memory"}}\n\n', "text/event-stream", "1 characters: no memory"),
        (b"data: [DONE]\n\n", "text/event-stream", "gave no text"),
        (b"<html>hello</html>", "text/html", r"is not valid JSON \('<html>hello</html>'\)"),
        (b"{}", "application/json", "holds no `choices`"),
        (
            b'{"choices": [{"message": {"content": null}, "finish_reason": "tool_calls"}]}',
            "application/json",
            "no text",
        ),
        (b'{"error": "overloaded"}', "application/json", "with an error: overloaded"),
    ],
)
def test_answers_that_cannot_be_used_are_told(chat: ChatServer, body: bytes, kind: str, problem: str) -> None:
    asked = Asked(chat, attempts_max=1)
    chat.answer(raw(body, kind))
    with pytest.raises(ModelFault, match=problem) as caught:
        asked.model.answer(JOB)
    assert not caught.value.lasting
    asked.model.close()


@pytest.mark.parametrize(
    ("status", "error", "problem"),
    [
        (400, ModelFault, "does not take this job"),
        (401, Unauthorized, "OPENAI_API_KEY"),
        (403, Forbidden, "allowed"),
        (404, ModelFault, "no model 'small'"),
        (413, TooLarge, "shorter"),
        (307, ModelFault, "redirects are not followed"),
    ],
)
def test_what_lasts_is_not_tried_again(
    chat: ChatServer, asked: Asked, status: int, error: type[Exception], problem: str
) -> None:
    chat.answer(refuse(status, "no", Location="/elsewhere"))
    with pytest.raises(error, match=problem):
        asked.model.answer(JOB)
    assert chat.asked == [("POST", "/v1/chat/completions")]


def test_halves_of_surrogate_pairs_do_not_spoil_a_result(chat: ChatServer, asked: Asked) -> None:
    chat.answer(raw(json.dumps({"choices": [{"message": {"content": "a\ud800"}}]}).encode(), "application/json"))
    assert asked.model.answer(JOB).result == "a?"


def test_a_server_that_is_not_there_is_told() -> None:
    pauses: list[float] = []
    model = OpenAIModel("small", Endpoint("http://127.0.0.1:1/v1/chat/completions"), sleep=pauses.append)
    with pytest.raises(Unreachable, match=r"no server answers at http://127\.0\.0\.1:1/"):
        model.answer(JOB)
    assert pauses == [0.5, 1.0]
    model.close()


@pytest.mark.parametrize(
    "address", ["ftp://x", "http://", "http://u:hush@host/v1", "http://host/v1?key=hush", "http://host:99999999"]
)
def test_an_address_that_is_none_is_refused_and_not_shown(address: str) -> None:
    with pytest.raises(SettingError) as caught:
        completions_url(address)
    assert "hush" not in str(caught.value)


def test_key_and_address_come_from_settings_and_environment(tmp_path: Path) -> None:
    settings = Settings(environment={"WATCHKEEPER_INFER_OPENAI_URL": "http://host:8000/v1"})
    found = endpoint_of(settings, {"OPENAI_API_KEY": " hush \n"})
    assert (found.url, found.key) == ("http://host:8000/v1/chat/completions", "hush")
    assert "hush" not in repr(found)
    (tmp_path / "key").write_text("from-file\n")
    chosen = {"infer_openai_url": "http://host", "infer_openai_key_file": str(tmp_path / "key")}
    assert endpoint_of(Settings(chosen=chosen, environment={}), {"OPENAI_API_KEY": "hush"}).key == "from-file"
    for wrong in ("two words", "h\u00fcsh", "a\nb"):
        with pytest.raises(SettingError, match="holds no key"):
            endpoint_of(settings, {"OPENAI_API_KEY": wrong})
    with pytest.raises(SettingError, match="cannot be read"):
        endpoint_of(Settings(chosen={**chosen, "infer_openai_key_file": str(tmp_path / "none")}, environment={}), {})


@pytest.mark.parametrize("name", ["openai", "openai:", "echo", "category:large", "embedding:x"])
def test_names_of_no_model_are_refused(name: str) -> None:
    chosen = {"infer_openai_url": "http://127.0.0.1:1"}
    with pytest.raises(UnknownName):
        Models(Settings(chosen=chosen, environment={})).get(name)


def test_an_openai_model_without_an_address_says_what_to_set() -> None:
    with pytest.raises(SettingError, match="infer_openai_url"):
        Models(Settings(environment={})).get("openai:small")
