"""Fifty real `kill -9`s of a process that writes: no acknowledged request is lost, none is stored twice."""

from __future__ import annotations

import multiprocessing
import random
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.store import crash_writer
from tests.store.crash_writer import ROWS
from tests.store.telemetry import counts, open_store, send

KILLS = 50
RUN_S_MAX = 0.6


@dataclass
class Client:
    """What the clients know: which requests were sent, and which were acknowledged."""

    sent: set[int] = field(default_factory=set)
    stored: set[int] = field(default_factory=set)
    known: set[int] = field(default_factory=set)
    opened: int = 0

    def told(self, kind: str, number: int) -> None:
        if kind == "open":
            self.opened += 1
        elif kind == "sent":
            self.sent.add(number)
        else:
            self.stored.add(number)
            if kind == "known":
                self.known.add(number)

    def unanswered(self) -> list[int]:
        return sorted(self.sent - self.stored)


def run_and_kill(home: Path, client: Client, run_s: float) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.store.crash_writer"])
    ours, theirs = context.Pipe(duplex=False)
    first = max(client.sent, default=-1) + 1
    process = context.Process(target=crash_writer.run, args=(str(home), client.unanswered(), first, theirs))
    process.start()
    theirs.close()
    kill_at = time.monotonic() + 20
    try:
        while (left := kill_at - time.monotonic()) > 0:
            if ours.poll(left):
                kind, number = ours.recv()
                client.told(kind, number)
                if kind == "open":
                    kill_at = time.monotonic() + run_s
        process.kill()
        while True:
            client.told(*ours.recv())
    except (EOFError, OSError):
        pass
    finally:
        process.kill()
        process.join()
        ours.close()


def check(home: Path, client: Client, *, answered: bool) -> None:
    """Look at what is stored, as the next process would; with `answered`, clients first send again what they must."""
    store = open_store(home, **crash_writer.SMALL_STORE)
    try:
        if answered:
            for number in client.unanswered():
                signal, content = crash_writer.request(number)
                send(store, content, signal=signal).result(10)
                client.stored.add(number)
        found = {**counts(store, "logs"), **counts(store, "spans")}
        twice = {name: n for name, n in found.items() if n != ROWS}
        lost = {f"r{number}" for number in client.stored} - set(found)
        strange = set(found) - {f"r{number}" for number in client.sent}
        assert (twice, lost, strange) == ({}, set(), set())
        assert store.stats().quarantined == ()
    finally:
        store.close()


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_fifty_kills_lose_nothing_and_duplicate_nothing(home: Path) -> None:
    client = Client()
    chance = random.Random(20251121)
    for kill in range(KILLS):
        run_and_kill(home, client, chance.uniform(0.0, RUN_S_MAX))
        if kill % 10 == 4:
            check(home, client, answered=False)
    check(home, client, answered=True)
    assert client.opened == KILLS
    assert len(client.stored) > KILLS
    assert client.known, "no kill fell between the disk and the acknowledgement, so no retry was tested"
    print(len(client.sent), len(client.stored), len(client.known))
    assert list((home / "telemetry").rglob("*.parquet")), "the kills never met a sealed segment"
