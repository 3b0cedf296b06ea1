"""The training gateway: one handler for each operation, plain data in, plain data out, behind HTTP and NATS alike.

Enters: requests (requests.py checks them). Leaves: answers in plain data, times as decimal text; what they change goes
through Watchlists, Jobs, ModelVersions and AiSettingsStore. It acts on decisions: cancels what a new list makes
pointless, starts trainings, resets. Knows no transport. Errors are Watchkeeper's own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from watchkeeper.errors import Conflict, NotFound, QueryError, WatchkeeperError
from watchkeeper.training.ai_settings import AiSettings, AiSettingsStore, shown
from watchkeeper.training.counts import WorkloadCounts
from watchkeeper.training.gpus import GpuInfo
from watchkeeper.training.job import NO_MODEL, Job, JobSpec, Stage, Statistics, Status
from watchkeeper.training.requests import (
    AggregationRequest,
    NoRequest,
    PurgeRequest,
    StatusReport,
    TrainRequest,
    read,
)
from watchkeeper.training.watchlist import DEFAULT, Decision, Watchlist, Watchlists
from watchkeeper.training.workloads import Workload

LOGS_KIND, REMOTE_KIND = "logs", "remote"
JOBS_LOOKED_AT = 50
NEWER_LIST = "a newer watchlist was submitted"

Plain = dict[str, Any]

log = logging.getLogger(__name__)


class JobsLike(Protocol):
    """What the gateway needs of training/jobs.py."""

    def start(self, spec: JobSpec) -> Job:
        """Take in a job; raises Conflict, QueryError, MissingExtra."""

    def get(self, identifier: str) -> Job:
        """Give a job; raises NotFound."""

    def list(self, *, name: str = "", limit: int = 100) -> Sequence[Job]:
        """Give the latest jobs, the newest first."""

    def cancel(self, identifier: str, *, why: str = "") -> Job:
        """End a job; raises NotFound, Conflict."""

    def report(
        self, identifier: str, status: str, statistics: Mapping[str, Any] | None = None, *, reason: str = ""
    ) -> Job:
        """Take in what a remote trainer tells; raises NotFound, Conflict, QueryError."""


class ModelsLike(Protocol):
    """What the gateway needs of models/versions.py."""

    def active(self, name: str) -> Any:
        """Give the active version, or None."""

    def delete(self, name: str, *, who: str, why: str) -> int:
        """Delete every version of a name."""


def model_name(watchlist: str) -> str:
    """Give the name of the log model of a watchlist."""
    return f"logs/{watchlist}"


class TrainingGateway:
    """All operations; safe to use from any thread. Each may block for as long as SQLite, or for `gpu_info` the driver.

    window_s: of telemetry that a training reads, counted back from when it is asked for. forget: drops what was
    learned of a watchlist beside its model files, such as verdicts kept by template.
    """

    def __init__(
        self,
        watchlists: Watchlists,
        jobs: JobsLike,
        models: ModelsLike,
        settings: AiSettingsStore,
        *,
        counts: Callable[[], WorkloadCounts],
        gpus: Callable[[], GpuInfo],
        window_s: float = 3600.0,
        forget: Callable[[str], None] = lambda _: None,
        now_unix_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.watchlists, self._jobs, self._models, self._settings = watchlists, jobs, models, settings
        self.counts, self._gpus, self._window_s = counts, gpus, window_s
        self._forget, self._now_unix_ns = forget, now_unix_ns
        self._lock = threading.RLock()
        self._told: list[Callable[[str], None]] = []

    def on_change(self, callback: Callable[[str], None]) -> None:
        """Call this with the name of a watchlist whose status is another."""
        self._told.append(callback)

    def operations(self) -> dict[str, Callable[[Any, str], Plain]]:
        """Give the handlers by the subject that NATS clients call them by; each takes a request and who asks."""
        return {
            "train_model": lambda data, who: self.train(data, who=who),
            "model_status": lambda data, _: self.model_status(data),
            "put_model_status": lambda data, who: self.put_model_status(data, who=who),
            "workload_parameters": lambda data, _: self.training_parameters(data),
            "workload_aggregation": lambda data, _: self.workload_aggregation(data),
            "gpu_info": lambda data, _: self.gpu_info(data),
            "get_ai_settings": lambda data, _: self.get_settings(data),
            "put_ai_settings": lambda data, _: self.put_settings(data),
            "delete_ai_settings": lambda data, who: self.delete_settings(data, who=who),
        }

    def train(self, data: Any, *, who: str) -> Plain:
        """Submit the default watchlist: train, or only update the parameters, or reset."""
        return self.submit(DEFAULT, read(TrainRequest, data).workloads(), who=who)

    def model_status(self, data: Any = None) -> Plain:
        """Give status, stage and statistics of the default watchlist's model."""
        read(NoRequest, data)
        return self.status(DEFAULT)

    def put_model_status(self, data: Any, *, who: str) -> Plain:
        """Take in what a remote trainer tells, for its job, or for one that is made of the telling.

        Raises Conflict while a training runs in this program, which tells its status itself.
        """
        report = read(StatusReport, data)
        with self._lock:
            known = self.watchlists.get()
            job = self._job(known)
            if report.status == NO_MODEL:
                if job is not None or self._models.active(model_name(DEFAULT)) is not None:
                    raise Conflict(f"{NO_MODEL!r} is not so: there is a job or a model; submit an empty list to reset")
            elif job is None or not job.running:
                # Without workloads: a report on nothing that was asked for says nothing of what was trained.
                spec = JobSpec(REMOTE_KIND, model_name(DEFAULT), DEFAULT, parameters={"reported_by": who})
                job = self._jobs.start(spec)
                self.watchlists.started(DEFAULT, job.id)
            if job is not None:
                self._jobs.report(job.id, report.status, report.told(), reason=report.reason)
        self._tell(DEFAULT)
        return {}

    def training_parameters(self, data: Any = None) -> Plain:
        """Give the watchlist as it was last submitted."""
        read(NoRequest, data)
        known = self.watchlists.get()
        return {"items": items_of(known.submitted), "submitted_unix_ns": str(known.submitted_unix_ns)}

    def workload_aggregation(self, data: Any) -> Plain:
        """Give the log counts of one cluster's workloads over the last hour, the busiest first."""
        request = read(AggregationRequest, data)
        counts = self.counts()
        found = counts.of_cluster(request.cluster_id)
        return {
            **aggregation_head(counts, found=bool(found)),
            "items": [{**each.workload.as_dict(), "log_count": each.log_count} for each in found],
        }

    def gpu_info(self, data: Any = None) -> Plain:
        """Give the GPUs, one item for each kind on each node."""
        read(NoRequest, data)
        info = self._gpus()
        items = [{**each._asdict(), "models": list(each.models)} for each in info.items]
        return {"state": info.state, "problem": info.problem, "items": items}

    def get_settings(self, data: Any = None) -> Plain:
        """Give the settings, without the secret, and how the object store is."""
        read(NoRequest, data)
        state = self._settings.object_store_state()
        settings = self._settings.get()
        return {**shown(settings), "is_set": self._settings.is_set(), "object_store_state": state._asdict()}

    def put_settings(self, data: Any) -> Plain:
        """Replace the settings as a whole, and give them as they are then."""
        self._settings.put(read(AiSettings, data))
        return self.get_settings()

    def delete_settings(self, data: Any, *, who: str) -> Plain:
        """Go back to the default settings; with `purge_model_training_data` reset every watchlist as well."""
        request = read(PurgeRequest, data)
        self._settings.delete()
        purged = self.purge(who=who) if request.purge_model_training_data else []
        return {**self.get_settings(), "purged_watchlists": purged}

    def submit(
        self, name: str, workloads: Iterable[Workload], *, who: str, from_unix_ns: int = 0, until_unix_ns: int = 0
    ) -> Plain:
        """Submit a watchlist, decide against what was last trained, and act on it.

        The times, of what is to be read, are the last hour where they are left out. Raises QueryError, MissingExtra;
        then the list stays submitted, the status tells why, and the next start decides again.
        """
        with self._lock:
            self._note_completed(name)
            decision = self.watchlists.submit(name, workloads)
            try:
                job_id = self._act(name, decision, who, from_unix_ns, until_unix_ns)
            finally:
                self._tell(name)
            return {
                "decision": decision.decision,
                "job_id": job_id,
                "added": items_of(decision.added),
                "removed": items_of(decision.removed),
            }

    def resume(self) -> None:
        """Decide again, at a start, on every list that was submitted and is not what was trained."""
        for known in self.watchlists.list():
            with self._lock:
                self._note_completed(known.name)
                known = self.watchlists.get(known.name)
                if not known.submitted_unix_ns or (known.submitted and known.is_settled):
                    continue
                try:
                    self.submit(known.name, known.submitted, who="restart")
                except WatchkeeperError as error:
                    log.warning("the watchlist %s cannot be trained: %s", known.name, error)

    def status(self, name: str) -> Plain:
        """Give the status of a watchlist's model: the job's that was last decided on, or that there is none."""
        known = self.watchlists.get(name)
        job = self._job(known)
        active = self._models.active(model_name(name))
        told = {
            "watchlist": name,
            "job_id": "",
            "reason": known.fault,
            "model_version": active.number if active else None,
        }
        if known.fault:
            return {**told, **_state(Status.FAILED.value, Statistics())}
        if job is not None:
            state = _state(job.status.value, job.statistics)
            return {**told, **state, "job_id": job.id, "reason": job.reason}
        if known.submitted and (known.trained or active):
            accuracy = active.card.quality.get("model_accuracy") if active else None
            return {**told, **_state(Status.COMPLETED.value, _finished(accuracy))}
        return {**told, **_state(NO_MODEL, None)}

    def remove(self, name: str, *, who: str) -> None:
        """Reset a watchlist and forget it; the default one is only emptied. Raises NotFound."""
        with self._lock:
            self.watchlists.get(name)
            self.submit(name, (), who=who)
            self.watchlists.remove(name)
        self._tell(name)

    def purge(self, *, who: str) -> list[str]:
        """Reset every watchlist; gives their names."""
        names = [each.name for each in self.watchlists.list()]
        for name in names:
            self.submit(name, (), who=who)
        return names

    def job_changed(self, job: Job) -> None:
        """Take in that a job is another; to be called with every change. One begun elsewhere is the list's from now."""
        name = job.spec.watchlist
        if not name:
            return
        with self._lock:
            if job.running and job.id != self._job_id(name) and self._is_newest(job):
                self.watchlists.started(name, job.id)
            self._note_completed(name)
        self._tell(name)

    def _act(self, name: str, decision: Decision, who: str, from_unix_ns: int, until_unix_ns: int) -> str:
        """Do what was decided; gives the job that it led to, "" for none."""
        known = self.watchlists.get(name)
        # Not the list's own note of its job, which a kill may have left behind.
        job = self._running(name)
        if decision.decision == "trained":
            if job is not None and {*job.spec.workloads} == {*known.submitted}:
                self.watchlists.started(name, job.id)
                return job.id
            self._cancel(job, NEWER_LIST)
            return self._start(known, from_unix_ns, until_unix_ns)
        self._cancel(job, NEWER_LIST)
        if decision.decision == "updated":
            done = (each for each in self._jobs.list(name=model_name(name), limit=JOBS_LOOKED_AT))
            last = next((each.id for each in done if each.status is Status.COMPLETED), "")
            self.watchlists.started(name, last)
            return ""
        self._models.delete(model_name(name), who=who, why="the watchlist was emptied")
        self._forget(name)
        self.watchlists.started(name, "")
        self.watchlists.trained(name, ())
        return ""

    def _start(self, known: Watchlist, from_unix_ns: int, until_unix_ns: int) -> str:
        until_unix_ns = until_unix_ns or self._now_unix_ns()
        settings = self._settings.get()
        remote = settings.trainer == "remote"
        spec = JobSpec(
            REMOTE_KIND if remote else LOGS_KIND,
            model_name(known.name),
            known.name,
            known.submitted,
            from_unix_ns or until_unix_ns - int(self._window_s * 1e9),
            until_unix_ns,
            {"gpu_runtime_class": settings.gpu_runtime_class, "replicas": settings.replicas} if remote else {},
        )
        try:
            job = self._jobs.start(spec)
        except WatchkeeperError as error:
            self.watchlists.started(known.name, "", fault=str(error))
            raise
        self.watchlists.started(known.name, job.id)
        return job.id

    def _cancel(self, job: Job | None, why: str) -> None:
        if job is not None:
            try:
                self._jobs.cancel(job.id, why=why)
            except (Conflict, NotFound):
                log.debug("job %s had ended by itself", job.id)

    def _note_completed(self, name: str) -> None:
        """Note what the list's job has trained, once it is completed; a failed or cancelled one changes nothing."""
        try:
            known = self.watchlists.get(name)
        except NotFound:
            return
        job = self._job(known)
        if job is None or job.status is not Status.COMPLETED or not job.spec.workloads:
            return
        if {*known.trained} != {*job.spec.workloads}:  # not by their times: a clock may be set back
            self.watchlists.trained(name, job.spec.workloads)

    def _job_id(self, name: str) -> str:
        try:
            return self.watchlists.get(name).job_id
        except NotFound:
            return ""

    def _is_newest(self, job: Job) -> bool:
        """Tell whether a job still runs and none came after it: what is told of jobs may come late."""
        running = self._running(job.spec.watchlist)
        return running is not None and running.id == job.id

    def _running(self, name: str) -> Job | None:
        """Give the job that trains a list's model, or None; there is one at the most."""
        jobs = self._jobs.list(name=model_name(name), limit=JOBS_LOOKED_AT)
        return next((each for each in jobs if each.running), None)

    def _job(self, known: Watchlist) -> Job | None:
        """Give the job that was last decided on, while it is kept."""
        try:
            return self._jobs.get(known.job_id) if known.job_id else None
        except NotFound:
            return None

    def _tell(self, name: str) -> None:
        for callback in self._told:
            callback(name)


