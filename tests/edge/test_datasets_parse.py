"""The log sets of the catalogue, read whole: every line's time is understood."""

from __future__ import annotations

import os
from datetime import UTC
from pathlib import Path

import pytest

from watchkeeper.datasets.logs import log_parts
from watchkeeper.edge.replay import Plan, Replay, Summary
from watchkeeper.edge.source import source_of_part

pytestmark = pytest.mark.data


@pytest.fixture
def data() -> Path:
    folder = os.environ.get("WATCHKEEPER_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("WATCHKEEPER_DATA names no folder of data sets")
    return Path(folder)


def read(name: str, data: Path) -> Summary:
    sources = [source_of_part(part) for part in log_parts(name, data)]
    return Replay(sources, Plan(zone=UTC, merge=True), None).run()


def formats(summary: Summary) -> set[str]:
    return {shape.split(" ")[0] for shape in summary.shapes.values()}


@pytest.mark.parametrize(
    ("system", "name"),
    [
        ("HDFS", "hdfs"),
        ("BGL", "bgl"),
        ("Hadoop", "log4j"),
        ("Linux", "syslog"),
        ("OpenSSH", "syslog"),
        ("Spark", "spark"),
        ("Zookeeper", "zookeeper"),
        ("Android", "logcat"),
    ],
)
def test_loghub(data, system, name):
    summary = read(f"loghub/{system}", data)
    assert formats(summary) == {name}
    assert summary.records == summary.lines == 2000
    assert summary.without_time == 0


def test_hdfs(data):
    summary = read("hdfs", data)
    assert formats(summary) == {"hdfs"}
    assert (summary.records, summary.without_time) == (222_579, 0)
    assert (summary.first_unix_ns, summary.last_unix_ns) == (1_226_262_930 * 10**9, 1_226_401_920 * 10**9)


def test_bgl(data):
    summary = read("bgl", data)
    assert formats(summary) == {"bgl"}
    assert (summary.records, summary.without_time) == (100_000, 0)


@pytest.mark.slow
def test_hadoop(data):
    summary = read("hadoop", data)
    assert formats(summary) == {"log4j"}
    assert summary.without_time <= summary.records / 1000
    assert summary.records + summary.joined_lines + summary.empty_lines >= summary.lines == 176_187
    assert summary.joined_lines > 10_000


def test_openstack_has_no_times_and_its_levels_are_read(data):
    summary = read("openstack", data)
    assert formats(summary) == {"level-first"}
    assert summary.without_time == summary.records
