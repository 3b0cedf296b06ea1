"""What an agent keeps on disk: the spool knows what it has stored, and dead letters are bounded."""

from __future__ import annotations

import os
from pathlib import Path

from watchkeeper.edge.forwarder import trim
from watchkeeper.edge.spool import Spool
from watchkeeper.signals.signal import Signal

SECOND_NS = 10**9


def test_what_comes_again_after_a_long_absence_is_known(tmp_path: Path) -> None:
    now_unix_ns = [1_763_700_000 * SECOND_NS]

    def spool() -> Spool:
        made = Spool(tmp_path, bytes_max=1 << 20, dedup_window_s=600, now_unix_ns=lambda: now_unix_ns[0])
        made.start()
        return made

    first = spool()
    assert first.append(Signal.LOGS, "files", b"a piece of a file", 1).result(10) is False
    first.stop()
    now_unix_ns[0] += 86_400 * SECOND_NS
    second = spool()
    assert second.append(Signal.LOGS, "files", b"a piece of a file", 1).result(10) is True
    now_unix_ns[0] += 601 * SECOND_NS
    assert second.append(Signal.LOGS, "files", b"a piece of a file", 1).result(10) is False, "the window is over"
    second.stop()


def test_dead_letters_are_bounded_by_number_and_by_size_and_the_oldest_go(tmp_path: Path) -> None:
    def letters() -> list[str]:
        kept = sorted(file.stem for file in tmp_path.glob("*.pb"))
        assert kept == sorted(file.stem for file in tmp_path.glob("*.json"))
        return kept

    # By their names the logs would go first, whatever their age.
    for age, name in enumerate(("metrics-1", "metrics-2", "logs-3", "logs-4")):
        for suffix in (".pb", ".json"):
            (tmp_path / f"{name}{suffix}").write_bytes(b"x" * 100)
            os.utime(tmp_path / f"{name}{suffix}", ns=(age, age))
    trim(tmp_path, letters_max=3, bytes_max=1000)
    assert letters() == ["logs-3", "logs-4", "metrics-2"]
    trim(tmp_path, letters_max=3, bytes_max=200)
    assert letters() == ["logs-3", "logs-4"]
    trim(tmp_path, letters_max=3, bytes_max=10)
    assert letters() == ["logs-4"]
