"""What happened is kept; reboots mend what they can; people acknowledge and clear."""

from __future__ import annotations

import pytest
from tests.host.conftest import NOW_NS

from watchkeeper.errors import NotFound, StoreError
from watchkeeper.host.check import CheckSeverity
from watchkeeper.host.history import History
from watchkeeper.host.kernel_events import KernelEvent, kernel_events, nvml_event
from watchkeeper.host.kernel_log import KernelLine

SECOND = 10**9


def xid(code: int, boot: str = "b1", at_ns: int = NOW_NS - 60 * SECOND, text: str = "") -> KernelEvent:
    line = KernelLine(at_ns, f"NVRM: Xid (PCI:0000:3b:00): {code}, {text}")
    (event,) = kernel_events([line], boot)
    return event


@pytest.fixture
def history(tmp_path):
    return History(tmp_path, now_unix_ns=lambda: NOW_NS)


def codes(history: History, boot: str = "b1") -> list[int]:
    return [condition.code for condition in history.conditions(boot)]


def test_an_event_is_kept_once_and_over_a_restart(history, tmp_path):
    assert len(history.add([xid(79), xid(79)])) == 1
    again = History(tmp_path, now_unix_ns=lambda: NOW_NS)
    assert again.add([xid(79)]) == []
    assert [event.as_dict() for event in again.events] == [event.as_dict() for event in history.events]


def test_what_a_reboot_mends_ends_with_it(history):
    history.add([xid(79), xid(54)])
    assert sorted(codes(history, "b1")) == [54, 79]
    assert codes(history, "b2") == [54]


def test_what_comes_back_after_two_reboots_wants_a_look_at_the_hardware(history):
    for number, boot in enumerate(("b1", "b2", "b3")):
        history.add([xid(79, boot, NOW_NS - (900 - number) * SECOND)])
        (condition,) = history.conditions(boot)
        assert condition.inspect == (number == 2)
    assert condition.actions[0].startswith("look at the board")


def test_faults_of_an_application_do_not_count_reboots_and_age(history):
    for number, boot in enumerate(("b1", "b2", "b3")):
        history.add([xid(31, boot, NOW_NS - (9000 - number) * SECOND)])
    (condition,) = history.conditions("b3")
    assert not condition.inspect
    assert history.conditions("b3", since_application_s=3600) == []


def test_clear_sets_healthy_and_the_history_stays(history, tmp_path):
    history.add([xid(79), xid(54)])
    assert history.mark("clear", by="ann", device="0000:3b:00", code=79, note="board replaced") == 1
    assert codes(history) == [54]
    history.mark("clear", by="ann")
    again = History(tmp_path, now_unix_ns=lambda: NOW_NS)
    assert codes(again) == []
    assert len(again.events) == 2
    assert [(mark.by, mark.note) for mark in again.marks] == [("ann", "board replaced"), ("ann", "")]


def test_what_happens_after_clearing_counts_anew(history):
    history.add([xid(79)])
    history.mark("clear", by="ann")
    history.add([xid(79, at_ns=NOW_NS + SECOND)])
    (condition,) = history.conditions("b1")
    assert condition.count == 1


def test_acknowledging_keeps_it_open_with_a_name(history):
    history.add([xid(79)])
    history.mark("acknowledge", by="bob")
    (condition,) = history.conditions("b1")
    assert condition.acknowledged_by == "bob"


def test_marking_what_is_not_open_says_so(history):
    history.add([xid(79)])
    with pytest.raises(NotFound, match="nothing is open for 0000:5e:00"):
        history.mark("clear", by="ann", device="0000:5e:00")


def test_the_host_alone_can_be_cleared(history):
    (kill,) = kernel_events([KernelLine(NOW_NS - 1, "Out of memory: Killed process 1 (x)")], "b1")
    history.add([xid(79), kill])
    history.mark("clear", by="ann", device="host")
    assert codes(history) == [79]


def test_nvml_and_the_kernel_tell_of_one_xid_and_it_counts_once(history):
    history.add([xid(119, at_ns=NOW_NS)])
    assert history.add([nvml_event("xid", 119, "0000:3b:00", NOW_NS + 2 * SECOND, "b1")]) == []
    assert len(history.add([nvml_event("xid", 119, "0000:3b:00", NOW_NS + 60 * SECOND, "b1")])) == 1
    assert len(history.add([nvml_event("xid", 119, "0000:5e:00", NOW_NS, "b1")])) == 1


def test_what_nvml_tells_at_a_look_may_be_as_old_as_the_look_before(history):
    before_ns = NOW_NS - 60 * SECOND
    history.add([xid(119, at_ns=NOW_NS - 40 * SECOND), xid(31, at_ns=NOW_NS - 90 * SECOND)])
    told = [nvml_event("xid", code, "0000:3b:00", NOW_NS, "b1") for code in (119, 31)]
    assert [event.code for event in history.add(told, since_unix_ns=before_ns)] == [31], "that was before the look"
    assert [condition.count for condition in history.conditions("b1")] == [1, 2]


def test_the_same_line_is_one_event_though_the_clock_was_set_meanwhile(history, tmp_path):
    text = "NVRM: Xid (PCI:0000:3b:00): 79, lost"
    early, late = (KernelLine(NOW_NS - ahead * SECOND, text, 1_500_000) for ahead in (4000, 400))
    (first,) = history.add(kernel_events([early], "b1"))
    assert history.add(kernel_events([late], "b1")) == []
    again = History(tmp_path, now_unix_ns=lambda: NOW_NS)
    assert again.add(kernel_events([late], "b1")) == []
    assert (again.events[0].id, again.events[0].since_boot_us) == (first.id, 1_500_000)
    assert len(history.add(kernel_events([KernelLine(NOW_NS, text, 9_000_000)], "b1"))) == 1, "it came again"


