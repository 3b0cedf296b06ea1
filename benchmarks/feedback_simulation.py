"""Operators who judge what the product's own detectors tell on labelled public data, some of them wrongly.

Each data set is one install: its incidents in order of time, the earlier half for the operator to judge, the later half
held out. The ground truth is the operator; 0 %, 5 % or 20 % of the labels are turned round. A label is a verdict on an
incident (grouped as the product does; a session is one by itself), in the order in which the product asks, five at a
time, or in a random one; a round is made of every five and acts only when watchkeeper.feedback promotes it. An incident
is told unless feedback lowers all its findings. Of the held-out half, over the number of labels: false alarms, that is
incidents of no true event, recall (share of the true events that are told of) and F1, each a mean over seeds with the
95 % interval of that mean by bootstrap. Beside it: silences for kind and template, else kind and service, of all that
was called wrong.
Installs: asd and smd (means of five minutes) by MetricDetector, BGL raw lines by rack by LogDetector, sessions of HDFS
and instances of OpenStack by SessionProfile. Most of the design was chosen on asd and BGL; how often people
err (ERROR_SHARE, SURE) was set after a look at HDFS and OpenStack, and rules by series after smd; none is unseen.
Needs asd, smd, bgl_100k_raw, hdfs_2pct_raw, openstack_mixed and ait_sequences.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import itertools
import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import parquet

from benchmarks.log_anomalies import BATCH, log_batch, text_of
from benchmarks.metric_anomalies import STEP_S, Machine, machines
from benchmarks.metric_stream import SILENT_S, START_S, VARIANTS, stream
from benchmarks.tables import show
from watchkeeper.app.preview import grouped
from watchkeeper.bench.data import openstack as openstack_data
from watchkeeper.bench.output.svg import Axis, standalone
from watchkeeper.datasets.read import read_members
from watchkeeper.detect.logs import LogDetector
from watchkeeper.detect.sessions import SessionProfile, Sessions, gather
from watchkeeper.diagnose.rules import rules_of
from watchkeeper.feedback.entries import Described, described
from watchkeeper.feedback.ledger import Labelled
from watchkeeper.feedback.policy import Policy, learn
from watchkeeper.feedback.questions import questions
from watchkeeper.feedback.rounds import evaluate
from watchkeeper.patterns.miner import TemplateMiner
from watchkeeper.settings import Settings
from watchkeeper.signals.finding import (
    Band,
    Baseline,
    Finding,
    FindingSeverity,
    FindingState,
    finding_from_dict,
    finding_id,
)
from watchkeeper.signals.topology import Topology

LABELS = (0, 5, 10, 20, 50, 100)
WRONG_SHARES = (0.0, 0.05, 0.2)
ORDERS = ("asked", "random")
ROUND = 5
SEEDS = 5
RESAMPLES = 2_000
FIVE_MINUTES = 5
SESSIONS_LEARNED = 0.25
ALERT_GAP_NS = 600 * 10**9
DESIGN, REPORT = ("asd", "bgl"), ("smd", "hdfs", "openstack")
PLOT = Path(__file__).parents[1] / "docs" / "images" / "feedback.svg"

Ints = npt.NDArray[np.int64]


class Told(NamedTuple):
    """One finding and the true events that it tells of; none for a false one."""

    finding: Finding
    events: frozenset[str]
    about: Described


class Alarm(NamedTuple):
    """One incident: what is told together."""

    members: tuple[Told, ...]

    @property
    def first_unix_ns(self) -> int:
        """Give when it began."""
        return min(each.finding.first_unix_ns for each in self.members)

    @property
    def is_true(self) -> bool:
        """Tell whether a true event is in it."""
        return any(each.events for each in self.members)


class Install(NamedTuple):
    """The incidents of an install in order of time; events of the held-out half, told or not."""

    judged: list[Alarm]
    held_out: list[Alarm]
    events: frozenset[str]


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


# -- installs -------------------------------------------------------------------------------------------------------


def halved(alarms: Sequence[Alarm], events: dict[str, int], middle: int = 0) -> Install:
    """Split incidents at `middle` (Unix ns), else in the middle of their order; events: each with its end."""
    order = sorted(alarms, key=lambda each: (each.first_unix_ns, each.members[0].finding.id))
    middle = middle or order[len(order) // 2].first_unix_ns
    judged = [each for each in order if each.first_unix_ns < middle]
    held_out = [each for each in order if each.first_unix_ns >= middle]
    later = frozenset(name for name, end in events.items() if end >= middle)
    return Install(judged, held_out, later)


def incidents_of(told: Sequence[Told]) -> list[Alarm]:
    """Group findings by the product's rules; without a topology, a service's findings are near to each other."""
    by_id = {each.finding.id: each for each in told}
    settings = Settings(environment={})
    close_ns = int(settings.number("finding_close_s") * 1e9)
    closed = [replace(each.finding, state=FindingState.CLOSED) for each in told]
    found = grouped(closed, Topology(), rules_of(settings), close_ns=close_ns)
    return [Alarm(tuple(by_id[name] for name in each.finding_ids)) for each in found]


def machine_install(name: str, folder: Path, cache: Path | None) -> Install:
    """Run MetricDetector over the machines of a set; an event is a labelled stretch that a finding overlaps."""
    told: list[Told] = []
    events: dict[str, int] = {}
    for number, machine in enumerate(machines(name, folder)):
        machine, step_s = (_five_minutes(machine), 300.0) if name == "smd" else (machine, STEP_S[name])
        found = _cached(cache, f"{name}-{machine.name}", partial(stream, machine, step_s, VARIANTS["product"]))
        print(f"  {name}: {machine.name}: {len(found)} findings", file=sys.stderr, flush=True)
        begin_s = START_S + step_s * len(machine.train) + SILENT_S
        edges = np.flatnonzero(np.diff(np.concatenate(([0], machine.label > 0, [0]))))
        spans = [(begin_s + step_s * a, begin_s + step_s * (b - 1)) for a, b in edges.reshape(-1, 2)]
        names = [f"{number}:{at}" for at in range(len(spans))]
        events |= {event: int(end * 1e9) for event, (_, end) in zip(names, spans, strict=True)}
        for finding in found:
            first, last = finding.first_unix_ns / 1e9 - step_s, finding.last_unix_ns / 1e9 + step_s
            hit = (event for event, (a, b) in zip(names, spans, strict=True) if first <= b and last >= a)
            told.append(Told(finding, frozenset(hit), described(finding)))
    # The train part is calm throughout, so that the labelled part is halved.
    middle = begin_s + step_s * len(machine.label) / 2
    return halved(incidents_of(told), events, int(middle * 1e9))


def _five_minutes(machine: Machine) -> Machine:
    def mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        steps = len(values) // FIVE_MINUTES
        return values[: steps * FIVE_MINUTES].reshape(steps, FIVE_MINUTES, -1).mean(axis=1)

    steps = len(machine.label) // FIVE_MINUTES
    label = machine.label[: steps * FIVE_MINUTES].reshape(steps, FIVE_MINUTES).max(axis=1)
    return Machine(machine.name, mean(machine.train), mean(machine.test), label, 0)


def bgl_install(folder: Path, cache: Path | None) -> Install:
    """Run LogDetector over the raw lines of BGL, each rack a service; an event is a run of alerts of a rack.

    A finding is of an event when an alert of its template, or any alert for one of the whole rack, is within its time.
    """
    [(_, data)] = read_members("bgl_100k_raw", folder, lambda name: name.endswith("bgl2_100k.log"))
    fields = [line.split(" ", 9) for line in data.decode("utf-8", "replace").splitlines()]
    racks = np.array([one[3].partition("-")[0] for one in fields])
    alert, times = np.array([one[0] != "-" for one in fields]), np.array([int(one[1]) * 10**9 for one in fields])
    miner, templates = TemplateMiner(), []
    detector = LogDetector(text_of(miner), parameters=miner.parameters)
    told: dict[str, Finding] = {}
    for start in range(0, len(fields), BATCH):
        batch = log_batch(fields[start : start + BATCH], miner)
        place = batch.schema.get_field_index("service")
        service = pa.array(racks[start : start + BATCH]).dictionary_encode().cast(batch.schema.field(place).type)
        batch = batch.set_column(place, batch.schema.field(place), service)
        templates.append(batch.column("template_id").to_numpy())
        told.update((finding.id, finding) for finding in detector.learn(batch))
    template = np.concatenate(templates)
    print(f"  bgl: {len(told)} findings", file=sys.stderr, flush=True)
    event_of, events = _runs(racks, alert, times)
    found = []
    for finding in told.values():
        within = (racks == finding.service) & (times >= finding.first_unix_ns) & (times <= finding.last_unix_ns) & alert
        if finding.template_id is not None:
            within &= template == finding.template_id
        hit = frozenset(event_of[at] for at in np.flatnonzero(within).tolist())
        found.append(Told(finding, hit, described(finding)))
    return halved(incidents_of(found), events)


def _runs(racks: npt.NDArray[np.str_], alert: npt.NDArray[np.bool_], times: Ints) -> tuple[dict[int, str], Any]:
    """Give the event of each alert, and the end of each event: alerts of a rack without a pause of ten minutes."""
    event_of: dict[int, str] = {}
    events: dict[str, int] = {}
    newest: dict[str, tuple[str, int]] = {}
    for at in np.flatnonzero(alert).tolist():
        rack, now = str(racks[at]), int(times[at])
        name, before = newest.get(rack, ("", -ALERT_GAP_NS - 1))
        if not name or now - before > ALERT_GAP_NS:
            name = f"{rack}:{now}"
        newest[rack] = (name, now)
        event_of[at], events[name] = name, now
    return event_of, events


def session_install(name: str, sessions: Sessions, true: npt.NDArray[np.bool_], text: Callable[[int], str]) -> Install:
    """Learn a SessionProfile from the first quarter, and tell of each later session over its threshold.

    What a finding describes is the set of templates that the session holds; each true session is an event.
    """
    order = np.argsort(sessions.starts_s, kind="stable")
    learned, asked = np.split(order, [int(SESSIONS_LEARNED * len(order))])
    profile = SessionProfile.learn(_part(sessions, learned), float(sessions.starts_s[asked[0]]))
    scores = profile.score(_part(sessions, asked), float(sessions.starts_s.max()) + 1e6)
    told: list[Told] = []
    events: dict[str, int] = {}
    for at, score in zip(asked.tolist(), scores.tolist(), strict=True):
        time_ns = int(sessions.starts_s[at] * 1e9)
        if true[at]:
            events[str(at)] = time_ns
        if score > profile.threshold:
            held = sessions.templates[np.isfinite(sessions.delays_s[at])].tolist()
            finding = _of_session(name, at, time_ns, score, [text(int(each)) for each in held])
            told.append(Told(finding, frozenset({str(at)} if true[at] else ()), described(finding)))
    print(f"  {name}: {len(told)} findings", file=sys.stderr, flush=True)
    return halved([Alarm((each,)) for each in told], events)


def _of_session(name: str, at: int, time_ns: int, score: float, texts: list[str]) -> Finding:
    what = " | ".join(sorted(texts))
    number = int.from_bytes(hashlib.blake2b(what.encode(), digest_size=7).digest())
    return Finding(
        finding_id("log.session", name, str(at), time_ns),
        "log.session",
        "logs",
        name,
        f"service={name}",
        str(at),
        f"{name}: a session unlike the others",
        "",
        FindingSeverity.WARNING,
        score,
        1,
        time_ns,
        time_ns,
        Band(""),
        Band(""),
        Baseline(0, time_ns),
        template_id=number,
        template=what,
    )


def _part(sessions: Sessions, chosen: Ints) -> Sessions:
    return Sessions(sessions.templates, sessions.starts_s[chosen], sessions.delays_s[chosen])


def hdfs_install(folder: Path, cache: Path | None) -> Install:
    """Read the sessions of HDFS from its raw lines."""
    content = dict(read_members("hdfs_2pct_raw", folder, lambda name: name.endswith(".parquet")))
    tables = {Path(name).name: parquet.read_table(io.BytesIO(data)) for name, data in content.items()}
    events, labels = tables["hdfs_events_2percent.parquet"], tables["hdfs_seqs_2percent.parquet"]
    miner, bodies = TemplateMiner(), events.column("m_message").combine_chunks()
    template = miner.match(bodies, pa.nulls(len(bodies), pa.int64())).to_numpy()
    encoded = events.column("seq_id").combine_chunks().dictionary_encode()
    time_s = events.column("m_timestamp").to_numpy().astype("datetime64[s]").astype(np.float64)
    sessions = gather(encoded.indices.to_numpy().astype(np.int64), template, time_s)
    anomalous = dict(zip(labels.column("seq_id").to_pylist(), labels.column("anomaly").to_pylist(), strict=True))
    true = np.array([anomalous[name] for name in encoded.dictionary.to_pylist()])
    return session_install("hdfs", sessions, true, text_of(miner))


def openstack_install(folder: Path, cache: Path | None) -> Install:
    """Read the instances of OpenStack; a line's number stands for its time."""
    read = openstack_data.tables(folder)
    columns = [read["lines"].column(at).to_numpy() for at in range(3)]
    texts = dict(zip(*(read["texts"].column(at).to_pylist() for at in range(2)), strict=True))
    true = np.array(read["labels"].column(2).to_pylist())
    return session_install("openstack", gather(*columns), true, lambda one: str(texts.get(one, one)))


