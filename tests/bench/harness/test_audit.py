"""Everything registered is measured, or left out with a reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from watchkeeper.bench import audit as audits
from watchkeeper.bench.audit import audit, untold
from watchkeeper.bench.base import Enhancement, ModelSpec
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


def test_a_model_that_no_data_set_shows_its_labels_is_told():
    known = catalogue()
    known.models.add("taught", ModelSpec("taught", ("modalities",), object, "needs labels", needs_labels=True))
    assert "the model taught learns from labels, which no data set that it answers shows" in audit(known)


def test_a_model_that_measures_what_is_gone_is_told():
    known = catalogue()
    lost = ("detect.nowhere:Nothing", "detect.joint:Nothing", "detect.joint:JointScorer")
    known.models.add("stale", ModelSpec("stale", ("series",), object, "", covers=lost))
    assert [each for each in audit(known) if "stale" in each] == [
        f"the model stale covers {name}, which does not exist" for name in lost[:2]
    ]


def test_an_enhancement_that_applies_to_nothing_is_told():
    known = catalogue()
    known.enhancements.add("idle", Enhancement("idle", "", lambda subject: "it applies to nothing", None))
    assert "the enhancement idle applies to no model" in audit(known)


def test_a_cell_that_the_scoreboard_does_not_tell_of_is_told():
    known = catalogue()
    rows = "| majority | none | 0.1 | baseline |\n| random_class | none | - | failed: it broke |\n"
    rows += "| category_events | none | - | not run |\n\nSkipped, 1 cell (category_boosting): took longer.\n"
    found = untold(known, f"# Scoreboard\n\n## category: hadoop@1\n\n{rows}\n## other: x@1\n")
    assert "the scoreboard tells nothing of category/hadoop@1: category_events" in found
    assert "the scoreboard has no table of anomaly-detection/hdfs@1" in found


def test_the_scoreboard_of_the_documents_names_every_data_set_and_model():
    """`watchkeeper bench audit --scoreboard docs/scoreboard.md` holds it to every cell."""
    text = (Path(__file__).parents[3] / "docs" / "scoreboard.md").read_text(encoding="utf-8")
    known = catalogue()
    assert [each for each in untold(known, text) if "no table" in each] == []
    named = set(re.findall(r"^\| (\S+) \|", text, re.MULTILINE))
    assert [name for name in known.models if name not in named] == []


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
