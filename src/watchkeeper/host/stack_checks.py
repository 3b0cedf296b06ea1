"""Doctor's checks of what stands between a program and a GPU: card, driver, CUDA, containers, torch.

Enters: a Machine and one reading of NVML. Leaves: Checks, each with what was seen and what to type. A card without a
driver, a driver without its library, a library of another version and a machine without any card are told apart, as
is a virtual machine that no card is passed through to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from watchkeeper.host import nvml as binding
from watchkeeper.host.check import Check, Requirement, failed, passed, skipped, unknown, warned
from watchkeeper.host.gpu import GpuSnapshot
from watchkeeper.host.machine import Machine
from watchkeeper.host.pci import hypervisor, nvidia_gpus, pci_devices
from watchkeeper.host.thresholds import Thresholds

_NVML = "NVML return codes (nvmlReturn_t)"
_DRIVER_DOC = "https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/"
_NO_GPU = "there is no NVIDIA GPU in this machine"


def check_card(machine: Machine, snapshot: GpuSnapshot, limits: Thresholds) -> Iterator[Check]:
    """Check that the PCI bus shows an NVIDIA GPU, and as many as NVML and the operator say."""
    title, need = "NVIDIA GPU", {"requirement": Requirement.GPU}
    cards = nvidia_gpus(pci_devices(machine))
    shown, expected = len(snapshot.gpus), int(limits["gpu_count_min"])
    if not cards and not shown and snapshot.code in binding.OF_A_LOADED_DRIVER:
        yield unknown("gpu.present", title, "the driver is loaded, and neither it nor the PCI bus shows a GPU", **need)
        return
    if not cards and not shown:
        guest = hypervisor(machine)
        reason = f"this is a virtual machine under {guest}, and no GPU is passed through to it" if guest else _NO_GPU
        fix = (
            "pass a GPU through to this virtual machine (VFIO, or an instance type with a GPU)"
            if guest
            else "nothing, if this machine is to have none: --require driver,cuda,container,other leaves the GPU out"
        )
        if expected:
            yield failed("gpu.present", title, "no GPU", reason, actions=(fix,), absent=True, **need)
        else:
            yield skipped("gpu.present", title, reason, observed="no GPU", actions=(fix,), absent=True, **need)
        return
    seen = f"{len(cards)} on the PCI bus, {shown} shown by NVML" + (f", {expected} expected" if expected else "")
    evidence = tuple(card.label + (f" driver {card.driver}" if card.driver else " no driver") for card in cards)
    told = {"evidence": evidence, "source": limits.source("gpu_count_min"), **need}
    lost = [gpu for gpu in snapshot.gpus if gpu.error_code in {binding.GPU_IS_LOST, binding.RESET_REQUIRED}]
    driven = snapshot.code == binding.SUCCESS
    ours = [card for card in cards if card.driver != "vfio-pci"]
    if len(ours) < len(cards):
        seen += f", {len(cards) - len(ours)} set aside for virtual machines"
    if expected and max(len(cards), shown) < expected:
        reason = f"{expected} GPUs are expected, and {max(len(cards), shown)} are seen"
        yield failed(
            "gpu.present", title, seen, reason, actions=("lspci -nn -d 10de:", "sudo dmesg | grep -i nvrm"), **told
        )
    elif driven and cards and shown != len(ours) and not lost:
        reason = "PCI bus and driver do not agree on how many GPUs there are: one is lost or held by another driver"
        yield failed("gpu.present", title, seen, reason, actions=("sudo dmesg | grep -i nvrm", "sudo reboot"), **told)
    else:
        yield passed("gpu.present", title, seen, **told)


def check_driver(machine: Machine, snapshot: GpuSnapshot) -> Iterator[Check]:
    """Check that the driver is loaded and answers: module, nouveau, library, versions, a wedged driver."""
    title, need = "NVIDIA driver", {"requirement": Requirement.DRIVER, "source": _NVML}
    cards = nvidia_gpus(pci_devices(machine))
    if snapshot.code == binding.SUCCESS and (snapshot.gpus or not cards):
        if not snapshot.gpus:
            yield skipped("gpu.driver", title, _NO_GPU, observed=f"driver {snapshot.driver}", absent=True, **need)
            return
        yield passed("gpu.driver", title, f"driver {snapshot.driver}, NVML {snapshot.nvml}", **need)
        return
    if not cards and snapshot.code not in binding.OF_A_LOADED_DRIVER:
        yield skipped("gpu.driver", title, _NO_GPU, absent=True, **need)
        return
    module = machine.text("/sys/module/nvidia/version") or machine.text("/proc/driver/nvidia/version")
    nouveau = machine.exists("/sys/module/nouveau") or any(card.driver == "nouveau" for card in cards)
    passed_on = [card for card in cards if card.driver == "vfio-pci"]
    seen = f"NVML: {snapshot.text or snapshot.code}; " + (f"module {module.splitlines()[0]}" if module else "no module")
    evidence = tuple(f"{card.label} driver {card.driver or 'none'}" for card in cards)
    install = (f"install the driver: {_DRIVER_DOC}",)
    actions: tuple[str, ...]
    if nouveau:
        reason = "the cards are held by nouveau, which does not serve CUDA"
        actions = (
            "echo 'blacklist nouveau' | sudo tee /etc/modprobe.d/no-nouveau.conf",
            "sudo update-initramfs -u && sudo reboot",
            *install,
        )
    elif cards and len(passed_on) == len(cards):
        reason = "all cards are set aside for virtual machines (vfio-pci)"
        actions = ("run doctor inside the virtual machine, or bind the cards to nvidia",)
    elif snapshot.code == binding.TIMEOUT:
        reason = "the driver does not answer: it is wedged"
        actions = ("sudo dmesg | grep -iE 'nvrm|xid'", "sudo reboot")
    elif snapshot.code == binding.VERSION_MISMATCH:
        reason = "kernel module and library are of different versions, as after an update without a reboot"
        actions = ("sudo reboot", "sudo rmmod nvidia_uvm nvidia_drm nvidia_modeset nvidia && sudo modprobe nvidia")
    elif snapshot.code == binding.LIBRARY_NOT_FOUND and module:
        reason = "the module is loaded and its library libnvidia-ml.so.1 is missing"
        actions = (
            "ldconfig -p | grep libnvidia-ml",
            "in a container: run it with the NVIDIA Container Toolkit",
            *install,
        )
    elif not module:
        reason = "a GPU is present, and the NVIDIA kernel module is not loaded"
        actions = ("sudo modprobe nvidia", *install)
    else:
        reason = "the driver is loaded and does not answer as it should"
        actions = ("sudo dmesg | grep -iE 'nvrm|xid'", "nvidia-smi", "sudo reboot")
    yield failed("gpu.driver", title, seen, reason, evidence=evidence, actions=actions, **need)


def toolkit_version(machine: Machine) -> tuple[tuple[int, int] | None, str]:
    """Find the CUDA toolkit: its (major, minor) and where it was seen; None when it is not there."""
    for command in (("nvcc", "--version"), ("/usr/local/cuda/bin/nvcc", "--version")):
        answer = machine.run(command, 10.0)
        found = re.search(r"release (\d+)\.(\d+)", answer.stdout) if answer is not None and answer.ok else None
        if found:
            return (int(found[1]), int(found[2])), command[0]
    text = machine.text("/usr/local/cuda/version.json") or ""
    found = re.search(r'"cuda"\s*:\s*\{[^}]*"version"\s*:\s*"(\d+)\.(\d+)', text)
    if found:
        return (int(found[1]), int(found[2])), "/usr/local/cuda/version.json"
    for folder in ("/usr/local/cuda/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64"):
        for name in machine.names(folder):
            found = re.fullmatch(r"libcudart\.so\.(\d+)\.(\d+)[.\d]*", name)
            if found:
                return (int(found[1]), int(found[2])), f"{folder}/{name}"
    return None, ""


def check_cuda(machine: Machine, snapshot: GpuSnapshot) -> Iterator[Check]:
    """Check for a CUDA toolkit or runtime, and that the driver is new enough for it."""
    need = {"requirement": Requirement.CUDA}
    if not nvidia_gpus(pci_devices(machine)) and not snapshot.gpus:
        yield skipped("cuda.toolkit", "CUDA", _NO_GPU, absent=True, **need)
        return
    version, where = toolkit_version(machine)
    if version is None:
        yield failed(
            "cuda.toolkit", "CUDA", "no nvcc, no /usr/local/cuda, no libcudart",
            "neither a toolkit nor a runtime is installed on the host (programs that bring their own still work)",
            actions=("https://developer.nvidia.com/cuda-downloads   # or install a program that brings CUDA",),
            **need,
        )  # fmt: skip
        return
    yield passed("cuda.toolkit", "CUDA", f"CUDA {version[0]}.{version[1]} ({where})", **need)
    served = snapshot.cuda_version
    source = "https://docs.nvidia.com/deploy/cuda-compatibility/"
    if served is None:
        yield unknown("cuda.match", "Driver and CUDA", "the driver does not say which CUDA it serves", source=source)
        return
    seen = f"the driver serves CUDA up to {served[0]}.{served[1]}, installed is {version[0]}.{version[1]}"
    if version[0] > served[0]:
        yield failed(
            "cuda.match", "Driver and CUDA", seen, "the CUDA installed is newer than the driver serves",
            source=source, actions=(f"update the driver: {_DRIVER_DOC}", f"or install CUDA {served[0]}.{served[1]}"),
            **need,
        )  # fmt: skip
    elif version > served:
        yield warned(
            "cuda.match", "Driver and CUDA", seen,
            "a newer minor version runs, but what is compiled at run time (PTX) does not",
            source=source, actions=(f"update the driver: {_DRIVER_DOC}",), **need,
        )  # fmt: skip
    else:
        yield passed("cuda.match", "Driver and CUDA", seen, source=source, **need)
