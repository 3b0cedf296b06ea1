"""A disk that is really full: refusals that clients retry, nothing half-written, and recovery without help."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.own_mounts import small_disk
from tests.store.telemetry import counts, open_store, payload, put, segment_files, send

from watchkeeper.errors import DiskNearlyFull, Refused, StoreError

SIZE_BYTES = 3 * 2**20


@pytest.fixture(name="small_disk")
def _small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with 3 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    with small_disk(place, SIZE_BYTES):
        yield place


def fill(place: Path) -> Path:
    """Take all room that is left."""
    ballast = place / "ballast"
    with ballast.open("ab", buffering=0) as stream:
        for block in (65_536, 4096, 512, 1):
            try:
                while True:
                    stream.write(bytes(block))
            except OSError:
                continue
    return ballast


def test_a_full_disk_refuses_and_recovers(small_disk: Path) -> None:
    home = small_disk / "home"
    store = open_store(home, segment_age_s=1000)
    try:
        put(store, "before")
        ballast = fill(small_disk)
        refused = 0
        for i in range(30):
            content = payload(f"n{i}", filler=3000)
            for _ in range(2):
                future = send(store, content)
                error = future.exception(10)
                refused += error is not None
                assert error is None or isinstance(error, DiskNearlyFull)
                assert error is None or error.retry_after_s > 0
        assert refused >= 40
        kept = counts(store)
        assert kept["before"] == 3
        assert set(kept.values()) == {3}
        with pytest.raises(StoreError):
            store.seal_now()
        assert counts(store) == kept
        assert segment_files(home) == []

        ballast.unlink()
        for i in range(30):
            send(store, payload(f"n{i}", filler=3000)).result(10)
        assert counts(store) == {"before": 3, **{f"n{i}": 3 for i in range(30)}}
        store.seal_now()
        assert counts(store) == {"before": 3, **{f"n{i}": 3 for i in range(30)}}
        assert store.stats().quarantined == ()
    finally:
        store.close()
    store = open_store(home)
    try:
        assert counts(store) == {"before": 3, **{f"n{i}": 3 for i in range(30)}}
    finally:
        store.close()


def test_the_log_fills_the_disk_and_what_was_acknowledged_survives_reopening(small_disk: Path) -> None:
    home = small_disk / "home"
    store = open_store(home, segment_age_s=1000, wal_file_bytes_max=200_000)
    acknowledged = []
    try:
        for i in range(2000):
            try:
                send(store, payload(f"n{i}", rows=1, filler=20_000)).result(10)
            except Refused:
                break
            acknowledged.append(f"n{i}")
        else:
            pytest.fail("3 MiB never filled")
    finally:
        store.close()
    assert len(acknowledged) > 20
    store = open_store(home, segment_age_s=1000)
    try:
        assert counts(store) == dict.fromkeys(acknowledged, 1)
    finally:
        store.close()


def test_the_floor_of_free_space_is_kept_and_lifts_by_itself(small_disk: Path) -> None:
    store = open_store(small_disk / "home", disk_free_bytes_min=2**20, segment_age_s=1000)
    try:
        put(store, "a")
        ballast = fill(small_disk)
        store._disk._asked_s = float("-inf")
        with pytest.raises(DiskNearlyFull):
            put(store, "b")
        ballast.unlink()
        store._disk._asked_s = float("-inf")
        put(store, "b")
        assert counts(store) == {"a": 3, "b": 3}
    finally:
        store.close()
