"""The interfaces of diagnosis: Ranker, Classifier, Writer, and what they give.

Enters: an IncidentWindow. Leaves: ranked causes with evidence for and against, a category with probabilities, a report
whose every claim cites evidence. Each may abstain, and then says what is missing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from watchkeeper.diagnose.window import IncidentWindow

DIAGNOSIS_SCHEMA_VERSION = 1


class IndicatorKind(StrEnum):
    """What kind of thing within the entity points to the cause."""

    METRIC = "metric"
    LOG_TEMPLATE = "log_template"
    OPERATION = "operation"
    CHANGE = "change"
    NONE = "none"


@dataclass(frozen=True)
class Indicator:
    """What within the entity broke; score >= 0, higher = more."""

    kind: IndicatorKind
    name: str
    score: float = 0.0


@dataclass(frozen=True)
class Proof:
    """One piece of evidence for or against: `id` is unique within its diagnosis, and claims of a report cite it.

    weight: 0..1, how much it moved the score. points: [time_unix_ns, value] pairs to draw, when it is a series.
    finding_id: the finding it comes from, "" when it was computed for this diagnosis.
    """

    id: str
    text: str
    weight: float = 0.0
    signal: str = ""
    node: str = ""
    finding_id: str = ""
    trace_id: str = ""
    points: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Cause:
    """One hypothesis. score: >= 0, higher = likelier, comparable within one ranking only.

    confidence: 0..1, calibrated probability that this entity is the cause. verdict: `supported`, `possible` or
    `refuted`. indicators: likeliest first.
    """

    node: str
    score: float
    confidence: float = 0.0
    verdict: str = "possible"
    indicators: tuple[Indicator, ...] = ()
    evidence_for: tuple[Proof, ...] = ()
    evidence_against: tuple[Proof, ...] = ()
    why: str = ""


@dataclass(frozen=True)
class Ranking:
    """Causes, likeliest first. When `abstains`, the order is not to be acted upon, and `missing` says what would help.

    ruled_out: nodes with the reason they are not the cause. fault_kind: the kind it was routed by, "" when none.
    """

    causes: tuple[Cause, ...]
    abstains: bool = False
    why: str = ""
    missing: tuple[str, ...] = ()
    ruled_out: tuple[tuple[str, str], ...] = ()
    fault_kind: str = ""

    def nodes(self) -> list[str]:
        """Give the nodes in order of likelihood."""
        return [cause.node for cause in self.causes]

    def as_dict(self) -> dict[str, Any]:
        """Give plain data for JSON, with `schema_version`."""
        return {**asdict(self), "schema_version": DIAGNOSIS_SCHEMA_VERSION}


class Category(StrEnum):
    """Why systems fail: the one published list of categories (docs/categories.md says what belongs to each)."""

    APPLICATION = "application_error"
    CPU = "resource_cpu"
    MEMORY = "resource_memory"
    DISK = "resource_disk"
    NETWORK = "network"
    DEPENDENCY = "dependency"
    CHANGE = "config_or_deploy"
    DATA = "data"
    GPU = "hardware_gpu"
    STORAGE_DEVICE = "hardware_disk"
    HOST = "hardware_node"
    EXTERNAL = "external"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Classification:
    """The likeliest category and the probability of each (they sum to 1).

    why: what spoke for it, strongest first.
    """

    category: Category
    probabilities: dict[Category, float] = field(default_factory=dict)
    why: tuple[str, ...] = ()
    abstains: bool = False


class Ranker(Protocol):
    """Ranks the candidates for the cause of an incident."""

    def rank(self, window: IncidentWindow) -> Ranking:
        """Give every node of `window.nodes` once, likeliest first. Units and names of metrics must not matter."""


class Classifier(Protocol):
    """Names the category of a failure."""

    def classify(self, window: IncidentWindow, ranking: Ranking) -> Classification:
        """Give the category with the probability of each; UNKNOWN when evidence is thin."""


class Writer(Protocol):
    """Words a diagnosis; every sentence about a cause cites evidence that exists."""

    def write(self, window: IncidentWindow, ranking: Ranking, classification: Classification) -> str:
        """Give Markdown."""
