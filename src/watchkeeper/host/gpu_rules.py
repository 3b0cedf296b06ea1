"""The rules by which a GPU is healthy, warning, critical or unknown.

Enters: one reading of a GPU, its trail of counters, limits. Leaves: a Check for each rule, with value, limit and the
limit's source. A value that the GPU does not tell is skipped, with that said: it is unknown, and not zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from watchkeeper.host import nvml as binding
from watchkeeper.host.check import Check, failed, passed, skipped, timed, unknown, warned
from watchkeeper.host.gpu import THROTTLE_HARDWARE, THROTTLE_REASONS, THROTTLE_THERMAL, Gpu
from watchkeeper.host.thresholds import Thresholds
from watchkeeper.host.trail import Trail
from watchkeeper.host.xid import ACTIONS

_RESET = ACTIONS["reset_gpu"]
_TRANSFERS_GT_S = {1: 2.5, 2: 5.0, 3: 8.0, 4: 16.0, 5: 32.0, 6: 64.0}
_RECOVERY_ACTIONS = {
    1: "reset the GPU", 2: "reboot the node", 3: "drain peer-to-peer work", 4: "drain all work, then reset the GPU",
    5: "recover the IMEX domain", 6: "reset the bus", 7: "reboot the system",
}  # fmt: skip
_WEEK_S = 7 * 86_400
_LONG_S = 540.0
"""Near enough to ten minutes."""
_TWO_READINGS = "a rate needs two readings within ten minutes; this is the first"


class Patient(NamedTuple):
    """One GPU with all that rules look at; `now_unix_ns` is when it was read."""

    gpu: Gpu
    trail: Trail
    limits: Thresholds
    now_unix_ns: int


def _untold(check_id: str, title: str, what: str, device: str) -> Check:
    return skipped(check_id, title, f"this GPU or its driver does not tell {what}: unknown, not zero", device=device)


def check_reading(patient: Patient) -> Iterator[Check]:
    """Check that the GPU answers at all."""
    gpu, title = patient.gpu, "Reading"
    if gpu.error_code == binding.GPU_IS_LOST:
        reason, actions = "the GPU is lost: it has left the bus", (ACTIONS["reboot_node"], ACTIONS["inspect_hardware"])
        yield failed("gpu.reading", title, gpu.error, reason, device=gpu.id, source="NVML error 15", actions=actions)
    elif gpu.error_code == binding.RESET_REQUIRED:
        reason = "the GPU must be reset before it works again"
        yield failed("gpu.reading", title, gpu.error, reason, device=gpu.id, source="NVML error 16", actions=(_RESET,))
    elif gpu.error_code:
        yield unknown("gpu.reading", title, f"it cannot be read: {gpu.error}", device=gpu.id, source="NVML")
    elif gpu.uuid is None and gpu.temperature_c is None and gpu.memory_total_bytes is None:
        yield unknown("gpu.reading", title, "the driver tells nothing of it", device=gpu.id, source="NVML")
    else:
        yield passed(
            "gpu.reading", title, f"{gpu.name or 'a GPU'} at {gpu.pci or 'an address not told'}", device=gpu.id
        )


def check_recovery(patient: Patient) -> Iterator[Check]:
    """Check the recovery action that the driver asks for (field 230)."""
    gpu = patient.gpu
    if gpu.recovery_action is None:
        yield _untold("gpu.recovery", "Recovery action", "a recovery action", gpu.id)
    elif gpu.recovery_action:
        asked = _RECOVERY_ACTIONS.get(int(gpu.recovery_action), f"action {gpu.recovery_action:g}")
        yield failed(
            "gpu.recovery", "Recovery action", asked, f"the driver asks for it: {asked}", device=gpu.id,
            threshold="none", source="NVML field 230 (NVML_FI_DEV_GET_GPU_RECOVERY_ACTION)", actions=(asked,),
        )  # fmt: skip
    else:
        yield passed("gpu.recovery", "Recovery action", "none", device=gpu.id)


def check_ecc(patient: Patient) -> Iterator[Check]:
    """Check memory errors since the driver was loaded: uncorrected above 0, corrected above the limit."""
    gpu, title, limits = patient.gpu, "Memory errors (ECC)", patient.limits
    corrected, lost = gpu.ecc_corrected_volatile, gpu.ecc_uncorrected_volatile
    if corrected is None and lost is None:
        yield _untold("gpu.ecc", title, "ECC errors", gpu.id)
        return
    words = [
        f"{name} {'unknown' if value is None else f'{value:,}'}"
        for name, value in (("corrected", corrected), ("uncorrected", lost))
    ]
    most = limits["gpu_ecc_corrected_max"]
    told = {
        "device": gpu.id,
        "threshold": f"uncorrected 0, corrected {most:,.0f}",
        "source": limits.source("gpu_ecc_corrected_max"),
        "evidence": (
            f"aggregate: corrected {gpu.ecc_corrected_aggregate}, uncorrected {gpu.ecc_uncorrected_aggregate}",
        ),
    }
    if lost:
        reason = f"{lost} errors of memory could not be mended since the driver was loaded"
        yield failed(
            "gpu.ecc", title, ", ".join(words), reason, actions=(_RESET, ACTIONS["run_field_diagnostic"]), **told
        )
    elif corrected is not None and corrected > most:
        reason = "unusually many errors of memory were mended"
        yield warned("gpu.ecc", title, ", ".join(words), reason, actions=(ACTIONS["run_field_diagnostic"],), **told)
    else:
        yield passed("gpu.ecc", title, ", ".join(words), **told)


def check_rows(patient: Patient) -> Iterator[Check]:
    """Check rows to be remapped: pending warns, a failure is critical."""
    gpu, title = patient.gpu, "Remapped rows"
    if gpu.rows_failed is None and gpu.rows_pending is None:
        yield _untold("gpu.rows", title, "remapped rows", gpu.id)
        return
    seen = (
        f"{gpu.rows_remapped_corrected} for mended errors, {gpu.rows_remapped_uncorrected} for others, "
        f"pending {bool(gpu.rows_pending)}, failed {bool(gpu.rows_failed)}"
    )
    told = {"device": gpu.id, "threshold": "none pending, none failed", "source": "NVIDIA DCGM health checks"}
    if gpu.rows_failed:
        reason = "a row could not be remapped: no spare is left"
        yield failed("gpu.rows", title, seen, reason, actions=(ACTIONS["run_field_diagnostic"],), **told)
    elif gpu.rows_pending:
        reason = "a bad row waits to be remapped by the next reset"
        yield warned("gpu.rows", title, seen, reason, actions=(ACTIONS["reset_gpu_when_idle"],), **told)
    else:
        yield passed("gpu.rows", title, seen, **told)


def check_pages(patient: Patient) -> Iterator[Check]:
    """Check retired pages, on GPUs before Ampere: pending warns, too many are critical."""
    gpu, title, limits = patient.gpu, "Retired pages", patient.limits
    mended, double = gpu.pages_retired_corrected, gpu.pages_retired_double_bit
    if mended is None and double is None and gpu.pages_pending is None:
        yield _untold("gpu.pages", title, "retired pages (GPUs since Ampere remap rows instead)", gpu.id)
        return
    total, double_count = len(mended or ()) + len(double or ()), len(double or ())
    week_ago = patient.now_unix_ns // 10**9 - _WEEK_S
    recent = sum(moment >= week_ago for moment in double or ())
    most, double_max, week_max = (
        limits[name] for name in ("gpu_pages_retired_max", "gpu_pages_double_bit_max", "gpu_pages_double_bit_week_max")
    )
    seen = f"{total} pages, {double_count} for double-bit errors, {recent} of these in a week"
    told = {
        "device": gpu.id,
        "threshold": f"under {most:g}; double-bit {double_max:g}, then {week_max:g} a week",
        "source": limits.source("gpu_pages_retired_max"),
    }
    if total >= most or (double_count > double_max and recent > week_max):
        reason = "the memory wears out"
        yield failed("gpu.pages", title, seen, reason, actions=(ACTIONS["replace_when_convenient"],), **told)
    elif gpu.pages_pending:
        reason = "a page waits to be retired by the next reset"
        yield warned("gpu.pages", title, seen, reason, actions=(ACTIONS["reset_gpu_when_idle"],), **told)
    else:
        yield passed("gpu.pages", title, seen, **told)


def check_throttle(patient: Patient) -> Iterator[Check]:
    """Check what holds the clocks down: any hardware reason or violation warns, often in ten minutes is critical."""
    gpu, title, limits = patient.gpu, "Throttling", patient.limits
    if gpu.throttle_reasons is None:
        yield _untold("gpu.throttle", title, "why its clocks are held down", gpu.id)
        return
    reasons = [name for bit, name in THROTTLE_REASONS.items() if gpu.throttle_reasons & THROTTLE_HARDWARE & bit]
    violations = {
        name: grown
        for name in ("power", "thermal")
        if (grown := patient.trail.growth(gpu.id, f"{name}_violation_ns", 60.0)) is not None and grown.amount > 0
    }
    held = patient.trail.throttled(gpu.id)
    most = limits["gpu_throttle_rate_max"]
    seen = ", ".join(gpu.throttles) or "clocks are free"
    told = {
        "device": gpu.id,
        "threshold": f"no hardware slow-down; critical from {most:g} a minute over 10 min",
        "source": f"NVIDIA DCGM health checks; {limits.source('gpu_throttle_rate_max')}",
        "evidence": tuple(
            f"{name} violation of {grown.amount / 1e6:.1f} ms in the last {grown.seconds:.0f} s"
            for name, grown in violations.items()
        ),
        "attributes": {"hw.gpu.throttle_reasons": gpu.throttle_reasons, "throttles": gpu.throttles},
    }
    heat = ("look at fans, air flow and inlet temperature", "look at the power supplies and their cables")
    if held is not None and held.seconds >= _LONG_S and held.per_minute >= most:
        reason = f"held down at {held.held} of {held.readings} readings in {held.seconds / 60:.0f} minutes"
        yield failed("gpu.throttle", title, seen, reason, actions=heat, **told)
    elif reasons or violations:
        reason = f"the hardware holds the clocks down: {', '.join([*reasons, *violations])}; jobs run slower"
        yield warned("gpu.throttle", title, seen, reason, actions=heat, **told)
    else:
        yield passed("gpu.throttle", title, seen, **told)


def check_temperature(patient: Patient) -> Iterator[Check]:
    """Check the margin to the temperature of slow-down, and the highest temperatures of GPU and memory.

    Newer GPUs tell a margin and limits on that scale (fields 193-196); for older ones it is the threshold less the
    temperature. A margin of 0 or less with free clocks and a temperature below the thresholds means that none is told.
    """
    gpu, title, limits = patient.gpu, "Temperature", patient.limits
    if gpu.temperature_c is None and gpu.margin_c is None:
        yield _untold("gpu.temperature", title, "its temperature", gpu.id)
        return
    margin = gpu.margin_c
    absolute = None if gpu.slowdown_c is None or gpu.temperature_c is None else gpu.slowdown_c - gpu.temperature_c
    hot = bool((gpu.throttle_reasons or 0) & THROTTLE_THERMAL)
    if margin is None or (margin <= 0 and not hot and (absolute is None or absolute > 0)):
        margin = absolute
    over = _over_the_top(gpu, hot=hot)
    heat = f"{gpu.temperature_c:g} C" if gpu.temperature_c is not None else "unknown"
    memory = f", memory {gpu.memory_temperature_c:g} C" if gpu.memory_temperature_c else ""
    seen = f"{heat}{memory}, margin {'unknown' if margin is None else f'{margin:g} C'}"
    least = limits["gpu_margin_c_min"]
    told = {
        "device": gpu.id,
        "threshold": f"margin more than {least:g} C",
        "source": limits.source("gpu_margin_c_min"),
    }
    cool = ("look at fans, air flow and inlet temperature",)
    if over:
        yield failed("gpu.temperature", title, seen, over, actions=cool, **told)
    elif margin is not None and margin <= least:
        reason = f"only {margin:g} C below the temperature at which it slows down"
        yield warned("gpu.temperature", title, seen, reason, actions=cool, **told)
    else:
        yield passed("gpu.temperature", title, seen, **told)


def _over_the_top(gpu: Gpu, *, hot: bool) -> str:
    """Say which highest temperature is passed, "" for none."""
    if gpu.gpu_max_c and gpu.temperature_c is not None and gpu.temperature_c > gpu.gpu_max_c:
        return f"above the highest operating temperature, {gpu.gpu_max_c:g} C"
    if gpu.memory_max_c and gpu.memory_temperature_c and gpu.memory_temperature_c > gpu.memory_max_c:
        return f"memory above its highest temperature, {gpu.memory_max_c:g} C"
    if hot and gpu.margin_c is not None and gpu.gpu_max_margin_c is not None and gpu.margin_c < gpu.gpu_max_margin_c:
        return f"margin {gpu.margin_c:g} C is beyond the operating limit of {gpu.gpu_max_margin_c:g} C"
    return ""


def replays_per_minute_max(generation: int, lanes: int, bit_errors: float) -> int:
    """Give the replays a minute that a link may show: the errors that its bit rate and error bound allow, rounded up.

    >>> replays_per_minute_max(4, 16, 1e-12), replays_per_minute_max(3, 8, 1e-12)
    (16, 4)
    """
    per_lane = _TRANSFERS_GT_S.get(generation, 64.0) * 1e9 * 60 * bit_errors
    return math.ceil(round(per_lane * lanes, 9))


def check_pcie(patient: Patient) -> Iterator[Check]:
    """Check PCI Express: replays a minute, and a link narrower than it could be."""
    gpu, title, limits = patient.gpu, "PCI Express", patient.limits
    width, generation = gpu.pcie_width, gpu.pcie_generation
    if width is None and gpu.pcie_replays is None:
        yield _untold("gpu.pcie", title, "its PCI Express link", gpu.id)
        return
    seen = f"generation {generation} of {gpu.pcie_generation_max}, width {width} of {gpu.pcie_width_max}, "
    seen += f"replays {'unknown' if gpu.pcie_replays is None else gpu.pcie_replays}"
    most = replays_per_minute_max(generation or 4, width or 16, limits["gpu_pcie_bit_errors_max"])
    told = {
        "device": gpu.id,
        "threshold": f"{most} replays a minute",
        "source": limits.source("gpu_pcie_bit_errors_max"),
    }
    grown = patient.trail.growth(gpu.id, "pcie_replays", 120.0)
    seat = ("look at seat, riser and slot of the board", "sudo dmesg | grep -i 'aer\\|pcie'")
    if grown is not None and grown.seconds > 0 and grown.per_second * 60 > most:
        reason = f"{grown.per_second * 60:.0f} packets a minute had to be sent again"
        yield warned("gpu.pcie", title, seen, reason, actions=seat, **told)
    elif width is not None and gpu.pcie_width_max is not None and width < gpu.pcie_width_max:
        reason = f"the link runs on {width} of {gpu.pcie_width_max} lanes"
        yield warned("gpu.pcie", title, seen, reason, actions=seat, **told)
    else:
        yield passed("gpu.pcie", title, seen, reason="" if grown else _TWO_READINGS, **told)


def check_nvlink(patient: Patient) -> Iterator[Check]:
    """Check NVLink: links up, growing replays and recoveries, checksum errors a second."""
    gpu, title, limits = patient.gpu, "NVLink", patient.limits
    if not gpu.nvlinks:
        yield skipped("gpu.nvlink", title, "no NVLink is told", device=gpu.id)
        return
    up = sum(link.active for link in gpu.nvlinks)
    expected = int(limits["gpu_nvlink_count_min"])
    most = limits["gpu_nvlink_crc_rate_max"]
    seen = f"{up} of {len(gpu.nvlinks)} links up"
    told = {
        "device": gpu.id,
        "threshold": f"replays and recoveries still, checksum errors under {most:g} a second",
        "source": f"NVIDIA DCGM health checks; {limits.source('gpu_nvlink_count_min')}",
        "actions": (ACTIONS["check_nvlink"],),
    }
    grown = {
        name: growth
        for name in ("nvlink_replay", "nvlink_recovery", "nvlink_crc")
        if (growth := patient.trail.growth(gpu.id, name)) is not None and growth.amount > 0
    }
    if up < expected:
        yield failed("gpu.nvlink", title, seen, f"{expected} links are expected to be up", **told)
    elif "nvlink_crc" in grown and grown["nvlink_crc"].per_second >= most:
        reason = f"{grown['nvlink_crc'].per_second:.0f} checksum errors a second"
        yield warned("gpu.nvlink", title, seen, reason, **told)
    elif grown.keys() & {"nvlink_replay", "nvlink_recovery"}:
        reason = ", ".join(f"{name.removeprefix('nvlink_')} grew by {each.amount:.0f}" for name, each in grown.items())
        yield warned("gpu.nvlink", title, seen, reason, **told)
    elif not expected and 0 < up < len(gpu.nvlinks):
        yield warned("gpu.nvlink", title, seen, "some links of this GPU are down", **told)
    else:
        yield passed("gpu.nvlink", title, seen, **{**told, "actions": ()})


_FABRIC_BITS = (
    ("degraded bandwidth", 0, 0x3, {1}),
    ("route recovery going on", 2, 0x3, {1}),
    ("unhealthy route", 4, 0x3, {1}),
    ("access time-out recovery", 6, 0x3, {1}),
    ("incorrect configuration", 8, 0xF, {2, 3, 4, 5, 6, 7, 8}),
    ("fabric manager disconnected", 14, 0x3, {2}),
)


def fabric_troubles(mask: int) -> list[str]:
    """Name what a fabric health mask reports (NVML_GPU_FABRIC_HEALTH_MASK_*).

    >>> fabric_troubles(0b01), fabric_troubles(0b10)
    (['degraded bandwidth'], [])
    """
    return [name for name, shift, width, bad in _FABRIC_BITS if (mask >> shift) & width in bad]


def check_fabric(patient: Patient) -> Iterator[Check]:
    """Check the state and health mask of the NVSwitch fabric that the GPU is part of."""
    gpu, title = patient.gpu, "NVSwitch fabric"
    if gpu.fabric is None or gpu.fabric.get("state", 0) == 0:
        yield skipped("gpu.fabric", title, "this GPU is part of no fabric", device=gpu.id)
        return
    states = {1: "not started", 2: "in progress", 3: "completed"}
    state, status = gpu.fabric["state"], gpu.fabric.get("status", 0)
    troubles = fabric_troubles(gpu.fabric.get("health_mask", 0))
    if state == 3 and status:
        troubles.append(f"joining ended with NVML error {status}")
    seen = f"registration {states.get(state, state)}"
    fix = ("sudo systemctl status nvidia-fabricmanager", "sudo journalctl -u nvidia-fabricmanager -b")
    if troubles:
        reason = ", ".join(troubles)
        yield failed("gpu.fabric", title, seen, reason, device=gpu.id, source="NVML; gpud (leptonai/gpud)", actions=fix)
    elif state != 3:
        reason = "the GPU has not joined the fabric; CUDA will not start on it"
        yield warned("gpu.fabric", title, seen, reason, device=gpu.id, source="NVML", actions=fix)
    else:
        yield passed("gpu.fabric", title, seen, device=gpu.id)


RULES: tuple[Callable[[Patient], Iterator[Check]], ...] = (
    check_recovery,
    check_ecc,
    check_rows,
    check_pages,
    check_throttle,
    check_temperature,
    check_pcie,
    check_nvlink,
    check_fabric,
)


def judge(patient: Patient) -> list[Check]:
    """Apply every rule to one GPU; of one that does not answer, only that is told."""
    checks = list(timed(check_reading(patient)))
    if checks[0].severity.value in {"unknown", "critical"}:
        return checks
    return [*checks, *timed(check for rule in RULES for check in rule(patient))]
