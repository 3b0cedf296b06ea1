"""Loads the compiled library, once. Everything in it has a slower twin in Python, which serves where it is missing."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path

LIBRARY_PATH = Path(__file__).with_name("_native.so")


@cache
def native_library() -> ctypes.CDLL | None:
    """Give the compiled library, or None when it was not built for this machine. Calls release the GIL."""
    try:
        return ctypes.CDLL(str(LIBRARY_PATH))
    except OSError:
        return None
