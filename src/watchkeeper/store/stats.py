"""The state of the store as plain data: what docs/api.md calls `Status.store`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from watchkeeper.signals.schema import Signal
from watchkeeper.store.view import Extent


@dataclass(frozen=True)
class StoreStats:
    """Sizes in bytes, hot batches counted in rows and times; `quarantined` tells each thing that could not be read.

    `failures` counts faults since the opening: writes that the disk refused, listeners that raised, failed upkeep.
    """

    folder: Path
    bytes: int
    disk_free_bytes: int
    wal_bytes: int
    hot_bytes: int
    queue_bytes: int
    failures: int
    quarantined: tuple[str, ...]
    signals: Mapping[Signal, Extent]

    def as_dict(self) -> dict[str, Any]:
        """Give what the API shows; times as decimal text, `quarantined` as a number with the reasons beside it."""
        shown = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {
            **shown,
            "folder": str(self.folder),
            "quarantined": len(self.quarantined),
            "quarantine_reasons": list(self.quarantined),
            "signals": {signal.value: _extent(extent) for signal, extent in self.signals.items()},
        }


def _extent(extent: Extent) -> dict[str, Any]:
    times = ("oldest_unix_ns", "newest_unix_ns")
    return {
        name: str(value) if name in times and value is not None else value for name, value in asdict(extent).items()
    }
