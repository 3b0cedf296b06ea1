"""The pattern miner: log bodies in, template ids out, and a catalogue of the templates seen.

A template is a pure function of the line (reference.py says which) and its id a hash of the template's text, so ids are
the same whatever the order, batch, process or shard, and nothing here can change one. What is kept is the catalogue:
counts, event times, counts by hour and a few example lines of the `templates_max` templates seen last. Keeps no line
else. Safe for many readers beside one thread that mines.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from watchkeeper.patterns.base import Template
from watchkeeper.patterns.catalogue import SavedTemplate, read_catalogue, write_catalogue
from watchkeeper.patterns.kernel import EXAMPLES_MAX, Found, Int64s, Kernel, open_kernel
from watchkeeper.patterns.reference import mask

HOUR_NS = 3_600_000_000_000
HOURS_MAX = 24 * 14
EXAMPLE_CHARACTERS_MAX = 2_000
EXAMPLE_LOOKS_MAX = 32
GIVEN_BYTES_MAX = 8_192
CATALOGUE_CHARACTERS_MAX = 64 * 2**20


def template_id(text: str) -> int:
    """Give the id of a template: 64 bits of BLAKE2b of its text, as a signed integer.

    >>> template_id("Served block <*> to <*>") == template_id("Served block <*> to <*>")
    True
    """
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)


class HourCount(NamedTuple):
    """Lines of a template in one hour; `hour_unix_ns` is when the hour begins."""

    hour_unix_ns: int
    lines: int


@dataclass(slots=True)
class _Entry:
    id: int
    text: str
    lines: int = 0
    first_unix_ns: int = 0
    last_unix_ns: int = 0
    examples: list[str] = field(default_factory=list)
    looks: int = 0
    hours: dict[int, int] = field(default_factory=dict)

    def count(self, lines: int, first: int, last: int) -> None:
        self.first_unix_ns = first if not self.lines else min(self.first_unix_ns, first)
        self.last_unix_ns = last if not self.lines else max(self.last_unix_ns, last)
        self.lines += lines

    def count_hour(self, hour: int, lines: int) -> None:
        self.hours[hour] = self.hours.get(hour, 0) + lines
        if len(self.hours) > HOURS_MAX:
            del self.hours[min(self.hours)]

    def characters(self) -> int:
        return len(self.text) + sum(map(len, self.examples))

    def wants_examples(self) -> bool:
        return len(self.examples) < EXAMPLES_MAX and self.looks < EXAMPLE_LOOKS_MAX

    def as_template(self) -> Template:
        return Template(self.id, self.text, self.lines, self.first_unix_ns, self.last_unix_ns, tuple(self.examples))


class TemplateMiner:
    """Mines templates; see patterns/base.py for the interface.

    templates_max: templates in the catalogue; past it, or past CATALOGUE_CHARACTERS_MAX of texts and examples, the
    least recently seen are forgotten (their ids are not: the same line gives the same id again). kernel: how lines are
    masked; by default the compiled one where it is built.
    Cost: about 0.5 microseconds a line compiled, 100 in plain Python.
    """

    def __init__(self, *, templates_max: int = 100_000, kernel: Kernel | None = None) -> None:
        self._templates_max = templates_max
        self._kernel = kernel or open_kernel()
        self._lock = threading.Lock()
        self._entries: OrderedDict[int, _Entry] = OrderedDict()
        self._ids: dict[bytes, int] = {}
        self._characters = 0
        self._frozen = False
        self.lines_unknown = 0

    def __len__(self) -> int:
        return len(self._entries)

    def match(
        self, bodies: pa.StringArray, times_unix_ns: pa.Int64Array, *, given: pa.StringArray | None = None
    ) -> pa.Int64Array:
        """Give each line's template id, counting it and keeping the first few as examples.

        bodies: (n,) text, nulls are taken as "". times_unix_ns: (n,) event times. given: (n,) templates that the
        records carry themselves (`log.record.template`), null or "" where they do not; they are taken as they are.
        Returns (n,) int64 without nulls.
        """
        bodies, times = _plain_text(bodies), _plain_times(times_unix_ns)
        ids = np.empty(len(bodies), np.int64)
        with self._lock:
            for rows, found in self._found(bodies, times, given):
                taken = self._take(found, bodies if rows is None else bodies.take(pa.array(rows)))
                self._count_hours(found.codes, taken, times if rows is None else times[rows])
                ids[slice(None) if rows is None else rows] = taken[found.codes] if len(taken) else 0
            self._forget()
        return pa.array(ids)

    def _found(
        self, bodies: pa.StringArray, times: Int64s, given: pa.StringArray | None
    ) -> list[tuple[Int64s | None, Found]]:
        """Mask the lines; those with a template given are set apart, told by their rows."""
        if given is None or given.null_count == len(given):
            return [(None, self._kernel.run(bodies, times))]
        said = pc.utf8_length(given).fill_null(0).to_numpy(zero_copy_only=False) > 0
        own, told = np.flatnonzero(~said), np.flatnonzero(said)
        parts: list[tuple[Int64s | None, Found]] = []
        if len(own):
            parts.append((own, self._kernel.run(bodies.take(pa.array(own)), times[own])))
        if len(told):
            parts.append((told, _given_templates(given.take(pa.array(told)), times[told])))
        return parts

    def _take(self, found: Found, bodies: pa.StringArray) -> Int64s:
        """Count the distinct templates of a batch in the catalogue; gives their ids."""
        ids = np.empty(len(found.texts), np.int64)
        counts = zip(found.texts, found.lines.tolist(), found.firsts.tolist(), found.lasts.tolist(), strict=True)
        for code, (text, lines, first, last) in enumerate(counts):
            entry = self._entry(text)
            if entry is None:
                ids[code] = template_id(text.decode("utf-8", "replace"))
                self.lines_unknown += lines
                continue
            ids[code] = entry.id
            entry.count(lines, first, last)
            if entry.wants_examples():
                self._characters -= entry.characters()
                _add_examples(entry, bodies, found.rows[code])
                self._characters += entry.characters()
        return ids

    def _entry(self, text: bytes) -> _Entry | None:
        known = self._ids.get(text)
        if known is not None:
            self._entries.move_to_end(known)
            return self._entries[known]
        if self._frozen:
            return None
        readable = text.decode("utf-8", "replace")
        entry = self._entries.get(template_id(readable))
        if entry is None:
            entry = self._entries[template_id(readable)] = _Entry(template_id(readable), readable)
            self._ids[readable.encode()] = entry.id
            self._characters += entry.characters()
        return entry

    def _count_hours(self, codes: npt.NDArray[np.int32], ids: Int64s, times: Int64s) -> None:
        if not len(codes):
            return
        hours, place = np.unique(times // HOUR_NS, return_inverse=True)
        pairs, lines = np.unique(codes.astype(np.int64) * len(hours) + place, return_counts=True)
        for pair, count in zip(pairs.tolist(), lines.tolist(), strict=True):
            entry = self._entries.get(int(ids[pair // len(hours)]))
            if entry is not None:
                entry.count_hour(int(hours[pair % len(hours)]), count)

    def _forget(self) -> None:
        while self._entries and (
            len(self._entries) > self._templates_max or self._characters > CATALOGUE_CHARACTERS_MAX
        ):
            _, entry = self._entries.popitem(last=False)
            self._characters -= entry.characters()
            self._ids.pop(entry.text.encode(), None)

    # -- reading --------------------------------------------------------------------------------------------------

    def get(self, template_id: int) -> Template | None:
        """Give the template of that id, None when it is not in the catalogue (any more)."""
        with self._lock:
            entry = self._entries.get(template_id)
            return entry.as_template() if entry else None

    def templates(self) -> list[Template]:
        """Give every template known, most lines first."""
        with self._lock:
            known = [entry.as_template() for entry in self._entries.values()]
        return sorted(known, key=lambda template: (-template.lines, template.text))

    def hours(self, template_id: int) -> list[HourCount]:
        """Give a template's lines by hour of event time, oldest first, of the last HOURS_MAX hours that had any."""
        with self._lock:
            entry = self._entries.get(template_id)
            counts = sorted(entry.hours.items()) if entry else []
        return [HourCount(hour * HOUR_NS, lines) for hour, lines in counts]

    def parameters(self, body: str) -> list[str]:
        """Give what stands at each `<*>` of the line's template, in order.

        >>> TemplateMiner().parameters("took 12 ms for user=ann")
        ['12', 'ann']
        """
        encoded = body.encode("utf-8", "replace")
        return [encoded[start:end].decode("utf-8", "replace") for start, end in mask(encoded).spans]

    # -- freezing -------------------------------------------------------------------------------------------------

    @property
    def frozen(self) -> bool:
        """Tell whether the catalogue takes no new templates."""
        return self._frozen

    def freeze(self) -> None:
        """Take no new templates into the catalogue from here on.

        Lines of other templates still get their id, by which anyone sees that it is not in the catalogue; they are
        counted in `lines_unknown`.
        """
        with self._lock:
            self._frozen = True

    def unfreeze(self) -> None:
        """Take new templates into the catalogue again."""
        with self._lock:
            self._frozen = False

    # -- state ----------------------------------------------------------------------------------------------------

    def export(self, path: Path) -> None:
        """Write the catalogue as one Parquet file that any reader of Parquet understands."""
        with self._lock:
            write_catalogue(path, [_saved(entry) for entry in self._entries.values()], frozen=self._frozen)

    def save(self, folder: Path) -> None:
        """Write the catalogue to `templates.parquet` in the folder, which is made when missing."""
        folder.mkdir(parents=True, exist_ok=True)
        self.export(folder / "templates.parquet")

    def load(self, folder: Path) -> None:
        """Take up what `save` wrote in place of what is known; raises StoreError when it is damaged or newer."""
        saved, frozen = read_catalogue(folder / "templates.parquet")
        entries = OrderedDict((one.id, _restored(one)) for one in saved)
        with self._lock:
            self._entries = entries
            self._ids = {entry.text.encode(): entry.id for entry in entries.values()}
            self._characters = sum(entry.characters() for entry in entries.values())
            self._frozen = frozen
            self._forget()


