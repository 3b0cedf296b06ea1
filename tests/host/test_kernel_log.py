"""The kernel's log in the forms that it is found in, and the events in recorded ones."""

from __future__ import annotations

import time
from pathlib import Path

import orjson
import pytest

from watchkeeper.host.check import CheckSeverity
from watchkeeper.host.kernel_events import KernelEvent, kernel_events, nvml_event, pci_key
from watchkeeper.host.kernel_log import KernelFollower, KernelLine, parse_kmsg, parse_text, read_kernel_log

DATA = Path(__file__).parent / "data"
BOOT_NS = 1_800_000_000 * 10**9


@pytest.fixture
def recorded(node) -> list[KernelEvent]:
    node.file("/dev/kmsg", (DATA / "xid.kmsg").read_text())
    return list(kernel_events(read_kernel_log(node.machine).lines, "boot"))


def test_a_recorded_kmsg_gives_every_gpu_event_once_and_nothing_else(recorded):
    seen = [(event.kind, event.code, event.device, event.severity.value) for event in recorded]
    assert seen == [
        ("xid", 79, "0000:3b:00", "critical"),
        ("gpu_lost", 0, "0000:3b:00", "critical"),
        ("xid", 31, "0000:3c:00", "warning"),
        ("xid", 94, "0000:3c:00", "warning"),
        ("xid", 149, "0000:9b:00", "critical"),
        ("xid", 145, "0000:9b:00", "warning"),
        ("xid", 154, "0000:9b:00", "critical"),
        ("sxid", 20034, "0000:c3:00", "critical"),
        ("sxid", 12028, "0000:c4:00", "warning"),
        ("gpu_lost", 0, "0000:b3:00", "critical"),
        ("nccl_segfault", 0, "", "warning"),
    ]


def test_what_the_lines_say_beside_the_number(recorded):
    by_code = {event.code: event for event in recorded}
    assert by_code[79].time_unix_ns == BOOT_NS + 120_500_100_000
    assert "pid" not in by_code[79].attributes
    assert by_code[31].attributes["pid"] == 7194
    assert by_code[31].attributes["process"] == "python3"
    assert by_code[31].attributes["origin"] == "application"
    assert by_code[149].attributes["unit"] == "NETIR_LINK_EVT"
    assert by_code[149].attributes["link"] == 2
    assert by_code[149].attributes["words"][0] == "0x004505c6"
    assert (by_code[145].attributes["fatal"], by_code[145].attributes["link"]) == (False, -1)
    assert by_code[154].attributes["recovery_to"] == "Node Reboot Required"
    assert by_code[20034].attributes["switch"] == "nvidia-nvswitch0"


def test_a_lost_gpu_told_in_one_record_of_three_lines_is_one_event():
    text = (
        "NVRM: The NVIDIA GPU 0000:b3:00.0\\x0aNVRM: (PCI ID: 10de:26b5) installed in this system has\\x0a"
        "NVRM: fallen off the bus and is not responding to commands."
    )
    line = parse_kmsg(f"4,1,5000000,-;{text}", BOOT_NS)
    assert line is not None
    assert [(event.kind, event.device) for event in kernel_events([line])] == [("gpu_lost", "0000:b3:00")]


def test_an_address_far_above_is_not_taken_for_the_lost_gpu():
    lines = [KernelLine(0, "NVRM: The NVIDIA GPU 0000:b3:00.0"), *[KernelLine(0, "quiet")] * 5]
    lines.append(KernelLine(0, "NVRM: fallen off the bus and is not responding to commands."))
    assert [event.device for event in kernel_events(lines)] == [""]


def test_a_xid_of_a_mig_instance_names_the_gpu():
    (event,) = kernel_events([KernelLine(0, "NVRM: Xid (PCI:0000:01:00 GPU-I:05): 94, pid=7, Contained")])
    assert (event.code, event.device) == (94, "0000:01:00")


def test_a_recorded_dmesg_gives_the_events_of_the_host(node):
    (node.root / "dev/kmsg").unlink()
    node.file("/var/log/dmesg", (DATA / "host.dmesg").read_text())
    log = read_kernel_log(node.machine)
    assert log.source == "/var/log/dmesg"
    kinds = [event.kind for event in kernel_events(log.lines)]
    assert kinds == ["oom_kill", "lockup", "nvme_reset", "read_only", "hung_task", "infiniband_link_down"]
    assert log.lines[1].time_unix_ns == BOOT_NS + 4_001_220_110_000


@pytest.mark.parametrize(
    ("interface", "kinds"), [("ib0", ["infiniband_link_down"]), ("ibp65s0", ["infiniband_link_down"]), ("enp1s0f0", [])]
)
def test_an_ethernet_port_of_the_same_driver_is_no_infiniband(interface, kinds):
    line = KernelLine(0, f"mlx5_core 0000:01:00.0 {interface}: Link down")
    assert [event.kind for event in kernel_events([line])] == kinds


@pytest.fixture
def in_utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_utc")
def test_syslog_files_old_and_new_style_are_read_and_other_programs_passed_over(node):
    (node.root / "dev/kmsg").unlink()
    node.file("/var/log/kern.log", (DATA / "kern.log").read_text())
    log = read_kernel_log(node.machine)
    assert [(event.code, event.kind) for event in kernel_events(log.lines)] == [(48, "xid"), (63, "xid")]
    assert log.lines[1].time_unix_ns == 1_800_007_202_250_000_000


def test_lines_of_files_from_before_this_boot_are_the_pasts(node):
    (node.root / "dev/kmsg").unlink()
    node.file("/var/log/kern.log", "2026-12-31T23:00:00+00:00 n kernel: NVRM: Xid (PCI:0000:3b:00): 79, lost\n")
    assert read_kernel_log(node.machine).lines == ()


