"""Distinct masked lines and how often each came: what a log model learns from, bounded whatever the volume.

Enters: raw lines, by the million. Leaves: the distinct masked lines (line_tokens.form_of), each with its count, and the
square roots of the counts as weights. The pattern miner's kernel finds the template of each line first, so that only
the first line of each template is masked in Python. Beyond its bounds it keeps the most frequent lines and, of the
others, those with the smallest hash: an even sample of the rare ones. Sources: Manku and Motwani, "Approximate
Frequency Counts over Data Streams", VLDB 2002; Beyer et al., SIGMOD 2007, for samples by hash.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from watchkeeper.learn.line_tokens import LINE_CHARACTERS_MAX, form_of
from watchkeeper.patterns.kernel import open_kernel

DISTINCT_MAX = 200_000
BYTES_MAX = 64 * 1024 * 1024
TEMPLATES_MAX = 50_000
READER_BYTES_MAX = 16 * 1024 * 1024
BATCH = 50_000
ENTRY_BYTES = 160
"""What a line costs beside its text: two objects and a place in a table."""
KEPT_SHARE = 0.75
SCHEMA_VERSION = 1
HELD_SHARE = 0.2

FAILURE_WORDS = (
    "error",
    "fail",
    "fatal",
    "exception",
    "timeout",
    "unavailable",
    "crash",
    "connection refused",
    "network error",
    "deadlock",
    "out of disk",
    "high load",
)
_FAILURE = "|".join(map(re.escape, FAILURE_WORDS))

Lines: TypeAlias = Sequence[str] | Any
"""Texts, or an Arrow array of them."""
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Told(NamedTuple):
    """What was counted. lines: all of them. distinct: kept now. dropped: distinct lines let go, and their lines."""

    lines: int
    distinct: int
    dropped_distinct: int
    dropped_lines: int


def has_failure_words(lines: Lines) -> npt.NDArray[np.bool_]:
    """Tell which lines (n,) have one of FAILURE_WORDS, in large or small letters, or as part of a word.

    >>> has_failure_words(["Failed to bind", "connection from a", "Connection refused"]).tolist()
    [True, False, True]
    """
    found = pc.match_substring_regex(_texts(lines), _FAILURE, ignore_case=True)
    return np.asarray(found.to_numpy(zero_copy_only=False), np.bool_)


class Forms(NamedTuple):
    """Lines by form: `forms` distinct masked lines with `counts` (m,), and the form of each line, `codes` (n,)."""

    forms: list[str]
    counts: Ints
    codes: Ints


class FormReader:
    """Gives the masked form of lines; remembers that of each template. Not thread-safe.

    templates_max: templates remembered, READER_BYTES_MAX at most; beyond either it begins to remember anew.
    Cost: about a microsecond a line, and some 100 for each template not met before.
    """

    def __init__(self, *, templates_max: int = TEMPLATES_MAX) -> None:
        self._kernel = open_kernel()
        self._templates_max = templates_max
        self._forms: dict[bytes, str] = {}
        self._bytes = 0

    def read(self, lines: Lines, counts: npt.ArrayLike | None = None) -> Forms:
        """Mask lines (n,); counts: (n,) how often each came, once by default."""
        bodies = _texts(lines)
        found = self._kernel.run(bodies, np.zeros(len(bodies), np.int64))
        numbers: dict[str, int] = {}
        of_template = np.zeros(len(found.texts), np.int64)
        for at, text in enumerate(found.texts):
            form = self._forms.get(text)
            if form is None:
                if len(self._forms) >= self._templates_max or self._bytes >= READER_BYTES_MAX:
                    self._forms.clear()
                    self._bytes = 0
                line = bodies[int(found.rows[at, 0])].as_buffer().to_pybytes()[: 4 * LINE_CHARACTERS_MAX]
                form = self._forms[text] = form_of(line.decode("utf-8", "replace"))
                self._bytes += len(text) + _size(form)
            of_template[at] = numbers.setdefault(form, len(numbers))
        codes = of_template[found.codes]
        each = None if counts is None else np.asarray(counts, np.float64)
        totals = np.bincount(codes, weights=each, minlength=len(numbers)).astype(np.int64)
        return Forms(list(numbers), totals, codes)


class LineCounts:
    """See the module. distinct_max, bytes_max: bounds of what is kept; beyond them `told` says what was let go.

    >>> counts = LineCounts()
    >>> counts.add(["served 12 bytes", "served 7 bytes", "closed"])
    >>> counts.lines(), counts.counts().tolist(), counts.weights().round(2).tolist()
    (['served <number> bytes', 'closed'], [2, 1], [1.41, 1.0])
    """

    def __init__(self, *, distinct_max: int = DISTINCT_MAX, bytes_max: int = BYTES_MAX) -> None:
        self._distinct_max, self._bytes_max = distinct_max, bytes_max
        self._counts: dict[str, int] = {}
        self._bytes = 0
        self._lines = self._dropped_distinct = self._dropped_lines = 0
        self._reader = FormReader()

    def __len__(self) -> int:
        return len(self._counts)

    def __contains__(self, form: str) -> bool:
        return form in self._counts

    def count_of(self, form: str) -> int:
        """Give how often a masked line came, 0 for one that is not kept."""
        return self._counts.get(form, 0)

    def add(self, lines: Lines, counts: npt.ArrayLike | None = None) -> None:
        """Count raw lines (n,); counts: (n,) how often each came, once by default. They are masked here."""
        bodies = _texts(lines)
        each = None if counts is None else np.asarray(counts, np.int64)
        for at in range(0, len(bodies), BATCH):
            part = bodies.slice(at, BATCH)
            read = self._reader.read(part, None if each is None else each[at : at + BATCH])
            self.add_forms(read.forms, read.counts)

    def add_forms(self, forms: Iterable[str], counts: Iterable[int] | Ints) -> None:
        """Count lines that are masked already."""
        for form, count in zip(forms, np.asarray(counts, np.int64).tolist(), strict=True):
            self._lines += count
            known = self._counts.get(form)
            if known is None:
                self._bytes += _size(form)
            self._counts[form] = (known or 0) + count
        if len(self._counts) > self._distinct_max or self._bytes > self._bytes_max:
            self._let_go()

    def lines(self) -> list[str]:
        """Give the distinct masked lines."""
        return list(self._counts)

    def counts(self) -> Ints:
        """Give how often each came, (n,)."""
        return np.fromiter(self._counts.values(), np.int64, len(self._counts))

    def weights(self) -> Floats:
        """Give the square root of each count, (n,): so much does a line weigh in training."""
        return np.sqrt(self.counts().astype(np.float64))

    def told(self) -> Told:
        """Tell what was counted and what was let go."""
        return Told(self._lines, len(self._counts), self._dropped_distinct, self._dropped_lines)

    def split(self, held_share: float = HELD_SHARE) -> tuple[LineCounts, LineCounts]:
        """Give lines to learn from and lines held out, by the hash of each: the same whatever the order they came in.

        At least one line is to learn from.
        """
        limit = int(held_share * 2**64)
        learn, held = LineCounts(), LineCounts()
        for form, count in self._counts.items():
            (held if _hash(form) < limit else learn).add_forms([form], [count])
        if not len(learn):
            learn, held = held, learn
        return learn, held

    def fingerprint(self) -> str:
        """Give a text that is another for other lines or counts, whatever their order."""
        digest = hashlib.blake2b(digest_size=16)
        for form in sorted(self._counts):
            digest.update(f"{self._counts[form]} {form}\n".encode())
        return digest.hexdigest()

    def save(self, folder: Path) -> None:
        """Write `lines.npz` into the folder."""
        text = "\n".join(self._counts).encode()
        about = {"schema_version": SCHEMA_VERSION, "told": self.told()._asdict()}
        with (folder / "lines.npz").open("wb") as file:
            np.savez_compressed(
                file,
                about=np.array(json.dumps(about)),
                text=np.frombuffer(text, np.uint8),
                counts=self.counts(),
            )

    @classmethod
    def load(cls, folder: Path) -> LineCounts:
        """Read what `save` wrote; raises ValueError or OSError when it is damaged or newer."""
        with (folder / "lines.npz").open("rb") as file, np.load(file, allow_pickle=False) as kept:
            about: dict[str, Any] = json.loads(str(kept["about"]))
            if about["schema_version"] > SCHEMA_VERSION:
                raise ValueError(f"{folder / 'lines.npz'} was written by a newer version ({about['schema_version']})")
            text = kept["text"].tobytes().decode()
            forms = text.split("\n") if len(kept["counts"]) else []
            counts = cls()
            counts.add_forms(forms, kept["counts"])
        told = Told(**about["told"])
        counts._lines = told.lines
        counts._dropped_distinct, counts._dropped_lines = told.dropped_distinct, told.dropped_lines
        return counts

    def _let_go(self) -> None:
        """Keep KEPT_SHARE of what the bounds allow: half of it the most frequent, half the smallest hashes."""
        forms, counts = self.lines(), self.counts()
        hashes = np.fromiter((_hash(form) for form in forms), np.uint64, len(forms))
        room = min(self._distinct_max, int(len(forms) * self._bytes_max / max(1, self._bytes)))
        keep = max(2, int(KEPT_SHARE * room))
        frequent = np.lexsort((hashes, -counts))
        others = frequent[keep // 2 :]
        chosen = {*frequent[: keep // 2].tolist(), *others[np.argsort(hashes[others])[: keep - keep // 2]].tolist()}
        self._dropped_distinct += len(forms) - len(chosen)
        kept = {form: int(counts[at]) for at, form in enumerate(forms) if at in chosen}
        self._dropped_lines += int(counts.sum()) - sum(kept.values())
        self._counts = kept
        self._bytes = sum(map(_size, kept))


def _texts(lines: Lines) -> pa.StringArray:
    if not isinstance(lines, pa.Array | pa.ChunkedArray):
        return pa.array(list(lines), pa.string())
    if isinstance(lines, pa.ChunkedArray):
        lines = lines.combine_chunks()
    if lines.type != pa.string():
        lines = lines.cast(pa.string())
    return pc.fill_null(lines, "") if lines.null_count else lines


def _hash(form: str) -> int:
    return int.from_bytes(hashlib.blake2b(form.encode(), digest_size=8).digest(), "little")


def _size(form: str) -> int:
    return len(form) + ENTRY_BYTES
