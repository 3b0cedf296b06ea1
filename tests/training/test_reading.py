"""Which stored lines are learned from: of a real store, frozen, with hot lines and merged segments among them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.store.telemetry import settings

from watchkeeper.errors import StoreError
from watchkeeper.learn.line_counts import has_failure_words
from watchkeeper.signals.finding import Band, Baseline, Finding, FindingSeverity
from watchkeeper.signals.schema import LOGS, Signal
from watchkeeper.store.store import Store
from watchkeeper.training.exclusions import Excluded, Exclusion, exclusions_of
from watchkeeper.training.reading import Reader, Selection
from watchkeeper.training.workloads import Workload

SECOND_NS = 10**9
START_NS = 1_763_726_400 * SECOND_NS
CART, PAY = Workload("local", "default", "cart"), Workload("local", "default", "pay")


def batch_of(lines: list[tuple[str, str, int, int | None]]) -> pa.RecordBatch:
    """Give a batch of (service, body, seconds after the start, template)."""
    known: dict[str, list[Any]] = {
        "time_unix_ns": [START_NS + at * SECOND_NS for _, _, at, _ in lines],
        "received_unix_ns": [START_NS] * len(lines),
        "body": [body for _, body, _, _ in lines],
        "service": [service for service, _, _, _ in lines],
        "resource_attributes": [json.dumps({"service.name": service}) for service, _, _, _ in lines],
        "template_id": [template for _, _, _, template in lines],
    }
    arrays = [
        pa.array(known[field.name]).cast(field.type) if field.name in known else pa.nulls(len(lines), field.type)
        for field in LOGS
    ]
    return pa.record_batch(arrays, schema=LOGS)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "home", settings(tmp_path / "home"), lambda _: batch_of([])) as opened:
        yield opened


def put(store: Store, *lines: tuple[str, str, int, int | None]) -> None:
    content = json.dumps(lines).encode()
    store.append(Signal.LOGS, "json", "test", START_NS, content, batch_of(list(lines))).result(10)


def frozen(store: Store, folder: Path) -> Path:
    store.freeze(Signal.LOGS, folder, (0, 2**63 - 1))
    return folder


def read(folder: Path, selection: Selection) -> tuple[list[str], Reader]:
    reader = Reader(folder, selection, has_failure_words)
    found = [body for lines in reader.lines(lambda _: None) for body in lines.bodies.to_pylist()]
    return sorted(found), reader


def test_segments_and_hot_lines_each_once(store: Store, tmp_path: Path) -> None:
    put(store, ("cart", "one", 0, 1))
    store.seal_now()
    put(store, ("cart", "two", 1, 1))
    store.seal_now()
    put(store, ("cart", "three", 2, None))
    folder = tmp_path / "frozen"
    told = store.freeze(Signal.LOGS, folder, (0, 2**63 - 1))
    assert (told.files, told.segment_rows, told.hot_rows, told.rows) == (3, 2, 1, 3)
    # What happens to the store from now on does not touch the frozen files.
    assert store.compact_now() == 1
    store.seal_now()
    store.retain_now(START_NS + 10**18)
    bodies, reader = read(folder, Selection())
    assert bodies == ["one", "three", "two"]
    assert (reader.rows(), reader.extent()) == (3, (START_NS, START_NS + 2 * SECOND_NS))


def test_the_range_prunes_files(store: Store, tmp_path: Path) -> None:
    put(store, ("cart", "early", 0, 1))
    store.seal_now()
    put(store, ("cart", "late", 9, 1))
    told = store.freeze(Signal.LOGS, tmp_path / "frozen", (START_NS + 5 * SECOND_NS, 2**63 - 1))
    assert told.rows == 1


def test_everything_left_out_is_accounted_for(store: Store, tmp_path: Path) -> None:
    put(
        store,
        ("cart", "kept", 10, 1),
        ("cart", "too early", 0, 1),
        ("pay", "not watched", 10, 1),
        ("cart", "   ", 10, 1),
        ("cart", "odd template", 11, 7),
        ("cart", "odd template but later", 30, 7),
        ("cart", "Connection refused by peer", 10, 1),
    )
    excluded = Excluded([Exclusion("cart", 7, START_NS + 11 * SECOND_NS, START_NS + 20 * SECOND_NS)])
    selection = Selection(frozenset([CART]), START_NS + 5 * SECOND_NS, START_NS + 60 * SECOND_NS, excluded)
    bodies, reader = read(frozen(store, tmp_path / "frozen"), selection)
    assert bodies == ["kept", "odd template but later"]
    assert reader.heard == {CART}
    told = reader.account.as_dict()
    assert told == {
        "stored": 7,
        "other_time": 1,
        "unwatched": 1,
        "empty": 1,
        "anomalous": 1,
        "failing": 1,
        "taken": 2,
    }
    assert told["stored"] == sum(count for name, count in told.items() if name != "stored")
    assert "1 judged anomalous" in reader.account.text()


def test_all_workloads_when_none_is_named(store: Store, tmp_path: Path) -> None:
    put(store, ("cart", "a", 0, 1), ("pay", "b", 0, 1))
    folder = frozen(store, tmp_path / "frozen")
    assert read(folder, Selection())[0] == ["a", "b"]
    assert read(folder, Selection(frozenset([PAY])))[0] == ["b"]
    assert read(folder, Selection(frozenset([Workload("x", "y", "z")])))[0] == []


def test_a_damaged_file_is_an_error_and_not_no_data(store: Store, tmp_path: Path) -> None:
    put(store, ("cart", "a", 0, 1))
    folder = frozen(store, tmp_path / "frozen")
    (folder / "hot.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(StoreError, match="hot"):
        read(folder, Selection())


def finding(kind: str, template: int | None, begin: int, end: int, *, signal: str = "logs", name: str = "f") -> Finding:
    band = Band("x")
    return Finding(
        name, kind, signal, "cart", "e", "s", "t", "w", FindingSeverity.INFO, 1.0, 1, begin, end, band, band,
        Baseline(0, 0), template_id=template,
    )  # fmt: skip


def test_what_findings_exclude() -> None:
    found = [
        finding("log.template.unseen", 7, 10, 20),
        finding("log.error.rate", None, 30, 40),
        finding("log.template.stopped", 8, 0, 99),
        finding("log.service.silent", None, 0, 99),
        finding("metric.band", None, 0, 99, signal="metrics"),
        finding("log.template.rate", 9, 0, 99, name="called wrong"),
    ]
    exclusions = exclusions_of(found, unless=frozenset(["called wrong"]))
    assert exclusions == [Exclusion("cart", 7, 10, 20), Exclusion("cart", None, 30, 40)]
    excluded = Excluded(json.loads(json.dumps([*exclusions, Exclusion("cart", 7, 15, 25)])))
    times = np.array([9, 10, 25, 26, 35, 35, 35])
    templates = np.array([7, 7, 7, 7, 1, -1, 1])
    codes = np.array([0, 0, 0, 0, 0, 0, 1])
    assert excluded.mask(["cart", "pay", None], codes, templates, times).tolist() == [
        False, True, True, False, True, True, False,
    ]  # fmt: skip
