"""What people confirmed as anomalous, so that no detector learns it as normal.

Plain data, told to the detectors by whoever keeps the feedback. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable


class Confirmed(NamedTuple):
    """One confirmed finding, by what it describes. score: as it was told, >= 0, higher = more anomalous."""

    kind: str
    service: str
    entity: str
    subject: str
    score: float
    template_id: int | None = None


@runtime_checkable
class Protects(Protocol):
    """A detector that keeps confirmed anomalies out of what it learns."""

    def protect(self, confirmed: Sequence[Confirmed]) -> None:
        """Learn none of these as normal, from now on; takes the place of what was told before."""
