"""The worker: takes jobs from a subject of JetStream, one at a time, and publishes results; loses none.

Enters: a Bus, a JobRunner. Leaves: each job's output on the subject of results, or a dead letter with the reason. A job
is acknowledged only once one of the two is stored: at least once, and the id of the job lets JetStream drop a second
result within its window. What may pass is tried again after a growing pause, at most `deliveries_max` times; a worker
that dies over a job counts as a delivery, so that a job that kills workers ends as a dead letter, too.
"""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from watchkeeper.errors import Refused, SettingError, TooLarge, Unreachable
from watchkeeper.infer.bus import Bus, Delivery, Subjects, open_bus
from watchkeeper.infer.contract import rfc3339
from watchkeeper.infer.job_log import JobLog
from watchkeeper.infer.models.catalogue import Models
from watchkeeper.infer.run import JobRunner, faults_of, is_lasting
from watchkeeper.settings import Settings

DEAD_LETTER_SCHEMA_VERSION = 1
LETTER_BYTES_MIN = 2_000
FETCH_S = 1.0
PUBLISH_PAUSE_S = 0.5
NAMESPACE = uuid.UUID("7d0f3a86-6a57-4d0e-9c5b-2f5c1d1b8e11")


@dataclass(frozen=True)
class WorkerPlan:
    """How a worker works. pauses grow from `pause_first_s` by doubling up to `pause_s_max`; seconds all.

    ack_wait_s: silence of a worker after which its job is delivered again; a consumer that exists keeps its own.
    grace_s: how long a job in hand may go on once the worker is told to stop; then it is given back.
    """

    subjects: Subjects = field(default_factory=Subjects)
    deliveries_max: int = 5
    pause_first_s: float = 1.0
    pause_s_max: float = 300.0
    health_every_s: float = 60.0
    ack_wait_s: float = 30.0
    grace_s: float = 30.0


@dataclass
class Counts:
    """What a worker did since it started."""

    done: int = 0
    retried: int = 0
    dead: int = 0
    unacknowledged: int = 0