def items_of(workloads: Iterable[Workload]) -> list[Plain]:
    """Give workloads as plain data."""
    return [each.as_dict() for each in workloads]


def aggregation_head(counts: WorkloadCounts, *, found: bool) -> Plain:
    """Give what goes before the items of counts: how they are, and of which time."""
    return {
        "state": "no data" if counts.state == "healthy" and not found else counts.state,
        "problem": counts.problem,
        "from_unix_ns": str(counts.from_unix_ns),
        "until_unix_ns": str(counts.until_unix_ns),
    }


def check_range(from_unix_ns: str | None, until_unix_ns: str | None) -> tuple[int, int]:
    """Read both ends, 0 for one that is left out; raises QueryError."""
    start, end = int(from_unix_ns or 0), int(until_unix_ns or 0)
    if max(start, end) >= 2**63 or (end and start >= end):
        raise QueryError(f"from_unix_ns ({start}) is to be before until_unix_ns ({end}), and both below 2^63")
    return start, end


def _state(status: str, statistics: Statistics | None) -> Plain:
    told = (statistics or Statistics()).as_dict()
    if statistics is None:
        told["stage"] = None
    return {"status": status, "stage": told["stage"], "statistics": told}


def _finished(accuracy: float | None) -> Statistics:
    return Statistics(percentage_completed=100.0, remaining_time_s=0.0, model_accuracy=accuracy, stage=Stage.SAVE)
