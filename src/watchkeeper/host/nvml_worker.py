"""The process that talks to NVML, so that a wedged driver blocks it and nobody else: `python -m ...nvml_worker PATH`.

Enters: a line on the standard input for each reading. Leaves: a line of JSON on the standard output for each: the
driver's versions, one object a GPU, and the events since the last reading. Ends with its standard input.
Imports the standard library only, so that it costs little beside an agent.
"""

from __future__ import annotations

import json
import sys
from ctypes import byref, c_int, c_uint, c_void_p
from typing import Any

from watchkeeper.host import nvml as binding
from watchkeeper.host.nvml import Events, Nvml, NvmlError, versioned

_LINKS_MAX = 18
_LINK_RECOVERIES = 215
_FIELDS = {
    82: "memory_temperature_c",
    193: "shutdown_margin_c",
    194: "slowdown_margin_c",
    195: "memory_max_margin_c",
    196: "gpu_max_margin_c",
    230: "recovery_action",
}


def read_device(nvml: Nvml, index: int, events: Events | None) -> dict[str, Any]:
    """Read all of one GPU; a lost one gives {index, error} with what was read before it was lost."""
    row: dict[str, Any] = {"index": index}
    try:
        device = nvml.device(index)
        _identity(nvml, device, row)
        row["events_watched"] = events is not None and events.watch(device, str(row["uuid"] or ""))
        _load(nvml, device, row)
        _heat(nvml, device, row)
        _memory_errors(nvml, device, row)
        _links(nvml, device, row)
        _processes(nvml, device, row)
    except NvmlError as error:
        row["error"] = {"code": error.code, "text": str(error)}
    return row


def _identity(nvml: Nvml, device: c_void_p, row: dict[str, Any]) -> None:
    row["uuid"] = nvml.text("nvmlDeviceGetUUID", device)
    row["name"] = nvml.text("nvmlDeviceGetName", device)
    pci = nvml.filled("nvmlDeviceGetPciInfo_v3", binding.PciInfo(), device)
    row["pci"] = pci.bus_id.decode("ascii", "replace").lower() if pci else None
    row["mig"] = None
    mig = nvml.uints("nvmlDeviceGetMigMode", 2, device)
    if mig is not None:
        row["mig"] = bool(mig[0])


def _load(nvml: Nvml, device: c_void_p, row: dict[str, Any]) -> None:
    memory = nvml.filled("nvmlDeviceGetMemoryInfo", binding.Memory(), device)
    row["memory_total_bytes"] = memory.total if memory else None
    row["memory_used_bytes"] = memory.used if memory else None
    row["memory_free_bytes"] = memory.free if memory else None
    busy = nvml.filled("nvmlDeviceGetUtilizationRates", binding.Utilization(), device)
    row["utilization_percent"] = busy.gpu if busy else None
    row["memory_utilization_percent"] = busy.memory if busy else None
    for name in ("Encoder", "Decoder"):
        pair = nvml.uints(f"nvmlDeviceGet{name}Utilization", 2, device)
        row[f"{name.lower()}_utilization_percent"] = pair[0] if pair else None
    power, limit = (nvml.uint(f"nvmlDeviceGet{name}", device) for name in ("PowerUsage", "EnforcedPowerLimit"))
    row["power_w"] = None if power is None else power / 1000
    row["power_limit_w"] = None if limit is None else limit / 1000
    row["energy_mj"] = nvml.ulonglong("nvmlDeviceGetTotalEnergyConsumption", device)
    for name, kind in (("graphics", 0), ("sm", 1), ("memory", 2)):
        row[f"clock_{name}_mhz"] = nvml.uint("nvmlDeviceGetClockInfo", device, c_uint(kind))
        row[f"clock_{name}_max_mhz"] = nvml.uint("nvmlDeviceGetMaxClockInfo", device, c_uint(kind))
    reasons = nvml.ulonglong("nvmlDeviceGetCurrentClocksEventReasons", device)
    if reasons is None:
        reasons = nvml.ulonglong("nvmlDeviceGetCurrentClocksThrottleReasons", device)
    row["throttle_reasons"] = reasons
    for name, policy in (("power", 0), ("thermal", 1)):
        told = nvml.filled("nvmlDeviceGetViolationStatus", binding.ViolationTime(), device, c_uint(policy))
        row[f"{name}_violation_ns"] = told.violation if told else None


def _heat(nvml: Nvml, device: c_void_p, row: dict[str, Any]) -> None:
    row["temperature_c"] = nvml.uint("nvmlDeviceGetTemperature", device, c_uint(0))
    told = nvml.filled("nvmlDeviceGetMarginTemperature", versioned(binding.MarginTemperature, 1), device)
    row["margin_c"] = told.margin if told else None
    for name, kind in (("shutdown", 0), ("slowdown", 1), ("memory_max", 2), ("gpu_max", 3)):
        row[f"{name}_c"] = nvml.uint("nvmlDeviceGetTemperatureThreshold", device, c_uint(kind))
    read = nvml.fields(device, tuple(_FIELDS))
    for field_id, name in _FIELDS.items():
        row[name] = read.get(field_id)


