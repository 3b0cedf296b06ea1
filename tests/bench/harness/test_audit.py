"""Everything registered is measured, or left out with a reason."""

from __future__ import annotations

from watchkeeper.bench import audit as audits
from watchkeeper.bench.audit import audit
from watchkeeper.bench.base import ModelSpec
from watchkeeper.bench.discover import catalogue
from watchkeeper.registry import Registry


def test_nothing_registered_is_forgotten():
    assert audit(catalogue()) == []


def test_a_ranker_that_is_not_measured_is_told(monkeypatch):
    more = Registry("ranker")
    more.add("brand_new", object)
    monkeypatch.setattr(audits, "RANKERS", more)
    assert "ranker:brand_new is neither measured nor excluded" in audit(catalogue())


def test_a_model_without_questions_is_told():
    known = catalogue()
    known.models.add("lost", ModelSpec("lost", ("nothing",), object, "is never asked"))
    assert "the model lost answers no data set" in audit(known)


def test_an_exclusion_of_what_is_measured_is_told(monkeypatch):
    monkeypatch.setitem(audits.EXCLUDED, "ranker:blame", "a reason that is not true")
    assert "ranker:blame is measured and excluded" in audit(catalogue())
