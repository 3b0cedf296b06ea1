"""Tells the log files of nginx and Redis to the collector, and nginx's own counts, as an agent beside them would.

nginx's access log is JSON, a line a request, with the trace id that the frontend answered with, so that its records
belong to the same trace. A file that is made anew is followed from its start; one that has been told and grown large is
emptied, for nobody else rotates it. Keeps its place in memory only.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import httpx
from opentelemetry import propagate
from opentelemetry._logs import LogRecord, SeverityNumber

from shop import telemetry
from shop.layout import LOOPBACK, Layout

POLL_S = 0.25
FILE_BYTES_MAX = 32 * 2**20
STATUS_EVERY_S = 2.0

_SEVERITIES = {
    "debug": SeverityNumber.DEBUG,
    "info": SeverityNumber.INFO,
    "notice": SeverityNumber.INFO2,
    "warn": SeverityNumber.WARN,
    "error": SeverityNumber.ERROR,
    "crit": SeverityNumber.FATAL,
    "alert": SeverityNumber.FATAL2,
    "emerg": SeverityNumber.FATAL4,
}
_NGINX_ERROR = re.compile(r"^(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[(\w+)\] \d+#\d+: (?:\*\d+ )?(.*)$")
_REDIS_LINE = re.compile(r"^\d+:\w (\d\d \w{3} \d{4} \d\d:\d\d:\d\d\.\d{3}) ([.\-*#]) (.*)$")
_REDIS_SEVERITIES = {".": "debug", "-": "info", "*": "notice", "#": "warn"}


class Line(NamedTuple):
    """A log line, read: what to tell."""

    time_unix_ns: int
    severity: str
    body: str
    attributes: Mapping[str, Any] = MappingProxyType({})
    traceparent: str = ""


def read_access(line: str) -> Line:
    """Read a line of nginx's access log (the JSON that edge.py asks nginx for)."""
    entry = json.loads(line)
    status = int(entry["status"])
    severity = "error" if status >= 500 else "warn" if status >= 400 else "info"
    path = entry["uri"].partition("?")[0]
    attributes = {
        "http.request.method": entry["method"],
        "url.path": path,
        "http.response.status_code": status,
        "http.response.size": int(entry["bytes"]),
        "user_agent.original": entry["agent"],
        "nginx.request_time": float(entry["seconds"]),
    }
    body = f"{entry['method']} {path} {status} {entry['bytes']} bytes in {entry['seconds']} s"
    return Line(int(float(entry["time"]) * 1000) * 1_000_000, severity, body, attributes, entry["trace"])


def read_nginx_error(line: str) -> Line:
    """Read a line of nginx's error log."""
    match = _NGINX_ERROR.match(line)
    if match is None:
        return Line(time.time_ns(), "info", line)
    moment = datetime.strptime(match[1], "%Y/%m/%d %H:%M:%S")  # nginx writes local time
    return Line(int(moment.timestamp()) * 1_000_000_000, match[2], match[3])


def read_redis(line: str) -> Line:
    """Read a line of Redis's log; its picture at the start and other lines without a time are told as they are."""
    match = _REDIS_LINE.match(line)
    if match is None:
        return Line(time.time_ns(), "info", line)
    moment = datetime.strptime(match[1], "%d %b %Y %H:%M:%S.%f")  # Redis writes local time
    return Line(int(moment.timestamp() * 1000) * 1_000_000, _REDIS_SEVERITIES[match[2]], match[3])


class Tail:
    """New whole lines of a file, also when it does not exist yet or is made anew."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._place = 0
        self._rest = b""

    def lines(self) -> Iterator[str]:
        """Give the lines written since the last call."""
        try:
            if self._file.stat().st_size < self._place:
                self._place, self._rest = 0, b""
            with self._file.open("rb") as opened:
                opened.seek(self._place)
                data = opened.read()
                self._place += len(data)
            if self._place > FILE_BYTES_MAX:
                os.truncate(self._file, 0)  # its writer appends, so it goes on at the new end
                self._place = 0
        except FileNotFoundError:
            return
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in whole:
            if line.strip():
                yield line.decode("utf-8", "replace")


def run_edge_logs(layout: Layout, arguments: dict[str, Any]) -> None:
    """Follow the log files of one program until SIGTERM; `arguments["program"]` is `nginx` or `redis`."""
    for listening in layout.sockets.values():
        listening.close()
    asyncio.run(_follow(layout, arguments["program"]))


async def _follow(layout: Layout, program: str) -> None:
    files = {
        "nginx": (("nginx/access.json", read_access), ("nginx/error.log", read_nginx_error)),
        "redis": (("redis/redis.log", read_redis),),
    }[program]
    told = telemetry.start(program, "", layout.otlp)
    tails = [(Tail(layout.folder / name), reader) for name, reader in files]
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    status = asyncio.create_task(_tell_status(layout, told)) if program == "nginx" else None
    while True:
        ending = stop.is_set()
        for tail, reader in tails:
            for line in tail.lines():
                _emit(told, reader(line))
        if ending:
            break
        try:
            await asyncio.wait_for(stop.wait(), POLL_S)
        except TimeoutError:
            continue
    if status is not None:
        status.cancel()
    told.shutdown()


def _emit(told: telemetry.Telemetry, line: Line) -> None:
    context = propagate.extract({"traceparent": line.traceparent}) if line.traceparent else None
    told.logger.emit(
        LogRecord(
            timestamp=line.time_unix_ns,
            observed_timestamp=time.time_ns(),
            context=context,
            severity_number=_SEVERITIES.get(line.severity, SeverityNumber.INFO),
            severity_text=line.severity.upper(),
            body=line.body,
            attributes=dict(line.attributes),
        )
    )


async def _tell_status(layout: Layout, told: telemetry.Telemetry) -> None:
    """Tell nginx's count of connections and requests, from its stub_status page."""
    active = told.meter.create_gauge("nginx.connections.active", unit="{connection}", description="Open connections.")
    requests = told.meter.create_counter("nginx.requests", unit="{request}", description="Requests taken.")
    seen = 0
    async with httpx.AsyncClient(trust_env=False, timeout=1.0) as client:
        while True:
            await asyncio.sleep(STATUS_EVERY_S)
            try:
                page = (await client.get(f"http://{LOOPBACK}:{layout.nginx_port}/_nginx")).text
            except httpx.HTTPError:
                continue
            numbers = [int(number) for number in re.findall(r"\d+", page)]
            if len(numbers) >= 4:
                active.set(numbers[0])
                requests.add(max(0, numbers[3] - seen))
                seen = numbers[3]
