"""AWS Neuron, AMD, CUDA's own start and torch's build."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import pytest

from watchkeeper.host.accelerators import check_amd, check_neuron, neuron_troubles
from watchkeeper.host.cuda_probe import ask, check_cuda_start, check_torch
from watchkeeper.host.machine import Answer, run_command

NEURON_REPORT = {
    "neuron_runtime_data": [
        {
            "pid": 77,
            "error": "",
            "report": {
                "execution_stats": {
                    "error_summary": {"generic": 0, "numerical": 2, "hardware": 0},
                    "execution_summary": {"completed": 9, "timed_out": 0},
                    "error": "",
                }
            },
        }
    ],
    "system_data": {
        "neuron_hw_counters": {"neuron_devices": [{"neuron_device_index": 0, "mem_ecc_uncorrected": 0}], "error": ""}
    },
}  # fmt: skip


@pytest.fixture
def neuron_node(node):
    node.pci("0000:00:1e.0", 0x1D0F, 0x7164, 0x088000)
    node.file("/dev/neuron0", "")
    return node


def verdict(checks) -> str:
    (check,) = list(checks)
    return check.status.value


def test_neuron_by_its_monitor(neuron_node):
    assert verdict(check_neuron(neuron_node.machine)) == "skipped"
    neuron_node.answer("neuron-monitor", "starting\n" + json.dumps(NEURON_REPORT))
    assert verdict(check_neuron(neuron_node.machine)) == "warn"
    (neuron_node.root / "dev/neuron0").unlink()
    assert verdict(check_neuron(neuron_node.machine)) == "fail"


def test_what_counts_as_grave_of_neuron():
    told = json.loads(json.dumps(NEURON_REPORT))
    told["neuron_runtime_data"][0]["report"]["execution_stats"]["error_summary"]["hardware"] = 1
    told["neuron_runtime_data"][0]["report"]["execution_stats"]["execution_summary"]["timed_out"] = 4
    told["neuron_runtime_data"][0]["report"]["memory_used"] = {"error": "cannot be read"}
    told["system_data"]["neuron_hw_counters"]["error"] = "no counters"
    grave, slight = neuron_troubles(told)
    assert grave == [
        "runtime 77 memory_used: cannot be read", "runtime 77: 1 hardware errors", "neuron_hw_counters: no counters",
    ]  # fmt: skip
    assert slight == ["runtime 77: 2 numerical errors", "runtime 77: 4 executions timed out"]


def test_machines_without_them_say_so(node):
    for check in (*check_neuron(node.machine), *check_amd(node.machine)):
        assert check.absent


def test_amd_by_driver_and_uncorrected_errors(node):
    node.pci("0000:03:00.0", 0x1002, 0x740F, 0x038000)
    assert verdict(check_amd(node.machine)) == "fail"
    (node.root / "sys/bus/pci/devices/0000:03:00.0/driver").symlink_to("../../drivers/amdgpu")
    assert verdict(check_amd(node.machine)) == "ok"
    command = "amd-smi metric --ecc --json"
    node.answer(command, json.dumps([{"gpu": 0, "ecc": {"total_uncorrectable_count": 0}}]))
    assert verdict(check_amd(node.machine)) == "ok"
    node.answer(command, json.dumps([{"gpu": 0, "ecc": {"total_uncorrectable_count": 2}}]))
    assert verdict(check_amd(node.machine)) == "fail"
    node.answer(command, "not json")
    assert verdict(check_amd(node.machine)) == "skipped"


@pytest.mark.parametrize(
    ("told", "verdict"),
    [
        ([{"gpu": 0, "ecc": "N/A"}], "ok"),
        ({"gpu_data": [{"gpu": 0, "ecc": {"total_uncorrectable_count": "N/A"}}]}, "ok"),
        ({"gpu_data": [{"gpu": 0, "ecc": {"total_uncorrectable_count": {"value": 2}}}]}, "fail"),
        ({"gpu_data": "N/A"}, "ok"),
        ("N/A", "skipped"),
        (["N/A", None], "ok"),
    ],
)
def test_odd_answers_of_amd_smi_end_nothing(node, told, verdict):
    node.pci("0000:03:00.0", 0x1002, 0x740F, 0x038000, driver="amdgpu")
    node.answer("amd-smi metric --ecc --json", json.dumps(told))
    (check,) = check_amd(node.machine)
    assert check.status.value == verdict
    assert ("told by 0 of them" in check.observed) == (verdict == "ok"), "what is not told is not zero"


@pytest.mark.parametrize(
    "report",
    [
        {"neuron_runtime_data": [None, {"pid": 1, "report": "N/A"}, {"report": {"execution_stats": []}}]},
        {"neuron_runtime_data": {}, "system_data": []},
        {"system_data": {"neuron_hw_counters": {"neuron_devices": [None, {"mem_ecc_uncorrected": 0}]}}},
    ],
)
def test_odd_reports_of_neuron_monitor_end_nothing(report):
    assert neuron_troubles(report) == ([], [])


FAKE_CUDA = """
#include <stdio.h>
#include <unistd.h>
int cuDriverGetVersion(int *out) { *out = 12040; return 0; }
int cuInit(unsigned flags) { (void)flags; %s; }
int cuDeviceGetCount(int *out) { *out = %d; return 0; }
"""


@pytest.mark.parametrize(
    ("init", "count", "ids"),
    [
        ("return 0", 2, {"cuda.load": "ok", "cuda.init": "ok", "cuda.count": "ok"}),
        ("return 0", 0, {"cuda.load": "ok", "cuda.init": "ok", "cuda.count": "warn"}),
        ("return 802", 2, {"cuda.load": "ok", "cuda.init": "fail"}),
        ("*(volatile int *)0 = 1; return 0", 2, {"cuda.load": "ok", "cuda.init": "fail"}),
    ],
)
def test_cuda_is_started_in_processes_of_their_own(tmp_path, init, count, ids):
    library = cuda_library(tmp_path, init, count)
    assert {check.id: check.status.value for check in check_cuda_start(10.0, library)} == ids


def cuda_library(folder, init: str, count: int) -> str:
    (folder / "cuda.c").write_text(FAKE_CUDA % (init, count))
    library = folder / "libcuda.so.1"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(folder / "cuda.c")], check=True)
    return str(library)


def test_a_wedged_cuda_is_given_up(tmp_path):
    library = cuda_library(tmp_path, "for (;;) pause(); return 0", 1)
    assert "wedged" in ask("init", library, 0.5).trouble


def test_a_process_that_the_driver_does_not_let_die_is_left_behind(tmp_path, monkeypatch):
    library = cuda_library(tmp_path, "for (;;) pause(); return 0", 1)
    began: list[subprocess.Popen] = []

    # Nothing here can make a process that a signal does not kill: so the signal is not sent.
    def spare(process: subprocess.Popen) -> None:
        began.append(process)

    monkeypatch.setattr(subprocess.Popen, "kill", spare)
    assert "wedged" in ask("init", library, 0.5).trouble
    (process,) = began
    assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def test_what_a_command_wrote_before_its_time_was_over_is_kept():
    answer = run_command(("sh", "-c", "echo report; exec sleep 60"), 2.0)
    assert answer == Answer(None, "report\n", "")


def test_a_library_that_writes_something_of_its_own_is_read_all_the_same(tmp_path):
    told = 'puts("loaded"); fflush(stdout); return 0'
    assert ask("init", cuda_library(tmp_path, told, 1), 10.0) == (0, "")


def test_a_missing_libcuda_is_told():
    (check,) = list(check_cuda_start(10.0, "/does/not/exist/libcuda.so.1"))
    assert (check.id, check.status.value) == ("cuda.load", "fail")
    assert "cannot open shared object" in check.reason


@pytest.mark.parametrize(
    ("text", "has_gpu", "verdict"),
    [
        ("__version__ = '2.5.0+cpu'\ncuda: Optional[str] = None\nhip: Optional[str] = None\n", True, "warn"),
        ("__version__ = '2.5.0+cpu'\ncuda = None\n", False, "ok"),
        ("__version__ = '2.5.0+cu124'\ncuda: Optional[str] = '12.4'\n", True, "ok"),
        ("__version__ = '2.5.0+cu126'\ncuda = '12.6'\n", True, "warn"),
        ("__version__ = '2.9.0+cu130'\ncuda = '13.0'\n", True, "fail"),
        ("__version__ = '2.5.0+rocm6'\ncuda = None\nhip = '6.2'\n", True, "ok"),
    ],
)
def test_torch_against_the_gpu(tmp_path, text, has_gpu, verdict):
    file = tmp_path / "version.py"
    file.write_text(text)
    (check,) = list(check_torch(file, (12, 4), has_gpu=has_gpu))
    assert check.status.value == verdict


def test_no_torch_is_skipped():
    (check,) = list(check_torch(None, None, has_gpu=True))
    assert check.status.value == "skipped"
