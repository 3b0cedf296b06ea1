"""The example shop as it was recorded here, five seconds by five: counts of templates and calls, times, metrics.

Enters: `shop_recorded` in the folder of data sets, made by `watchkeeper bench record`. Leaves: one split: the calm
before the first fault is learned from, its last part sets thresholds; asked are all later windows that lie wholly in
calm or in a fault. The seconds in which a fault fades are neither. Values are made as those of `nezha_minutes`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from watchkeeper.bench.base import DataSpec, Item, Place, Split
from watchkeeper.bench.cases.base import NS_PER_S
from watchkeeper.bench.cases.recording import HOME, Span, read_labels, within_any
from watchkeeper.bench.data.nezha_minutes import MODALITIES, VALIDATION_SHARE, Cells, as_values, wide
from watchkeeper.bench.data.shop import RECORDED
from watchkeeper.bench.forms import ModalityBlock
from watchkeeper.bench.own.home import at_rest, opened_copy
from watchkeeper.diagnose.gather import LIMITS
from watchkeeper.diagnose.gather_series import metric_series
from watchkeeper.store.reads.base import TimeRange, rows
from watchkeeper.store.store import Store

WINDOW_NS = round(LIMITS.step_s * NS_PER_S)
"""The step in which the product gathers evidence."""
READ_STEPS = 120
LEAD_STEPS = 6
"""Steps read before those that are wanted: a counter tells nothing at its first point."""
Numbers = npt.NDArray[np.int64]


def _splits(place: Place) -> Iterator[Split]:
    folder = place.data / RECORDED
    labels = read_labels(folder)
    begin = labels.first_calm[0].begin_unix_ns
    steps = (max(labels.calm[-1].end_unix_ns, labels.faults[-1].end_unix_ns) - begin) // WINDOW_NS
    with at_rest(folder / HOME) as home, opened_copy(home) as store:
        block = _block(store, begin, steps)
    starts = begin + WINDOW_NS * np.arange(steps, dtype=np.int64)
    learned = _inside(starts, labels.first_calm)
    faulty = _inside(starts, [each.span for each in labels.faults])
    held = len(learned) - round(VALIDATION_SHARE * len(learned))
    asked = np.sort(np.concatenate([faulty, _inside(starts, labels.later_calm)]))
    truth = np.isin(np.arange(steps), faulty)
    yield Split(
        "calm first",
        _items(block, learned[:held], truth, "learned"),
        _items(block, asked, truth, "asked"),
        _items(block, learned[held:], truth, "held"),
        facts={"clean": True, "budget": 0.05},
    )


def _inside(starts: Numbers, spans: Sequence[Span]) -> Numbers:
    """Give the numbers of the windows that lie wholly in one of some spans."""
    return np.array([at for at, begin in enumerate(starts.tolist()) if within_any(begin, WINDOW_NS, spans)], np.int64)


def _items(block: ModalityBlock, chosen: Numbers, truth: npt.NDArray[np.bool_], name: str) -> tuple[Item, ...]:
    return (Item(name, ModalityBlock(*(part[chosen] for part in block)), truth[chosen]),)


def _block(store: Store, begin: int, steps: int) -> ModalityBlock:
    cells: Cells = {}
    for first in range(0, steps, READ_STEPS):
        within = TimeRange(begin + first * WINDOW_NS, begin + min(first + READ_STEPS, steps) * WINDOW_NS)
        _logs(store, within, first, cells)
        _traces(store, within, first, cells)
        _metrics(store, within, first, cells)
    made = wide(as_values(cells), steps)
    return ModalityBlock(*(made[name] for name in MODALITIES))


def _logs(store: Store, within: TimeRange, first: int, cells: Cells) -> None:
    found = rows(
        store,
        """SELECT service, template_id, (time_unix_ns - ?) // ? AS step, count(*) AS n FROM logs
           WHERE time_unix_ns >= ? AND time_unix_ns < ? AND template_id IS NOT NULL GROUP BY ALL ORDER BY ALL""",
        [within.from_unix_ns, WINDOW_NS, *within],
        within=within,
    )
    for row in found:
        cells["logs", first + row["step"], f"count {row['service']} {row['template_id']}"] = float(np.log1p(row["n"]))


def _traces(store: Store, within: TimeRange, first: int, cells: Cells) -> None:
    found = rows(
        store,
        """SELECT service, name, (time_unix_ns - ?) // ? AS step, count(*) AS n, avg(duration_ns) / 1e9 AS seconds
           FROM spans WHERE time_unix_ns >= ? AND time_unix_ns < ? GROUP BY ALL ORDER BY service, name, step""",
        [within.from_unix_ns, WINDOW_NS, *within],
        within=within,
    )
    for row in found:
        step, operation = first + row["step"], f"{row['service']} {row['name']}"
        cells["traces", step, f"count {operation}"] = float(np.log1p(row["n"]))
        cells["traces", step, f"time {operation}"] = float(np.log(max(row["seconds"], 0.0) + 1e-6))


def _metrics(store: Store, within: TimeRange, first: int, cells: Cells) -> None:
    """Take the metrics as diagnosis reads them: gauges as means, counters as rates, histograms as both."""
    reading = TimeRange(within.from_unix_ns - LEAD_STEPS * WINDOW_NS, within.to_unix_ns)
    told = rows(
        store,
        "SELECT DISTINCT service FROM metrics WHERE time_unix_ns >= ? AND time_unix_ns < ? AND service <> ''",
        [*reading],
        within=reading,
    )
    for one in metric_series(store, reading, WINDOW_NS, sorted(row["service"] for row in told)):
        values = one.values[LEAD_STEPS:]
        for step in np.flatnonzero(np.isfinite(values)).tolist():
            value = float(values[step])
            cells["metrics", first + step, f"{one.node} {one.name} {one.unit}"] = float(
                np.sign(value) * np.log1p(abs(value))
            )


DATA = (
    DataSpec(
        "shop",
        1,
        "anomaly-detection",
        "modalities",
        "5 s windows of logs, traces and metrics of the example shop as recorded here, learned in the calm before",
        (),
        _splits,
        "normal",
        quick=False,
        system="example_shop",
        recorded=RECORDED,
    ),
)
