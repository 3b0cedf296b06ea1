"""Labelled failures: Hadoop applications, OpenStack experiments, Nezha's faults and post-mortems, for the category.

Enters: `ait_sequences`, `openstack_mixed`, `nezha_trainticket` and `postmortems_355`. Leaves: Hadoop one application at
a time left out, the others in five stratified folds; equal OpenStack experiments and faults of one service of Nezha's
are never on both sides. Labels of training are shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from watchkeeper.bench.base import DataSpec, Item, Place, Split
from watchkeeper.bench.cases import hadoop, nezha, openstack, postmortems
from watchkeeper.diagnose.category.features import features_of
from watchkeeper.diagnose.category.folds import stratified_folds
from watchkeeper.diagnose.category.text import at_symptom_time

FOLDS = 5


def folded(items: Sequence[Item], folds: Any) -> Iterator[Split]:
    """Give one split a fold."""
    for fold in np.unique(folds):
        train = tuple(item for item, place in zip(items, folds, strict=True) if place != fold)
        test = tuple(item for item, place in zip(items, folds, strict=True) if place == fold)
        yield Split(f"fold {fold}", train, test, labelled=True)


def _hadoop(place: Place) -> Iterator[Split]:
    items = []
    for one in hadoop.applications(place.data):
        counts = Counter(f"event {event}" for container in one.containers for event in container)
        items.append(Item(one.id, {name: float(count) for name, count in counts.items()}, one.label))
    return folded(items, np.arange(len(items)))


def _openstack(place: Place, *, workload: str) -> Iterator[Split]:
    told = openstack.experiments(place.data, workload)
    items = [Item(f"{workload} {at}", one.counts, one.label) for at, one in enumerate(told)]
    labels, groups = [one.label for one in told], [one.group for one in told]
    return folded(items, stratified_folds(labels, FOLDS, seed=0, groups=groups))


def _nezha(place: Place) -> Iterator[Split]:
    told = nezha.cases("nezha_trainticket", place.data)
    items = [Item(case.id, features_of(case.window), case.kind) for case in told]
    # Not by day: the two days hold different kinds, so that most of what one asks could not be learned from the other.
    services = [case.truth_nodes for case in told]
    return folded(items, stratified_folds([case.kind for case in told], FOLDS, seed=0, groups=services))


def _postmortems(place: Place) -> Iterator[Split]:
    told = postmortems.postmortems(place.data)
    items = [Item(one.id, at_symptom_time(one.title, one.report), str(one.category)) for one in told]
    return folded(items, stratified_folds([str(one.category) for one in told], FOLDS, seed=0))


_TASK = "category"
DATA = (
    DataSpec(
        "hadoop",
        1,
        _TASK,
        "counts",
        "55 applications by their events, one left out at a time",
        ("ait_sequences",),
        _hadoop,
        "full",
        quick=False,
    ),
    *(
        DataSpec(
            f"openstack_{workload.lower()}",
            1,
            _TASK,
            "counts",
            f"injected failures of workload {workload} by events",
            ("openstack_mixed",),
            partial(_openstack, workload=workload),
            "full",
            quick=workload == "STO",
        )
        for workload in openstack.WORKLOADS
    ),
    DataSpec(
        "nezha",
        1,
        _TASK,
        "counts",
        "kinds of 45 injected faults by what rose and left its range, services apart",
        ("nezha_trainticket",),
        _nezha,
        "full",
        quick=False,
    ),
    DataSpec(
        "postmortems",
        1,
        _TASK,
        "narrative",
        "incidents of three clouds by title and impact",
        ("postmortems_355",),
        _postmortems,
        "full",
    ),
)
