"""Compressed bodies: what comes out, what is refused, and that bombs are given up early."""

from __future__ import annotations

import contextlib
import gzip
import tracemalloc
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.errors import MalformedTelemetry, QueueFull, TooLarge
from watchkeeper.receive.compression import ENCODINGS, decompress, known_encoding

BODY = b"service=cart level=info " * 5_000
MAX = 1 << 20


def bare_deflate(body: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return engine.compress(body) + engine.flush()


def zstd_of_unknown_size(body: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_content_size=False, write_checksum=True).compress(body)


COMPRESSIONS = {
    "gzip": ("gzip", gzip.compress),
    "zlib": ("deflate", zlib.compress),
    "bare deflate": ("deflate", bare_deflate),
    "zstd": ("zstd", zstandard.ZstdCompressor(level=19).compress),
    "zstd of unknown size": ("zstd", zstd_of_unknown_size),
    "identity": ("identity", bytes),
}
COMPRESSED = {name: pair for name, pair in COMPRESSIONS.items() if name != "identity"}
every = pytest.mark.parametrize(("encoding", "compress"), COMPRESSIONS.values(), ids=COMPRESSIONS)
every_compressed = pytest.mark.parametrize(("encoding", "compress"), COMPRESSED.values(), ids=COMPRESSED)


@every
@pytest.mark.parametrize("body", [b"", b"x", BODY], ids=["empty", "short", "long"])
def test_the_body_comes_out_as_it_went_in(encoding, compress, body) -> None:
    assert decompress(encoding, compress(body), MAX) == body


@every
def test_the_limit_is_inclusive(encoding, compress) -> None:
    assert decompress(encoding, compress(BODY), len(BODY)) == BODY
    with pytest.raises(TooLarge, match="request_decompressed_bytes_max"):
        decompress(encoding, compress(BODY), len(BODY) - 1)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_members_and_frames_that_follow_each_other_are_one_body(encoding) -> None:
    compress = dict(COMPRESSIONS.values())[encoding]
    assert decompress(encoding, compress(b"one ") + compress(b"") + compress(b"two"), MAX) == b"one two"


@every_compressed
def test_a_body_cut_anywhere_is_malformed(encoding, compress) -> None:
    whole = compress(b"a line of text, and another " * 20)
    for end in range(len(whole)):
        with pytest.raises(MalformedTelemetry, match=encoding):
            decompress(encoding, whole[:end], MAX)


@pytest.mark.parametrize("encoding", [name for name in ENCODINGS if name != "identity"])
@given(body=st.binary(max_size=200))
def test_any_bytes_are_a_body_or_malformed(encoding, body) -> None:
    with contextlib.suppress(MalformedTelemetry, TooLarge):
        assert isinstance(decompress(encoding, body, MAX), bytes)


@every_compressed
def test_a_bomb_costs_the_limit_and_not_its_size(encoding, compress) -> None:
    bomb = compress(b"\0" * (200 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            decompress(encoding, bomb, MAX)
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()


def test_a_zstd_frame_that_asks_for_a_huge_window_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27, write_content_size=False)
    engine = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    with pytest.raises(MalformedTelemetry, match="zstd"):
        decompress("zstd", engine.compress(BODY) + engine.flush(), MAX)


def test_memory_is_asked_for_before_it_is_kept() -> None:
    asked: list[int] = []

    def hold(size: int) -> None:
        asked.append(size)
        if sum(asked) > 2 << 20:
            raise QueueFull("enough")

    with pytest.raises(QueueFull):
        decompress("gzip", gzip.compress(bytes(10 << 20)), 20 << 20, hold)
    assert 2 << 20 < sum(asked) <= 3 << 20


@pytest.mark.parametrize(
    ("header", "encoding"),
    [(" ZSTD ", "zstd"), ("deflate", "deflate"), ("gzip, gzip", None), ("snappy", None), ("identity", "identity")],
)
def test_names_of_encodings(header, encoding) -> None:
    assert known_encoding(header) == encoding
