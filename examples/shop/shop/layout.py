"""Where everything of one running shop is: its folder, its ports, the collector it tells.

Made once by the supervisor before anything starts, inherited by every process. Starts nothing; only sockets are
opened here, so that ports are taken before they are told to anyone. A shop may be spread over machines: each runs a
layout of its own, with some of the services, and knows the addresses of the others; between them all is mutual TLS.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

SERVICES = ("frontend", "catalogue", "cart", "checkout", "payment", "recommendation")
VERSION = "1.4.0"
BAD_VERSION = "1.5.0"
LOOPBACK = "127.0.0.1"
BELOW_EPHEMERAL = range(15_000, 30_000)
PORTS_TRIED = 50
STATE_FILE = "shop.json"
TRUTH_FILE = "truth.jsonl"
DEFAULT_OTLP = "http://127.0.0.1:4318"


def default_folder() -> Path:
    """Give the folder that the commands agree on when none is named: one a user, under the machine's temp folder."""
    return Path(tempfile.gettempdir()) / f"watchkeeper-shop-{os.getuid()}"


class Certificates(NamedTuple):
    """The folder of a machine's certificates: ca.pem, server.pem and client.pem, each of the two with its .key."""

    folder: Path

    def client(self) -> ssl.SSLContext:
        """Give what a caller trusts and shows."""
        context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        context.load_cert_chain(self.folder / "client.pem", self.folder / "client.key")
        return context

    def server(self) -> dict[str, Any]:
        """Give uvicorn's options for a service that takes callers with a certificate only."""
        return {
            "ssl_certfile": str(self.folder / "server.pem"),
            "ssl_keyfile": str(self.folder / "server.key"),
            "ssl_ca_certs": str(self.folder / "ca.pem"),
            "ssl_cert_reqs": ssl.CERT_REQUIRED,
        }


class Spread(NamedTuple):
    """What part of a shop runs here: services, where others are (service -> base URL), address bound, certificates."""

    services: tuple[str, ...] = SERVICES
    peers: Mapping[str, str] = {}
    bind: str = LOOPBACK
    certificates: Certificates | None = None


WHOLE = Spread()


@dataclass(frozen=True)
class Layout:
    """What the processes of one shop share; `sockets` listen already, one a service that runs here.

    `redis_port` and `nginx_port` are None where Redis or nginx is not used. Nothing ever listens on `closed_port`:
    a dependency that is "down" is looked for there, so that the refusal is the operating system's own.
    """

    folder: Path
    otlp: str
    seed: int
    rate: float
    day_s: float
    ports: dict[str, int]
    sockets: dict[str, socket.socket]
    redis: str | None
    nginx: str | None
    redis_port: int | None
    nginx_port: int | None
    closed_port: int
    spread: Spread = WHOLE
    reserved: list[socket.socket] = field(default_factory=list)

    def address(self, service: str) -> str:
        """Give the base URL of a service, here or elsewhere."""
        if service not in self.ports:
            return self.spread.peers[service]
        return f"{'https' if self.spread.certificates else 'http'}://{LOOPBACK}:{self.ports[service]}"

    @property
    def verify(self) -> ssl.SSLContext | bool:
        """What an HTTP client of the shop is to trust and show."""
        return self.spread.certificates.client() if self.spread.certificates else True

    @property
    def front(self) -> str:
        """The base URL that users use: nginx, or the frontend itself where there is no nginx; may be elsewhere."""
        return self.address("frontend") if self.nginx_port is None else f"http://{LOOPBACK}:{self.nginx_port}"


def find_program(name: str) -> str | None:
    """Give the path of an installed program, or None; looks into the sbin folders too, which PATH often lacks."""
    places = [*os.environ.get("PATH", os.defpath).split(os.pathsep), "/usr/local/sbin", "/usr/sbin", "/sbin"]
    return shutil.which(name, path=os.pathsep.join(places))


def plan(
    folder: Path,
    *,
    otlp: str,
    seed: int = 7,
    rate: float = 8.0,
    day_s: float = 0.0,
    port_base: int = 0,
    with_nginx: bool = True,
    with_redis: bool = True,
    spread: Spread = WHOLE,
) -> Layout:
    """Take the ports and make the Layout.

    `port_base` 0 takes free ports; else the services have port_base .. port_base + 5, nginx + 6, Redis + 7.
    A part of a spread shop has nginx only where it speaks plain HTTP to the frontend beside it.
    Raises OSError when a port is taken or the folder is somebody else's or cannot be written into a configuration, and
    for services that cannot be: unknown ones, or others whose address nobody told.
    """
    _check(spread)
    folder = folder.resolve()
    if any(sign in str(folder) for sign in '"\\$\n'):
        raise OSError(f"the folder {str(folder)!r} has a sign that nginx cannot be told; choose another --folder")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.stat().st_uid != os.getuid():
        raise OSError(f"the folder {folder} belongs to somebody else; choose another --folder")
    sockets = {
        name: _bound(port_base and port_base + offset, backlog=256, address=spread.bind)
        for offset, name in enumerate(SERVICES)
        if name in spread.services
    }
    fronted = with_nginx and "frontend" in sockets and spread.certificates is None
    nginx = find_program("nginx") if fronted else None
    redis = find_program("redis-server") if with_redis and "cart" in sockets else None
    closed = _bound(0)
    return Layout(
        folder=folder,
        otlp=otlp.rstrip("/"),
        seed=seed,
        rate=rate,
        day_s=day_s,
        ports={name: int(each.getsockname()[1]) for name, each in sockets.items()},
        sockets=sockets,
        redis=redis,
        nginx=nginx,
        redis_port=_free_port(port_base and port_base + 7) if redis else None,
        nginx_port=_free_port(port_base and port_base + 6) if nginx else None,
        closed_port=int(closed.getsockname()[1]),
        spread=spread,
        reserved=[closed],
    )


def _check(spread: Spread) -> None:
    unknown = sorted({*spread.services, *spread.peers} - set(SERVICES))
    if unknown:
        raise OSError(f"there is no service {unknown[0]!r}; there are {', '.join(SERVICES)}")
    lost = [name for name in SERVICES if name not in spread.services and name not in spread.peers]
    if lost or not spread.services:
        raise OSError(f"nobody told where {', '.join(lost)} runs: --peers NAME=URL" if lost else "no service is to run")
    if spread.bind != LOOPBACK and spread.certificates is None:
        raise OSError(f"--bind {spread.bind} needs --certs: the shop speaks to other machines over mutual TLS only")


def _bound(port: int, backlog: int | None = None, address: str = LOOPBACK) -> socket.socket:
    """Bind a port; without a backlog it is taken but refuses connections."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((address, port))
        if backlog is not None:
            bound.listen(backlog)
    except OSError as error:
        bound.close()
        raise OSError(error.errno, f"port {port} of {address} is taken; choose another --port-base, or 0") from error
    return bound


def _free_port(port: int) -> int:
    """Give a port that is free now, for a program that has to bind it by itself.

    Not one of those that the kernel gives to outgoing connections: while the program is down, one of them could take
    it, and a client that tries it could be connected to itself.
    """
    for candidate in [port] if port else random.sample(BELOW_EPHEMERAL, PORTS_TRIED):
        try:
            _bound(candidate).close()
        except OSError:
            if port:
                raise
            continue
        return candidate
    raise OSError(f"none of {PORTS_TRIED} ports from {BELOW_EPHEMERAL[0]} on is free; choose a --port-base")
