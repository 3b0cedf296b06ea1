"""Training in the running program: what a job is given, what becomes of its model, and the parts that belong to it.

Enters: the store, findings, model versions, settings. Leaves: Jobs whose data is frozen as they begin, whose model is a
version once it is whole, and active where the rule allows. Trains nothing itself, and loads no model.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from watchkeeper.app.findings import FindingStore
from watchkeeper.app.own_metrics import Family
from watchkeeper.errors import Conflict, MissingExtra, QueryError, SettingError, StoreError
from watchkeeper.models import files
from watchkeeper.models.card import Card, Version, checked_name
from watchkeeper.models.versions import ModelVersions
from watchkeeper.settings import Settings
from watchkeeper.signals.finding import Finding
from watchkeeper.signals.schema import Signal
from watchkeeper.store.store import Store
from watchkeeper.training.exclusions import Exclusion, exclusions_of
from watchkeeper.training.job import Status
from watchkeeper.training.job_folder import JobFolder
from watchkeeper.training.jobs import Job, Jobs, JobSpec, Limits, Published
from watchkeeper.training.parameters import read_parameters
from watchkeeper.training.watchlist import DEFAULT, Watchlists, checked
from watchkeeper.training.workloads import Workload

LOGS = "logs"
PROMOTE = ("auto", "ask")
NEEDED = ("torch", "onnx", "onnxruntime")
FINDINGS_PAGE = 1_000
FINDINGS_MAX = 100_000
JOBS_COUNTED_MAX = 1_000


class Training:
    """Jobs, watchlists and what lies between them and the models; `start` before use, `stop` at the end.

    wrong: gives the ids of findings that operators have called wrong, whose lines are learned from again. confirmed:
    gives the lines of a range that operators have called anomalous, which are not learned from.
    """

    def __init__(
        self,
        store: Store,
        models: ModelVersions,
        findings: FindingStore,
        settings: Settings,
        *,
        now_unix_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._store, self._findings, self._settings = store, findings, settings
        self._now_unix_ns = now_unix_ns
        if settings.text("training_promote") not in PROMOTE:
            raise SettingError(
                f"training_promote = {settings.text('training_promote')!r} is none of {', '.join(PROMOTE)}"
            )
        self.models = models
        self.watchlists = Watchlists(store.metadata, now_unix_ns=now_unix_ns)
        self.wrong: Callable[[], frozenset[str]] = frozenset
        self.confirmed: Callable[[int, int], list[Exclusion]] = lambda begin, end: []
        limits = Limits(
            heartbeat_s=settings.number("training_heartbeat_s"),
            resumptions_max=settings.integer("training_resumptions_max"),
            memory_bytes_max=settings.integer("training_memory_bytes_max"),
        )
        folder = settings.path("home") / "training"
        self.jobs = Jobs(store.metadata, folder, _LogWork(self), limits=limits, now_unix_ns=now_unix_ns)

    def start(self) -> None:
        """Take up the jobs of an earlier server and begin to look after jobs."""
        self.jobs.start_watching()

    def stop(self) -> None:
        """End the running worker; its job goes on at the next start."""
        self.jobs.stop()

    def begin(
        self,
        watchlist: str = DEFAULT,
        workloads: Iterable[Workload] | None = None,
        *,
        last_s: float | None = None,
        from_unix_ns: int | None = None,
        until_unix_ns: int | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> Job:
        """Begin to train the log model of a watchlist.

        workloads: those that are chosen in the list when None. The range is the last `training_range_s`, or `last_s`,
        up to now, unless both ends are given. Raises what `Jobs.start` raises, Conflict for a list that is empty; the
        list stays as it is then.
        """
        known = self.watchlists.get(watchlist)
        wanted = known.chosen if workloads is None else checked(workloads)
        if not wanted:
            raise Conflict(
                f"the watchlist {watchlist!r} is empty; choose what to watch: watchkeeper watch add WORKLOAD; "
                "to delete its model: watchkeeper train --reset"
            )
        until = self._now_unix_ns() if until_unix_ns is None else until_unix_ns
        span_s = self._settings.number("training_range_s") if last_s is None else last_s
        begin = until - int(span_s * 1e9) if from_unix_ns is None else from_unix_ns
        job = self.jobs.start(
            JobSpec(LOGS, f"{LOGS}/{watchlist}", watchlist, wanted, begin, until, dict(parameters or {}))
        )
        # What is trained is what was submitted, or the next start would decide on another list.
        self.watchlists.submit(watchlist, wanted)
        return job

    def problems(self) -> list[str]:
        """Give what is wrong with training now."""
        return [self.jobs.problem] if self.jobs.problem else []

    def families(self) -> list[Family]:
        """Give the metrics of jobs; the totals are of the jobs that are kept."""
        jobs = self.jobs.list(limit=JOBS_COUNTED_MAX)
        by_status = Counter(job.status.value for job in jobs)
        latest = {job.spec.name: job for job in reversed(jobs)}
        return [
            Family(
                "watchkeeper_training_jobs",
                "gauge",
                "Training jobs that are kept, by status.",
                [({"status": status.value}, float(by_status[status.value])) for status in Status],
            ),
            Family(
                "watchkeeper_training_seconds",
                "gauge",
                "Seconds of work of the latest training job of each model.",
                [({"model": name}, job.statistics.time_elapsed_s) for name, job in latest.items()],
            ),
            Family(
                "watchkeeper_training_peak_memory_bytes",
                "gauge",
                "Most memory that the latest training job of each model held.",
                [({"model": name}, float(job.peak_memory_bytes)) for name, job in latest.items()],
            ),
        ]

    def told_to_worker(self, job: Job) -> dict[str, Any]:
        """Give what the worker of a job is to know beside its data."""
        within = (job.spec.from_unix_ns, job.spec.until_unix_ns)
        findings = self._judged(*within)
        return {
            "schema_version": 1,
            "id": job.id,
            "spec": job.spec.as_dict(),
            "exclusions": [*exclusions_of(findings, unless=self.wrong()), *self.confirmed(*within)],
            "memory_bytes_max": self._settings.integer("training_memory_bytes_max"),
            "false_alarms_max": self._settings.number("training_false_alarms_max"),
        }

    def _judged(self, from_unix_ns: int, until_unix_ns: int) -> list[Finding]:
        """Give the findings that were open at some moment of a range."""
        found: list[Finding] = []
        cursor: str | None = None
        while len(found) < FINDINGS_MAX:
            page, cursor = self._findings.list(
                from_unix_ns=from_unix_ns, to_unix_ns=until_unix_ns, limit=FINDINGS_PAGE, cursor=cursor
            )
            found += page
            if cursor is None:
                break
        return found

    def freeze(self, job: Job, folder: Path) -> int:
        """Freeze the lines of a job's range into a folder; gives the rows of its files."""
        return self._store.freeze(Signal.LOGS, folder, (job.spec.from_unix_ns, job.spec.until_unix_ns)).rows

    def promote(self, version: Version, verdict: Mapping[str, Any]) -> bool:
        """Promote a version where the rule and the setting allow it; tells whether it is active now."""
        if self._settings.text("training_promote") == "auto" and verdict["promote"]:
            self.models.promote(version.name, version.number, who="watchkeeper", why=str(verdict["why"]))
        active = self.models.active(version.name)
        return active is not None and active.number == version.number


