"""What senders told of metrics and targets in other requests: type, unit and help of a family; a target's target_info.

Remote write 1.0 sends both apart from the samples, now and then. What is known is kept in the metadata before a
request that told it is acknowledged, so that a retry after a crash is read like the first attempt and known as one.
Bounded: beyond FAMILIES_MAX and TARGETS_MAX the oldest go. Thread-safe. Reads no requests.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from watchkeeper.receive.remote_write.series import Target

if TYPE_CHECKING:
    from watchkeeper.store.metadata import Metadata

FAMILIES_MAX = 20_000
TARGETS_MAX = 10_000
TEXT_CHARACTERS_MAX = 1_000
LABELS_MAX = 128

_COMPONENT = "remote_write"
_VERSION = 1
_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS remote_write_families (
        sender TEXT NOT NULL, name TEXT NOT NULL, type INTEGER NOT NULL, unit TEXT NOT NULL, help TEXT NOT NULL,
        PRIMARY KEY (sender, name)
    )""",
    """CREATE TABLE IF NOT EXISTS remote_write_targets (
        sender TEXT NOT NULL, job TEXT NOT NULL, instance TEXT NOT NULL, labels TEXT NOT NULL,
        PRIMARY KEY (sender, job, instance)
    )""",
)

Labels = tuple[tuple[str, str], ...]
K = TypeVar("K")
V = TypeVar("V")


class Family(NamedTuple):
    """What is said of a metric family; `type` is a number of the messages (families.py)."""

    type: int
    unit: str
    help: str


class Known:
    """See the module; without metadata it is kept in memory alone."""

    def __init__(self, metadata: Metadata | None = None) -> None:
        self._metadata = metadata
        self._lock = threading.Lock()
        self._families: dict[tuple[str, str], Family] = {}
        self._targets: dict[tuple[str, Target], Labels] = {}
        if metadata is None:
            return
        metadata.ensure(_COMPONENT, _VERSION, _SCHEMA)
        for row in metadata.read("SELECT * FROM remote_write_families ORDER BY rowid"):
            self._families[row["sender"], row["name"]] = Family(row["type"], row["unit"], row["help"])
        for row in metadata.read("SELECT * FROM remote_write_targets ORDER BY rowid"):
            labels = tuple((key, value) for key, value in json.loads(row["labels"]))
            self._targets[row["sender"], Target(row["job"], row["instance"])] = labels

    def family(self, sender: str, name: str) -> Family | None:
        """Give what a sender told of a family."""
        return self._families.get((sender, name))

    def target(self, sender: str, target: Target) -> Labels:
        """Give the labels of a target's target_info, () when none was told."""
        return self._targets.get((sender, target), ())

    def note(self, sender: str, families: Mapping[str, Family], targets: Mapping[Target, Labels]) -> None:
        """Keep what a request told; cost: a transaction when any of it is new, else a look-up each."""
        with self._lock:
            new_families = {
                (sender, name): family
                for name, family in families.items()
                if self.family(sender, name) != family and len(name) <= TEXT_CHARACTERS_MAX
            }
            new_targets = {
                (sender, target): labels
                for target, labels in targets.items()
                if self.target(sender, target) != labels and len("".join(target)) <= TEXT_CHARACTERS_MAX
            }
            if not new_families and not new_targets:
                return
            gone_families = _keys_beyond(self._families, new_families, FAMILIES_MAX)
            gone_targets = _keys_beyond(self._targets, new_targets, TARGETS_MAX)
            if self._metadata is not None:
                with self._metadata.transaction() as connection:
                    connection.executemany(
                        "INSERT OR REPLACE INTO remote_write_families VALUES (?, ?, ?, ?, ?)",
                        [(*key, *family) for key, family in new_families.items()],
                    )
                    connection.executemany(
                        "INSERT OR REPLACE INTO remote_write_targets VALUES (?, ?, ?, ?)",
                        [(key[0], *key[1], json.dumps(labels)) for key, labels in new_targets.items()],
                    )
                    connection.executemany(
                        "DELETE FROM remote_write_families WHERE sender = ? AND name = ?", gone_families
                    )
                    connection.executemany(
                        "DELETE FROM remote_write_targets WHERE sender = ? AND job = ? AND instance = ?",
                        [(key[0], *key[1]) for key in gone_targets],
                    )
            self._families = _changed(self._families, new_families, gone_families)
            self._targets = _changed(self._targets, new_targets, gone_targets)


def limited(labels: Sequence[tuple[str, str]]) -> Labels:
    """Give labels as they are kept: not too many, none too long."""
    return tuple((key[:TEXT_CHARACTERS_MAX], value[:TEXT_CHARACTERS_MAX]) for key, value in labels[:LABELS_MAX])


def _keys_beyond(old: Mapping[K, V], new: Mapping[K, V], limit: int) -> list[K]:
    """Give the keys that go first, oldest first, when `new` is added."""
    order = [*(key for key in old if key not in new), *new]
    return order[: max(0, len(order) - limit)]


def _changed(old: Mapping[K, V], new: Mapping[K, V], gone: Sequence[K]) -> dict[K, V]:
    changed = {**old, **new}
    for key in gone:
        changed.pop(key, None)
    return changed
