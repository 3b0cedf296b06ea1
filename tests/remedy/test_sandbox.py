"""The sandbox: no network, nothing written outside, bounded; and nothing run where there is none."""

from __future__ import annotations

import socket

import pytest

from watchkeeper.remedy import sandbox
from watchkeeper.remedy.sandbox import SandboxUnavailable, probe, run

needs_bwrap = pytest.mark.skipif(bool(probe()), reason=probe() or "there is a sandbox")


def bash(text, folder, **more):
    return run(["/bin/bash", "-c", text], folder, **more)


@needs_bwrap
def test_it_writes_to_its_folder_alone(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    inside = tmp_path / "inside"
    inside.mkdir()
    done = bash(f"echo a > here; for p in /x /etc/x /usr/x {outside}/x; do echo a > $p; done; ls {outside}", inside)
    assert [path.name for path in inside.iterdir()] == ["here"]
    assert list(outside.iterdir()) == []
    assert done.stderr.count(b"Read-only file system") == 3


@needs_bwrap
def test_it_sees_no_file_of_the_machine(tmp_path):
    assert bash("ls /root /home /var /etc/shadow", tmp_path).stdout == b""


@needs_bwrap
def test_it_has_no_network(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert bash(f"exec 3<>/dev/tcp/127.0.0.1/{port}", tmp_path).status != 0
        socket.create_connection(("127.0.0.1", port), 1).close()


@needs_bwrap
def test_time_and_size_are_bounded(tmp_path):
    assert bash("read < <(sleep 60)", tmp_path, seconds=0.5).timed_out
    bash("head -c 9000000 /dev/zero > big", tmp_path)
    assert (tmp_path / "big").stat().st_size <= sandbox.FILE_BYTES_MAX


@needs_bwrap
def test_it_has_nothing_of_our_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "told")
    assert b"told" not in bash("env; cat /proc/*/environ", tmp_path).stdout


def test_without_bubblewrap_nothing_is_run(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    sandbox.probe.cache_clear()
    try:
        assert "not installed" in sandbox.probe()
        with pytest.raises(SandboxUnavailable, match="nothing was run"):
            bash("echo a > here", tmp_path)
        assert list(tmp_path.iterdir()) == []
    finally:
        sandbox.probe.cache_clear()
