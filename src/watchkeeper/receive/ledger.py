"""The ingest ledger: what became of every record, by sender, signal and protocol, so that nothing is lost in silence.

Enters: one call a request, from any thread. Leaves: rows, totals and rates. The counts are kept in the metadata, where
`flush` writes them now and then, so a crash can lose the counts (never the telemetry) since the last.
The number of rows is bounded: senders past the bound are counted together as "other".
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from watchkeeper.signals.signal import Signal

if TYPE_CHECKING:
    from watchkeeper.store.metadata import Metadata

SENDERS_MAX = 256
ROWS_MAX = 8_192
"""Rows after which streams that senders tell of share one: their names are the senders' to choose."""
OTHER = "other"
RATE_WINDOW_S = 60
ERROR_CHARACTERS_MAX = 500

_COMPONENT = "ledger"
_VERSION = 2
_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS ledger (
        sender TEXT NOT NULL, signal TEXT NOT NULL, protocol TEXT NOT NULL,
        requests INTEGER NOT NULL, accepted INTEGER NOT NULL, rejected INTEGER NOT NULL, dropped INTEGER NOT NULL,
        deduplicated INTEGER NOT NULL, refused INTEGER NOT NULL, bytes INTEGER NOT NULL,
        first_unix_ns INTEGER NOT NULL, last_unix_ns INTEGER NOT NULL, last_error TEXT NOT NULL,
        PRIMARY KEY (sender, signal, protocol)
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS turned_away (
        peer TEXT NOT NULL, protocol TEXT NOT NULL, reason TEXT NOT NULL, times INTEGER NOT NULL,
        last_unix_ns INTEGER NOT NULL, PRIMARY KEY (peer, protocol, reason)
    ) WITHOUT ROWID""",
)
_PUT = "INSERT OR REPLACE INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class LedgerRow(NamedTuple):
    """What became of the records of one sender, signal and protocol.

    `sender` is who sent (the name of the token or certificate, else the IP address), not the service it speaks of.
    accepted: stored. rejected: told back as bad; a body that cannot be read counts as one. dropped: lost after they
    were acknowledged. deduplicated: of a batch that was stored before. refused: told to come again; a body that was not
    read counts as one. `bytes` are of decompressed bodies. `last_error` is "" or the last reason of any of these.
    """

    sender: str
    signal: Signal
    protocol: str
    requests: int = 0
    accepted: int = 0
    rejected: int = 0
    dropped: int = 0
    deduplicated: int = 0
    refused: int = 0
    bytes: int = 0
    first_unix_ns: int = 0
    last_unix_ns: int = 0
    last_error: str = ""


class TurnedAwayRow(NamedTuple):
    """How often a peer was turned away at the door of a port (its TLS handshake), and why; `peer` is an IP address."""

    peer: str
    protocol: str
    reason: str
    times: int
    last_unix_ns: int


class Count(NamedTuple):
    """What one request adds to a row; names as in LedgerRow."""

    accepted: int = 0
    rejected: int = 0
    dropped: int = 0
    deduplicated: int = 0
    refused: int = 0
    bytes: int = 0
    error: str = ""


class _Rate:
    """Counts of the last RATE_WINDOW_S whole seconds, in a ring of one slot a second."""

    def __init__(self) -> None:
        self._slots = [0] * RATE_WINDOW_S
        self._second = 0

    def add(self, second: int, count: int) -> None:
        self._move(second)
        self._slots[second % RATE_WINDOW_S] += count

    def total(self, second: int) -> int:
        self._move(second)
        return sum(self._slots)

    def _move(self, second: int) -> None:
        for passed in range(self._second + 1, min(second, self._second + RATE_WINDOW_S) + 1):
            self._slots[passed % RATE_WINDOW_S] = 0
        self._second = max(self._second, second)


_Key = tuple[str, Signal, str]


class Ledger:
    """Counts by sender, signal and protocol; thread-safe, one short lock a request."""

    def __init__(
        self,
        metadata: Metadata,
        *,
        now_unix_ns: Callable[[], int] = time.time_ns,
        clock: Callable[[], float] = time.monotonic,
        senders_max: int = SENDERS_MAX,
    ) -> None:
        self._metadata = metadata
        self._now_unix_ns = now_unix_ns
        self._clock = clock
        self._started_s = clock()
        self._senders_max = senders_max
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._rates = {signal: _Rate() for signal in Signal}
        self._changed: set[_Key] = set()
        metadata.ensure(_COMPONENT, _VERSION, _SCHEMA)
        self._rows = self._load()
        self._senders = {row.sender for row in self._rows.values()}
        found = [TurnedAwayRow(*row) for row in metadata.read("SELECT * FROM turned_away")]
        self._turned_away = {(row.peer, row.protocol, row.reason): row for row in found}
        self._turned_away_changed = False

    def _load(self) -> dict[_Key, LedgerRow]:
        rows = {}
        for found in self._metadata.read(f"SELECT {', '.join(LedgerRow._fields)} FROM ledger"):
            sender, signal, protocol, *rest = found
            row = LedgerRow(sender, Signal(signal), protocol, *rest)
            rows[row.sender, row.signal, row.protocol] = row
        return rows

    def count(self, sender: str, signal: Signal, protocol: str, count: Count) -> None:
        """Add one request to its row; cost: a microsecond or two."""
        now = self._now_unix_ns()
        with self._lock:
            if sender not in self._senders:
                if len(self._senders) >= self._senders_max:
                    sender = OTHER
                self._senders.add(sender)
            key = (sender, signal, protocol)
            row = self._rows.get(key) or LedgerRow(sender, signal, protocol, first_unix_ns=now)
            self._rows[key] = LedgerRow(
                sender,
                signal,
                protocol,
                row.requests + 1,
                row.accepted + count.accepted,
                row.rejected + count.rejected,
                row.dropped + count.dropped,
                row.deduplicated + count.deduplicated,
                row.refused + count.refused,
                row.bytes + count.bytes,
                row.first_unix_ns,
                max(row.last_unix_ns, now),
                count.error[:ERROR_CHARACTERS_MAX] or row.last_error,
            )
            self._changed.add(key)
            if count.accepted:
                self._rates[signal].add(int(self._clock()), count.accepted)

    def told(self, sender: str, signal: Signal, protocol: str, *, dropped: int, refused: int) -> None:
        """Book what a sender says it had to leave out, as totals: a row's counts rise to them and never fall."""
        now = self._now_unix_ns()
        with self._lock:
            if sender not in self._senders:
                if len(self._senders) >= self._senders_max:
                    return
                self._senders.add(sender)
            if (sender, signal, protocol) not in self._rows and len(self._rows) >= ROWS_MAX:
                protocol = OTHER
            key = (sender, signal, protocol)
            row = self._rows.get(key) or LedgerRow(sender, signal, protocol, first_unix_ns=now)
            told = row._replace(dropped=max(row.dropped, dropped), refused=max(row.refused, refused))
            if told != row:
                self._rows[key] = told._replace(last_unix_ns=now)
                self._changed.add(key)

    def turned_away(self, peer: str, protocol: str, reason: str) -> None:
        """Count a peer that was turned away before it sent anything, by its address and the reason."""
        with self._lock:
            key = (peer, protocol, reason[:ERROR_CHARACTERS_MAX])
            if key not in self._turned_away and len(self._turned_away) >= self._senders_max:
                key = (OTHER, protocol, "several")
            row = self._turned_away.get(key) or TurnedAwayRow(*key, 0, 0)
            self._turned_away[key] = row._replace(times=row.times + 1, last_unix_ns=self._now_unix_ns())
            self._turned_away_changed = True

    def turned_away_rows(self) -> list[TurnedAwayRow]:
        """Give who was turned away, by peer, protocol and reason."""
        with self._lock:
            return sorted(self._turned_away.values())

    def rows(self) -> list[LedgerRow]:
        """Give every row, by sender, signal and protocol."""
        with self._lock:
            return sorted(self._rows.values())

    def totals(self) -> dict[Signal, dict[str, int]]:
        """Give, for each signal, the sums of accepted, rejected, dropped and deduplicated over all senders."""
        names = ("accepted", "rejected", "dropped", "deduplicated")
        rows = self.rows()
        return {
            signal: {name: sum(getattr(row, name) for row in rows if row.signal is signal) for name in names}
            for signal in Signal
        }

    def rates(self) -> dict[Signal, float]:
        """Give, for each signal, the records accepted a second, over the last minute or since the start."""
        with self._lock:
            now = self._clock()
            seconds = min(max(now - self._started_s, 1.0), float(RATE_WINDOW_S))
            return {signal: rate.total(int(now)) / seconds for signal, rate in self._rates.items()}

    def flush(self) -> None:
        """Write the rows that changed to the metadata; what cannot be written now stays for the next time."""
        with self._flushing:
            with self._lock:
                changed, self._changed = self._changed, set()
                rows = [self._rows[key] for key in changed]
                away = list(self._turned_away.values()) if self._turned_away_changed else []
                self._turned_away_changed = False
            if not rows and not away:
                return
            try:
                with self._metadata.transaction() as connection:
                    connection.executemany(_PUT, [(row[0], row[1].value, *row[2:]) for row in rows])
                    connection.executemany("INSERT OR REPLACE INTO turned_away VALUES (?, ?, ?, ?, ?)", away)
            except BaseException:
                with self._lock:
                    self._turned_away_changed |= bool(away)
                    self._changed |= changed
                raise
