"""Categories of failures on labelled public data, beside the most frequent class, a random draw, and scikit-learn.

Hadoop: leave-one-application-out, corrected labels. An application is told from the counts of events of all its
containers; `containers_by_application` gives each of the 978 containers its application's verdict, `containers_alone`
tells each from its own log only (ten folds of whole applications). OpenStack DEPL, NET, STO: five stratified folds; and
again with equal experiments never on both sides. Post-mortems: five stratified folds, title and summary of the impact
without what is only known later; `first_sentence` reads less. Every choice is made by folds of the training part.
Needs ait_sequences, openstack_mixed and postmortems_355.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import classes_peer
from benchmarks.peer import NotAvailable
from watchkeeper.bench.cases import hadoop, openstack, postmortems
from watchkeeper.bench.scores.classification import brier, calibration_error, scored
from watchkeeper.diagnose.category.folds import stratified_folds
from watchkeeper.diagnose.category.learner import EVENTS, TEXTS, Option, learn, matrix, vocabulary
from watchkeeper.diagnose.category.text import at_symptom_time, text_features
from watchkeeper.settings import Settings

FOLDS = 5
Ints = npt.NDArray[np.int64]
Examples = Sequence[dict[str, float]]


def crossed(
    examples: Examples,
    labels: Sequence[str],
    folds: Ints,
    *,
    options: Sequence[Option] = EVENTS,
    groups: Sequence[Any] | None = None,
    trees: int = 200,
) -> tuple[list[str], npt.NDArray[np.float64]]:
    """Give the class told of each example and the probabilities, each learned from the other folds only."""
    classes = sorted(set(labels))
    told = np.zeros((len(labels), len(classes)))
    for number, fold in enumerate(np.unique(folds), 1):
        print(f"    fold {number} of {len(np.unique(folds))}", file=sys.stderr, flush=True)
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        learned = learn(
            [examples[at] for at in train],
            [labels[at] for at in train],
            options=options,
            groups=None if groups is None else [groups[at] for at in train],
            trees=trees,
        )
        columns = [classes.index(name) for name in learned.classes]
        told[np.ix_(test, columns)] = learned.probabilities([examples[at] for at in test])
    return [classes[at] for at in told.argmax(axis=1)], told


def baselines(labels: Sequence[str], folds: Ints) -> dict[str, list[str]]:
    """Give what the most frequent class and a draw by frequency of the training folds would have told."""
    random = np.random.default_rng(0)
    most, drawn = [""] * len(labels), [""] * len(labels)
    for fold in np.unique(folds):
        known = [labels[at] for at in np.flatnonzero(folds != fold)]
        top = Counter(sorted(known)).most_common(1)[0][0]
        for at in np.flatnonzero(folds == fold):
            most[at], drawn[at] = top, known[int(random.integers(len(known)))]
    return {"most_frequent": most, "stratified_random": drawn}


def row(
    labels: Sequence[str], told: Sequence[str], probabilities: npt.NDArray[np.float64] | None = None
) -> dict[str, Any]:
    """Give the figures of one method."""
    figures: dict[str, Any] = {name: round(value, 4) for name, value in scored(labels, told)._asdict().items()}
    if probabilities is None:
        return {**figures, "calibration_error": None, "brier": None}
    classes = sorted(set(labels))
    truth = np.array([classes.index(label) for label in labels])
    right = probabilities.argmax(axis=1) == truth
    return {
        **figures,
        "calibration_error": round(calibration_error(probabilities.max(axis=1), right), 4),
        "brier": round(brier(probabilities, truth), 4),
    }


def table(
    examples: Examples,
    labels: Sequence[str],
    folds: Ints,
    skipped: dict[str, str],
    *,
    peer: Callable[[], dict[str, list[str]]],
    **more: Any,
) -> tuple[dict[str, Any], list[str]]:
    """Give a row each for Watchkeeper, the peers and the baselines, all on the same folds, and what was told."""
    told, probabilities = crossed(examples, labels, folds, **more)
    rows = {"watchkeeper": row(labels, told, probabilities)}
    try:
        rows.update({name: row(labels, answers) for name, answers in peer().items()})
    except NotAvailable as reason:
        skipped["scikit_learn"] = str(reason)
    return {**rows, **{name: row(labels, answers) for name, answers in baselines(labels, folds).items()}}, told


def of_hadoop(folder: Path, skipped: dict[str, str]) -> dict[str, Any]:
    """Tell what failed in 55 runs."""
    runs = hadoop.applications(folder)
    labels = [run.label for run in runs]
    examples = [counted(event for container in run.containers for event in container) for run in runs]
    folds = np.arange(len(runs))
    result: dict[str, Any] = {}
    result["applications"], told = table(examples, labels, folds, skipped, peer=forests(examples, labels, folds))
    every = [(run, at) for at, run in enumerate(runs) for _ in run.containers]
    result["containers_by_application"] = {
        "watchkeeper": row([run.label for run, _ in every], [told[at] for _, at in every])
    }
    own = [counted(container) for run in runs for container in run.containers]
    whose = [run.id for run, _ in every]
    own_labels = [run.label for run, _ in every]
    own_folds = stratified_folds(own_labels, 10, groups=whose)
    result["containers_alone"], _ = table(
        own, own_labels, own_folds, skipped, peer=forests(own, own_labels, own_folds), groups=whose, trees=60
    )
    return result


def of_openstack(folder: Path, skipped: dict[str, str]) -> dict[str, Any]:
    """Tell how experiments of three workloads failed."""
    result = {}
    for workload in openstack.WORKLOADS:
        print(f"  {workload}", file=sys.stderr, flush=True)
        runs = openstack.experiments(folder, workload)
        examples, labels = [run.counts for run in runs], [run.label for run in runs]
        folds = stratified_folds(labels, FOLDS)
        result[workload], _ = table(examples, labels, folds, skipped, peer=forests(examples, labels, folds))
        groups = [run.group for run in runs]
        apart = stratified_folds(labels, FOLDS, groups=groups)
        result[f"{workload}_equal_ones_apart"], _ = table(
            examples, labels, apart, skipped, peer=forests(examples, labels, apart), groups=groups
        )
    return result


def of_postmortems(folder: Path, skipped: dict[str, str]) -> dict[str, Any]:
    """Tell the category of the cause from what was told first."""
    incidents = postmortems.postmortems(folder)
    labels = [incident.category.value for incident in incidents]
    folds = stratified_folds(labels, FOLDS)
    result = {}
    for name, sentences in (("title_and_summary", 0), ("first_sentence", 1)):
        texts = [at_symptom_time(one.title, one.report, sentences=sentences) for one in incidents]
        examples = [text_features(text) for text in texts]
        result[name], _ = table(
            examples,
            labels,
            folds,
            skipped,
            options=TEXTS,
            peer=lambda texts=texts: classes_peer.texts(texts, labels, folds),
        )
    return result


def counted(events: Any) -> dict[str, float]:
    """Give the counts of events as features."""
    return {f"event:{event}": float(count) for event, count in Counter(events).items()}


def forests(examples: Examples, labels: Sequence[str], folds: Ints) -> Callable[[], dict[str, list[str]]]:
    """Give what runs the peer's random forest on the same folds."""
    return lambda: classes_peer.forest(matrix(examples, vocabulary(examples)), labels, folds)


PARTS = {"hadoop": of_hadoop, "openstack": of_openstack, "postmortems": of_postmortems}


def measure(folder: Path, parts: Sequence[str]) -> dict[str, Any]:
    """Run the chosen parts."""
    skipped: dict[str, str] = {}
    result: dict[str, Any] = {}
    for part in parts:
        print(f"  {part}", file=sys.stderr, flush=True)
        result[part] = PARTS[part](folder, skipped)
    return {**result, **({"skipped": skipped} if skipped else {})}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--part", choices=PARTS, action="append", help="only this one")
    chosen = parser.parse_args()
    figures = measure(Settings().path("data"), chosen.part or tuple(PARTS))
    print(json.dumps(figures, indent=None if chosen.json else 2))


if __name__ == "__main__":
    main()
