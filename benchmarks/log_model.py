"""The trained log model: right, under drift, and how fast, beside the online detector and the baselines.

anomalies: the harness's cells (precision, recall, F1, PR-AUC) of HDFS raw lines in order of time, BGL raw lines, BGL
windows and OpenStack. drift: sessions in order of time in five parts; learned from the normal ones of the first, asked
about each later part, once as it is and once trained again on all parts before it. speed: lines a second of processor
time on HDFS lines: the pattern miner's kernel alone, the model with a warm cache, and cold; forms a second that the
network is asked of, with exact and with rounded weights; how right the time left was, from the half of the training on.
One seed by default. Needs torch and hdfs_2pct_raw, bgl_100k_raw, bgl_windows_distillog, openstack_mixed, ait_sequences.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from watchkeeper.bench.base import Model, Place, Split
from watchkeeper.bench.cells import cell_of
from watchkeeper.bench.data import bgl, bgl_lines, hdfs
from watchkeeper.bench.data.cached import cached
from watchkeeper.bench.data.sessions import SessionTable
from watchkeeper.bench.discover import catalogue
from watchkeeper.bench.forms import FORMS
from watchkeeper.bench.measure import measure_cell
from watchkeeper.bench.models.log_model import Learned
from watchkeeper.bench.models.log_sessions import Newcomers, UnseenTemplate
from watchkeeper.bench.protocol import run_split
from watchkeeper.bench.scores.flags import areas, flagged_figures
from watchkeeper.learn.line_counts import LineCounts, has_failure_words
from watchkeeper.learn.line_tokens import words
from watchkeeper.learn.log_model import TRAINING, LogModel
from watchkeeper.learn.masked_lines import MaskedLines
from watchkeeper.learn.network import Network
from watchkeeper.learn.quantised import Quantised
from watchkeeper.learn.training import Progress, Training
from watchkeeper.patterns.kernel import open_kernel
from watchkeeper.settings import Settings
from watchkeeper.training.public_lines import public_lines

DATA = ("hdfs", "bgl_lines", "openstack", "bgl")
MODELS = (
    "log_model",
    "log_model_by_session",
    "log_model_exact",
    "log_model_all_lines",
    "masked_lines",
    "masked_lines_surprise",
    "newcomer_watch",
    "session_profile",
    "unseen_template",
    "always",
    "random",
)
PARTS = 5
FIGURES = ("precision", "recall", "f1", "pr_auc", "false_alarms")
BATCH = 20_000
COLD_FORMS_MAX = 200
STEPS_TIMED = 300


def anomalies(place: Place, seeds: tuple[int, ...], data: tuple[str, ...], models: tuple[str, ...]) -> dict[str, Any]:
    """Run the harness's cells."""
    known = catalogue()
    told: dict[str, Any] = {}
    for each in data:
        told[each] = {}
        for model in models:
            record = measure_cell(cell_of(known, f"anomaly-detection/{each}@1/{model}/none"), place, seeds)
            figures = {name: round(record["figures"][name][0], 4) for name in FIGURES if name in record["figures"]}
            told[each][model] = {**figures, **record["notes"], "fit_s": record["seconds"]["fit"]}
            _say(each, model, told[each][model])
    return told


def drift(place: Place, data: tuple[str, ...], steps: int) -> dict[str, Any]:
    """Learn from the first part; ask about the later ones, with and without training again."""
    training = replace(TRAINING, steps_min=min(TRAINING.steps_min, steps), steps_max=steps)
    makers: dict[str, Callable[[], Model]] = {
        "log_model": partial(Learned, training),
        "log_model_all_lines": partial(Learned, training, leaves_out_failures=False),
        "unseen_template": UnseenTemplate,
        "newcomer_watch": Newcomers,
    }
    tables = {
        "hdfs": partial(hdfs.table, place),
        "bgl_lines": partial(_table, place, "bgl_lines", (bgl_lines.SOURCE,), bgl_lines.tables),
        "bgl": partial(_table, place, "bgl_windows", (bgl.SOURCE, bgl.TEXTS), bgl.tables),
    }
    told: dict[str, Any] = {}
    for name in data:
        table = tables[name]()
        told[name] = {}
        for model, make in makers.items():
            once, anew = _once(make, table), _anew(make, table)
            for part, (kept, again) in enumerate(zip(once, anew, strict=True), 2):
                row = {f"{each}_once": value for each, value in kept.items()}
                row |= {f"{each}_anew": value for each, value in again.items()}
                told[name][f"{model} part {part}"] = row
                _say(name, f"{model} part {part}", row)
    return told


