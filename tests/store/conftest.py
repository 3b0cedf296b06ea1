"""One folder a test, and stores in it that are closed at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.store import telemetry

from watchkeeper.store.store import Store


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def opened(home: Path) -> Iterator[Callable[..., Store]]:
    """Open the store in `home` with settings of choice; what is still open at the end is closed."""
    stores: list[Store] = []

    def open_one(**chosen: object) -> Store:
        stores.append(telemetry.open_store(home, **chosen))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()
