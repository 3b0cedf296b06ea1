"""Everything registered is measured, or left out with a reason."""

from __future__ import annotations

import pytest

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


@pytest.mark.parametrize(
    "name",
    [
        *(
            "risk_boosted",
            "lightgbm",
            "logistic",
            "share_by_age",
            "share_by_past",
        ),  # draw rows of the many without events
        *("category_boosting", "lightgbm_left"),  # draw columns for each tree
        *("category_events", "isolation_forest", "half_space_trees", "fused_forests"),
        *("autoencoder", "next_event_lstm", "masked_lines", "log_model", "forecast_lstm", "dense_counts"),
        *("random", "random_class", "random_order", "random_choice", "random_passages", "random_change"),
        *("report_random", "command_random", "repair_random"),
    ],
)
def test_what_draws_is_run_with_three_seeds(name):
    assert catalogue().models.get(name).random


def test_distillation_draws_what_it_spoils():
    assert catalogue().enhancements.get("distillation").random
