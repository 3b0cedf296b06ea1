"""Adapters of labelled failures: what a label maps to; the real sets when they are there."""

import pytest

from watchkeeper.bench.cases import hadoop, openstack, postmortems
from watchkeeper.datasets.read import locate
from watchkeeper.diagnose.base import Category
from watchkeeper.errors import DataSetError
from watchkeeper.settings import Settings


@pytest.mark.parametrize(
    ("label", "category"),
    [
        ({"layer-1": "internal causes", "layer-2": "software bugs", "layer-3": "config"}, Category.CHANGE),
        ({"layer-1": "internal causes", "layer-2": "software bugs", "layer-3": "code change"}, Category.APPLICATION),
        ({"layer-1": "internal causes", "layer-2": "software bugs"}, Category.APPLICATION),
        ({"layer-1": "external causes", "layer-2": "hardware failures", "layer-3": "power outage"}, Category.HOST),
        ({"layer-1": "external causes", "layer-2": "hardware failures", "layer-3": "fiber cut"}, Category.NETWORK),
        ({"layer-1": "external causes", "layer-2": "excessive flow"}, Category.CPU),
        ({"layer-1": "external causes", "layer-2": "insufficient resource", "layer-3": "memory"}, Category.MEMORY),
        ({"layer-1": "external causes", "layer-2": "third-party failures"}, Category.EXTERNAL),
        ({"layer-1": "unknown"}, Category.UNKNOWN),
    ],
)
def test_causes_of_postmortems_map_to_the_published_list(label, category):
    assert postmortems.category_of({"root cause": {"label": [label]}}) is category


def test_a_postmortem_without_a_cause_is_unknown():
    assert postmortems.category_of({}) is Category.UNKNOWN
    assert postmortems.category_of({"root cause": {"label": None}}) is Category.UNKNOWN


def folder(name):
    path = Settings().path("data")
    try:
        locate(name, path)
    except DataSetError as absent:
        pytest.skip(str(absent))
    return path


@pytest.mark.data
def test_hadoop_is_complete_and_five_labels_are_corrected():
    runs = hadoop.applications(folder("ait_sequences"))
    assert len(runs) == 55
    assert sum(len(run.containers) for run in runs) == 978
    before = {run.id: run.label for run in hadoop.applications(folder("ait_sequences"), corrected=False)}
    assert {run.id for run in runs if before[run.id] != run.label} == set(hadoop.CORRECTED)


@pytest.mark.data
@pytest.mark.parametrize(("workload", "count", "classes"), [("DEPL", 1076, 6), ("NET", 561, 4), ("STO", 901, 4)])
def test_openstack_experiments_are_complete(workload, count, classes):
    runs = openstack.experiments(folder("openstack_mixed"), workload)
    assert (len(runs), len({run.label for run in runs})) == (count, classes)
    assert len({run.group for run in runs}) == len({tuple(sorted(run.counts.items())) for run in runs})


@pytest.mark.data
def test_postmortems_are_read_without_what_came_later():
    incidents = postmortems.postmortems(folder("postmortems_355"))
    assert len(incidents) == 249
    assert {one.category for one in incidents} >= {Category.APPLICATION, Category.CHANGE, Category.UNKNOWN}
