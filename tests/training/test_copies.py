"""Copies of models in the object store: made after a training; a store that fails is told and tried again."""

from __future__ import annotations

from tests.training.assembly import A, Assembly

from watchkeeper.training.copies import ModelCopies


def test_a_trained_model_is_copied_once_the_store_is_there(tmp_path):
    made = Assembly(tmp_path / "home")
    copies = ModelCopies(made.models, made.settings, pause_s=0.02)
    made.jobs.on_change(copies.job_changed)
    copies.start()
    try:
        volume = tmp_path / "volume"
        made.gateway.put_settings({"object_store": {"url": f"file://{volume}"}})
        made.train(A)
        assert made.finish()["status"] == "completed", "a model is published without its copy"
        made.until(lambda: copies.problem)
        assert "mount it" in copies.problem
        volume.mkdir()
        made.until(lambda: copies.copied)
        assert (volume / "logs" / "default" / "000001" / "weights").read_text() == "whole"
        made.until(lambda: not copies.problem)
    finally:
        copies.stop()
        made.close()
