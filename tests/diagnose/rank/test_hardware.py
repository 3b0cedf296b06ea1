"""A GPU or host that reports its own fault leads where telemetry singles nothing out, and only there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.diagnose.incident_findings import SECOND, START, finding

from watchkeeper.diagnose.base import Cause, Ranking
from watchkeeper.diagnose.diagnoser import Diagnoser
from watchkeeper.diagnose.rank.hardware import led_by_hardware
from watchkeeper.diagnose.window import IncidentWindow
from watchkeeper.signals.entity import Entity
from watchkeeper.signals.finding import FindingSeverity
from watchkeeper.signals.node_report import NODE_SERVICE, REPORTED
from watchkeeper.signals.topology import Edge, EdgeKind, Node, NodeKind, Topology

GPU, HOST, JOB, OTHER = "gpu:G1", "host:n1", "service:trainer", "service:web"
TOPOLOGY = Topology(
    (
        Node(NodeKind.GPU, "G1"),
        Node(NodeKind.HOST, "n1"),
        Node(NodeKind.SERVICE, "trainer"),
        Node(NodeKind.SERVICE, "web"),
    ),
    (Edge(GPU, HOST, EdgeKind.PART_OF), Edge(JOB, HOST, EdgeKind.RUNS_ON)),
)
XID = finding(
    2,
    "agent",
    entity=Entity(service="agent", gpu="G1", node="n1").key,
    severity=FindingSeverity.CRITICAL,
    title="XID 79 on G1",
)
SLOW = finding(0, "trainer", kind="metric.level")


def window(*findings) -> IncidentWindow:
    return IncidentWindow(
        START - 600 * SECOND,
        START,
        START + 60 * SECOND,
        nodes=(JOB, GPU, HOST, OTHER),
        topology=TOPOLOGY,
        findings=findings,
    )


SILENT = Ranking((Cause(JOB, 0.4, 0.3), Cause(GPU, 0.1, 0.1), Cause(HOST, 0.0), Cause(OTHER, 0.0)), abstains=True)


def test_a_gpu_that_reports_a_fault_is_the_cause_of_what_runs_on_its_host() -> None:
    told = led_by_hardware(window(SLOW, XID), SILENT)
    assert not told.abstains
    assert told.nodes() == [GPU, JOB, HOST, OTHER]
    assert told.causes[0].confidence == 0.5
    assert {proof.finding_id for proof in told.causes[0].evidence_for} == {SLOW.id, XID.id}
    assert "XID 79" in told.why


def test_it_never_leads_against_a_supported_cause() -> None:
    spoken = replace(SILENT, abstains=False)
    assert led_by_hardware(window(SLOW, XID), spoken) is spoken


def reported(severity: FindingSeverity, origin: str):
    return replace(XID, kind=REPORTED, severity=severity, attributes={"origin": origin})


def test_what_a_gpu_reports_of_itself_goes_over_the_job_on_it_and_over_nothing_else() -> None:
    spoken = replace(SILENT, abstains=False)
    broken = reported(FindingSeverity.CRITICAL, "hardware")
    assert led_by_hardware(window(SLOW, broken), spoken).nodes()[0] == GPU
    elsewhere = replace(spoken, causes=(Cause(OTHER, 0.9, 0.9), *spoken.causes[:-1]))
    assert led_by_hardware(window(SLOW, broken), elsewhere) is elsewhere
    for lesser in (reported(FindingSeverity.WARNING, "hardware"), reported(FindingSeverity.CRITICAL, "application")):
        assert led_by_hardware(window(SLOW, lesser), spoken) is spoken


def test_throttling_alone_is_told_as_the_cause_where_nothing_else_is_and_an_applications_fault_is_not() -> None:
    throttled = reported(FindingSeverity.WARNING, "hardware")
    assert led_by_hardware(window(SLOW, throttled), SILENT).nodes()[0] == GPU
    assert led_by_hardware(window(SLOW, reported(FindingSeverity.WARNING, "application")), SILENT) is SILENT


@pytest.mark.parametrize(("origin", "leads_over_the_job"), [("hardware", True), ("application", False)])
def test_a_host_that_reports_a_lost_disk_or_a_kill_is_the_cause_of_what_runs_there(
    origin: str, leads_over_the_job: bool
) -> None:
    entity = Entity(service=NODE_SERVICE, node="n1").key
    told = replace(reported(FindingSeverity.CRITICAL, origin), service=NODE_SERVICE, entity=entity)
    assert led_by_hardware(window(SLOW, told), SILENT).nodes()[0] == HOST
    spoken = led_by_hardware(window(SLOW, told), replace(SILENT, abstains=False))
    assert (spoken.nodes()[0] == HOST) is leads_over_the_job


@pytest.mark.parametrize(
    "findings",
    [
        (),
        (XID,),
        (SLOW,),
        (SLOW, replace(XID, severity=FindingSeverity.WARNING)),
        (SLOW, replace(XID, first_unix_ns=START + 200 * SECOND)),
        (finding(0, "web"), XID),
    ],
    ids=["nothing", "nobody suffers", "no report", "only a warning", "long after", "what suffers runs elsewhere"],
)
def test_without_a_report_and_somebody_who_suffers_nothing_is_said(findings) -> None:
    assert led_by_hardware(window(*findings), SILENT) is SILENT


def test_the_diagnoser_asks_the_hardware_last() -> None:
    class Abstaining:
        def rank(self, window: IncidentWindow) -> Ranking:
            return SILENT

    diagnoser = Diagnoser(Abstaining())
    diagnoser._without_telemetry = Abstaining()
    told = diagnoser.diagnose(window(SLOW, XID))
    assert told.nodes()[0] == GPU
    assert [proof.id for proof in told.causes[0].evidence_for] == ["E1", "E2"]
