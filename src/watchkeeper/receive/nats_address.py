"""How a NATS server is reached: addresses, credentials, TLS; and the errors of its client, told as ours.

Enters: settings or options. Leaves: a NatsAddress, whose `options` nats-py takes. For inference jobs and the training
gateway. Needs the extra `nats` only once something connects; connects to nothing itself.
"""

from __future__ import annotations

import importlib.util
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watchkeeper.errors import MissingExtra, SettingError
from watchkeeper.settings import Settings

SCHEMES = ("nats", "tls", "ws", "wss")


@dataclass(frozen=True)
class NatsAddress:
    """One cluster of servers. servers: addresses with commas between; the rest names files, "" for none.

    ca: the authority of the server's certificate, PEM; cert and key: the client's own.
    """

    servers: str
    credentials: str = ""
    ca: str = ""
    cert: str = ""
    key: str = ""

    @property
    def list(self) -> list[str]:
        """Give the addresses one by one."""
        return [each.strip() for each in self.servers.split(",") if each.strip()]

    @property
    def shown(self) -> str:
        """Give the addresses without user and password."""
        return ", ".join(each.rpartition("@")[2] if "@" in each else each for each in self.list)

    def options(self) -> dict[str, Any]:
        """Give what nats-py's `connect` is to be told of it; raises SettingError for files that cannot be read."""
        told: dict[str, Any] = {"servers": self.list}
        if self.credentials:
            if not Path(self.credentials).expanduser().is_file():
                raise SettingError(f"the NATS credentials {self.credentials!r} are no file; name the .creds file")
            told["user_credentials"] = str(Path(self.credentials).expanduser())
        if self.ca or self.cert or self.key:
            told["tls"] = self._tls()
        return told

    def _tls(self) -> ssl.SSLContext:
        if bool(self.cert) != bool(self.key):
            raise SettingError("a certificate for NATS and its key belong together; give nats_cert and nats_key")
        try:
            context = ssl.create_default_context(cafile=str(Path(self.ca).expanduser()) if self.ca else None)
            if self.cert:
                context.load_cert_chain(Path(self.cert).expanduser(), Path(self.key).expanduser())
        except (OSError, ssl.SSLError) as error:
            raise SettingError(
                f"the certificates for NATS cannot be read: {error}; look at nats_ca, nats_cert"
            ) from error
        return context


def address_of(settings: Settings) -> NatsAddress | None:
    """Give the address that `nats_url` sets, or None; raises SettingError, MissingExtra."""
    servers = settings.text("nats_url")
    if not servers.strip():
        return None
    address = NatsAddress(servers, *(settings.text(f"nats_{name}") for name in ("credentials", "ca", "cert", "key")))
    for each in address.list:
        scheme, divider, host = each.partition("://")
        if not divider or scheme not in SCHEMES or not host:
            raise SettingError(f"nats_url = {address.shown!r} is no address of NATS; as in nats://127.0.0.1:4222")
    require_nats()
    address.options()
    return address


def require_nats() -> None:
    """Raise MissingExtra when the client is not installed."""
    if importlib.util.find_spec("nats") is None:
        raise MissingExtra("NATS needs nats-py; install it with: pip install 'watchkeeper[nats]'")


def nats_error() -> type[Exception]:
    """Give the root of the client's errors."""
    from nats.errors import Error

    return Error


def nats_errors() -> tuple[type[Exception], ...]:
    """Give all that the client raises when something is wrong with the connection or the server."""
    return (nats_error(), TimeoutError, OSError)
