"""What a resource says of its workload, and what a person may type to name many."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.errors import QueryError
from watchkeeper.training.workloads import NAME_CHARACTERS_MAX, Workload, WorkloadPattern, read_pattern, workload_of


@pytest.mark.parametrize(
    ("resource", "workload"),
    [
        ({}, ("local", "default", "unknown")),
        ({"service.name": "cart"}, ("local", "default", "cart")),
        ({"service.name": "unknown_service"}, ("local", "default", "unknown")),
        ({"service.name": "cart", "service.namespace": "shop"}, ("local", "shop", "cart")),
        ({"k8s.namespace.name": "prod", "service.namespace": "shop"}, ("local", "prod", "unknown")),
        ({"k8s.cluster.uid": "u1", "k8s.cluster.name": "west"}, ("west", "default", "unknown")),
        ({"k8s.cluster.uid": "u1", "deployment.environment.name": "staging"}, ("u1", "default", "unknown")),
        ({"deployment.environment.name": "staging"}, ("staging", "default", "unknown")),
        ({"k8s.statefulset.name": "db", "service.name": "postgres"}, ("local", "default", "db")),
        ({"k8s.job.name": "clean-28", "k8s.cronjob.name": "clean"}, ("local", "default", "clean")),
        ({"k8s.daemonset.name": 7}, ("local", "default", "7")),
        ({"service.name": "  "}, ("local", "default", "unknown")),
    ],
)
def test_workload_of_a_resource(resource, workload):
    assert workload_of(resource) == workload


@given(
    st.dictionaries(
        st.sampled_from(["k8s.cluster.name", "k8s.namespace.name", "k8s.job.name", "service.name", "other"]),
        st.one_of(st.text(), st.none(), st.integers(), st.booleans(), st.lists(st.text())),
    )
)
def test_no_part_is_ever_empty_or_long(resource):
    assert all(0 < len(part) <= NAME_CHARACTERS_MAX for part in workload_of(resource))


_PART = st.text(
    st.characters(blacklist_characters="*?[", blacklist_categories=("Cs", "Zs", "Cc", "Zl", "Zp")), min_size=1
)


@given(_PART, _PART, _PART)
def test_the_text_of_a_workload_reads_back_as_itself(cluster, namespace, deployment):
    workload = Workload(cluster, namespace, deployment)
    pattern = read_pattern(workload.text)
    assert pattern == workload
    assert pattern.is_exact
    assert pattern.of([workload, Workload("other", namespace, deployment + "x")]) == [workload]


def test_parts_that_are_left_out_mean_any():
    assert read_pattern("cart") == WorkloadPattern("*", "*", "cart")
    assert read_pattern("west//") == WorkloadPattern("west", "*", "*")
    known = [Workload("west", "shop", "cart"), Workload("east", "shop", "cart"), Workload("east", "shop", "Cart")]
    assert read_pattern("cart").of(known) == sorted(known[:2])
    assert read_pattern("east/*/[cC]art").of(known) == sorted(known[1:])
    assert not read_pattern("c?t").of(known)


@pytest.mark.parametrize("text", ["", " ", "//"])
def test_text_that_names_nothing_is_refused(text):
    with pytest.raises(QueryError, match="cluster/namespace/deployment"):
        read_pattern(text)
