"""Where Watchkeeper's own metrics are sent, as the settings say it: address, message, who it is, labels, patience.

Enters: Settings. Leaves: a Destination, or SettingError with the fix. Sends nothing.
"""

from __future__ import annotations

import base64
import re
import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from watchkeeper.errors import CertificateError, SettingError
from watchkeeper.receive.remote_write.translate import Version
from watchkeeper.receive.tls_files import Followed, TlsContexts
from watchkeeper.settings import Settings

JOB = "watchkeeper"
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


@dataclass(frozen=True)
class Destination:
    """A receiver of remote write. `labels` stand on every series; `queue_max` requests wait for it at the most.

    token_file, password_file: read anew for every request, so that what is renewed in them counts at once.
    """

    url: str = field(repr=False)
    version: Version = Version.V1
    labels: tuple[tuple[str, str], ...] = ()
    token_file: Path | None = None
    username: str = ""
    password_file: Path | None = None
    ca: str = ""
    certificate: str = ""
    key: str = ""
    interval_s: float = 15.0
    timeout_s: float = 30.0
    pause_s_max: float = 30.0
    queue_max: int = 240

    @property
    def shown(self) -> str:
        """Give the address without what may be a secret in it."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}{parts.path}"

    def authorization(self) -> dict[str, str]:
        """Give the headers that say who sends; raises SettingError when a file cannot be read."""
        if self.token_file is not None:
            return {"authorization": f"Bearer {_secret(self.token_file, 'remote_write_token_file')}"}
        if self.username:
            password = _secret(self.password_file, "remote_write_password_file") if self.password_file else ""
            pair = base64.b64encode(f"{self.username}:{password}".encode()).decode("ascii")
            return {"authorization": f"Basic {pair}"}
        return {}

    def contexts(self) -> TlsContexts:
        """Make what TLS needs, anew whenever its files change; raises CertificateError for those that are no use."""
        return Followed([Path(name) for name in (self.ca, self.certificate, self.key) if name], self._context)

    def _context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.ca or None)
            if self.certificate:
                context.load_cert_chain(self.certificate, self.key or None)
        except OSError as error:
            raise CertificateError(
                f"remote_write_ca, remote_write_cert or remote_write_key cannot be used: {error}; name PEM files"
            ) from error
        return context


def destination(settings: Settings) -> Destination | None:
    """Read the settings; None when nothing is to be sent. Raises SettingError."""
    url = settings.text("remote_write_url")
    if not url:
        return None
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(character.isspace() for character in url):
        raise SettingError(
            "remote_write_url does not begin with http:// or https:// and a host; write it as "
            "http://127.0.0.1:9090/api/v1/write"
        )
    if "@" in parts.netloc:
        raise SettingError(
            "remote_write_url holds a user name or password; name them in remote_write_username and "
            "remote_write_password_file"
        )
    version = settings.text("remote_write_version")
    if version not in {each.value for each in Version}:
        raise SettingError(f"remote_write_version = {version!r} is not known; choose 1.0 or 2.0")
    made = Destination(
        url=url,
        version=Version(version),
        labels=_labels(settings),
        token_file=_file(settings, "remote_write_token_file"),
        username=settings.text("remote_write_username"),
        password_file=_file(settings, "remote_write_password_file"),
        ca=settings.text("remote_write_ca"),
        certificate=settings.text("remote_write_cert"),
        key=settings.text("remote_write_key"),
        interval_s=settings.number("remote_write_interval_s"),
        timeout_s=settings.number("remote_write_timeout_s"),
        pause_s_max=settings.number("remote_write_pause_s_max"),
        queue_max=settings.integer("remote_write_queue_max"),
    )
    made.authorization()
    try:
        made.contexts()
    except CertificateError as error:
        raise SettingError(str(error)) from error
    return made


def _labels(settings: Settings) -> tuple[tuple[str, str], ...]:
    labels = {"job": JOB, "instance": socket.gethostname()}
    for pair in filter(None, (text.strip() for text in settings.text("remote_write_labels").split(","))):
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or not _LABEL.fullmatch(name) or name.startswith("__"):
            raise SettingError(
                f"remote_write_labels has {pair[:100]!r}, which is no label; write them as cluster=eu,replica=a"
            )
        labels[name] = value
    return tuple(sorted((name, value) for name, value in labels.items() if value))


def _file(settings: Settings, name: str) -> Path | None:
    return settings.path(name) if settings.text(name) else None


def _secret(file: Path, setting: str) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(
            f"{setting}, the file {file}, cannot be read: {error}; name a file with the secret"
        ) from error
