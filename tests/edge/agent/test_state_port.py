"""The agent's own port over TLS: who trusts the authority is served; plain text and silent peers harm nobody."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import httpx
import pytest

from watchkeeper.edge.exposition import Sample, Tells, state_server
from watchkeeper.receive.certs import init_authority, issue, renew
from watchkeeper.receive.tls import server_tls
from watchkeeper.settings import Settings


def test_the_state_is_told_over_tls_only_and_a_renewed_certificate_counts(tmp_path: Path) -> None:
    init_authority(tmp_path)
    files = issue(tmp_path, "edge-1-server", server=True, names=["localhost"])
    chosen = {"tls_cert": files.certificate, "tls_key": files.key, "tls_client_ca": tmp_path / "ca.pem"}
    tls = server_tls(Settings(chosen={name: str(file) for name, file in chosen.items()}, environment={}))
    assert tls is not None
    tells = Tells(lambda: [Sample("up_total", "counter", "", 1.0)], lambda: {"ready": True})
    with state_server(tells, "127.0.0.1", 0, tls.page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        port = server.server_address[1]
        trusting = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        with socket.create_connection(("127.0.0.1", port)):  # says nothing, and nobody waits for it
            with httpx.Client(verify=trusting, trust_env=False) as client:
                assert "up_total 1" in client.get(f"https://localhost:{port}/metrics").text
                assert client.get(f"https://localhost:{port}/ready").status_code == 200
            with pytest.raises(httpx.TransportError):
                httpx.get(f"http://localhost:{port}/metrics", trust_env=False)
            renew(tmp_path, "edge-1-server")
            seen = ssl.get_server_certificate(("localhost", port), ca_certs=str(tmp_path / "ca.pem"))
            assert seen == files.certificate.read_text(encoding="utf-8")
        server.shutdown()
        thread.join()
