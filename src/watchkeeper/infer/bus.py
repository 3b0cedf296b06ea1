"""JetStream of a NATS server as a worker sees it: one job taken at a time, results and dead letters stored.

Enters: subjects; streams and the durable consumer are made where they are missing. Leaves: Deliveries, the server's
word that a message is stored, and errors of NATS told as ours. Needs the extra `nats`. Runs no job.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from watchkeeper.errors import MissingExtra, Refused, SettingError, TooLarge, Unreachable
from watchkeeper.receive.nats_address import NatsAddress, nats_error, nats_errors

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.js import JetStreamContext

T = TypeVar("T")
DAY_S = 86_400.0
CONNECT_TIMEOUT_S = 5
RECONNECT_S = 1
REQUEST_TIMEOUT_S = 5.0
MESSAGE_TOO_LARGE = 10_054
"""The server's error code for a message beyond what its stream takes; nats-server, errors.json."""
HEADROOM_BYTES = 8_192
"""Of the server's largest message, left for headers."""


@dataclass(frozen=True)
class Subjects:
    """Where jobs come from and results and dead letters go; `durable` names the consumer that all workers share."""

    jobs: str = "infer.jobs"
    results: str = "infer.results"
    dead: str = "infer.dead"
    durable: str = "watchkeeper-infer"

    def __post_init__(self) -> None:
        """Refuse subjects that are no single subject, or the same twice; raises SettingError."""
        three = (self.jobs, self.results, self.dead)
        for subject in three:
            if not all(subject.split(".")) or any(
                character in "*> " or not character.isprintable() for character in subject
            ):
                raise SettingError(
                    f"{subject!r} is no subject of NATS: words with dots between, without spaces, * and >"
                )
        if len(set(three)) < 3:
            raise SettingError("jobs, results and dead letters need a subject each")
        if not self.durable.replace("-", "").replace("_", "").isalnum():
            raise SettingError(f"{self.durable!r} is no name of a consumer: letters, digits, - and _ only")


@dataclass(frozen=True)
class Delivery:
    """One job as delivered. `id` is the same in each delivery; `count` is 1 in the first."""

    message: Msg
    id: str
    count: int

    @property
    def data(self) -> bytes:
        """Give the bytes of the job."""
        return self.message.data

    async def in_progress(self) -> None:
        """Tell the server that the job is still worked on; one that cannot be told is no harm."""
        with contextlib.suppress(*nats_errors()):
            await self.message.in_progress()

    async def back(self, delay_s: float) -> None:
        """Give the job back, to be delivered again after so long. If that is lost, ack_wait brings it back."""
        with contextlib.suppress(*nats_errors()):
            await self.message.nak(delay_s)

    async def done(self) -> bool:
        """Acknowledge, and wait for the server's word that it knows. False: it will come again."""
        try:
            await self.message.ack_sync(timeout=REQUEST_TIMEOUT_S)
        except nats_errors():
            return False
        return True


