"""Counts of workloads: exact for whatever comes in whatever order, over a restart, and bounded."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.store.reads.tables import NOW, SECOND, Tables

from watchkeeper.errors import QueryError
from watchkeeper.signals.schema import LOGS, METRICS, Signal
from watchkeeper.training.counts import SPANS, WorkloadCounter
from watchkeeper.training.workloads import Workload, workload_of

SPAN = 30 * SECOND
EMPTY = Tables()


def logs(sequence, rows):
    """A batch of (resource, time)."""
    count = len(rows)
    columns = {
        "time_unix_ns": pa.array([at for _, at in rows], pa.int64()),
        "resource_attributes": pa.array([said for said, _ in rows], pa.string()).dictionary_encode(),
        "batch": pa.array([sequence] * count, pa.int64()),
    }
    empty = {field.name: pa.nulls(count, field.type) for field in LOGS if field.name not in columns}
    return pa.RecordBatch.from_pydict({**empty, **columns}).select(LOGS.names)


def said(name, **more):
    return json.dumps({"service.name": name, **more})


class Clock:
    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now


RESOURCES = st.sampled_from([said("a"), said("b"), said("b", pod="2"), "not json", "[]", None, ""])
ROWS = st.lists(st.tuples(RESOURCES, st.integers(-200, 150)), max_size=20)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(ROWS, st.integers(0, 40)), max_size=8))
def test_counts_are_those_of_a_plain_count(batches):
    clock = Clock()
    counter = WorkloadCounter(now_unix_ns=clock)
    counter.seed(EMPTY)
    rows = []
    for sequence, (given_rows, spans_passed) in enumerate(batches, 1):
        told = [(resource, clock.now + offset * SPAN) for resource, offset in given_rows]
        counter.observe(Signal.LOGS, logs(sequence, told))
        # What lay out of the ring's reach when it came is not counted later either.
        here = clock.now // SPAN
        rows += [(resource, at) for resource, at in told if here - SPANS < at // SPAN <= here + SPANS]
        clock.now += spans_passed * SPAN
        counted = counter.counts()
        last = clock.now // SPAN
        expected = Counter(
            workload_of(json.loads(resource) if resource and resource.startswith("{") else {})
            for resource, at in rows
            if last - SPANS < at // SPAN <= last
        )
        assert counted.by_workload() == expected
        assert counted.state == ("healthy" if expected else "no data")
        assert counted.until_unix_ns - counted.from_unix_ns == 3600 * SECOND


@pytest.mark.parametrize("observed_first", [True, False])
def test_what_was_stored_before_the_start_is_counted_once(observed_first):
    tables = Tables()
    for number in range(5):
        tables.logs(
            {"time_unix_ns": NOW - number * SPAN, "resource_attributes": {"service.name": "a"}},
            {"time_unix_ns": NOW - 3700 * SECOND, "resource_attributes": {"service.name": "old"}},
        )
    counter = WorkloadCounter(now_unix_ns=lambda: NOW)
    assert counter.counts().state == "counting"
    # Batches 4 and 5 were in the write-ahead log: stored, and brought by the pipeline as well.
    brought = [logs(sequence, [(said("a"), NOW)]) for sequence in (4, 5, 6)]
    if observed_first:
        counter.observe(Signal.LOGS, brought.pop(0))
    counter.seed(tables)
    for batch in brought:
        counter.observe(Signal.LOGS, batch)
    counted = counter.counts()
    assert counted.state == "healthy"
    assert counted.by_workload() == {Workload("local", "default", "a"): 6}


def test_a_store_that_cannot_be_read_is_an_error_and_no_silence():
    class Broken:
        def sql(self, *_args, **_named):
            raise QueryError("the disk is gone")

    counter = WorkloadCounter(now_unix_ns=lambda: NOW)
    counter.seed(Broken())
    counter.observe(Signal.LOGS, logs(1, [(said("a"), NOW)]))
    counted = counter.counts()
    assert counted.state == "error"
    assert "the disk is gone" in counted.problem
    assert counted.by_workload() == {Workload("local", "default", "a"): 1}


def test_workloads_are_bounded_and_what_is_left_out_is_told():
    clock = Clock()
    counter = WorkloadCounter(workloads_max=100, now_unix_ns=clock)
    counter.seed(EMPTY)
    counter.observe(Signal.LOGS, logs(1, [(said(f"w{number}"), NOW) for number in range(250)]))
    counted = counter.counts()
    assert len(counted.items) == 100
    assert counted.left_out == 150
    clock.now += 60 * SPAN
    counter.observe(Signal.LOGS, logs(2, [(said("w7"), clock.now), (said("new"), clock.now)]))
    assert counter.counts().left_out == 151, "all of them were heard of within the hour"
    clock.now += 70 * SPAN
    counter.observe(Signal.LOGS, logs(3, [(said("new"), clock.now)] * 2))
    counted = counter.counts()
    assert {each.workload.deployment: each.log_count for each in counted.items} == {"w7": 1, "new": 2}
    assert counted.left_out == 1


def test_other_signals_are_passed_over_and_clusters_are_told_apart():
    counter = WorkloadCounter(now_unix_ns=lambda: NOW)
    counter.seed(EMPTY)
    counter.observe(Signal.METRICS, pa.RecordBatch.from_pylist([], schema=METRICS))
    west = said("a", **{"k8s.cluster.name": "west"})
    counter.observe(Signal.LOGS, logs(1, [(west, NOW), (said("a"), NOW), (said("a"), NOW)]))
    counted = counter.counts()
    assert [each.workload.cluster_id for each in counted.items] == ["local", "west"]
    assert [each.log_count for each in counted.of_cluster("west")] == [1]
    assert counted.of_cluster("east") == ()


def test_ten_thousand_workloads_cost_little():
    counter = WorkloadCounter(now_unix_ns=lambda: NOW)
    counter.seed(EMPTY)
    resources = [said(f"deployment-{number}", **{"k8s.pod.name": f"pod-{number}"}) for number in range(10_000)]
    first = logs(1, [(each, NOW - SPAN * (at % SPANS)) for at, each in enumerate(resources)])
    counter.observe(Signal.LOGS, first)
    begun = time.thread_time()
    for _ in range(5):
        counter.observe(Signal.LOGS, first)
    assert (time.thread_time() - begun) / 50_000 < 20e-6, "seconds a line, whose workloads are all different"
    begun = time.thread_time()
    assert len(counter.counts().items) == 10_000
    assert time.thread_time() - begun < 1.0


def test_counting_and_asking_go_on_at_once():
    counter = WorkloadCounter(now_unix_ns=lambda: NOW)
    counter.seed(EMPTY)
    batches = [logs(number, [(said(f"w{number % 7}"), NOW)] * 100) for number in range(1, 60)]
    thread = threading.Thread(target=lambda: [counter.observe(Signal.LOGS, batch) for batch in batches])
    thread.start()
    seen = [sum(counter.counts().by_workload().values())]
    while thread.is_alive():
        seen.append(sum(counter.counts().by_workload().values()))
    assert seen == sorted(seen)
    assert sum(counter.counts().by_workload().values()) == 5_900
