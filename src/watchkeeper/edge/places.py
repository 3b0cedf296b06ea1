"""How far an agent's signals are, and under which names the centre knows their batches; on disk as places.json.

Enters: the bounds of batches, before they are first sent. Leaves: the same after a kill. Each start begins a stream of
its own for what comes from then on, so that an agent that was set back to an older state, or copied, never numbers new
telemetry as what the centre has already. What was left over keeps the stream in which it came. Sends nothing.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from watchkeeper.edge.counts import LeftOut
from watchkeeper.errors import NewerFormat, StoreError
from watchkeeper.signals.signal import Signal
from watchkeeper.store.layout import write_durably

SCHEMA_VERSION = 2
_NOISE_BITS = 16


class Place(NamedTuple):
    """How far a signal is: all up to `done` is settled; a batch that ends at `upto` was begun when that is higher.

    `position` is by which the centre knows the begun batch, `left_out` are the totals that it tells.
    """

    done: int = 0
    upto: int = 0
    position: int = 0
    left_out: LeftOut = LeftOut(0, 0)


class Stretch(NamedTuple):
    """The entries from sequence `first` on, up to the next stretch, belong to a stream."""

    first: int
    stream: str


class Places:
    """The places of one agent; nothing is on disk before `save`. Not for several threads at once.

    `agent` is the agent's own name for itself, random and lasting; `left_out` are the totals that were last saved.
    Raises StoreError for a file that cannot be read, NewerFormat for one of a newer Watchkeeper.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.agent = secrets.token_hex(16)
        self._places = {signal: Place() for signal in Signal}
        self._stretches: dict[Signal, list[Stretch]] = {signal: [] for signal in Signal}
        self.left_out = {signal: LeftOut(0, 0) for signal in Signal}
        try:
            self._load(json.loads(file.read_bytes()))
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{file} cannot be read ({error!r}); without it batches may be sent twice. Move the folder "
                f"{file.parent} away to begin anew"
            ) from error

    def _load(self, data: dict[str, Any]) -> None:
        version = data["schema_version"]
        if version > SCHEMA_VERSION:
            raise NewerFormat(f"{self._file} was written by a newer Watchkeeper; upgrade this one")
        self.agent = str(data["stream" if version == 1 else "agent"])
        for signal in Signal:
            row, totals = data["places"][signal.value], data["left_out"][signal.value]
            told = LeftOut(row["dropped"], row["refused"])
            self._places[signal] = Place(row["done"], row["upto"], row.get("position", row["upto"]), told)
            self.left_out[signal] = LeftOut(totals["dropped"], totals["refused"])
            lone = [[1, f"{self.agent}/{signal.value}"]]
            rows: list[Any] = lone if version == 1 else data["streams"][signal.value]
            self._stretches[signal] = [Stretch(first, stream) for first, stream in rows]

    def get(self, signal: Signal) -> Place:
        """Give the place of a signal."""
        return self._places[signal]

    def put(self, signal: Signal, place: Place) -> None:
        """Set the place of a signal."""
        self._places[signal] = place

    def begin(self, signal: Signal, upto: int, left_out: LeftOut) -> Place:
        """Set the bounds of a batch that is to be sent; gives its place.

        The position rises with the sequence. In the stream of this start it ends in chance, so that a batch of an agent
        that was set back meanwhile never has the same; what an earlier start left over is the same for both.
        """
        newest = self.stretch_of(signal, upto)[1] is None
        position = upto << _NOISE_BITS | (secrets.randbits(_NOISE_BITS) if newest else 0)
        place = Place(self._places[signal].done, upto, position, left_out)
        self._places[signal] = place
        return place

    def open_stream(self, signal: Signal, first: int) -> None:
        """Let the entries from a sequence on belong to a new stream."""
        older = [each for each in self._stretches[signal] if each.first < first]
        self._stretches[signal] = [*older, Stretch(first, f"{self.agent[:12]}.{secrets.token_hex(12)}/{signal.value}")]

    def stretch_of(self, signal: Signal, sequence: int) -> tuple[str, int | None]:
        """Give the stream of an entry and the last sequence of its stretch; None for the newest, which has no end."""
        stretches = self._stretches[signal]
        last: int | None = None
        for stretch in reversed(stretches):
            if stretch.first <= sequence:
                return stretch.stream, last
            last = stretch.first - 1
        # A report of what was left out, before the first entry of all.
        return stretches[0].stream, None

    def save(self, left_out: Mapping[Signal, LeftOut]) -> None:
        """Write all to the disk, with the totals of what was left out."""
        self.left_out = dict(left_out)
        for signal, stretches in self._stretches.items():
            done = self._places[signal].done
            while len(stretches) > 1 and stretches[1].first <= done + 1:
                stretches.pop(0)
        rows = {
            signal.value: {
                "done": place.done,
                "upto": place.upto,
                "position": place.position,
                **place.left_out._asdict(),
            }
            for signal, place in self._places.items()
        }
        data = {
            "schema_version": SCHEMA_VERSION,
            "agent": self.agent,
            "places": rows,
            "streams": {signal.value: list(map(list, each)) for signal, each in self._stretches.items()},
            "left_out": {signal.value: each._asdict() for signal, each in left_out.items()},
        }
        write_durably(self._file, json.dumps(data).encode())
