"""The certificates of a harness: one authority, and for each node one to serve and one to send with.

Enters: a folder, a plan. Leaves: PEM files in the folder, and in a volume for each node those that are its own, which
its process, no root, can read. The authority's key stays in the folder. receive/certs.py makes them.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from datetime import timedelta
from pathlib import Path

from watchkeeper.harness.engine import Engine
from watchkeeper.harness.plan import IMAGES, Plan
from watchkeeper.receive.certs import AUTHORITY_NAME, REVOKED_FILE, due, init_authority, issue, renew, revoke, show
from watchkeeper.receive.tls_files import read_revoked

USER = 10_001
RENEW_WITHIN = timedelta(days=30)
_FILL = "tar -x -C /certs && chown -R {user}:{user} /certs && chmod 0500 /certs && chmod 0400 /certs/*"


def make_certificates(folder: Path, plan: Plan) -> None:
    """Make what is missing and renew what expires soon; raises CertificateError."""
    if not (folder / f"{AUTHORITY_NAME}.pem").exists():
        init_authority(folder)
    for node in plan.nodes:
        if not (folder / f"{node}.pem").exists():
            issue(folder, node)
        names = [node, plan.container(node), "localhost", "127.0.0.1", "::1", *_more(plan.publish)]
        served = folder / f"{_server(node)}.pem"
        if served.exists() and not set(names) <= set(show(served).names):
            # It is reached by another address now.
            for file in (served, served.with_suffix(".key")):
                file.unlink(missing_ok=True)
        if not served.exists():
            issue(folder, _server(node), server=True, names=names)
    for name in due(folder, RENEW_WITHIN):
        renew(folder, name)
    revoke(folder, ())


def bundle(folder: Path, node: str) -> bytes:
    """Give a node's files as a tar: ca.pem, revoked.pem, server.pem and client.pem with their keys."""
    sources = {"ca.pem": folder / f"{AUTHORITY_NAME}.pem", REVOKED_FILE: folder / REVOKED_FILE}
    for kind, name in (("server", _server(node)), ("client", node)):
        sources |= {f"{kind}{suffix}": folder / f"{name}{suffix}" for suffix in (".pem", ".key")}
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, file in sorted(sources.items()):
            content = file.read_bytes()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return made.getvalue()


def digest(folder: Path, node: str) -> str:
    """Give what changes with a node's files; the list of revocations, signed anew each time, counts by its content."""
    parts = [folder / f"{name}.pem" for name in (AUTHORITY_NAME, node, _server(node))]
    revoked = sorted(read_revoked(folder / REVOKED_FILE, folder / f"{AUTHORITY_NAME}.pem"))
    told = b"".join(part.read_bytes() for part in parts) + (json.dumps(revoked).encode() if revoked else b"")
    return hashlib.sha256(told).hexdigest()[:16]


def fill_volume(engine: Engine, plan: Plan, folder: Path, node: str) -> None:
    """Put a node's files into its volume, by a container that lives for that; raises HarnessError."""
    arguments = ["run", "--rm", "--interactive", "--user", "0", "--network", "none", "--entrypoint", "sh"]
    arguments += [*engine.limits(), "--volume", f"{plan.certificates(node)}:/certs", IMAGES["edge"]]
    engine.run(*arguments, "-c", _FILL.format(user=USER), given=bundle(folder, node))


def _server(node: str) -> str:
    return f"{node}-server"


def _more(published_at: str) -> list[str]:
    return [] if published_at in {"127.0.0.1", "0.0.0.0", "::"} else [published_at]
