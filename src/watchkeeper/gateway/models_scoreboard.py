"""The shapes of the scoreboard of the harness, beside those of models.py."""

from __future__ import annotations

from pydantic import Field

from watchkeeper.gateway.models import Shape


class BoardMetric(Shape):
    """One metric of a task."""

    name: str = Field(examples=["f1"])
    about: str
    higher_is_better: bool


class BoardCell(Shape):
    """One model with one enhancement on one data set."""

    id: str = Field(examples=["anomaly-detection/hdfs@1/pca/none"])
    model: str
    enhancement: str
    trivial: bool = Field(description="A baseline that every other model is held against.")
    state: str = Field(description="done, failed, skipped or not run.")
    reason: str = Field(description="Why it failed or was skipped.")
    loses_to: str = Field(description="The baseline that it does not beat, empty when it beats all.")
    figures: dict[str, list[float | None]] = Field(description="By metric: value, low and high end of the interval.")
    seconds: float | None = Field(description="To learn and to answer.")
    peak_memory_bytes: int | None
    model_bytes: int | None
    curves: dict[str, list[list[float]]] = Field(description="`pr`: recall, precision; `delay`: false a day, seconds.")


class BoardTable(Shape):
    """All cells of one data set of one task, best first."""

    task: str
    stage: str
    data: str = Field(examples=["hdfs@1"])
    data_about: str
    headline: str = Field(description="The metric to judge by.")
    metrics: list[BoardMetric]
    cells: list[BoardCell]


class ScoreboardAnswer(Shape):
    """What `watchkeeper bench run` measured on this machine."""

    available: bool = Field(description="Whether anything was measured yet.")
    command: str = Field(description="What measures, when nothing was.")
    written: str = Field(description="When, RFC 3339; empty when nothing was measured.")
    machine: str
    tables: list[BoardTable]
