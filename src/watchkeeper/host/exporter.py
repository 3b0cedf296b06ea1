"""Serves the health of the GPUs to Prometheus: /metrics under the DCGM exporter's names, /health for a load balancer.

Enters: a function that looks. Leaves: HTTP answers. A look is shared by all who ask within the interval, so that many
scrapes cost the driver one reading.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http.server import ThreadingHTTPServer

import orjson

from watchkeeper.errors import SettingError
from watchkeeper.host.dcgm import CONTENT_TYPE, exposition
from watchkeeper.host.scrape import ScrapeHandler, ScrapeServer, shown
from watchkeeper.host.survey import HostHealth


class Shared:
    """The last look, taken anew once it is older than `interval_s`."""

    def __init__(
        self, look: Callable[[], HostHealth], interval_s: float, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._look = look
        self._interval_s = interval_s
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._last: HostHealth | None = None
        self._taken_s = 0.0

    def get(self) -> HostHealth:
        """Give the last look, or a new one."""
        with self._lock:
            now_s = self._monotonic()
            if self._last is None or now_s - self._taken_s >= self._interval_s:
                self._last, self._taken_s = self._look(), now_s
            return self._last


def exporter(shared: Shared, host: str, port: int) -> ThreadingHTTPServer:
    """Make the server, bound and not yet serving; port 0 takes a free one."""

    class Handler(ScrapeHandler):
        def asked(self, path: str) -> None:
            if path == "/metrics":
                self.answer(200, CONTENT_TYPE, exposition(shared.get()).encode())
            elif path == "/health":
                state = shared.get().state.value
                status = 503 if state in {"critical", "unknown"} else 200
                self.answer(status, "application/json", orjson.dumps({"health": state}))
            else:
                self.answer(404, "text/plain; charset=utf-8", b"there are /metrics and /health\n")

    try:
        return ScrapeServer(host, port, Handler)
    except OSError as error:
        raise SettingError(
            f"--serve {shown(host, port)}: {error.strerror}; name a free port of this machine"
        ) from error


def serve(
    look: Callable[[], HostHealth],
    address: str,
    *,
    interval_s: float,
    ready: Callable[[str], None] = lambda _: None,
    insecure: bool = False,
) -> None:
    """Serve until interrupted; raises SettingError for an address that is none, is taken, or is open to all.

    There is no authentication here, so beyond loopback it serves only when `insecure` says so.
    """
    host, _, port = address.rpartition(":")
    if not port.isdecimal() or int(port) > 65_535:
        raise SettingError(f"--serve {address!r} is no address; write it as 127.0.0.1:9400")
    host = host.strip("[]") or "127.0.0.1"
    if not insecure and not (host == "localhost" or host.startswith("127.") or host == "::1"):
        raise SettingError(
            f"--serve {address} would be open to everyone who reaches this machine; serve on 127.0.0.1, "
            "or say --set insecure=true"
        )
    server = exporter(Shared(look, interval_s), host, int(port))
    with server:
        ready(f"http://{shown(host, server.server_port)}")
        server.serve_forever()
