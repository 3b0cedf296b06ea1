"""The shapes of the training gateway, of watchlists and of workloads, beside those of models.py."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from watchkeeper.gateway.models import Shape, UnixNs
from watchkeeper.training.requests import StageName, StatusName

CountState = Literal["counting", "no data", "error", "healthy"]


class Nothing(BaseModel):
    """An answer without anything to tell."""


class WorkloadShape(Shape):
    """One workload."""

    cluster_id: str = Field(examples=["local"])
    namespace: str = Field(examples=["shop"])
    deployment: str = Field(examples=["cart"])


class CountedWorkload(WorkloadShape):
    """A workload and its log lines of the last hour."""

    log_count: int


class KnownWorkload(CountedWorkload):
    """A workload that sent logs, and the watchlists in which it is chosen."""

    watchlists: list[str]


class DecisionAnswer(Shape):
    """What became of a submitted watchlist."""

    decision: Literal["trained", "updated", "reset"]
    job_id: str = Field(description="The training that it led to; empty for none.")
    added: list[WorkloadShape] = Field(description="Beside what was last trained.")
    removed: list[WorkloadShape] = Field(description="Beside what was last trained.")


class StatisticsShape(Shape):
    """How far a training is."""

    time_elapsed_s: float
    percentage_completed: float = Field(description="0 to 100; never goes back.")
    remaining_time_s: float | None = Field(description="An estimate; null while there is no telling.")
    current_epoch: int
    model_accuracy: float | None = Field(description="0 to 1, on lines held out; null before the evaluation.")
    stage: StageName | None


class ModelStatus(Shape):
    """Status and stage, which change together."""

    status: StatusName
    stage: StageName | None
    statistics: StatisticsShape
    watchlist: str
    job_id: str
    reason: str = Field(description="Why it failed or was cancelled.")
    model_version: int | None = Field(description="The version that scores lines now.")


class ParametersAnswer(Shape):
    """The watchlist as it was last submitted."""

    items: list[WorkloadShape]
    submitted_unix_ns: UnixNs


class CountsHead(Shape):
    """How counts are, and of which time."""

    state: CountState
    problem: str
    from_unix_ns: UnixNs
    until_unix_ns: UnixNs


class AggregationAnswer(CountsHead):
    """Log counts of one cluster, the busiest workload first."""

    items: list[CountedWorkload]


class WorkloadsAnswer(CountsHead):
    """Workloads of all clusters."""

    left_out: int = Field(description="Lines of workloads beyond the bound, which are not listed.")
    total: int = Field(description="Workloads that match, those beyond the limit too.")
    items: list[KnownWorkload]


class GpuShape(Shape):
    """GPUs of one kind on one node."""

    name: str = Field(examples=["nvidia.com/gpu"])
    capacity: int
    allocatable: int = Field(description="Those that can be used; a GPU that is lost cannot.")
    node: str
    models: list[str]


class GpuAnswer(Shape):
    """All GPUs; `no data` means that there are none."""

    state: Literal["healthy", "no data", "error"]
    problem: str
    items: list[GpuShape]


class ObjectStoreShape(Shape):
    """How the object store is."""

    state: Literal["not configured", "no data", "error", "healthy"]
    detail: str
    objects: int = Field(description="Up to 1,000.")


class PretrainedShape(Shape):
    """One pretrained kind."""

    enabled: bool
    threshold: float | None


class ObjectStoreSettingsShape(Shape):
    """The object store, without its secret."""

    url: str
    region: str
    access_key: str
    secret_key: str = Field(description="Always empty.")
    secret_key_is_set: bool


class AiSettingsAnswer(Shape):
    """The settings of the training gateway."""

    gpu_runtime_class: str
    replicas: int
    trainer: Literal["local", "remote"]
    pretrained_models: dict[str, PretrainedShape]
    object_store: ObjectStoreSettingsShape | None
    is_set: bool = Field(description="False while they are as by default.")
    object_store_state: ObjectStoreShape


class AiSettingsDeleted(AiSettingsAnswer):
    """The settings after they were deleted."""

    purged_watchlists: list[str]


class WatchlistShape(Shape):
    """One watchlist."""

    name: str
    is_default: bool
    items: list[CountedWorkload] = Field(description="What is chosen.")
    submitted: list[WorkloadShape]
    trained: list[WorkloadShape]
    is_submitted: bool = Field(description="Whether what is chosen is what was last submitted.")
    submitted_unix_ns: UnixNs
    trained_unix_ns: UnixNs
    decision: Literal["", "trained", "updated", "reset"]
    status: ModelStatus


class EditedWatchlist(WatchlistShape):
    """A watchlist after it was edited."""

    added: list[WorkloadShape]
    removed: list[WorkloadShape]


class WatchlistsAnswer(Shape):
    """All watchlists, the default one first."""

    items: list[WatchlistShape]
