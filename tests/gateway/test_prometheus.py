"""/metrics is read back by a strict parser, hostile labels included."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.gateway.assembly import Keeper, LiveServer

from watchkeeper.gateway.prometheus import Family, render
from watchkeeper.receive.ledger import Count
from watchkeeper.signals.schema import Signal

HOSTILE = 'a"b\\c\nd{}, e=1 é'


def samples(text):
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_ledger_is_exposed_by_outcome(server: LiveServer, keeper: Keeper):
    keeper.ledger.count(HOSTILE, Signal.LOGS, "grpc", Count(accepted=5, refused=2, bytes=100))
    answer = server.client.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = samples(answer.text)
    labels = {"sender": HOSTILE, "signal": "logs", "protocol": "grpc"}

    def of(name, **more):
        return found[name, tuple(sorted({**labels, **more}.items()))]

    assert of("watchkeeper_ingest_records_total", outcome="accepted") == 5
    assert of("watchkeeper_ingest_records_total", outcome="refused") == 2
    assert of("watchkeeper_ingest_records_total", outcome="dropped") == 0
    assert of("watchkeeper_ingest_requests_total") == 1
    assert of("watchkeeper_ingest_bytes_total") == 100


def test_the_state_is_exposed(server: LiveServer):
    found = samples(server.client.get("/metrics").text)
    expected = {
        ("watchkeeper_store_rows", (("signal", "logs"),)): 3,
        ("watchkeeper_store_segments", (("signal", "spans"),)): 1,
        ("watchkeeper_store_wal_bytes", ()): 7,
        ("watchkeeper_store_hot_bytes", ()): 8,
        ("watchkeeper_pipeline_lag_seconds", ()): 0.25,
        ("watchkeeper_findings_open", ()): 1,
        ("watchkeeper_ready", ()): 1,
        ("watchkeeper_build_info", (("decoder", "reference"), ("version", "0.1.0"))): 1,
    }
    assert {key: found[key] for key in expected} == expected
    assert found["process_resident_memory_bytes", ()] > 10**6
    assert found["process_cpu_seconds_total", ()] > 0


def test_numbers_are_written_as_prometheus_reads_them():
    values = [float("nan"), float("inf"), float("-inf"), 0.5, 3.0, 1e300, -7.0]
    text = render(
        [Family("x", "gauge", 'A "help"\nwith \\ in it.', [({"i": str(i)}, v) for i, v in enumerate(values)])]
    )
    found = samples(text)
    read = [found["x", (("i", str(i)),)] for i in range(len(values))]
    assert str(read[0]) == "nan"
    assert read[1:] == values[1:]


def test_promtool_has_nothing_to_say(server: LiveServer):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed; the parser of prometheus_client read the text in the other tests")
    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=server.client.get("/metrics").text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stderr, checked.stdout) == (0, "", "")
