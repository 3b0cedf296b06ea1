"""The limits that checks hold values against: settings, each with the source of its default.

Enters: the settings in force. Leaves: numbers, and the words that a check shows beside them. Judges nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from watchkeeper.settings import SETTINGS, Settings

_DCGM = "NVIDIA DCGM health checks"
_GPUD = "gpud (leptonai/gpud)"
_OURS = "Watchkeeper's own"

SOURCES: dict[str, str] = {
    "host_usage_max": _GPUD,
    "host_usage_critical_max": _GPUD,
    "host_disk_free_min": _OURS,
    "host_memory_free_min": _OURS,
    "host_shm_bytes_min": "Docker's default of 64 MiB, which PyTorch's data loaders outgrow",
    "host_open_files_min": _OURS,
    "host_stuck_checks_max": _GPUD,
    "gpu_read_timeout_s": _OURS,
    "gpu_count_min": "what the operator says",
    "gpu_margin_c_min": _GPUD,
    "gpu_ecc_corrected_max": "DCGM and gcm (facebookresearch/gcm)",
    "gpu_pages_retired_max": _DCGM,
    "gpu_pages_double_bit_max": _DCGM,
    "gpu_pages_double_bit_week_max": _DCGM,
    "gpu_throttle_rate_max": _GPUD,
    "gpu_pcie_bit_errors_max": f"{_DCGM}; bit errors of the PCI Express base specification",
    "gpu_nvlink_crc_rate_max": _DCGM,
    "gpu_nvlink_count_min": "what the operator says",
    "infiniband_ports_min": "what the operator says",
    "infiniband_rate_gbps_min": "what the operator says",
}


class Thresholds:
    """The limits in force; those not given have their defaults.

    >>> Thresholds()["gpu_margin_c_min"], Thresholds({"gpu_margin_c_min": 5})["gpu_margin_c_min"]
    (10.0, 5.0)
    """

    def __init__(self, values: Mapping[str, float] | None = None) -> None:
        defaults = {setting.name: float(setting.default) for setting in SETTINGS if setting.name in SOURCES}
        given = {name: float(value) for name, value in (values or {}).items() if name in SOURCES}
        self._values = {**defaults, **given}
        self._chosen = {name for name, value in given.items() if value != defaults[name]}

    @classmethod
    def of(cls, settings: Settings) -> Thresholds:
        """Take the limits from the settings in force."""
        return cls({name: settings.number(name) for name in SOURCES})

    def __getitem__(self, name: str) -> float:
        return self._values[name]

    def source(self, name: str) -> str:
        """Say where a limit comes from: the setting's name, and whose default it is unless someone set it."""
        return f"{name} ({'set here' if name in self._chosen else SOURCES[name]})"
