"""The audit: everything that is registered is measured in the full suite, or left out with a reason.

Enters: the catalogue of the harness and the registries of the product, and where it is given the text of a scoreboard.
Leaves: complaints, none when all is well. Reads no data: it looks at what would be planned if every data set were here,
and at what the scoreboard tells of it.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator

from watchkeeper.bench.base import DataSpec, ModelSpec, Subject
from watchkeeper.bench.cells import PLAIN, fits
from watchkeeper.bench.discover import Catalogue
from watchkeeper.bench.excluded import EXCLUDED
from watchkeeper.datasets.catalogue import DATA_SETS
from watchkeeper.diagnose.rank.registry import RANKERS

WANTED = (
    "failure-prevention",
    "failure-prediction",
    "anomaly-detection",
    "localization",
    "category",
    "report",
    "questioning",
    "mitigation",
    "command",
    "script",
    "automatic-execution",
)
"""The tasks of AIOps that the harness is to cover (taxonomy of arXiv 2507.12472)."""
_TABLE = re.compile(r"^## (\S+): (\S+)$", re.MULTILINE)
_ROW = re.compile(r"^\| (\S+) \| (\S+) \|.*\| ([^|]*) \|$", re.MULTILINE)
_SKIPPED = re.compile(r"^Skipped, \d+ cells? \(([^)]*)\): ", re.MULTILINE)
STAGES = ("failure perception", "root cause analysis", "assisted remediation")


def audit(known: Catalogue) -> list[str]:
    """Give what is neither measured nor excluded with a reason, and exclusions that are not true."""
    complaints: list[str] = []
    data = [known.data.get(name) for name in known.data]
    models = [known.models.get(name) for name in known.models]
    complaints += [
        f"the task {name} is neither measured nor excluded"
        for name in WANTED
        if name not in known.tasks and f"task:{name}" not in EXCLUDED
    ]
    for name in known.tasks:
        mine = [each for each in data if each.task == name]
        if not mine and f"task:{name}" not in EXCLUDED:
            complaints.append(f"the task {name} has no data set")
        complaints += [f"the task {name} has no data set in the quick suite"] * (
            bool(mine) and not any(each.quick for each in mine)
        )
        if known.tasks.get(name).stage not in STAGES:
            complaints.append(f"the task {name} is of no known stage")
    for each in data:
        asked = [model for model in models if can_learn(model, each)]
        if not any(model.trivial for model in asked):
            complaints.append(f"no trivial baseline answers the data set {each.task}/{each.name}")
        if not any(not model.trivial for model in asked):
            complaints.append(f"no model but baselines answers the data set {each.task}/{each.name}")
    for model in models:
        if not any(fits(model, each) for each in data):
            complaints.append(f"the model {model.name} answers no data set")
        elif not any(can_learn(model, each) for each in data):
            complaints.append(f"the model {model.name} learns from labels, which no data set that it answers shows")
        complaints += [f"the model {model.name} covers {name}, which does not exist" for name in _gone(model)]
    complaints += [
        f"the enhancement {name} applies to no model"
        for name in known.enhancements
        if all(reason and not reason.endswith("not installed") for reason in _reasons(known, name))
    ]
    if PLAIN not in known.enhancements:
        complaints.append("the enhancement none is missing")
    return complaints + _uncovered(known)


def can_learn(model: ModelSpec, data: DataSpec) -> bool:
    """Tell whether a model can be measured on a data set: it takes its form, and sees the labels that it needs."""
    return fits(model, data) and (data.labels == "full" or not model.needs_labels)


def untold(known: Catalogue, text: str) -> list[str]:
    """Give the cells of the full suite that a scoreboard in Markdown tells neither as measured, failed nor skipped.

    A row that says `not run` tells nothing. What does not apply to a model is no cell.
    """
    parts = _TABLE.split(text)
    tables = {f"{task}/{data}": body for task, data, body in zip(parts[1::3], parts[2::3], parts[3::3], strict=True)}
    found = []
    for name in known.data:
        data = known.data.get(name)
        place = f"{data.task}/{data.id}"
        body = tables.get(place)
        if body is None:
            found.append(f"the scoreboard has no table of {place}")
            continue
        told = {f"{model} + {more}" for model, more, state in _ROW.findall(body) if state.strip() != "not run"}
        skipped = {each.strip() for names in _SKIPPED.findall(body) for each in names.split(",")}
        told |= {each if " + " in each else f"{each} + {PLAIN}" for each in skipped}
        wanted = [f"{model.name} + {more}" for model, more in _cells_of(known, data)]
        missing = [each.removesuffix(f" + {PLAIN}") for each in wanted if each not in told]
        if missing:
            found.append(f"the scoreboard tells nothing of {place}: {', '.join(missing)}")
    return found


def _cells_of(known: Catalogue, data: DataSpec) -> Iterator[tuple[ModelSpec, str]]:
    task = known.tasks.get(data.task)
    for model in map(known.models.get, known.models):
        if can_learn(model, data):
            for name in known.enhancements:
                if not known.enhancements.get(name).applies(Subject(task, data, model)):
                    yield model, name


def _reasons(known: Catalogue, name: str) -> Iterator[str]:
    """Give for each cell why an enhancement does not apply, "" where it does."""
    enhancement = known.enhancements.get(name)
    for data in map(known.data.get, known.data):
        for model in map(known.models.get, known.models):
            if can_learn(model, data):
                yield enhancement.applies(Subject(known.tasks.get(data.task), data, model))


def _gone(model: ModelSpec) -> list[str]:
    """Give the classes of the product (`module:name`) that a model says to measure and that are not there."""
    found = []
    for name in model.covers:
        module, _, attribute = name.partition(":")
        if not module.startswith(("detect.", "learn.")):
            continue
        try:
            there = hasattr(importlib.import_module(f"watchkeeper.{module}"), attribute)
        except ModuleNotFoundError:
            there = False
        found += [] if there else [name]
    return found


def product() -> list[str]:
    """Name what the product registers and the harness must measure."""
    return [*(f"ranker:{name}" for name in RANKERS), *(f"dataset:{name}" for name in DATA_SETS)]


def _uncovered(known: Catalogue) -> list[str]:
    covered = {f"task:{name}" for name in known.tasks}
    covered |= {name for each in known.models for name in known.models.get(each).covers}
    for each in known.data:
        data = known.data.get(each)
        covered |= {*data.covers, *(f"dataset:{name}" for name in data.sources)}
    names = product()
    complaints = [f"{each} is neither measured nor excluded" for each in names if each not in covered | set(EXCLUDED)]
    complaints += [f"{each} is measured and excluded" for each in EXCLUDED if each in covered]
    complaints += [
        f"{each} is excluded and does not exist"
        for each in EXCLUDED
        if each not in names and not each.startswith(("detect.", "task:"))
    ]
    return complaints + [f"{each} is excluded without a reason" for each, why in EXCLUDED.items() if not why.strip()]
