"""GPU metrics as Prometheus text under the names of NVIDIA's DCGM exporter, so that its dashboards work unchanged.

Enters: a HostHealth. Leaves: text (exposition format 0.0.4). A value that was not read is left out, and not written as
0. Names and labels: dcgm-exporter's default counters and field names of DCGM (DCGM_FI_*). What DCGM has no name for
(health, open XIDs) stands under watchkeeper_gpu_*.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from watchkeeper.host.check import CheckStatus
from watchkeeper.host.gpu import Gpu
from watchkeeper.host.survey import GpuHealth, HealthState, HostHealth

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_MIB = 2**20


class Metric(NamedTuple):
    """One metric of a GPU: `read` gives its value, None when it was not read."""

    name: str
    type: str
    help: str
    read: Callable[[Gpu], float | None]


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _count(values: tuple[int, ...] | None) -> float | None:
    return None if values is None else float(len(values))


METRICS: tuple[Metric, ...] = (
    Metric("DCGM_FI_DEV_SM_CLOCK", "gauge", "Clock of the SMs, MHz.", lambda gpu: gpu.clock_sm_mhz),
    Metric("DCGM_FI_DEV_MEM_CLOCK", "gauge", "Clock of the memory, MHz.", lambda gpu: gpu.clock_memory_mhz),
    Metric("DCGM_FI_DEV_MEMORY_TEMP", "gauge", "Memory temperature, C.", lambda gpu: gpu.memory_temperature_c),
    Metric("DCGM_FI_DEV_GPU_TEMP", "gauge", "GPU temperature, C.", lambda gpu: gpu.temperature_c),
    Metric("DCGM_FI_DEV_POWER_USAGE", "gauge", "Power draw, W.", lambda gpu: gpu.power_w),
    Metric("DCGM_FI_DEV_POWER_MGMT_LIMIT", "gauge", "Power limit, W.", lambda gpu: gpu.power_limit_w),
    Metric(
        "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "counter", "Energy since the driver was loaded, mJ.",
        lambda gpu: gpu.energy_mj,
    ),
    Metric("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "counter", "PCI Express replays.", lambda gpu: gpu.pcie_replays),
    Metric("DCGM_FI_DEV_PCIE_LINK_GEN", "gauge", "PCI Express generation in use.", lambda gpu: gpu.pcie_generation),
    Metric("DCGM_FI_DEV_PCIE_LINK_WIDTH", "gauge", "PCI Express lanes in use.", lambda gpu: gpu.pcie_width),
    Metric("DCGM_FI_DEV_GPU_UTIL", "gauge", "GPU utilisation, percent.", lambda gpu: gpu.utilization_percent),
    Metric(
        "DCGM_FI_DEV_MEM_COPY_UTIL", "gauge", "Memory utilisation, percent.",
        lambda gpu: gpu.memory_utilization_percent,
    ),
    Metric("DCGM_FI_DEV_ENC_UTIL", "gauge", "Encoder in use, percent.", lambda gpu: gpu.encoder_utilization_percent),
    Metric("DCGM_FI_DEV_DEC_UTIL", "gauge", "Decoder in use, percent.", lambda gpu: gpu.decoder_utilization_percent),
    Metric("DCGM_FI_DEV_FB_TOTAL", "gauge", "Memory, MiB.", lambda gpu: _scaled(gpu.memory_total_bytes, 1 / _MIB)),
    Metric("DCGM_FI_DEV_FB_FREE", "gauge", "Free memory, MiB.", lambda gpu: _scaled(gpu.memory_free_bytes, 1 / _MIB)),
    Metric("DCGM_FI_DEV_FB_USED", "gauge", "Used memory, MiB.", lambda gpu: _scaled(gpu.memory_used_bytes, 1 / _MIB)),
    Metric(
        "DCGM_FI_DEV_CLOCK_THROTTLE_REASONS", "gauge", "Why clocks are held down, bits of NVML.",
        lambda gpu: gpu.throttle_reasons,
    ),
    Metric(
        "DCGM_FI_DEV_POWER_VIOLATION", "counter", "Time held down by the power limit, ns.",
        lambda gpu: gpu.power_violation_ns,
    ),
    Metric(
        "DCGM_FI_DEV_THERMAL_VIOLATION", "counter", "Time held down by heat, ns.",
        lambda gpu: gpu.thermal_violation_ns,
    ),
    Metric(
        "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL", "counter", "Mended memory errors since the driver was loaded.",
        lambda gpu: gpu.ecc_corrected_volatile,
    ),
    Metric(
        "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", "counter", "Unmended memory errors since the driver was loaded.",
        lambda gpu: gpu.ecc_uncorrected_volatile,
    ),
    Metric(
        "DCGM_FI_DEV_ECC_SBE_AGG_TOTAL", "counter", "Mended memory errors of the board's life.",
        lambda gpu: gpu.ecc_corrected_aggregate,
    ),
    Metric(
        "DCGM_FI_DEV_ECC_DBE_AGG_TOTAL", "counter", "Unmended memory errors of the board's life.",
        lambda gpu: gpu.ecc_uncorrected_aggregate,
    ),
    Metric(
        "DCGM_FI_DEV_RETIRED_SBE", "counter", "Pages retired for mended errors.",
        lambda gpu: _count(gpu.pages_retired_corrected),
    ),
    Metric(
        "DCGM_FI_DEV_RETIRED_DBE", "counter", "Pages retired for double-bit errors.",
        lambda gpu: _count(gpu.pages_retired_double_bit),
    ),
    Metric("DCGM_FI_DEV_RETIRED_PENDING", "gauge", "Pages that wait to be retired.", lambda gpu: gpu.pages_pending),
    Metric(
        "DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", "counter", "Rows remapped for mended errors.",
        lambda gpu: gpu.rows_remapped_corrected,
    ),
    Metric(
        "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", "counter", "Rows remapped for unmended errors.",
        lambda gpu: gpu.rows_remapped_uncorrected,
    ),
    Metric("DCGM_FI_DEV_ROW_REMAP_PENDING", "gauge", "Whether a row waits for it.", lambda gpu: gpu.rows_pending),
    Metric("DCGM_FI_DEV_ROW_REMAP_FAILURE", "gauge", "Whether remapping a row failed.", lambda gpu: gpu.rows_failed),
    Metric(
        "DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL", "counter", "NVLink checksum errors of flits.",
        lambda gpu: gpu.links_total("crc_flit"),
    ),
    Metric(
        "DCGM_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL", "counter", "NVLink checksum errors of data.",
        lambda gpu: gpu.links_total("crc_data"),
    ),
    Metric(
        "DCGM_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL", "counter", "NVLink replays.",
        lambda gpu: gpu.links_total("replay"),
    ),
    Metric(
        "DCGM_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL", "counter", "NVLink recoveries.",
        lambda gpu: gpu.links_total("recovery"),
    ),
)  # fmt: skip


def last_xid(health: GpuHealth) -> float | None:
    """Give the code of the last open XID, 0 for none, as DCGM_FI_DEV_XID_ERRORS does; None where nobody tells any."""
    if any(check.id == "gpu.xid" and check.status is CheckStatus.SKIPPED for check in health.checks):
        return None
    xids = [each for each in health.conditions if each.kind == "xid"]
    return float(max(xids, key=lambda each: each.last_unix_ns).code) if xids else 0.0


def labels(health: HostHealth, gpu: Gpu) -> dict[str, str]:
    """Give the labels that the DCGM exporter puts on every sample."""
    return {
        "gpu": str(gpu.index),
        "UUID": gpu.uuid or "",
        "pci_bus_id": gpu.pci or "",
        "device": f"nvidia{gpu.index}",
        "modelName": gpu.name or "",
        "Hostname": health.host,
        "DCGM_FI_DRIVER_VERSION": health.snapshot.driver or "",
    }


def exposition(health: HostHealth) -> str:
    """Write all metrics of a look as text."""
    lines: list[str] = []
    for metric in METRICS:
        samples = [
            (labels(health, each.gpu), value) for each in health.gpus if (value := metric.read(each.gpu)) is not None
        ]
        _family(lines, metric.name, metric.type, metric.help, samples)
    xids = [(labels(health, each.gpu), xid) for each in health.gpus if (xid := last_xid(each)) is not None]
    _family(lines, "DCGM_FI_DEV_XID_ERRORS", "gauge", "The last open XID, 0 for none.", xids)
    states = [
        ({**labels(health, each.gpu), "state": state.value}, float(each.state is state))
        for each in health.gpus
        for state in HealthState
        if state is not HealthState.NO_GPU
    ]
    _family(lines, "watchkeeper_gpu_health", "gauge", "1 for the state that the GPU is in.", states)
    counts = [({"Hostname": health.host}, float(len(health.gpus)))]
    _family(lines, "watchkeeper_gpu_count", "gauge", "GPUs that the driver shows.", counts)
    return "\n".join(lines) + "\n"


def _family(
    lines: list[str], name: str, kind: str, text: str, samples: Iterable[tuple[Mapping[str, str], float]]
) -> None:
    rows = list(samples)
    if rows:
        lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
    for said, value in rows:
        pairs = ",".join(f'{key}="{_escape(each)}"' for key, each in said.items())
        lines.append(f"{name}{{{pairs}}} {value:.17g}")


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
