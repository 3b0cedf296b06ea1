"""A training gateway of real parts: real jobs whose worker is scripted, real model versions, a counter, SQLite."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.store.reads.tables import Tables
from tests.training import scripted

from watchkeeper.host.gpu import NO_LIBRARY, GpuSnapshot
from watchkeeper.host.machine import Machine
from watchkeeper.models.versions import Card, ModelVersions
from watchkeeper.store.metadata import Metadata
from watchkeeper.training.ai_settings import AiSettingsStore
from watchkeeper.training.counts import WorkloadCounter
from watchkeeper.training.gateway import TrainingGateway, model_name
from watchkeeper.training.gpus import Gpus
from watchkeeper.training.job import Job, JobSpec
from watchkeeper.training.job_folder import JobFolder
from watchkeeper.training.jobs import Jobs, Published
from watchkeeper.training.lists import Lists
from watchkeeper.training.watchlist import Watchlists
from watchkeeper.training.workloads import Workload

DEADLINE_S = 20.0
A, B, C = (Workload("local", "shop", name) for name in "abc")


def items(*workloads: Workload) -> dict[str, Any]:
    return {"items": [each.as_dict() for each in workloads]}


class Work(scripted.Work):
    """Publishes real versions; `asked` are the parameters of the scripted worker, `refusal` what `check` raises."""

    def __init__(self, models: ModelVersions) -> None:
        super().__init__()
        self.models = models
        self.asked: dict[str, Any] = {}
        self.refusal: Exception | None = None
        self.begun: list[JobSpec] = []

    def check(self, spec: JobSpec) -> None:
        self.begun.append(spec)
        if self.refusal is not None:
            raise self.refusal

    def prepare(self, job: Job, folder: JobFolder) -> None:
        folder.write("job", {"spec": {**job.spec.as_dict(), "parameters": self.asked}})

    def command(self, folder: Path) -> Sequence[str]:
        return super().command(folder)

    def publish(self, job: Job, folder: JobFolder, result: Mapping[str, Any]) -> Published:
        card = Card("logs", job.id, quality={"model_accuracy": 0.9})
        version = self.models.publish(
            job.spec.name, lambda place: (place / "weights").write_text("whole"), card, verify=lambda place: None
        )
        self.models.promote(version.name, version.number, who="test", why="first")
        return Published(version.number, result)


class Assembly:
    """One server's worth of parts over a home folder; `close`, then make another one: a restart."""

    def __init__(self, home: Path, *, gpus: Callable[[], GpuSnapshot] = lambda: NO_LIBRARY) -> None:
        home.mkdir(exist_ok=True)
        self.metadata = Metadata(home / "metadata.sqlite")
        self.models = ModelVersions(self.metadata, home / "models")
        self.work = Work(self.models)
        self.jobs = Jobs(self.metadata, home / "training", self.work)
        self.counter = WorkloadCounter()
        self.settings = AiSettingsStore(self.metadata)
        self.watchlists = Watchlists(self.metadata)
        self.forgotten: list[str] = []
        machine = Machine(home / "no-devices")
        self.gateway = TrainingGateway(
            self.watchlists,
            self.jobs,
            self.models,
            self.settings,
            counts=self.counter.counts,
            gpus=Gpus(machine, gpus, Tables()).info,
            forget=self.forgotten.append,
        )
        self.jobs.on_change(self.gateway.job_changed)
        self.lists = Lists(self.gateway)

    def train(self, *workloads: Workload) -> dict[str, Any]:
        return self.gateway.train(items(*workloads), who="test")

    def finish(self) -> dict[str, Any]:
        """Look after jobs until none runs, and give the status."""
        return self.until(lambda: not any(job.running for job in self.jobs.list()))

    def until(self, condition: Callable[[], Any]) -> dict[str, Any]:
        end = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < end, json.dumps(self.gateway.model_status())
            self.jobs.tick()
            time.sleep(0.01)
        return self.gateway.model_status()

    def weights(self) -> list[Path]:
        return [each.folder for each in self.models.list(model_name("default"))]

    def close(self) -> None:
        self.jobs.stop()
        self.metadata.close()
