"""What there is to measure, as text and as JSON: tasks, data sets, models, enhancements, and what each needs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from watchkeeper.bench.discover import Catalogue


def listed(known: Catalogue, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Give all that is registered; `missing` says what is not here and how to get it, "" when all is."""
    from watchkeeper.bench.cells import absence, lacking

    tasks = [known.tasks.get(name) for name in known.tasks]
    data = [known.data.get(name) for name in known.data]
    models = [known.models.get(name) for name in known.models]
    return {
        "tasks": [
            {
                "name": one.name,
                "stage": one.stage,
                "about": one.about,
                "metrics": [metric.name for metric in one.metrics],
                "headline": one.metric().name,
            }
            for one in tasks
        ],
        "data": [
            {
                "id": one.id,
                "task": one.task,
                "form": one.form,
                "labels": one.labels,
                "about": one.about,
                "sources": one.sources,
                "quick": one.quick,
                "missing": absence(one, folder),
            }
            for one in data
        ],
        "models": [
            {
                "name": one.name,
                "forms": one.forms,
                "tasks": one.tasks,
                "trivial": one.trivial,
                "random": one.random,
                "needs": one.needs,
                "needs_labels": one.needs_labels,
                "quick": one.quick,
                "about": one.about,
                "missing": lacking(one),
            }
            for one in models
        ],
        "enhancements": [{"name": name, "about": known.enhancements.get(name).about} for name in known.enhancements],
    }


def list_text(told: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """Give the lines of the text."""
    for task in told["tasks"]:
        yield f"{task['name']}  ({task['stage']}): {task['about']}"
        yield f"    judged by {task['headline']}; metrics: {', '.join(task['metrics'])}"
        for data in told["data"]:
            if data["task"] == task["name"]:
                labels = {"none": "no labels", "normal": "normal ones only", "full": "all labels"}[data["labels"]]
                quick = ", quick" if data["quick"] else ""
                yield f"    {data['id']}  [{data['form']}; {labels}{quick}] {data['about']}"
                yield from [f"        not here: {data['missing']}"] if data["missing"] else []
    yield "\nModels:"
    for model in told["models"]:
        kind = "baseline: " if model["trivial"] else ""
        labels = "; learns from labels" if model["needs_labels"] else ""
        needs = f"; needs {', '.join(model['needs'])}" if model["needs"] else ""
        here = f" ({model['missing']})" if model["missing"] else (" (installed)" if model["needs"] else "")
        yield f"    {model['name']}  [{', '.join(model['forms'])}] {kind}{model['about']}{labels}{needs}{here}"
    yield "\nEnhancements:"
    yield from (f"    {one['name']}  {one['about']}" for one in told["enhancements"])
