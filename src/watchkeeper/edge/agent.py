"""The edge agent as one object: takes in, collects, spools and forwards; `run` serves until a signal comes.

Enters: Settings and an AgentPlan. Leaves: telemetry at the centre. Wires the parts of this room and holds no logic of
theirs. What only some agents need (files, journal, GPUs, detection) is imported when it is asked for, for an agent at
rest is to stay small.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from watchkeeper.edge.counts import Counts
from watchkeeper.edge.exposition import Sample, Tells, count_samples, reading_samples, state_server
from watchkeeper.edge.forwarder import Forwarder
from watchkeeper.edge.host_metrics import HostMetrics, Reading, encode_readings
from watchkeeper.edge.intake import LocalReceiver
from watchkeeper.edge.link import Centre, Link
from watchkeeper.edge.spool import Spool
from watchkeeper.errors import SettingError
from watchkeeper.host.scrape import shown
from watchkeeper.receive.tls import server_tls
from watchkeeper.receive.tokens import is_loopback
from watchkeeper.settings import Settings
from watchkeeper.signals.node_report import NODE_SERVICE
from watchkeeper.signals.signal import Signal

FILES_EVERY_S = 0.5
AGAIN_S = 5.0
STOP_WITHIN_S = 5.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AgentPlan:
    """What an agent is to do besides its settings: where the centre is, files to follow, what to say and judge here."""

    centre: Centre
    files: tuple[str, ...] = ()
    journal: bool = False
    debug: bool = False
    detect: bool = False


class NodeNames(NamedTuple):
    """What this node is called: the name it gives itself, and all names in its certificate, None without one."""

    own: str
    certified: frozenset[str] | None


def node_names(settings: Settings, certificate: str) -> NodeNames:
    """Give the names of this node; its own is the setting, else that of its certificate, else the host's."""
    said = settings.text("edge_node_name")
    if not certificate:
        return NodeNames(said or socket.gethostname(), None)
    from watchkeeper.receive.certs import common_name, names_of

    file = Path(certificate)
    return NodeNames(said or common_name(file), names_of(file))