INSTALLS: dict[str, Callable[[Path, Path | None], Install]] = {
    "asd": lambda folder, cache: machine_install("asd", folder, cache),
    "smd": lambda folder, cache: machine_install("smd", folder, cache),
    "bgl": bgl_install,
    "hdfs": hdfs_install,
    "openstack": openstack_install,
}


def _cached(cache: Path | None, name: str, make: Callable[[], list[Finding]]) -> list[Finding]:
    """Give what `make` gives, from a file where it was made before."""
    file = cache / f"{name}.json" if cache else None
    if file is not None and file.exists():
        return [finding_from_dict(each) for each in json.loads(file.read_text(encoding="utf-8"))]
    found = make()
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps([each.as_dict() for each in found]), encoding="utf-8")
    return found


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
    """Draw the share of false alarms left over the number of labels, and recall kept, with 5 % wrong labels."""
    series = {}
    for name, result in results.items():
        for way, told in (("asked", name), ("asked_silences", f"{name}, silences")):
            rows = result[f"{way}_5%_wrong"]
            before = max(rows["0"]["false_alarms"][0], 1e-9)
            series[told] = [(float(count), rows[str(count)]["false_alarms"][0] / before) for count in LABELS]
    return standalone(
        series,
        Axis("labels of the operator, 5 % of them wrong", 0, max(LABELS)),
        Axis("false alarms left", 0, 1),
        joined=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--sets", nargs="*", default=[*DESIGN, *REPORT], choices=list(INSTALLS))
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--cache", type=Path, help="Folder to keep the findings of the metric detector in.")
    parser.add_argument("--plot", type=Path, help="File to draw the report sets to, as SVG.")
    chosen = parser.parse_args()
    folder: Path = Settings().path("data")
    results: dict[str, Any] = {}
    for name in chosen.sets:
        results[name] = measured(INSTALLS[name](folder, chosen.cache), chosen.seeds)
        results[name]["with_20_labels_5%_wrong"] = held(results[name])
        print(f"  {name}: {results[name]['with_20_labels_5%_wrong']}", file=sys.stderr, flush=True)
    if chosen.plot:
        chosen.plot.write_text(drawn({name: results[name] for name in chosen.sets if name in REPORT}), encoding="utf-8")
    print(json.dumps(results) if chosen.json else show("feedback_simulation", results))


if __name__ == "__main__":
    main()