class _LogWork:
    """What Jobs needs of the program (Work)."""

    def __init__(self, training: Training) -> None:
        self._training = training

    def check(self, spec: JobSpec) -> None:
        checked_name(spec.name)
        if spec.kind != LOGS:
            raise QueryError(f"there is no kind of training job {spec.kind!r}; there is: {LOGS}")
        read_parameters(spec.parameters)
        require_learning()

    def prepare(self, job: Job, folder: JobFolder) -> None:
        if folder.read("job") is not None and (folder.data.is_dir() or folder.counts.is_dir()):
            return
        shutil.rmtree(folder.data, ignore_errors=True)
        partial = folder.path / "data.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        rows = self._training.freeze(job, partial)
        partial.rename(folder.data)
        previous = self._training.models.active(job.spec.name)
        shutil.rmtree(folder.previous, ignore_errors=True)
        if previous is not None:
            shutil.copytree(previous.folder, folder.previous)
        number = None if previous is None else previous.number
        folder.write("job", {**self._training.told_to_worker(job), "rows": rows, "previous": number})

    def command(self, folder: Path) -> Sequence[str]:
        return [sys.executable, "-m", "watchkeeper.training.worker", str(folder)]

    def publish(self, job: Job, folder: JobFolder, result: Mapping[str, Any]) -> Published:
        models = self._training.models
        known = [each for each in models.list(job.spec.name) if each.card.job_id == job.id]
        version = (
            known[0]
            if known
            else models.publish(
                job.spec.name,
                lambda place: _copy(folder.model, place),
                Card(
                    job.spec.kind,
                    job.id,
                    **{name: result[name] for name in ("trained_on", "parameters", "quality")},
                    thresholds=result["thresholds"],
                    notes=str(result["notes"]),
                ),
                verify=lambda place: _check(place, str(result["sha256"])),
            )
        )
        active = self._training.promote(version, result["verdict"])
        told = {name: value for name, value in result.items() if name not in {"sha256", "schema_version"}}
        return Published(version.number, {**told, "promoted": active})


def require_learning() -> None:
    """Raise MissingExtra, which tells what to install, when a package that training needs is not there."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtra(
            f"training needs {', '.join(missing)}, nothing was begun; install with: pip install 'watchkeeper[learning]'"
        )


def _copy(source: Path, place: Path) -> None:
    shutil.copytree(source, place, dirs_exist_ok=True)


def _check(place: Path, sha256: str) -> None:
    """Raise StoreError unless the files are those that the worker saved, loaded and evaluated."""
    if files.checksum(place) != sha256:
        raise StoreError("the model's files are not those that the worker saved and evaluated")
