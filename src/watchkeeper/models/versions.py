"""Versions of models: published whole or not at all, promoted, rolled back, each with who, when and why.

Enters: a function that writes a model into a folder, and one that loads it to see that it can be. Leaves: Version, the
active one of each name, the audit. Rows are in the metadata, files in `<home>/models/<name>/<number>`. Several
processes may publish; callbacks run in the process that makes a change, and in others when they `notice` it. Knows
nothing of what a model is.
"""

from __future__ import annotations

import builtins
import json
import logging
import secrets
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from watchkeeper.errors import Conflict, NotFound, QueryError, StoreError, WatchkeeperError
from watchkeeper.models import files
from watchkeeper.models.card import AuditEntry, Card, Version, checked_name
from watchkeeper.store.layout import sync_folder
from watchkeeper.store.metadata import Metadata

__all__ = ["AuditEntry", "Card", "ModelVersions", "Version"]

CARD_SCHEMA_VERSION = 1
VERSIONS_KEPT = 10
AUDIT_KEPT = 10_000
PROMOTIONS_KEPT = 100
WHO_MAX, WHY_MAX, TEXT_MAX = 200, 2_000, 1_000_000
ITSELF = "watchkeeper"

_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS model_versions (
        name TEXT NOT NULL, number INTEGER NOT NULL, created_unix_ns INTEGER NOT NULL, card TEXT NOT NULL,
        sha256 TEXT NOT NULL, parent INTEGER, damaged TEXT NOT NULL, was_active INTEGER NOT NULL,
        PRIMARY KEY (name, number)) STRICT""",
    "CREATE TABLE IF NOT EXISTS model_numbers (name TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT",
    """CREATE TABLE IF NOT EXISTS model_promotions (
        id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, number INTEGER NOT NULL) STRICT""",
    """CREATE TABLE IF NOT EXISTS model_audit (
        id INTEGER PRIMARY KEY AUTOINCREMENT, time_unix_ns INTEGER NOT NULL, name TEXT NOT NULL, number INTEGER,
        what TEXT NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL) STRICT""",
)
# The latest promotion of a name is its active version; those before it are where `rollback` goes.
_ACTIVE = "SELECT number FROM model_promotions WHERE name = ? ORDER BY id DESC LIMIT 1"
_FORGET = """DELETE FROM model_promotions WHERE name = ? AND id NOT IN (
    SELECT id FROM model_promotions WHERE name = ? ORDER BY id DESC LIMIT ?)"""

T = TypeVar("T")
log = logging.getLogger(__name__)


class ModelVersions:
    """All versions of all models; safe to use from any thread and from several processes at once.

    keep: versions of a name that stay; beyond it the oldest go, but never the active one or the one before it. A
    version whose files are damaged is told in `problems`, set aside, and the one that was active before it is used.
    """

    def __init__(
        self,
        metadata: Metadata,
        folder: Path,
        *,
        now_unix_ns: Callable[[], int] = time.time_ns,
        keep: int = VERSIONS_KEPT,
    ) -> None:
        self._metadata = metadata
        self._folder = folder.absolute()
        self._now_unix_ns = now_unix_ns
        self._keep = keep
        self._told: builtins.list[Callable[[str], None]] = []
        self._lock = threading.RLock()
        self._sound: dict[Path, files.Signature] = {}
        self.problems: builtins.list[str] = []
        metadata.ensure("models", 1, _SCHEMA)
        self._seen = self._active_numbers()

    def publish(
        self, name: str, write: Callable[[Path], None], card: Card, *, verify: Callable[[Path], None]
    ) -> Version:
        """Let `write` fill a new folder and `verify` load it, then make it a version, as a candidate.

        What these two raise is passed on (an OSError as StoreError) and nothing stays; a kill at any point leaves the
        whole version or nothing. Raises QueryError for a name that cannot be.
        """
        checked_name(name)
        partial = self._folder / f"{files.PARTIAL}{secrets.token_hex(8)}"
        try:
            partial.mkdir(parents=True, mode=0o700)
            with files.held(partial):
                write(partial)
                sha256 = files.seal(partial)
                verify(partial)
                version, gone = self._enter(name, partial, sha256, card)
        except OSError as error:
            raise StoreError(f"the model {name} cannot be written to {self._folder}: {error}") from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        self._remove(gone)
        return version

    def _enter(self, name: str, partial: Path, sha256: str, card: Card) -> tuple[Version, builtins.list[Path]]:
        """Give the folder its number and its row; gives the folders of versions that are over the limit too."""
        now = self._now_unix_ns()
        document = json.dumps({"schema_version": CARD_SCHEMA_VERSION, **card.as_dict()}, allow_nan=False)
        if len(document) > TEXT_MAX:
            raise QueryError(f"the card of {name} has {len(document)} characters; {TEXT_MAX} is the most")
        with self._metadata.transaction() as connection:
            row = connection.execute("SELECT last FROM model_numbers WHERE name = ?", [name]).fetchone()
            number = row["last"] + 1 if row else 1
            place = files.place_of(self._folder, name, number)
            if place.exists():  # a process was killed between the rename and the row
                shutil.rmtree(place)
            place.parent.mkdir(exist_ok=True, mode=0o700)
            partial.rename(place)
            sync_folder(place.parent)
            sync_folder(self._folder)
            parent = _active_number(connection, name)
            connection.execute("INSERT OR REPLACE INTO model_numbers VALUES (?, ?)", [name, number])
            connection.execute(
                "INSERT INTO model_versions VALUES (?, ?, ?, ?, ?, ?, '', 0)",
                [name, number, now, document, sha256, parent],
            )
            self._write_down(connection, AuditEntry(now, name, number, "publish", card.job_id or ITSELF, card.notes))
            gone = self._over_the_limit(connection, name)
        return Version(name, number, "candidate", now, card, place, sha256, parent), gone

    def list(self, name: str = "") -> builtins.list[Version]:
        """Give the versions of a name, or of all, by name and the newest first."""
        active = self._active_numbers()
        rows = self._metadata.read(
            "SELECT * FROM model_versions WHERE ? IN ('', name) ORDER BY name, number DESC", [name]
        )
        return [self._version(row, active.get(row["name"])) for row in rows]

    def get(self, name: str, number: int) -> Version:
        """Give one version; raises NotFound."""
        rows = self._metadata.read("SELECT * FROM model_versions WHERE name = ? AND number = ?", [name, number])
        if not rows:
            raise NotFound(f"there is no version {number} of {name[:100]!r}; `watchkeeper models list` tells which are")
        return self._version(rows[0], self._active_numbers().get(name))

    def active(self, name: str) -> Version | None:
        """Give the active version, its files seen to be what was published; None when there is none.

        Where they are not, it is set aside and the one before it is active from now on. Cost: a look at the files'
        sizes and times; their bytes are read when these are new.
        """
        while (number := self._active_numbers().get(name)) is not None:
            version = self.get(name, number)
            why = self._fault(version)
            if not why:
                return version
            self.set_aside(version, why)
        return None

    def load(self, name: str, read: Callable[[Path], T]) -> tuple[Version, T] | None:
        """Let `read` load the active version; where that fails, it is set aside and the one before it is taken."""
        while (version := self.active(name)) is not None:
            try:
                return version, read(version.folder)
            except (OSError, ValueError, KeyError, WatchkeeperError) as error:
                self.set_aside(version, f"it cannot be loaded: {error}")
        return None

    def promote(self, name: str, number: int, *, who: str, why: str) -> Version:
        """Make a version the active one; raises NotFound, or Conflict when it is damaged. Once more changes nothing."""
        version = self.get(name, number)
        damage = version.damaged or self._fault(version)
        if damage:
            raise Conflict(f"version {number} of {name} is damaged and cannot be used: {damage}")
        with self._metadata.transaction() as connection:
            if _active_number(connection, name) == number:
                return self.get(name, number)
            changed = connection.execute(
                "UPDATE model_versions SET was_active = 1 WHERE name = ? AND number = ?", [name, number]
            ).rowcount
            if not changed:
                raise NotFound(f"version {number} of {name} has just been deleted")
            connection.execute("INSERT INTO model_promotions (name, number) VALUES (?, ?)", [name, number])
            connection.execute(_FORGET, [name, name, PROMOTIONS_KEPT])
            self._write_down(connection, AuditEntry(self._now_unix_ns(), name, number, "promote", who, why))
        self._tell(name)
        return self.get(name, number)

    def rollback(self, name: str, *, who: str, why: str) -> Version:
        """Make the version active that was so before the present one; again goes one step further back.

        Raises Conflict when there was none, or only damaged ones.
        """
        with self._metadata.transaction() as connection:
            number = _active_number(connection, name)
            before = self._before(connection, name, number)
            if number is None or before is None:
                raise Conflict(f"there is no earlier version of {name[:100]!r} to go back to")
            connection.execute("DELETE FROM model_promotions WHERE name = ? AND id > ?", [name, before["id"]])
            entry = AuditEntry(self._now_unix_ns(), name, before["number"], "rollback", who, f"from {number}: {why}")
            self._write_down(connection, entry)
        self._tell(name)
        return self.get(name, before["number"])

    def delete(self, name: str, *, who: str, why: str) -> int:
        """Delete every version of a name and give how many; the numbers of later ones go on."""
        with self._metadata.transaction() as connection:
            rows = connection.execute("SELECT number FROM model_versions WHERE name = ?", [name]).fetchall()
            if not rows:
                return 0
            connection.execute("DELETE FROM model_promotions WHERE name = ?", [name])
            connection.execute("DELETE FROM model_versions WHERE name = ?", [name])
            self._write_down(connection, AuditEntry(self._now_unix_ns(), name, None, "delete", who, why))
        self._remove([files.place_of(self._folder, name, row["number"]) for row in rows])
        self._tell(name)
        return len(rows)

    def set_aside(self, version: Version, why: str) -> None:
        """Mark a version as damaged, so that nobody loads it again; where it was active, the one before it is."""
        told = f"version {version.number} of the model {version.name} is damaged and not used: {why}"
        with self._metadata.transaction() as connection:
            known = connection.execute(
                "UPDATE model_versions SET damaged = ? WHERE name = ? AND number = ? AND damaged = ''",
                [why[:WHY_MAX], version.name, version.number],
            ).rowcount
            connection.execute(
                "DELETE FROM model_promotions WHERE name = ? AND number = ?", [version.name, version.number]
            )
            if known:
                entry = AuditEntry(self._now_unix_ns(), version.name, version.number, "set aside", ITSELF, why)
                self._write_down(connection, entry)
        if known:
            self.problems.append(told)
            log.warning(told)
            self._tell(version.name)

    def on_change(self, callback: Callable[[str], None]) -> None:
        """Have a function called with the name of a model whose active version is another, or gone."""
        self._told.append(callback)

    def notice(self) -> None:
        """Call back for what another process has changed since. Cost: one small query; call it every second or so."""
        with self._lock:
            before, now = dict(self._seen), self._active_numbers()
        for name in sorted(before.keys() | now.keys()):
            if before.get(name) != now.get(name):
                self._tell(name)

    def audit(self, name: str = "", limit: int = 100) -> builtins.list[AuditEntry]:
        """Give the latest entries of a name, or of all, the newest first."""
        rows = self._metadata.read(
            "SELECT * FROM model_audit WHERE ? IN ('', name) ORDER BY id DESC LIMIT ?", [name, limit]
        )
        return [AuditEntry(*(row[each] for each in AuditEntry._fields)) for row in rows]

    def sweep(self) -> int:
        """Remove what killed processes left behind, and give how many folders; the server calls it as it starts."""
        with self._metadata.transaction():  # so that nobody is between the rename and the row
            return files.remove_left_over(self._folder, [version.folder for version in self.list()])

    def _active_numbers(self) -> dict[str, int]:
        rows = self._metadata.read("SELECT name, number FROM model_promotions ORDER BY id")
        return {row["name"]: row["number"] for row in rows}

    def _version(self, row: sqlite3.Row, active: int | None) -> Version:
        document = json.loads(row["card"])
        version = Version(
            row["name"],
            row["number"],
            "retired" if row["was_active"] else "candidate",
            row["created_unix_ns"],
            Card(**{name: document[name] for name in Card.__dataclass_fields__ if name in document}),
            files.place_of(self._folder, row["name"], row["number"]),
            row["sha256"],
            row["parent"],
            row["damaged"],
        )
        return replace(version, state="active") if version.number == active else version

    def _fault(self, version: Version) -> str:
        """Give "" when the files are what was published, else what is wrong with them."""
        try:
            now = files.signature(version.folder)
            if now and self._sound.get(version.folder) == now:
                return ""
            if not version.folder.is_dir():
                return f"{version.folder} is gone"
            if files.checksum(version.folder) != version.sha256:
                return f"the files in {version.folder} are not what was published"
        except OSError as error:
            return f"{version.folder} cannot be read: {error}"
        self._sound[version.folder] = now
        return ""

    def _before(self, connection: sqlite3.Connection, name: str, number: int | None) -> sqlite3.Row | None:
        """Give the latest promotion of another version that is there and sound."""
        rows = connection.execute(
            """SELECT p.id, p.number FROM model_promotions p JOIN model_versions v USING (name, number)
            WHERE p.name = ? AND p.number <> ? AND v.damaged = '' ORDER BY p.id DESC""",
            [name, -1 if number is None else number],
        )
        found: sqlite3.Row | None = next((row for row in rows if not self._fault(self.get(name, row["number"]))), None)
        return found

    def _over_the_limit(self, connection: sqlite3.Connection, name: str) -> builtins.list[Path]:
        """Delete the rows of the oldest versions and give their folders."""
        rows = connection.execute(
            "SELECT number FROM model_versions WHERE name = ? ORDER BY number DESC", [name]
        ).fetchall()
        active = _active_number(connection, name)
        before = connection.execute(
            "SELECT number FROM model_promotions WHERE name = ? AND number <> ? ORDER BY id DESC LIMIT 1",
            [name, -1 if active is None else active],
        ).fetchone()
        needed = {active, before["number"] if before else None}
        gone = [row["number"] for row in rows[self._keep :] if row["number"] not in needed]
        for number in gone:
            connection.execute("DELETE FROM model_versions WHERE name = ? AND number = ?", [name, number])
            connection.execute("DELETE FROM model_promotions WHERE name = ? AND number = ?", [name, number])
        return [files.place_of(self._folder, name, number) for number in gone]

    def _write_down(self, connection: sqlite3.Connection, entry: AuditEntry) -> None:
        connection.execute(
            "INSERT INTO model_audit (time_unix_ns, name, number, what, who, why) VALUES (?, ?, ?, ?, ?, ?)",
            entry._replace(who=entry.who[:WHO_MAX], why=entry.why[:WHY_MAX]),
        )
        connection.execute("DELETE FROM model_audit WHERE id <= (SELECT max(id) FROM model_audit) - ?", [AUDIT_KEPT])

    def _remove(self, folders: builtins.list[Path]) -> None:
        for folder in folders:
            self._sound.pop(folder, None)
            shutil.rmtree(folder, ignore_errors=True)

    def _tell(self, name: str) -> None:
        number = self._active_numbers().get(name)
        with self._lock:
            self._seen.pop(name, None)
            if number is not None:
                self._seen[name] = number
        for callback in self._told:
            callback(name)


def _active_number(connection: sqlite3.Connection, name: str) -> int | None:
    row = connection.execute(_ACTIVE, [name]).fetchone()
    return int(row["number"]) if row else None
