"""A job that trains a log model: count the stored lines, learn, measure on lines held out, save, load to see it can be.

Enters: a job's folder with frozen lines and the previous model. Leaves: a model in it, its quality beside the previous
one's on the same lines, and whether it should take its place. Held out are the latest lines; where there are too few of
them, some of the distinct lines by their hash. Goes on from counts and checkpoints that an earlier process left.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np

from watchkeeper.errors import NotFound, StoreError
from watchkeeper.learn import framework
from watchkeeper.learn.checkpoints import FILE as CHECKPOINT_FILE
from watchkeeper.learn.line_counts import LineCounts, has_failure_words
from watchkeeper.learn.log_model import LogModel
from watchkeeper.learn.training import Progress, Training
from watchkeeper.models.files import checksum
from watchkeeper.training.ahead import Ahead
from watchkeeper.training.exclusions import Excluded
from watchkeeper.training.job import JobSpec, Stage, spec_from_dict
from watchkeeper.training.job_folder import JobFolder
from watchkeeper.training.parameters import read_parameters
from watchkeeper.training.promotion import Held, Quality, judge, quality
from watchkeeper.training.reading import Account, Reader, Selection
from watchkeeper.training.reporter import Reporter
from watchkeeper.training.workloads import Workload, workloads_in

LATER_SHARE = 0.1
LATER_LINES_MIN = 50
HELD_SHARE = 0.1
CHECKPOINT_APART_S = 30.0
"""A checkpoint is some 20 MB that go to the disk at once, for which acknowledgements wait too."""
EVALUATED_MAX = 500
"""Distinct lines held out that the new and the previous model are asked of, drawn evenly where there are more."""

_LATER, _RANDOM, _SAME = "later lines", "random distinct lines", "the learned lines"


class Fetched(NamedTuple):
    """What was counted. held_by: how `held` was chosen from what is not learned. heard: whose lines they are."""

    learned: LineCounts
    held: LineCounts
    held_by: str
    account: Account
    heard: frozenset[Workload]


def run(folder: JobFolder, job: Mapping[str, Any], reporter: Reporter) -> dict[str, Any]:
    """Do the job; gives the content of result.json. Raises WatchkeeperError, OSError."""
    spec = spec_from_dict(job["spec"])
    training, seed = read_parameters(spec.parameters)
    reporter.plan(Stage.FETCHING, int(job["rows"]))
    reporter.begin(Stage.FETCHING)
    ahead = Ahead(reporter, training, models=2 if folder.previous.is_dir() else 1, evaluated_max=EVALUATED_MAX)
    fetched = _fetched(folder, job, spec, reporter, ahead)
    unheard = sorted({*spec.workloads} - fetched.heard)
    if unheard:
        reporter.say(f"nothing to learn of {_named(unheard)}; no model watches a workload that it knows no line of")
    torch = framework.torch()
    place = framework.device(torch)
    reporter.say(f"trains on {torch.cuda.get_device_name() if place == 'cuda' else 'the processor, one thread'}")
    reporter.skip()
    budget = float(job["false_alarms_max"])
    chosen = _chosen(fetched.held, seed)
    counts = fetched.held.counts()[chosen].astype(np.float64)
    lines = fetched.held.lines()
    forms = [lines[at] for at in chosen.tolist()]
    ahead.settle(fetched.learned, forms, seed)
    model = _learned(folder, fetched, training, seed, budget, reporter, ahead)
    previous = _previous(folder, reporter)
    new = Held(*model.measured(forms, passed=ahead.asked))
    old = None if previous is None else Held(*previous.measured(forms, passed=ahead.asked))
    unseen = np.array([form not in fetched.learned for form in forms], bool)
    verdict = judge(new, old, counts, unseen, budget=budget, seed=seed)
    figures = quality(new, counts, seed=seed)
    before = None if old is None else quality(old, counts, seed=seed)
    reporter.finish(accuracy=round(figures.accuracy, 4))
    reporter.say(_told(figures, before, fetched, len(forms)))
    reporter.say(f"{'to be promoted' if verdict.promote else 'not to be promoted'}: {verdict.why}")
    reporter.begin(Stage.SAVE)
    if fetched.held_by is not _SAME:
        # They were held out to measure; as normal lines they are known from now on.
        model.counts.add_forms(fetched.held.lines(), fetched.held.counts())
    sha256 = _saved(folder, model)
    ahead.saved()
    return {
        "trained_on": {
            "workloads": [each.as_dict() for each in spec.workloads],
            "without_lines": [each.as_dict() for each in unheard],
            "from_unix_ns": spec.from_unix_ns,
            "until_unix_ns": spec.until_unix_ns,
            "lines": fetched.account.taken,
            "distinct": len(model.counts),
            "left_out": fetched.account.as_dict(),
            "held_out": fetched.held_by,
        },
        "parameters": model.parameters,
        "quality": {
            "model_accuracy": round(figures.accuracy, 4),
            **_figures(figures),
            "held_distinct": float(len(fetched.held)),
            "held_out_asked": float(len(forms)),
            "held_lines": float(fetched.held.told().lines),
            **model.quality,
        },
        "previous": None if before is None else {**_figures(before), "number": job.get("previous")},
        "thresholds": {
            model.calibration.measure: model.threshold,
            "budget": model.calibration.budget,
            "bound": model.calibration.bound,
        },
        "verdict": {"promote": verdict.promote, "why": verdict.why},
        "notes": verdict.why,
        "paces": reporter.paces(),
        "device": place,
        "sha256": sha256,
    }


def _fetched(folder: JobFolder, job: Mapping[str, Any], spec: JobSpec, reporter: Reporter, ahead: Ahead) -> Fetched:
    about = folder.read("counted")
    if about is not None and folder.counts.is_dir():
        reporter.say("the lines were counted before")
        learned, held = (LineCounts.load(folder.counts / name) for name in ("learned", "held"))
        heard = workloads_in(about["heard"]) if "heard" in about else frozenset(spec.workloads)
        return Fetched(learned, held, about["held_by"], Account(**about["account"]), heard)
    fetched = _counted(folder, job, spec, reporter, ahead)
    partial = folder.path / "counts.partial"
    shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(folder.counts, ignore_errors=True)
    for name, counts in (("learned", fetched.learned), ("held", fetched.held)):
        (partial / name).mkdir(parents=True)
        counts.save(partial / name)
    partial.rename(folder.counts)
    told = {"held_by": fetched.held_by, "account": fetched.account.as_dict()}
    folder.write("counted", {**told, "heard": [each.as_dict() for each in sorted(fetched.heard)]})
    shutil.rmtree(folder.data, ignore_errors=True)
    return fetched


def _counted(folder: JobFolder, job: Mapping[str, Any], spec: JobSpec, reporter: Reporter, ahead: Ahead) -> Fetched:
    excluded = Excluded(job["exclusions"])
    selection = Selection(frozenset(spec.workloads), spec.from_unix_ns, spec.until_unix_ns, excluded)
    reader = Reader(folder.data, selection, has_failure_words)
    rows, (begin, end) = reader.rows(), reader.extent()
    reporter.plan(Stage.FETCHING, rows)
    cut = begin + int((1.0 - LATER_SHARE) * (end - begin))
    early, late = LineCounts(), LineCounts()

    def told(rows: int) -> None:
        reporter.reach(rows)
        ahead.look(early)

    for lines in reader.lines(told):
        is_late = lines.times > cut
        for counts, wanted in ((early, ~is_late), (late, is_late)):
            if wanted.any():
                counts.add(lines.bodies.filter(wanted))
    reporter.say(reader.account.text())
    if not reader.account.taken:
        raise NotFound(f"no data: {_where(spec)}: {reader.account.text()}")
    heard = frozenset(reader.heard)
    early_told, late_told = early.told(), late.told()
    if late_told.lines >= LATER_LINES_MIN and early_told.lines >= late_told.lines:
        return Fetched(early, late, _LATER, reader.account, heard)
    early.add_forms(late.lines(), late.counts())
    learned, held = early.split(HELD_SHARE)
    if not len(held):
        return Fetched(learned, learned, _SAME, reader.account, heard)
    return Fetched(learned, held, _RANDOM, reader.account, heard)


def _where(spec: JobSpec) -> str:
    begin, end = (datetime.fromtimestamp(at / 1e9, UTC) for at in (spec.from_unix_ns, spec.until_unix_ns))
    return f"{_named(spec.workloads) or 'all workloads'} from {begin:%Y-%m-%dT%H:%M:%S}Z to {end:%Y-%m-%dT%H:%M:%S}Z"


def _named(workloads: Sequence[Workload]) -> str:
    more = f" and {len(workloads) - 5} more" if len(workloads) > 5 else ""
    return f"{', '.join(each.text for each in workloads[:5])}{more}"


def _learned(
    folder: JobFolder,
    fetched: Fetched,
    training: Training,
    seed: int,
    budget: float,
    reporter: Reporter,
    ahead: Ahead,
) -> LogModel:
    reporter.say(
        f"{len(fetched.learned):,} distinct lines to learn, {len(fetched.held):,} held out ({fetched.held_by})"
    )
    goes_on = (folder.checkpoint / CHECKPOINT_FILE).is_file()
    reporter.begin(Stage.TRAIN)
    first = [True]

    def told(progress: Progress) -> None:
        if first[0] and goes_on:
            reporter.skip()
            reporter.resume(progress.step)
            reporter.say(f"goes on after step {progress.step} of {progress.steps}")
        elif first[0]:
            reporter.skip(but_s=progress.elapsed_s)
        first[0] = False
        reporter.reach(progress.step, epoch=progress.epoch, accuracy=progress.accuracy)
        if progress.step >= progress.steps:
            reporter.begin(Stage.EVALUATE)

    try:
        return LogModel.learn(
            fetched.learned,
            training=training,
            seed=seed,
            told=told,
            checkpoint=folder.checkpoint,
            checkpoint_apart_s=CHECKPOINT_APART_S,
            budget=budget,
            passed=ahead.asked,
        )
    except ValueError as error:
        raise NotFound(f"no data: {error}") from error


def _previous(folder: JobFolder, reporter: Reporter) -> LogModel | None:
    if not folder.previous.is_dir():
        return None
    try:
        return LogModel.load(folder.previous)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reporter.say(f"the previous version cannot be loaded and is not measured: {error}")
        return None


def _chosen(held: LineCounts, seed: int) -> Any:
    """Give the places of at most EVALUATED_MAX of the held-out lines, the same whatever their order."""
    ordered = np.argsort(np.array(held.lines(), object))
    return np.sort(ordered[np.random.default_rng(seed).permutation(len(ordered))[:EVALUATED_MAX]])


def _figures(told: Quality) -> dict[str, float]:
    """Give quality as plain data; `held_out_` tells it from what the model measured of itself."""
    return {f"held_out_{name}": round(value, 4) for name, value in told._asdict().items()}


def _told(figures: Quality, before: Quality | None, fetched: Fetched, asked: int) -> str:
    told = (
        f"accuracy on {asked} held-out distinct lines ({fetched.held_by}): {figures.accuracy:.4f} "
        f"(95 % interval {figures.accuracy_low:.4f} to {figures.accuracy_high:.4f})"
    )
    return told if before is None else f"{told}; the previous version's on the same lines: {before.accuracy:.4f}"


def _saved(folder: JobFolder, model: LogModel) -> str:
    """Save, load and ask what was saved; gives the checksum. Raises StoreError when it is not the same model."""
    shutil.rmtree(folder.model, ignore_errors=True)
    folder.model.mkdir()
    model.save(folder.model)
    probe = model.counts.lines()[:1]
    again = LogModel.load(folder.model)
    if again.calibration != model.calibration or not np.allclose(again.score(probe), model.score(probe), atol=1e-3):
        raise StoreError("the model that was saved does not give the verdicts of the one that was trained")
    return checksum(folder.model)
