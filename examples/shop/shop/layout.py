"""Where everything of one running shop is: its folder, its ports, the collector it tells.

Made once by the supervisor before anything starts, inherited by every process. Starts nothing; only sockets are
opened here, so that ports are taken before they are told to anyone.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

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


@dataclass(frozen=True)
class Layout:
    """What the processes of one shop share; `sockets` listen already, one a service.

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
    reserved: list[socket.socket] = field(default_factory=list)

    def address(self, service: str) -> str:
        """Give the base URL of a service."""
        return f"http://{LOOPBACK}:{self.ports[service]}"

    @property
    def front(self) -> str:
        """The base URL that users use: nginx, or the frontend itself where there is no nginx."""
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
) -> Layout:
    """Take the ports and make the Layout.

    `port_base` 0 takes free ports; else the services have port_base .. port_base + 5, nginx + 6, Redis + 7.
    Raises OSError when a port is taken or the folder is somebody else's or cannot be written into a configuration.
    """
    folder = folder.resolve()
    if any(sign in str(folder) for sign in '"\\$\n'):
        raise OSError(f"the folder {str(folder)!r} has a sign that nginx cannot be told; choose another --folder")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.stat().st_uid != os.getuid():
        raise OSError(f"the folder {folder} belongs to somebody else; choose another --folder")
    sockets = {name: _bound(port_base and port_base + offset, backlog=256) for offset, name in enumerate(SERVICES)}
    nginx = find_program("nginx") if with_nginx else None
    redis = find_program("redis-server") if with_redis else None
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
        reserved=[closed],
    )


def _bound(port: int, backlog: int | None = None) -> socket.socket:
    """Bind a loopback port; without a backlog it is taken but refuses connections."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((LOOPBACK, port))
        if backlog is not None:
            bound.listen(backlog)
    except OSError as error:
        bound.close()
        raise OSError(error.errno, f"port {port} of {LOOPBACK} is taken; choose another --port-base, or 0") from error
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
