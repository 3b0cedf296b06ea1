"""The rules of decision, over sequences of submissions, trainings that end well or badly, resets and restarts."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from watchkeeper.errors import NotFound, QueryError
from watchkeeper.store.metadata import Metadata
from watchkeeper.training.watchlist import DEFAULT, WATCHLISTS_MAX, Watchlists, decide
from watchkeeper.training.workloads import Workload

A, B, C = (Workload("local", "shop", name) for name in "abc")
SETS = st.sets(st.sampled_from([A, B, C]))


@pytest.fixture
def metadata(tmp_path):
    made = Metadata(tmp_path / "metadata.sqlite")
    yield made
    made.close()


@pytest.mark.parametrize(
    ("submitted", "trained", "decision", "added", "removed"),
    [
        ((A,), (), "trained", (A,), ()),
        ((A, B), (A,), "trained", (B,), ()),
        ((B,), (A,), "trained", (B,), (A,)),
        ((A,), (A, B), "updated", (), (B,)),
        ((A, B), (A, B), "updated", (), ()),
        ((), (A, B), "reset", (), (A, B)),
        ((), (), "reset", (), ()),
    ],
)
def test_the_rules(submitted, trained, decision, added, removed):
    assert decide(submitted, trained) == (decision, added, removed)


def test_a_workload_that_was_trained_needs_no_training_when_it_comes_back(metadata):
    lists = Watchlists(metadata)
    lists.submit(DEFAULT, [A, B])
    lists.trained(DEFAULT, [A, B])
    assert lists.submit(DEFAULT, [A]).decision == "updated"
    assert lists.get().watched == (A,)
    assert lists.submit(DEFAULT, [A, B]).decision == "updated"
    assert lists.get().watched == (A, B)


def test_a_failed_training_is_decided_again(metadata):
    lists = Watchlists(metadata)
    assert lists.submit(DEFAULT, [A]).decision == "trained"
    assert lists.submit(DEFAULT, [A]).decision == "trained", "nothing was trained in between"


class Gateway(RuleBasedStateMachine):
    """What a user does beside the simplest account of it: one set submitted, one set trained, for each list."""

    names = st.sampled_from([DEFAULT, "night"])

    @initialize()
    def open(self):
        self.folder = tempfile.TemporaryDirectory()
        self.submitted: dict[str, set[Workload]] = {}
        self.trained: dict[str, set[Workload]] = {}
        self.in_training: dict[str, set[Workload]] = {}
        self._open()

    def _open(self):
        self.metadata = Metadata(Path(self.folder.name) / "metadata.sqlite")
        self.lists = Watchlists(self.metadata)

    @rule(name=names, workloads=SETS)
    def submit(self, name, workloads):
        known = self.trained.get(name, set())
        decision = self.lists.submit(name, workloads)
        self.submitted[name] = workloads
        assert {*decision.added} == workloads - known
        assert {*decision.removed} == known - workloads
        assert (decision.decision == "reset") == (not workloads)
        assert (decision.decision == "trained") == bool(workloads - known)
        self.in_training.pop(name, None)
        if decision.decision == "trained":
            self.in_training[name] = workloads
        elif decision.decision == "reset":
            self.lists.trained(name, ())
            self.trained[name] = set()

    @rule(name=names, workloads=SETS)
    def choose(self, name, workloads):
        assert {*self.lists.choose(name, workloads).chosen} == workloads
        self.submitted.setdefault(name, set())

    @rule(name=names)
    def complete(self, name):
        if name in self.in_training:
            self.trained[name] = self.in_training.pop(name)
            self.lists.trained(name, self.trained[name])

    @rule(name=names)
    def fail(self, name):
        self.in_training.pop(name, None)

    @rule()
    def restart(self):
        self.metadata.close()
        self._open()
        for name in self.lists.names():
            again = decide(self.lists.get(name).submitted, self.lists.get(name).trained)
            known, wanted = self.trained.get(name, set()), self.submitted.get(name, set())
            assert (again.decision == "trained") == bool(wanted - known)

    @invariant()
    def it_knows_what_was_submitted_and_trained(self):
        assert {*self.lists.names()} == {DEFAULT, *self.submitted}
        for name in self.submitted:
            known = self.lists.get(name)
            assert {*known.submitted} == self.submitted[name]
            assert {*known.trained} == self.trained.get(name, set())
            assert {*known.watched} == self.submitted[name] & self.trained.get(name, set())

    def teardown(self):
        self.metadata.close()
        self.folder.cleanup()


Gateway.TestCase.settings = settings(max_examples=12, stateful_step_count=20, deadline=None)
TestGateway = Gateway.TestCase


@pytest.mark.parametrize("name", ["", "A", "a/b", "-a", "a" * 64, "a b", "ä"])
def test_names_that_cannot_be(metadata, name):
    with pytest.raises(QueryError, match="no name of a watchlist"):
        Watchlists(metadata).submit(name, [A])


def test_lists_that_are_not_there_and_too_many(metadata):
    lists = Watchlists(metadata)
    assert lists.names() == (DEFAULT,)
    with pytest.raises(NotFound, match="night"):
        lists.get("night")
    for number in range(WATCHLISTS_MAX):
        lists.choose(f"n{number}", [A])
    with pytest.raises(QueryError, match="already"):
        lists.submit("one-more", [A])
    with pytest.raises(QueryError, match="several lists"):
        lists.submit("n1", [Workload("c", "n", str(number)) for number in range(10_001)])
    lists.remove("n1")
    assert "n1" not in lists.names()
