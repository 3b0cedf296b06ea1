"""The mark of an agent's batch, and what the store makes of it: known again by its place, without a window of time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.receive.running import REQUESTS, logs_request
from watchkeeper.receive.batch_mark import Mark, read_mark, write_mark
from watchkeeper.receive.decode import decode
from watchkeeper.settings import Settings
from watchkeeper.signals.schema import Signal
from watchkeeper.store.entry import Entry
from watchkeeper.store.store import Store

MARK = Mark("0123456789abcdef/logs", 7, 3, 5)
HOUR_NS = 3_600 * 10**9


@pytest.mark.parametrize("signal", list(Signal))
def test_a_mark_is_read_back_and_adds_no_record(signal: Signal) -> None:
    body = REQUESTS[signal](4).SerializeToString()
    payload = write_mark(MARK) + body
    assert read_mark(payload) == MARK
    assert read_mark(body) is None
    marked = decode(signal, "protobuf", payload, sender="s", received_unix_ns=1)
    plain = decode(signal, "protobuf", body, sender="s", received_unix_ns=1)
    assert (marked.mark, plain.mark) == (MARK, None)
    assert marked.batch.replace_schema_metadata(None).equals(plain.batch)


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"\x0a",
        write_mark(MARK)[:-3],
        write_mark(MARK._replace(stream="x" * 65)),
        write_mark(MARK._replace(stream="a\x1b[2J")),
        write_mark(MARK._replace(stream="")),
    ],
)
def test_what_is_no_whole_mark_is_none(bad: bytes) -> None:
    assert read_mark(bad) is None


def test_only_an_empty_resource_in_front_is_a_mark() -> None:
    request = logs_request(2)
    request.resource_logs[0].resource.attributes.add(key="watchkeeper.batch.stream").value.string_value = "s"
    request.resource_logs[0].resource.attributes.add(key="watchkeeper.batch.position").value.int_value = 9
    assert read_mark(request.SerializeToString()) is None


def _open(home: Path) -> Store:
    def again(entry: Entry) -> object:
        told = decode(entry.signal, entry.encoding, entry.payload, sender=entry.sender, received_unix_ns=0)
        return told.batch

    return Store.open(home, Settings(chosen={"home": home}, environment={}), again)  # type: ignore[arg-type]


def _append(store: Store, position: int, at_ns: int, body: str, *, sender: str = "edge") -> bool:
    payload = write_mark(Mark("stream/logs", position)) + logs_request(2, body=body).SerializeToString()
    batch = decode(Signal.LOGS, "protobuf", payload, sender=sender, received_unix_ns=at_ns).batch
    return store.append(Signal.LOGS, "protobuf", sender, at_ns, payload, batch).result(20).duplicate


@pytest.mark.parametrize("sealed", [False, True])
def test_a_batch_is_known_by_its_place_hours_later_and_in_another_composition(tmp_path: Path, *, sealed: bool) -> None:
    store = _open(tmp_path)
    now = 1_763_700_000_000_000_000
    assert [_append(store, 3, now, "a"), _append(store, 5, now, "b")] == [False, False]
    if sealed:
        store.seal_now()
    store.close()
    store = _open(tmp_path)
    later = now + 5 * HOUR_NS
    assert [_append(store, 5, later, "b"), _append(store, 4, later, "other bytes"), _append(store, 6, later, "c")] == [
        True,
        True,
        False,
    ]
    assert store.sql("SELECT count(*) AS n FROM logs").to_pylist() == [{"n": 6}]
    store.close()


def test_a_stream_that_another_sender_names_too_takes_nothing_from_the_first(tmp_path: Path) -> None:
    store = _open(tmp_path)
    now = 1_763_700_000_000_000_000
    assert not _append(store, 2**62, now, "from far ahead", sender="thief")
    assert [_append(store, 1, now, "a"), _append(store, 1, now, "a again")] == [False, True]
    store.close()
    store = _open(tmp_path)
    assert [_append(store, 1, now, "a once more"), _append(store, 2, now, "b")] == [True, False]
    assert store.sql("SELECT count(*) AS n FROM logs").to_pylist() == [{"n": 6}]
    store.close()


def test_records_at_place_zero_are_known_by_their_content_only(tmp_path: Path) -> None:
    store = _open(tmp_path)
    now = 1_763_700_000_000_000_000
    assert [_append(store, 0, now, "a"), _append(store, 0, now, "b"), _append(store, 0, now, "a")] == [
        False,
        False,
        True,
    ]
    store.close()
