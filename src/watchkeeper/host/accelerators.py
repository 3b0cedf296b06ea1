"""Checks of what goes with GPUs, and of other makes: fabric manager, InfiniBand, AWS Neuron, AMD.

Enters: a Machine, limits. Leaves: Checks, those of devices that are not there as skipped. Sources: sysfs of the Linux
kernel (infiniband class), neuron-monitor's user guide, AMD SMI's command line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from watchkeeper.host.check import Check, failed, passed, skipped, unknown, warned
from watchkeeper.host.history import Condition
from watchkeeper.host.host_health import condition_check
from watchkeeper.host.machine import Machine
from watchkeeper.host.pci import amd_gpus, neuron_devices, nvswitches, pci_devices
from watchkeeper.host.thresholds import Thresholds

_INFINIBAND = "/sys/class/infiniband"
_RATE = re.compile(r"\d+(?:\.\d+)?")


def check_fabric_manager(machine: Machine) -> Iterator[Check]:
    """Check that the fabric manager runs where there are NVSwitches."""
    title = "Fabric manager"
    switches = nvswitches(pci_devices(machine))
    if not switches and not machine.exists("/dev/nvidia-nvswitchctl"):
        yield skipped("gpu.fabric_manager", title, "there is no NVSwitch in this machine", absent=True)
        return
    answer = machine.run(("systemctl", "is-active", "nvidia-fabricmanager"), 10.0)
    seen = f"{len(switches)} NVSwitches; service {answer.stdout.strip() if answer else 'not told'}"
    if answer is None:
        yield unknown("gpu.fabric_manager", title, "systemctl is not there to ask", observed=seen)
    elif answer.stdout.strip() == "active":
        yield passed("gpu.fabric_manager", title, seen)
    else:
        yield failed(
            "gpu.fabric_manager", title, seen, "CUDA does not start on GPUs behind NVSwitches without it",
            source="gpud (leptonai/gpud)", threshold="active",
            actions=("sudo systemctl enable --now nvidia-fabricmanager", "sudo journalctl -u nvidia-fabricmanager -b"),
        )  # fmt: skip


class Port(NamedTuple):
    """One InfiniBand port; `drops` counts how often the link went down, None when not told."""

    name: str
    active: bool
    rate_gbps: float
    drops: int | None


def infiniband_ports(machine: Machine) -> list[Port]:
    """List the ports that sysfs shows, those that speak Ethernet left out."""
    ports = []
    for device in machine.names(_INFINIBAND):
        for number in machine.names(f"{_INFINIBAND}/{device}/ports"):
            place = f"{_INFINIBAND}/{device}/ports/{number}"
            if (machine.text(f"{place}/link_layer") or "InfiniBand") != "InfiniBand":
                continue
            state, rate = machine.text(f"{place}/state") or "", _RATE.match(machine.text(f"{place}/rate") or "")
            drops = machine.number(f"{place}/counters/link_downed")
            ports.append(Port(f"{device}/{number}", "ACTIVE" in state, float(rate[0]) if rate else 0.0, drops))
    return ports


def check_infiniband(machine: Machine, limits: Thresholds, drops: list[Condition]) -> Iterator[Check]:
    """Check ports up and their rate; a drop warns until an operator clears it."""
    title, ports = "InfiniBand", infiniband_ports(machine)
    least, rate = int(limits["infiniband_ports_min"]), limits["infiniband_rate_gbps_min"]
    if not ports and not least:
        yield skipped("infiniband.ports", title, "there is no InfiniBand in this machine", absent=True)
        return
    up = [port for port in ports if port.active]
    slow = [port for port in up if port.rate_gbps < rate]
    seen = f"{len(up)} of {len(ports)} ports active" + "".join(f", {port.name} {port.rate_gbps:g} Gb/s" for port in up)
    told = {
        "threshold": f"at least {least} ports at {rate:g} Gb/s",
        "source": limits.source("infiniband_ports_min"),
        "actions": ("ibstat", "look at cable, transceiver and the switch's port"),
    }
    if len(up) < least:
        yield failed("infiniband.ports", title, seen, f"{least} ports are expected to be up", **told)
    elif slow:
        reason = f"{', '.join(port.name for port in slow)} below {rate:g} Gb/s"
        yield failed("infiniband.ports", title, seen, reason, **told)
    else:
        yield passed("infiniband.ports", title, seen, **{**told, "actions": ()})
    for condition in drops:
        yield condition_check(condition, "infiniband.drop", "", "InfiniBand drop")


def check_neuron(machine: Machine) -> Iterator[Check]:
    """Check AWS Neuron devices by the first report of neuron-monitor: errors by kind, ECC, time-outs."""
    title, devices = "AWS Neuron", neuron_devices(pci_devices(machine))
    if not devices and not machine.exists("/dev/neuron0"):
        yield skipped("neuron.devices", title, "there is no Neuron device in this machine", absent=True)
        return
    seen = f"{len(devices)} devices"
    if not machine.exists("/dev/neuron0") and not machine.exists("/sys/module/neuron"):
        fix = ("sudo apt-get install aws-neuronx-dkms",)
        yield failed("neuron.devices", title, seen, "the neuron driver is not loaded", actions=fix)
        return
    answer = machine.run(("neuron-monitor",), 8.0)
    report = _first_report(answer.stdout if answer else "")
    if report is None:
        fix = ("sudo apt-get install aws-neuronx-tools",)
        yield unknown("neuron.devices", title, "neuron-monitor does not answer", observed=seen, actions=fix)
        return
    grave, slight = neuron_troubles(report)
    if grave:
        reason = "; ".join(grave)
        yield failed(
            "neuron.devices", title, seen, reason, source="neuron-monitor", actions=("neuron-top", "sudo reboot")
        )
    elif slight:
        yield warned("neuron.devices", title, seen, "; ".join(slight), source="neuron-monitor", actions=("neuron-top",))
    else:
        yield passed("neuron.devices", title, seen, source="neuron-monitor")


def _first_report(text: str) -> Mapping[str, Any] | None:
    for line in text.splitlines():
        try:
            data = json.loads(line)
        except ValueError:
            continue
        if isinstance(data, dict):
            return data
    return None


def neuron_troubles(report: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Pick grave and slight troubles out of a report; a group's own `error` counts as grave.

    >>> neuron_troubles({"system_data": {"neuron_hw_counters": {"neuron_devices": [
    ...     {"neuron_device_index": 0, "mem_ecc_uncorrected": 2}], "error": ""}}})
    (['device 0: mem_ecc_uncorrected 2'], [])
    """
    grave: list[str] = []
    slight: list[str] = []
    for runtime in _objects(report.get("neuron_runtime_data")):
        name, told = f"runtime {runtime.get('pid', '?')}", _object(runtime.get("report"))
        groups = {name: runtime, **{f"{name} {key}": value for key, value in told.items()}}
        grave += [f"{key}: {error}" for key, group in groups.items() if (error := _object(group).get("error"))]
        stats = _object(told.get("execution_stats"))
        for kind, count in _object(stats.get("error_summary")).items():
            if count:
                (grave if kind == "hardware" else slight).append(f"{name}: {count} {kind} errors")
        if late := _object(stats.get("execution_summary")).get("timed_out"):
            slight.append(f"{name}: {late} executions timed out")
    system = _object(report.get("system_data"))
    grave += [f"{key}: {error}" for key, group in system.items() if (error := _object(group).get("error"))]
    for device in _objects(_object(system.get("neuron_hw_counters")).get("neuron_devices")):
        for key in ("mem_ecc_uncorrected", "sram_ecc_uncorrected"):
            if device.get(key):
                grave.append(f"device {device.get('neuron_device_index', '?')}: {key} {device[key]}")
    return grave, slight


