"""The compiled kernel and the Python reference give the same, on any text."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from watchkeeper.errors import WatchkeeperError
from watchkeeper.native.library import native_library
from watchkeeper.patterns.body import BODY_BYTES_MAX, LINE_BYTES_MAX
from watchkeeper.patterns.kernel import Found, NativeKernel, ReferenceKernel, open_kernel

TOKENS = (
    "<*> < > = == \" ' [ ] ( ) () { } / \\ : :: .. . - + @ # blk_1 blk_2 Jun Sat 11 user password for root admin "
    "http:// B KB. sec 10 -5 0xff deadbeef a1 com. org. net com tencent HTTP/1.1 UTC 12:00:01 f0:e1: fe80 Foo $ _ ~/ "
    "./ C:\\ key key2 -[4 - jk2_init / HTTP/1.1 | % ? ! * , ; ALL_CAPS 9.5 "
    "HttpServer2 IO80211Peer x@y x@1 null é "
    "↵ \u2028 ... at ssh2 "
    "1234567890abcdef"
)
PIECES = TOKENS.split(" ")
SPACES = [" ", "  ", "\t", "\n", "\n ", "\r\n", "\x00", "\x1b[31m", "\x1b[", "\x7f", ", ", "\n...", "\nat "]

pieces = st.lists(st.sampled_from(PIECES + SPACES), max_size=40).map("".join)
lines = st.one_of(pieces, st.text(max_size=80), st.text(st.characters(max_codepoint=127), max_size=120))

needs_kernel = pytest.mark.skipif(native_library() is None, reason="the native library is not built on this machine")


@pytest.fixture(scope="module")
def kernel() -> NativeKernel:
    library = native_library()
    assert library is not None
    return NativeKernel(library)


def assert_same(one: Found, other: Found) -> None:
    assert one.texts == other.texts
    for left, right in zip((one.codes, *one[2:]), (other.codes, *other[2:]), strict=True):
        np.testing.assert_array_equal(left, right)


@needs_kernel
@settings(max_examples=300, deadline=None)
@given(st.lists(lines, max_size=12))
@example(["", "", "a"])
@example(["x" * 5000, "é" * 3000, "1 " * 5000, "1;" * 5000, "a..b" * 2000, "{" * 600, "k={" + "}" * 3])
@example(["\n" * (BODY_BYTES_MAX + 5) + "late", "a\n" * 10, "x" * (BODY_BYTES_MAX - 1) + "éé"])
@example(["a" * (LINE_BYTES_MAX - 1) + "é1", 'k="' + "v" * 255 + '"', 'k="' + "v" * 256 + '"'])
def test_both_kernels_give_the_same(kernel: NativeKernel, bodies: list[str]) -> None:
    column = pa.array(bodies, pa.string())
    times = np.arange(len(bodies), dtype=np.int64)[::-1].copy()
    assert_same(kernel.run(column, times), ReferenceKernel().run(column, times))


@needs_kernel
@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=60), min_size=1, max_size=8))
def test_bytes_that_are_not_utf8_are_masked_alike(kernel: NativeKernel, bodies: list[bytes]) -> None:
    binary = pa.array(bodies, pa.binary())
    column = pa.StringArray.from_buffers(len(bodies), binary.buffers()[1], binary.buffers()[2])
    times = np.zeros(len(bodies), np.int64)
    assert_same(kernel.run(column, times), ReferenceKernel().run(column, times))


@needs_kernel
def test_slices_are_read_at_their_offset(kernel: NativeKernel) -> None:
    column = pa.array([f"line {number} of kind{'abc'[number % 3]}" for number in range(100)])
    times = np.zeros(10, np.int64)
    assert_same(kernel.run(column.slice(41, 10), times), ReferenceKernel().run(column.slice(41, 10), times))


@needs_kernel
def test_damaged_offsets_are_refused(kernel: NativeKernel) -> None:
    offsets = pa.py_buffer(np.array([0, 7, 4], np.int32))
    column = pa.StringArray.from_buffers(2, offsets, pa.py_buffer(b"abcdefgh"))
    with pytest.raises(WatchkeeperError, match="offsets"):
        kernel.run(column, np.zeros(2, np.int64))


@needs_kernel
def test_more_templates_than_the_first_table_holds(kernel: NativeKernel) -> None:
    words = ["".join(chr(97 + (number >> shift) % 16) for shift in (0, 4, 8)) + "z" for number in range(4096)]
    column = pa.array([f"word {word}" for word in words] * 2)
    found = kernel.run(column, np.zeros(len(column), np.int64))
    assert len(found.texts) == 4096
    assert found.lines.tolist() == [2] * 4096


def test_the_kernel_of_this_machine_is_the_compiled_one_where_built() -> None:
    expected = ReferenceKernel if native_library() is None else NativeKernel
    assert isinstance(open_kernel(), expected)
