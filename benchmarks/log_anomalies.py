"""Log anomalies on labelled public logs: F1 beside the trivial baselines, split by time, thresholds fixed beforehand.

HDFS (sessions from raw lines, first half of the sessions to learn from): normal-only and unlabelled. BGL windows (event
ids): 50/50 and 80/20 normal-only, 50/50 unlabelled. BGL raw lines: the log detector as it runs; which alerts its
findings name, how many findings there are in all, and its score of each line of the second half. Baselines: always,
never, unseen-template lookup, that lookup for templates that read like errors only, and for lines those that say FATAL.
Every row tells what was trained on and the false alarms that the threshold was set for and that came. The settings of
newcomer_watch and the words by which a template reads like an error were chosen on the first half of the BGL windows;
those of session_profile were chosen in sight of test labels. newcomer_watch is given the templates' texts, the row
that says so only their ids; the texts of the BGL windows are those of ait_sequences, whose ids are the same. Needs
hdfs_2pct_raw, bgl_100k_raw, bgl_windows_distillog and ait_sequences.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import parquet

from watchkeeper.datasets.read import read_members
from watchkeeper.detect.logs import LogDetector
from watchkeeper.detect.newcomers import FALSE_ALARMS, NewcomerWatch
from watchkeeper.detect.parts import SEVERITY_ERROR
from watchkeeper.detect.service import UNSEEN_SCORE_MIN
from watchkeeper.detect.sessions import CLEAN_SHARE, SessionProfile, Sessions, gather
from watchkeeper.detect.words import implied_severity
from watchkeeper.patterns.miner import TemplateMiner
from watchkeeper.settings import Settings
from watchkeeper.signals.finding import Finding
from watchkeeper.signals.schema import LOGS

BATCH = 1_000
WINDOW = 50
SEVERITIES = {"INFO": 9, "WARNING": 13, "ERROR": 17, "SEVERE": 17, "FATAL": 21, "FAILURE": 21}

Flags = npt.NDArray[np.bool_]


def f1(found: Flags, true: Flags) -> float:
    """Give the F1 of the anomalous class, 0 when nothing is found."""
    total = int(found.sum() + true.sum())
    return round(2 * int((found & true).sum()) / total, 4) if total else 0.0


class Trial(NamedTuple):
    """What is learned from and what is scored. text: gives a template's text by its id."""

    train: Sessions
    test: Sessions
    true: Flags
    text: Callable[[int], str]
    learn_until_s: float = 0.0
    now_s: float = 1.0


def judged(trial: Trial, *, clean: bool) -> dict[str, Any]:
    """Give the F1 of Watchkeeper and of the baselines; `clean` tells that the training part holds no anomalies.

    session_profile is learned once and then only scores. newcomer_watch takes the test part in order, each window
    scored before it is learned, and is told no label of it.
    """
    train, test, true = trial.train, trial.test, trial.true
    budget = CLEAN_SHARE if clean else 0.05
    profile = SessionProfile.learn(train, trial.learn_until_s, anomalous_share=0.0 if clean else budget)
    unseen = test.templates[~np.isin(test.templates, train.templates[np.isfinite(train.delays_s).any(axis=0)])]
    grave = [one for one in unseen.tolist() if implied_severity(trial.text(one)) >= SEVERITY_ERROR]
    found = {
        "session_profile": profile.score(test, trial.now_s) > profile.threshold,
        "newcomer_watch": newcomers(NewcomerWatch(trial.text), train, test, clean=clean),
        "newcomer_watch_ids_only": newcomers(NewcomerWatch(), train, test, clean=clean),
        "always": np.ones_like(true),
        "never": np.zeros_like(true),
        "unseen_template": has_any(test, unseen),
        "unseen_grave_template": has_any(test, np.array(grave, np.int64)),
    }
    return {
        "f1": {name: f1(flags, true) for name, flags in found.items()},
        "trained_on": f"{len(train.starts_s)} {'normal' if clean else 'unlabelled'} ones, the earlier part",
        "tested_on": len(true),
        "anomalous_share": round(float(true.mean()), 4),
        "false_alarm_budget": {"session_profile": budget, "newcomer_watch": FALSE_ALARMS},
        "false_alarms": {name: round(float(flags[~true].mean()), 4) for name, flags in found.items()},
    }


