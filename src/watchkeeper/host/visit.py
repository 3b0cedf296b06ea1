"""Puts doctor and the survey together from settings: the machine below a root, its GPUs, limits, history and trail.

Enters: Settings, a root, perhaps the path of an NVML library. Leaves: an Outlook, which looks and reports. Of a
recorded machine the reading of the GPUs is `nvml.json` in it, when it is there, and nothing is run. History and trail
lie under the home folder, by host.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from watchkeeper.errors import SettingError
from watchkeeper.host import cuda_probe
from watchkeeper.host import nvml as binding
from watchkeeper.host.check import Check, Report, timed
from watchkeeper.host.doctor import PORTS, Visit, examine
from watchkeeper.host.exits import ExitStyle
from watchkeeper.host.gpu import NO_LIBRARY, GpuSnapshot, snapshot_from_answer
from watchkeeper.host.history import History
from watchkeeper.host.machine import Machine
from watchkeeper.host.nvml_client import NvmlClient
from watchkeeper.host.survey import HostHealth, Survey
from watchkeeper.host.thresholds import Thresholds
from watchkeeper.host.trail import Trail
from watchkeeper.settings import Settings

_DOCTORS_OWN = {"gpu.nvml", "gpu.present"}
"""Checks of a look that doctor makes itself, and tells more of."""


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


def recorded_snapshot(machine: Machine) -> GpuSnapshot:
    """Read `nvml.json` of a recorded machine; as without a library when it is not there."""
    text = machine.text("/nvml.json")
    try:
        return snapshot_from_answer(json.loads(text)) if text else NO_LIBRARY
    except (ValueError, TypeError, KeyError) as error:
        raise SettingError(f"{machine.path('/nvml.json')} is not a recorded answer of NVML: {error}") from error


class Outlook:
    """A machine that is looked at, with all that is remembered of it; a context manager, for it may hold a process."""

    def __init__(
        self, settings: Settings, root: Path = Path("/"), library: str = "", *, machine: Machine | None = None
    ) -> None:
        self.machine = machine or machine_at(root)
        self.limits = Thresholds.of(settings)
        self._ports = {name: settings.integer(name) for name in PORTS}
        folder = settings.path("home") / "host" / (re.sub(r"[^\w.-]", "_", self.machine.host) or "host")
        self.history = History(folder, now_unix_ns=self.machine.now_unix_ns)
        trail_file = folder / "trail.json"
        self._client: NvmlClient | None = None
        self._library = library
        if not self.machine.recorded or library:
            self._client = NvmlClient(library or binding.LIBRARY, timeout_s=self.limits["gpu_read_timeout_s"])
        read: Callable[[], GpuSnapshot] = self._client.read if self._client else lambda: recorded_snapshot(self.machine)
        trail = Trail.load(trail_file, self.machine.boot_id)
        self.survey = Survey(self.machine, self.limits, read, self.history, trail, trail_file=trail_file)

    def __enter__(self) -> Outlook:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            self._client.close()

    def look(self) -> HostHealth:
        """Look once at GPUs and host."""
        return self.survey.look()

    def report(self) -> tuple[Report, HostHealth]:
        """Run all of doctor's checks, and give the look that they include."""
        began_s = time.perf_counter()
        health = self.look()
        visit = Visit(self.machine, self.limits, health.snapshot, self._ports)
        more = [*timed(self._cuda(visit)), *(check for check in health.all_checks if check.id not in _DOCTORS_OWN)]
        report = examine(visit, more=more)
        duration_ms = (time.perf_counter() - began_s) * 1000
        return replace(report, started_unix_ns=health.time_unix_ns, duration_ms=duration_ms), health

    def _cuda(self, visit: Visit) -> Iterator[Check]:
        """Start CUDA and look at torch; of a recorded machine nothing can be started."""
        if self.machine.recorded:
            return
        driven = visit.has_gpu and visit.snapshot.code == binding.SUCCESS
        if driven and not self._library:
            yield from cuda_probe.check_cuda_start(self.limits["gpu_read_timeout_s"])
        served = visit.snapshot.cuda_version
        yield from cuda_probe.check_torch(cuda_probe.torch_version_file(), served, has_gpu=visit.has_gpu)
