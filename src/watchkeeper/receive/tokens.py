"""Access tokens: made once, shown once, kept as hashes; who they stand for, and what each role may do.

Enters: secrets and names. Leaves: an Identity, or Unauthorized. Tokens live in the metadata, so that another process
(the command line) can make and revoke them; what is checked is read anew every second, so a revoked token dies within
one.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from watchkeeper.errors import DuplicateName, Forbidden, NotFound, SettingError, Unauthorized
from watchkeeper.receive.peer import Peer
from watchkeeper.settings import DAY_S, Settings

if TYPE_CHECKING:
    from watchkeeper.store.metadata import Metadata

REFRESH_S = 1.0
SECRET_BYTES = 32

_COMPONENT = "tokens"
_VERSION = 1
_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS tokens (
        name TEXT PRIMARY KEY, role TEXT NOT NULL, hash BLOB NOT NULL UNIQUE,
        created_unix_ns INTEGER NOT NULL, expires_unix_ns INTEGER
    )""",
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


class Role(StrEnum):
    """What a token may do: viewer reads, operator acts too, admin everything; ingest sends telemetry and no more."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"
    INGEST = "ingest"


_ALLOWS: dict[Role, frozenset[Role]] = {
    Role.VIEWER: frozenset({Role.VIEWER}),
    Role.OPERATOR: frozenset({Role.VIEWER, Role.OPERATOR}),
    Role.ADMIN: frozenset(Role),
    Role.INGEST: frozenset({Role.INGEST}),
}


class Identity(NamedTuple):
    """Whom a request comes from, and its role."""

    name: str
    role: Role

    def may(self, role: Role) -> bool:
        """Tell whether this identity may do what that role may.

        >>> Identity("ci", Role.OPERATOR).may(Role.VIEWER), Identity("ci", Role.OPERATOR).may(Role.INGEST)
        (True, False)
        """
        return role in _ALLOWS[self.role]


class Token(NamedTuple):
    """One token without its secret; `expires_unix_ns` is None for one that does not expire."""

    name: str
    role: Role
    created_unix_ns: int
    expires_unix_ns: int | None


class _Known(NamedTuple):
    by_hash: dict[bytes, Token]
    read_s: float


class Tokens:
    """The access tokens of one home folder; thread-safe."""

    def __init__(
        self,
        metadata: Metadata,
        *,
        now_unix_ns: Callable[[], int] = time.time_ns,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._metadata = metadata
        self._now_unix_ns = now_unix_ns
        self._clock = clock
        self._reading = threading.Lock()
        metadata.ensure(_COMPONENT, _VERSION, _SCHEMA)
        self._known = self._read()

    def create(self, name: str, role: str, expires_days: float | None = None) -> str:
        """Make a token and give its secret, which is not kept and cannot be shown again.

        Raises SettingError for a name or role that cannot be, DuplicateName when the name is taken.
        """
        if not _NAME.fullmatch(name):
            raise SettingError(
                f"the token name {name!r} is not 1 to 64 letters, digits or ._@- that begin with a letter or digit"
            )
        if role not in set(Role):
            raise SettingError(f"there is no role {role!r}; choose one of {', '.join(Role)}")
        if expires_days is not None and not 0 < expires_days < 36_500:
            raise SettingError(f"a token cannot expire in {expires_days} days; give a number above 0, or leave it out")
        now = self._now_unix_ns()
        expires = None if expires_days is None else now + int(expires_days * DAY_S * 1e9)
        secret = f"wk_{role}_{secrets.token_urlsafe(SECRET_BYTES)}"
        try:
            self._metadata.write(
                "INSERT INTO tokens (name, role, hash, created_unix_ns, expires_unix_ns) VALUES (?, ?, ?, ?, ?)",
                (name, role, _hash(secret), now, expires),
            )
        except sqlite3.IntegrityError as error:
            raise DuplicateName(
                f"there is already a token named {name!r}; revoke it, or choose another name"
            ) from error
        self._known = self._read()
        return secret

    def check(self, secret: str) -> Identity:
        """Give whom a secret stands for; raises Unauthorized. Cost: one hash, no disk but once a second."""
        token = self._fresh().by_hash.get(_hash(secret))
        if token is None:
            raise Unauthorized("the token is not known here; `watchkeeper token create NAME` makes one")
        if token.expires_unix_ns is not None and token.expires_unix_ns <= self._now_unix_ns():
            raise Unauthorized(f"the token {token.name!r} has expired; `watchkeeper token create NAME` makes another")
        return Identity(token.name, token.role)

    def list(self) -> list[Token]:
        """Give every token, expired ones included, by name."""
        return sorted(self._read().by_hash.values())

    def revoke(self, name: str) -> None:
        """Delete a token; raises NotFound."""
        if not self._metadata.write("DELETE FROM tokens WHERE name = ?", (name,)):
            raise NotFound(f"there is no token named {name!r}; `watchkeeper token list` shows them")
        self._known = self._read()

    def any(self) -> bool:
        """Tell whether tokens are set up: whether there is one, be it expired."""
        return bool(self._fresh().by_hash)

    def _fresh(self) -> _Known:
        known = self._known
        if self._clock() - known.read_s < REFRESH_S or not self._reading.acquire(blocking=False):
            return known
        try:
            self._known = self._read()
        finally:
            self._reading.release()
        return self._known

    def _read(self) -> _Known:
        rows = self._metadata.read("SELECT name, role, hash, created_unix_ns, expires_unix_ns FROM tokens")
        by_hash = {bytes(row[2]): Token(row[0], Role(row[1]), row[3], row[4]) for row in rows}
        return _Known(by_hash, self._clock())


def _hash(secret: str) -> bytes:
    """Hash a secret for keeping and looking up.

    One round of BLAKE2b is right here, where a password would need a slow hash: a secret is 256 random bits, so nobody
    can guess it from the hash. Looking the hash up in a dictionary is not a timing leak either: what the time could
    tell is about the hash of the guess, from which no better guess can be made.
    """
    return hashlib.blake2b(secret.encode("utf-8", "surrogatepass"), digest_size=32, person=b"watchkeeper-tok").digest()


def is_loopback(address: str) -> bool:
    """Tell whether only this machine reaches that address.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False


