"""Operators who judge what the product's own detectors tell on labelled public data, some of them wrongly.

Each data set is one install: its incidents in order of time, the earlier half for the operator to judge, the later half
held out (benchmarks.feedback_installs). The ground truth is the operator; 0 %, 5 % or 20 % of the labels are turned
round. A label is a verdict on an incident (grouped as the product does; a session or a trace is one by itself), in the
order in which the product asks, five at a time, or in a random one; a round is made of every five and acts only when
watchkeeper.feedback promotes it. An incident is told unless feedback lowers all its findings. Of the held-out half,
over the number of labels: false alarms, that is incidents of no true event, recall (share of the true events that are
told of) and F1, each a mean over seeds with the 95 % interval of that mean by bootstrap. Beside it: silences for kind
and template, else kind and service, of all that was called wrong.
SEEN: the design was chosen in sight of these. UNSEEN: nothing was chosen on these; feedback was run on them once. LATE:
added after the unseen ones had shown no change.
Needs asd, smd, bgl_100k_raw, hdfs_2pct_raw, openstack_mixed, ait_sequences, bgl_windows_distillog and
traceanomaly_trainticket.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.feedback_installs import INSTALLS, Alarm, Install
from benchmarks.tables import show
from watchkeeper.bench.output.svg import Axis, standalone
from watchkeeper.feedback.entries import Described, described
from watchkeeper.feedback.ledger import Labelled
from watchkeeper.feedback.policy import Policy, learn
from watchkeeper.feedback.questions import questions
from watchkeeper.feedback.rounds import evaluate
from watchkeeper.settings import Settings

LABELS = (0, 5, 10, 20, 50, 100)
WRONG_SHARES = (0.0, 0.05, 0.2)
ORDERS = ("asked", "random")
ROUND = 5
SEEDS = 10
RESAMPLES = 2_000
SEEN, UNSEEN, LATE = ("asd", "bgl", "smd", "hdfs", "openstack"), ("hadoop", "trainticket"), ("bgl_windows",)
PLOT = Path(__file__).parents[1] / "docs" / "images" / "feedback.svg"


class Figures(NamedTuple):
    """What is told of the held-out half."""

    false_alarms: int
    recall: float
    f1: float


def figures(told: Sequence[Alarm], events: frozenset[str]) -> Figures:
    """Count what is told; precision is of incidents, recall of events."""
    false = sum(not each.is_true for each in told)
    found = frozenset[str]().union(*(one.events for each in told for one in each.members)) & events
    recall = len(found) / len(events) if events else 0.0
    precision = 1.0 - false / len(told) if told else 0.0
    both = precision + recall
    return Figures(false, recall, 2 * precision * recall / both if both else 0.0)


def simulate(install: Install, wrong_share: float, seed: int, order_of: str) -> list[tuple[Figures, Figures]]:
    """Judge incidents one by one; give the figures of feedback and of silences after each number of labels.

    order_of: `asked` judges what the product asks about, `random` a random one.
    """
    random = np.random.default_rng([seed, round(wrong_share * 100)])
    order = random.permutation(len(install.judged)).tolist()
    turned = random.random(len(install.judged)) < wrong_share
    known = [one.about for each in install.judged for one in each.members]
    told = Counter(each.key for each in known)
    place = {one.finding.id: at for at, each in enumerate(install.judged) for one in each.members}
    labels: list[Labelled] = []
    asked: list[int] = []
    active, rows = Policy(), []
    for count in range(max(LABELS) + 1):
        if count and count % ROUND == 0:
            candidate = learn(labels, entries=sorted({each.entries[0] for each in labels}), told=told)
            found = evaluate(candidate, active, labels, told=told, lost=lambda policy: 0, taken_up=0)
            active = active if found.reason else candidate
        if count in LABELS:
            rows.append((_by_policy(install, active), _by_silences(install, labels)))
        if count < len(order):
            if order_of == "asked" and not asked:
                next_ones = questions(known, labels, limit=ROUND)
                asked = list(dict.fromkeys(place[each.finding_id] for each in next_ones))
            at = asked.pop(0) if order_of == "asked" else order[count]
            alarm = install.judged[at]
            right = alarm.is_true ^ bool(turned[at])
            labels += [
                Labelled(described(each.finding), right, (f"{count:03d}",), len(alarm.members))
                for each in alarm.members
            ]
    return rows


def _by_policy(install: Install, policy: Policy) -> Figures:
    return figures(_left(install.held_out, lambda each: policy.weigh(each).lowers), install.events)


def _by_silences(install: Install, labels: Sequence[Labelled]) -> Figures:
    silenced = {_silence(each.described) for each in labels if not each.is_right}
    return figures(_left(install.held_out, lambda each: _silence(each) in silenced), install.events)


def _left(alarms: Sequence[Alarm], lowered: Callable[[Described], bool]) -> list[Alarm]:
    """Give the incidents that still open, each with all its findings: what is lowered keeps the others company."""
    return [each for each in alarms if not all(lowered(one.about) for one in each.members)]


def _silence(one: Described) -> tuple[str, ...]:
    """Give what a person would silence: kind and template, else kind and service."""
    return (one.kind, one.what) if one.template_id else (one.kind, one.service)


# -- figures --------------------------------------------------------------------------------------------------------


def interval(values: Sequence[float]) -> list[float]:
    """Give mean, low and high: the 95 % interval of the mean over seeds by bootstrap."""
    told = np.array(values, np.float64)
    means = told[np.random.default_rng(0).integers(0, len(told), (RESAMPLES, len(told)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return [round(float(each), 4) for each in (told.mean(), low, high)]


def measured(install: Install, seeds: int) -> dict[str, Any]:
    """Give the figures of an install for each share of wrong labels and number of labels."""
    result: dict[str, Any] = {
        "incidents_to_judge": len(install.judged),
        "incidents_held_out": len(install.held_out),
        "events_held_out": len(install.events),
    }
    for share, order in itertools.product(WRONG_SHARES, ORDERS):
        runs = [simulate(install, share, seed, order) for seed in range(seeds)]
        for way, name in enumerate((order, f"{order}_silences")):
            rows = {}
            for at, count in enumerate(LABELS):
                every = [run[at][way] for run in runs]
                rows[str(count)] = {
                    figure: interval([getattr(each, figure) for each in every]) for figure in Figures._fields
                }
            result[f"{name}_{share:.0%}_wrong"] = rows
    return result


def held(result: dict[str, Any], labels: int = 20, way: str = "asked_5%_wrong") -> dict[str, float]:
    """Give by how much false alarms fall and how many points of recall it costs."""
    before, after = result[way]["0"], result[way][str(labels)]
    false = before["false_alarms"][0]
    return {
        "false_alarms_cut": round(1 - after["false_alarms"][0] / false, 3) if false else 0.0,
        "recall_points_lost": round(100 * (before["recall"][0] - after["recall"][0]), 2),
    }


def drawn(results: dict[str, Any]) -> str:
    """Draw the share of false alarms left over the number of labels in the order asked, 5 % of them wrong."""
    series = {}
    for name, result in results.items():
        rows = result["asked_5%_wrong"]
        before = rows["0"]["false_alarms"][0]
        if before:
            kind = "unseen" if name in UNSEEN else "added late" if name in LATE else "seen"
            series[f"{name} ({kind})"] = [(float(at), rows[str(at)]["false_alarms"][0] / before) for at in LABELS]
    return standalone(
        series,
        Axis("labels of the operator, 5 % of them wrong", 0, max(LABELS)),
        Axis("false alarms left", 0, 1),
        joined=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--sets", nargs="*", default=[*SEEN, *UNSEEN, *LATE], choices=list(INSTALLS))
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--cache", type=Path, help="Folder to keep the findings of slow detectors in.")
    parser.add_argument("--plot", type=Path, help=f"File to draw to, as SVG, such as {PLOT.name}.")
    chosen = parser.parse_args()
    folder: Path = Settings().path("data")
    results: dict[str, Any] = {}
    for name in chosen.sets:
        results[name] = measured(INSTALLS[name](folder, chosen.cache), chosen.seeds)
        results[name]["with_20_labels_5%_wrong"] = held(results[name])
        print(f"  {name}: {results[name]['with_20_labels_5%_wrong']}", file=sys.stderr, flush=True)
    if chosen.plot:
        chosen.plot.write_text(drawn({name: results[name] for name in chosen.sets}), encoding="utf-8")
    print(json.dumps(results) if chosen.json else show("feedback_simulation", results))


if __name__ == "__main__":
    main()
