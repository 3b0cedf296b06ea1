"""Masks a whole Arrow column: by the compiled kernel where it is built, else by the Python reference.

Enters: log bodies and event times. Leaves: a code a line and, for each distinct template of the batch, its text and
what was counted of it. Both ways give the same. Keeps nothing between batches; not safe for two threads at once.
"""

from __future__ import annotations

import ctypes
import os
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from watchkeeper.errors import WatchkeeperError
from watchkeeper.native.library import native_library
from watchkeeper.patterns.reference import mask
from watchkeeper.patterns.vocabulary import MASK_VERSION, WORDS

EXAMPLES_MAX = 5

Int64s = npt.NDArray[np.int64]


class Found(NamedTuple):
    """The distinct templates of a batch, in order of first appearance; m of them, n lines.

    codes: (n,) index of each line's template. texts: m templates. lines, firsts, lasts: (m,) lines counted and the
    range of their event times. rows: (m, EXAMPLES_MAX) rows of each template's first lines, -1 for none.
    """

    codes: npt.NDArray[np.int32]
    texts: list[bytes]
    lines: Int64s
    firsts: Int64s
    lasts: Int64s
    rows: Int64s


class Kernel(Protocol):
    """Masks a column."""

    def run(self, bodies: pa.StringArray, times: Int64s) -> Found:
        """Mask every line. bodies: (n,) without nulls. times: (n,) Unix nanoseconds."""


def open_kernel() -> Kernel:
    """Give the compiled kernel, or the reference when it is not built here or was built of other masks than these."""
    library = native_library()
    if library is None or not hasattr(library, "wk_mask_version") or library.wk_mask_version() != MASK_VERSION:
        return ReferenceKernel()
    return NativeKernel(library)


def packed_vocabulary() -> bytes:
    """Give the words as the compiled kernel reads them: each its size (1 byte), text and meaning (4 bytes)."""
    return b"".join(bytes((len(word),)) + word + meaning.to_bytes(4, "little") for word, meaning in WORDS.items())


class ReferenceKernel:
    """The Python twin; some 10,000 distinct lines a second."""

    def run(self, bodies: pa.StringArray, times: Int64s) -> Found:
        """Mask every line, each distinct one once."""
        encoded = pc.dictionary_encode(bodies)
        numbers: dict[bytes, int] = {}
        code_of_line = [
            numbers.setdefault(mask(line).template, len(numbers))
            for line in encoded.dictionary.cast(pa.binary()).to_pylist()
        ]
        codes = np.asarray(code_of_line, np.int32)[encoded.indices.to_numpy(zero_copy_only=False)]
        found = len(numbers)
        lines = np.bincount(codes, minlength=found).astype(np.int64)
        firsts = np.full(found, np.iinfo(np.int64).max)
        lasts = np.full(found, np.iinfo(np.int64).min)
        np.minimum.at(firsts, codes, times)
        np.maximum.at(lasts, codes, times)
        rows = np.full((found, EXAMPLES_MAX), -1, np.int64)
        order = np.argsort(codes, kind="stable")
        starts = np.concatenate(([0], np.cumsum(lines)[:-1])).astype(np.int64)
        for place in range(EXAMPLES_MAX):
            has = lines > place
            rows[has, place] = order[starts[has] + place]
        return Found(codes.astype(np.int32), list(numbers), lines, firsts, lasts, rows)


class NativeKernel:
    """The compiled kernel (native/mask.c, native/mask_batch.c); releases the GIL while it runs."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        _declare(library)
        vocabulary = packed_vocabulary()
        seed = int.from_bytes(os.urandom(8), "little")
        self._masker = library.wk_mask_new(vocabulary, len(vocabulary), len(WORDS), seed)
        if not self._masker:
            raise MemoryError("the masking kernel found no memory for its tables")

    def __del__(self) -> None:
        if getattr(self, "_masker", None):
            self._library.wk_mask_free(self._masker)
            self._masker = None

    def run(self, bodies: pa.StringArray, times: Int64s) -> Found:
        """Mask every line."""
        rows = len(bodies)
        codes = np.empty(rows, np.int32)
        if rows == 0:
            none = np.empty(0, np.int64)
            return Found(codes, [], none, none, none, none.reshape(0, EXAMPLES_MAX))
        _, offsets, data = bodies.buffers()
        times = np.ascontiguousarray(times, np.int64)
        found = self._library.wk_mask_run(
            self._masker,
            data.address if data is not None and data.size else None,
            data.size if data is not None else 0,
            offsets.address + 4 * bodies.offset,
            rows,
            times.ctypes.data,
            codes.ctypes.data,
        )
        if found < 0:
            raise WatchkeeperError(_ERRORS.get(found, f"the masking kernel failed with {found}"))
        return self._collect(codes, found)

    def _collect(self, codes: npt.NDArray[np.int32], found: int) -> Found:
        ends, lines, firsts, lasts = (np.empty(found, np.int64) for _ in range(4))
        rows = np.empty((found, EXAMPLES_MAX), np.int64)
        self._library.wk_mask_found(self._masker, *(array.ctypes.data for array in (ends, lines, firsts, lasts, rows)))
        size = self._library.wk_mask_texts_size(self._masker)
        text = ctypes.string_at(self._library.wk_mask_texts(self._masker), size) if size else b""
        starts = [0, *ends[:-1].tolist()]
        texts = [text[start:end] for start, end in zip(starts, ends.tolist(), strict=True)]
        return Found(codes, texts, lines, firsts, lasts, rows)


_ERRORS = {
    -1: "the offsets of a column of log bodies do not fit its bytes; the column is damaged",
    -2: "the masking kernel found no memory for this batch; send smaller ones",
}


def _declare(library: ctypes.CDLL) -> None:
    pointer, size = ctypes.c_void_p, ctypes.c_int64
    signatures = {
        "wk_mask_new": ([ctypes.c_char_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_uint64], pointer),
        "wk_mask_free": ([pointer], None),
        "wk_mask_run": ([pointer, pointer, size, pointer, size, pointer, pointer], size),
        "wk_mask_texts": ([pointer], pointer),
        "wk_mask_texts_size": ([pointer], size),
        "wk_mask_found": ([pointer, pointer, pointer, pointer, pointer, pointer], None),
    }
    for name, (arguments, result) in signatures.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, result