def require_authentication(settings: Settings, tokens: Tokens) -> None:
    """Raise SettingError when anyone on the network would be served without asking who they are.

    With client certificates alone OTLP is guarded, and `identify` keeps page and API shut until there is a token.
    """
    bind = settings.text("bind")
    if is_loopback(bind) or settings.flag("insecure") or tokens.any() or settings.text("tls_client_ca"):
        return
    raise SettingError(
        f"bind = {bind!r} is not loopback and nobody is asked who they are; make a token with "
        "`watchkeeper token create NAME --role admin`, or require client certificates (tls_client_ca), or listen on "
        "127.0.0.1, or tell --set insecure=true if you trust the network entirely"
    )


def identify(settings: Settings, tokens: Tokens, peer: Peer, role: Role) -> Identity | None:
    """Tell whom a request comes from; None where nobody is asked: loopback (or `insecure`) without any token.

    A client certificate that the handshake verified stands for the role ingest. A token that is sent must be right even
    where none is needed. Raises Unauthorized, Forbidden.
    """
    if peer.secret is not None and tokens.any():
        identity = tokens.check(peer.secret)
    elif peer.certificate_name:
        identity = Identity(peer.certificate_name, Role.INGEST)
    elif tokens.any() or not (is_loopback(settings.text("bind")) or settings.flag("insecure")):
        raise Unauthorized("a token is needed: send the header `Authorization: Bearer TOKEN`")
    else:
        return None
    if not identity.may(role):
        raise Forbidden(
            f"{identity.name!r} has the role {identity.role.value}, which may not do this; {role} is needed"
        )
    return identity
