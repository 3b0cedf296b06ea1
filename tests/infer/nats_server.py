"""A real nats-server with JetStream on loopback, that can be killed and started again on the same store."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, StreamConfig

T = TypeVar("T")
PROGRAM = shutil.which("nats-server", path="/usr/sbin:/usr/local/bin:/usr/bin") or shutil.which("nats-server")


class Message(NamedTuple):
    headers: dict[str, str]
    body: dict[str, Any]


class NatsServer:
    """Started with `start`; `url` stays the same over restarts."""

    def __init__(self, folder: Path, *, jetstream: bool = True, payload_bytes_max: int = 0) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"nats://127.0.0.1:{self.port}"
        self._folder = folder
        settings = f'host: "127.0.0.1"\nport: {self.port}\n'
        settings += f'jetstream: {{store_dir: "{folder / "store"}"}}\n' if jetstream else ""
        settings += f"max_payload: {payload_bytes_max}\n" if payload_bytes_max else ""
        (folder / "nats.conf").write_text(settings)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        log = self._folder / "nats.log"
        log.write_bytes(b"")
        self._process = subprocess.Popen(
            [str(PROGRAM), "-c", str(self._folder / "nats.conf"), "-l", str(log)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        asyncio.run(_until_ready(self.url))

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def send(self, *jobs: bytes) -> None:
        """Publish jobs and wait until they are stored."""

        async def work(js: JetStreamContext) -> None:
            for job in jobs:
                await js.publish("infer.jobs", job, timeout=5)

        self._with(work)

    def read(self, subject: str, count: int, timeout_s: float = 15.0) -> list[Message]:
        """Read that many messages from the start of a stream."""

        async def work(js: JetStreamContext) -> list[Message]:
            reader = await js.subscribe(subject, ordered_consumer=True)
            found = [_message(await reader.next_msg(timeout=timeout_s)) for _ in range(count)]
            await reader.unsubscribe()
            return found

        return self._with(work)

    def offers_a_job(self, durable: str, timeout_s: float) -> bool:
        """Ask for a job as another worker would, for so long."""

        async def work(js: JetStreamContext) -> bool:
            other = await js.pull_subscribe("infer.jobs", durable=durable)
            try:
                return bool(await other.fetch(1, timeout=timeout_s))
            except TimeoutError:
                return False

        return self._with(work)

    def make_stream(self, subject: str, *, messages_max: int) -> None:
        """Make a stream that refuses more than so many messages."""

        async def work(js: JetStreamContext) -> None:
            config = StreamConfig(max_msgs=messages_max, discard=DiscardPolicy.NEW)
            await js.add_stream(config, name="OWN", subjects=[subject])

        self._with(work)

    def purge(self, subject: str) -> None:
        async def work(js: JetStreamContext) -> None:
            await js.purge_stream(await js.find_stream_name_by_subject(subject))

        self._with(work)

    def stored(self, subject: str) -> int:
        async def work(js: JetStreamContext) -> int:
            told = await js.stream_info(await js.find_stream_name_by_subject(subject))
            return told.state.messages

        return self._with(work)

    def _with(self, work: Callable[[JetStreamContext], Awaitable[T]]) -> T:
        async def connected() -> T:
            client = Client()
            await client.connect(self.url, allow_reconnect=False)
            try:
                return await work(client.jetstream(timeout=5))
            finally:
                await client.close()

        return asyncio.run(connected())


def _message(message: Msg) -> Message:
    return Message(dict(message.headers or {}), json.loads(message.data))


async def _until_ready(url: str) -> None:
    """Connect again and again, until the server answers."""

    async def quiet(_error: Exception) -> None:
        """A server that is not there yet is no news."""

    client = Client()
    await asyncio.wait_for(
        client.connect(url, max_reconnect_attempts=-1, reconnect_time_wait=0.02, error_cb=quiet),  # type: ignore[arg-type]
        20,
    )
    await client.close()
