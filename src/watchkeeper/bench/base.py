"""The types of the harness: what a data set, a model, a task and an enhancement are, and what passes between them.

A data set gives Splits. A model learns from Examples and answers what is `given`, one Item after another; it is never
handed an Item, so that what is true stays with the harness. A task measures Outcomes. A Form tells which models can
answer which data sets. Holds no data set, no model and no task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from watchkeeper.errors import WatchkeeperError


class BenchError(WatchkeeperError):
    """A measurement cannot be planned or made; the message says why."""


class Place(NamedTuple):
    """Where data sets lie, and where their normalised form may be kept."""

    data: Path
    cache: Path


@dataclass(frozen=True)
class Item:
    """What a model is asked at one go. `given` is all that it sees; `truth` stays with the harness.

    cases: names of the single cases within, when `given` is a block of many; () when the item is one case.
    """

    id: str
    given: Any
    truth: Any
    cases: tuple[str, ...] = ()


class Example(NamedTuple):
    """What a model learns from; `label` is None where the protocol of the data set keeps labels from models."""

    given: Any
    label: Any


@dataclass(frozen=True)
class Split:
    """One part to learn from, one to set thresholds on, one to be scored, in this order of time where time counts.

    labelled: whether models see the labels of `train`. facts: what is known beforehand and holds for all parts, such as
    the step of a series or the false-alarm budget.
    """

    name: str
    train: tuple[Item, ...]
    test: tuple[Item, ...]
    validation: tuple[Item, ...] = ()
    labelled: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)


class Context(NamedTuple):
    """What a model is told beside its examples: the seed to draw from and the facts of the split."""

    seed: int
    facts: Mapping[str, Any]


class Model(Protocol):
    """Learns once, then answers in order. A `threshold` attribute (float), if any, decides instead of the harness.

    A method `notes()`, if any, gives numbers by name that go into the record beside the figures.
    """

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Learn; the examples can be gone through once."""

    def answer(self, given: Any) -> Any:
        """Answer as the data set's form asks. Arrays that are given cannot be written to."""


@dataclass(frozen=True)
class Outcome:
    """What came of one split: the items asked with their answers, in order, and the threshold in force.

    own: whether the threshold is the model's.
    """

    split: Split
    validation: tuple[Any, ...]
    answers: tuple[Any, ...]
    threshold: float | None = None
    own: bool = False


@dataclass(frozen=True)
class Metric:
    """One figure of a task. `tolerance` is what `bench compare` lets pass in the bad direction."""

    name: str
    about: str
    higher_is_better: bool = True
    tolerance: float = 0.01
    headline: bool = False


class Figure(NamedTuple):
    """A value with the ends of its 95 % interval, None where there is none to give."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Measured:
    """All figures of a cell, figures by case for paired comparison, curves as (x, y) points, words on some cases."""

    figures: dict[str, Figure]
    cases: dict[str, dict[str, float]] = field(default_factory=dict)
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Form:
    """A shape of question and answer. `check` raises ValueError for an answer that is none."""

    name: str
    given: str
    answer: str
    check: Callable[[Any, Any], Any]
    plain: Callable[[Any], Any]


@dataclass(frozen=True)
class Task:
    """One of the tasks: its stage of AIOps, its metrics, and how they are computed from the outcomes of one seed."""

    name: str
    stage: str
    about: str
    metrics: tuple[Metric, ...]
    measure: Callable[[Sequence[Outcome]], Measured]

    def metric(self, name: str = "") -> Metric:
        """Give the metric of that name, by default the one by which cells are held against the baselines."""
        return next(metric for metric in self.metrics if (metric.name == name if name else metric.headline))


@dataclass(frozen=True)
class DataSpec:
    """One data set under one protocol for one task; another version is another protocol or other data.

    sources: names in the catalogue that must be on this machine. splits: made in this one place, for every model alike.
    labels: `none`, `normal` (only normal ones are learned from) or `full`. covers: what else the audit counts as
    measured by it. headline: the metric to judge by, where it is another than the task's. system: what was recorded, by
    default the first source; data sets of one system teach nothing about another. recorded: a folder in the folder of
    data sets that `watchkeeper bench record` fills, where it is of that kind. repeats: asks each question several
    times, so that a random model draws anew each time and needs one seed only.
    """

    name: str
    version: int
    task: str
    form: str
    about: str
    sources: tuple[str, ...]
    splits: Callable[[Place], Iterator[Split]]
    labels: str = "none"
    quick: bool = True
    covers: tuple[str, ...] = ()
    headline: str = ""
    cell_s: float = 0.0
    system: str = ""
    recorded: str = ""
    repeats: bool = False

    @property
    def id(self) -> str:
        """Give the name with its version."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True)
class ModelSpec:
    """One model. forms: what it can answer. tasks: () for all of them.

    trivial: a baseline that every other model must beat. random: is run with several seeds. resumes: has
    `resume(examples, context)` to go on learning. students: models that may be distilled from it.
    """

    name: str
    forms: tuple[str, ...]
    make: Callable[[], Model]
    about: str
    tasks: tuple[str, ...] = ()
    trivial: bool = False
    random: bool = False
    needs_labels: bool = False
    needs: tuple[str, ...] = ()
    resumes: bool = False
    students: tuple[str, ...] = ()
    covers: tuple[str, ...] = ()
    quick: bool = True
    parameters: Mapping[str, Any] = field(default_factory=dict)


class Subject(NamedTuple):
    """What an enhancement is asked to better: a model on a data set of a task."""

    task: Task
    data: DataSpec
    model: ModelSpec


@dataclass(frozen=True)
class Enhancement:
    """Wraps a model into a model. `applies` gives the reason why not, "" where it does."""

    name: str
    about: str
    applies: Callable[[Subject], str]
    wrap: Callable[[Subject, Place], Model]
    random: bool = False
