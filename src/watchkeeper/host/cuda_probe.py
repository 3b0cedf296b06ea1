"""Asks CUDA whether it starts, each question in a process of its own, for a wedged driver blocks for ever.

Enters: how long a question may take. Leaves: Checks: libcuda can be loaded, cuInit works, devices are counted, torch is
built for CUDA and not newer than the driver. `python -m watchkeeper.host.cuda_probe QUESTION LIBRARY` is the process.
torch itself is not imported: its version file says enough, and importing it takes seconds.
"""

from __future__ import annotations

import ctypes
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from watchkeeper.host.check import Check, Requirement, failed, passed, skipped, warned
from watchkeeper.host.machine import run_bounded

LIBRARY = "libcuda.so.1"
_CODES = {
    1: "invalid value", 2: "out of memory", 3: "not initialised", 34: "a stub library was loaded",
    46: "the devices are unavailable", 100: "no device", 101: "invalid device", 802: "the system is not ready (fabric)",
    803: "driver and library differ in version", 804: "forward compatibility is not supported here", 999: "unknown",
}  # fmt: skip


class Answered(NamedTuple):
    """What a probe said: its number, or `trouble` when it ended without one."""

    value: int
    trouble: str = ""


def ask(question: str, library: str, timeout_s: float) -> Answered:
    """Ask one question (load, init or count) in a process of its own."""
    done = run_bounded([sys.executable, "-m", "watchkeeper.host.cuda_probe", question, library], timeout_s)
    if done.status is None:
        return Answered(0, f"no answer within {timeout_s:g} s: the driver is wedged")
    if done.status:
        ended = f"the process ended by signal {-done.status}" if done.status < 0 else done.stderr.strip()[-200:]
        return Answered(0, ended or f"the process ended with {done.status}")
    # A library may write something of its own first.
    told = done.stdout.strip().rpartition("\n")[2]
    return Answered(int(told)) if told.isdecimal() else Answered(0, f"the process answered {told[-200:]!r}, no number")


def check_cuda_start(timeout_s: float, library: str = LIBRARY) -> Iterator[Check]:
    """Check that CUDA starts, question after question; the first trouble ends it."""
    need = {"requirement": Requirement.CUDA, "source": "CUDA driver API (CUresult)"}
    loaded = ask("load", library, timeout_s)
    if loaded.trouble:
        fix = ("ldconfig -p | grep libcuda", "in a container: run it with the NVIDIA Container Toolkit")
        yield failed("cuda.load", "CUDA driver library", library, loaded.trouble, actions=fix, **need)
        return
    yield passed(
        "cuda.load",
        "CUDA driver library",
        f"{library} serves CUDA {loaded.value // 1000}.{loaded.value % 1000 // 10}",
        **need,
    )
    for question, title in (("init", "cuInit"), ("count", "CUDA devices")):
        told = ask(question, library, timeout_s)
        if told.trouble:
            fix = ("sudo dmesg | grep -iE 'nvrm|xid'", "sudo reboot")
            yield failed(f"cuda.{question}", title, "no answer", told.trouble, actions=fix, **need)
            return
        if question == "init" and told.value:
            reason = f"cuInit: error {told.value}, {_CODES.get(told.value, 'see CUresult')}"
            fixes = (
                "nvidia-smi",
                "sudo systemctl status nvidia-fabricmanager   # error 802",
                "sudo modprobe nvidia_uvm",
            )
            yield failed("cuda.init", title, f"error {told.value}", reason, actions=fixes, **need)
            return
        if question == "count" and told.value < 1:
            fix = ("echo $CUDA_VISIBLE_DEVICES", "nvidia-smi -L")
            yield warned("cuda.count", title, "0 devices", "CUDA starts and sees no device", actions=fix, **need)
            return
        yield passed(f"cuda.{question}", title, "works" if question == "init" else f"{told.value} devices", **need)


def torch_version_file() -> Path | None:
    """Find torch's version file in this Python without importing torch."""
    spec = importlib.util.find_spec("torch")
    places = [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
    return next((place / "version.py" for place in places if (place / "version.py").is_file()), None)


def check_torch(version_file: Path | None, served: tuple[int, int] | None, *, has_gpu: bool) -> Iterator[Check]:
    """Check torch's build against the GPU: a build for the processor only, or a CUDA newer than the driver serves."""
    title = "PyTorch"
    if version_file is None:
        yield skipped("python.torch", title, f"torch is not installed in {sys.executable}")
        return
    text = version_file.read_text(encoding="utf-8")
    version = _assigned(text, "__version__") or "of unknown version"
    cuda = _assigned(text, "cuda")
    built = re.match(r"(\d+)\.(\d+)", cuda or "")
    seen = f"torch {version}, " + (f"built for CUDA {cuda}" if built else "built for the processor only")
    source = "torch/version.py"
    install = "pip install torch --index-url https://download.pytorch.org/whl/cu126"
    if not built and has_gpu and not _assigned(text, "hip"):
        reason = "this build of torch will not use the GPU"
        yield warned("python.torch", title, seen, reason, source=source, actions=(install,))
    elif built and served is not None and (int(built[1]), int(built[2])) > served:
        reason = f"torch's CUDA is newer than the driver serves ({served[0]}.{served[1]})"
        newer = int(built[1]) > served[0]
        told = failed if newer else warned
        yield told("python.torch", title, seen, reason, source=source, actions=("update the driver", install))
    else:
        yield passed("python.torch", title, seen, source=source)


def _assigned(text: str, name: str) -> str | None:
    found = re.search(rf"^{re.escape(name)}\s*(?::[^=]+)?=\s*['\"]([^'\"]+)['\"]", text, re.M)
    return found[1] if found else None


def main(question: str, library: str) -> None:
    """Answer one question on the standard output; an exception ends the process with a status."""
    cuda = ctypes.CDLL(library)
    value = ctypes.c_int()
    if question == "load":
        cuda.cuDriverGetVersion(ctypes.byref(value))
        print(value.value)
    elif question == "init":
        print(cuda.cuInit(0))
    else:
        cuda.cuInit(0)
        cuda.cuDeviceGetCount(ctypes.byref(value))
        print(value.value)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
