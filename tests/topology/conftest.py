"""Puts this folder's batches (topology_traffic.py) within reach, and a metadata file to keep topologies in."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from watchkeeper.store.metadata import Metadata


@pytest.fixture
def metadata(tmp_path: Path) -> Iterator[Metadata]:
    kept = Metadata(tmp_path / "metadata.sqlite")
    yield kept
    kept.close()
