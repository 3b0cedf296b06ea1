from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import threading

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.edge.lines import (
    LineCounts,
    LineReader,
    decompressed,
    live_lines,
    open_bytes,
    read_chunks,
    read_lines,
)
from watchkeeper.errors import DataSetError, WatchkeeperError


def read(data: bytes, *, line_bytes_max: int = 1 << 18) -> tuple[list[str], LineCounts]:
    reader = LineReader(line_bytes_max=line_bytes_max)
    lines = [line for batch in read_lines(iter([data] if data else []), reader) for line in batch]
    return lines, reader.counts


def test_line_ends_of_all_kinds_and_a_last_line_without_one():
    lines, counts = read(b"a\r\nb\n\nc")
    assert lines == ["a", "b", "", "c"]
    assert (counts.lines, counts.empty, counts.bytes) == (4, 1, 7)


def test_what_is_not_utf_8_is_replaced_and_counted():
    lines, counts = read(b"caf\xe9\nok\n")
    assert lines == ["caf\ufffd", "ok"]
    assert counts.mended == 1


def test_an_over_long_line_is_cut_and_the_next_one_is_whole():
    lines, counts = read(b"x" * 25 + b"\nnext\n" + b"y" * 12, line_bytes_max=10)
    assert lines == ["x" * 10, "next", "y" * 10]
    assert (counts.cut_lines, counts.cut_bytes) == (2, 17)


@given(st.lists(st.binary(max_size=30), max_size=8), st.integers(1, 12))
def test_every_byte_is_accounted_for_however_the_stream_is_cut(pieces, line_bytes_max):
    reader = LineReader(line_bytes_max=line_bytes_max)
    lines = [line for piece in pieces for line in reader.feed(piece)] + reader.finish()
    whole = b"".join(pieces)
    expected = whole.split(b"\n")
    if not expected[-1]:
        expected.pop()
    assert len(lines) == len(expected) == reader.counts.lines
    cut = sum(max(0, len(each) - line_bytes_max) for each in expected)
    assert reader.counts.cut_bytes == cut
    assert reader.counts.bytes == len(whole)
    for line, raw in zip(lines, expected, strict=True):
        kept = raw[:line_bytes_max]
        assert line == kept.removesuffix(b"\r").decode("utf-8", "replace")


@given(st.binary(max_size=200), st.integers(1, 20))
def test_pieces_make_no_difference(data, size):
    whole, _ = read(data)
    reader = LineReader()
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    assert [line for batch in read_lines(iter(pieces), reader) for line in batch] == whole


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("plain", bytes),
        ("gzip", gzip.compress),
        ("xz", lzma.compress),
        ("bzip2", bz2.compress),
        ("zstd", zstandard.ZstdCompressor().compress),
    ],
)
def test_compressions_are_told_by_their_first_bytes(name, pack):
    text = b"one\ntwo\n" * 1000
    stream, found = decompressed(io.BytesIO(pack(text)))
    assert found == name
    assert b"".join(read_chunks(stream, "x")) == text


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress, zstandard.ZstdCompressor().compress])
def test_several_members_in_a_row_are_one_stream(pack):
    stream, _ = decompressed(io.BytesIO(pack(b"one\n") + pack(b"two\n")))
    assert b"".join(read_chunks(stream, "x")) == b"one\ntwo\n"


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress])
def test_a_compressed_file_that_is_cut_off_says_so(pack):
    packed = pack(os.urandom(5000))
    stream, _ = decompressed(io.BytesIO(packed[: len(packed) // 2]))
    with pytest.raises(DataSetError, match=r"app\.log .* cut off or damaged"):
        list(read_chunks(stream, "app.log"))


def test_a_damaged_zstd_file_says_so():
    packed = bytearray(zstandard.ZstdCompressor(write_checksum=True).compress(os.urandom(5000)))
    packed[3000] ^= 0xFF
    stream, _ = decompressed(io.BytesIO(bytes(packed)))
    with pytest.raises(DataSetError, match="damaged"):
        list(read_chunks(stream, "app.log"))


def test_an_empty_file_has_no_lines():
    stream, name = decompressed(io.BytesIO(b""))
    assert (name, list(read_chunks(stream, "x"))) == ("plain", [])


@pytest.mark.parametrize(("path", "why"), [("/nowhere/app.log", "No such file"), ("/", "is a folder")])
def test_a_file_that_cannot_be_opened_says_why(path, why):
    with pytest.raises(WatchkeeperError, match=why):
        open_bytes(path)


def test_a_quiet_pipe_gives_empty_batches_and_nothing_is_lost():
    more = threading.Event()

    def batches():
        yield ["one"]
        assert more.wait(10)
        yield ["two"]

    found = []
    for batch in live_lines(batches(), idle_s=0.01):
        found.append(batch)
        if batch == []:
            more.set()
    assert [batch for batch in found if batch] == [["one"], ["two"]]
    assert [] in found


def test_an_error_of_a_pipe_is_passed_on():
    def batches():
        yield ["one"]
        raise DataSetError("broken")

    with pytest.raises(DataSetError, match="broken"):
        list(live_lines(batches(), idle_s=5))
