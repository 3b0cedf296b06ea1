"""A fake NVML library, compiled from C, and recorded machines that tests build."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from watchkeeper.host.machine import Machine
from watchkeeper.settings import Settings

HERE = Path(__file__).parent
BOOT_S = 1_800_000_000
NOW_NS = (BOOT_S + 7200) * 10**9
BOOT_ID = "6f1c0c2e-0000-4000-8000-000000000001"


def compiled(folder: Path, name: str, *flags: str) -> Path:
    library = folder / name
    command = ["cc", "-shared", "-fPIC", "-O1", *flags, "-o", str(library), str(HERE / "fake_nvml.c")]
    subprocess.run(command, check=True, capture_output=True)
    return library


@pytest.fixture(scope="session")
def fake_nvml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("nvml"), "libnvidia-ml.so.1")


@pytest.fixture(scope="session")
def old_nvml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("nvml-old"), "libnvidia-ml.so.1", "-DOLD")


class Node:
    """A recorded machine that a test builds file by file."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.commands: dict[str, dict[str, Any]] = {}
        self.now_unix_ns = NOW_NS
        self.file("/etc/os-release", 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n')
        self.file("/proc/sys/kernel/osrelease", "6.1.0-18-amd64\n")
        self.file("/proc/sys/kernel/hostname", "gpu-node-17\n")
        self.file("/proc/sys/kernel/random/boot_id", BOOT_ID + "\n")
        self.file("/proc/sys/kernel/pid_max", "4194304\n")
        self.file("/proc/sys/fs/file-nr", "5000\t0\t1000000\n")
        self.file("/proc/stat", f"cpu  1 2 3\nbtime {BOOT_S}\n")
        self.file("/proc/loadavg", "1.00 2.00 3.00 2/900 4711\n")
        self.file(
            "/proc/cpuinfo",
            "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu sse\n" * 8,
        )
        self.file("/proc/meminfo", "MemTotal: 1000000 kB\nMemAvailable: 600000 kB\n")
        self.file("/proc/self/limits", "Limit                     Soft Limit           Hard Limit           Units\n"
                  "Max open files            65536                65536                files     \n"
                  "Max locked memory         unlimited            unlimited            bytes     \n")  # fmt: skip
        self.file("/proc/net/tcp", "  sl  local_address rem_address   st\n   0: 0100007F:0016 00000000:0000 0A\n")
        self.file("/dev/kmsg", "")
        self.space({"/": (100, 60), "/dev/shm": (2**40, 2**40)})
        self.answer("podman --version", "podman version 4.3.1")
        self.answer("podman info --format {{.Version.Version}}", "4.3.1")
        self.answer("timedatectl show --property=NTPSynchronized --value", "yes")

    @property
    def machine(self) -> Machine:
        return Machine.at(self.root, now_unix_ns=lambda: self.now_unix_ns)

    def file(self, path: str, text: str) -> None:
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")

    def space(self, rows: dict[str, tuple[int, int]]) -> None:
        told = {
            name: {"bytes_total": total, "bytes_free": free, "inodes_total": 1000, "inodes_free": 900}
            for name, (total, free) in rows.items()
        }
        self.file("/filesystems.json", json.dumps(told))

    def answer(self, command: str, stdout: str, status: int = 0, stderr: str = "") -> None:
        self.commands[command] = {"status": status, "stdout": stdout, "stderr": stderr}
        self.file("/commands.json", json.dumps(self.commands))

    def forget(self, command: str) -> None:
        del self.commands[command]
        self.file("/commands.json", json.dumps(self.commands))

    def pci(self, address: str, vendor: int, device: int, kind: int, driver: str = "") -> None:
        base = f"/sys/bus/pci/devices/{address}"
        self.file(f"{base}/vendor", f"{vendor:#06x}\n")
        self.file(f"{base}/device", f"{device:#06x}\n")
        self.file(f"{base}/class", f"{kind:#08x}\n")
        if driver:
            (self.root / base.lstrip("/") / "driver").symlink_to(f"../../../bus/pci/drivers/{driver}")

    def gpus(self, *addresses: str, driver: str = "nvidia") -> None:
        for address in addresses:
            self.pci(address, 0x10DE, 0x2330, 0x030200, driver)
        if driver == "nvidia":
            self.file("/sys/module/nvidia/version", "550.54.15\n")

    def kernel(self, *messages: str, at_s: float = 100.0, first: int = 1) -> None:
        lines = [f"4,{first + n},{int((at_s + n) * 1e6)},-;{text}\n" for n, text in enumerate(messages)]
        place = self.root / "dev/kmsg"
        place.write_text(place.read_text() + "".join(lines))

    def nvml(self, answer: dict[str, Any]) -> None:
        self.file("/nvml.json", json.dumps(answer))

    def reboot(self, number: int) -> None:
        self.file("/proc/sys/kernel/random/boot_id", f"6f1c0c2e-0000-4000-8000-{number:012d}\n")
        self.file("/proc/stat", f"btime {BOOT_S + number * 10_000}\n")
        self.file("/dev/kmsg", "")
        self.now_unix_ns = (BOOT_S + number * 10_000 + 7200) * 10**9


def healthy_gpu(index: int = 0, **changes: Any) -> dict[str, Any]:
    row = {
        "index": index, "uuid": f"GPU-{index:08d}-2222-3333-4444-555555555555", "name": "NVIDIA H100 80GB HBM3",
        "pci": f"00000000:{0x3B + index:02x}:00.0", "temperature_c": 41, "margin_c": 46,
        "memory_total_bytes": 85899345920, "memory_used_bytes": 1073741824, "memory_free_bytes": 84825604096,
        "utilization_percent": 3, "power_w": 70.5,
        "clock_sm_mhz": 1755, "throttle_reasons": 0, "power_violation_ns": 0, "thermal_violation_ns": 0,
        "ecc_corrected_volatile": 0, "ecc_uncorrected_volatile": 0, "rows_remapped_corrected": 0,
        "rows_remapped_uncorrected": 0, "rows_pending": 0, "rows_failed": 0, "pcie_replays": 0, "pcie_generation": 5,
        "pcie_generation_max": 5, "pcie_width": 16, "pcie_width_max": 16, "recovery_action": 0, "processes": [],
    }  # fmt: skip
    return {**row, **changes}


def answer_of(*gpus: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"code": 0, "driver": "550.54.15", "nvml": "12.550.54.15", "cuda": 12040, "devices": list(gpus), **changes}


@pytest.fixture
def node(tmp_path: Path) -> Node:
    root = tmp_path / "root"
    root.mkdir()
    return Node(root)


@pytest.fixture
def gpu_node(node: Node) -> Node:
    """A machine with two healthy GPUs, toolkit, CDI and CUDA."""
    node.gpus("0000:3b:00.0", "0000:3c:00.0")
    node.nvml(answer_of(healthy_gpu(0), healthy_gpu(1)))
    node.answer("nvcc --version", "Cuda compilation tools, release 12.4, V12.4.99")
    node.answer("nvidia-ctk --version", "NVIDIA Container Toolkit CLI version 1.17.4")
    node.answer("nvidia-ctk cdi list", "INFO Found 2 CDI devices\nnvidia.com/gpu=0\nnvidia.com/gpu=all\n")
    node.file("/etc/cdi/nvidia.yaml", "devices:\n- containerEdits:\n    deviceNodes:\n    - path: /dev/nvidia0\n")
    node.file("/dev/nvidia0", "")
    return node


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(chosen={"home": str(tmp_path / "home")}, environment={})


SettingsMaker = Callable[..., Settings]


@pytest.fixture
def settings_with(tmp_path: Path) -> SettingsMaker:
    def make(**chosen: Any) -> Settings:
        return Settings(chosen={"home": str(tmp_path / "home"), **chosen}, environment={})

    return make
