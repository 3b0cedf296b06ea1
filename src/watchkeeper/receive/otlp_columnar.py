"""The columnar decoder's place; until the native code is there it is never sure, and the reference decodes."""

from __future__ import annotations

from watchkeeper.receive.otlp_reference import Read
from watchkeeper.signals.schema import Signal


def available() -> bool:
    """Tell whether the native code is there."""
    return False


def read(_signal: Signal, _payload: bytes, *, received_unix_ns: int) -> Read | None:
    """Give what was read, or None when not sure."""
    return None