def _plain_text(bodies: pa.Array | pa.ChunkedArray) -> pa.StringArray:
    if isinstance(bodies, pa.ChunkedArray):
        bodies = bodies.combine_chunks()
    if bodies.type != pa.string():
        bodies = bodies.cast(pa.string())
    return pc.fill_null(bodies, "") if bodies.null_count else bodies


def _plain_times(times: pa.Array | pa.ChunkedArray) -> Int64s:
    if isinstance(times, pa.ChunkedArray):
        times = times.combine_chunks()
    if times.null_count:
        times = pc.fill_null(times, 0)
    numbers: Int64s = times.to_numpy(zero_copy_only=False)
    return numbers


def _given_templates(given: pa.StringArray, times: Int64s) -> Found:
    """Count templates that records carry themselves as the kernel counts those that it makes."""
    encoded = pc.dictionary_encode(pc.binary_slice(given.cast(pa.binary()), 0, GIVEN_BYTES_MAX))
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int32)
    texts = [text.decode("utf-8", "ignore").encode() for text in encoded.dictionary.to_pylist()]
    found = len(texts)
    firsts, lasts = np.full(found, np.iinfo(np.int64).max), np.full(found, np.iinfo(np.int64).min)
    np.minimum.at(firsts, codes, times)
    np.maximum.at(lasts, codes, times)
    rows = np.full((found, EXAMPLES_MAX), -1, np.int64)
    for code in range(found):
        first = np.flatnonzero(codes == code)[:EXAMPLES_MAX]
        rows[code, : len(first)] = first
    return Found(codes, texts, np.bincount(codes, minlength=found).astype(np.int64), firsts, lasts, rows)


def _add_examples(entry: _Entry, bodies: pa.StringArray, rows: Int64s) -> None:
    for row in rows[rows >= 0].tolist():
        entry.looks += 1
        line = bodies[row].as_buffer().to_pybytes().decode("utf-8", "replace")[:EXAMPLE_CHARACTERS_MAX]
        if line not in entry.examples:
            entry.examples.append(line)
        if not entry.wants_examples():
            return


def _saved(entry: _Entry) -> SavedTemplate:
    hours = sorted(entry.hours.items())
    return SavedTemplate(
        entry.id,
        entry.text,
        entry.lines,
        entry.first_unix_ns,
        entry.last_unix_ns,
        list(entry.examples),
        entry.looks,
        [hour for hour, _ in hours],
        [lines for _, lines in hours],
    )


def _restored(saved: SavedTemplate) -> _Entry:
    return _Entry(
        saved.id,
        saved.text,
        saved.lines,
        saved.first_unix_ns,
        saved.last_unix_ns,
        list(saved.examples),
        saved.looks,
        dict(zip(saved.hours, saved.hour_lines, strict=True)),
    )
