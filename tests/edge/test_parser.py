from __future__ import annotations

import json
from datetime import UTC

from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.edge.formats import FORMATS
from watchkeeper.edge.parser import ORIGINAL, LogParser, find_shape
from watchkeeper.edge.record import Record
from watchkeeper.edge.timestamps import Clock

CLOCK = Clock(UTC, 1_710_000_000 * 10**9)
AT = 1_704_164_645 * 10**9


def parse(lines: list[str], chosen: str = "auto", **options) -> tuple[list[Record], LogParser]:
    parser = LogParser(find_shape(lines, CLOCK, chosen), CLOCK, **options)
    return parser.feed(lines) + parser.flush(), parser


def test_a_java_trace_below_its_line_is_part_of_it():
    records, parser = parse(
        [
            "2024-01-02 03:04:05,000 ERROR [main] com.shop.Cart: cannot add",
            "java.io.IOException: disk full",
            "\tat com.shop.Cart.add(Cart.java:31)",
            "2024-01-02 03:04:06,000 INFO [main] com.shop.Cart: next",
        ]
    )
    assert [record.time_unix_ns for record in records] == [AT, AT + 10**9]
    assert records[0].body == "cannot add\njava.io.IOException: disk full\n\tat com.shop.Cart.add(Cart.java:31)"
    assert records[0].logger == "com.shop.Cart"
    assert (parser.counts.records, parser.counts.joined_lines, parser.counts.without_time) == (2, 2, 0)


def test_a_traceback_between_json_lines_is_an_error_of_its_own():
    records, parser = parse(
        [
            '{"time":"2024-01-02T03:04:05Z","level":"info","msg":"up"}',
            "Traceback (most recent call last):",
            '  File "a.py", line 1, in <module>',
            "ValueError: x",
            '{"time":"2024-01-02T03:04:06Z","level":"info","msg":"on"}',
            '{"time":"2024-01-02T03:04:07Z","level":"info","msg":"on"}',
        ]
    )
    assert [record.body.split("\n")[0] for record in records] == [
        "up",
        "Traceback (most recent call last):",
        "on",
        "on",
    ]
    assert records[1].severity_number == 17
    assert records[1].time_unix_ns == AT
    assert parser.counts.without_time == 1


def test_a_line_of_another_dated_format_begins_a_record_of_its_own():
    header = [f"17/06/09 20:10:{second} INFO a.B: x" for second in range(10, 20)]
    records, _ = parse([*header, "2024-01-02T03:04:05Z WARN from elsewhere", *header])
    assert len(records) == 21
    assert (records[10].time_unix_ns, records[10].severity_number) == (AT, 13)


def test_container_lines_are_unwrapped_their_parts_joined_and_streams_kept_apart():
    stamp = "2024-01-02T03:04:05.000000001Z"
    records, _ = parse(
        [
            f"{stamp} stdout P first half, ",
            f"{stamp} stderr F Traceback (most recent call last):",
            f"{stamp} stdout F second half",
            f'{stamp} stderr F   File "a.py", line 1',
            f"{stamp} stderr F ValueError: x",
            f"{stamp} stdout F",
        ]
    )
    assert sorted(record.body for record in records) == [
        'Traceback (most recent call last):\n  File "a.py", line 1\nValueError: x',
        "first half, second half",
    ]
    assert {record.attributes["log.iostream"] for record in records} == {"stdout", "stderr"}
    assert all(record.time_unix_ns == AT + 1 for record in records)


def test_docker_lines_with_json_inside_are_read_through():
    inner = json.dumps({"level": "error", "msg": "boom", "ts": 1704164645})
    line = json.dumps({"log": inner + "\n", "stream": "stderr", "time": "2024-01-02T03:04:09Z"})
    records, parser = parse([line])
    assert (records[0].body, records[0].severity_number, records[0].time_unix_ns) == ("boom", 17, AT)
    assert find_shape([line], CLOCK).describe() == "json (JSON lines) in docker lines"
    assert parser.counts.records == 1


def test_resources_own_values_win_except_over_fixed_ones():
    line = '{"msg":"m","service":"cart","host":"n1"}'
    own, _ = parse([line], resource=(("service.name", "file"), ("log.file.name", "a")))
    assert dict(own[0].resource) == {"service.name": "cart", "host.name": "n1", "log.file.name": "a"}
    fixed, _ = parse([line], resource=(("service.name", "x"),), fixed=(("service.name", "x"),))
    assert dict(fixed[0].resource) == {"service.name": "x", "host.name": "n1"}


def test_the_original_can_be_kept():
    lines = ["2024-01-02 03:04:05,000 ERROR [main] a.B: x", "  more"]
    records, _ = parse(lines, keep_original=True)
    assert records[0].attributes[ORIGINAL] == "\n".join(lines)


def test_a_quiet_source_gives_its_open_record_when_flushed_and_goes_on():
    parser = LogParser(find_shape(["17/06/09 20:10:11 INFO a.B: x"], CLOCK), CLOCK)
    assert parser.feed(["17/06/09 20:10:11 INFO a.B: x"]) == []
    assert [record.body for record in parser.flush()] == ["x"]
    assert parser.feed(["", "17/06/09 20:10:12 INFO a.B: y"]) == []
    record = parser.flush()[0]
    assert (record.body, record.time_unix_ns > 0) == ("y", True)


def test_a_named_format_is_used_whatever_the_lines_look_like():
    assert find_shape(["17/06/09 20:10:11 INFO a.B: x"], CLOCK, "text").format.name == "text"
    assert find_shape(["plain"], CLOCK, "cri").envelope == "cri"


_LINE = st.one_of(
    st.sampled_from([FORMATS.get(name).example for name in FORMATS]),
    st.text(alphabet=st.characters(blacklist_characters="\n", blacklist_categories=["Cs"]), max_size=40),
)


@given(st.lists(_LINE, max_size=30))
def test_every_line_ends_in_exactly_one_record(lines):
    records, parser = parse(lines, keep_original=True)
    kept = [line for record in records for line in str(record.attributes[ORIGINAL]).split("\n") if line.strip()]
    if find_shape(lines, CLOCK).envelope is None:
        assert kept == [line for line in lines if line.strip()]
    assert parser.counts.records == len(records)
