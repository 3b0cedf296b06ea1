"""A seal or a merge that ends at any of its steps: the next opening has every row once, and no left-overs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.store.telemetry import HOUR_NS, NOON_NS, counts, payload, put, segment_files, send, wal_files

from watchkeeper.signals.schema import Signal
from watchkeeper.store import segments
from watchkeeper.store.catalog import Catalog
from watchkeeper.store.store import Store
from watchkeeper.store.view import View

Opened = Callable[..., Store]


class Killed(BaseException):
    """Stands for the end of the process: nothing handles it."""


STEPS: list[tuple[Any, str]] = [
    (segments, "sync_file"),
    (segments, "make_folders"),
    (segments, "checksum"),
    (segments, "sync_folder"),
    (segments, "write_one"),
    (Catalog, "seal"),
    (Catalog, "swap"),
    (Catalog, "forget_sealed"),
    (Catalog, "forget_doomed"),
    (View, "seal"),
    (View, "swap"),
    (Path, "unlink"),
    (Path, "rename"),
]


def end_at(patch: pytest.MonkeyPatch, place: Any, name: str, *, call: int, after: bool) -> list[int]:
    """Let the process end at the n-th call of a step, before or after it; gives a list that holds the calls."""
    real = getattr(place, name)
    calls: list[int] = []

    def step(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == call and not after:
            raise Killed
        result = real(*arguments, **options)
        if len(calls) == call:
            raise Killed
        return result

    patch.setattr(place, name, step)
    return calls


def scenario(store: Store, stored: dict[str, int]) -> None:
    """Seal two signals and two hours, twice, then merge; `stored` holds what was acknowledged."""
    for i in range(2):
        for name, start_ns in (("n", NOON_NS), ("o", NOON_NS + HOUR_NS)):
            put(store, f"{name}{i}", rows=6, start_ns=start_ns)
            stored[f"{name}{i}"] = 6
        send(store, payload(f"s{i}", rows=6), signal=Signal.SPANS).result(10)
        stored[f"s{i}"] = 6
        store.seal_now()
    store.compact_now()


def everything(store: Store) -> dict[str, int]:
    return {**counts(store), **counts(store, "spans")}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", [1, 2, 4, 7])
@pytest.mark.parametrize(("place", "name"), STEPS, ids=[f"{p.__name__.split('.')[-1]}.{n}" for p, n in STEPS])
def test_an_end_at_any_step(
    opened: Opened, home: Path, monkeypatch: pytest.MonkeyPatch, place: Any, name: str, call: int, after: bool
) -> None:
    store = opened(segment_age_s=1000)
    stored: dict[str, int] = {}
    with monkeypatch.context() as patch, contextlib.suppress(Killed):
        end_at(patch, place, name, call=call, after=after)
        scenario(store, stored)
    store.close()
    store = opened(segment_age_s=1000)
    assert everything(store) == stored
    assert store.stats().quarantined == ()
    store.seal_now()
    store.compact_now()
    assert everything(store) == stored
    assert wal_files(home) == []
    files = {str(file.relative_to(home / "telemetry")) for file in segment_files(home)}
    assert files == {segment.path for segment in store._view.segments()}
    assert not list(home.rglob("*.tmp"))


def test_the_steps_are_really_taken(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened(segment_age_s=1000)
    with monkeypatch.context() as patch:
        calls = {f"{p.__name__}.{n}": end_at(patch, p, n, call=-1, after=False) for p, n in STEPS}
        scenario(store, {})
    assert {name for name, seen in calls.items() if not seen} == set()
