"""What the watch of one service says of one subject: the numbers from which a finding is made.

Enters: nothing. Leaves: Judgement rows, from service.py to findings.py. Plain data.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

NO_ROWS: npt.NDArray[np.int64] = np.empty(0, np.int64)


class Kind(StrEnum):
    """The kinds of log findings."""

    UNSEEN = "log.template.unseen"
    PARAMETER = "log.parameter.unseen"
    RATE = "log.template.rate"
    STOPPED = "log.template.stopped"
    ERRORS = "log.error.rate"
    BURST = "log.severity.burst"
    SILENT = "log.service.silent"


class Judgement(NamedTuple):
    """One subject out of the ordinary in one window of one service.

    template_id: of the template, None for the service as a whole. series: its place among the service's series, -1 for
    none. window: number of the window.
    score: -log10 of the chance of this by noise (unseen: plus what its severity adds). lines: counted.
    mean, upper: expected count and the band's end. share, share_expected: of the service's lines, 0..1.
    span: windows that were judged together; `each` has their numbers and lines, and mean and upper are of all of them;
    upper_window is of one.
    severity_told: whether the records carry the severity themselves.
    confirmed: people confirmed the template as anomalous, so that it is told though it was seen before.
    position, value, known: the `<*>` of the template, from 0, what stands there now and what stood there before.
    rows: of the batch at hand that show it. windows, learned_lines: what the baseline rests on.
    """

    kind: Kind
    template_id: int | None
    series: int
    window: int
    score: float
    lines: int
    first_ns: int
    last_ns: int
    severity: int = 0
    mean: float = 0.0
    upper: float = 0.0
    upper_window: float = 0.0
    share: float = 0.0
    share_expected: float = 0.0
    rows: npt.NDArray[np.int64] = NO_ROWS
    windows: int = 0
    learned_lines: int = 0
    learned_from_ns: int = 0
    span: int = 1
    each: tuple[tuple[int, int], ...] = ()
    severity_told: bool = True
    position: int = -1
    value: str = ""
    known: tuple[str, ...] = ()
    confirmed: bool = False

    @property
    def subject(self) -> str:
        """Give the subject of the finding: a template's id, a place in it, or what of the service."""
        if self.position >= 0:
            return f"{self.template_id}:{self.position}"
        return str(self.template_id) if self.template_id is not None else SUBJECTS[self.kind]


SUBJECTS = {Kind.ERRORS: "errors", Kind.BURST: "warnings", Kind.SILENT: "lines"}
