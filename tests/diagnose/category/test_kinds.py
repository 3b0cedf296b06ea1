"""Kinds of faults: what tells them apart, how the model is learned and kept."""

import json

import numpy as np
import pytest

from watchkeeper.diagnose.base import Category
from watchkeeper.diagnose.category.kinds import (
    CATEGORIES,
    FaultKinds,
    Softmax,
    break_features,
    category_of,
    family_features,
    shipped,
)
from watchkeeper.diagnose.rank.events import Instead, LostStep
from watchkeeper.diagnose.rank.families import Evidence
from watchkeeper.errors import StoreError

NODE = "service:a"


def broken(instead: tuple[Instead, ...], score: float = 2.0) -> Evidence:
    step = LostStep(NODE, "x", "y", 1.0, 0.0, 50, 20, 9.0, is_call=False, instead=instead)
    return Evidence(code={NODE: score}, steps={NODE: [step]})


THROWN = broken((Instead("end", 0.0, 1.0, 0.0),))
TURNED = broken((Instead("no such cart", 0.0, 1.0, 1.0),))
CAUGHT = broken((Instead("caught java.lang.IllegalStateException", 0.0, 1.0, 1.0),))
SLOW = Evidence(wait={NODE: 1.0}, wait_z=5_000.0)
BUSY = Evidence(resource={NODE: 4.5}, shifts={})
EXAMPLES = [(THROWN, "exception"), (TURNED, "return"), (SLOW, "delay")]


def test_breaking_off_and_speaking_of_a_throw_are_one_and_another_branch_is_not() -> None:
    assert break_features(THROWN) == break_features(CAUGHT) == (1.0,)
    assert break_features(TURNED) == break_features(Evidence()) == (0.0,)


@pytest.mark.parametrize(("found", "kind"), [*EXAMPLES, (CAUGHT, "exception")])
def test_the_shipped_model_tells_the_kinds_apart(found: Evidence, kind: str) -> None:
    probable = shipped().kinds(found)
    assert max(probable, key=lambda one: probable[one]) == kind
    assert sum(probable.values()) == pytest.approx(1.0)
    assert shipped().speaks(found)


def test_no_evidence_says_nothing() -> None:
    assert family_features(Evidence()) == (0.0, 0.0, 0.0)
    assert not shipped().speaks(Evidence())


def test_a_model_learns_from_examples_and_is_kept_as_json() -> None:
    learned = FaultKinds.fit(EXAMPLES)
    kept = FaultKinds.from_dict(json.loads(json.dumps(learned.as_dict())))
    for found, kind in EXAMPLES:
        probable = kept.kinds(found)
        assert max(probable, key=lambda one: probable[one]) == kind
    assert kept.floors == pytest.approx(learned.floors, abs=1e-4)
    assert learned.family.probabilities((0.0, 0.0, 9.0))[2] < 1e-6


def test_a_model_of_another_version_is_refused() -> None:
    with pytest.raises(StoreError, match="fit them again"):
        FaultKinds.from_dict({"schema_version": 99})


def test_the_order_of_examples_does_not_matter() -> None:
    there, back = FaultKinds.fit(EXAMPLES), FaultKinds.fit(EXAMPLES[::-1])
    assert np.allclose(there.family.weights, back.family.weights)


def test_classes_weigh_the_same_however_often_they_come() -> None:
    features = np.array([[1.0]] * 30 + [[0.0]])
    fitted = Softmax.fit(features, np.array([0] * 30 + [1]), 2)
    assert fitted.probabilities((0.0,))[1] > 0.5


def test_kinds_have_a_published_category() -> None:
    assert category_of("return") is category_of("exception") is Category.APPLICATION
    assert category_of("something else") is Category.UNKNOWN
    assert set(CATEGORIES.values()) <= set(Category)
