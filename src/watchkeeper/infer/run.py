"""Runs one job: opens its model, lets it answer, gives the output, and tells each step to the log.

Enters: the bytes of a job. Leaves: its output as plain data, or the error that stands for what went wrong. The same in
process, from file to file and in a worker. Keeps no job.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from watchkeeper.errors import InvalidJob, ModelFault, TooLarge, UnknownName
from watchkeeper.infer.contract import Job, JobFaults, output_of, parse_job
from watchkeeper.infer.job_log import JobLog
from watchkeeper.infer.models.catalogue import Models

_LASTING = (InvalidJob, UnknownName, TooLarge)


class JobRunner:
    """Runs jobs one after another; models stay open between them. Not for several threads at once."""

    def __init__(self, models: Models, log: JobLog, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._models, self._log, self._now = models, log, now

    def run(self, data: bytes, *, request_id: str = "") -> dict[str, Any]:
        """Run one job; `request_id` is used where the job has none.

        Raises InvalidJob, UnknownName, SettingError, MissingExtra and what a Model raises, each logged before.
        """
        begun = time.monotonic()
        job = self._parsed(data, request_id)
        try:
            model = self._models.get(job.model)
            self._log.write(
                "info", "the model is ready", model=job.model, duration_ms=_ms(begun), request_id=job.request_id
            )
            asked = time.monotonic()
            answer = model.answer(job)
        except Exception as error:
            self.tell_failure(error, model=job.model, duration_ms=_ms(begun), request_id=job.request_id)
            raise
        self._log.write(
            "info", "the model answered", model=job.model, duration_ms=_ms(asked), request_id=job.request_id
        )
        return output_of(job, answer, processed_at=self._now(), duration_ms=_ms(begun))

    def tell_failure(
        self, error: Exception, *, model: str = "", duration_ms: float | None = None, request_id: str = ""
    ) -> None:
        """Log that a job failed, with the reason."""
        self._log.write(
            "error",
            f"the job failed: {error}",
            model=model,
            duration_ms=duration_ms,
            request_id=request_id,
            error=type(error).__name__,
            **({"faults": faults} if (faults := faults_of(error)) else {}),
        )

    def _parsed(self, data: bytes, request_id: str) -> Job:
        begun = time.monotonic()
        try:
            job = parse_job(data, request_id=request_id)
        except (InvalidJob, TooLarge) as error:
            known = error.request_id if isinstance(error, JobFaults) else request_id
            self.tell_failure(error, duration_ms=_ms(begun), request_id=known)
            raise
        self._log.write(
            "info",
            "the job is valid",
            model=job.model,
            duration_ms=_ms(begun),
            request_id=job.request_id,
            prompt_characters=len(job.prompt),
        )
        return job


def faults_of(error: Exception) -> list[dict[str, Any]]:
    """Give the faults of a job as plain data: `{line, column, field, problem}` each; none for any other error."""
    if not isinstance(error, JobFaults):
        return []
    return [
        {"line": each.position.line, "column": each.position.column, "field": each.field, "problem": each.problem}
        for each in error.faults
    ]


def is_lasting(error: Exception) -> bool:
    """Tell whether the same job would fail again, wherever and whenever it is run.

    >>> is_lasting(UnknownName("no such model")), is_lasting(ModelFault("broke off"))
    (True, False)
    """
    return isinstance(error, _LASTING) or (isinstance(error, ModelFault) and error.lasting)


def run_job(data: bytes, models: Models, log: JobLog) -> dict[str, Any]:
    """Run one job in process: the bytes of its JSON in, its output out. Raises as JobRunner.run does."""
    return JobRunner(models, log).run(data)


def _ms(begun: float) -> float:
    return (time.monotonic() - begun) * 1e3
