"""Accelerators on the PCI bus, and whether this is a virtual machine. Reads /sys and /proc, needs no driver.

Enters: a Machine. Leaves: PciDevice rows and the name of the hypervisor. A missing driver can so be told from a missing
card, and a virtual machine that no card is passed through to from a computer that has none.
"""

from __future__ import annotations

from typing import NamedTuple

from watchkeeper.host.machine import Machine

NVIDIA, AMD, AMAZON = 0x10DE, 0x1002, 0x1D0F
_DISPLAY, _ACCELERATOR, _BRIDGE = 0x03, 0x12, 0x0680
_HYPERVISORS = {
    "kvm": "KVM", "qemu": "QEMU", "vmware": "VMware", "virtualbox": "VirtualBox", "xen": "Xen", "hvm domu": "Xen",
    "microsoft corporation": "Hyper-V", "amazon ec2": "Amazon EC2", "google": "Google Compute Engine",
    "bochs": "Bochs", "firecracker": "Firecracker", "parallels": "Parallels", "openstack": "OpenStack",
}  # fmt: skip


class PciDevice(NamedTuple):
    """One device: address `0000:01:00.0`, vendor, device and class ids, and the driver bound to it, "" when none."""

    address: str
    vendor: int
    device: int
    kind: int
    driver: str

    @property
    def label(self) -> str:
        """Give address and ids in the manner of lspci, `0000:01:00.0 10de:2330`."""
        return f"{self.address} {self.vendor:04x}:{self.device:04x}"


def pci_devices(machine: Machine) -> list[PciDevice]:
    """List the devices on the bus, by address; empty where /sys shows none."""
    base = "/sys/bus/pci/devices"
    rows = []
    for address in machine.names(base):
        place = f"{base}/{address}"
        vendor, device, kind = (machine.number(f"{place}/{name}") for name in ("vendor", "device", "class"))
        if vendor is not None:
            rows.append(
                PciDevice(address, vendor, device or 0, (kind or 0) >> 8, machine.link(f"{place}/driver") or "")
            )
    return rows


def nvidia_gpus(devices: list[PciDevice]) -> list[PciDevice]:
    """Keep NVIDIA's graphics and compute cards: display controllers and processing accelerators of vendor 10de."""
    return [row for row in devices if row.vendor == NVIDIA and row.kind >> 8 in {_DISPLAY, _ACCELERATOR}]


def nvswitches(devices: list[PciDevice]) -> list[PciDevice]:
    """Keep NVIDIA's NVLink switches, which show as bridges of vendor 10de."""
    return [row for row in devices if row.vendor == NVIDIA and row.kind == _BRIDGE]


def amd_gpus(devices: list[PciDevice]) -> list[PciDevice]:
    """Keep AMD's graphics and compute cards."""
    return [row for row in devices if row.vendor == AMD and row.kind >> 8 in {_DISPLAY, _ACCELERATOR}]


def neuron_devices(devices: list[PciDevice]) -> list[PciDevice]:
    """Keep AWS Inferentia and Trainium, whose PCI ids lie in 1d0f:7064 to 1d0f:7564."""
    return [row for row in devices if row.vendor == AMAZON and 0x7064 <= row.device <= 0x7564]


def hypervisor(machine: Machine) -> str:
    """Name the hypervisor that this is a guest of; "" for a computer of its own, `a hypervisor` when it has no name."""
    said = " ".join(
        (machine.text(f"/sys/class/dmi/id/{name}") or "").lower()
        for name in ("sys_vendor", "product_name", "board_vendor")
    )
    flags = next((line for line in (machine.text("/proc/cpuinfo") or "").splitlines() if line.startswith("flags")), "")
    guest = " hypervisor" in f"{flags} "
    if machine.text("/sys/hypervisor/type") == "xen":
        return "Xen"
    named = next((name for mark, name in _HYPERVISORS.items() if mark in said), "")
    if named and (guest or not flags):
        return named
    return "a hypervisor" if guest else ""