class Agent:
    """The agent; `start` before use, `stop` after. `endpoints` tells where it listens."""

    def __init__(self, settings: Settings, plan: AgentPlan) -> None:
        self.settings = settings
        self.plan = plan
        self.endpoints: dict[str, str] = {}
        names = node_names(settings, plan.centre.certificate)
        self.node = names.own
        self.counts = Counts()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._faults: Counter[str] = Counter()
        self._told: dict[str, str] = {}
        self._readings: list[Reading] = []
        self._samples: list[Callable[[], list[Sample]]] = []
        self._closing: list[Callable[[], None]] = []
        if not is_loopback(settings.text("bind")) and not (settings.flag("insecure") or settings.text("tls_client_ca")):
            raise SettingError(
                f"bind = {settings.text('bind')!r} is not loopback and nobody is asked who they are; require client "
                "certificates (tls_client_ca), or listen on 127.0.0.1, or tell --set insecure=true if you trust the "
                "network entirely"
            )
        self._folder = folder = settings.path("home") / "edge"
        self.spool = Spool(
            folder / "spool",
            bytes_max=settings.integer("edge_spool_bytes_max"),
            disk_free_bytes_min=settings.integer("disk_free_bytes_min"),
            dedup_window_s=settings.number("dedup_window_s"),
            retry_after_s=settings.number("retry_after_s"),
        )
        self.forwarder = Forwarder(
            self.spool,
            Link(plan.centre),
            self.counts,
            folder,
            batch_records=settings.integer("edge_batch_records_max"),
            batch_age_s=settings.number("edge_batch_age_s"),
            pause_max_s=settings.number("edge_pause_s_max"),
        )
        self.receiver = LocalReceiver(settings, self.spool, self.counts, self.node, names.certified)
        self._state: ThreadingHTTPServer | None = None

    def start(self) -> None:
        """Start to write, to forward, to collect, and to tell the state."""
        settings = self.settings
        host = settings.text("bind")
        tls = server_tls(settings)
        tells, port = Tells(self.samples, self.state), settings.integer("edge_metrics_port")
        self._state = state_server(tells, host, port, tls.page if tls else None)
        self.endpoints["metrics"] = f"{'https' if tls else 'http'}://{shown(host, self._state.server_port)}/metrics"
        threading.Thread(target=self._state.serve_forever, args=(1.0,), name="edge-state", daemon=True).start()
        if self.plan.debug:
            from watchkeeper.edge.debug import print_request

            self.receiver.on_seen.append(print_request)
        if self.plan.detect:
            self._detect()
        self.spool.start()
        self.forwarder.start()
        host_every_s = settings.number("edge_host_interval_s")
        if host_every_s:
            self._spawn("host", lambda: self._collect_host(host_every_s))

        health_every_s = settings.number("edge_health_interval_s")
        if health_every_s:
            self._spawn("health", lambda: self._watch_health(health_every_s))
        if self.plan.files:
            self._spawn("files", self._follow_files)
        if self.plan.journal:
            self._follow_journal()

    def stop(self) -> None:
        """Collect nothing more, send what can be sent at once, keep the rest in the spool."""
        self._stopping.set()
        for close in self._closing:
            close()
        until_s = time.monotonic() + STOP_WITHIN_S
        for thread in self._threads:
            thread.join(max(0.0, until_s - time.monotonic()))
        self.forwarder.stop()
        self.spool.stop()
        if self._state is not None:
            self._state.shutdown()
            self._state.server_close()

    def _spawn(self, part: str, work: Callable[[], Any]) -> None:
        thread = threading.Thread(target=self._keep_going, args=(part, work), name=f"edge-{part}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _keep_going(self, part: str, work: Callable[[], Any]) -> None:
        """Do the work of one part of the agent; what fails (a full disk, a device gone) is told, and begun again."""
        while not self._stopping.is_set():
            try:
                work()
                return
            except Exception as error:  # noqa: BLE001 the boundary of a thread: its part must go on whatever failed
                if self._stopping.is_set():
                    return
                self._faults[part] += 1
                self.counts.last_error = f"{part}: {error}"
                # A fault that goes on is told once, not every few seconds.
                if self._told.get(part) != str(error):
                    self._told[part] = str(error)
                    _log.error("%s fails and is begun again", part, exc_info=error)
                self._stopping.wait(AGAIN_S)

    def _collect_host(self, every_s: float) -> None:
        host = HostMetrics()
        resource = {"service.name": NODE_SERVICE, "host.name": self.node}
        while True:
            now = time.time_ns()
            self._readings = host.read()
            payload = encode_readings(self._readings, resource, start_unix_ns=host.start_unix_ns, time_unix_ns=now)
            if self._stopping.is_set():
                return
            self.receiver.keep(Signal.METRICS, payload, "host")
            self._stopping.wait(every_s)

    def _detect(self) -> None:
        from watchkeeper.edge.scoring import Scoring

        scoring = Scoring(
            self.settings,
            self._folder / "learned",
            lambda payload: self.receiver.keep(Signal.LOGS, payload, "findings", again=True),
            node=self.node,
            say=lambda line: print(line, flush=True),
        )
        self.receiver.on_seen.append(scoring.see)
        self._samples.append(scoring.samples)
        self._spawn("detect", lambda: scoring.run(self._stopping.is_set))

    def _watch_health(self, every_s: float) -> None:
        """Look at GPUs and the kernel log, and keep what is new; the looking is that of `watchkeeper gpu`."""
        from watchkeeper.edge.node_health import HealthNews
        from watchkeeper.host.visit import Outlook

        with Outlook(self.settings) as outlook:
            news = HealthNews()
            while not self._stopping.is_set():
                health = outlook.look()
                logs, metrics = news.requests(health)
                if self.receiver.keep(Signal.LOGS, logs, "health"):
                    news.told(health)
                if metrics:
                    self.receiver.keep(Signal.METRICS, metrics, "health")
                self._stopping.wait(every_s)

    def _follow_files(self) -> None:
        from watchkeeper.edge.tail import Tail

        tail = Tail(
            self.plan.files,
            self._folder / "files.json",
            lambda payload: self.receiver.keep(Signal.LOGS, payload, "files", again=True),
            from_start=self.settings.flag("edge_files_from_start"),
        )
        try:
            while not self._stopping.is_set():
                if not tail.step():
                    self._stopping.wait(FILES_EVERY_S)
        finally:
            tail.close()

    def _follow_journal(self) -> None:
        from watchkeeper.edge.journal import Journal

        journal = Journal(
            self._folder / "journal.json",
            lambda payload: self.receiver.keep(Signal.LOGS, payload, "journal", again=True),
        )
        self._spawn("journal", lambda: journal.run(self._stopping.wait))
        self._closing.append(journal.stop)

    def samples(self) -> list[Sample]:
        """Give what /metrics shows."""
        about, faults = "Size of the spool on disk.", "Faults after which a part of the agent was begun again."
        up = 1.0 if self.forwarder.reached else 0.0
        return [
            *count_samples(self.counts),
            Sample("watchkeeper_edge_spool_bytes", "gauge", about, self.spool.size_bytes),
            Sample("watchkeeper_edge_centre_up", "gauge", "Whether the centre answered the last attempt.", up),
            *(
                Sample("watchkeeper_edge_faults_total", "counter", faults, count, {"part": part})
                for part, count in sorted(self._faults.items())
            ),
            *(sample for more in self._samples for sample in more()),
            *reading_samples(self._readings),
        ]

    def state(self) -> dict[str, object]:
        """Give what /health and /ready tell; ready once the ports are open, whether or not the centre answers."""
        return {
            "ready": "otlp_http" in self.endpoints and not self._stopping.is_set(),
            "node": self.node,
            "centre": {"url": self.plan.centre.url, **self.forwarder.status()},
            "spool_bytes": self.spool.size_bytes,
            "last_error": self.counts.last_error,
        }


async def run(agent: Agent, on_ready: Callable[[Agent], None]) -> None:
    """Serve OTLP over gRPC and HTTP until SIGINT or SIGTERM; `on_ready` is called once both ports are open."""
    from watchkeeper.receive.grpc_server import GrpcServer
    from watchkeeper.receive.http import http_app
    from watchkeeper.receive.listen import HttpServer, bind, stop_signals

    settings = agent.settings
    address = settings.text("bind")
    listener = bind(address, settings.integer("otlp_http_port"), "otlp_http_port")
    with listener:
        tls = server_tls(settings)
        grpc = GrpcServer(agent.receiver, settings)
        server = HttpServer(
            http_app(agent.receiver), tls.otlp if tls else None, turned_away=partial(agent.receiver.turned_away, "http")
        )
        stopping = stop_signals()
        task: asyncio.Task[None] | None = None
        try:
            agent.start()
            port = grpc.start()
            task = asyncio.create_task(server.serve([listener]))
            while not server.started and not task.done():
                await asyncio.sleep(0.01)
            scheme = "https" if tls else "http"
            agent.endpoints["otlp_http"] = f"{scheme}://{shown(address, listener.getsockname()[1])}"
            agent.endpoints["otlp_grpc"] = shown(address, port)
            on_ready(agent)
            await stopping.wait()
        finally:
            server.should_exit = True
            await asyncio.to_thread(grpc.stop, 1)
            if task is not None:
                await asyncio.gather(task, return_exceptions=True)
            await asyncio.to_thread(agent.stop)
