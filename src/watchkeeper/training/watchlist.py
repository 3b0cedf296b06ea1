"""Watchlists: which workloads are chosen, which were last submitted, which were last trained, and what follows from it.

Enters: sets of workloads. Leaves: a Decision. It is made against the set that was last *trained*, never against the one
that was last submitted, so a training that failed or was cancelled is decided again. Kept in SQLite; starts no training
and deletes no model: training/gateway.py acts on decisions.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from sqlite3 import Connection, Row
from typing import Literal, NamedTuple

from watchkeeper.errors import NotFound, QueryError
from watchkeeper.store.metadata import Metadata
from watchkeeper.training.workloads import Workload

DEFAULT = "default"
WATCHLISTS_MAX = 100
WORKLOADS_MAX = 10_000

DecisionKind = Literal["trained", "updated", "reset"]

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS watchlists (
        name TEXT PRIMARY KEY, chosen TEXT NOT NULL, submitted TEXT NOT NULL, trained TEXT NOT NULL,
        submitted_unix_ns INTEGER NOT NULL, trained_unix_ns INTEGER NOT NULL, decision TEXT NOT NULL,
        job_id TEXT NOT NULL, fault TEXT NOT NULL) STRICT""",
)


class Decision(NamedTuple):
    """What a submitted list asks for, beside the list that was last trained."""

    decision: DecisionKind
    added: tuple[Workload, ...]
    removed: tuple[Workload, ...]


@dataclass(frozen=True)
class Watchlist:
    """One list; workloads in order, each once. Times are 0 for never, `decision` and `job_id` "" before the first.

    chosen: ticked or added, perhaps not submitted yet. submitted: what was last decided on. trained: what the last
    training that was completed knew. fault: why the training that was decided on could not be started, "" if it was.
    """

    name: str
    chosen: tuple[Workload, ...] = ()
    submitted: tuple[Workload, ...] = ()
    trained: tuple[Workload, ...] = ()
    submitted_unix_ns: int = 0
    trained_unix_ns: int = 0
    decision: str = ""
    job_id: str = ""
    fault: str = ""

    @property
    def watched(self) -> tuple[Workload, ...]:
        """Give the workloads whose lines a model is to score: submitted, and known to the training."""
        return tuple(sorted({*self.submitted} & {*self.trained}))

    @property
    def is_settled(self) -> bool:
        """Tell whether what was submitted is what was trained."""
        return self.submitted == self.trained


def decide(submitted: Iterable[Workload], trained: Iterable[Workload]) -> Decision:
    """Decide: an empty list resets, any workload that was not trained trains, all else only updates the parameters.

    >>> a, b = Workload("c", "n", "a"), Workload("c", "n", "b")
    >>> decide([a, b], [a]).decision, decide([a], [a, b]).decision, decide([], [a]).decision
    ('trained', 'updated', 'reset')
    """
    wanted, known = {*submitted}, {*trained}
    added, removed = tuple(sorted(wanted - known)), tuple(sorted(known - wanted))
    if not wanted:
        return Decision("reset", added, removed)
    return Decision("trained" if added else "updated", added, removed)


