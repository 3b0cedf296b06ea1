"""Known solutions: the fixes of ITBench's scenarios, and what ended the incidents of three clouds.

Enters: `itbench_sre` and `postmortems_355`. Leaves: five folds each. Of ITBench asked are alerts and the kind of what
is broken, with or without the kind of the fault; to be found are the fixes of that scenario among those of all, with
the names of components, flags and objects masked on both sides. Of the post-mortems asked is the first report; to be
found are, among the solutions of the training part, those of the same kind (`mitigation_kind`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from watchkeeper.bench.base import DataSpec, Item, Place, Split
from watchkeeper.bench.cases.postmortems import postmortems
from watchkeeper.bench.data.questions import fold_of
from watchkeeper.bench.forms import Query
from watchkeeper.datasets.read import open_member
from watchkeeper.diagnose.category.text import at_symptom_time

FOLDS = 5
_KINDS = (
    ("rollback", r"roll(ed|ing)? ?back|rollback|revert|undo|back ?out|previous (version|build|state)"),
    ("failover", r"fail(ed|ing)? ?over|failover|redirect|re-?rout|reroute|drain|traffic away|shift(ed|ing)? traffic"),
    (
        "itself",
        r"self|automatic(ally)? (recover|heal|mitigat|resolv)|no operation|recovered (on its own|automatically)",
    ),
    ("restart", r"restart|reboot|recycl|reset|power ?cycl"),
    ("capacity", r"scal(e|ed|ing)|capacity|add(ed|ing)? (resource|instance|node|server)|increas|expand"),
    ("load", r"throttl|reduc|rate limit|block|limit(ed|ing)?|pause|stop|disabl|turn(ed)? off|remov|isolat|withdr"),
    ("hardware", r"replac|repair|power|cool|hardware|fib(er|re)|cable|generator|reconnect|swap"),
    ("configuration", r"config|setting|parameter|dns|certificate|rule|policy|timeout|quota|permission"),
    ("fix", r"hot ?fix|fix|patch|deploy|bug|update|upgrade|code"),
)
"""Kinds of solutions by the words of the set's first label; the first that fits. Free labels are nearly all unique."""
_WORDED = tuple((kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _KINDS)


def mitigation_kind(label: str) -> str:
    """Give the kind of a solution by its label, "" when no words of any kind are in it.

    >>> mitigation_kind("roll back configuration change")
    'rollback'
    """
    return next((kind for kind, pattern in _WORDED if pattern.search(label)), "")


def folded(items: Sequence[Item], documents: Mapping[str, str]) -> Iterator[Split]:
    """Give five folds by a hash of the ids; every document can be found in each."""
    for fold in range(FOLDS):
        train, test = parts(items, fold)
        yield Split(f"fold {fold}", train, test, labelled=True, facts={"documents": dict(documents)})


def parts(items: Sequence[Item], fold: int) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    """Give the items outside of a fold and those of it."""
    inside = [fold_of(item.id, FOLDS) == fold for item in items]
    train = tuple(item for item, here in zip(items, inside, strict=True) if not here)
    return train, tuple(item for item, here in zip(items, inside, strict=True) if here)


def among_past(items: Sequence[Item], documents: Mapping[str, str], kinds: Mapping[str, str]) -> Iterator[Split]:
    """Give five folds in which only solutions of the training part can be found, right when of the same kind.

    Ids of items, documents and kinds are the same; what a training incident was ended by is its own solution.
    """
    for fold in range(FOLDS):
        learned, asked = parts(items, fold)
        names = [item.id for item in learned]
        test = [
            Item(item.id, item.given, frozenset(name for name in names if kinds[name] == kinds[item.id]))
            for item in asked
        ]
        yield Split(
            f"fold {fold}",
            tuple(Item(item.id, item.given, frozenset({item.id})) for item in learned),
            tuple(item for item in test if item.truth),
            labelled=True,
            facts={
                "documents": {name: documents[name] for name in names},
                "kinds": {name: kinds[name] for name in names},
            },
        )


def _itbench(place: Place, *, diagnosed: bool) -> Iterator[Split]:
    with open_member("itbench_sre", "itbench_sre.jsonl", place.data) as stream:
        rows = [json.loads(line) for line in stream if line.strip()]
    documents: dict[str, str] = {}
    items = []
    for row in rows:
        if row["kind"] != "scenario" or not row["groundtruth"]["spec"].get("solutions"):
            continue
        names = _names(row)
        fixes = [masked(text, names) for text in _fixes(row["groundtruth"]["spec"]["solutions"])]
        for text in fixes:
            documents.setdefault(text, f"fix {len(documents)}")
        truth = frozenset(documents[text] for text in fixes)
        items.append(Item(row["id"], Query(masked(_told(row, diagnosed=diagnosed), names)), truth))
    return folded(items, {name: text for text, name in documents.items()})


def _fixes(solutions: Sequence[Sequence[Mapping[str, Any]]]) -> Iterator[str]:
    """Give each way out as text: its steps with the commands."""
    for ways in solutions:
        for way in ways:
            lines = [f"{step.get('text', '')} {step.get('command', '')}".strip() for step in way["steps"]]
            yield "\n".join(line for line in lines if line)


def _told(row: Mapping[str, Any], *, diagnosed: bool) -> str:
    """Give what an operator knows: alerts, the kind of what is broken, and when diagnosed the kind of the fault."""
    spec = row["groundtruth"]["spec"]
    older = ((row.get("groundtruth_v1") or {}).get("spec") or {}).get("alerts") or []
    alerts = [*(each["name"] for each in spec.get("alerts") or []), *(each["id"] for each in older)]
    kinds = [each["kind"] for each in spec.get("entities") or []]
    told = ["alerts:", *dict.fromkeys(alerts), "broken:", *dict.fromkeys(kinds)]
    if diagnosed:
        told += ["fault:", *dict.fromkeys(_faults(row))]
    return " ".join(told)


def _faults(row: Mapping[str, Any]) -> Iterator[str]:
    for fault in row["scenario"]["spec"]["faults"]:
        for injection in fault["injections"]:
            yield injection["id"].replace("-", " ")


def _names(row: Mapping[str, Any]) -> frozenset[str]:
    """Give the names of this scenario's components, flags, objects and namespaces."""
    return frozenset(_values({"e": row["groundtruth"]["spec"].get("entities"), "f": row["scenario"]["spec"]["faults"]}))


def _values(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            if key in {"name", "namespace", "configMapName"} and isinstance(each, str):
                yield each
            yield from _values(each)
    elif isinstance(value, list):
        for each in value:
            yield from _values(each)


def masked(text: str, names: frozenset[str]) -> str:
    """Put NAME for the names, the longest first, where they stand as whole words."""
    for name in sorted(names, key=lambda each: (-len(each), each)):
        text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", "NAME", text)
    return text


def _postmortems(place: Place) -> Iterator[Split]:
    with open_member("postmortems_355", "postmortems_355.jsonl", place.data) as stream:
        rows = {row["id"]: row["mitigation"] or {} for row in map(json.loads, filter(bytes.strip, stream))}
    kinds: dict[str, str] = {}
    documents: dict[str, str] = {}
    for name, told in rows.items():
        label = str((told.get("label") or [""])[0])
        kind, text = mitigation_kind(label), f"{label}. {told.get('details') or ''}".strip(". ")
        if kind and text:
            kinds[name], documents[name] = kind, text
    items = [
        Item(one.id, Query(at_symptom_time(one.title, one.report)), frozenset({one.id}))
        for one in postmortems(place.data)
        if one.id in kinds
    ]
    return among_past(items, documents, kinds)


_TASK = "mitigation"
DATA = (
    DataSpec(
        "itbench",
        1,
        _TASK,
        "query",
        "alerts, what is broken and the kind of fault to the fix, names masked",
        ("itbench_sre",),
        partial(_itbench, diagnosed=True),
        "full",
    ),
    DataSpec(
        "itbench_alerts",
        1,
        _TASK,
        "query",
        "the same without the kind of fault",
        ("itbench_sre",),
        partial(_itbench, diagnosed=False),
        "full",
    ),
    DataSpec(
        "postmortems",
        1,
        _TASK,
        "query",
        "first report to solutions of the same kind",
        ("postmortems_355",),
        _postmortems,
        "full",
    ),
)
