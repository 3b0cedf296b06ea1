"""Fixes by kubectl: a scenario of a broken cluster as told, and the commands that mend it (ITBench).

Enters: the data set `itbench_sre`. Leaves: folds by kind of fault, so that the kinds asked were not learned from. A
scenario gives one example for each command that changes something; looking (`get`) is no fix. The tasks of k8s_ai_bench
give no commands to hold an answer to, but programs that look at a cluster afterwards, which the copy here lacks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from watchkeeper.bench.base import DataSpec, Item, Place, Split
from watchkeeper.bench.forms import Query
from watchkeeper.datasets.read import open_member
from watchkeeper.remedy.verbs import kubectl_verbs

FOLDS = 5


class Scenario(NamedTuple):
    """One scenario: its kinds of fault, what is told, and the commands that mend it."""

    id: str
    kinds: str
    told: str
    fixes: tuple[str, ...]


def splits(place: Place) -> Iterator[Split]:
    """Give folds."""
    known = list(scenarios(place))
    order = sorted({each.kinds for each in known}, key=lambda kinds: hashlib.sha256(kinds.encode()).hexdigest())
    fold_of = {kinds: at % FOLDS for at, kinds in enumerate(order)}
    for fold in range(FOLDS):
        train = tuple(
            Item(f"{each.id}/{at}", Query(each.told), fix)
            for each in known
            if fold_of[each.kinds] != fold
            for at, fix in enumerate(each.fixes)
        )
        test = tuple(Item(each.id, Query(each.told), each.fixes) for each in known if fold_of[each.kinds] == fold)
        yield Split(f"fold-{fold}", train, test, labelled=True)


def scenarios(place: Place) -> Iterator[Scenario]:
    """Give the scenarios that have a fix."""
    with open_member("itbench_sre", "itbench_sre.jsonl", place.data) as stream:
        rows = [json.loads(line) for line in stream if line.strip()]
    for row in rows:
        if row["kind"] != "scenario_index":
            continue
        fixes = [
            each for each in _commands(row["solutions"]) if (verbs := kubectl_verbs(each)) and verbs[0][0] != "get"
        ]
        kinds = sorted({each["id"] for disruption in row["disruptions"] for each in disruption["injections"]})
        told = " ".join([row["description"], "Alerts:", *row["alerts"]]) if row["alerts"] else row["description"]
        if fixes:
            yield Scenario(f"scenario-{row['id']}", " ".join(kinds), told, tuple(dict.fromkeys(fixes)))


def _commands(value: Any) -> Iterator[str]:
    """Give every command at any depth, in order."""
    if isinstance(value, dict):
        if isinstance(value.get("command"), str):
            yield value["command"]
        for each in value.values():
            yield from _commands(each)
    elif isinstance(value, list):
        for each in value:
            yield from _commands(each)


DATA = (
    DataSpec(
        "itbench_fixes",
        1,
        "command",
        "query",
        "a broken cluster as told to kubectl fixes; kinds of fault not shared",
        ("itbench_sre",),
        splits,
        "full",
        headline="verb_resource_at_1",
    ),
)
