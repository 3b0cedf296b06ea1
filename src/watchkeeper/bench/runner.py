"""Runs cells, several at once, and keeps to limits of time and memory.

Enters: cells. Leaves: a record for each in the folder of records. A cell that has a finished record is not run again. A
cell that fails, takes too long or too much memory has a record that says so. When it is interrupted, what runs is ended
and what is done stays. Does not measure anything itself: the processes of bench/room.py do.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from watchkeeper.bench.cells import Cell
from watchkeeper.bench.progress import HowFar
from watchkeeper.bench.records import DONE, FAILED, SKIPPED, Record, find_record
from watchkeeper.bench.room import Folders, Limits, Room

SECOND_ROOM_S = 20.0
"""A data set is read a second time only when at least so much work on it is left."""
UNKNOWN_S = 30.0
"""What a cell is expected to take that was never run."""

Told = Callable[[Cell, Record], None]
Far = Callable[[Cell, HowFar], None]
"""Is told how far a cell is."""


def todo(cells: Iterable[Cell], out: Path, *, retry: bool = False, cell_s: float = 0.0) -> list[Cell]:
    """Give the cells that are to be run: not skipped and without a record.

    `retry` takes the failed ones again; one that was ended after fewer than `cell_s` seconds is taken again as well.
    """
    chosen = []
    for cell in cells:
        if cell.skipped:
            continue
        record = find_record(out, cell.id)
        cut = record is not None and record["state"] == SKIPPED and record.get("limit_s", 0.0) < cell_s
        if record is None or cut or (retry and record["state"] == FAILED):
            chosen.append(cell)
    return chosen


class Ahead:
    """Cells that wait, by data set; whoever is free goes on with the data set that it has read.

    The next data set is one of the task that was begun least often, so that a limit of time leaves no task out.
    """

    def __init__(self, cells: Sequence[Cell], expected_s: Mapping[str, float]) -> None:
        self._lock = threading.Lock()
        self._expected_s = expected_s
        self._waiting: dict[str, list[Cell]] = {}
        self._read: dict[str, int] = {}
        self._begun: Counter[str] = Counter()
        for cell in cells:
            self._waiting.setdefault(data_set(cell), []).append(cell)

    def take(self, mine: str) -> Cell | None:
        """Give the next cell, None when nothing is left for whoever asks; `mine` is the data set read, "" for none."""
        with self._lock:
            name = mine if self._waiting.get(mine) else self._next(mine)
            if not name:
                return None
            if name != mine:
                self._read[name] = self._read.get(name, 0) + 1
                self._begun[name.split("/")[0]] += 1
            cell = self._waiting[name].pop(0)
            if not self._waiting[name]:
                del self._waiting[name]
            return cell

    def _next(self, mine: str) -> str:
        if mine in self._read:
            self._read[mine] -= 1
        left = {
            name: sum(self._expected_s.get(cell.id, UNKNOWN_S) for cell in cells)
            for name, cells in self._waiting.items()
        }
        unread = [name for name in left if not self._read.get(name)]
        if unread:
            return min(unread, key=lambda name: (self._begun[name.split("/")[0]], -left[name]))
        worth = [name for name in left if left[name] > SECOND_ROOM_S]
        return max(worth, key=left.__getitem__, default="")


def run_cells(
    cells: Sequence[Cell],
    folders: Folders,
    limits: Limits,
    told: Told,
    seeds: Sequence[int] = (),
    expected_s: Mapping[str, float] | None = None,
    far: Far | None = None,
) -> None:
    """Run cells and tell each record as it comes; raises KeyboardInterrupt after ending what runs.

    After `limits.minutes` no further cell is begun. The tasks take turns; of each, the data set with the most
    `expected_s` ahead is begun first.
    """
    stop = threading.Event()
    ahead = Ahead(cells, expected_s or {})
    done: queue.Queue[tuple[Cell, Record] | BaseException | None] = queue.Queue()
    until_s = time.monotonic() + limits.minutes * 60 if limits.minutes else float("inf")

    def new_room(name: str) -> Room:
        return Room(name, folders, limits, tuple(seeds), stop, far)

    slots = [
        threading.Thread(target=_slot, args=(ahead, new_room, stop, done, until_s), daemon=True)
        for _ in range(min(limits.workers, len(cells)))
    ]
    for slot in slots:
        slot.start()
    try:
        working = len(slots)
        while working:
            one = done.get()
            if one is None:
                working -= 1
            elif isinstance(one, BaseException):
                raise one
            else:
                told(*one)
    finally:
        stop.set()
        for slot in slots:
            slot.join()


def _slot(
    ahead: Ahead,
    new_room: Callable[[str], Room],
    stop: threading.Event,
    done: queue.Queue[tuple[Cell, Record] | BaseException | None],
    until_s: float,
) -> None:
    """Take cells until there are none; one room at a time, changed with the data set."""
    room: Room | None = None
    try:
        while not stop.is_set() and time.monotonic() < until_s:
            cell = ahead.take(room.data_set if room else "")
            if cell is None:
                break
            if room is None or room.data_set != data_set(cell):
                if room:
                    room.leave()
                room = new_room(data_set(cell))
            record = room.run(cell)
            if not stop.is_set() or record["state"] == DONE:
                done.put((cell, record))
    except BaseException as error:  # noqa: BLE001 - it is raised again where the caller waits
        done.put(error)
    finally:
        if room:
            room.leave()
        done.put(None)


def data_set(cell: Cell) -> str:
    """Give the name of a cell's data set as the catalogue has it."""
    return f"{cell.data.task}/{cell.data.name}"
