"""What happened is kept; reboots mend what they can; people acknowledge and clear."""

from __future__ import annotations

import pytest
from tests.host.conftest import NOW_NS

from watchkeeper.errors import NotFound
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
