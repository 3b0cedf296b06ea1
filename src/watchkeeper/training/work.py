"""What training jobs need of the program around them; app/training.py brings it. Types only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from watchkeeper.training.job import Job, JobSpec
from watchkeeper.training.job_folder import JobFolder


@dataclass(frozen=True)
class Limits:
    """heartbeat_s: silence after which a job counts as dead. resumptions_max: of one job. jobs_kept: ended ones."""

    heartbeat_s: float = 120.0
    resumptions_max: int = 3
    memory_bytes_max: int = 1536 << 20
    jobs_kept: int = 200


LIMITS = Limits()


class Published(NamedTuple):
    """The version that a job's model became, and what is told of it: quality, thresholds, promotion."""

    version: int | None
    result: Mapping[str, Any]


class Work(Protocol):
    """What the program around does for jobs."""

    def check(self, spec: JobSpec) -> None:
        """Raise WatchkeeperError when such a job cannot be run here at all; nothing has been fetched yet."""

    def prepare(self, job: Job, folder: JobFolder) -> None:
        """Put job.json, the data and the previous model into the folder. Again after a kill: from the start."""

    def command(self, folder: Path) -> Sequence[str]:
        """Give the command of the worker."""

    def publish(self, job: Job, folder: JobFolder, result: Mapping[str, Any]) -> Published:
        """Make the model a version. May be called again for the same job after a kill, and then gives the same."""
