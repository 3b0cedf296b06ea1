"""The adapter of the Nezha sets: on a set made here, and on a few faults of the real one."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from watchkeeper.bench.cases.base import Case
from watchkeeper.bench.cases.nezha import cases, everything, region_matches, service_node
from watchkeeper.bench.cases.nezha_lines import LineText, line_texts, take_apart
from watchkeeper.datasets.catalogue import DATA_SETS
from watchkeeper.diagnose.base import Indicator, IndicatorKind
from watchkeeper.diagnose.category.kinds import shipped
from watchkeeper.diagnose.rank.families import evidence
from watchkeeper.diagnose.rank.routed import RoutedRanker
from watchkeeper.errors import DataSetError
from watchkeeper.patterns.miner import TemplateMiner
from watchkeeper.settings import Settings

NAME = "nezha_trainticket"
S = 1_000_000_000
MIDNIGHT = 1_674_950_400
"""2023-01-29 00:00:00 UTC in seconds."""
AT = MIDNIGHT + 8 * 3_600
POD = "cart-5f55b6cf68-77cfw"


def minute(begin: int, *, broken: bool) -> tuple[str, str]:
    """Give the traces and lines of a minute, a request a second; the first line of each is of one long message."""
    spans = ["TraceID,SpanID,ParentID,PodName,OperationName,StartTimeUnixNano,EndTimeUnixNano,Duration"]
    lines = ["Timestamp,TimeUnixNano,Node,PodName,Container,TraceID,SpanID,Log"]
    for second in range(58):
        start = (begin + second) * S
        spans.append(f"t{second},s1,root,front-5f55b6cf68-aaaaa,GET /,{start},{start + 20_000_000},20000")
        spans.append(f"t{second},s2,s1,{POD},Cart/Get,{start + 2_000_000},{start + 12_000_000},10000")
        said = [("c.Cart#7", "looking for 17"), ("c.Cart#9", "found")]
        for place, (where, what) in enumerate(said[:1] if broken else said):
            body = json.dumps({"log": f"08:00:00.000 INFO  {where} TraceID: t{second} SpanID: s2 {what}\n"})
            quoted = body.replace('"', '""')
            lines.append(f'x,{start + (3 + place) * 1_000_000},n,{POD},server,t{second},s2,"{quoted}"')
    return "\n".join(spans), "\n".join(lines)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {
        "rca_data/2023-01-29/2023-01-29-fault_list.json": json.dumps(
            {"08": [{"inject_time": "2023-01-29 08:10:04", "inject_pod": POD, "inject_type": "exception"}]}
        ),
        "construct_data/root_cause_ts.json": json.dumps({"cart": {"exception": "c.Cart#7_c.Cart#9"}}),
    }
    for root, clock, broken in (
        ("construct_data", 480, False),
        ("rca_data", 550, False),
        ("rca_data", 610, True),
        ("rca_data", 670, True),
    ):
        name = f"08_{(clock + 60) // 60:02d}"
        trace, log = minute(AT + clock - 0, broken=broken)
        files[f"{root}/2023-01-29/trace/{name}_trace.csv"] = trace
        files[f"{root}/2023-01-29/log/{name}_log.csv"] = log
    rows = [f"t,{AT - 3_600 + 60 * step},{POD},{5 + step % 2}" for step in range(240)]
    files[f"rca_data/2023-01-29/metric/{POD}_metric.csv"] = "\n".join(["Time,TimeStamp,PodName,CpuUsage(m)", *rows])
    files["rca_data/2023-01-29/metric/front_service.csv"] = "Time,TimeStamp,ServiceName\nt,1,Frontend"
    with tarfile.open(tmp_path / DATA_SETS.get(NAME).file, "w:xz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return tmp_path


def test_a_case_holds_what_was_recorded_and_beside_it_what_is_true(folder: Path) -> None:
    (case,) = cases(NAME, folder)
    assert case.truth_nodes == ("service:cart",)
    assert case.truth_indicators == ("c.Cart#7 → c.Cart#9",)
    assert (case.kind, case.group) == ("exception", "2023-01-29")
    window = case.window
    assert window.onset_unix_ns == (AT + 604) * S
    assert set(window.nodes) == {"service:cart", "service:front"}
    assert {one.kind for one in window.events} == {"log", "span", "step", "self", "wait"}
    assert [(gap.caller, gap.callee) for gap in window.gaps] == [("service:front", "service:cart")]
    assert window.topology.dependencies("service:front") == ("service:cart",)
    assert all(one.times_unix_ns[-1] < window.until_unix_ns for one in window.series)
    starts = window.events[0].starts_unix_ns
    assert ((starts - window.onset_unix_ns) % (10 * S) == 0).all()
    assert starts[-1] < window.until_unix_ns


def test_the_region_is_found_in_what_was_recorded(folder: Path) -> None:
    (case,) = cases(NAME, folder)
    first = RoutedRanker().rank(case.window).causes[0]
    assert first.node == "service:cart"
    assert region_matches(first.indicators[0], case)


def test_fault_free_windows_have_no_truth_and_the_reference_is_one(folder: Path) -> None:
    found = everything(NAME, folder)
    assert len(found.incidents) == 1
    assert all(case.is_fault_free for case in (*found.quiet, *found.minutes_before))
    assert found.quiet[0].window.until_unix_ns <= (AT + 540) * S


def test_a_set_without_a_list_of_faults_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / DATA_SETS.get(NAME).file, "w:xz"):
        pass
    with pytest.raises(DataSetError, match="no list of faults"):
        cases(NAME, tmp_path)


def test_a_pod_is_of_the_service_that_its_name_begins_with() -> None:
    assert service_node("ts-cart-service-5f55b6cf68-77cfw") == "service:ts-cart-service"
    assert service_node("postgres") == "service:postgres"


def test_lines_are_taken_apart_in_both_manners_of_the_sets() -> None:
    json_line = json.dumps({"message": "TraceID: a1 SpanID: b2 Charge successfully", "severity": "info"})
    assert take_apart(json.dumps({"log": json_line + "\n"})) == ("INFO", "", "Charge successfully")
    assert take_apart("no JSON at all") == ("", "", "no JSON at all")
    plain = json.dumps({"log": "10:00:00.123 ERROR  c.Cart#7 TraceID: t SpanID: s [cart 17][none]\n"})
    assert take_apart(plain) == ("ERROR", "c.Cart#7", "[cart 17][none]")


def test_a_place_in_the_code_keeps_one_text_and_lines_without_one_their_template() -> None:
    raw = [
        json.dumps({"log": f"10:00:00.1 {level} c.Cart#7 TraceID: t SpanID: s {said}\n"})
        for level, said in (("INFO", "cart 17"), ("ERROR", "another text"))
    ]
    raw.append("took 12 ms")
    told = line_texts(raw, np.arange(3, dtype=np.int64), LineText(TemplateMiner()))
    assert told.templates[0] == told.templates[1]
    assert told.templates[0].startswith("c.Cart#7 ")
    assert told.templates[2] == "took <*> ms"
    assert told.failed.tolist() == [False, True, False]


def test_a_region_matches_in_order_and_a_resource_by_its_aspect(folder: Path) -> None:
    (case,) = cases(NAME, folder)
    right = Indicator(IndicatorKind.LOG_TEMPLATE, "c.Cart#7 looking for <*> → c.Cart#9 found")
    turned = Indicator(IndicatorKind.LOG_TEMPLATE, "c.Cart#9 found → c.Cart#7 looking for <*>")
    assert region_matches(right, case)
    assert not region_matches(turned, case)
    assert not region_matches(Indicator(IndicatorKind.METRIC, "CpuUsage(m)"), case)


@pytest.fixture(scope="module")
def first_faults() -> list[Case]:
    try:
        return cases(NAME, Settings().path("data"), limit=2)
    except DataSetError as error:
        pytest.skip(str(error))


@pytest.mark.data
def test_the_first_faults_of_each_day_are_told_by_kind_and_service(first_faults: list[Case]) -> None:
    assert [case.kind for case in first_faults] == ["return", "return", "delay", "cpu"]
    for case in first_faults:
        found = evidence(case.window)
        ranking = RoutedRanker().rank_evidence(case.window, found)
        assert ranking.causes[0].node in case.truth_nodes
        assert region_matches(ranking.causes[0].indicators[0], case)
        assert ranking.fault_kind == case.kind
        assert shipped().speaks(found)
