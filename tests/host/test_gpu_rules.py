"""Each rule of GPU health, at its limit and on both sides of it."""

from __future__ import annotations

import pytest
from tests.host.conftest import NOW_NS, answer_of, healthy_gpu

from watchkeeper.host.check import CheckSeverity, CheckStatus
from watchkeeper.host.gpu import GpuSnapshot, snapshot_from_answer
from watchkeeper.host.gpu_rules import Patient, check_throttle, fabric_troubles, judge, replays_per_minute_max
from watchkeeper.host.thresholds import Thresholds
from watchkeeper.host.trail import Trail

SECOND = 10**9
DAY_S = 86_400


def snapshot(**changes) -> GpuSnapshot:
    return snapshot_from_answer(answer_of(healthy_gpu(0, **changes)))


def verdicts(trail: Trail | None = None, limits: dict[str, float] | None = None, **changes) -> dict[str, CheckSeverity]:
    gpu = snapshot(**changes).gpus[0]
    checks = judge(Patient(gpu, trail or Trail(), Thresholds(limits), NOW_NS))
    return {check.id: check.severity for check in checks}


def walked(readings: list[dict], step_s: float = 10.0) -> Trail:
    trail = Trail()
    for number, changes in enumerate(readings):
        trail.add(snapshot(**changes), NOW_NS + int(number * step_s * SECOND))
    return trail


def test_a_healthy_gpu_is_healthy_in_every_rule():
    assert set(verdicts().values()) == {CheckSeverity.INFO}