class Bus:
    """A connection to JetStream that comes back by itself. Made by `open_bus`."""

    def __init__(self, client: Client, subjects: Subjects, ack_wait_s: float) -> None:
        self._client, self._subjects = client, subjects
        self._js: JetStreamContext = client.jetstream(timeout=REQUEST_TIMEOUT_S)
        self._jobs: Any = None
        self.ack_wait_s = ack_wait_s

    @property
    def connected(self) -> bool:
        """Tell whether the server is there now."""
        return bool(self._client.is_connected)

    @property
    def payload_bytes_max(self) -> int:
        """Give the largest body of a message, headers left aside."""
        return max(int(self._client.max_payload) - HEADROOM_BYTES, HEADROOM_BYTES)

    async def prepare(self) -> None:
        """Make streams and consumer where they are missing; those that exist stay as they are. Raises Unreachable."""
        from nats.js import api

        subjects = self._subjects
        await self._stream(subjects.jobs, api.StreamConfig(retention=api.RetentionPolicy.WORK_QUEUE))
        await self._stream(subjects.results, api.StreamConfig(max_age=7 * DAY_S))
        await self._stream(subjects.dead, api.StreamConfig(max_age=30 * DAY_S))
        wanted = api.ConsumerConfig(ack_policy=api.AckPolicy.EXPLICIT, ack_wait=self.ack_wait_s, max_deliver=-1)
        self._jobs = await _asked(
            lambda: self._js.pull_subscribe(subjects.jobs, durable=subjects.durable, config=wanted), "make the consumer"
        )
        told = await _asked(self._jobs.consumer_info, "look at the consumer")
        if told.config.ack_policy != api.AckPolicy.EXPLICIT or told.config.max_deliver not in {None, -1}:
            raise SettingError(
                f"the consumer {subjects.durable!r} exists and is not as a worker needs it (explicit acknowledgement, "
                "no limit of deliveries, for the worker counts them); remove it, or choose another name by --durable"
            )
        self.ack_wait_s = float(told.config.ack_wait or self.ack_wait_s)

    async def next(self, timeout_s: float) -> Delivery | None:
        """Wait for a job; None when none came. Raises Unreachable when the server is away or lost the consumer."""
        if not self.connected:
            # What is asked now would be sent all at once when the server is back.
            await asyncio.sleep(min(timeout_s, RECONNECT_S / 2))
            return None
        try:
            [message] = await self._jobs.fetch(1, timeout=timeout_s)
        except TimeoutError:
            return None
        except nats_errors() as error:
            raise Unreachable(f"jobs cannot be fetched: {error}") from error
        told = message.metadata
        stamp = int(told.timestamp.timestamp() * 1e6)
        return Delivery(message, f"{told.stream}-{told.sequence.stream}-{stamp}", told.num_delivered)

    async def publish(self, subject: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Publish, and wait until the server has stored it; raises TooLarge, Refused, Unreachable, SettingError."""
        if len(body) > self.payload_bytes_max:
            raise TooLarge(f"the message has {len(body)} bytes; the server takes {self.payload_bytes_max}")
        if not self.connected:
            raise Unreachable("the connection to NATS is lost")
        await _asked(lambda: self._js.publish(subject, body, headers=dict(headers)), f"publish to {subject}")

    async def waiting(self) -> int | None:
        """Count the jobs that wait; None when the server does not tell."""
        try:
            told = await self._jobs.consumer_info()
        except nats_errors():
            return None
        return int(told.num_pending or 0)

    async def close(self) -> None:
        """Send what is buffered and close."""
        with contextlib.suppress(*nats_errors()):
            await self._client.flush(timeout=2)
        await self._client.close()

    async def _stream(self, subject: str, config: Any) -> None:
        """Make a stream for a subject that no stream holds."""
        from nats.js.errors import NotFoundError

        async def find_or_make() -> None:
            try:
                await self._js.find_stream_name_by_subject(subject)
            except NotFoundError:
                await self._js.add_stream(config, name=subject.upper().replace(".", "_"), subjects=[subject])

        await _asked(find_or_make, f"make the stream of {subject}")


async def open_bus(
    servers: str, subjects: Subjects, *, ack_wait_s: float, news: Callable[[str, str], None], credentials: str = ""
) -> Bus:
    """Connect and prepare. news: takes (level, message) when the connection goes and comes.

    credentials: a file of NATS credentials. Raises MissingExtra, Unreachable, SettingError.
    """
    try:
        from nats.aio.client import Client
    except ImportError as error:
        raise MissingExtra(
            "a worker on NATS needs nats-py; install it with: pip install 'watchkeeper[nats]'"
        ) from error
    client = Client()
    address = NatsAddress(servers, credentials)
    addresses = address.list
    reasons: list[str] = []
    hopeless = asyncio.Event()

    async def lost() -> None:
        if client.is_reconnecting:
            news("warning", "the connection to NATS is lost; it is tried again")

    async def found() -> None:
        news("info", "the connection to NATS is back")

    async def fault(error: Exception) -> None:
        """Keep why the first connection fails; later faults are told by `lost` and by who asks for something."""
        reasons.append(str(error) or type(error).__name__)
        del reasons[: -len(addresses)]
        if len(reasons) == len(addresses):
            hopeless.set()

    async def connect() -> None:
        # The client goes on for ever, also the first time, when no answer is to be told at once.
        await client.connect(
            **address.options(),
            name="watchkeeper-infer",
            connect_timeout=CONNECT_TIMEOUT_S,
            max_reconnect_attempts=-1,
            reconnect_time_wait=RECONNECT_S,
            disconnected_cb=lost,
            reconnected_cb=found,
            error_cb=fault,
        )

    try:
        await _unless(hopeless, connect(), CONNECT_TIMEOUT_S)
    except (nats_error(), TimeoutError, OSError, ValueError) as error:
        await client.close()
        reason = "; ".join(dict.fromkeys(reasons)) or str(error) or f"no answer within {CONNECT_TIMEOUT_S} s"
        raise Unreachable(f"no NATS server answers at {address.shown}: {reason}; start nats-server -js") from error
    bus = Bus(client, subjects, ack_wait_s)
    try:
        await bus.prepare()
    except BaseException:
        await bus.close()
        raise
    return bus


async def _unless(given_up: asyncio.Event, work: Coroutine[Any, Any, None], timeout_s: float) -> None:
    """Do some work, but no longer than until an event, or so many seconds; raises TimeoutError then."""
    doing, waiting = asyncio.create_task(work), asyncio.create_task(given_up.wait())
    try:
        both: list[asyncio.Task[Any]] = [doing, waiting]
        await asyncio.wait(both, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise TimeoutError
        await doing
    finally:
        for task in (doing, waiting):
            task.cancel()
        await asyncio.gather(doing, waiting, return_exceptions=True)


async def _asked(ask: Callable[[], Awaitable[T]], what: str) -> T:
    """Ask the server for something; its errors become ours."""
    from nats.errors import MaxPayloadError
    from nats.js.errors import BadRequestError, NoStreamResponseError, ServiceUnavailableError

    try:
        return await ask()
    except MaxPayloadError as error:
        raise TooLarge(f"NATS does not {what}: the message is too large") from error
    except BadRequestError as error:
        if error.err_code == MESSAGE_TOO_LARGE:
            raise TooLarge(f"NATS does not {what}: {error.description}") from error
        raise SettingError(f"NATS does not {what}: {error.description}") from error
    except NoStreamResponseError as error:
        raise Refused(f"NATS does not {what}: no stream takes it, or JetStream is not ready") from error
    except ServiceUnavailableError as error:
        reason = error.description or "JetStream is not ready; start the server with -js"
        raise Refused(f"NATS does not {what}: {reason}") from error
    except nats_errors() as error:
        raise Unreachable(f"NATS does not {what}: {error or type(error).__name__}") from error
