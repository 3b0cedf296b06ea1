"""Copies of published models in the object store, made by one thread; a failure is told and tried again.

Enters: jobs that have published a version. Leaves: its files under `<model>/<number>/` in the object store. A model is
published without waiting for its copy, and nothing is ever read back from there.
"""

from __future__ import annotations

import threading
from typing import Any, Protocol

from watchkeeper.errors import NotFound, QueryError, Unreachable
from watchkeeper.training.ai_settings import AiSettings, AiSettingsStore, object_store_of
from watchkeeper.training.job import Job, Status

PAUSE_S = 60.0
WAITING_MAX = 100


class VersionsLike(Protocol):
    """What is needed of models/versions.py."""

    def get(self, name: str, number: int) -> Any:
        """Give one version; raises NotFound."""


class ModelCopies:
    """Copies models; `start` before use, `stop` after."""

    def __init__(self, models: VersionsLike, settings: AiSettingsStore, *, pause_s: float = PAUSE_S) -> None:
        self._models, self._settings, self._pause_s = models, settings, pause_s
        self._changed = threading.Condition()
        self._waiting: list[tuple[str, int]] = []
        self._stopping = False
        self._again = False
        self._thread = threading.Thread(target=self._run, name="model-copies", daemon=True)
        self.problem = ""
        self.copied = 0
        settings.on_change(self._settings_changed)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what waits is not copied."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def job_changed(self, job: Job) -> None:
        """Have the version of a completed job copied; never blocks."""
        if job.status is Status.COMPLETED and job.version is not None:
            with self._changed:
                self._waiting = [*self._waiting, (job.spec.name, job.version)][-WAITING_MAX:]
                self._changed.notify_all()

    def _settings_changed(self, _settings: AiSettings) -> None:
        with self._changed:
            self._again = True
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or bool(self._waiting))
                if self._stopping:
                    return
                name, number = self._waiting[0]
                self._again = False
            try:
                self._copy(name, number)
            except (Unreachable, OSError, QueryError) as error:
                self.problem = f"version {number} of {name} is not copied to the object store: {error}"
                with self._changed:
                    self._changed.wait_for(lambda: self._stopping or self._again, self._pause_s)
                continue
            self.problem = ""
            with self._changed:
                if (name, number) in self._waiting:
                    self._waiting.remove((name, number))

    def _copy(self, name: str, number: int) -> None:
        """Copy one version whole; nothing to do without an object store, or when the version is gone."""
        store = object_store_of(self._settings.get())
        if store is None:
            return
        try:
            folder = self._models.get(name, number).folder
        except NotFound:
            return
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            store.put(f"{name}/{number:06d}/{path.relative_to(folder).as_posix()}", path.read_bytes())
        self.copied += 1