def test_events_that_an_older_version_kept_are_known(history, tmp_path):
    line = KernelLine(NOW_NS, "NVRM: Xid (PCI:0000:3b:00): 79, lost", 1_500_000)
    history.add(kernel_events([line._replace(since_boot_us=-1)], "b1"))
    file = tmp_path / "events.jsonl"
    file.write_text(file.read_text().replace(',"since_boot_us":-1', ""))
    again = History(tmp_path, now_unix_ns=lambda: NOW_NS)
    assert again.add(kernel_events([line], "b1")) == []
    assert len(again.events) == 1


def test_what_another_process_wrote_is_taken_up_once(history, tmp_path):
    other = History(tmp_path, now_unix_ns=lambda: NOW_NS)
    other.add([xid(79), xid(54)])
    assert [event.code for event in history.refresh()] == [79, 54]
    assert history.refresh() == []
    other.mark("clear", by="ann", code=79)
    history.refresh()
    assert codes(history) == [54]
    history.add([xid(48)])
    other.add([xid(48)])
    assert history.refresh() == []
    assert sorted(event.code for event in History(tmp_path, now_unix_ns=lambda: NOW_NS).events) == [48, 54, 79]


def storm(first: int, count: int) -> list[KernelEvent]:
    """Give kills for want of memory, one a second, and an XID before them."""
    killed = "Memory cgroup out of memory: Killed process 7 (train)"
    lines = [KernelLine(NOW_NS + n * SECOND, f"{killed} {n}", n * 1_000_000) for n in range(first, first + count)]
    return [*kernel_events(lines, "b1")]


def test_a_storm_is_bounded_in_memory_and_on_disk_and_takes_nothing_from_others(tmp_path, monkeypatch):
    monkeypatch.setattr("watchkeeper.host.history.ALIKE_MAX", 100)
    monkeypatch.setattr("watchkeeper.host.event_file.BYTES_MAX", 64 << 10)
    history = History(tmp_path, now_unix_ns=lambda: NOW_NS)
    other = History(tmp_path, now_unix_ns=lambda: NOW_NS)
    history.add([xid(79), *storm(1, 50)])
    other.refresh()
    other.mark("acknowledge", by="ann", code=79)
    sizes = []
    for first in range(51, 2051, 100):
        assert len(history.add(storm(first, 100))) == 100
        history.refresh()
        sizes.append((tmp_path / "events.jsonl").stat().st_size)
    assert len(history.events) <= 111
    assert max(sizes) < 160 << 10
    assert history.add(storm(1, 500)) == [], "what came before those that are kept is not new"
    other.add(storm(3000, 1))
    for each in (history, other, History(tmp_path, now_unix_ns=lambda: NOW_NS)):
        each.refresh()
        found = {condition.kind: condition for condition in each.conditions("b1")}
        assert found["xid"].acknowledged_by == "ann"
        assert found["oom_kill"].last_unix_ns == NOW_NS + 3000 * SECOND


def test_a_line_that_a_kill_cut_short_spoils_no_other(history, tmp_path):
    file = tmp_path / "events.jsonl"
    history.add([xid(79)])
    with file.open("ab") as opened:
        opened.write(file.read_bytes()[:40])
    assert history.refresh() == []
    history.add([xid(54)])
    assert [event.code for event in History(tmp_path, now_unix_ns=lambda: NOW_NS).events] == [79, 54]


def test_a_mark_that_cannot_be_kept_is_an_error_and_marks_nothing(tmp_path):
    folder = tmp_path / "kept"
    history = History(folder, now_unix_ns=lambda: NOW_NS)
    history.add([xid(79)])
    (folder / "events.jsonl").unlink()
    (folder / "events.jsonl").mkdir()
    with pytest.raises(StoreError, match="nothing was marked"):
        history.mark("clear", by="ann")
    assert codes(history) == [79]


def test_a_recovery_action_that_went_back_to_none_is_over(history):
    history.add([xid(154, text="GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)")])
    assert codes(history) == [154]
    back = "GPU recovery action changed from 0x1 (GPU Reset Required) to 0x0 (None)"
    history.add([xid(154, at_ns=NOW_NS, text=back)])
    assert codes(history) == []


def test_lines_that_cannot_be_read_are_passed_over(history, tmp_path):
    history.add([xid(79)])
    with (tmp_path / "events.jsonl").open("ab") as file:
        file.write(b'{"schema_version":1,"type":"event"}\n{broken\n[]\n{"schema_version":99,"type":"event"}\n')
    assert len(History(tmp_path, now_unix_ns=lambda: NOW_NS).events) == 1


def test_a_history_that_cannot_be_written_is_told_and_kept_in_memory(tmp_path):
    (tmp_path / "file").write_text("")
    history = History(tmp_path / "file" / "below", now_unix_ns=lambda: NOW_NS)
    history.add([xid(79)])
    assert codes(history) == [79]
    assert "cannot be written" in history.trouble


def test_the_gravest_comes_first(history):
    history.add([xid(31), xid(79)])
    assert [condition.severity for condition in history.conditions("b1")] == [
        CheckSeverity.CRITICAL, CheckSeverity.WARNING,
    ]  # fmt: skip