PAGES_OLD = [NOW_NS // SECOND - 30 * DAY_S] * 20
PAGES_NEW = [NOW_NS // SECOND - DAY_S] * 2


@pytest.mark.parametrize(
    ("check", "changes", "severity"),
    [
        ("gpu.recovery", {"recovery_action": 1}, "critical"),
        ("gpu.recovery", {"recovery_action": None}, "info"),
        ("gpu.ecc", {"ecc_uncorrected_volatile": 1}, "critical"),
        ("gpu.ecc", {"ecc_corrected_volatile": 50_000_000}, "info"),
        ("gpu.ecc", {"ecc_corrected_volatile": 50_000_001}, "warning"),
        ("gpu.rows", {"rows_pending": 1}, "warning"),
        ("gpu.rows", {"rows_pending": 1, "rows_failed": 1}, "critical"),
        ("gpu.pages", {"pages_pending": 1}, "warning"),
        ("gpu.pages", {"pages_retired_corrected": PAGES_OLD * 3 + PAGES_OLD[:2]}, "info"),
        ("gpu.pages", {"pages_retired_corrected": PAGES_OLD * 3 + PAGES_OLD[:3]}, "critical"),
        ("gpu.pages", {"pages_retired_double_bit": PAGES_OLD}, "info"),
        ("gpu.pages", {"pages_retired_double_bit": PAGES_OLD + PAGES_NEW[:1]}, "info"),
        ("gpu.pages", {"pages_retired_double_bit": PAGES_OLD + PAGES_NEW}, "critical"),
        ("gpu.pages", {"pages_retired_double_bit": PAGES_NEW}, "info"),
        ("gpu.throttle", {"throttle_reasons": 0x4}, "info"),
        ("gpu.throttle", {"throttle_reasons": 0x8}, "warning"),
        ("gpu.throttle", {"throttle_reasons": 0x40}, "warning"),
        ("gpu.throttle", {"throttle_reasons": 0x80}, "warning"),
        ("gpu.temperature", {"margin_c": 11}, "info"),
        ("gpu.temperature", {"margin_c": 10}, "warning"),
        ("gpu.temperature", {"margin_c": 0}, "info"),
        ("gpu.temperature", {"margin_c": -1, "throttle_reasons": 0x40, "gpu_max_margin_c": 0}, "critical"),
        ("gpu.temperature", {"margin_c": None, "slowdown_c": 90, "temperature_c": 81}, "warning"),
        ("gpu.temperature", {"temperature_c": 88, "gpu_max_c": 87}, "critical"),
        ("gpu.temperature", {"memory_temperature_c": 96, "memory_max_c": 95}, "critical"),
        ("gpu.temperature", {"memory_temperature_c": 95, "memory_max_c": 95}, "info"),
        ("gpu.pcie", {"pcie_width": 8}, "warning"),
        ("gpu.fabric", {"fabric": {"state": 3, "status": 0, "health_mask": 1}}, "critical"),
        ("gpu.fabric", {"fabric": {"state": 2, "status": 0, "health_mask": 0}}, "warning"),
        ("gpu.fabric", {"fabric": {"state": 3, "status": 0, "health_mask": 2}}, "info"),
        ("gpu.nvlink", {"nvlinks": [{"link": 0, "active": True}, {"link": 1, "active": False}]}, "warning"),
        ("gpu.nvlink", {"nvlinks": [{"link": 0, "active": True}, {"link": 1, "active": True}]}, "info"),
    ],
)
def test_a_rule_at_its_limit(check, changes, severity):
    found = verdicts(**changes)
    assert found[check].value == severity
    assert {each for name, each in found.items() if name != check} <= {CheckSeverity.INFO, CheckSeverity.WARNING}


def test_values_that_were_never_read_are_skipped_and_not_zero():
    bare = {name: None for name in healthy_gpu() if name not in {"index", "uuid", "name", "processes"}}
    gpu = snapshot(**bare).gpus[0]
    checks = {check.id: check for check in judge(Patient(gpu, Trail(), Thresholds(), NOW_NS))}
    assert checks["gpu.ecc"].status is CheckStatus.SKIPPED
    assert "unknown, not zero" in checks["gpu.ecc"].reason
    assert gpu.ecc_uncorrected_volatile is None


@pytest.mark.parametrize(("code", "severity"), [(15, "critical"), (16, "critical"), (999, "unknown")])
def test_a_gpu_that_does_not_answer_is_told_as_that_alone(code, severity):
    gpu = snapshot_from_answer(answer_of({"index": 1, "error": {"code": code, "text": "x"}})).gpus[0]
    (check,) = judge(Patient(gpu, Trail(), Thresholds(), NOW_NS))
    assert (check.id, check.severity.value) == ("gpu.reading", severity)


def test_throttling_that_lasts_ten_minutes_is_critical():
    often = [{"throttle_reasons": 0x8 if number % 2 else 0} for number in range(61)]
    seldom = [{"throttle_reasons": 0x8 if number == 5 else 0} for number in range(61)]
    assert verdicts(walked(often))["gpu.throttle"] is CheckSeverity.CRITICAL
    assert verdicts(walked(seldom))["gpu.throttle"] is CheckSeverity.INFO
    assert verdicts(walked(often[:20]), throttle_reasons=0x8)["gpu.throttle"] is CheckSeverity.WARNING


@pytest.mark.parametrize("step_s", [10.0, 60.4, 75.3, 100.2, 120.2, 200.5, 300.5])
def test_throttling_that_lasts_is_critical_however_often_it_is_looked(step_s):
    always = [{"throttle_reasons": 0x8}] * (int(900 / step_s) + 1)
    seldom = [{"throttle_reasons": 0x8 if number == 1 else 0} for number in range(len(always))]
    if len(always) > 4:
        assert verdicts(walked(seldom, step_s))["gpu.throttle"] is CheckSeverity.INFO
    assert verdicts(walked(always, step_s), throttle_reasons=0x8)["gpu.throttle"] is CheckSeverity.CRITICAL


@pytest.mark.parametrize("step_s", [10.0, 60.4, 300.5])
def test_violation_time_since_the_reading_before_warns_however_often_it_is_looked(step_s):
    values = [{"thermal_violation_ns": 0}] * 3 + [{"thermal_violation_ns": 5_000_000}]
    trail = walked(values, step_s)
    gpu = snapshot(**values[-1]).gpus[0]
    (check,) = check_throttle(Patient(gpu, trail, Thresholds(), NOW_NS))
    assert check.severity is CheckSeverity.WARNING
    assert check.evidence[0].startswith("thermal violation of 5.0 ms in the last ")


def test_violation_time_within_a_minute_warns():
    grew = walked([{"thermal_violation_ns": 0}, {"thermal_violation_ns": 5_000_000}])
    before = walked([{"thermal_violation_ns": 0}, *[{"thermal_violation_ns": 5_000_000}] * 10])
    assert verdicts(grew)["gpu.throttle"] is CheckSeverity.WARNING
    assert verdicts(before)["gpu.throttle"] is CheckSeverity.INFO


@pytest.mark.parametrize(("replays", "severity"), [(16, "info"), (40, "warning")])
def test_replays_a_minute_against_what_the_bit_rate_allows(replays, severity):
    changes = {"pcie_generation": 4, "pcie_generation_max": 4}
    trail = walked([{**changes, "pcie_replays": 0}, {**changes, "pcie_replays": replays}], step_s=60)
    assert verdicts(trail, **changes)["gpu.pcie"].value == severity


def test_a_counter_that_was_reset_is_not_growth():
    trail = walked([{"pcie_replays": 10_000}, {"pcie_replays": 0}, {"pcie_replays": 1}], step_s=30)
    growth = trail.growth(healthy_gpu()["uuid"], "pcie_replays")
    assert growth is not None
    assert growth.amount == 1


def links(replay: int = 0, crc: int = 0) -> dict:
    return {"nvlinks": [{"link": 0, "active": True, "replay": replay, "recovery": 0, "crc_flit": crc, "crc_data": 0}]}


def test_nvlink_replays_growing_and_checksum_errors_a_second_warn():
    assert verdicts(walked([links(5), links(6)]), **links(6))["gpu.nvlink"] is CheckSeverity.WARNING
    assert verdicts(walked([links(5), links(5)]), **links(5))["gpu.nvlink"] is CheckSeverity.INFO
    assert verdicts(walked([links(crc=0), links(crc=1000)]), **links())["gpu.nvlink"] is CheckSeverity.WARNING
    assert verdicts(walked([links(crc=0), links(crc=999)]), **links())["gpu.nvlink"] is CheckSeverity.INFO


def test_links_below_the_expected_number_are_critical():
    assert verdicts(None, {"gpu_nvlink_count_min": 2}, **links())["gpu.nvlink"] is CheckSeverity.CRITICAL


def test_the_check_names_the_source_of_its_limit_and_whether_it_was_set():
    gpu = snapshot(margin_c=8).gpus[0]
    usual = {check.id: check for check in judge(Patient(gpu, Trail(), Thresholds(), NOW_NS))}["gpu.temperature"]
    chosen = Thresholds({"gpu_margin_c_min": 5})
    set_here = {check.id: check for check in judge(Patient(gpu, Trail(), chosen, NOW_NS))}["gpu.temperature"]
    assert (usual.severity, usual.source) == (CheckSeverity.WARNING, "gpu_margin_c_min (gpud (leptonai/gpud))")
    assert (set_here.severity, set_here.source) == (CheckSeverity.INFO, "gpu_margin_c_min (set here)")


@pytest.mark.parametrize(
    ("mask", "troubles"),
    [
        (0, []),
        (1, ["degraded bandwidth"]),
        (0xAA | 1 << 8 | 1 << 12 | 1 << 14, []),
        (1 << 4, ["unhealthy route"]),
        (2 << 8, ["incorrect configuration"]),
        (1 << 8, []),
        (2 << 14, ["fabric manager disconnected"]),
    ],
)
def test_the_bits_of_the_fabric(mask, troubles):
    assert fabric_troubles(mask) == troubles


def test_replays_allowed_follow_generation_and_lanes():
    assert [replays_per_minute_max(generation, 16, 1e-12) for generation in (1, 3, 5)] == [3, 8, 31]


def test_a_trail_is_read_back_for_the_same_boot_only(tmp_path):
    trail = walked([{"pcie_replays": 0}, {"pcie_replays": 9}])
    trail._boot_id = "a"
    trail.count_stuck(["1:2"])
    file = tmp_path / "trail.json"
    assert trail.save(file) == ""
    again = Trail.load(file, "a")
    uuid = healthy_gpu()["uuid"]
    assert again.growth(uuid, "pcie_replays") == trail.growth(uuid, "pcie_replays")
    assert again.stuck == {"1:2": 1}
    assert Trail.load(file, "b").growth(uuid, "pcie_replays") is None
    file.write_bytes(b"{broken")
    assert Trail.load(file, "a").stuck == {}
