"""NVML over ctypes against a library compiled from C: every state of a driver, in a process of its own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from watchkeeper.host import nvml as binding
from watchkeeper.host.gpu import GpuSnapshot
from watchkeeper.host.nvml_client import NvmlClient


def read(library: Path, mode: str, monkeypatch, **options) -> GpuSnapshot:
    monkeypatch.setenv("FAKE_NVML", mode)
    with NvmlClient(str(library), **options) as client:
        return client.read()


def test_a_healthy_driver_tells_everything(fake_nvml, monkeypatch):
    told = read(fake_nvml, "healthy", monkeypatch)
    assert (told.code, told.driver, told.cuda_version) == (0, "550.54.15", (12, 4))
    gpu = told.gpus[1]
    assert (gpu.uuid, gpu.pci) == ("GPU-11111111-2222-3333-4444-555555555555", "00000000:5e:00.0")
    assert (gpu.temperature_c, gpu.memory_temperature_c, gpu.margin_c) == (41, 50, 46)
    assert (gpu.memory_used_bytes, gpu.power_w, gpu.clock_memory_mhz) == (21474836480, 402.5, 2619)
    assert (gpu.pcie_generation, gpu.pcie_width, gpu.pcie_replays) == (5, 16, 7)
    assert [(link.link, link.active, link.crc_data) for link in gpu.nvlinks] == [(n, True, 3) for n in range(4)]
    assert [(each.pid, each.memory_bytes) for each in gpu.processes or ()] == [(4711, 2**30)]
    assert (gpu.recovery_action, gpu.fabric) == (0, {"state": 3, "status": 0, "health_mask": 0})
    assert gpu.nvlink_recovery_events == 1 + 2 + 3 + 4, "each link's own"
    assert gpu.events_watched
    assert gpu.energy_mj is None
    assert gpu.ecc_enabled is None


def test_a_sick_gpu(fake_nvml, monkeypatch):
    gpu = read(fake_nvml, "sick", monkeypatch).gpus[0]
    assert (gpu.ecc_uncorrected_volatile, gpu.rows_pending, gpu.recovery_action) == (3, 1, 4)
    assert gpu.throttles == ["hardware slowdown", "hardware thermal slowdown"]


@pytest.mark.parametrize(("mode", "code"), [("init9", 9), ("init18", 18)])
def test_a_driver_that_does_not_start(fake_nvml, monkeypatch, mode, code):
    told = read(fake_nvml, mode, monkeypatch)
    assert (told.code, told.gpus) == (code, ())
    assert binding.ERRORS[code] in told.text


def test_one_lost_gpu_leaves_the_other_readable(fake_nvml, monkeypatch):
    told = read(fake_nvml, "lost", monkeypatch)
    assert [(gpu.index, gpu.error_code) for gpu in told.gpus] == [(0, 0), (1, 15)]
    assert told.gpus[0].temperature_c == 41


def test_zero_gpus_is_an_answer(fake_nvml, monkeypatch):
    told = read(fake_nvml, "zero", monkeypatch)
    assert (told.code, told.gpus) == (0, ())


def test_missing_symbols_are_values_not_read(old_nvml, monkeypatch):
    gpu = read(old_nvml, "sick", monkeypatch).gpus[0]
    assert (gpu.throttle_reasons, gpu.rows_pending, gpu.margin_c, gpu.recovery_action, gpu.fabric) == (None,) * 5
    assert gpu.ecc_uncorrected_volatile == 3


def test_no_library_is_code_12(tmp_path, monkeypatch):
    assert read(tmp_path / "none.so", "healthy", monkeypatch).code == binding.LIBRARY_NOT_FOUND


def test_a_wedged_driver_ends_in_a_time_out_and_the_next_reading_works(fake_nvml, monkeypatch):
    monkeypatch.setenv("FAKE_NVML", "wedged")
    with NvmlClient(str(fake_nvml), timeout_s=0.5) as client:
        began = time.monotonic()
        told = client.read()
        assert (told.code, time.monotonic() - began < 5) == (binding.TIMEOUT, True)
        monkeypatch.setenv("FAKE_NVML", "healthy")
        client._timeout_s = 10.0
        assert client.read().code == 0


def test_a_worker_that_dies_is_told_and_started_anew(fake_nvml, monkeypatch):
    monkeypatch.setenv("FAKE_NVML", "healthy")
    with NvmlClient(str(fake_nvml)) as client:
        assert client.read().code == 0
        assert client._worker is not None
        client._worker.kill()
        client._worker.wait()
        assert client.read().code == 999
        assert client.read().code == 0


def test_events_come_once_between_two_readings(fake_nvml, monkeypatch):
    monkeypatch.setenv("FAKE_NVML", "xid")
    with NvmlClient(str(fake_nvml)) as client:
        first, second = client.read(), client.read()
    assert [(event.kind, event.data, event.uuid[:12]) for event in first.events] == [("xid", 119, "GPU-00000000")]
    assert second.events == ()


def test_the_fake_library_serves_the_unmodified_nvidia_ml_py(fake_nvml):
    if importlib.util.find_spec("pynvml") is None:
        pytest.skip("nvidia-ml-py is not installed; pip install nvidia-ml-py")
    code = (
        "import pynvml as n; n.nvmlInit(); h = n.nvmlDeviceGetHandleByIndex(0);"
        "print(n.nvmlDeviceGetCount(), n.nvmlDeviceGetUUID(h), n.nvmlDeviceGetMemoryInfo(h).used,"
        " n.nvmlDeviceGetPciInfo(h).busId, n.nvmlDeviceGetFieldValues(h, [82])[0].value.uiVal)"
    )
    environment = {**os.environ, "LD_LIBRARY_PATH": str(fake_nvml.parent), "FAKE_NVML": "healthy"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [
        "2", "GPU-00000000-2222-3333-4444-555555555555", "21474836480", "00000000:3B:00.0", "50",
    ]  # fmt: skip


def test_the_worker_imports_nothing_heavy():
    code = "import watchkeeper.host.nvml_worker, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"orjson", "numpy", "pyarrow", "typer", "psutil"} & set(done.stdout.split())
