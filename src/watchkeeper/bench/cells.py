"""Cells: every permutation of task, data set, model and enhancement, and why some of them make no sense.

Enters: a catalogue and patterns of names. Leaves: cells in a fixed order, each with a permanent id and, where it is not
to be run, the reason. Runs nothing.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from watchkeeper.bench.base import BenchError, DataSpec, Enhancement, ModelSpec, Subject, Task
from watchkeeper.bench.cases import recording
from watchkeeper.bench.discover import Catalogue
from watchkeeper.bench.suites import suite_of
from watchkeeper.datasets.catalogue import DATA_SETS
from watchkeeper.datasets.fetch import is_present

PLAIN = "none"
"""The enhancement that changes nothing."""
ABSENT = "the data set"
"""How the reason begins that holds for every cell of a data set that is not here."""


class Cell(NamedTuple):
    """One permutation; `skipped` is the reason why it is not run, "" when it is."""

    task: Task
    data: DataSpec
    model: ModelSpec
    enhancement: Enhancement
    skipped: str = ""

    @property
    def id(self) -> str:
        """Give the permanent id `task/data@version/model/enhancement`."""
        return f"{self.task.name}/{self.data.id}/{self.model.name}/{self.enhancement.name}"

    @property
    def subject(self) -> Subject:
        """Give what an enhancement is asked to better."""
        return Subject(self.task, self.data, self.model)


class Chosen(NamedTuple):
    """Patterns (`*` and `?`) of names; any of a kind is enough. suite: `quick`, `full` or "" for no suite."""

    tasks: Sequence[str] = ("*",)
    data: Sequence[str] = ("*",)
    models: Sequence[str] = ("*",)
    enhancements: Sequence[str] = ("*",)
    suite: str = ""


def plan(known: Catalogue, chosen: Chosen, folder: Path) -> list[Cell]:
    """Give all cells that the patterns choose, with the reason of those that cannot be run.

    Data sets of a form that a model does not take give no cell at all: there is no question that it could be asked.
    Raises BenchError when nothing is chosen, or a pattern without a wildcard names nothing.
    """
    suite_of(chosen.suite)
    _hold_names(known, chosen)
    cells = list(_cells(known, chosen, folder))
    if not cells:
        raise BenchError(
            "nothing is chosen: no model takes the form of a data set chosen; see `watchkeeper bench list`"
        )
    return cells


def _cells(known: Catalogue, chosen: Chosen, folder: Path) -> Iterator[Cell]:
    for data_name in known.data:
        data = known.data.get(data_name)
        if not _matches(data.task, chosen.tasks) or not _matches(data.name, chosen.data):
            continue
        if chosen.suite == "quick" and not data.quick:
            continue
        absent = absence(data, folder)
        task = known.tasks.get(data.task)
        for model_name in known.models:
            model = known.models.get(model_name)
            if not fits(model, data) or not _matches(model_name, chosen.models):
                continue
            if chosen.suite == "quick" and not model.quick:
                continue
            for name in known.enhancements:
                if not _matches(name, chosen.enhancements):
                    continue
                enhancement = known.enhancements.get(name)
                subject = Subject(task, data, model)
                reason = enhancement.applies(subject) or unmet(model, data) or absent
                yield Cell(task, data, model, enhancement, reason)


def fits(model: ModelSpec, data: DataSpec) -> bool:
    """Tell whether a model can be asked a data set's questions."""
    return data.form in model.forms and (not model.tasks or data.task in model.tasks)


def unmet(model: ModelSpec, data: DataSpec) -> str:
    """Give why a model cannot be run here on a data set, "" when it can."""
    if lacking(model):
        return lacking(model)
    if model.needs_labels and data.labels != "full":
        return "learns from labels of both kinds, which this protocol does not show"
    return ""


def lacking(model: ModelSpec) -> str:
    """Give what a model needs and is not installed here, "" when all is."""
    missing = [each for each in model.needs if importlib.util.find_spec(each) is None]
    return f"needs {', '.join(missing)}, which is not installed" if missing else ""


def absence(data: DataSpec, folder: Path) -> str:
    """Give why a data set cannot be read here, "" when it can."""
    if data.recorded and (how := recording.missing(folder / data.recorded)):
        return f"{ABSENT} {data.recorded} is not here; {how}"
    missing = [name for name in data.sources if not is_present(DATA_SETS.get(name), folder)]
    if not missing:
        return ""
    return f"{ABSENT} {', '.join(missing)} is not here; fetch it with `watchkeeper data fetch {missing[0]}`"


def cell_of(known: Catalogue, identifier: str) -> Cell:
    """Give the cell of an id; raises BenchError when there is none, UnknownName when a part is unknown."""
    parts = identifier.split("/")
    if len(parts) != 4 or "@" not in parts[1]:
        raise BenchError(f"{identifier!r} is no id of a cell; one looks like task/data@version/model/enhancement")
    task, data_id, model, enhancement = parts
    name, _, version = data_id.rpartition("@")
    data = known.data.get(f"{task}/{name}")
    if str(data.version) != version:
        raise BenchError(f"{identifier} is of version {version} of its data set; here is version {data.version}")
    return Cell(known.tasks.get(task), data, known.models.get(model), known.enhancements.get(enhancement))


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _hold_names(known: Catalogue, chosen: Chosen) -> None:
    """Let a name that is written out and unknown fail with a suggestion."""
    names = [known.data.get(each).name for each in known.data]
    for patterns, there in (
        (chosen.tasks, known.tasks),
        (chosen.models, known.models),
        (chosen.enhancements, known.enhancements),
    ):
        for pattern in patterns:
            if not set("*?[") & set(pattern):
                there.get(pattern)
    for pattern in chosen.data:
        if not set("*?[") & set(pattern) and pattern not in names:
            raise BenchError(
                f"there is no data set {pattern!r} in the harness; there are: {', '.join(sorted(set(names)))}"
            )
