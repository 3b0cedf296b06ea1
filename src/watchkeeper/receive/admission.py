"""Whether a node with a certificate may come in, and whether it speaks only as itself.

Enters: a peer; the decoded batch of its request. Leaves: nothing, or Forbidden with the reason. A certificate that is
revoked shuts its node out with the next request, on connections that are open too. What a resource says of its node
must be a name in the certificate; a resource that says nothing of it is anyone's.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import pyarrow as pa

from watchkeeper.errors import Forbidden, SettingError
from watchkeeper.receive.peer import Peer
from watchkeeper.receive.tls_files import revocations
from watchkeeper.settings import Settings

_REMEMBERED_CHARACTERS_MAX = 16_384


class Admission:
    """The checks that certificates make possible; thread-safe. Raises SettingError, CertificateError at its making."""

    def __init__(self, settings: Settings) -> None:
        self._attributes = tuple(name for name in settings.text("sender_identity").replace(" ", "").split(",") if name)
        self._list: Path | None = settings.path("tls_crl") if settings.text("tls_crl") else None
        if self._list is not None and not settings.text("tls_client_ca"):
            raise SettingError(
                "tls_crl is a list of client certificates, and tls_client_ca, which asks for them, is not set"
            )
        self._revoked = revocations(self._list, settings.path("tls_client_ca")) if self._list is not None else None

    def check(self, peer: Peer) -> None:
        """Raise Forbidden when the peer's certificate is revoked. Cost: two stats."""
        if self._revoked is None or not peer.certificate.serial:
            return
        if peer.certificate.serial in self._revoked.current():
            raise Forbidden(
                f"the certificate of {peer.certificate_name!r} (serial {peer.certificate.serial:x}) is revoked; issue "
                "another with `watchkeeper certs issue`"
            )

    def check_speaks_as_itself(self, peer: Peer, batch: pa.RecordBatch) -> None:
        """Raise Forbidden when a resource names a node that its certificate does not. Cost: a parse a resource."""
        if not self._attributes or not peer.certificate.names or not batch.num_rows:
            return
        for text in batch.column("resource_attributes").dictionary.to_pylist():
            for name, said in _said(text, self._attributes):
                if said not in peer.certificate.names:
                    raise Forbidden(
                        f"{peer.certificate_name!r} may send only as itself, and a resource says {name} = "
                        f"{said[:100]!r}; "
                        "issue a certificate with that name, or change the setting sender_identity"
                    )


def _said(resource_attributes: str, names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Give what a resource says of its node; the long ones are not remembered, for senders choose how long they are."""
    short = len(resource_attributes) <= _REMEMBERED_CHARACTERS_MAX
    return (_remembered if short else _read)(resource_attributes, names)


def _read(resource_attributes: str, names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    told = json.loads(resource_attributes)
    return tuple((name, str(told[name])) for name in names if name in told)


_remembered = lru_cache(maxsize=1024)(_read)
