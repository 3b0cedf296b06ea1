"""The receiver on the real store: what the ledger says is what SQL finds, whatever senders do at the same time."""

from __future__ import annotations

import itertools
import json
import random
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.clients.keeping import Keeper, keeping
from tests.receive.running import REQUESTS, logs_request
from watchkeeper.errors import (
    DiskNearlyFull,
    Forbidden,
    InternalFault,
    MalformedTelemetry,
    QueueFull,
    Refused,
    Unauthorized,
    WatchkeeperError,
)
from watchkeeper.receive import receiver as module
from watchkeeper.receive.json_logs import parse_json_logs
from watchkeeper.receive.ledger import LedgerRow
from watchkeeper.receive.outcome import Outcome
from watchkeeper.receive.peer import Peer
from watchkeeper.signals.schema import Signal

PEER = Peer("grpc", "10.0.0.7")
SENDERS = 6
REQUESTS_EACH = 60


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    with keeping(tmp_path / "home") as running:
        yield running


def only(keeper: Keeper) -> LedgerRow:
    (row,) = keeper.ledger.rows()
    return row


def send(keeper: Keeper, payload: bytes, signal: Signal = Signal.LOGS) -> Outcome:
    return keeper.receiver.export(signal, "protobuf", payload, peer=PEER).result(20)


@pytest.mark.parametrize("signal", list(Signal))
def test_what_is_acknowledged_can_be_read(keeper: Keeper, signal: Signal) -> None:
    assert send(keeper, REQUESTS[signal](9).SerializeToString(), signal) == Outcome(9, 0, 0, "")
    found = keeper.one(f"SELECT count(*) AS n, min(sender) AS sender, min(batch) AS batch FROM {signal.value}")
    assert (found["n"], found["sender"]) == (9, "10.0.0.7")
    assert found["batch"] >= 1


def test_a_duplicate_is_told_as_such(keeper: Keeper) -> None:
    payload = logs_request(4).SerializeToString()
    assert send(keeper, payload) == Outcome(4, 0, 0, "")
    assert send(keeper, payload) == Outcome(0, 0, 4, "")
    assert keeper.count(Signal.LOGS) == 4


def test_the_ledger_agrees_with_the_store_under_concurrent_load(keeper: Keeper) -> None:
    """Senders mix new, repeated, malformed, partly bad and refused requests; every record has one fate."""
    fates: list[tuple[str, int]] = []
    lock = threading.Lock()
    # Refusals and lost acknowledgements fall on whoever comes along.
    keeper.door.refusals = [QueueFull("full") for _ in range(40)]
    keeper.door.lost_acknowledgements = [DiskNearlyFull("stored, and the answer lost") for _ in range(20)]

    def run(sender: int) -> None:
        dice = random.Random(sender)
        peer = Peer("grpc", f"10.0.0.{sender % 3}")
        sent: list[bytes] = [logs_request(1, body=f"first of {sender}").SerializeToString()]
        for number in range(REQUESTS_EACH):
            kind = dice.choice(["new", "new", "new", "repeat", "malformed", "partly bad"])
            request = logs_request(dice.randint(1, 30), body=f"{sender}/{number}")
            if kind == "partly bad":
                request.resource_logs[0].scope_logs[0].log_records[0].time_unix_nano = 2**64 - 1
            payload = request.SerializeToString()
            if kind == "repeat":
                payload = dice.choice(sent)
            if kind == "malformed":
                payload = payload[:-1]
            sent.append(payload)
            try:
                keeper.receiver.export(Signal.LOGS, "protobuf", payload, peer=peer).result(20)
                fate = "acknowledged"
            except MalformedTelemetry:
                fate = "malformed"
            except Refused:
                fate = "refused"
            with lock:
                fates.append((fate, number))

    threads = [threading.Thread(target=run, args=(sender,)) for sender in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = keeper.ledger.rows()
    stored = {row["sender"]: row["n"] for row in keeper.sql("SELECT sender, count(*) AS n FROM logs GROUP BY sender")}
    told = keeper.sql("SELECT sender, body FROM logs")
    assert len({(row["sender"], row["body"]) for row in told}) == len(told), "a record is stored twice"
    assert sum(row.requests for row in rows) == SENDERS * REQUESTS_EACH == len(fates)
    assert {fate for fate, _ in fates} == {"acknowledged", "malformed", "refused"}
    # What was stored while its acknowledgement was lost is counted as refused, and as deduplicated when sent again.
    lost = sum(stored.values()) - sum(row.accepted for row in rows)
    assert 0 <= lost <= 20 * 30
    assert keeper.door.lost_acknowledgements == []
    assert sum(row.rejected for row in rows) >= sum(fate == "malformed" for fate, _ in fates)
    assert sum(row.deduplicated for row in rows) > 0
    assert keeper.receiver.budget.held == 0


def test_accepted_is_exactly_what_is_stored_when_no_acknowledgement_is_lost(keeper: Keeper) -> None:
    numbers = itertools.count()
    signals = list(Signal)

    def one(_: int) -> Outcome | None:
        number = next(numbers)
        signal = signals[number % 3]
        size = number % 17 + 1
        request = REQUESTS[signal](size)
        if signal is Signal.LOGS:
            request = logs_request(size, body=f"request {number // 2}")
        peer = Peer("http/protobuf", f"10.0.0.{number % 4}")
        return keeper.receiver.export(signal, "protobuf", request.SerializeToString(), peer=peer).result(20)

    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(one, range(600)))
    keeper.ledger.flush()
    for signal in signals:
        stored = {
            r["sender"]: r["n"] for r in keeper.sql(f"SELECT sender, count(*) AS n FROM {signal.value} GROUP BY 1")
        }
        accepted = {row.sender: row.accepted for row in keeper.ledger.rows() if row.signal is signal}
        assert accepted == stored
        assert keeper.ledger.totals()[signal]["accepted"] == keeper.count(signal)
    assert sum(outcome.accepted for outcome in outcomes if outcome) == sum(keeper.count(signal) for signal in signals)


