"""What a node reports of itself is told at once, for as long as it lasts, and apart from what other nodes report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from tests.host.conftest import BOOT_S, NOW_NS, Node, answer_of, healthy_gpu

from watchkeeper.detect.reported import Reports, without_reports
from watchkeeper.diagnose.grouping import IncidentGrouper
from watchkeeper.edge.node_health import HealthNews
from watchkeeper.host.visit import Outlook
from watchkeeper.receive.decode import decode
from watchkeeper.settings import Settings
from watchkeeper.signals.finding import Finding, FindingSeverity, FindingState
from watchkeeper.signals.schema import Signal
from watchkeeper.signals.topology import Edge, EdgeKind, NodeKind, Topology
from watchkeeper.signals.topology import Node as TopologyNode

SECOND_NS = 10**9
CLOSE_S = 120
LATE_S = NOW_NS // SECOND_NS - BOOT_S - 10
XID_79 = "NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."
XID_31 = "NVRM: Xid (PCI:0000:3b:00): 31, pid=7, name=train, MMU Fault"
KILLED = "Out of memory: Killed process 4711 (train) total-vm:1kB, anon-rss:1kB"
READ_ONLY = "EXT4-fs (nvme0n1p1): Remounting filesystem read-only"


class Watched:
    """A node that is looked at, and what a reader makes of its looks."""

    def __init__(self, folder: Path, host: str = "gpu-node-17", reports: Reports | None = None) -> None:
        self.node = Node(folder / "root")
        self.node.file("/proc/sys/kernel/hostname", f"{host}\n")
        self.node.gpus("0000:3b:00.0", "0000:3c:00.0")
        self.node.nvml(answer_of(healthy_gpu(0), healthy_gpu(1)))
        self._settings = Settings(chosen={"home": str(folder / "home")}, environment={})
        self.reports = reports or Reports(CLOSE_S)
        self.begin()

    def begin(self) -> None:
        """Begin as a program that was started anew."""
        self.outlook = Outlook(self._settings, self.node.root, machine=self.node.machine)
        self.news = HealthNews()

    def look(self, after_s: float = 0.0, *, arrives: bool = True) -> pa.RecordBatch:
        self.node.now_unix_ns += int(after_s * SECOND_NS)
        health = self.outlook.look()
        logs, _ = self.news.requests(health)
        if arrives:
            self.news.told(health)
        return decode(Signal.LOGS, "protobuf", logs, sender="n", received_unix_ns=self.node.now_unix_ns).batch

    def found(self, after_s: float = 0.0) -> list[Finding]:
        return self.reports.take(self.look(after_s))


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_a_grave_xid_is_a_finding_of_its_gpu_at_the_very_first_look(watched: Watched) -> None:
    watched.node.kernel(XID_79, at_s=LATE_S)
    (finding,) = watched.found()
    gpu = watched.outlook.look().gpus[0].gpu.id
    assert finding.severity is FindingSeverity.CRITICAL
    assert finding.entity == f"service=watchkeeper-node|gpu={gpu}|node=gpu-node-17"
    assert finding.first_unix_ns == (BOOT_S + LATE_S) * SECOND_NS
    assert "XID 79" in finding.title
    assert "gpu-node-17" in finding.title
    assert "reboot" in finding.why
    assert finding.evidence[0].text.endswith(f"[{XID_79}]")


def test_statistics_judge_the_heartbeat_and_leave_the_reports_out(watched: Watched) -> None:
    watched.node.kernel(XID_79, at_s=LATE_S)
    batch = watched.look()
    assert batch.num_rows == 2
    assert without_reports(batch).column("event_name").to_pylist() == ["host.health"]


def test_it_is_open_for_as_long_as_the_node_lists_it(watched: Watched) -> None:
    watched.node.kernel(XID_79, at_s=LATE_S)
    (opened,) = watched.found()
    for _ in range(3):
        (on,) = watched.found(CLOSE_S + 1)
        assert (on.id, on.state, on.last_unix_ns) == (opened.id, FindingState.OPEN, watched.node.now_unix_ns)
    watched.outlook.history.mark("clear", by="operator")
    assert watched.found(10) == []
    (closed,) = watched.found(CLOSE_S)
    assert (closed.id, closed.state) == (opened.id, FindingState.CLOSED)


def test_throttling_is_told_and_is_over_once_the_clocks_are_free(watched: Watched) -> None:
    assert watched.found() == []
    watched.node.nvml(answer_of(healthy_gpu(0, throttle_reasons=0x48), healthy_gpu(1)))
    told = {finding.subject: finding for finding in watched.found(10)}
    assert told["gpu.throttle"].severity is FindingSeverity.WARNING
    assert told["gpu.throttle"].attributes["origin"] == "hardware"
    watched.node.nvml(answer_of(healthy_gpu(0), healthy_gpu(1)))
    over = {finding.subject: finding.state for finding in watched.found(CLOSE_S + 1)}
    assert over["gpu.throttle"] is FindingState.CLOSED


def test_a_kill_is_over_once_told_and_a_lost_disk_is_not(watched: Watched) -> None:
    watched.node.kernel(KILLED, READ_ONLY, at_s=LATE_S)
    told = {finding.subject: finding for finding in watched.found()}
    assert set(told) == {"oom_kill", "read_only"}
    assert {finding.severity for finding in told.values()} == {FindingSeverity.CRITICAL}
    assert {finding.entity for finding in told.values()} == {"service=watchkeeper-node|node=gpu-node-17"}
    later = {finding.subject: finding.state for finding in watched.found(CLOSE_S + 60)}
    assert later == {"oom_kill": FindingState.CLOSED, "read_only": FindingState.OPEN}


def test_a_fault_of_an_application_is_a_warning_that_says_so(watched: Watched) -> None:
    watched.node.kernel(XID_31, at_s=LATE_S)
    (finding,) = watched.found()
    assert finding.severity is FindingSeverity.WARNING
    assert finding.attributes["origin"] == "application"
    (closed,) = watched.found(CLOSE_S + 60)
    assert closed.state is FindingState.CLOSED


def test_a_gpu_that_is_no_longer_shown_keeps_its_name(watched: Watched) -> None:
    watched.found()
    lost = watched.outlook.look().gpus[0].gpu.id
    watched.node.nvml(answer_of(healthy_gpu(1)))
    watched.node.kernel(XID_79, at_s=LATE_S)
    xid = next(finding for finding in watched.found(10) if finding.attributes.get("xid") == 79)
    assert f"gpu={lost}|" in xid.entity
    assert watched.found(CLOSE_S + 1)
    assert next(one for one in watched.found(CLOSE_S + 1) if one.id == xid.id).state is FindingState.OPEN


def test_what_could_not_be_sent_goes_with_the_next_look(watched: Watched) -> None:
    watched.node.kernel(XID_79, at_s=LATE_S)
    watched.look(arrives=False)
    (finding,) = watched.found(10)
    assert "XID 79" in finding.title


def test_a_program_started_anew_tells_what_went_on_before_as_the_same_finding(watched: Watched) -> None:
    watched.node.kernel(XID_79, at_s=LATE_S)
    (first,) = watched.found()
    watched.begin()
    (again,) = watched.found(10)
    assert (again.id, again.count) == (first.id, 2)
    elsewhere = Reports(CLOSE_S)
    watched.begin()
    (new,) = elsewhere.take(watched.look(10))
    assert (new.subject, new.entity, new.severity) == (first.subject, first.entity, first.severity)


def test_a_reader_started_anew_goes_on_with_what_was_open(watched: Watched) -> None:
    watched.node.kernel(XID_79, at_s=LATE_S)
    batch = watched.look()
    (first,) = watched.reports.take(batch)
    again = Reports(CLOSE_S)
    again.take_up([first, replace(first, id="x", kind="log.error.rate")])
    assert again.take(batch) == []
    watched.outlook.history.mark("clear", by="operator")
    (closed,) = again.take(watched.look(CLOSE_S + 1))
    assert (closed.id, closed.state) == (first.id, FindingState.CLOSED)


def test_a_node_that_is_never_heard_again_does_not_stay_in_trouble(tmp_path: Path) -> None:
    reports = Reports(CLOSE_S)
    gone = Watched(tmp_path / "a", "a", reports)
    alive = Watched(tmp_path / "b", "b", reports)
    gone.node.kernel(XID_79, at_s=LATE_S)
    (finding,) = gone.found()
    assert alive.found(3600) == []
    (closed,) = alive.found(3700)
    assert (closed.id, closed.state) == (finding.id, FindingState.CLOSED)


def test_the_same_fault_on_two_nodes_is_two_incidents_each_with_its_own_job(tmp_path: Path) -> None:
    reports, grouper = Reports(CLOSE_S), IncidentGrouper()
    hosts = ("a", "b")
    services = [TopologyNode(NodeKind.SERVICE, name) for name in ("watchkeeper-node", "train-a", "train-b")]
    edges = [Edge(f"service:{job}", f"host:{host}", EdgeKind.RUNS_ON) for host in hosts
             for job in ("watchkeeper-node", f"train-{host}")]  # fmt: skip
    grouper.see(Topology((*services, *(TopologyNode(NodeKind.HOST, host) for host in hosts)), tuple(edges)))
    for host in hosts:
        node = Watched(tmp_path / host, host, reports)
        node.node.nvml(answer_of(healthy_gpu(0, uuid=f"GPU-{host}"), healthy_gpu(1, uuid=f"GPU-{host}-1")))
        node.node.kernel(XID_79, at_s=LATE_S)
        (finding,) = node.found()
        grouper.observe(finding)
        slow = replace(
            finding, id=host, kind="metric.level", service=f"train-{host}", entity=f"service=train-{host}|node={host}"
        )
        grouper.observe(slow)
    grouped = sorted(incident.nodes for incident in grouper.incidents.values())
    assert grouped == [
        (f"gpu:GPU-{host}", f"host:{host}", f"service:train-{host}") for host in hosts
    ]  # fmt: skip
