"""The training gateway in the running program: counts, decisions, settings and buckets, put together and kept going.

Enters: the store, model versions, Training. Leaves: TrainingGateway and Lists, which HTTP and NATS call, and an
observer of the pipeline that counts workloads. What was stored before the start is counted in a thread, and lists whose
training did not come to its end are decided on again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, Protocol

from watchkeeper.app.training import Training
from watchkeeper.errors import WatchkeeperError
from watchkeeper.host.machine import Machine
from watchkeeper.models.versions import ModelVersions
from watchkeeper.receive.nats_address import address_of
from watchkeeper.settings import Settings
from watchkeeper.store.store import Store
from watchkeeper.training.ai_settings import AiSettings, AiSettingsStore
from watchkeeper.training.buckets import Buckets, SqliteBuckets
from watchkeeper.training.copies import ModelCopies
from watchkeeper.training.counts import WorkloadCounter
from watchkeeper.training.gateway import TrainingGateway
from watchkeeper.training.gpus import Gpus, read_driver
from watchkeeper.training.lists import Lists
from watchkeeper.training.nats_buckets import JetStreamBuckets
from watchkeeper.training.nats_link import NatsLink
from watchkeeper.training.nats_responder import Responder, checked_prefix
from watchkeeper.training.publisher import Publisher

log = logging.getLogger(__name__)


class SetKinds(Protocol):
    """What takes in how the pretrained kinds are set."""

    def __call__(self, *, off: Collection[str], thresholds: Mapping[str, float]) -> None:
        """Let some be off; thresholds: 0..1 by kind, for those that have one of their own."""


class TrainingServices:
    """All parts; `start` after the pipeline and the jobs, `stop` before them."""

    def __init__(
        self,
        store: Store,
        models: ModelVersions,
        training: Training,
        settings: Settings,
        *,
        now_unix_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._store = store
        range_s = settings.number("training_range_s")
        self.counter = WorkloadCounter(window_s=range_s, now_unix_ns=now_unix_ns)
        self.settings = AiSettingsStore(store.metadata)
        gpus = Gpus(
            Machine(), partial(read_driver, settings.number("gpu_read_timeout_s")), store, now_unix_ns=now_unix_ns
        )
        self.gateway = TrainingGateway(
            training.watchlists,
            training.jobs,
            models,
            self.settings,
            counts=self.counter.counts,
            gpus=gpus.info,
            window_s=range_s,
            now_unix_ns=now_unix_ns,
        )
        training.jobs.on_change(self.gateway.job_changed)
        self.lists = Lists(self.gateway)
        self._copies = ModelCopies(models, self.settings)
        training.jobs.on_change(self._copies.job_changed)
        address = address_of(settings)
        self._link = NatsLink(address) if address else None
        self._responder: Responder | None = None
        self.buckets: Buckets = SqliteBuckets(store.metadata, now_unix_ns=now_unix_ns)
        if self._link is not None:
            prefix = checked_prefix(settings.text("nats_subject_prefix"))
            self._responder = Responder(self._link, self.gateway.operations(), prefix=prefix)
            self.buckets = JetStreamBuckets(self._link, prefix=prefix)
        self._publisher = Publisher(self.gateway, self.buckets)
        if self._link is not None:
            self._link.on_connected(_nothing, self._publisher.connected)
        self._starter = threading.Thread(target=self._begin, name="training-start", daemon=True)

    def start(self) -> None:
        """Count what is stored and decide again, in a thread; begin to fill the buckets and to answer on NATS."""
        self._starter.start()
        self._copies.start()
        if self._link is not None:
            self._link.start()

    def stop(self) -> None:
        """End the threads."""
        if self._starter.is_alive():
            self._starter.join()
        self._publisher.stop()
        self._copies.stop()
        if self._link is not None and self._responder is not None:
            self._link.stop()
            self._responder.close()

    def on_kinds(self, set_kinds: SetKinds) -> None:
        """Tell now, and after each change of the settings, which pretrained kinds are off, and thresholds by kind."""

        def changed(settings: AiSettings) -> None:
            kinds = settings.pretrained_models
            set_kinds(
                off=[name for name, kind in kinds.items() if not kind.enabled],
                thresholds={name: kind.threshold for name, kind in kinds.items() if kind.threshold is not None},
            )

        self.settings.on_change(changed)
        changed(self.settings.get())

    def problems(self) -> list[str]:
        """Give what is wrong now."""
        told = [self._link.problem] if self._link is not None else []
        # A server that is away is told once, not for its buckets as well.
        return [each for each in [*(told if any(told) else [self._publisher.problem]), self._copies.problem] if each]

    def status(self) -> dict[str, Any]:
        """Give the state of the transports as plain data; `nats` is null where no `nats_url` is set."""
        return {
            "buckets": "jetstream" if self._link is not None else "sqlite",
            "nats": self._link.status() if self._link is not None else None,
            "subjects": self._responder.subjects if self._responder is not None else [],
        }

    def _begin(self) -> None:
        try:
            self.gateway.resume()
        except WatchkeeperError as error:
            log.error("watchlists cannot be decided on again: %s", error)
        self.counter.seed(self._store)
        self._publisher.start()


async def _nothing(_client: object) -> None:
    """Prepare nothing: the responder does that."""
