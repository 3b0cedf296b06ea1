"""Where the demo's two programs are: the folder of the example shop, ports that are free, addresses still in use."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from pathlib import Path

from watchkeeper.errors import DemoError
from watchkeeper.settings import SETTINGS

LOOPBACK = "127.0.0.1"
PORT_SETTINGS = ("http_port", "otlp_http_port", "otlp_grpc_port")


def port_settings(*, any_ports: bool) -> list[str]:
    """Give `--set` options for the three ports: the usual one where it is free, else any free one."""
    usual = {setting.name: int(setting.default) for setting in SETTINGS if setting.name in PORT_SETTINGS}
    options: list[str] = []
    for name in PORT_SETTINGS:
        port = 0 if any_ports or is_taken(usual[name]) else usual[name]
        options += ["--set", f"{name}={port}"]
    return options


def is_taken(port: int) -> bool:
    """Tell whether something on this machine listens on a port of loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
    return False


def find_shop(named: Path | None) -> Path:
    """Give the folder of the example shop: the one named, else that of the checkout; raises DemoError."""
    places = [named] if named else [Path(__file__).parents[3] / "examples" / "shop", Path.cwd() / "examples" / "shop"]
    for place in places:
        if (place / "shop" / "__main__.py").is_file():
            return place.resolve()
    looked = " and ".join(str(place) for place in places)
    raise DemoError(f"the example shop is not at {looked}; name its folder (examples/shop of a checkout) with --shop")


def listening(addresses: Iterable[str]) -> list[str]:
    """Give those of some addresses (`host:port`, with or without scheme) that still take connections."""
    still = []
    for address in addresses:
        host, _, port = address.rpartition("//")[2].rstrip("/").rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=1.0).close()
        except OSError:
            continue
        still.append(address)
    return still
