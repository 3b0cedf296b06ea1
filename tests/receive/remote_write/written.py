"""Writes the two messages of remote write byte by byte from their field numbers, apart from the code under test."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence

STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
COUNTER, GAUGE, HISTOGRAM, SUMMARY, INFO = 1, 2, 3, 5, 6
T0_MS = 1_763_700_000_000


def varint(number: int) -> bytes:
    number &= 2**64 - 1
    out = b""
    while True:
        byte, number = number & 0x7F, number >> 7
        out += bytes([byte | (0x80 if number else 0)])
        if not number:
            return out


def zigzag(number: int) -> int:
    return (number << 1) ^ (number >> 63)


def whole(field: int, number: int) -> bytes:
    return varint(field << 3) + varint(number)


def double(field: int, value: float) -> bytes:
    return varint(field << 3 | 1) + struct.pack("<d", value)


def part(field: int, data: bytes | str) -> bytes:
    data = data.encode() if isinstance(data, str) else data
    return varint(field << 3 | 2) + varint(len(data)) + data


def packed(field: int, numbers: Iterable[int]) -> bytes:
    return part(field, b"".join(varint(number) for number in numbers))


def sample(value: float, time_ms: int = T0_MS, start_ms: int = 0) -> bytes:
    return double(1, value) + whole(2, time_ms) + (whole(3, start_ms) if start_ms else b"")


def spans(field: int, pairs: Sequence[tuple[int, int]]) -> bytes:
    return b"".join(part(field, whole(1, zigzag(offset)) + whole(2, length)) for offset, length in pairs)


def histogram(
    *,
    count: int = 0,
    total: float = 0.0,
    schema: int = 0,
    zero_count: int = 0,
    zero_threshold: float = 0.001,
    positive: tuple[Sequence[tuple[int, int]], Sequence[int]] = ((), ()),
    negative: tuple[Sequence[tuple[int, int]], Sequence[int]] = ((), ()),
    bounds: Sequence[float] = (),
    count_float: float | None = None,
    reset_hint: int = 0,
    time_ms: int = T0_MS,
) -> bytes:
    """Write a native histogram; a side is its spans and its deltas."""
    return b"".join(
        (
            whole(1, count) if count_float is None else double(2, count_float),
            double(3, total),
            whole(4, zigzag(schema)),
            double(5, zero_threshold),
            whole(6, zero_count) if count_float is None else b"",
            spans(8, negative[0]),
            packed(9, map(zigzag, negative[1])),
            spans(11, positive[0]),
            packed(12, map(zigzag, positive[1])),
            whole(14, reset_hint),
            whole(15, time_ms),
            part(16, struct.pack(f"<{len(bounds)}d", *bounds)),
        )
    )


def series_v1(
    labels: Mapping[str, str] | Sequence[tuple[str, str]],
    *samples: bytes,
    histograms: Sequence[bytes] = (),
    exemplars: Sequence[bytes] = (),
) -> bytes:
    pairs = labels.items() if isinstance(labels, Mapping) else labels
    return (
        b"".join(part(1, part(1, name) + part(2, value)) for name, value in pairs)
        + b"".join(part(2, each) for each in samples)
        + b"".join(part(3, each) for each in exemplars)
        + b"".join(part(4, each) for each in histograms)
    )


def metadata_v1(name: str, kind: int, help_: str = "", unit: str = "") -> bytes:
    return whole(1, kind) + part(2, name) + part(4, help_) + part(5, unit)


def request_v1(*series: bytes, metadata: Sequence[bytes] = ()) -> bytes:
    return b"".join(part(1, each) for each in series) + b"".join(part(3, each) for each in metadata)


class V2:
    """A request of version 2.0 in the making: keeps the table of symbols."""

    def __init__(self) -> None:
        self.symbols = [""]
        self.parts: list[bytes] = []

    def symbol(self, text: str) -> int:
        if text not in self.symbols:
            self.symbols.append(text)
        return self.symbols.index(text)

    def series(
        self,
        labels: Mapping[str, str],
        *samples: bytes,
        histograms: Sequence[bytes] = (),
        exemplars: Sequence[bytes] = (),
        kind: int = 0,
        help_: str = "",
        unit: str = "",
        created_ms: int = 0,
    ) -> V2:
        refs = [self.symbol(text) for pair in labels.items() for text in pair]
        told = whole(1, kind) + whole(3, self.symbol(help_)) + whole(4, self.symbol(unit))
        self.parts.append(
            packed(1, refs)
            + b"".join(part(2, each) for each in samples)
            + b"".join(part(3, each) for each in histograms)
            + b"".join(part(4, each) for each in exemplars)
            + part(5, told)
            + (whole(6, created_ms) if created_ms else b"")
        )
        return self

    def whole(self) -> bytes:
        return b"".join(part(4, text) for text in self.symbols) + b"".join(part(5, each) for each in self.parts)