def _memory_errors(nvml: Nvml, device: c_void_p, row: dict[str, Any]) -> None:
    mode = nvml.uints("nvmlDeviceGetEccMode", 2, device)
    row["ecc_enabled"] = bool(mode[0]) if mode else None
    for kind, kind_name in ((0, "corrected"), (1, "uncorrected")):
        for counter, counter_name in ((0, "volatile"), (1, "aggregate")):
            row[f"ecc_{kind_name}_{counter_name}"] = nvml.ulonglong(
                "nvmlDeviceGetTotalEccErrors", device, c_uint(kind), c_uint(counter)
            )
    rows = nvml.uints("nvmlDeviceGetRemappedRows", 4, device)
    names = ("rows_remapped_corrected", "rows_remapped_uncorrected", "rows_pending", "rows_failed")
    row.update(zip(names, rows or (None,) * 4, strict=True))
    row["pages_retired_corrected"] = nvml.retired_pages(device, 0)
    row["pages_retired_double_bit"] = nvml.retired_pages(device, 1)
    row["pages_pending"] = nvml.uint("nvmlDeviceGetRetiredPagesPendingStatus", device)


def _links(nvml: Nvml, device: c_void_p, row: dict[str, Any]) -> None:
    row["pcie_replays"] = nvml.uint("nvmlDeviceGetPcieReplayCounter", device)
    for name, function in (("generation", "Generation"), ("width", "Width")):
        row[f"pcie_{name}"] = nvml.uint(f"nvmlDeviceGetCurrPcieLink{function}", device)
        row[f"pcie_{name}_max"] = nvml.uint(f"nvmlDeviceGetMaxPcieLink{function}", device)
    links: list[dict[str, Any]] = []
    recoveries: list[float] = []
    for link in range(_LINKS_MAX):
        active = nvml.uint("nvmlDeviceGetNvLinkState", device, c_uint(link))
        if active is None:
            continue
        counters = {
            name: nvml.ulonglong("nvmlDeviceGetNvLinkErrorCounter", device, c_uint(link), c_uint(counter))
            for name, counter in (("replay", 0), ("recovery", 1), ("crc_flit", 2), ("crc_data", 3))
        }
        links.append({"link": link, "active": bool(active), **counters})
        recoveries += nvml.fields(device, (_LINK_RECOVERIES,), scope=link).values()
    row["nvlinks"] = links
    # Since NVLink 5 recoveries are told so, a link at a time, and no longer by the counters.
    row["nvlink_recovery_events"] = int(sum(recoveries)) if recoveries else None
    fabric = nvml.filled("nvmlDeviceGetGpuFabricInfoV", versioned(binding.FabricInfo, 2), device)
    row["fabric"] = (
        {"state": fabric.state, "status": fabric.status, "health_mask": fabric.health_mask} if fabric else None
    )


def _processes(nvml: Nvml, device: c_void_p, row: dict[str, Any]) -> None:
    found: dict[int, dict[str, Any]] = {}
    told = False
    for kind in ("Compute", "Graphics"):
        listed = nvml.processes(f"nvmlDeviceGet{kind}RunningProcesses_v3", device)
        told = told or listed is not None
        for process in listed or []:
            used = process.used_memory
            found.setdefault(
                process.pid,
                {"pid": process.pid, "memory_bytes": None if used == 2**64 - 1 else used, "kind": kind.lower()},
            )
    row["processes"] = list(found.values()) if told else None


def read_all(nvml: Nvml, events: Events | None) -> dict[str, Any]:
    """Read the driver and every GPU."""
    cuda = c_int()
    known = nvml.maybe("nvmlSystemGetCudaDriverVersion_v2", byref(cuda))
    return {
        "code": 0,
        "driver": nvml.text("nvmlSystemGetDriverVersion"),
        "nvml": nvml.text("nvmlSystemGetNVMLVersion"),
        "cuda": cuda.value if known else None,
        "devices": [read_device(nvml, index, events) for index in range(nvml.count())],
        "events": events.take() if events else [],
    }


def main(arguments: list[str]) -> None:
    """Answer each line of the standard input with a reading, until it ends."""
    path = arguments[0] if arguments else binding.LIBRARY
    nvml: Nvml | None = None
    events: Events | None = None
    for _ in sys.stdin:
        try:
            if nvml is None:
                nvml = Nvml(path)
                events = Events(nvml)
            answer = read_all(nvml, events)
        except NvmlError as error:
            nvml, events = None, None
            answer = {"code": error.code, "text": str(error), "devices": [], "events": []}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