def test_a_transport_that_gives_up_cannot_undo_the_count(keeper: Keeper) -> None:
    future = keeper.receiver.export(Signal.LOGS, "protobuf", logs_request(3).SerializeToString(), peer=PEER)
    assert not future.cancel()
    assert future.result(20).accepted == 3
    assert only(keeper).accepted == 3


def test_a_request_is_counted_once_however_it_ends(keeper: Keeper) -> None:
    with pytest.raises(MalformedTelemetry), keeper.receiver.begin(Signal.LOGS, PEER) as intake:
        intake.export("protobuf", b"\xff")
    interrupted = keeper.receiver.begin(Signal.LOGS, PEER)
    interrupted.hold(10)
    interrupted.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    interrupted.failed(QueueFull("after the end"))
    row = only(keeper)
    assert (row.requests, row.rejected, row.refused) == (2, 1, 1)
    assert keeper.receiver.budget.held == 0


@pytest.mark.parametrize("moment", ["decoding", "storing", "answering"])
def test_a_fault_of_ours_is_logged_counted_and_a_retry_asked_for(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, moment: str
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        if moment != "answering":
            raise ZeroDivisionError("odd")
        failed: Future[Any] = Future()
        failed.set_exception(CancelledError())
        return failed

    if moment == "decoding":
        monkeypatch.setattr(module, "decode", broken)
    else:
        monkeypatch.setattr(keeper.door, "append", broken)
    with pytest.raises(InternalFault) as fault:
        send(keeper, logs_request(2).SerializeToString())
    assert fault.value.retry_after_s == 0.05
    assert only(keeper).refused == (1 if moment == "decoding" else 2)
    assert "internal fault" in only(keeper).last_error
    assert caplog.records
    assert caplog.records[0].exc_info


def test_who_may_not_send_is_counted_by_address(keeper: Keeper) -> None:
    secret = keeper.receiver.tokens.create("eve", "viewer")
    with pytest.raises(Unauthorized):
        keeper.receiver.begin(Signal.SPANS, PEER)
    with pytest.raises(Forbidden):
        keeper.receiver.begin(Signal.SPANS, Peer("grpc", "10.0.0.7", secret=secret))
    row = only(keeper)
    assert (row.sender, row.signal, row.requests, row.rejected) == ("10.0.0.7", Signal.SPANS, 2, 2)
    assert "viewer" in row.last_error
    assert secret not in row.last_error


def test_json_entries_go_the_same_way_and_their_bad_ones_are_counted(keeper: Keeper) -> None:
    good = {"timestamp": "2026-01-31T09:30:00Z", "level": "error", "component": "api", "message": "no", "n": {"a": [1]}}
    parsed = parse_json_logs(json.dumps([good, {**good, "level": 5}, 7]).encode())
    with keeper.receiver.begin(Signal.LOGS, Peer("json", "10.0.0.7")) as intake:
        reason = parsed.errors[0].message
        outcome = intake.export("protobuf", parsed.payload, already_rejected=parsed.rejected, reason=reason).result(20)
    assert (outcome.accepted, outcome.rejected, outcome.reason) == (1, 2, reason)
    row = only(keeper)
    assert (row.protocol, row.accepted, row.rejected) == ("json", 1, 2)
    stored = keeper.one("SELECT * FROM logs")
    assert (stored["service"], stored["severity_number"], stored["body"]) == ("api", 17, "no")
    assert json.loads(stored["attributes"]) == {"n": {"a": [1]}}


def test_when_the_store_is_closed_senders_are_told_to_retry(tmp_path: Path) -> None:
    with keeping(tmp_path / "home") as keeper:
        pass
    with pytest.raises(WatchkeeperError) as refused:
        send(keeper, logs_request(1).SerializeToString())
    assert isinstance(refused.value, Refused)


def test_the_ledger_goes_on_after_a_restart(tmp_path: Path) -> None:
    with keeping(tmp_path / "home") as keeper:
        send(keeper, logs_request(5).SerializeToString())
        keeper.ledger.flush()
    with keeping(tmp_path / "home") as keeper:
        assert only(keeper).accepted == 5 == keeper.count(Signal.LOGS)
        send(keeper, logs_request(5).SerializeToString())
        assert (only(keeper).accepted, only(keeper).deduplicated) == (5, 5)
