"""What hardly any client sends: each is decoded as protobuf says, by one decoder or the other, and both agree."""

from __future__ import annotations

import locale
import random
import struct
import threading
from typing import Any

import pytest

from tests.receive.otlp_strategies import random_request
from tests.receive.otlp_wire import block, fixed32, fixed64, number, tag, varint
from tests.receive.test_decode_equal import compare
from watchkeeper.errors import MalformedTelemetry
from watchkeeper.receive import otlp_columnar, otlp_reference
from watchkeeper.receive.decode import decode
from watchkeeper.signals.schema import Signal

pytestmark = pytest.mark.skipif(not otlp_columnar.available(), reason="the native library is not built")


def log(*fields: bytes) -> bytes:
    return block(1, block(2, block(2, *fields)))


def point(*fields: bytes, kind: int = 5) -> bytes:
    return block(1, block(2, block(2, block(kind, block(1, *fields)))))


def rows(signal: Signal, payload: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = decode(signal, "protobuf", payload, sender="s", received_unix_ns=5).batch.to_pylist()
    return found


TEXT = block(5, block(1, b"text"))

LOGS: dict[str, tuple[bytes, str]] = {
    "nothing at all": (b"", "sure"),
    "an empty resource": (block(1), "sure"),
    "an empty record": (log(), "sure"),
    "an unknown varint": (log(TEXT, number(99, 5)), "sure"),
    "an unknown block": (log(TEXT, block(2047, b"\xff\xfe")), "sure"),
    "unknown fixed numbers": (log(TEXT, fixed64(77, 1), fixed32(78, 2)), "sure"),
    "a known field of another wire type": (log(TEXT, block(1, b"12345678"), number(9, 3)), "sure"),
    "a body of another wire type": (log(number(5, 1)), "sure"),
    "fields in another order": (
        block(1, block(3, b"url"), block(2, block(2, TEXT), block(1, block(1, b"scope")))),
        "sure",
    ),
    "text sent twice": (log(block(3, b"a"), block(3, b"b"), TEXT), "sure"),
    "a number sent twice": (log(number(2, 9), number(2, 17)), "sure"),
    "an enum too wide": (log(number(2, 2**40 + 17)), "sure"),
    "a negative enum": (log(number(2, 2**64 - 1)), "sure"),
    "a body sent twice": (log(TEXT, block(5, block(1, b"more"))), "unsure"),
    "a value set twice": (log(block(5, block(1, b"text"), number(3, 7))), "unsure"),
    "a resource sent twice": (
        block(1, block(1, number(2, 3)), block(1, block(1, block(1, b"k"))), block(2, block(2))),
        "unsure",
    ),
    "a key sent twice": (log(block(6, block(1, b"a"), block(1, b"b"))), "unsure"),
    "a string index": (log(block(5, number(8, 4))), "unsure"),
    "a group": (log(TEXT, tag(99, 3), number(1, 1), tag(99, 4)), "unsure"),
    "an overlong tag": (log(TEXT, varint(99 << 3, size=4), b"\x01"), "unsure"),
    "an overlong number": (log(tag(2, 0), varint(9, size=10)), "unsure"),
    "an overlong length": (log(tag(3, 2), varint(2, size=3), b"ab"), "unsure"),
    "an entity reference": (
        block(1, block(1, block(3, block(2, b"pod"), block(3, b"id"))), block(2, block(2))),
        "sure",
    ),
    "a bool that is no 1": (log(block(5, number(2, 2**63))), "sure"),
    "a power of two": (log(block(5, tag(4, 1), struct.pack("<d", 2.0**-1017))), "unsure"),
    "field number zero": (log(b"\x02\x00"), "malformed"),
    "an end of no group": (log(tag(99, 4)), "malformed"),
    "a group without an end": (log(tag(99, 3)), "malformed"),
    "wire type 6": (log(tag(99, 6)), "malformed"),
    "a varint of eleven bytes": (log(tag(2, 0), b"\xff" * 10 + b"\x01"), "malformed"),
    "a length past the end": (log(tag(3, 2), varint(9), b"ab"), "malformed"),
    "a length of four gibibytes": (log(tag(3, 2), varint(2**32), b"ab"), "malformed"),
    "a length of 2^63": (log(tag(3, 2), varint(2**63), b"ab"), "malformed"),
    "a cut fixed number": (log(tag(1, 1), b"1234567"), "malformed"),
    "text that is no UTF-8": (log(block(3, b"\xff")), "malformed"),
    "a body that is no UTF-8": (log(block(5, block(1, b"ok\xc0\x80"))), "malformed"),
    "a surrogate": (log(block(5, block(1, b"\xed\xa0\x80"))), "malformed"),
    "text twice, the first no UTF-8": (log(block(3, b"\xff"), block(3, b"b")), "malformed"),
    "an attribute key that is no UTF-8": (log(block(6, block(1, b"\xf5"))), "malformed"),
    "a schema URL that is no UTF-8, of nothing": (block(1, block(3, b"\x80")), "malformed"),
    "a scope that is no UTF-8, of nothing": (block(1, block(2, block(1, block(1, b"\x80")))), "malformed"),
    "an entity reference that is no UTF-8": (block(1, block(1, block(3, block(2, b"\x80")))), "malformed"),
}


@pytest.mark.parametrize("name", LOGS)
def test_unusual_logs(name: str) -> None:
    payload, outcome = LOGS[name]
    assert compare(Signal.LOGS, payload) == outcome


METRICS: dict[str, tuple[bytes, str]] = {
    "a metric without data": (block(1, block(2, block(2, block(1, b"n")))), "sure"),
    "data without points, then a gauge": (
        block(1, block(2, block(2, block(7, number(2, 2), number(3, 1))), block(2, block(5, block(1))))),
        "sure",
    ),
    "data sent twice": (block(1, block(2, block(2, block(5, block(1)), block(7, block(1))))), "unsure"),
    "both values, the int last": (point(fixed64(4, 7), fixed64(6, 8)), "sure"),
    "both values, the double last": (point(fixed64(6, 8), fixed64(4, 7)), "sure"),
    "buckets one by one": (point(fixed64(6, 1), fixed64(6, 2), block(7, b"\0" * 8), fixed64(7, 3), kind=9), "sure"),
    "packed numbers that are cut": (point(block(6, b"123456789"), kind=9), "malformed"),
    "packed varints that are cut": (point(block(8, block(2, b"\x01\x80")), kind=10), "malformed"),
    "buckets of both forms": (point(block(8, number(2, 5), block(2, b"\x01\x02"), number(1, 3)), kind=10), "sure"),
    "buckets sent twice": (point(block(8, number(2, 5)), block(8, number(2, 6)), kind=10), "unsure"),
    "empty buckets": (point(block(9), kind=10), "sure"),
    "exemplars of a summary are unknown": (point(block(5, b"\xff"), kind=11), "sure"),
    "the temporality before and behind": (
        block(1, block(2, block(2, block(7, number(2, 2), block(1), number(2, 1))))),
        "sure",
    ),
    "the temporality of a gauge is unknown": (block(1, block(2, block(2, block(5, block(1), block(2, b"x"))))), "sure"),
}


@pytest.mark.parametrize("name", METRICS)
def test_unusual_metrics(name: str) -> None:
    payload, outcome = METRICS[name]
    assert compare(Signal.METRICS, payload) == outcome


@pytest.mark.parametrize("levels", [1, 5, 27, 28, 29, 31, 32, 33, 47, 48, 49, 100, 2000])
@pytest.mark.parametrize(("form", "levels_max"), [("arrays", 48), ("maps", 32)])
def test_nesting_ends_where_protobuf_ends_it(levels: int, form: str, levels_max: int) -> None:
    value = number(3, 1)
    for _ in range(levels):
        value = block(5, block(1, value)) if form == "arrays" else block(6, block(1, block(2, value)))
    expected = "sure" if levels <= 28 else "unsure" if levels <= levels_max else "malformed"
    assert compare(Signal.LOGS, log(block(5, value))) == expected


@pytest.mark.parametrize("signal", list(Signal))
def test_requests_cut_at_every_byte_end_alike(signal: Signal) -> None:
    payload = random_request(random.Random(21), signal).SerializeToString()[:1500]
    outcomes = {compare(signal, payload[:size]) for size in range(len(payload))}
    assert "malformed" in outcomes


@pytest.mark.parametrize("signal", list(Signal))
def test_tables_of_many_rows_and_long_texts_grow_rightly(signal: Signal) -> None:
    source = random.Random(8)
    request = otlp_reference.REQUESTS[signal]()
    while request.ByteSize() < 300_000:
        more = random_request(source, signal)
        if otlp_columnar.read(signal, more.SerializeToString(), received_unix_ns=5) is not None:
            request.MergeFrom(more)
    assert compare(signal, request.SerializeToString()) == "sure"


def test_a_long_text_with_every_byte_that_needs_escaping() -> None:
    text = ("".join(map(chr, range(0x80))) + "é漢😀") * 2000
    assert compare(Signal.LOGS, log(block(6, block(1, b"k"), block(2, block(1, text.encode()))))) == "sure"


def test_the_locale_of_the_program_does_not_reach_the_numbers() -> None:
    payload = log(block(5, tag(4, 1), struct.pack("<d", 1.5e-300)))
    before = locale.setlocale(locale.LC_NUMERIC)
    for name in ("de_DE.UTF-8", "fr_FR.UTF-8", "C"):
        try:
            locale.setlocale(locale.LC_NUMERIC, name)
        except locale.Error:
            continue
        try:
            assert rows(Signal.LOGS, payload)[0]["body"] == "1.5e-300"
        finally:
            locale.setlocale(locale.LC_NUMERIC, before)


def test_threads_decode_at_the_same_time() -> None:
    payloads = [random_request(random.Random(seed), Signal.SPANS).SerializeToString() for seed in range(8)]
    wrong: list[BaseException] = []

    def work(payload: bytes) -> None:
        try:
            for _ in range(20):
                compare(Signal.SPANS, payload)
        except BaseException as error:  # noqa: BLE001 - told by the main thread
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(payload,)) for payload in payloads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_malformed_bytes_raise_with_their_kind_and_size() -> None:
    with pytest.raises(MalformedTelemetry, match="3 bytes are no ExportLogsServiceRequest"):
        decode(Signal.LOGS, "protobuf", b"\xff\xff\xff", sender="s", received_unix_ns=5)


def test_an_encoding_that_there_is_not_is_told() -> None:
    with pytest.raises(MalformedTelemetry, match="'xml'"):
        decode(Signal.LOGS, "xml", b"", sender="s", received_unix_ns=5)
