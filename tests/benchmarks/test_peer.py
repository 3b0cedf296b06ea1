import subprocess
import sys

import pytest
from benchmarks.peer import NotAvailable, Peer

from benchmarks import peer


def test_without_a_network_the_reason_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    drain3 = Peer(("drain3==0.9.11",), "drain3_worker.py", "drain3", tmp_path)
    with pytest.raises(NotAvailable, match=r"drain3 0\.9\.11 cannot be installed: "):
        drain3.interpreter()
    assert not list(tmp_path.rglob(".ready"))


def test_what_a_worker_prints_is_given_and_what_it_dies_of_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(peer, "__file__", str(tmp_path / "peer.py"))
    (tmp_path / "worker.py").write_text(
        "import sys\nprint(sys.argv[1])\nsys.exit('it is broken' if sys.argv[2:] else 0)"
    )
    none = Peer((), "worker.py", "sys", tmp_path, timeout_s=60.0)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / ".ready").touch()
    assert none.run("one") == "one\n"
    with pytest.raises(NotAvailable, match="failed: it is broken"):
        none.run("one", "two")


def test_the_peers_are_not_needed_here():
    check = (
        "import benchmarks.pipeline, benchmarks.patterns, benchmarks.metric_speed, sys\n"
        "sys.exit(bool({'drain3', 'river', 'pyod'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", check], check=True)