def test_the_journal_serves_where_kmsg_does_not(node):
    (node.root / "dev/kmsg").unlink()
    rows = [
        {"__REALTIME_TIMESTAMP": "1800000001000000", "MESSAGE": "NVRM: Xid (PCI:0000:3b:00): 62, halted"},
        {"__REALTIME_TIMESTAMP": "1800000002000000", "MESSAGE": [1, 2]},
    ]
    text = "\n".join(orjson.dumps(row).decode() for row in rows) + "\nnot json"
    node.answer("journalctl -k -b -o json --no-pager", text)
    log = read_kernel_log(node.machine)
    assert (log.source, log.lines) == (
        "journalctl -k",
        (KernelLine(1_800_000_001 * 10**9, "NVRM: Xid (PCI:0000:3b:00): 62, halted"),),
    )


def test_the_follower_asks_the_journal_only_for_what_is_new(node):
    (node.root / "dev/kmsg").unlink()

    def row(second: int, text: str) -> str:
        return orjson.dumps({"__REALTIME_TIMESTAMP": str(second * 10**6), "MESSAGE": text}).decode() + "\n"

    command = "journalctl -k -b -o json --no-pager"
    node.answer(command, row(1_800_000_001, "first"))
    node.answer(f"{command} --since @1800000001", row(1_800_000_001, "first") + row(1_800_000_002, "second"))
    node.answer(f"{command} --since @1800000002", "")
    follower = KernelFollower(node.machine)
    assert [[line.text for line in follower.take().lines] for _ in range(3)] == [["first"], ["second"], []]


def test_all_sources_tell_the_same_kernels_time(node):
    text = "NVRM: Xid (PCI:0000:3b:00): 62, halted"
    fields = {"__REALTIME_TIMESTAMP": "1800000009", "_SOURCE_MONOTONIC_TIMESTAMP": "1500000", "MESSAGE": text}
    lines = [
        parse_kmsg(f"4,812,1500000,-;{text}", BOOT_NS),
        parse_text(f"[    1.500000] {text}", BOOT_NS, BOOT_NS),
        parse_text(f"2027-01-15T10:00:02+00:00 n kernel: [    1.500000] {text}", BOOT_NS, BOOT_NS),
        parse_text(f"Jan 15 10:00:02 n kernel: [    1.500000] {text}", BOOT_NS, BOOT_NS),
    ]
    (node.root / "dev/kmsg").unlink()
    node.answer("journalctl -k -b -o json --no-pager", orjson.dumps(fields).decode())
    lines += read_kernel_log(node.machine).lines
    assert {line.key for line in lines if line is not None} == {(-1_500_001, text)}
    assert len(lines) == 5


def test_a_clock_that_is_set_back_hides_no_line_of_the_journal(node):
    (node.root / "dev/kmsg").unlink()

    def row(second: int, text: str) -> str:
        return orjson.dumps({"__REALTIME_TIMESTAMP": str(second * 10**6), "MESSAGE": text}).decode() + "\n"

    command = "journalctl -k -b -o json --no-pager"
    node.now_unix_ns = 1_800_007_200 * 10**9
    node.answer(command, row(1_800_007_199, "before"))
    node.answer(f"{command} --since @1800003060", row(1_800_003_650, "after"))
    follower = KernelFollower(node.machine)
    assert [line.text for line in follower.take().lines] == ["before"]
    node.now_unix_ns = 1_800_003_660 * 10**9
    assert [line.text for line in follower.take().lines] == ["after"]


def test_without_any_source_the_reasons_are_told(node):
    (node.root / "dev/kmsg").unlink()
    log = read_kernel_log(node.machine)
    assert (log.source, log.lines) == ("", ())
    assert "/dev/kmsg: missing" in log.trouble
    assert "journalctl: not there" in log.trouble


def test_the_follower_gives_each_line_once(node):
    follower = KernelFollower(node.machine)
    node.kernel("first")
    assert [line.text for line in follower.take().lines] == ["first"]
    node.kernel("second", at_s=200, first=2)
    assert [line.text for line in follower.take().lines] == ["second"]
    assert follower.take().lines == ()


def test_a_stamp_without_a_year_is_of_the_last_such_day():
    line = parse_text("Dec 31 23:59:59 n kernel: x", 0, BOOT_NS)
    assert line is not None
    assert 0 < BOOT_NS - line.time_unix_ns < 366 * 86_400 * 10**9


@pytest.mark.parametrize("text", ["", "nonsense", "Foo 31 23:59:59 n kernel: x", "4,5;x", " SUBSYSTEM=pci"])
def test_what_is_no_kernel_line_is_none(text):
    assert parse_text(text, 0, BOOT_NS) is None
    assert parse_kmsg(text, 0) is None


def test_events_that_nvml_tells_name_the_catalogue():
    event = nvml_event("xid", 119, "0000:3b:00", BOOT_NS, "boot")
    assert (event.severity, event.attributes["name"]) == (CheckSeverity.CRITICAL, "GSP_RPC_TIMEOUT")
    assert nvml_event("double_bit_ecc", 0, "0000:3b:00", BOOT_NS, "boot").severity is CheckSeverity.CRITICAL


def test_pci_addresses_of_all_forms_are_one():
    forms = ("0000:3b:00", "0000:3B:00.0", "00000000:3B:00.0", "PCI:0000:3b:00")
    assert {pci_key(form) for form in forms} == {"0000:3b:00"}
    assert pci_key("GPU-1") == "gpu-1"
