"""The ingest ledger: sums, rates, persistence, bounds, concurrency."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from watchkeeper.errors import StoreError
from watchkeeper.receive.ledger import OTHER, Count, Ledger, LedgerRow
from watchkeeper.signals.schema import Signal
from watchkeeper.store.metadata import Metadata


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s

    def unix_ns(self) -> int:
        return int(self.now_s * 1e9)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def make(metadata: Metadata, clock: Clock, **options) -> Ledger:
    return Ledger(metadata, now_unix_ns=clock.unix_ns, clock=clock, **options)


def test_a_row_holds_the_sums_and_the_first_and_last_times(metadata, clock) -> None:
    ledger = make(metadata, clock)
    ledger.count("web", Signal.LOGS, "grpc", Count(accepted=5, bytes=100))
    clock.now_s += 7
    ledger.count("web", Signal.LOGS, "grpc", Count(accepted=2, rejected=1, bytes=50, error="bad time"))
    ledger.count("web", Signal.LOGS, "grpc", Count(refused=4, deduplicated=3, dropped=2))
    assert ledger.rows() == [
        LedgerRow(
            sender="web",
            signal=Signal.LOGS,
            protocol="grpc",
            requests=3,
            accepted=7,
            rejected=1,
            dropped=2,
            deduplicated=3,
            refused=4,
            bytes=150,
            first_unix_ns=1000 * 10**9,
            last_unix_ns=1007 * 10**9,
            last_error="bad time",
        )
    ]


def test_sender_signal_and_protocol_are_told_apart_and_summed_by_signal(metadata, clock) -> None:
    ledger = make(metadata, clock)
    ledger.count("b", Signal.LOGS, "grpc", Count(accepted=1))
    ledger.count("a", Signal.LOGS, "grpc", Count(accepted=2, rejected=9))
    ledger.count("a", Signal.SPANS, "grpc", Count(accepted=4))
    ledger.count("a", Signal.LOGS, "http/json", Count(accepted=8))
    assert [(row.sender, row.signal, row.protocol, row.accepted) for row in ledger.rows()] == [
        ("a", "logs", "grpc", 2),
        ("a", "logs", "http/json", 8),
        ("a", "spans", "grpc", 4),
        ("b", "logs", "grpc", 1),
    ]
    assert ledger.totals()[Signal.LOGS] == {"accepted": 11, "rejected": 9, "dropped": 0, "deduplicated": 0}
    assert ledger.totals()[Signal.METRICS]["accepted"] == 0


def test_rates_are_of_the_last_minute(metadata, clock) -> None:
    ledger = make(metadata, clock)
    assert ledger.rates() == dict.fromkeys(Signal, 0.0)
    clock.now_s += 10
    ledger.count("a", Signal.LOGS, "grpc", Count(accepted=50))
    assert ledger.rates()[Signal.LOGS] == pytest.approx(5.0), "over the ten seconds since the start"
    clock.now_s += 55
    ledger.count("a", Signal.LOGS, "grpc", Count(accepted=10))
    assert ledger.rates()[Signal.LOGS] == pytest.approx(1.0), "60 records in 60 seconds"
    clock.now_s += 30
    assert ledger.rates()[Signal.LOGS] == pytest.approx(10 / 60)
    clock.now_s += 5000
    assert ledger.rates()[Signal.LOGS] == 0.0


def test_counts_survive_a_restart(metadata, clock, tmp_path: Path) -> None:
    ledger = make(metadata, clock)
    ledger.count("a", Signal.LOGS, "grpc", Count(accepted=3, bytes=9, error="odd"))
    ledger.flush()
    ledger.count("a", Signal.LOGS, "grpc", Count(accepted=4))
    ledger.flush()
    before = ledger.rows()
    again = Metadata(tmp_path / "metadata.sqlite")
    try:
        after = make(again, clock)
        assert after.rows() == before
        assert after.rows()[0].signal is Signal.LOGS
        after.count("a", Signal.LOGS, "grpc", Count(accepted=1))
        assert after.rows()[0].accepted == 8
    finally:
        again.close()


def test_a_flush_that_fails_is_made_up_for_by_the_next(metadata, clock, tmp_path: Path) -> None:
    ledger = make(metadata, clock)
    metadata.write("ALTER TABLE ledger RENAME TO hidden")
    ledger.count("a", Signal.LOGS, "grpc", Count(accepted=3))
    with pytest.raises(StoreError):
        ledger.flush()
    metadata.write("ALTER TABLE hidden RENAME TO ledger")
    ledger.flush()
    assert make(metadata, clock).rows()[0].accepted == 3


def test_senders_past_the_bound_are_counted_together(metadata, clock) -> None:
    ledger = make(metadata, clock, senders_max=3)
    for number in range(50):
        ledger.count(f"10.0.0.{number}", Signal.LOGS, "grpc", Count(accepted=1))
    ledger.count("10.0.0.1", Signal.LOGS, "grpc", Count(accepted=1))
    rows = {row.sender: row.accepted for row in ledger.rows()}
    assert rows == {"10.0.0.0": 1, "10.0.0.1": 2, "10.0.0.2": 1, OTHER: 47}


def test_a_long_error_is_cut(metadata, clock) -> None:
    ledger = make(metadata, clock)
    ledger.count("a", Signal.LOGS, "grpc", Count(error="x" * 10_000))
    assert len(ledger.rows()[0].last_error) == 500


def test_nothing_is_lost_between_threads_and_flushes(metadata) -> None:
    ledger = Ledger(metadata)

    def work(name: str) -> None:
        for _ in range(500):
            ledger.count(name, Signal.LOGS, "grpc", Count(accepted=1, bytes=2))

    threads = [threading.Thread(target=work, args=(f"t{number % 2}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        ledger.flush()
    for thread in threads:
        thread.join()
    ledger.flush()
    assert [(row.accepted, row.requests, row.bytes) for row in Ledger(metadata).rows()] == [(1000, 1000, 2000)] * 2


def test_streams_that_senders_name_at_will_do_not_grow_the_ledger(metadata, clock, monkeypatch) -> None:
    monkeypatch.setattr("watchkeeper.receive.ledger.ROWS_MAX", 4)
    ledger = make(metadata, clock)
    for number in range(20):
        ledger.told("edge", Signal.LOGS, f"agent/{number}", dropped=number, refused=1)
    rows = ledger.rows()
    assert len(rows) == 5
    assert [row.dropped for row in rows if row.protocol == OTHER] == [19]