def speed(folder: Path) -> dict[str, Any]:
    """Measure lines and forms a second of processor time, and the time left told while training."""
    batches = [pa.array(lines) for lines in public_lines("hdfs", folder)]
    counts, total = LineCounts(), sum(map(len, batches))
    counting_s = time.process_time()
    for lines in batches:
        counts.add(lines.filter(pa.array(~has_failure_words(lines))))
    counting_s = time.process_time() - counting_s
    told: list[Progress] = []
    model = LogModel.learn(
        counts, training=Training(epochs=10_000, batch=32, decay=0.005, steps_max=STEPS_TIMED), told=told.append
    )
    kernel = open_kernel()
    times = np.zeros(BATCH, np.int64)
    miner_s = _processor_s(lambda: [kernel.run(lines, times[: len(lines)]) for lines in batches])
    cold_s = _processor_s(lambda: [model.judge(lines) for lines in batches])
    warm_s = _processor_s(lambda: [model.judge(lines) for lines in batches])
    exact, rounded = _both(model)
    forms = [words(form) for form in _foreign(folder)]
    forms_s = {name: _processor_s(partial(lines.guess, forms)) for name, lines in (("exact", exact), ("int8", rounded))}
    return {
        "lines": total,
        "counting_lines_per_s": round(total / counting_s),
        "miner_lines_per_s": round(total / miner_s),
        "warm_lines_per_s": round(total / warm_s),
        "cold_lines_per_s": round(total / cold_s),
        "ratio_warm_to_miner": round(miner_s / warm_s, 3),
        "ratio_cold_to_miner": round(miner_s / cold_s, 3),
        "forms_asked": model.asked,
        "exact_forms_per_s": round(len(forms) / forms_s["exact"], 1),
        "int8_forms_per_s": round(len(forms) / forms_s["int8"], 1),
        "ratio_int8_to_exact": round(forms_s["exact"] / forms_s["int8"], 2),
        "exact_mb": round(len(exact.onnx()) / 1e6, 2),
        "int8_mb": round(len(rounded.onnx()) / 1e6, 2),
        "training_s": round(told[-1].elapsed_s, 1),
        **_time_left(told),
    }


def _time_left(told: list[Progress]) -> dict[str, float]:
    """Give how far the time left was off, as a share of what was left, from the half of the steps to nine tenths."""
    end_s = told[-1].elapsed_s
    late = [each for each in told if 0.5 <= each.step / each.steps <= 0.9]
    off = np.array([abs(each.remaining_s - (end_s - each.elapsed_s)) / (end_s - each.elapsed_s) for each in late])
    return {"time_left_off_median": round(float(np.median(off)), 3), "time_left_off_most": round(float(off.max()), 3)}


def _both(model: LogModel) -> tuple[MaskedLines, MaskedLines]:
    network = model.exact.network
    assert isinstance(network, Network)
    return model.exact, MaskedLines(Quantised.of(network))


def _foreign(folder: Path) -> list[str]:
    """Give forms of another system: none of them is known."""
    counts = LineCounts()
    for lines in public_lines("hadoop", folder):
        counts.add(lines)
        break
    return counts.lines()[:COLD_FORMS_MAX]


def _processor_s(work: Any) -> float:
    begun_s = time.process_time()
    work()
    return time.process_time() - begun_s


def _table(place: Place, name: str, sources: tuple[str, ...], make: Any) -> SessionTable:
    read = cached(name, sources, place, make)
    return SessionTable(read["lines"], read["labels"], read["texts"])


def _splits(table: SessionTable, *, again: bool) -> Iterator[Split]:
    """Give a split for each later part: learned from is the first, or all before it."""
    ends = [round(at * len(table) / PARTS) for at in range(PARTS + 1)]
    for part in range(1, PARTS):
        learned = np.arange(ends[part] if again else ends[1])
        yield table.split(f"part {part + 1}", learned, np.arange(ends[part], ends[part + 1]), clean=True)


def _anew(make: Callable[[], Model], table: SessionTable) -> list[dict[str, float]]:
    return [_figures(split, make) for split in _splits(table, again=True)]


def _once(make: Callable[[], Model], table: SessionTable) -> list[dict[str, float]]:
    """Learn once and ask about all later parts in order; online models go on learning from what they are asked."""
    splits = list(_splits(table, again=False))
    whole = splits[0]
    test = tuple(item for split in splits for item in split.test)
    outcome, _, _ = run_split(
        make, Split("later", whole.train, test, whole.validation, facts=whole.facts), FORMS.get("sessions"), 0
    )
    told, at = [], 0
    for split in splits:
        scores = np.concatenate(outcome.answers[at : at + len(split.test)])
        at += len(split.test)
        told.append(_measured(scores, _truth(split), outcome.threshold))
    return told


def _figures(split: Split, make: Callable[[], Model]) -> dict[str, float]:
    outcome, _, _ = run_split(make, split, FORMS.get("sessions"), 0)
    return _measured(np.concatenate(outcome.answers), _truth(split), outcome.threshold)


def _truth(split: Split) -> npt.NDArray[np.bool_]:
    return np.concatenate([np.asarray(item.truth, bool) for item in split.test])


def _measured(scores: npt.NDArray[np.float64], true: Any, threshold: float | None) -> dict[str, float]:
    told = {**flagged_figures(scores > (np.inf if threshold is None else threshold), true), **areas(scores, true)}
    return {name: round(float(told[name][0]), 4) for name in ("f1", "pr_auc", "false_alarms")}


def _say(*parts: object) -> None:
    print(" ", *parts, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", nargs="*", default=("anomalies", "drift", "speed"), metavar="PART")
    parser.add_argument("--data", nargs="*", default=DATA)
    parser.add_argument("--models", nargs="*", default=MODELS)
    parser.add_argument("--seeds", nargs="*", type=int, default=(0,))
    parser.add_argument(
        "--steps", type=int, default=TRAINING.steps_max, help="at most so many in each training of drift"
    )
    chosen = parser.parse_args()
    folder = Settings().path("data")
    place = Place(folder, Settings().path("home") / "bench" / "cache")
    result: dict[str, Any] = {}
    if "speed" in chosen.only:
        result["speed"] = speed(folder)
    if "anomalies" in chosen.only:
        result["anomalies"] = anomalies(place, tuple(chosen.seeds), tuple(chosen.data), tuple(chosen.models))
    if "drift" in chosen.only:
        drifting = tuple(each for each in chosen.data if each != "openstack")  # whose lines have no times
        result["drift"] = drift(place, drifting, chosen.steps)
    print(json.dumps(result, indent=None if chosen.json else 2))


if __name__ == "__main__":
    main()
