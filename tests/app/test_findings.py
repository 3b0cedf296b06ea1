"""The finding store: updates instead of duplicates, pages without gaps, a live feed."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from watchkeeper.app.findings import FindingStore
from watchkeeper.errors import QueryError
from watchkeeper.signals.finding import Band, Baseline, Finding, FindingSeverity, FindingState, finding_id
from watchkeeper.store.metadata import Metadata


def finding(number: int, *, service: str = "cart", state: FindingState = FindingState.OPEN) -> Finding:
    return Finding(
        id=finding_id("k", service, str(number), number),
        kind="log.error.rate",
        signal="logs",
        service=service,
        entity=f"service={service}",
        subject=str(number),
        title="t",
        why="w",
        severity=FindingSeverity.WARNING,
        score=1.0,
        count=1,
        first_unix_ns=number,
        last_unix_ns=number + 10,
        expected=Band("e"),
        seen=Band("s"),
        baseline=Baseline(0, 0),
        state=state,
        detected_unix_ns=number,
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FindingStore]:
    metadata = Metadata(tmp_path / "metadata.sqlite")
    yield FindingStore(metadata)
    metadata.close()


def test_telling_a_finding_again_updates_it(store: FindingStore) -> None:
    first = finding(1)
    store.put([first])
    store.put([replace(first, count=9, state=FindingState.CLOSED, last_unix_ns=500)])
    assert store.get(first.id) == replace(first, count=9, state=FindingState.CLOSED, last_unix_ns=500)
    assert len(store.list()[0]) == 1
    assert store.counts(now_unix_ns=100) == {"open": 0, "opened_1h": 1}


def test_pages_hold_everything_once_latest_first(store: FindingStore) -> None:
    store.put([finding(number // 2, service=f"s{number % 2}") for number in range(10)])
    seen, cursor = [], None
    while True:
        page, cursor = store.list(limit=3, cursor=cursor)
        seen += [(item.first_unix_ns, item.id) for item in page]
        if cursor is None:
            break
    assert len(set(seen)) == 10
    assert [at for at, _ in seen] == sorted((at for at, _ in seen), reverse=True)


def test_filters(store: FindingStore) -> None:
    store.put([finding(1), finding(100, service="payment", state=FindingState.CLOSED)])
    assert [item.service for item in store.list(state="open")[0]] == ["cart"]
    assert [item.service for item in store.list(service="payment")[0]] == ["payment"]
    assert [item.service for item in store.list(from_unix_ns=50)[0]] == ["payment"]
    assert [item.service for item in store.list(to_unix_ns=50)[0]] == ["cart"]
    assert store.list(kind="log.template.unseen")[0] == []
    assert store.open_by_service() == {"cart": 1}


@pytest.mark.parametrize("cursor", ["x", "1", ":", "a:b", "--5:x", "²:x", "9" * 19 + ":x", "9" * 30 + ":x", "1:"])
def test_a_bad_cursor_is_told(store: FindingStore, cursor: str) -> None:
    with pytest.raises(QueryError, match="not a cursor"):
        store.list(cursor=cursor)


def test_old_closed_ones_are_deleted_open_ones_stay(store: FindingStore) -> None:
    store.put([finding(1), finding(2, state=FindingState.CLOSED), finding(900, state=FindingState.CLOSED)])
    assert store.delete_closed_before(500) == 1
    assert sorted(item.first_unix_ns for item in store.list()[0]) == [1, 900]


def test_subscribers_are_told(store: FindingStore) -> None:
    with store.subscribe() as feed:
        store.put([finding(1)])
        assert feed.get_nowait().first_unix_ns == 1
