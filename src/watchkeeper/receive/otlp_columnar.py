"""The columnar decoder: from protobuf's wire bytes to Arrow columns in C (native/otlp*.c), without messages or a copy.

Enters: the bytes of a request. Leaves: the very tables that the reference decoder gives, or None when the C code is not
sure of that: the bytes are malformed, a record is to be rejected, or something is sent that hardly any client sends.
Then the reference decides. Releases the GIL while it works.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache

import pyarrow as pa

from watchkeeper.native.library import native_library
from watchkeeper.receive.otlp_reference import Read
from watchkeeper.receive.otlp_tables import HEADS, RESOURCES, ROWS, SCOPES, Tables
from watchkeeper.signals.schema import Signal

_NUMBERS = {Signal.LOGS: 0, Signal.METRICS: 1, Signal.SPANS: 2}


class _ArrowArray(ctypes.Structure):
    """The structure of Arrow's C data interface, see native/otlp_arrow.h; filled in C, emptied by pyarrow."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("length", "null_count", "offset", "n_buffers", "n_children")),
        *((name, ctypes.c_void_p) for name in ("buffers", "children", "dictionary", "release", "private_data")),
    )


_Arrays = _ArrowArray * 4


@cache
def _native_read() -> Callable[..., int] | None:
    library = native_library()
    if library is None or not hasattr(library, "wk_otlp_read"):
        return None
    function = library.wk_otlp_read
    function.argtypes = (ctypes.c_int32, ctypes.c_char_p, ctypes.c_int64, ctypes.c_int64, ctypes.POINTER(_ArrowArray))
    function.restype = ctypes.c_int32
    return function


def available() -> bool:
    """Tell whether the native library is there; without it `read` always gives None."""
    return _native_read() is not None


def read(signal: Signal, payload: bytes, *, received_unix_ns: int) -> Read | None:
    """Decode protobuf bytes; None when not sure, then ask the reference. Cost: under a microsecond a record."""
    function = _native_read()
    if function is None:
        return None
    arrays = _Arrays()
    if not function(_NUMBERS[signal], payload, len(payload), received_unix_ns, arrays):
        return None
    schemas = (ROWS[signal], SCOPES, RESOURCES, HEADS if signal is Signal.METRICS else pa.schema([]))
    rows, scopes, resources, heads = (
        pa.RecordBatch._import_from_c(ctypes.addressof(array), schema)
        for array, schema in zip(arrays, schemas, strict=True)
    )
    return Read(Tables(rows, scopes, resources, heads if signal is Signal.METRICS else None))