def _object(value: Any) -> Mapping[str, Any]:
    """Give a JSON object, an empty one for anything else: what another version of a tool tells ends no check."""
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def check_amd(machine: Machine) -> Iterator[Check]:
    """Check AMD GPUs: the driver is bound, and no uncorrected error where amd-smi tells."""
    title, cards = "AMD GPU", amd_gpus(pci_devices(machine))
    if not cards:
        yield skipped("amd.gpus", title, "there is no AMD GPU in this machine", absent=True)
        return
    seen = f"{len(cards)} on the PCI bus"
    evidence = tuple(f"{card.label} driver {card.driver or 'none'}" for card in cards)
    if not any(card.driver for card in cards):
        fix = ("sudo modprobe amdgpu",)
        yield failed("amd.gpus", title, seen, "the amdgpu driver is not loaded", evidence=evidence, actions=fix)
        return
    answer = machine.run(("amd-smi", "metric", "--ecc", "--json"), 20.0)
    if answer is None or not answer.ok:
        yield passed(
            "amd.gpus", title, f"{seen}; amd-smi is not there, so errors of memory are unknown", evidence=evidence
        )
        return
    try:
        data = json.loads(answer.stdout)
    except ValueError:
        data = None
    if not isinstance(data, list | dict):
        yield unknown("amd.gpus", title, "amd-smi's answer cannot be read", observed=seen, evidence=evidence)
        return
    rows = _objects(data if isinstance(data, list) else data.get("gpu_data"))
    bad = [f"GPU {row.get('gpu', '?')}: {count} uncorrected errors" for row in rows if (count := _uncorrected(row))]
    if bad:
        yield failed(
            "amd.gpus", title, seen, "; ".join(bad), source="amd-smi", actions=("sudo amd-smi reset --gpureset",)
        )
    else:
        told = sum(_uncorrected(row) is not None for row in rows)
        errors = "no uncorrected errors" if told >= len(cards) else f"uncorrected errors: 0, told by {told} of them"
        yield passed("amd.gpus", title, f"{seen}; {errors}", source="amd-smi", evidence=evidence)


def _uncorrected(row: Mapping[str, Any]) -> int | None:
    """Count uncorrected errors; None where they are not told, as of a GPU without ECC ("N/A")."""
    value = _object(row.get("ecc")).get("total_uncorrectable_count")
    value = _object(value).get("value", value)
    return int(value) if str(value).isdecimal() else None
