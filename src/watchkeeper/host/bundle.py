"""The archive for support: report, GPUs, history and the kernel's lines about them, redacted.

Enters: a Report, a HostHealth, the History. Leaves: a .tar.gz. Names of hosts and users, addresses, UUIDs and serial
numbers are replaced by marks that are the same for the same thing within one archive, so that lines still belong
together. Nothing else is read from the machine.
"""

from __future__ import annotations

import hashlib
import io
import ipaddress
import re
import secrets
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from watchkeeper.host.check import Report, rfc3339
from watchkeeper.host.history import History
from watchkeeper.host.survey import HostHealth
from watchkeeper.version import __version__

_FORMS: tuple[tuple[str, str], ...] = (
    ("secret", r"(?i)\b(?:token|password|passwd|secret|api[_-]?key|authorization)\b[\"']?\s*[=:]\s*(?P<what>\S.*)"),
    (
        "uuid",
        r"(?P<what>\b(?:GPU-|MIG-)?[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b)",
    ),
    ("mac", r"(?P<what>\b(?:[0-9a-fA-F]{2}:){5,7}[0-9a-fA-F]{2}\b)"),
    ("ip", r"(?P<what>\b(?:\d{1,3}\.){3}\d{1,3}\b)"),
    ("ip", r"(?P<what>(?<![\w:])[0-9a-fA-F]*:[0-9a-fA-F]*:[0-9a-fA-F:]*(?![\w:]))"),
    ("mail", r"(?P<what>\b[\w.+-]+@[\w-]+\.[\w.]+\b)"),
    ("user", r"/(?:home|Users)/(?P<what>[^/\s\"]+)"),
    ("user", r"\backnowledged by (?P<what>[^;\"]+)"),
)
_USERS = {"by", "acknowledged_by"}
"""Fields that hold nothing but the name of a user."""
_PCI = re.compile(r"[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}(?:\.[0-7])?")


def _is_address(text: str) -> bool:
    """Tell an address of the internet from a time of day or a version that looks like one."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return text != "::"


def redactor(host: str, salt: bytes) -> Callable[[str], str]:
    """Give a function that redacts a text; the same thing becomes the same mark under the same salt.

    >>> redact = redactor("node-17", b"salt")
    >>> redact("node-17 at 0000:3b:00.0 from 10.1.2.3").startswith("<host-")
    True
    >>> "0000:3b:00.0" in redact("GPU 0000:3b:00.0"), "10.1.2.3" in redact("from 10.1.2.3")
    (True, False)
    """
    forms = [(kind, re.compile(form)) for kind, form in _FORMS]
    if host:
        forms.insert(0, ("host", re.compile(rf"(?P<what>(?<![\w-]){re.escape(host)}(?![\w-]))")))

    def mark(kind: str, match: re.Match[str]) -> str:
        text = match["what"]
        if kind == "ip" and not _is_address(text):
            return match[0]
        start = match.start("what") - match.start()
        return f"{match[0][:start]}{pseudonym(kind, text, salt)}{match[0][start + len(text) :]}"

    def redact(text: str) -> str:
        kept: list[str] = []

        def hide(match: re.Match[str]) -> str:
            kept.append(match[0])
            return f"\x00{len(kept) - 1}\x00"

        # Addresses on the PCI bus look like parts of IPv6 addresses and identify nobody.
        text = _PCI.sub(hide, text)
        for kind, form in forms:
            text = form.sub(lambda match, kind=kind: mark(kind, match), text)  # type: ignore[misc]
        return re.sub("\x00(\\d+)\x00", lambda match: kept[int(match[1])], text)

    return redact


def pseudonym(kind: str, text: str, salt: bytes) -> str:
    """Give the mark that stands for a text, `<user-1f2e3d4c>`."""
    return f"<{kind}-{hashlib.blake2b(text.lower().encode(), key=salt[:64], digest_size=4).hexdigest()}>"


def without_users(value: Any, salt: bytes) -> Any:
    """Replace the names of users in plain data, where a field holds nothing else."""
    if isinstance(value, dict):
        return {
            key: pseudonym("user", each, salt) if key in _USERS and each else without_users(each, salt)
            for key, each in value.items()
        }
    return [without_users(each, salt) for each in value] if isinstance(value, list | tuple) else value


def redact_value(value: Any, redact: Callable[[str], str]) -> Any:
    """Redact every text within plain data."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {redact(str(key)): redact_value(each, redact) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [redact_value(each, redact) for each in value]
    return value


def write_bundle(path: Path, report: Report, health: HostHealth, history: History, *, salt: bytes = b"") -> list[str]:
    """Write the archive and give the names in it; raises OSError when it cannot be written."""
    salt = salt or secrets.token_bytes(16)
    redact = redactor(report.host, salt)
    about = {
        "watchkeeper": __version__,
        "made_at": rfc3339(report.started_unix_ns),
        "redacted": [name for name, _ in _FORMS],
    }
    events = [event.as_dict() for event in history.events]
    marks = [vars(mark) for mark in history.marks]
    members = {
        "about.json": orjson.dumps(about, option=orjson.OPT_INDENT_2),
        "report.json": orjson.dumps(redact_value(report.as_dict(), redact), option=orjson.OPT_INDENT_2),
        "gpu.json": orjson.dumps(
            redact_value(without_users(health.as_dict(), salt), redact), option=orjson.OPT_INDENT_2
        ),
        "events.jsonl": b"".join(orjson.dumps(redact_value(row, redact)) + b"\n" for row in events),
        "marks.jsonl": b"".join(orjson.dumps(redact_value(without_users(row, salt), redact)) + b"\n" for row in marks),
    }
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(f"watchkeeper-support/{name}")
            entry.size, entry.mtime, entry.mode = len(data), report.started_unix_ns // 10**9, 0o600
            archive.addfile(entry, io.BytesIO(data))
    return list(members)
