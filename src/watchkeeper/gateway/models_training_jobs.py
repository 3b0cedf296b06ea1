"""The shapes of training jobs, beside those of models.py."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from watchkeeper.gateway.models import Shape, UnixNs
from watchkeeper.training.requests import WorkloadItem
from watchkeeper.training.watchlist import WORKLOADS_MAX

StageText = Literal["fetching data", "train", "evaluate", "save"]
StatusText = Literal["training", "completed", "training failed", "cancelled"]


class JobWorkload(Shape):
    """One workload."""

    cluster_id: str = Field(max_length=1000, examples=["local"])
    namespace: str = Field(max_length=1000, examples=["shop"])
    deployment: str = Field(max_length=1000, examples=["cart"])


class JobSpecShape(Shape):
    """What a job learns from."""

    kind: str = Field(description="logs, or remote: another program trains and reports.", examples=["logs"])
    name: str = Field(description="Of the model.", examples=["logs/default"])
    watchlist: str
    workloads: list[JobWorkload]
    from_unix_ns: UnixNs
    until_unix_ns: UnixNs
    parameters: dict[str, Any]


class JobStatistics(Shape):
    """How far a job is."""

    time_elapsed_s: float
    percentage_completed: float = Field(description="0 to 100; it never goes back.")
    remaining_time_s: float | None
    current_epoch: int
    model_accuracy: float | None = Field(description="0 to 1, on lines held out; null before it is measured.")
    stage: StageText


class TrainingJob(Shape):
    """One job."""

    id: str = Field(examples=["20261121-164059-051949"])
    status: StatusText
    stage: StageText
    statistics: JobStatistics
    spec: JobSpecShape
    reason: str = Field(description="Why it failed or was cancelled; empty otherwise.")
    log_tail: str = Field(description="The end of its log, once it has ended.")
    version: int | None = Field(description="Of the model, once it is published.")
    result: dict[str, Any] = Field(description="quality, previous, thresholds, trained_on, verdict, promoted.")
    created_unix_ns: UnixNs
    ended_unix_ns: UnixNs
    heartbeat_unix_ns: UnixNs
    resumptions: int
    peak_memory_bytes: int


class TrainingJobsAnswer(Shape):
    """Jobs, the newest first."""

    items: list[TrainingJob]


class StartRequest(Shape):
    """What to train from."""

    watchlist: str = Field("default", max_length=100)
    workloads: list[WorkloadItem] | None = Field(
        None, max_length=WORKLOADS_MAX, description="Those of the watchlist when left out."
    )
    start: str = Field("", alias="from", max_length=100, description="Begin of the range; as in the lists.")
    end: str = Field("", alias="to", max_length=100, description="End of the range; now when left out.")
    parameters: dict[str, Any] = Field({}, description="Of the training, such as epochs or steps_max.")


class CancelRequest(Shape):
    """Why a job is cancelled, and by whom, where no tokens are set up."""

    by: str = Field("", max_length=200)
    text: str = Field("", max_length=2000)


class JobLog(Shape):
    """A part of a job's log."""

    text: str
    offset: int = Field(description="Where the next part begins.")
    ended: bool = Field(description="Whether the job has ended, so that no more comes.")
