"""A look at GPUs and host together: states with reasons, events, conditions, what goes on between two looks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.host.conftest import NOW_NS, answer_of, healthy_gpu

from watchkeeper.host import otlp
from watchkeeper.host.survey import HealthState, HostHealth
from watchkeeper.host.visit import Outlook


def look(node, settings) -> HostHealth:
    with Outlook(settings, node.root, machine=node.machine) as outlook:
        return outlook.look()


def test_a_healthy_machine(gpu_node, settings):
    health = look(gpu_node, settings)
    assert health.state is HealthState.HEALTHY
    assert [(each.state, each.reason) for each in health.gpus] == [(HealthState.HEALTHY, "")] * 2


def test_no_gpu_is_neither_healthy_nor_an_error(node, settings):
    health = look(node, settings)
    assert (health.state, health.gpus) == (HealthState.NO_GPU, ())
    assert health.as_dict()["verdict"] == "no_gpu"


def test_a_xid_makes_its_gpu_critical_with_meaning_and_action(gpu_node, settings):
    gpu_node.kernel("NVRM: Xid (PCI:0000:3c:00): 119, pid=7, name=train, Timeout waiting for RPC from GSP0!")
    health = look(gpu_node, settings)
    assert [each.state for each in health.gpus] == [HealthState.HEALTHY, HealthState.CRITICAL]
    (event,) = health.as_dict()["gpus"][1]["xid_events"]
    assert (event["code"], event["name"], event["count"]) == (119, "GSP_RPC_TIMEOUT", 1)
    assert "did not answer" in event["meaning"]
    assert event["actions"][0].startswith("take work off the GPU and reset it")
    assert "XID 119" in health.gpus[1].reason
    assert [each.code for each in health.events] == [119]


def test_an_event_is_new_once_over_restarts_and_open_until_a_reboot(gpu_node, settings):
    gpu_node.kernel("NVRM: Xid (PCI:0000:3c:00): 119, Timeout waiting for RPC from GSP0!")
    assert len(look(gpu_node, settings).events) == 1
    again = look(gpu_node, settings)
    assert (again.events, again.state) == ((), HealthState.CRITICAL)
    gpu_node.reboot(2)
    assert look(gpu_node, settings).state is HealthState.HEALTHY


def test_a_lost_gpu_that_nvml_no_longer_shows_is_critical_all_the_same(gpu_node, settings):
    gpu_node.nvml(answer_of(healthy_gpu(0)))
    gpu_node.kernel("NVRM: Xid (PCI:0000:3c:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.")
    health = look(gpu_node, settings)
    assert health.gpus[0].state is HealthState.HEALTHY
    assert health.state is HealthState.CRITICAL
    assert [check.device for check in health.checks if check.id == "gpu.xid"] == ["0000:3c:00"]


def test_a_gpu_that_nvml_does_not_show_is_critical_without_a_word_in_the_log(gpu_node, settings_with):
    gpu_node.nvml(answer_of(healthy_gpu(0)))
    health = look(gpu_node, settings_with())
    assert health.state is HealthState.CRITICAL
    (check,) = [check for check in health.checks if check.id == "gpu.present"]
    assert "do not agree" in check.reason
    assert "gpu.present" in {record.event_name for record in otlp.log_records(health)}
    gpu_node.nvml(answer_of(healthy_gpu(0), healthy_gpu(1)))
    assert look(gpu_node, settings_with()).state is HealthState.HEALTHY
    assert look(gpu_node, settings_with(gpu_count_min=4)).state is HealthState.CRITICAL


def test_a_card_set_aside_for_virtual_machines_is_not_missed(node, settings):
    node.gpus("0000:3b:00.0")
    node.gpus("0000:3c:00.0", driver="vfio-pci")
    node.nvml(answer_of(healthy_gpu(0)))
    assert look(node, settings).state is HealthState.HEALTHY


def test_an_acknowledged_trouble_warns_and_a_cleared_one_is_gone(gpu_node, settings):
    gpu_node.kernel("NVRM: Xid (PCI:0000:3c:00): 119, Timeout")
    with Outlook(settings, gpu_node.root, machine=gpu_node.machine) as outlook:
        outlook.look()
        outlook.history.mark("acknowledge", by="ann", device="0000:3c:00")
        health = outlook.look()
        assert health.state is HealthState.WARNING
        assert "acknowledged by ann" in health.gpus[1].reason
        outlook.history.mark("clear", by="ann", device="0000:3c:00")
        assert outlook.look().state is HealthState.HEALTHY


def test_a_driver_that_does_not_serve_makes_the_state_critical_with_a_card_present(gpu_node, settings):
    gpu_node.nvml({"code": 18, "text": "mismatch"})
    health = look(gpu_node, settings)
    assert (health.state, health.gpus) == (HealthState.CRITICAL, ())


def test_the_drivers_own_events_reach_the_history(fake_nvml, node, settings, monkeypatch):
    monkeypatch.setenv("FAKE_NVML", "xid")
    with Outlook(settings, node.root, str(fake_nvml), machine=node.machine) as outlook:
        health = outlook.look()
        assert [(each.code, each.device, each.source) for each in health.events] == [(119, "0000:3b:00", "NVML")]
        assert [each.state for each in health.gpus] == [HealthState.CRITICAL, HealthState.HEALTHY]


def test_a_xid_that_kernel_and_nvml_tell_between_two_looks_counts_once(fake_nvml, node, settings, monkeypatch):
    monkeypatch.setenv("FAKE_NVML", "xid")
    node.now_unix_ns = NOW_NS
    reading = []
    with Outlook(settings, node.root, str(fake_nvml), machine=node.machine) as outlook:
        plain, outlook.survey._read = outlook.survey._read, lambda: reading[0]
        told = plain()
        reading[:] = [replace(told, events=())]
        outlook.look()
        node.kernel("NVRM: Xid (PCI:0000:3b:00): 119, pid=7, Timeout waiting", at_s=7220)
        node.now_unix_ns = NOW_NS + 60 * 10**9
        reading[:] = [told]
        assert [event.source for event in outlook.look().events] == ["kernel log"]


def test_what_an_operator_clears_counts_in_an_agent_that_runs(gpu_node, settings):
    gpu_node.kernel("NVRM: Xid (PCI:0000:3c:00): 119, Timeout")
    with (
        Outlook(settings, gpu_node.root, machine=gpu_node.machine) as agent,
        Outlook(settings, gpu_node.root, machine=gpu_node.machine) as command,
    ):
        assert agent.look().state is HealthState.CRITICAL
        command.look()
        command.history.mark("clear", by="ann", device="0000:3c:00")
        assert agent.look().state is HealthState.HEALTHY


def stuck(node, pid: int, wait: str = "os_acquire_rwlock_read") -> None:
    node.file(f"/proc/{pid}/stat", f"{pid} (nvidia-smi) D 1 " + " ".join(["0"] * 17) + " 777 0")
    node.file(f"/proc/{pid}/wchan", wait)


def test_a_process_stuck_in_the_driver_five_checks_long(gpu_node, settings):
    stuck(gpu_node, 4711)
    stuck(gpu_node, 4712, "io_schedule")
    (gpu_node.root / "proc/4712/stat").write_text("4712 (dd) D 1 " + " ".join(["0"] * 17) + " 778 0")
    found = []
    for _ in range(5):
        checks = {check.id: check for check in look(gpu_node, settings).checks}
        found.append((checks["host.stuck"].status.value, checks["host.stuck"].evidence))
    assert found == [("ok", ())] * 4 + [("fail", ("pid 4711 (nvidia-smi)",))]


def infiniband(node, drops: int, state: str = "4: ACTIVE", rate: str = "400 Gb/sec (4X NDR)") -> None:
    base = "/sys/class/infiniband/mlx5_0/ports/1"
    for name, text in (
        ("state", state),
        ("rate", rate),
        ("counters/link_downed", str(drops)),
        ("link_layer", "InfiniBand"),
    ):
        node.file(f"{base}/{name}", text + "\n")


def test_an_infiniband_drop_stays_until_it_is_cleared(gpu_node, settings):
    infiniband(gpu_node, 3)
    assert not any(check.id == "infiniband.drop" for check in look(gpu_node, settings).checks)
    infiniband(gpu_node, 4)
    for _ in range(2):
        assert any(check.id == "infiniband.drop" for check in look(gpu_node, settings).checks)
    with Outlook(settings, gpu_node.root, machine=gpu_node.machine) as outlook:
        outlook.history.mark("clear", by="ann", device="host")
        assert not any(check.id == "infiniband.drop" for check in outlook.look().checks)


@pytest.mark.parametrize(
    ("chosen", "state", "rate", "verdict"),
    [
        ({}, "4: ACTIVE", "400 Gb/sec (4X NDR)", "ok"),
        ({"infiniband_ports_min": 2}, "4: ACTIVE", "400 Gb/sec (4X NDR)", "fail"),
        ({"infiniband_ports_min": 1}, "1: DOWN", "400 Gb/sec (4X NDR)", "fail"),
        ({"infiniband_rate_gbps_min": 400}, "4: ACTIVE", "200 Gb/sec (4X HDR)", "fail"),
    ],
)
def test_infiniband_ports_and_rate(gpu_node, settings_with, chosen, state, rate, verdict):
    infiniband(gpu_node, 0, state, rate)
    checks = {check.id: check for check in look(gpu_node, settings_with(**chosen)).checks}
    assert checks["infiniband.ports"].status.value == verdict


@pytest.mark.parametrize(("answer", "verdict"), [("active\n", "ok"), ("failed\n", "fail"), (None, "skipped")])
def test_the_fabric_manager_where_there_are_switches(gpu_node, settings, answer, verdict):
    gpu_node.pci("0000:c3:00.0", 0x10DE, 0x22A3, 0x068000)
    if answer:
        gpu_node.answer("systemctl is-active nvidia-fabricmanager", answer, 0 if answer == "active\n" else 3)
    checks = {check.id: check for check in look(gpu_node, settings).checks}
    assert checks["gpu.fabric_manager"].status.value == verdict


def test_the_kernels_words_on_switches_and_on_the_host(gpu_node, settings):
    gpu_node.kernel(
        "nvidia-nvswitch0: SXid (PCI:0000:c3:00.0): 20034, Fatal, Link 30 LTSSM Fault Up",
        "EXT4-fs (sda1): Remounting filesystem read-only",
    )
    health = look(gpu_node, settings)
    assert {check.id for check in health.checks if check.status.value == "fail"} == {"gpu.switch", "host.read_only"}
