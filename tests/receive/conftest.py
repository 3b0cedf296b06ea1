"""Parts that the tests of the receiver share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.receive.running import MemoryStore, serving
from watchkeeper.receive.http import http_app
from watchkeeper.receive.ledger import Ledger
from watchkeeper.receive.receiver import Receiver
from watchkeeper.receive.tokens import Tokens
from watchkeeper.settings import Settings
from watchkeeper.store.metadata import Metadata


@pytest.fixture
def metadata(tmp_path: Path) -> Iterator[Metadata]:
    opened = Metadata(tmp_path / "metadata.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def make_receiver(metadata: Metadata, store: MemoryStore, tmp_path: Path) -> Callable[..., Receiver]:
    def make(**chosen: Any) -> Receiver:
        settings = Settings(chosen={"home": tmp_path, "otlp_grpc_port": 0, **chosen}, environment={})
        return Receiver(store, Ledger(metadata), Tokens(metadata), settings)

    return make


@pytest.fixture
def receiver(make_receiver: Callable[..., Receiver]) -> Receiver:
    return make_receiver(request_bytes_max=200_000, request_decompressed_bytes_max=1_000_000, retry_after_s=2.5)


@pytest.fixture
def http_port(receiver: Receiver) -> Iterator[int]:
    with serving(http_app(receiver)) as port:
        yield port


@pytest.fixture
def client(http_port: int) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{http_port}", timeout=20) as opened:
        yield opened
