"""The log sets as splits: what they hold, that nothing learned from is asked about, and what templates say."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from watchkeeper.bench.base import Place, Subject
from watchkeeper.bench.cells import absence
from watchkeeper.bench.data import hdfs_full
from watchkeeper.bench.data.cached import SESSION_LABELS, SESSION_LINES, SESSION_TEXTS
from watchkeeper.bench.data.sessions import SessionTable, halves
from watchkeeper.bench.discover import catalogue
from watchkeeper.bench.enhancements import fine_tuning

TASK = "anomaly-detection"


def made_up(count=100):
    session = np.repeat(np.arange(count), 2)
    lines = [session, np.tile([5, 6], count), session.astype(float)]
    labels = [range(count), [str(each) for each in range(count)], [each % 10 == 0 for each in range(count)]]
    return {
        "lines": pa.table(lines, schema=SESSION_LINES),
        "labels": pa.table(labels, schema=SESSION_LABELS),
        "texts": pa.table([[5, 6], ["first", "second"]], schema=SESSION_TEXTS),
    }


def names(items):
    return [name for item in items for name in item.cases]


def test_draws_are_disjoint_and_learn_from_normal_ones_only():
    first, second, *_ = hdfs_full._drawn(made_up(), 0.5)
    learned = {*names(first.train), *names(first.validation)}
    assert len(learned) == 45
    assert not any(int(name) % 10 == 0 for name in learned)
    assert not learned & set(names(first.test))
    assert len(names(first.test)) == 55
    assert set(names(first.train)) != set(names(second.train))
    assert first.facts["texts"] == {5: "first", 6: "second"}


def test_labels_are_shown_by_the_labelled_protocol_alone():
    read = made_up()
    table = SessionTable(read["lines"], read["labels"])
    assert next(halves(table, clean=False, labelled=True)).labelled
    assert not next(halves(table, clean=True)).labelled


def test_what_is_pre_trained_on_is_of_other_systems(monkeypatch, tmp_path):
    monkeypatch.setattr(fine_tuning, "absence", lambda data, folder: "")
    known = catalogue()
    for name in ("hdfs_little", "hdfs_distinct", "bgl_lines", "openstack"):
        data = known.data.get(f"{TASK}/{name}")
        subject = Subject(known.tasks.get(TASK), data, known.models.get("masked_lines"))
        systems = [each.system for each in fine_tuning.others(subject, Place(tmp_path, tmp_path))]
        assert data.system not in systems
        assert len(systems) == len(set(systems)) == 2


@pytest.mark.data
@pytest.mark.parametrize(("name", "asked", "anomalous"), [("openstack", 851, 450), ("bgl_lines", 1_000, 151)])
def test_raw_logs_become_sessions_with_texts(name, asked, anomalous, tmp_path):
    data = catalogue().data.get(f"{TASK}/{name}")
    folder = Path(os.environ.get("WATCHKEEPER_DATA", ""))
    if not os.environ.get("WATCHKEEPER_DATA") or absence(data, folder):
        pytest.skip(f"WATCHKEEPER_DATA has no {', '.join(data.sources)}")
    [split] = data.splits(Place(folder, tmp_path))
    truth = np.concatenate([item.truth for item in split.test])
    assert (len(truth), int(truth.sum())) == (asked, anomalous)
    assert not any(item.truth.any() for item in (*split.train, *split.validation))
    assert not {*names(split.train), *names(split.validation)} & set(names(split.test))
    seen = {int(each) for item in (*split.train, *split.test) for each in np.unique(item.given.templates)}
    assert seen <= set(split.facts["texts"])
