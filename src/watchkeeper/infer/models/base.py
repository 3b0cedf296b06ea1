"""What every model of inference jobs is: something that answers a job. One implementation a file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from watchkeeper.infer.contract import Answer, Job
from watchkeeper.settings import Settings


class Model(ABC):
    """Answers jobs, one at a time; made once and kept."""

    @abstractmethod
    def answer(self, job: Job) -> Answer:
        """Answer a job.

        Raises ModelFault (no usable answer; `lasting` when a retry cannot help), Refused (not now, with the time to
        come back), Unreachable, Unauthorized, Forbidden, TooLarge.
        """

    def close(self) -> None:  # noqa: B027 - most models hold nothing open
        """Let go of what is held open."""


Opener = Callable[[str, Settings], Model]
"""Makes a model of what stands behind the colon of its name ("" for none) and the settings."""
