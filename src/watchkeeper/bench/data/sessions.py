"""Sessions of log lines: from normalised tables to blocks, and the splits by time that all log sets share.

Enters: tables as cached.SESSION_LINES and SESSION_LABELS. Leaves: Splits of SessionBlocks in order of time. Of the
normal-only protocols the anomalous ones of the earlier part are left out of training; the validation part is the last
fifth of what is learned from, and the budget of false alarms is kept on it. The fact `texts` tells what templates say.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from watchkeeper.bench.base import Item, Split
from watchkeeper.bench.forms import SessionBlock

BLOCK = 2_000
VALIDATION_SHARE = 0.2
CLEAN_BUDGET = 0.005
"""The share of normal validation sessions that may be flagged."""
Ints = npt.NDArray[np.int64]


class SessionTable:
    """All sessions of a set, in order of their first line; `anomalous` (n,) stands beside, `texts` of templates too."""

    def __init__(self, lines: pa.Table, labels: pa.Table, texts: pa.Table | None = None) -> None:
        self.texts = {} if texts is None else dict(zip(*(column.to_pylist() for column in texts.columns), strict=True))
        session = lines.column("session").to_numpy()
        time_s = lines.column("time_s").to_numpy()
        order = np.lexsort((np.arange(len(session)), session))
        session, self._templates, self._times = (
            session[order],
            lines.column("template").to_numpy()[order],
            time_s[order],
        )
        codes = labels.column("session").to_numpy()
        begins, ends = np.searchsorted(session, codes, "left"), np.searchsorted(session, codes, "right")
        starts = np.array([self._times[a:b].min() if b > a else np.inf for a, b in zip(begins, ends, strict=True)])
        by_time = np.argsort(starts, kind="stable")
        self._begins, self._ends = begins[by_time], ends[by_time]
        self.starts_s = starts[by_time]
        self.anomalous = labels.column("anomalous").to_numpy(zero_copy_only=False)[by_time]
        self.names = np.array(labels.column("name").to_pylist(), dtype=object)[by_time]
        self.until_s = float(time_s.max()) if len(time_s) else 0.0

    def __len__(self) -> int:
        return len(self._begins)

    def block(self, chosen: Ints) -> SessionBlock:
        """Give some sessions, by number, as one block."""
        sizes = self._ends[chosen] - self._begins[chosen]
        rows = [np.arange(self._begins[each], self._ends[each]) for each in chosen]
        lines = np.concatenate(rows) if rows else np.zeros(0, np.int64)
        return SessionBlock(np.r_[0, np.cumsum(sizes)].astype(np.int64), self._templates[lines], self._times[lines])

    def items(self, chosen: Ints) -> tuple[Item, ...]:
        """Give some sessions as items of at most BLOCK sessions."""
        return tuple(
            Item(
                f"sessions {chosen[at]}",
                self.block(chosen[at : at + BLOCK]),
                self.anomalous[chosen[at : at + BLOCK]],
                tuple(self.names[chosen[at : at + BLOCK]]),
            )
            for at in range(0, len(chosen), BLOCK)
        )

    def split(self, name: str, train: Ints, test: Ints, *, clean: bool, labelled: bool = False, **facts: Any) -> Split:
        """Give a split; `clean` leaves the anomalous ones out of what is learned from. `train` is in order of time.

        in_time (fact): whether what is asked about comes after what is learned from; True unless told.
        """
        kept = train[~self.anomalous[train]] if clean else train
        last = len(kept) - round(VALIDATION_SHARE * len(kept))
        until = float(self.starts_s[test].min()) if facts.get("in_time", True) and len(test) else self.until_s
        told = {
            "clean": clean,
            "train_until_s": until,
            "until_s": self.until_s,
            "budget": CLEAN_BUDGET if clean else 0.05,
            "texts": self.texts,
            **facts,
        }
        return Split(
            name, self.items(kept[:last]), self.items(test), self.items(kept[last:]), labelled=labelled, facts=told
        )


def halves(table: SessionTable, share: float = 0.5, *, clean: bool, labelled: bool = False) -> Iterator[Split]:
    """Give the one split in order of time: the first `share` to learn from."""
    numbers = np.arange(len(table))
    first = int(share * len(table))
    yield table.split("earlier and later", numbers[:first], numbers[first:], clean=clean, labelled=labelled)
