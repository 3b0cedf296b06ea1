from __future__ import annotations

from pathlib import Path

import pytest

from watchkeeper.bench.discover import catalogue
from watchkeeper.bench.room import Folders

TOY = str(Path(__file__).with_name("toy.py"))


@pytest.fixture
def known():
    return catalogue([TOY])


@pytest.fixture
def folders(tmp_path):
    return Folders(tmp_path / "records", tmp_path / "data", tmp_path / "cache", (TOY,))
