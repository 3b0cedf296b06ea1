"""The log of feedback in SQLite: append-only; what is in force follows from it.

Enters: verdicts with who, when and why, and what was judged as it was then. Leaves: entries, those in force, and the
votes on each subject. An undo is an entry too; nothing is changed or deleted. Weighs nothing, applies nothing.

Whose word counts: the latest of each person on a subject; among people, the majority of right against wrong, and where
they are as many the subject is disputed and changes nothing. A verdict on a finding goes before one on its incident.
"""

from __future__ import annotations

import builtins
import json
import secrets
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from watchkeeper.errors import Conflict, NotFound, QueryError
from watchkeeper.feedback.entries import Described, Entry, Verdict, checked_verdict, described, entry_from_dict
from watchkeeper.signals.finding import Finding
from watchkeeper.store.metadata import Metadata

WHY_CHARACTERS_MAX = 4_000
MEMBERS_MAX = 1_000
TITLE_CHARACTERS_MAX = 500
_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS feedback_entries (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, subject TEXT NOT NULL,
        by TEXT NOT NULL, time_unix_ns INTEGER NOT NULL, undoes TEXT NOT NULL, document TEXT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS feedback_by_subject ON feedback_entries (subject, sequence)",
)


class About(NamedTuple):
    """What a verdict is about: kind (`finding`, `incident`), id, title, and the findings that it stands for."""

    kind: str
    id: str
    title: str
    findings: tuple[Finding, ...]


class Given(NamedTuple):
    """An entry, and whether it was added now: the same said again by the same person is kept once."""

    entry: Entry
    is_new: bool


class Judged(NamedTuple):
    """What people together say of one subject: right, wrong, `disputed` or "" for nothing; cause and category or ""."""

    truth: str
    true_cause: str
    true_category: str
    entries: tuple[Entry, ...]


