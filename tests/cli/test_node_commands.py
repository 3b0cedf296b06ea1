"""`watchkeeper doctor` and `watchkeeper gpu` as they are typed: status, JSON, files, history, sending."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from tests.collector import serving
from tests.edge.agent.near_centre import NearCentre
from tests.host.conftest import Node, answer_of, compiled, healthy_gpu

from watchkeeper.cli.main import main
from watchkeeper.receive.certs import init_authority, issue


@pytest.fixture
def node(tmp_path: Path) -> Node:
    root = tmp_path / "root"
    root.mkdir()
    node = Node(root)
    node.gpus("0000:3b:00.0")
    node.nvml(answer_of(healthy_gpu(0)))
    node.answer("nvcc --version", "Cuda compilation tools, release 12.4, V12.4.99")
    node.file("/proc/stat", "btime 1700000000\n")
    return node


@pytest.fixture
def run(node, tmp_path, capsys):
    def go(*arguments: str) -> tuple[int, str]:
        options = ["--root", str(node.root), "--home", str(tmp_path / "home")]
        with pytest.raises(SystemExit) as ended:
            main([arguments[0], *options, *arguments[1:]])
        return ended.value.code or 0, capsys.readouterr().out

    return go


def test_doctor_prints_its_checks_and_the_status_tells(run, node):
    status, text = run("doctor")
    assert status == 0
    assert "[✓] NVIDIA driver: driver 550.54.15" in text
    assert "-> sudo apt-get install nvidia-container-toolkit" in text
    assert "Issues in 1 checks." in text
    node.nvml({"code": 18, "text": "mismatch"})
    status, text = run("doctor")
    assert (status, "[✗] NVIDIA driver" in text) == (2, True)
    assert run("doctor", "--exit-style", "nagios")[0] == 2
    status, text = run("doctor", "--exit-style", "npd")
    assert (status, text.count("\n")) == (1, 1)
    assert run("doctor", "--require", "container")[0] == 0
    assert run("doctor", "--require", "nothing")[0] == 2


def test_doctor_writes_report_and_archive(run, tmp_path):
    status, text = run("doctor", "--json", "--report", str(tmp_path / "out"), "--bundle", str(tmp_path / "s.tar.gz"))
    assert status == 0
    (file,) = (tmp_path / "out").glob("doctor-gpu-node-17-*Z.json")
    told = json.loads(text)
    assert json.loads(file.read_text())["checks"] == told["checks"]
    assert told["verdict"] == "warn"
    assert (tmp_path / "s.tar.gz").stat().st_size > 500


def test_gpu_shows_json_and_a_table(run, node):
    assert run("gpu")[0] == 0
    node.kernel("NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.")
    status, text = run("gpu")
    assert status == 10
    assert "critical GPU 0: XID 79" in text
    status, text = run("gpu", "--json", "--exit-style", "nagios")
    assert (status, json.loads(text)["gpus"][0]["health"]) == (2, "critical")
    assert run("gpu", "--exit-style", "npd")[0] == 1


def test_gpu_without_a_gpu_is_a_clear_answer(run, node):
    (node.root / "nvml.json").unlink()
    for file in (node.root / "sys/bus/pci/devices/0000:3b:00.0").iterdir():
        file.unlink()
    status, text = run("gpu")
    assert (status, text) == (1, "No GPU in gpu-node-17: none on the PCI bus, none from the driver.\n")


def test_watch_ends_after_as_many_readings_as_asked(run):
    status, text = run("gpu", "--watch", "--interval", "0.05", "--readings", "3", "--json")
    assert (status, len(text.splitlines())) == (0, 3)


def test_history_acknowledge_and_clear(run, node):
    assert run("gpu", "history") == (0, "nothing has happened that was seen\n")
    node.kernel("NVRM: Xid (PCI:0000:3b:00): 119, Timeout waiting for RPC from GSP0!")
    assert run("gpu", "acknowledge", "0", "--by", "ann") == (0, "1 condition acknowledged\n")
    status, text = run("gpu")
    assert (status, "acknowledged by ann" in text) == (0, True)
    assert run("gpu", "clear", "0", "--xid", "119", "--by", "ann", "--note", "reset") == (0, "1 condition cleared\n")
    assert "xid" not in run("gpu")[1].lower().replace("throttle  xid", "")
    status, text = run("gpu", "history")
    assert [word for word in ("critical", "acknowledge", "clear", "by ann", "reset") if word not in text] == []
    assert len(json.loads(run("gpu", "history", "--json")[1])["events"]) == 1
    assert run("gpu", "clear", "0")[0] == 1


def test_a_look_is_sent_as_logs_and_metrics(run, node):
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            paths.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *unused: object) -> None:
            pass

    node.kernel("NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.")
    with serving(Handler) as url:
        status, _ = run("gpu", "--to", url, "--watch", "--readings", "2", "--interval", "0.05")
    assert status == 10
    assert (paths.count("/v1/logs"), paths.count("/v1/metrics"), len(paths)) == (2, 2, 4)


def test_a_look_is_sent_over_mutual_tls(run, node, tmp_path):
    folder = tmp_path / "certs"
    init_authority(folder)
    issue(folder, "server", server=True, names=["127.0.0.1"])
    issue(folder, "gpu-node-17")
    files = {"tls_cert": "server.pem", "tls_key": "server.key", "tls_client_ca": "ca.pem"}
    centre = NearCentre(tmp_path / "centre", **{name: folder / file for name, file in files.items()})
    try:
        own = (("--ca", "ca.pem"), ("--cert", "gpu-node-17.pem"), ("--key", "gpu-node-17.key"))
        shown = [word for option, file in own for word in (option, str(folder / file))]
        assert run("gpu", "--to", centre.url, *shown)[0] == 0
        row = centre.ledger("http/")
        assert (row.sender, row.accepted > 0, row.rejected) == ("gpu-node-17", True, 0)
    finally:
        centre.stop()


def test_the_real_machine_through_the_fake_library(tmp_path, capsys, monkeypatch):
    library = compiled(tmp_path, "libnvidia-ml.so.1")
    monkeypatch.setenv("FAKE_NVML", "sick")
    with pytest.raises(SystemExit) as ended:
        main(["gpu", "--nvml", str(library), "--home", str(tmp_path / "home"), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert (ended.value.code, told["verdict"], len(told["gpus"])) == (10, "critical", 2)
