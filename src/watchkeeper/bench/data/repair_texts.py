"""Manifests and repair scripts to be written.

`k8s_ai_bench`: of each policy task, the constraint that enforces what the prompt asks (given: the template), and a
violating object mended so that it complies (given: the object); of others, the manifest wanted. `shop_repairs`: the
script that mends a cause in the example shop by an action of its catalogue. Folds by task, or by service: nothing of
what is asked was seen in training.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from watchkeeper.bench.base import DataSpec, Item, Place, Split
from watchkeeper.bench.forms import Query
from watchkeeper.bench.live.shop import SERVICES, SHOP
from watchkeeper.datasets.read import open_member
from watchkeeper.remedy.catalogue import Order, load_catalogue
from watchkeeper.remedy.manifests import NotYaml, read_manifests
from watchkeeper.remedy.script import write_script

FOLDS = 5
FIELDS = {"python": "python3", "folder": "/srv/shop"}
_CATEGORIES = ("application_error", "resource_cpu", "resource_memory", "dependency")


class Asked(NamedTuple):
    """One question: the task that it is of, its id, the query, and the right texts."""

    task: str
    id: str
    query: Query
    wanted: tuple[str, ...]


def manifests(place: Place) -> Iterator[Split]:
    """Give folds by task."""
    with open_member("k8s_ai_bench", "k8s_ai_bench.jsonl", place.data) as stream:
        rows = [json.loads(line) for line in stream if line.strip()]
    asked = [each for row in rows if row["kind"] == "task" for each in _asked(row["id"], row["files"])]
    yield from folds(asked)


def repairs(place: Place) -> Iterator[Split]:
    """Give folds by service."""
    catalogue, asked = load_catalogue(SHOP / "actions.toml"), []
    for service in (*SERVICES, "redis", "nginx"):
        for category in (*_CATEGORIES, "config_or_deploy"):
            changed = category == "config_or_deploy"
            if changed and service not in SERVICES:
                continue
            order = Order("roll-back" if changed else "restart-process", service)
            text = f"The likeliest cause is service:{service}, category {category}"
            text += ", its version was changed shortly before." if changed else ", no change shortly before."
            script = write_script(order, catalogue.argv(order, FIELDS))
            asked.append(Asked(service, f"{service}/{category}", Query(text), (script,)))
    yield from folds(asked)


def folds(asked: Sequence[Asked]) -> Iterator[Split]:
    """Give FOLDS splits; the task alone decides which part a question is in."""
    place = {task: at % FOLDS for at, task in enumerate(sorted({each.task for each in asked}, key=_hash))}
    for fold in range(FOLDS):
        train = tuple(Item(each.id, each.query, each.wanted[0]) for each in asked if place[each.task] != fold)
        test = tuple(Item(each.id, each.query, each.wanted) for each in asked if place[each.task] == fold)
        if test:
            yield Split(f"fold-{fold}", train, test, labelled=True)


def _asked(task: str, files: dict[str, str]) -> Iterator[Asked]:
    short = {name.split("/", 1)[1] if "/" in name else name: text for name, text in files.items()}
    by_name = {name.rsplit("/", 1)[-1]: text for name, text in short.items()}
    prompt = _prompt(by_name.get("task.yaml", ""))
    if not prompt:
        return
    if "constraint.yaml" in by_name and "template.yaml" in by_name:
        yield Asked(
            task, f"{task}#constraint", Query(prompt, (by_name["template.yaml"],)), (by_name["constraint.yaml"],)
        )
    right = tuple(text for name, text in sorted(by_name.items()) if name.startswith("alpha-"))
    wrong = [(name, text) for name, text in sorted(by_name.items()) if name.startswith("beta-")]
    for name, text in wrong if right else ():
        yield Asked(task, f"{task}#{name}", Query(prompt, (text,)), right)
    for name, text in sorted(by_name.items()):
        if name.startswith("desired"):
            yield Asked(task, f"{task}#{name}", Query(prompt), (text,))


def _prompt(text: str) -> str:
    try:
        steps = read_manifests(text)[0].get("script") or []
    except NotYaml:
        return ""
    return "\n".join(str(step["prompt"]) for step in steps if isinstance(step, dict) and "prompt" in step)


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


_ABOUT = "policies as constraints, and objects that break them mended"
DATA = (
    DataSpec("k8s_ai_bench", 1, "script", "query", _ABOUT, ("k8s_ai_bench",), manifests, "full"),
    DataSpec(
        "shop_repairs", 1, "script", "query", "scripts that mend a cause in the example shop", (), repairs, "full",
        headline="runs_right",
    ),
)  # fmt: skip
