"""Puts doctor together from settings: the machine below a root, the reading of its GPUs, the limits.

Enters: Settings, a root, perhaps the path of an NVML library. Leaves: a Report. Of a recorded machine the reading of
the GPUs is `nvml.json` in it, when it is there.
"""

from __future__ import annotations

import json
from pathlib import Path

from watchkeeper.errors import SettingError
from watchkeeper.host import nvml as binding
from watchkeeper.host.check import Report
from watchkeeper.host.doctor import PORTS, Visit, examine
from watchkeeper.host.exits import ExitStyle
from watchkeeper.host.gpu import NO_LIBRARY, GpuSnapshot, snapshot_from_answer
from watchkeeper.host.machine import Machine
from watchkeeper.host.nvml_client import NvmlClient
from watchkeeper.host.thresholds import Thresholds
from watchkeeper.settings import Settings


def exit_style_of(name: str) -> ExitStyle:
    """Read the name of a style; raises SettingError for one that there is not."""
    try:
        return ExitStyle(name)
    except ValueError:
        raise SettingError(f"--exit-style {name!r} is not one of {', '.join(ExitStyle)}") from None


def machine_at(root: Path) -> Machine:
    """Give the machine below a root; raises SettingError when there is no such folder."""
    if not root.is_dir():
        raise SettingError(
            f"--root {str(root)!r} is not a folder; name one that holds /proc, /sys and /etc of a machine"
        )
    return Machine.at(root)


def read_once(machine: Machine, library: str, limits: Thresholds) -> GpuSnapshot:
    """Read the GPUs once: the driver of this machine, or the recorded answer of another."""
    if machine.recorded and not library:
        return recorded_snapshot(machine)
    with NvmlClient(library or binding.LIBRARY, timeout_s=limits["gpu_read_timeout_s"]) as client:
        return client.read()


def recorded_snapshot(machine: Machine) -> GpuSnapshot:
    """Read `nvml.json` of a recorded machine; as without a library when it is not there."""
    text = machine.text("/nvml.json")
    return snapshot_from_answer(json.loads(text)) if text else NO_LIBRARY


def doctor_report(settings: Settings, root: Path, library: str) -> Report:
    """Examine the machine below a root."""
    machine, limits = machine_at(root), Thresholds.of(settings)
    ports = {name: settings.integer(name) for name in PORTS}
    return examine(Visit(machine, limits, read_once(machine, library, limits), ports))
