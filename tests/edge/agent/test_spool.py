"""The spool knows what it has stored, however long the agent was away."""

from __future__ import annotations

from pathlib import Path

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