class Watchlists:
    """All lists; safe to use from any thread. "default" is the gateway's own and always there."""

    def __init__(self, metadata: Metadata, *, now_unix_ns: Callable[[], int] = time.time_ns) -> None:
        self._metadata = metadata
        self._now_unix_ns = now_unix_ns
        metadata.ensure("watchlists", 1, _SCHEMA)

    def get(self, name: str = DEFAULT) -> Watchlist:
        """Give one list; the default one is empty until something is chosen. Raises NotFound, QueryError."""
        rows = self._metadata.read("SELECT * FROM watchlists WHERE name = ?", [check_name(name)])
        if not rows and name != DEFAULT:
            raise NotFound(f"there is no watchlist {name!r}; `watchkeeper watch list` lists them")
        return _watchlist(rows[0]) if rows else Watchlist(name)

    def list(self) -> Sequence[Watchlist]:
        """Give all lists, the default one first, then by name."""
        found = [_watchlist(row) for row in self._metadata.read("SELECT * FROM watchlists ORDER BY name")]
        others = [each for each in found if each.name != DEFAULT]
        return [self.get(), *others]

    def names(self) -> tuple[str, ...]:
        """Give the names of all lists, the default one first."""
        return tuple(each.name for each in self.list())

    def choose(self, name: str, workloads: Iterable[Workload]) -> Watchlist:
        """Set what is chosen, without deciding on it; makes the list where it is missing. Raises QueryError."""
        chosen = checked(workloads)
        with self._metadata.transaction() as connection:
            self._make(connection, name)
            connection.execute("UPDATE watchlists SET chosen = ? WHERE name = ?", [_text(chosen), name])
        return self.get(name)

    def submit(self, name: str, workloads: Iterable[Workload]) -> Decision:
        """Submit a list and decide on it, in one write; it is what is chosen, too. Raises QueryError.

        What was trained stays as it is until `trained` tells otherwise, so a decision that was not acted on, for the
        process ended, is made again at the next start.
        """
        submitted = checked(workloads)
        with self._metadata.transaction() as connection:
            known = self._make(connection, name)
            decision = decide(submitted, known.trained)
            connection.execute(
                "UPDATE watchlists SET chosen = ?1, submitted = ?1, submitted_unix_ns = ?2, decision = ?3, fault = ''"
                " WHERE name = ?4",
                [_text(submitted), self._now_unix_ns(), decision.decision, name],
            )
        return decision

    def started(self, name: str, job_id: str, *, fault: str = "") -> None:
        """Note the job that a decision led to, "" for none, and why none could be started."""
        with self._metadata.transaction() as connection:
            self._make(connection, name)
            connection.execute("UPDATE watchlists SET job_id = ?, fault = ? WHERE name = ?", [job_id, fault, name])

    def trained(self, name: str, workloads: Iterable[Workload]) -> None:
        """Note what a completed training knew; none after a reset. A list that is not there any more stays so."""
        self._metadata.write(
            "UPDATE watchlists SET trained = ?, trained_unix_ns = ? WHERE name = ?",
            [_text(checked(workloads)), self._now_unix_ns(), check_name(name)],
        )

    def remove(self, name: str) -> None:
        """Forget a list altogether; its models and jobs are the caller's to delete before. Raises QueryError."""
        self._metadata.write("DELETE FROM watchlists WHERE name = ?", [check_name(name)])

    def _make(self, connection: Connection, name: str) -> Watchlist:
        """Give the list, made if it is missing."""
        rows = connection.execute("SELECT * FROM watchlists WHERE name = ?", [check_name(name)]).fetchall()
        if rows:
            return _watchlist(rows[0])
        if connection.execute("SELECT count(*) FROM watchlists").fetchone()[0] >= WATCHLISTS_MAX:
            raise QueryError(f"there are {WATCHLISTS_MAX} watchlists already; remove some of them")
        connection.execute("INSERT INTO watchlists VALUES (?, '[]', '[]', '[]', 0, 0, '', '', '')", [name])
        return Watchlist(name)


def check_name(name: str) -> str:
    """Give the name of a watchlist; raises QueryError for one that cannot be."""
    if not _NAME.fullmatch(name):
        raise QueryError(
            f"{name[:100]!r} is no name of a watchlist: up to 63 of a-z, 0-9, - and _, the first a letter or digit"
        )
    return name


def checked(workloads: Iterable[Workload]) -> tuple[Workload, ...]:
    """Give workloads in order, each once; raises QueryError for too many."""
    found = tuple(sorted({*workloads}))
    if len(found) > WORKLOADS_MAX:
        raise QueryError(f"a watchlist takes {WORKLOADS_MAX:,} workloads, not {len(found):,}; use several lists")
    return found


def _watchlist(row: Row) -> Watchlist:
    return Watchlist(
        name=row["name"],
        chosen=_workloads(row["chosen"]),
        submitted=_workloads(row["submitted"]),
        trained=_workloads(row["trained"]),
        submitted_unix_ns=row["submitted_unix_ns"],
        trained_unix_ns=row["trained_unix_ns"],
        decision=row["decision"],
        job_id=row["job_id"],
        fault=row["fault"],
    )


def _text(workloads: Sequence[Workload]) -> str:
    return json.dumps(workloads)


def _workloads(text: str) -> tuple[Workload, ...]:
    return tuple(Workload(*each) for each in json.loads(text))
