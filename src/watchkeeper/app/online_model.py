"""What the online detectors have learned, as versions of the model "online": kept, promoted, rolled back while running.

Enters: the pipeline, model versions, a maker of empty detectors. Leaves: versions, and other detectors in the place of
the running ones, between two batches. The pattern miner stays: its templates are names, not judgements. Promoting and
rolling back first keep the running state as a version, so that nothing learned is lost by it.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from watchkeeper.app.pipeline import Pipeline
from watchkeeper.detect.base import Detector, LearningState
from watchkeeper.errors import Conflict, NotFound
from watchkeeper.models.versions import Card, ModelVersions, Version
from watchkeeper.signals.schema import Signal

ONLINE = "online"
RECORD = "online.json"
RECORD_SCHEMA_VERSION = 1
HARDLY_LEARNED_S = 600.0
"""A state that was put in place so lately is not kept when another takes its place: it differs too little."""

Detectors = Mapping[Signal, Detector]


class OnlineModel:
    """See the module. `running`: the number of the version that the running state is, or has gone on from; 0 for none.

    make: gives detectors that know nothing. learning: tells what is learned of each service. checkpoint: writes the
    running state to disk; it is called after each change, so that a kill does not undo it.
    """

    def __init__(
        self,
        versions: ModelVersions,
        pipeline: Pipeline,
        make: Callable[[], Detectors],
        learning: Callable[[], list[LearningState]],
        *,
        checkpoint: Callable[[], None],
        every_s: float,
        now_unix_ns: Callable[[], int] = time.time_ns,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._versions, self._pipeline, self._make, self._learning = versions, pipeline, make, learning
        self._checkpoint, self._every_s = checkpoint, every_s
        self._now_unix_ns, self._clock = now_unix_ns, clock
        self._put_in_place_s = float("-inf")
        self._lock = threading.RLock()
        self.running = 0
        versions.on_change(self._changed)

    def save(self, name: str = ONLINE, *, who: str, why: str) -> Version:
        """Make a version of what is learned now, and make it the active one; raises NotFound for another name."""
        _check(name)
        states = self._learning()
        if not states:
            raise Conflict("nothing was learned yet, so there is nothing to save; send telemetry first")
        with self._lock:
            version = self._versions.publish(
                ONLINE, self._pipeline.save_detectors, self._card(states, why), verify=self._verify
            )
            self.running, self._put_in_place_s = version.number, float("-inf")
            active = self._versions.promote(ONLINE, version.number, who=who, why=why)
            self._checkpoint()
            return active

    def promote(self, name: str, number: int, *, who: str, why: str) -> Version:
        """Put a version in the place of the running state, which is kept as a version; see ModelVersions.promote."""
        _check(name)
        self._versions.get(ONLINE, number)
        with self._lock:
            self._keep(who, f"what had been learned when version {number} was promoted")
            return self._versions.promote(ONLINE, number, who=who, why=why)

    def rollback(self, name: str = ONLINE, *, who: str, why: str) -> Version:
        """Go back to the version that was saved or put in place last; again within HARDLY_LEARNED_S, one step further.

        Raises Conflict when there is none.
        """
        _check(name)
        if self._versions.active(ONLINE) is None:
            raise Conflict(
                "there is no version of the online detectors; make one with `watchkeeper models save online`"
            )
        with self._lock:
            self._keep(who, "what had been learned when it was rolled back")
            return self._versions.rollback(ONLINE, who=who, why=why)

    def save_when_due(self) -> None:
        """Make a version when the newest is older than `every_s`; 0 makes none."""
        newest = next(iter(self._versions.list(ONLINE)), None)
        age_s = (self._now_unix_ns() - newest.created_unix_ns) / 1e9 if newest else float("inf")
        if 0 < self._every_s <= age_s and any(state.state == "watching" for state in self._learning()):
            self.save(who="watchkeeper", why=f"one is made every {self._every_s / 3600:.4g} hours")

    def write_record(self, folder: Path) -> None:
        """Note in a checkpoint which version its state is or has gone on from."""
        record = {"schema_version": RECORD_SCHEMA_VERSION, "running": self.running}
        (folder / RECORD).write_text(json.dumps(record), encoding="utf-8")

    def read_record(self, folder: Path) -> None:
        """Take up that note; raises OSError, ValueError or KeyError. A checkpoint of before there were any has none."""
        file = folder / RECORD
        self.running = int(json.loads(file.read_text(encoding="utf-8"))["running"]) if file.exists() else 0

    def catch_up(self) -> None:
        """Put the active version in place where the running state is of another: the change came as a server ended."""
        self._changed(ONLINE)

    def _keep(self, who: str, why: str) -> None:
        if self._clock() - self._put_in_place_s >= HARDLY_LEARNED_S and self._learning():
            self.save(who=who, why=why)

    def _changed(self, name: str) -> None:
        if name != ONLINE:
            return
        with self._lock:
            active = self._versions.active(ONLINE)
            if active is None or active.number == self.running:
                return
            loaded = self._versions.load(ONLINE, self._read)
            if loaded is not None and loaded[0].number != self.running:
                version, detectors = loaded
                self._pipeline.exchange(detectors, lambda: self._in_place(version.number))
                self._checkpoint()

    def _in_place(self, number: int) -> None:
        self.running, self._put_in_place_s = number, self._clock()

    def _read(self, folder: Path) -> Detectors:
        detectors = self._make()
        for signal, detector in detectors.items():
            detector.load(folder / f"detector-{signal.value}")
        return detectors

    def _verify(self, folder: Path) -> None:
        self._read(folder)

    def _card(self, states: list[LearningState], why: str) -> Card:
        trained_on: dict[str, Any] = {
            "services": len(states),
            "watching": sum(state.state == "watching" for state in states),
            "learned_s": max(state.learned_s for state in states),
            "lines": sum(state.lines for state in states),
            "until_unix_ns": self._pipeline.event_time_unix_ns(),
        }
        return Card(ONLINE, trained_on=trained_on, notes=why)


def _check(name: str) -> None:
    if name != ONLINE:
        raise NotFound(f"{name[:100]!r} is not learned online, so there is no running state of it to save")
