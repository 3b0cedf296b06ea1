"""A real shop, told to a real collector of the test's own."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

for place in (Path(__file__).parents[2] / "examples" / "shop", Path(__file__).parent):
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))

from shop_run import RunningShop  # noqa: E402
from shop_sink import Sink  # noqa: E402


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    collector = Sink()
    yield collector
    collector.stop()


@pytest.fixture(scope="module")
def shop(sink: Sink, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    """One shop without load, shared by a module: with nginx and Redis where they are installed."""
    running = RunningShop(tmp_path_factory.mktemp("shop"), sink.address, "--rate", "0")
    yield running
    assert running.end(signal.SIGTERM) == 0