class Worker:
    """Works until it is told to stop. Lives in one event loop; jobs run in a thread beside it."""

    def __init__(self, bus: Bus, runner: JobRunner, log: JobLog, plan: WorkerPlan) -> None:
        self._bus, self._runner, self._log, self._plan = bus, runner, log, plan
        self._stopping = asyncio.Event()
        self.counts = Counts()

    def stop(self) -> None:
        """Take no further job. From the loop's thread."""
        self._stopping.set()

    async def run(self, ready: Callable[[], None] = lambda: None) -> Counts:
        """Work until `stop`; `ready` is called once. Gives what was done."""
        health = asyncio.create_task(self._tell_health())
        try:
            self._log.write("info", "the worker is ready", subject=self._plan.subjects.jobs)
            ready()
            while not self._stopping.is_set():
                await self._one()
        finally:
            health.cancel()
        self._log.write("info", "the worker ends", **vars(self.counts))
        return self.counts

    async def _one(self) -> None:
        """Wait a little for a job and work on it; a server that is away is waited for."""
        try:
            delivery = await self._bus.next(FETCH_S)
        except Unreachable as error:
            self._log.write("warning", str(error))
            await self._pause(FETCH_S)
            return
        if delivery is None:
            return
        beat = asyncio.create_task(self._beat(delivery))
        try:
            await self._work(delivery)
        finally:
            beat.cancel()

    async def _work(self, delivery: Delivery) -> None:
        if delivery.count > self._plan.deliveries_max:
            before = delivery.count - 1
            await self._bury(
                delivery, f"{before} deliveries ended with no word; the job may have killed its workers", "Lost", []
            )
            return
        try:
            output = await self._in_thread(delivery)
        except _GivenBack:
            await delivery.back(0.0)
            self._log.write("warning", "the job is given back, for the worker ends", job=delivery.id)
            return
        except Exception as error:  # noqa: BLE001 - the boundary: one job's fault must not end the worker
            await self._failed(delivery, error)
            return
        body = json.dumps(output, ensure_ascii=False).encode()
        try:
            stored = await self._publish(self._plan.subjects.results, body, delivery, output["request_id"])
        except TooLarge as error:
            await self._bury(delivery, f"the result cannot be published: {error}", type(error).__name__, [])
            return
        if stored:
            self._told("info", "the result is published", delivery, output["model"], output["request_id"])
            await self._acknowledge(delivery)
            self.counts.done += 1

    async def _failed(self, delivery: Delivery, error: Exception) -> None:
        """Let the job come again, or bury it."""
        kind = type(error).__name__
        if is_lasting(error):
            await self._bury(delivery, str(error), kind, faults_of(error))
        elif delivery.count >= self._plan.deliveries_max:
            await self._bury(delivery, f"{delivery.count} deliveries failed, the last one so: {error}", kind, [])
        else:
            asked_s = error.retry_after_s if isinstance(error, Refused) else 0.0
            pause_s = max(pause_before(delivery.count, self._plan), min(asked_s, self._plan.pause_s_max))
            self.counts.retried += 1
            self._log.write(
                "warning", f"the job is tried again in {pause_s:g} s", job=delivery.id, delivery=delivery.count
            )
            await delivery.back(pause_s)

    async def _bury(self, delivery: Delivery, reason: str, error: str, faults: list[dict[str, Any]]) -> None:
        """Publish a dead letter, then acknowledge the job."""
        letter = dead_letter(delivery, reason, error, faults, self._plan.subjects.jobs)
        dead, request_id = self._plan.subjects.dead, letter["request_id"]
        try:
            stored = await self._publish(dead, fitting(letter, self._bus.payload_bytes_max), delivery, request_id)
        except TooLarge:
            # The stream takes less than the server: the reason matters more than the job.
            stored = await self._publish(dead, fitting(letter, LETTER_BYTES_MIN), delivery, request_id)
        if stored:
            self._told("error", f"the job is a dead letter: {reason}", delivery, letter["model"], request_id)
            await self._acknowledge(delivery)
            self.counts.dead += 1

    async def _publish(self, subject: str, body: bytes, delivery: Delivery, request_id: str) -> bool:
        """Publish until it is stored; False when the worker ends before. Raises TooLarge."""
        headers = {"Nats-Msg-Id": f"{subject}-{delivery.id}", "Watchkeeper-Request-Id": ascii_only(request_id)}
        told = ""
        while True:
            try:
                await self._bus.publish(subject, body, headers)
            except (Unreachable, Refused, SettingError) as error:
                if str(error) != told:
                    told = str(error)
                    self._log.write("warning", f"not published yet: {told}", job=delivery.id)
                if self._stopping.is_set():
                    return False
                await self._pause(PUBLISH_PAUSE_S)
            else:
                return True

    async def _acknowledge(self, delivery: Delivery) -> None:
        if not await delivery.done():
            self.counts.unacknowledged += 1
            self._log.write("warning", "the acknowledgement is lost; the job may come again", job=delivery.id)

    async def _in_thread(self, delivery: Delivery) -> dict[str, Any]:
        """Run the job in a thread that does not keep the process alive; raises _GivenBack when the grace is over."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[dict[str, Any]] = loop.create_future()
        request_id = made_up_id(delivery)

        def settle(output: dict[str, Any] | None, error: Exception | None) -> None:
            if done.done():
                return
            if error is not None:
                done.set_exception(error)
            elif output is not None:
                done.set_result(output)

        def work() -> None:
            output: dict[str, Any] | None = None
            failure: Exception | None = None
            try:
                output = self._runner.run(delivery.data, request_id=request_id)
            except Exception as error:  # noqa: BLE001 - carried over to the loop, which settles the job
                failure = error
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, output, failure)

        threading.Thread(target=work, name="infer-job", daemon=True).start()
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            both: list[asyncio.Future[Any]] = [done, stopping]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not done.done():
                await asyncio.wait([done], timeout=self._plan.grace_s)
        finally:
            stopping.cancel()
        if not done.done():
            raise _GivenBack
        return done.result()

    async def _beat(self, delivery: Delivery) -> None:
        """Keep a long job from being delivered a second time."""
        while True:
            await asyncio.sleep(self._bus.ack_wait_s / 3.0)
            await delivery.in_progress()

    async def _tell_health(self) -> None:
        while True:
            await asyncio.sleep(self._plan.health_every_s)
            self._log.write(
                "info", "health", connected=self._bus.connected, waiting=await self._bus.waiting(), **vars(self.counts)
            )

    async def _pause(self, seconds: float) -> None:
        """Wait, but not beyond `stop`."""
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return

    def _told(self, level: str, message: str, delivery: Delivery, model: str, request_id: str) -> None:
        self._log.write(level, message, model=model, request_id=request_id, job=delivery.id, delivery=delivery.count)


async def serve(servers: str, plan: WorkerPlan, settings: Settings, log: JobLog, *, credentials: str = "") -> Counts:
    """Connect, work until SIGINT or SIGTERM, disconnect. A second signal ends the process at once.

    Raises MissingExtra, Unreachable, Refused, SettingError.
    """
    bus = await open_bus(servers, plan.subjects, ack_wait_s=plan.ack_wait_s, news=log.write, credentials=credentials)
    models = Models(settings)
    worker = Worker(bus, JobRunner(models, log), log, plan)
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        loop.remove_signal_handler(number)
        worker.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    try:
        return await worker.run()
    finally:
        await bus.close()


class _GivenBack(Exception):
    """The worker ends and does not wait for this job any longer."""


def pause_before(deliveries: int, plan: WorkerPlan) -> float:
    """Give the pause after so many failed deliveries, in seconds.

    >>> [pause_before(count, WorkerPlan(pause_s_max=5.0)) for count in (1, 2, 3, 4)]
    [1.0, 2.0, 4.0, 5.0]
    """
    return min(plan.pause_first_s * 2.0 ** min(deliveries - 1, 62), plan.pause_s_max)


def dead_letter(
    delivery: Delivery, reason: str, error: str, faults: list[dict[str, Any]], subject: str
) -> dict[str, Any]:
    """Give a dead letter as plain data: why, after how many deliveries, and the job itself to send again once mended.

    A job that is not UTF-8 stands in `job_base64`.
    """
    told = _read(delivery.data)
    letter = {
        "schema_version": DEAD_LETTER_SCHEMA_VERSION,
        "reason": reason,
        "error": error,
        "faults": faults,
        "request_id": told.get("request_id") or made_up_id(delivery),
        "model": told.get("model", ""),
        "deliveries": delivery.count,
        "failed_at": rfc3339(datetime.now(UTC)),
        "subject": subject,
        "job_id": delivery.id,
        "job_truncated": False,
    }
    try:
        return {**letter, "job": delivery.data.decode()}
    except UnicodeDecodeError:
        return {**letter, "job_base64": base64.b64encode(delivery.data).decode()}


def fitting(letter: dict[str, Any], bytes_max: int) -> bytes:
    """Write a dead letter as JSON that fits into a message; what is too long is cut, and `job_truncated` tells it."""
    body = json.dumps(letter).encode()
    if len(body) <= bytes_max:
        return body
    short = {name: value for name, value in letter.items() if name not in {"job", "job_base64", "faults"}}
    short |= {"reason": letter["reason"][:1000], "faults": [], "job_truncated": True, "job": ""}
    # A character takes six bytes of JSON at the most.
    room = max(bytes_max - len(json.dumps(short).encode()), 0) // 6
    return json.dumps({**short, "job": str(letter.get("job", ""))[:room]}).encode()


def made_up_id(delivery: Delivery) -> str:
    """Give the request id of a job that has none: the same in each delivery."""
    return str(uuid.uuid5(NAMESPACE, delivery.id))


def ascii_only(text: str) -> str:
    """Give a text as a header may hold it."""
    return text.encode("ascii", "backslashreplace").decode()


def _read(data: bytes) -> dict[str, str]:
    """Read request id and model of a job that may be broken."""
    try:
        told = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    fields = told if isinstance(told, dict) else {}
    return {name: str(fields[name])[:256] for name in ("request_id", "model") if isinstance(fields.get(name), str)}
