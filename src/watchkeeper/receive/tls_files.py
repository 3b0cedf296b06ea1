"""TLS contexts and revocation lists that follow their files, so that what is renewed or revoked counts at once.

Enters: paths of PEM files. Leaves: the context for the next handshake, and whether a certificate is revoked. Files are
looked at for each new connection, or each request in the case of the list, which costs a microsecond or two. Files that
cannot be used leave in force what was: a half-written certificate must not shut a port.
"""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from watchkeeper.errors import CertificateError

T = TypeVar("T")

log = logging.getLogger(__name__)


class Followed(Generic[T]):
    """Something made of files, made anew when they change; `problem` says why the newest could not be used."""

    def __init__(self, files: Sequence[Path], make: Callable[[], T]) -> None:
        self._files = tuple(files)
        self._make = make
        self._lock = threading.Lock()
        self._stamps = self._look()
        self._made = make()
        self.problem = ""

    def current(self) -> T:
        """Give what the files say now, or what they last said that could be used. Cost: a stat a file."""
        stamps = self._look()
        if stamps != self._stamps:
            with self._lock:
                try:
                    self._made, self._stamps, self.problem = self._make(), stamps, ""
                except CertificateError as error:
                    if str(error) != self.problem:
                        log.error("%s; what was read before stays in force", error)
                    self.problem = str(error)
        return self._made

    def _look(self) -> tuple[tuple[int, int, int], ...]:
        stamps = []
        for file in self._files:
            try:
                status = file.stat()
                stamps.append((status.st_mtime_ns, status.st_size, status.st_ino))
            except OSError:
                stamps.append((0, 0, 0))
        return tuple(stamps)


TlsContexts = Followed[ssl.SSLContext]


def revocations(list_file: Path, authority: Path) -> Followed[frozenset[int]]:
    """Follow a revocation list; `current()` gives the serial numbers. Raises CertificateError.

    The list must be signed by the authority, so that a file put in the wrong place does not let anyone back in.
    """
    return Followed((list_file, authority), lambda: read_revoked(list_file, authority))


def read_revoked(list_file: Path, authority: Path) -> frozenset[int]:
    """Read the serial numbers of a revocation list; raises CertificateError."""
    from cryptography import x509

    try:
        told = x509.load_pem_x509_crl(list_file.read_bytes())
        signers = x509.load_pem_x509_certificates(authority.read_bytes())
    except (OSError, ValueError) as error:
        raise CertificateError(f"the revocation list {list_file} (tls_crl) cannot be read: {error}") from error
    if not any(told.is_signature_valid(signer.public_key()) for signer in signers):  # type: ignore[arg-type]
        raise CertificateError(f"the revocation list {list_file} is not signed by the authority in {authority}")
    return frozenset(row.serial_number for row in told)
