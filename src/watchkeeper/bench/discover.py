"""Finds what is registered: every file of the folders tasks, data, models and enhancements tells what it holds.

A file in these folders gives TASKS, DATA, MODELS or ENHANCEMENTS, tuples of specifications; so does a file or module of
a user's. Enters: nothing, or the names of a user's files. Leaves: a Catalogue. What a specification gets wrong (its
type, a name that is no part of an id, an unknown form) is told with the file. Runs no model and reads no data.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from watchkeeper.bench.base import BenchError, DataSpec, Enhancement, ModelSpec, Task
from watchkeeper.bench.forms import FORMS
from watchkeeper.bench.own.told import told_by
from watchkeeper.registry import Registry

GROUP = "watchkeeper.bench"
"""Entry points of packages that bring models, data sets, enhancements or tasks."""
FOLDERS = ("tasks", "data", "models", "enhancements")
LABELS = ("none", "normal", "full")
_PACKAGE = "watchkeeper.bench"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
T = TypeVar("T")


@dataclass(frozen=True)
class Catalogue:
    """All that can be measured; data sets are named `task/name`."""

    tasks: Registry[Task] = field(default_factory=lambda: Registry[Task]("task"))
    data: Registry[DataSpec] = field(default_factory=lambda: Registry[DataSpec]("data set of a task"))
    models: Registry[ModelSpec] = field(default_factory=lambda: Registry[ModelSpec]("model"))
    enhancements: Registry[Enhancement] = field(default_factory=lambda: Registry[Enhancement]("enhancement"))

    def take(self, module: object) -> int:
        """Register what a module tells; gives how much that was. Raises BenchError when it tells it wrongly."""
        before = self._size()
        for task in _told(module, "TASKS", Task):
            if sum(metric.headline for metric in task.metrics) != 1:
                raise BenchError(f"the task {task.name}: just one of its metrics is to be the headline")
            self.tasks.add(task.name, task)
        for data in _told(module, "DATA", DataSpec):
            self._hold(data)
            self.data.add(f"{data.task}/{data.name}", data)
        for model in _told(module, "MODELS", ModelSpec):
            _hold_forms(f"the model {model.name}", model.forms)
            self.models.add(model.name, model)
        for enhancement in _told(module, "ENHANCEMENTS", Enhancement):
            self.enhancements.add(enhancement.name, enhancement)
        return self._size() - before

    def _hold(self, data: DataSpec) -> None:
        """Raise BenchError or UnknownName when a data set names what there is not."""
        told = f"the data set {data.name}"
        _hold_forms(told, (data.form,))
        metrics = [metric.name for metric in self.tasks.get(data.task).metrics]
        if data.headline and data.headline not in metrics:
            raise BenchError(f"{told}: {data.task} has no metric {data.headline!r}; it has {', '.join(metrics)}")
        if data.labels not in LABELS:
            raise BenchError(f"{told}: labels are to be one of {', '.join(LABELS)}, not {data.labels!r}")

    def _size(self) -> int:
        return len(self.tasks) + len(self.data) + len(self.models) + len(self.enhancements)


def catalogue(extra: Sequence[str] = ()) -> Catalogue:
    """Give everything registered; `extra` are modules (`package.module`), Python or TOML files of a user's.

    What installed packages name under the entry points `watchkeeper.bench` (modules, or objects with the same tuples)
    belongs to it. Raises BenchError when one of these cannot be found or holds nothing.
    """
    found = Catalogue()
    for folder in FOLDERS:
        package = importlib.import_module(f"{_PACKAGE}.{folder}")
        for name in sorted(module.name for module in pkgutil.iter_modules(package.__path__)):
            found.take(importlib.import_module(f"{_PACKAGE}.{folder}.{name}"))
    told = [(f"the entry point {point.name}", _loaded(point)) for point in entry_points(group=GROUP)]
    told += [(each, told_by(Path(each).expanduser()) if each.endswith(".toml") else load(each)) for each in extra]
    for name, holder in told:
        if not found.take(holder):
            raise BenchError(f"{name} holds none of TASKS, DATA, MODELS and ENHANCEMENTS; see docs/bench.md")
    return found


def _told(module: object, kind: str, wanted: type[T]) -> Sequence[T]:
    """Give one of the four tuples; raises BenchError when it is none, or a name in it cannot be part of an id."""
    told: Any = getattr(module, kind, ())
    if not isinstance(told, tuple | list) or not all(isinstance(each, wanted) for each in told):
        raise BenchError(
            f"{getattr(module, '__file__', module)}: {kind} is to be a tuple of {wanted.__name__}, with a comma after "
            f"a single one, not {str(told)[:100]}"
        )
    for each in told:
        if not _NAME.fullmatch(str(each.name)):
            raise BenchError(f"{kind}: {each.name!r} is no name: letters, digits, '_', '-' and '.' make one")
    return told


def _hold_forms(told: str, forms: object) -> None:
    """Raise BenchError when forms are no tuple, UnknownName when one is unknown."""
    if not isinstance(forms, tuple | list):
        raise BenchError(f"{told}: forms are to be a tuple such as ('vectors',), not {forms!r}")
    for each in forms:
        FORMS.get(each)


def _loaded(point: EntryPoint) -> object:
    return _imported(f"the entry point {point.name} = {point.value}", point.load)


def _imported(what: str, load: Callable[[], T]) -> T:
    """Import what is a user's; raises BenchError with the place where it failed."""
    try:
        return load()
    except Exception as error:  # a user's file may raise anything while it is imported
        frames = [each for each in traceback.extract_tb(error.__traceback__) if "importlib" not in each.filename]
        at = f", line {frames[-1].lineno} of {frames[-1].filename}" if frames[-1].filename != __file__ else ""
        raise BenchError(f"{what} cannot be loaded: {type(error).__name__}: {error}{at}") from error


def load(name: str) -> ModuleType:
    """Import a module by its name, or a Python file by its path; raises BenchError when that fails."""
    if not name.endswith(".py"):
        if "/" in name or Path(name).suffix in {".yaml", ".yml", ".json"}:
            raise BenchError(f"{name} is no module; a file of yours is to end in .py or .toml")
        return _imported(f"the module {name}", lambda: importlib.import_module(name))
    path = Path(name).expanduser().resolve()
    if not path.is_file():
        raise BenchError(f"there is no file {path}")
    return _imported(f"the file {path}", lambda: _executed(path))


def _executed(path: Path) -> ModuleType:
    title = f"watchkeeper_bench_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(title, path)
    if spec is None or spec.loader is None:
        raise ImportError("it is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[title] = module
    spec.loader.exec_module(module)
    return module
