"""Shared fixtures of this folder."""

from collections.abc import Iterator

import pytest
from tests.collector import collector
from tests.infer.chat_server import ChatServer, chat_serving

__all__ = ["chat", "collector"]


@pytest.fixture
def chat() -> Iterator[ChatServer]:
    with chat_serving() as server:
        yield server
