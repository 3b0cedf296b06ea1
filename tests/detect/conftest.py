"""Puts this folder's made-up telemetry (detect_traffic.py) within reach of its tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from detect_traffic import Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()