def newcomers(watch: NewcomerWatch, train: Sessions, test: Sessions, *, clean: bool) -> Flags:
    """Train the watch and give what it tells of the test part, taken in order."""
    watch.train(in_order(train)[1], clean=clean)
    order, windows = in_order(test)
    told = np.zeros(len(order), bool)
    told[order] = [watch.take(window) > watch.threshold for window in windows]
    return told


def has_any(sessions: Sessions, templates: npt.NDArray[np.int64]) -> Flags:
    """Tell which sessions have one of the templates."""
    return np.asarray(np.isfinite(sessions.delays_s)[:, np.isin(sessions.templates, templates)].any(axis=1))


def in_order(sessions: Sessions) -> tuple[npt.NDArray[np.int64], list[set[int]]]:
    """Give the sessions' order in time and the templates of each, in that order."""
    order = np.argsort(sessions.starts_s, kind="stable")
    present = np.isfinite(sessions.delays_s)[order]
    return order, [set(sessions.templates[row].tolist()) for row in present]


def part(sessions: Sessions, chosen: Flags) -> Sessions:
    """Give some of the sessions."""
    return Sessions(sessions.templates, sessions.starts_s[chosen], sessions.delays_s[chosen])


def hdfs(folder: Path) -> dict[str, Any]:
    """Score HDFS sessions from raw lines, the first half by time to learn from."""
    content = dict(read_members("hdfs_2pct_raw", folder, lambda name: name.endswith(".parquet")))
    tables = {Path(name).name: parquet.read_table(io.BytesIO(data)) for name, data in content.items()}
    events, labels = tables["hdfs_events_2percent.parquet"], tables["hdfs_seqs_2percent.parquet"]
    miner = TemplateMiner()
    bodies = events.column("m_message").combine_chunks()
    template = miner.match(bodies, pa.nulls(len(bodies), pa.int64())).to_numpy()
    encoded = events.column("seq_id").combine_chunks().dictionary_encode()
    time_s = events.column("m_timestamp").to_numpy().astype("datetime64[s]").astype(np.float64)
    sessions = gather(encoded.indices.to_numpy().astype(np.int64), template, time_s)
    anomalous = dict(zip(labels.column("seq_id").to_pylist(), labels.column("anomaly").to_pylist(), strict=True))
    true = np.array([anomalous[name] for name in encoded.dictionary.to_pylist()])
    order = np.argsort(sessions.starts_s, kind="stable")
    first = np.zeros(len(order), bool)
    first[order[: len(order) // 2]] = True
    split_s, now_s = float(sessions.starts_s[order[len(order) // 2]]), float(time_s.max())
    test = part(sessions, ~first)

    def trial(learned: Flags) -> Trial:
        return Trial(part(sessions, learned), test, true[~first], text_of(miner), split_s, now_s)

    return {
        "sessions": len(true),
        "normal_only": judged(trial(first & ~true), clean=True),
        "unlabelled": judged(trial(first), clean=False),
    }


def text_of(miner: TemplateMiner) -> Callable[[int], str]:
    """Give the function from a template's id to its text, "" when it is not known."""

    def text(template_id: int) -> str:
        template = miner.get(template_id)
        return template.text if template else ""

    return text


def bgl_windows(folder: Path) -> dict[str, Any]:
    """Score windows of 50 BGL events in time order."""
    [(_, data)] = read_members("bgl_windows_distillog", folder, lambda name: name.endswith("chronological_test.csv"))
    rows = list(csv.reader(io.StringIO(data.decode())))
    events = [[int(event) for event in row[0].split()] for row in rows]
    true = np.array([int(row[1]) for row in rows]) == 1
    window = np.repeat(np.arange(len(events)), [len(one) for one in events])
    template = np.concatenate([np.array(one) for one in events])
    sessions = gather(window, template, np.zeros(len(window)))
    text = bgl_templates(folder)
    result: dict[str, Any] = {"windows": len(true)}
    for name, share, normal_only in (
        ("half_normal_only", 0.5, True),
        ("four_fifths_normal_only", 0.8, True),
        ("half_unlabelled", 0.5, False),
    ):
        first = np.arange(len(true)) < int(share * len(true))
        chosen = first & ~true if normal_only else first
        trial = Trial(part(sessions, chosen), part(sessions, ~first), true[~first], text)
        result[name] = judged(trial, clean=normal_only)
    return result


def bgl_templates(folder: Path) -> Callable[[int], str]:
    """Give the function from a BGL event id to its template: event n is line n, from 1.

    That the windows have the same ids shows in what comes together in them, for one: "rts: kernel terminated" as often
    as "Error receiving packet on tree network", and the two lines about a count of ddr errors as often as each other.
    """
    [(_, data)] = read_members("ait_sequences", folder, lambda name: name.endswith("templates/BGL_templates.csv"))
    lines = data.decode().splitlines()
    return lambda event: lines[event - 1] if 1 <= event <= len(lines) else ""


def bgl_lines(folder: Path) -> dict[str, Any]:
    """Run the log detector over the raw lines and hold its findings and its scores against the alerts."""
    [(_, data)] = read_members("bgl_100k_raw", folder, lambda name: name.endswith("bgl2_100k.log"))
    fields = [line.split(" ", 9) for line in data.decode("utf-8", "replace").splitlines()]
    miner = TemplateMiner()
    detector = LogDetector(text_of(miner), warmup_s=600.0, window_s=10.0, close_s=120.0, parameters=miner.parameters)
    told: dict[str, Finding] = {}
    scores, templates, severities = np.empty(len(fields)), np.empty(len(fields), np.int64), np.empty(len(fields))
    for start in range(0, len(fields), BATCH):
        batch = log_batch(fields[start : start + BATCH], miner)
        rows = slice(start, start + batch.num_rows)
        scores[rows] = detector.score(batch)
        templates[rows] = batch.column("template_id").to_numpy()
        severities[rows] = batch.column("severity_number").to_numpy()
        told.update({finding.id: finding for finding in detector.learn(batch)})
    true = np.array([one[0] != "-" for one in fields])
    alerts = set(templates[true].tolist())
    unseen = {finding.template_id for finding in told.values() if finding.kind == "log.template.unseen"}
    lines = Lines(true, scores, templates, severities, text_of(miner))
    return {
        "lines": len(fields),
        "hours": round((int(fields[-1][1]) - int(fields[0][1])) / 3600, 1),
        "findings": len(told),
        "findings_by_kind": dict(Counter(finding.kind for finding in told.values())),
        "alert_templates": len(alerts),
        "alert_templates_told_when_new": len(alerts & unseen),
        "online_untrained": lines_online(lines),
        "half_normal_only": lines_judged(lines, clean=True),
        "half_unlabelled": lines_judged(lines, clean=False),
    }


class Lines(NamedTuple):
    """Raw lines in order, each (n,): whether it is an alert, its online score, template and severity.

    text: gives a template's text by its id.
    """

    true: Flags
    scores: npt.NDArray[np.float64]
    templates: npt.NDArray[np.int64]
    severities: npt.NDArray[np.float64]
    text: Callable[[int], str]


def lines_online(lines: Lines) -> dict[str, Any]:
    """Hold each line from the first on against its label: no training part, the threshold that findings have."""
    first = np.zeros(len(lines.true), bool)
    first[np.unique(lines.templates, return_index=True)[1]] = True
    every = {
        "log_detector": lines.scores >= UNSEEN_SCORE_MIN,
        "always": np.ones_like(first),
        "never": np.zeros_like(first),
        "unseen_template": first,
        "fatal": lines.severities >= SEVERITIES["FATAL"],
    }
    graded = {**every, "log_detector": lines.scores}
    return {
        "f1": {name: f1(flags, lines.true) for name, flags in every.items()},
        "pr_auc": {name: pr_auc(graded[name], lines.true) for name in every},
        "trained_on": "nothing beforehand",
        "tested_on": len(lines.true),
        "anomalous_share": round(float(lines.true.mean()), 4),
        "false_alarm_budget": "none, a fixed threshold",
        "false_alarms": {name: round(float(flags[~lines.true].mean()), 5) for name, flags in every.items()},
    }


def lines_judged(lines: Lines, *, clean: bool) -> dict[str, Any]:
    """Hold each line of the second half against its label; `clean`: the first half's alerts are left out of training.

    log_detector is the same in both: it learns as it runs and knows no labels; only its threshold is of the first half.
    """
    half = len(lines.true) // 2
    train = np.flatnonzero(~lines.true[:half] if clean else np.ones(half, bool))
    true, templates = lines.true[half:], lines.templates[half:]
    threshold = max(UNSEEN_SCORE_MIN, float(np.quantile(lines.scores[train], 1 - FALSE_ALARMS)))
    watch = NewcomerWatch(lines.text)
    windows = [set(part.tolist()) for part in np.array_split(lines.templates[train], len(train) // WINDOW)]
    watch.train(windows, clean=clean)
    new_lines = np.zeros(len(true))
    for start in range(0, len(true), WINDOW):
        window = templates[start : start + WINDOW]
        new = list(watch.new_in(set(window.tolist())))
        new_lines[start : start + WINDOW] = np.isin(window, new) * watch.take(set(window.tolist()))
    unseen = ~np.isin(templates, lines.templates[train])
    fatal = lines.severities[half:] >= SEVERITIES["FATAL"]
    found = {"log_detector": lines.scores[half:] >= threshold, "newcomer_watch": new_lines > watch.threshold}
    graded = {"log_detector": lines.scores[half:], "newcomer_watch": new_lines}
    plain = {"always": np.ones_like(true), "never": np.zeros_like(true), "unseen_template": unseen, "fatal": fatal}
    every = {**found, **plain}
    return {
        "f1": {name: f1(flags, true) for name, flags in every.items()},
        "pr_auc": {name: pr_auc(graded.get(name, flags), true) for name, flags in every.items()},
        "trained_on": f"{len(train)} {'normal' if clean else 'unlabelled'} lines, the earlier half",
        "tested_on": len(true),
        "anomalous_share": round(float(true.mean()), 4),
        "false_alarm_budget": FALSE_ALARMS,
        "false_alarms": {name: round(float(flags[~true].mean()), 4) for name, flags in every.items()},
    }


def pr_auc(scores: npt.NDArray[Any], true: Flags) -> float:
    """Give the average precision over the distinct scores as thresholds, highest first."""
    distinct, place = np.unique(-scores.astype(np.float64), return_inverse=True)
    hits = np.cumsum(np.bincount(place, weights=true, minlength=len(distinct)))
    taken = np.cumsum(np.bincount(place, minlength=len(distinct)))
    steps = np.diff(hits, prepend=0.0) / max(1.0, hits[-1])
    return round(float(np.sum(steps * hits / taken)), 4)


def log_batch(fields: list[list[str]], miner: TemplateMiner) -> pa.RecordBatch:
    """Give a batch of the logs schema from lines of BGL."""
    bodies = pa.array([one[9] if len(one) > 9 else "" for one in fields])
    times = pa.array([int(one[1]) * 10**9 for one in fields], pa.int64())
    told = {
        "time_unix_ns": times,
        "received_unix_ns": times,
        "severity_number": pa.array([SEVERITIES.get(one[8], 0) if len(one) > 8 else 0 for one in fields], pa.int32()),
        "body": bodies,
        "service": pa.array(["bgl"] * len(fields)).dictionary_encode(),
        "trace_id": pa.array([""] * len(fields)),
        "template_id": miner.match(bodies, times),
    }
    rows = len(fields)
    columns = [told[one.name].cast(one.type) if one.name in told else pa.nulls(rows, one.type) for one in LOGS]
    return pa.RecordBatch.from_arrays(columns, schema=LOGS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    folder = Settings().path("data")
    result = {}
    for measure in (hdfs, bgl_windows, bgl_lines):
        print(f"  {measure.__name__}", file=sys.stderr, flush=True)
        result[measure.__name__] = measure(folder)
    print(json.dumps(result, indent=None if chosen.json else 2))


if __name__ == "__main__":
    main()
