"""Data sets from Watchkeeper's own store of what people named: true causes for localization, true categories.

Enters: a home at rest or a backup, and a range of time. Leaves: for localization the incidents whose true cause was
named, with their evidence gathered as the product does, and those called wrong as windows without a fault; for category
the incidents whose true category was named, as the features that their diagnosis saw, in folds. Works on a copy of the
home, which needs its space beside it. Changes nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

from watchkeeper.bench.base import BenchError, DataSpec, Item, Place, Split
from watchkeeper.bench.data.failures import FOLDS, folded
from watchkeeper.bench.own.home import at_rest, check, opened_copy, template_texts
from watchkeeper.bench.own.store import read_range
from watchkeeper.diagnose.category.folds import stratified_folds
from watchkeeper.diagnose.gather import Reach, gather
from watchkeeper.diagnose.incident import Incident
from watchkeeper.diagnose.taken_up import is_expected, said_of
from watchkeeper.diagnose.window import IncidentWindow
from watchkeeper.signals.finding import Finding, finding_from_dict
from watchkeeper.store.store import Store
from watchkeeper.topology.topologies import Topologies

TASKS = ("localization", "category")
HOUR_NS = 3_600 * 10**9
FINDINGS_MAX = 200


def judged_data(
    task: str, name: str, home: Path, begin: datetime, end: datetime, *, version: int = 1, about: str = ""
) -> DataSpec:
    """Give the data set of `localization` or `category`; raises BenchError where there is no home, or no such task."""
    check(home)
    within = read_range(name, begin, end)
    if task == "localization":
        told = about or f"your own, from the store {home.name}: incidents whose true cause people named"
        return DataSpec(name, version, task, "incident", told, (), partial(_causes, home, within), system=name)
    if task == "category":
        told = about or f"your own, from the store {home.name}: incidents whose true category people named"
        splits = partial(_categories, home, within)
        return DataSpec(name, version, task, "counts", told, (), splits, "full", system=name)
    raise BenchError(f"the store {name}: there is no task {task!r} for it; choose {', '.join(TASKS)}")


def _causes(source: Path, within: tuple[int, int], place: Place) -> Iterator[Split]:
    with at_rest(source) as home:
        chosen = [
            each for each in _within(home.incidents, within) if said_of(each).get("true_cause") or is_expected(each)
        ]
        if not any(said_of(each).get("true_cause") for each in chosen):
            raise BenchError(
                f"{source} has no incident in the range whose true cause somebody named; name some with "
                "`watchkeeper feedback cause ID NODE`, and read it anew"
            )
        with opened_copy(home) as store:
            topologies = Topologies(store.metadata)
            items = [Item(each.id, _window(store, topologies, each), _truth(each)) for each in chosen]
    yield Split("incidents", (), tuple(items))


def _truth(incident: Incident) -> frozenset[str]:
    cause = said_of(incident).get("true_cause")
    return frozenset({str(cause)} if cause else ())


def _window(store: Store, topologies: Topologies, incident: Incident) -> IncidentWindow:
    reach = Reach(incident.first_unix_ns, max(incident.last_unix_ns, incident.first_unix_ns + 1), incident.nodes)
    topology = topologies.at(incident.first_unix_ns - HOUR_NS, incident.last_unix_ns)
    findings = _findings(store, incident)
    return gather(store, reach, topology=topology, template_text=template_texts(store), findings=findings)


def _findings(store: Store, incident: Incident) -> list[Finding]:
    ids = incident.finding_ids[:FINDINGS_MAX]
    marks = ", ".join("?" * len(ids))
    found = store.metadata.read(f"SELECT document FROM findings WHERE id IN ({marks}) ORDER BY id", ids) if ids else []
    return [finding_from_dict(json.loads(each["document"])) for each in found]


def _categories(source: Path, within: tuple[int, int], place: Place) -> Iterator[Split]:
    with at_rest(source) as home:
        chosen = [(each, str(said_of(each).get("true_category") or "")) for each in _within(home.incidents, within)]
    items = [
        Item(each.id, each.diagnosis["features"], category)
        for each, category in chosen
        if category and each.diagnosis.get("features")
    ]
    count = Counter(str(each.truth) for each in items)
    if len(count) < 2 or min(count.values()) < 2:
        said = ", ".join(f"{number} {name}" for name, number in sorted(count.items())) or "none"
        raise BenchError(
            f"{source} has too few incidents in the range whose true category somebody named: {said}; two categories "
            "with two incidents each are the least; name more with `watchkeeper feedback category ID CATEGORY`"
        )
    labels = [str(each.truth) for each in items]
    yield from folded(items, stratified_folds(labels, min(FOLDS, *count.values()), seed=0))


def _within(incidents: Sequence[Incident], within: tuple[int, int]) -> list[Incident]:
    return [each for each in incidents if within[0] <= each.first_unix_ns < within[1] and not each.merged_into]