class Feedback:
    """All entries; safe to use from any thread. find: gives what an id is about, None where there is nothing.

    Cost: one transaction a verdict; `in_force` reads all entries, once after each change.
    """

    def __init__(
        self,
        metadata: Metadata,
        find: Callable[[str], About | None],
        *,
        now_unix_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._metadata, self._find, self._now_unix_ns = metadata, find, now_unix_ns
        self._lock = threading.RLock()
        self._callbacks: builtins.list[Callable[[], None]] = []
        metadata.ensure("feedback", 1, _SCHEMA)
        self._all = [_entry(row) for row in metadata.read("SELECT * FROM feedback_entries ORDER BY sequence")]

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call this after each entry, in the thread that gave it; it must not block."""
        self._callbacks.append(callback)

    def give(
        self, subject: str, verdict: str, *, true_cause: str = "", true_category: str = "", who: str, why: str = ""
    ) -> Given:
        """Say of a finding or an incident that it is right, wrong, or what its true cause or category is.

        Raises NotFound for an unknown id, QueryError for a verdict that cannot be, and Conflict when the same person
        says that there was no fault and what its cause was.
        """
        said, cause, category = checked_verdict(verdict, true_cause, true_category)
        who, why = " ".join(who.split()), why.strip()
        if not who:
            raise QueryError("feedback is somebody's; tell who gives it with `by`")
        if len(why) > WHY_CHARACTERS_MAX:
            raise QueryError(f"a reason is at most {WHY_CHARACTERS_MAX} characters long, not {len(why)}")
        about = self._find(subject)
        if about is None:
            raise NotFound(f"there is no finding or incident {subject[:100]!r}; `watchkeeper findings` lists them")
        with self._lock:
            own = [each for each in self.in_force() if each.subject == about.id and each.by == who]
            entry = self._made(about, said, cause, category, who, why)
            same = next((each for each in own if _says(each) == _says(entry)), None)
            if same is not None:
                return Given(same, is_new=False)
            _hold_together(entry, own)
            return Given(self._append(entry), is_new=True)

    def undo(self, entry_id: str, *, who: str, why: str = "") -> Given:
        """Take an entry back by an entry of its own; again, it gives the one that did. Raises NotFound, QueryError."""
        by = " ".join(who.split())
        if not by:
            raise QueryError("an undo is somebody's; tell who takes it back with `by`")
        with self._lock:
            entry = self.get(entry_id)
            if entry.verdict is Verdict.UNDO:
                raise QueryError(f"entry {entry_id} is itself an undo; give the verdict anew")
            before = next((each for each in self._all if each.undoes == entry.id), None)
            if before is not None:
                return Given(before, is_new=False)
            blank = replace(entry, id=secrets.token_hex(8), describes=(), true_cause="", true_category="")
            undone = replace(
                blank,
                verdict=Verdict.UNDO,
                undoes=entry.id,
                by=by,
                why=why.strip()[:WHY_CHARACTERS_MAX],
                time_unix_ns=self._now_unix_ns(),
            )
            return Given(self._append(undone), is_new=True)

    def get(self, entry_id: str) -> Entry:
        """Give one entry; raises NotFound."""
        found = next((each for each in self._all if each.id == entry_id), None)
        if found is None:
            raise NotFound(f"there is no feedback {entry_id[:100]!r}; `watchkeeper feedback list` shows what there is")
        return found

    def list(
        self, *, subject: str = "", by: str = "", limit: int = 100, cursor: str = ""
    ) -> tuple[builtins.list[Entry], str | None]:
        """Give up to `limit` entries, the latest first, and the cursor of the next page; raises QueryError."""
        before = _read_cursor(cursor)
        found = [
            each
            for each in reversed(self._all)
            if (not subject or each.subject == subject)
            and (not by or each.by == by)
            and (before is None or each.sequence < before)
        ]
        return found[:limit], (str(found[limit - 1].sequence) if len(found) > limit else None)

    def entries(self) -> builtins.list[Entry]:
        """Give every entry, the first at the front: the audit log of what people said."""
        return builtins.list(self._all)

    def in_force(self) -> builtins.list[Entry]:
        """Give the entries that count: of each person and subject the latest word that was not taken back."""
        return in_force(self._all)

    def judged(self) -> dict[str, Judged]:
        """Give what people together say of each subject that somebody judged, by its id."""
        return judged(self.in_force())

    def _made(self, about: About, said: Verdict, cause: str, category: str, who: str, why: str) -> Entry:
        members = tuple(described(each) for each in about.findings[:MEMBERS_MAX])
        return Entry(
            secrets.token_hex(8),
            0,
            about.kind,
            about.id,
            said,
            who,
            why,
            self._now_unix_ns(),
            cause,
            category,
            title=about.title[:TITLE_CHARACTERS_MAX],
            describes=members,
        )

    def _append(self, entry: Entry) -> Entry:
        with self._metadata.transaction() as connection:
            document = json.dumps(entry.as_dict(), separators=(",", ":"))
            row = (entry.id, entry.subject, entry.by, entry.time_unix_ns, entry.undoes, document)
            sequence = connection.execute(
                """INSERT INTO feedback_entries (id, subject, by, time_unix_ns, undoes, document)
                   VALUES (?, ?, ?, ?, ?, ?)""",
                row,
            ).lastrowid
        kept = replace(entry, sequence=int(sequence or 0))
        self._all = [*self._all, kept]
        for callback in self._callbacks:
            callback()
        return kept


def in_force(entries: Iterable[Entry]) -> list[Entry]:
    """Give the entries that count, in their order: see Feedback.in_force."""
    entries = list(entries)
    undone = {each.undoes for each in entries if each.undoes}
    latest: dict[tuple[str, str, str], Entry] = {}
    for each in entries:
        if each.verdict is not Verdict.UNDO and each.id not in undone:
            latest[each.by, each.subject, each.slot] = each
    return sorted(latest.values(), key=lambda each: each.sequence)


def judged(entries: Sequence[Entry]) -> dict[str, Judged]:
    """Give what people together say of each subject; entries: those in force.

    Naming a cause or a category says that there was a fault, unless the same person said right or wrong.
    """
    by_subject: dict[str, list[Entry]] = {}
    for each in entries:
        by_subject.setdefault(each.subject, []).append(each)
    return {subject: _together(group) for subject, group in by_subject.items()}


def _together(group: Sequence[Entry]) -> Judged:
    votes: dict[str, str] = {}
    for each in group:
        plain = each.verdict in {Verdict.RIGHT, Verdict.WRONG}
        if plain or each.by not in votes:
            votes[each.by] = each.verdict.value if plain else Verdict.RIGHT.value
    count = Counter(votes.values())
    right, wrong = count[Verdict.RIGHT.value], count[Verdict.WRONG.value]
    truth = "disputed" if right == wrong else (Verdict.RIGHT.value if right > wrong else Verdict.WRONG.value)
    return Judged(
        truth,
        _most([each.true_cause for each in group if each.true_cause]),
        _most([each.true_category for each in group if each.true_category]),
        tuple(group),
    )


def _most(said: Sequence[str]) -> str:
    """Give what most say; of those said as often, what was said last."""
    count = Counter(said)
    return max(said, key=lambda one: (count[one], len(said) - said[::-1].index(one)), default="")


class Labelled(NamedTuple):
    """A finding as it was when it was judged, whether it was right, and the entries that say so.

    together: how many findings the verdict was on. An incident that was wrong was so in all its findings; of one that
    was right, at least one was.
    """

    described: Described
    is_right: bool
    entries: tuple[str, ...]
    together: int = 1


def labelled(entries: Sequence[Entry]) -> list[Labelled]:
    """Give each judged finding once, a verdict on it before one on its incident; what is disputed is left out.

    entries: those in force. In order of the first entry on each.
    """
    found: dict[str, Labelled | None] = {}
    told = judged(entries)
    for kind in ("finding", "incident"):
        own = {each.subject: told[each.subject] for each in entries if each.subject_kind == kind}
        level: dict[str, list[Labelled | None]] = {}
        for one in own.values():
            ids = tuple(each.id for each in one.entries)
            newest = {each.finding_id: each for entry in one.entries for each in entry.describes}
            for finding_id, each in newest.items():
                is_right = one.truth == Verdict.RIGHT.value
                label = None if one.truth == "disputed" else Labelled(each, is_right, ids, len(newest))
                level.setdefault(finding_id, []).append(label)
        for finding_id, labels in level.items():
            found.setdefault(finding_id, labels[0] if len({one and one.is_right for one in labels}) == 1 else None)
    return [each for each in found.values() if each is not None]


def _says(entry: Entry) -> tuple[str, str, str]:
    return (entry.verdict.value, entry.true_cause, entry.true_category)


def _hold_together(entry: Entry, own: Sequence[Entry]) -> None:
    """Raise Conflict when a person says that there was no fault, and what its cause or category was."""
    against = {
        Verdict.WRONG: (Verdict.CAUSE, Verdict.CATEGORY),
        Verdict.CAUSE: (Verdict.WRONG,),
        Verdict.CATEGORY: (Verdict.WRONG,),
    }.get(entry.verdict, ())
    other = next((each for each in own if each.verdict in against), None)
    if other is not None:
        raise Conflict(
            f"{entry.by} said {other.verdict.value!r} of {entry.subject} before (feedback {other.id}), which does not "
            f"go with {entry.verdict.value!r}; undo that first"
        )


def _entry(row: sqlite3.Row) -> Entry:
    return entry_from_dict({**json.loads(row["document"]), "sequence": int(row["sequence"])})


def _read_cursor(cursor: str) -> int | None:
    if not cursor:
        return None
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 18:
        raise QueryError(f"{cursor[:100]!r} is not a cursor; take `next_cursor` from the page before")
    return int(cursor)
