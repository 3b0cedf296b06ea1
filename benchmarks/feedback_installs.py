"""Installs for the simulation of feedback: what the product's own detectors tell on labelled public data.

Enters: data sets. Leaves: for each an Install, the incidents of its earlier half and of its later half, each with the
true events that it tells of. asd and smd (means of five minutes) by MetricDetector; BGL raw lines by rack by
LogDetector; sessions of HDFS, instances of OpenStack, windows of 50 events of BGL and containers of Hadoop by
SessionProfile; traces of Train Ticket by TraceVectorProfile. Hadoop and Train Ticket have no times: Hadoop goes by
application, Train Ticket in a random order. Judges nothing.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import parquet

from benchmarks.log_anomalies import BATCH, log_batch, text_of
from benchmarks.metric_anomalies import STEP_S, Machine, machines
from benchmarks.metric_stream import SILENT_S, START_S, VARIANTS, stream
from benchmarks.trace_anomalies import read as read_traces
from watchkeeper.app.preview import grouped
from watchkeeper.bench.cases import hadoop
from watchkeeper.bench.data import bgl as bgl_data
from watchkeeper.bench.data import openstack as openstack_data
from watchkeeper.datasets.read import read_members
from watchkeeper.detect.logs import LogDetector
from watchkeeper.detect.sessions import SessionProfile, Sessions, gather
from watchkeeper.detect.traces.judgement import Kind
from watchkeeper.detect.traces.vectors import TraceVectorProfile
from watchkeeper.diagnose.rules import rules_of
from watchkeeper.feedback.entries import Described, described
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

FIVE_MINUTES = 5
LEARNED_SHARE = 0.25
ALERT_GAP_NS = 600 * 10**9

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
    step_s = 300.0 if name == "smd" else STEP_S[name]
    every = [_five_minutes(one) if name == "smd" else one for one in machines(name, folder)]
    with ProcessPoolExecutor() as pool:
        streamed = list(pool.map(_streamed, repeat(cache), repeat(name), every, repeat(step_s)))
    for number, (machine, found) in enumerate(zip(every, streamed, strict=True)):
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


def _streamed(cache: Path | None, name: str, machine: Machine, step_s: float) -> list[Finding]:
    return _cached(cache, f"{name}-{machine.name}", partial(stream, machine, step_s, VARIANTS["product"]))


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


def session_install(
    name: str,
    sessions: Sessions,
    true: npt.NDArray[np.bool_],
    text: Callable[[int], str],
    is_learned: npt.NDArray[np.bool_] | None = None,
) -> Install:
    """Learn a SessionProfile from the first quarter, or from what is given, and tell of what is over its threshold.

    What a finding describes is the set of templates that the session holds; each true session is an event.
    """
    order = np.argsort(sessions.starts_s, kind="stable")
    learned, asked = np.split(order, [int(LEARNED_SHARE * len(order))])
    if is_learned is not None:
        learned, asked = order[is_learned[order]], order[~is_learned[order]]
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
            what = " | ".join(sorted(text(int(each)) for each in held))
            finding = _single("log.session", name, at, time_ns, score, what)
            told.append(Told(finding, frozenset({str(at)} if true[at] else ()), described(finding)))
    print(f"  {name}: {len(told)} findings", file=sys.stderr, flush=True)
    return halved([Alarm((each,)) for each in told], events)


def _single(kind: str, name: str, at: int, time_ns: int, score: float, what: str) -> Finding:
    number = int.from_bytes(hashlib.blake2b(what.encode(), digest_size=7).digest())
    return Finding(
        finding_id(kind, name, str(at), time_ns),
        kind,
        kind.partition(".")[0] + "s",
        name,
        f"service={name}",
        str(at),
        f"{name}: unlike the others",
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


def windows_install(folder: Path, cache: Path | None) -> Install:
    """Read the windows of BGL; their number stands for the time."""
    read = bgl_data.tables(folder)
    columns = [read["lines"].column(at).to_numpy() for at in range(3)]
    true = np.array(read["labels"].column(2).to_pylist())
    return session_install("bgl_windows", gather(*columns), true, str)


def hadoop_install(folder: Path, cache: Path | None) -> Install:
    """Read the containers of Hadoop, each as its application is labelled; half of the normal ones is learned from."""
    every = hadoop.applications(folder)
    normal = [one.id for one in every if one.label == "normal"]
    runs = [(one, container) for one in every for container in one.containers]
    session = np.repeat(np.arange(len(runs)), [len(container) for _, container in runs])
    event = np.concatenate([np.array(container, np.int64) for _, container in runs])
    sessions = gather(session, event, np.arange(len(event), dtype=np.float64))
    true = np.array([one.label != "normal" for one, _ in runs])
    is_learned = np.isin([one.id for one, _ in runs], normal[: len(normal) // 2])
    return session_install("hadoop", sessions, true, str, is_learned)


def trainticket_install(folder: Path, cache: Path | None) -> Install:
    """Learn a TraceVectorProfile from a quarter of the normal traces, and tell of what is over its threshold.

    What a finding describes is by which call paths a structure is new, else the path that was slowest.
    """
    normal, anomalous = read_traces(folder)
    random = np.random.default_rng(0)
    normal = normal[random.permutation(len(normal))]
    learned, rest = np.split(normal, [int(LEARNED_SHARE * len(normal))])
    profile = TraceVectorProfile.learn(learned)
    order = random.permutation(len(rest) + len(anomalous))
    vectors, true = np.concatenate([rest, anomalous])[order], (order >= len(rest)).tolist()
    scores = profile.score(vectors)
    told: list[Alarm] = []
    for at in np.flatnonzero(scores > profile.threshold).tolist():
        why = profile.explain(vectors[at])
        kind = Kind.UNSEEN if why.unseen else Kind.LATENCY
        what = f"without {why.missing}, with {why.added}" if why.unseen else f"path {why.worst[0][0]}"
        finding = _single(kind.value, "trainticket", at, at * 10**9, float(scores[at]), what)
        told.append(Alarm((Told(finding, frozenset({str(at)} if true[at] else ()), described(finding)),)))
    print(f"  trainticket: {len(told)} findings", file=sys.stderr, flush=True)
    return halved(told, {str(at): at * 10**9 for at in np.flatnonzero(true).tolist()})


INSTALLS: dict[str, Callable[[Path, Path | None], Install]] = {
    **{name: partial(machine_install, name) for name in ("asd", "smd")},
    "bgl": bgl_install,
    "hdfs": hdfs_install,
    "openstack": openstack_install,
    "bgl_windows": windows_install,
    "hadoop": hadoop_install,
    "trainticket": trainticket_install,
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
