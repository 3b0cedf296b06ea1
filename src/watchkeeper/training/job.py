"""What a training job is: what it shall learn from, where it stands, what came of it. Plain data and its JSON form.

Enters: nothing. Leaves: JobSpec, Statistics, Job, and the words for status and stage that the training gateway's
operations use. A Job is a picture of one moment; jobs.py makes the next one. Does no I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from watchkeeper.training.workloads import Workload

SCHEMA_VERSION = 1
NO_MODEL = "no model trained"
"""What the gateway answers where there is neither a job nor a model; no job ever has this status."""


WRITE_EVERY_NS = 5 * 10**9
"""How often progress within a stage is written: each write waits for the disk, as acknowledgements do."""


class Status(StrEnum):
    """What became of a job. A queued one is `training` at 0 %, in its first stage."""

    TRAINING = "training"
    COMPLETED = "completed"
    FAILED = "training failed"
    CANCELLED = "cancelled"


class Stage(StrEnum):
    """What a job does, in this order."""

    FETCHING = "fetching data"
    TRAIN = "train"
    EVALUATE = "evaluate"
    SAVE = "save"


STAGES = tuple(Stage)


@dataclass(frozen=True)
class JobSpec:
    """What to train, and from what.

    kind: "logs" (a log model), "online" (the online detectors), "remote" (another program trains and reports).
    name: of the model, as in `models/`. watchlist: "" for none. workloads: whose lines are read; none means all.
    The times are inclusive Unix nanoseconds of event time. parameters: of the training, JSON values only.
    """

    kind: str
    name: str
    watchlist: str = ""
    workloads: tuple[Workload, ...] = ()
    from_unix_ns: int = 0
    until_unix_ns: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Give plain data for JSON."""
        data = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {
            **data,
            "workloads": [workload.as_dict() for workload in self.workloads],
            "parameters": dict(self.parameters),
        }


def spec_from_dict(data: Mapping[str, Any]) -> JobSpec:
    """Read a JobSpec back from its plain form; fields that this version does not know are left out."""
    known = {name: data[name] for name in JobSpec.__dataclass_fields__ if name in data}
    known["workloads"] = tuple(Workload(**each) for each in known.get("workloads", ()))
    return JobSpec(**known)


@dataclass(frozen=True)
class Statistics:
    """How far a job is. Seconds of work, those before a resumption included; percentage 0..100, it never goes back.

    remaining_time_s: None while there is no telling. current_epoch: from 1, 0 before the first. model_accuracy: 0..1,
    share of held-out masked tokens guessed, None before the evaluation.
    """

    time_elapsed_s: float = 0.0
    percentage_completed: float = 0.0
    remaining_time_s: float | None = None
    current_epoch: int = 0
    model_accuracy: float | None = None
    stage: Stage = Stage.FETCHING

    def as_dict(self) -> dict[str, Any]:
        """Give plain data for JSON; times and percentage rounded."""
        remaining = self.remaining_time_s
        return {
            "time_elapsed_s": round(self.time_elapsed_s, 2),
            "percentage_completed": round(self.percentage_completed, 2),
            "remaining_time_s": None if remaining is None else round(remaining, 2),
            "current_epoch": self.current_epoch,
            "model_accuracy": self.model_accuracy,
            "stage": self.stage.value,
        }


def statistics_from_dict(data: Mapping[str, Any]) -> Statistics:
    """Read Statistics; raises ValueError for a number out of range or a stage that there is not."""
    accuracy, remaining = data.get("model_accuracy"), data.get("remaining_time_s")
    return Statistics(
        time_elapsed_s=_number(data, "time_elapsed_s", 0.0, float("inf")),
        percentage_completed=_number(data, "percentage_completed", 0.0, 100.0),
        remaining_time_s=None if remaining is None else _number(data, "remaining_time_s", 0.0, float("inf")),
        current_epoch=int(_number(data, "current_epoch", 0, 2**31)),
        model_accuracy=None if accuracy is None else _number(data, "model_accuracy", 0.0, 1.0),
        stage=_stage(data.get("stage") or Stage.FETCHING),
    )


def _number(data: Mapping[str, Any], name: str, low: float, high: float) -> float:
    value = data.get(name) or 0.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{name} = {value!r} is no number from {low:g} to {high:g}")
    return float(value)


def _stage(value: Any) -> Stage:
    try:
        return Stage(value)
    except ValueError:
        raise ValueError(f"stage {value!r} is none of {', '.join(STAGES)}") from None


@dataclass(frozen=True)
class Job:
    """One job at one moment.

    reason: why it failed or was cancelled, "" otherwise. log_tail: the end of its log, once it has ended.
    version: number of the version that it published. result: quality, thresholds, data, promotion, once completed.
    resumptions: how often it was taken up after its process died. Times are Unix nanoseconds, ended 0 while it runs.
    pid and process_start tell its process apart from a later one with the same number; 0 when it has none.
    """

    id: str
    spec: JobSpec
    status: Status = Status.TRAINING
    statistics: Statistics = Statistics()
    reason: str = ""
    log_tail: str = ""
    version: int | None = None
    result: Mapping[str, Any] = field(default_factory=dict)
    created_unix_ns: int = 0
    ended_unix_ns: int = 0
    heartbeat_unix_ns: int = 0
    resumptions: int = 0
    peak_memory_bytes: int = 0
    pid: int = 0
    process_start: int = 0

    @property
    def stage(self) -> Stage:
        """Give what it does, or last did."""
        return self.statistics.stage

    @property
    def running(self) -> bool:
        """Tell whether it has not ended; a queued one counts as running."""
        return self.status is Status.TRAINING

    def as_dict(self) -> dict[str, Any]:
        """Give plain data for JSON."""
        plain = {name: value for name, value in asdict(self).items() if name not in {"spec", "statistics"}}
        return {
            **plain,
            "status": self.status.value,
            "stage": self.stage.value,
            "spec": self.spec.as_dict(),
            "statistics": self.statistics.as_dict(),
        }


def job_from_dict(data: Mapping[str, Any]) -> Job:
    """Read a Job back from its plain form; fields that this version does not know are left out."""
    known = {name: data[name] for name in Job.__dataclass_fields__ if name in data}
    known["status"] = Status(known["status"])
    known["spec"] = spec_from_dict(known["spec"])
    known["statistics"] = statistics_from_dict(known["statistics"])
    return Job(**known)


def is_news(now: Job, before: Job) -> bool:
    """Tell whether what a running job tells is to be written now, beside what was written last."""
    return (
        now.stage is not before.stage
        or now.statistics.model_accuracy != before.statistics.model_accuracy
        or now.heartbeat_unix_ns - before.heartbeat_unix_ns >= WRITE_EVERY_NS
    )
