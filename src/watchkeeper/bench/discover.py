"""Finds what is registered: every file of the folders tasks, data, models and enhancements tells what it holds.

A file in these folders gives TASKS, DATA, MODELS or ENHANCEMENTS, tuples of specifications; so does a file or module of
a user's. Enters: nothing, or the names of a user's files. Leaves: a Catalogue. Runs no model and reads no data.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from watchkeeper.bench.base import BenchError, DataSpec, Enhancement, ModelSpec, Task
from watchkeeper.bench.own.told import told_by
from watchkeeper.registry import Registry

GROUP = "watchkeeper.bench"
"""Entry points of packages that bring models, data sets, enhancements or tasks."""
FOLDERS = ("tasks", "data", "models", "enhancements")
_PACKAGE = "watchkeeper.bench"


@dataclass(frozen=True)
class Catalogue:
    """All that can be measured; data sets are named `task/name`."""

    tasks: Registry[Task] = field(default_factory=lambda: Registry[Task]("task"))
    data: Registry[DataSpec] = field(default_factory=lambda: Registry[DataSpec]("data set of a task"))
    models: Registry[ModelSpec] = field(default_factory=lambda: Registry[ModelSpec]("model"))
    enhancements: Registry[Enhancement] = field(default_factory=lambda: Registry[Enhancement]("enhancement"))

    def take(self, module: object) -> int:
        """Register what a module tells; gives how much that was."""
        before = self._size()
        for task in getattr(module, "TASKS", ()):
            self.tasks.add(task.name, task)
        for data in getattr(module, "DATA", ()):
            self.data.add(f"{data.task}/{data.name}", data)
        for model in getattr(module, "MODELS", ()):
            self.models.add(model.name, model)
        for enhancement in getattr(module, "ENHANCEMENTS", ()):
            self.enhancements.add(enhancement.name, enhancement)
        return self._size() - before

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


def _loaded(point: EntryPoint) -> object:
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        raise BenchError(f"the entry point {point.name} = {point.value} cannot be loaded: {error}") from error


def load(name: str) -> ModuleType:
    """Import a module by its name, or a Python file by its path."""
    if not name.endswith(".py"):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise BenchError(
                f"there is no module {name}: {error}; give a path that ends in .py, or install it"
            ) from error
    path = Path(name).expanduser().resolve()
    if not path.is_file():
        raise BenchError(f"there is no file {path}")
    title = f"watchkeeper_bench_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(title, path)
    if spec is None or spec.loader is None:
        raise BenchError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[title] = module
    spec.loader.exec_module(module)
    return module
