import subprocess
import sys

import pytest

from benchmarks import drain3_peer


def test_without_a_network_the_reason_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    environment = tmp_path / "drain3"
    with pytest.raises(drain3_peer.NotAvailable, match=r"drain3 .* cannot be installed"):
        drain3_peer.interpreter(environment)
    assert not (environment / ".ready").exists()


def test_the_peer_needs_no_drain3_here():
    check = "import benchmarks.pipeline, benchmarks.patterns, sys; sys.exit('drain3' in sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)
