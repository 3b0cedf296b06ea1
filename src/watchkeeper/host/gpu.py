"""What one reading of the GPUs says: a Gpu each, and the driver. Plain data, with nothing judged.

Enters: the answer of the NVML worker. Leaves: a GpuSnapshot. A value that was not read is None, and None is unknown,
never zero. Units stand in the names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from watchkeeper.host import nvml as binding

THROTTLE_REASONS = {
    0x1: "idle",
    0x2: "application clocks",
    0x4: "software power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "hardware power brake",
    0x100: "display clocks",
}
THROTTLE_HARDWARE = 0x8 | 0x40 | 0x80
THROTTLE_THERMAL = 0x20 | 0x40


@dataclass(frozen=True)
class NvLink:
    """One NVLink of a GPU with its error counters, since the driver was loaded."""

    link: int
    active: bool
    replay: int | None = None
    recovery: int | None = None
    crc_flit: int | None = None
    crc_data: int | None = None


@dataclass(frozen=True)
class GpuProcess:
    """A process on a GPU; `kind` is compute or graphics."""

    pid: int
    kind: str
    memory_bytes: int | None = None


@dataclass(frozen=True)
class Gpu:
    """One GPU. `error_code` is NVML's when it could not be read (15 lost, 16 must be reset), else 0.

    Margins are in degrees Celsius below the temperature at which clocks are slowed; `*_margin_c` are the limits on
    that scale. Retired pages are Unix seconds, one each. Counters named volatile count since the driver was loaded.
    """

    index: int
    uuid: str | None = None
    name: str | None = None
    pci: str | None = None
    error_code: int = 0
    error: str = ""
    mig: bool | None = None
    temperature_c: float | None = None
    memory_temperature_c: float | None = None
    margin_c: float | None = None
    shutdown_margin_c: float | None = None
    slowdown_margin_c: float | None = None
    memory_max_margin_c: float | None = None
    gpu_max_margin_c: float | None = None
    shutdown_c: float | None = None
    slowdown_c: float | None = None
    memory_max_c: float | None = None
    gpu_max_c: float | None = None
    memory_total_bytes: int | None = None
    memory_used_bytes: int | None = None
    memory_free_bytes: int | None = None
    utilization_percent: float | None = None
    memory_utilization_percent: float | None = None
    encoder_utilization_percent: float | None = None
    decoder_utilization_percent: float | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    energy_mj: int | None = None
    clock_graphics_mhz: int | None = None
    clock_sm_mhz: int | None = None
    clock_memory_mhz: int | None = None
    clock_graphics_max_mhz: int | None = None
    clock_sm_max_mhz: int | None = None
    clock_memory_max_mhz: int | None = None
    throttle_reasons: int | None = None
    power_violation_ns: int | None = None
    thermal_violation_ns: int | None = None
    ecc_enabled: bool | None = None
    ecc_corrected_volatile: int | None = None
    ecc_corrected_aggregate: int | None = None
    ecc_uncorrected_volatile: int | None = None
    ecc_uncorrected_aggregate: int | None = None
    rows_remapped_corrected: int | None = None
    rows_remapped_uncorrected: int | None = None
    rows_pending: int | None = None
    rows_failed: int | None = None
    pages_retired_corrected: tuple[int, ...] | None = None
    pages_retired_double_bit: tuple[int, ...] | None = None
    pages_pending: int | None = None
    pcie_replays: int | None = None
    pcie_generation: int | None = None
    pcie_generation_max: int | None = None
    pcie_width: int | None = None
    pcie_width_max: int | None = None
    nvlinks: tuple[NvLink, ...] = ()
    nvlink_recovery_events: int | None = None
    fabric: Mapping[str, int] | None = None
    recovery_action: int | None = None
    events_watched: bool = False
    processes: tuple[GpuProcess, ...] | None = None

    @property
    def id(self) -> str:
        """Give what names the GPU best: its UUID, else its PCI address, else its index."""
        return self.uuid or self.pci or f"gpu{self.index}"

    @property
    def throttles(self) -> list[str]:
        """Name the reasons that hold the clocks down now; empty when none or not known."""
        return [name for bit, name in THROTTLE_REASONS.items() if (self.throttle_reasons or 0) & bit]

    def links_total(self, counter: str) -> int | None:
        """Sum a counter over the NVLinks; None when there are none or none was read."""
        values = [value for link in self.nvlinks if (value := getattr(link, counter)) is not None]
        return sum(values) if values else None

    def as_dict(self) -> dict[str, Any]:
        """Give plain data for JSON."""
        return {**asdict(self), "throttles": self.throttles}


@dataclass(frozen=True)
class GpuEvent:
    """An event that the driver told: `kind` is xid (data: its number), double_bit_ecc or single_bit_ecc_storm."""

    uuid: str
    kind: str
    data: int


@dataclass(frozen=True)
class GpuSnapshot:
    """One reading: `code` is NVML's answer as a whole (0, 9 no driver, 10 no answer in time, 12 no library, 18 ...)."""

    code: int
    text: str = ""
    driver: str | None = None
    nvml: str | None = None
    cuda: int | None = None
    gpus: tuple[Gpu, ...] = ()
    events: tuple[GpuEvent, ...] = field(default=())

    @property
    def cuda_version(self) -> tuple[int, int] | None:
        """Give the newest CUDA version that the driver serves, as (major, minor)."""
        return None if not self.cuda else (self.cuda // 1000, self.cuda % 1000 // 10)


def snapshot_from_answer(answer: Mapping[str, Any]) -> GpuSnapshot:
    """Read the worker's answer, or a recorded one; what this version does not know is left out."""
    return GpuSnapshot(
        code=int(answer.get("code", 999)),
        text=str(answer.get("text", "")),
        driver=answer.get("driver"),
        nvml=answer.get("nvml"),
        cuda=answer.get("cuda"),
        gpus=tuple(_gpu(row) for row in answer.get("devices", ())),
        events=tuple(GpuEvent(row["uuid"], row["kind"], int(row["data"])) for row in answer.get("events", ())),
    )


NO_LIBRARY = GpuSnapshot(binding.LIBRARY_NOT_FOUND, "the NVML library is not there")

_KNOWN = {each.name for each in fields(Gpu)}


def _gpu(row: Mapping[str, Any]) -> Gpu:
    known = {name: value for name, value in row.items() if name in _KNOWN}
    error = row.get("error")
    if isinstance(error, Mapping):
        known |= {"error_code": int(error["code"]), "error": str(error["text"])}
    known["nvlinks"] = tuple(NvLink(**link) for link in row.get("nvlinks") or ())
    processes = row.get("processes")
    known["processes"] = None if processes is None else tuple(GpuProcess(**each) for each in processes)
    for name in ("pages_retired_corrected", "pages_retired_double_bit"):
        known[name] = None if row.get(name) is None else tuple(row[name])
    return Gpu(**known)
