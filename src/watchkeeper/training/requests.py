"""What the operations of the training gateway take in, checked: the same for HTTP and for NATS.

Enters: plain data of JSON, from anyone. Leaves: requests with types, or QueryError that names the field and what is
wrong with it. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from watchkeeper.errors import QueryError
from watchkeeper.training.watchlist import DEFAULT, WORKLOADS_MAX
from watchkeeper.training.workloads import NAME_CHARACTERS_MAX, Workload, WorkloadPattern, read_pattern

FAULTS_TOLD_MAX = 5
PATTERNS_MAX = 1_000

Part = Annotated[str, Field(min_length=1, max_length=NAME_CHARACTERS_MAX, pattern=r"\S")]
Name = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$",
        description="Name of a watchlist; the gateway's own is `default`.",
        examples=[DEFAULT],
    ),
]
PatternText = Annotated[
    str,
    Field(
        min_length=1,
        max_length=3 * NAME_CHARACTERS_MAX + 2,
        description="`deployment`, `namespace/deployment` or `cluster/namespace/deployment`, with `*` and `?`.",
        examples=["shop/cart-*"],
    ),
]
UnixNs = Annotated[str, Field(pattern=r"^[0-9]{1,19}$", description="Unix nanoseconds as decimal text.")]

StatusName = Literal["no model trained", "training", "completed", "training failed", "cancelled"]
StageName = Literal["fetching data", "train", "evaluate", "save"]


class Request(BaseModel):
    """A request; fields that there are not are refused, so that a slip of the pen is no silence."""

    model_config = ConfigDict(extra="forbid", strict=True)


class WorkloadItem(Request):
    """One workload."""

    cluster_id: Part
    namespace: Part
    deployment: Part

    def workload(self) -> Workload:
        """Give it as watchlists hold it."""
        return Workload(self.cluster_id.strip(), self.namespace.strip(), self.deployment.strip())


class TrainRequest(Request):
    """A watchlist, submitted: what follows is decided against the one that was last trained."""

    items: Annotated[list[WorkloadItem], Field(max_length=WORKLOADS_MAX)]

    def workloads(self) -> list[Workload]:
        """Give the workloads."""
        return [each.workload() for each in self.items]


class ListTrainRequest(Request):
    """A submission of one of several lists: `items`, or what is chosen in it where they are left out."""

    items: Annotated[list[WorkloadItem], Field(max_length=WORKLOADS_MAX)] | None = None
    from_unix_ns: UnixNs | None = None
    until_unix_ns: UnixNs | None = None


class ChooseRequest(Request):
    """What a watchlist is to hold."""

    items: Annotated[list[WorkloadItem], Field(max_length=WORKLOADS_MAX)]


class EditRequest(Request):
    """Workloads to add to a watchlist and to take from it, by wildcards over those that are known."""

    add: Annotated[list[PatternText], Field(max_length=PATTERNS_MAX)] = []
    remove: Annotated[list[PatternText], Field(max_length=PATTERNS_MAX)] = []

    def patterns(self) -> tuple[list[WorkloadPattern], list[WorkloadPattern]]:
        """Give both, read; raises QueryError."""
        return [*map(read_pattern, self.add)], [*map(read_pattern, self.remove)]


Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class StatisticsReport(Request):
    """How far a training is, as a remote trainer tells it."""

    time_elapsed_s: Seconds = 0.0
    percentage_completed: Annotated[float, Field(ge=0, le=100)] = 0.0
    remaining_time_s: Seconds | None = None
    current_epoch: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    model_accuracy: Annotated[float, Field(ge=0, le=1)] | None = None
    stage: StageName | None = None


class StatusReport(Request):
    """What a remote trainer tells."""

    status: StatusName
    statistics: StatisticsReport | None = None
    stage: StageName | None = None
    reason: Annotated[str, Field(max_length=2_000)] = ""

    def told(self) -> dict[str, Any] | None:
        """Give the statistics with the stage among them; None when nothing was told."""
        if self.statistics is None and self.stage is None:
            return None
        told = (self.statistics or StatisticsReport()).model_dump(exclude_none=True)
        return {**told, **({"stage": self.stage} if self.stage else {})}


class AggregationRequest(Request):
    """Which workloads are asked for; a cluster that sends nothing has none."""

    cluster_id: Part


class PurgeRequest(Request):
    """What goes with the settings: with `purge_model_training_data` every model, list and status as well."""

    purge_model_training_data: bool = False


class NoRequest(Request):
    """An operation that takes nothing in."""


R = TypeVar("R", bound=Request)


def read(kind: type[R], data: Any) -> R:
    """Check plain data; raises QueryError that tells the first few faults."""
    if data is None:
        data = {}
    if not isinstance(data, Mapping):
        raise QueryError(f"the request is {_kind_of(data)}; send a JSON object")
    try:
        return kind.model_validate(dict(data))
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, each['loc'])) or 'request'}: {each['msg']}" for each in error.errors()]
        more = [f"and {len(faults) - FAULTS_TOLD_MAX} more"] if len(faults) > FAULTS_TOLD_MAX else []
        raise QueryError("; ".join([*faults[:FAULTS_TOLD_MAX], *more])) from error


def _kind_of(data: Any) -> str:
    kinds = {list: "an array", str: "a text", bool: "true or false", int: "a number", float: "a number"}
    return kinds.get(type(data), f"of the type {type(data).__name__}")
