"""The series of a metric point: a 64-bit number that is the same for the same resource, scope, metric and attributes.

FNV-1a over UTF-8 text; attributes are summed, so that their order does not count. Its twin is native/otlp_json.c; both
give the same numbers, for they are stored. Enters: text and 64-bit numbers. Leaves: unsigned 64-bit numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

_MASK = 2**64 - 1
_FNV_OFFSET = 0xCBF29CE484222325
_FNV_PRIME = 0x100000001B3
_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB

_CACHED_CHARACTERS_MAX = 512


def text_hash(text: str) -> int:
    """Give the FNV-1a hash of the UTF-8 text, 64 bits; cost: one step a byte, then remembered if short.

    >>> hex(text_hash("a"))
    '0xaf63dc4c8601ec8c'
    """
    return _cached_hash(text) if len(text) <= _CACHED_CHARACTERS_MAX else _hash(text)


def _hash(text: str) -> int:
    state = _FNV_OFFSET
    for byte in text.encode():
        state = (state ^ byte) * _FNV_PRIME & _MASK
    return state


_cached_hash = lru_cache(maxsize=16_384)(_hash)


def mix(number: int) -> int:
    """Spread a 64-bit number over all its bits (the finisher of SplitMix64)."""
    number = (number ^ number >> 30) * _MIX_1 & _MASK
    number = (number ^ number >> 27) * _MIX_2 & _MASK
    return number ^ number >> 31


def combine(first: int, second: int) -> int:
    """Give one 64-bit number for two, in this order."""
    return mix((first * _GOLDEN + second) & _MASK)


def attributes_hash(members: Iterable[str]) -> int:
    """Give the hash of attributes, each as its `"key":value` JSON text, whatever their order."""
    return sum(mix(text_hash(member)) for member in members) & _MASK


def combine_arrays(first: npt.NDArray[np.uint64], second: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Give `combine` of each pair; (n,) and (n,) to (n,)."""
    number = first * np.uint64(_GOLDEN) + second
    number = (number ^ number >> np.uint64(30)) * np.uint64(_MIX_1)
    number = (number ^ number >> np.uint64(27)) * np.uint64(_MIX_2)
    return number ^ number >> np.uint64(31)
