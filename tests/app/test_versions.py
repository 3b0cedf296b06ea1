"""Deploys seen in telemetry: another version of a service is a change, a roll-out is one, a restart is none."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from watchkeeper.app.changes import Changes
from watchkeeper.app.versions import Versions
from watchkeeper.signals.schema import Signal
from watchkeeper.store.metadata import Metadata

SECOND = 10**9
BEGIN = 1_763_700_000 * SECOND


@pytest.fixture
def metadata(tmp_path: Path):
    kept = Metadata(tmp_path / "metadata.sqlite")
    yield kept
    kept.close()


def sent(*rows: tuple[float, str, str]) -> pa.RecordBatch:
    """Rows of (second, service, version)."""
    resources = [json.dumps({"service.name": service, "service.version": version}) for _, service, version in rows]
    times = [BEGIN + int(second * SECOND) for second, _, _ in rows]
    dictionary = pa.array(resources).dictionary_encode().cast(pa.dictionary(pa.int32(), pa.string()))
    return pa.RecordBatch.from_arrays(
        [pa.array(times, pa.int64()), dictionary], names=["time_unix_ns", "resource_attributes"]
    )


def titles(changes: Changes) -> list[str]:
    return [change.title for change in reversed(changes.list()[0])]


def test_the_first_version_is_no_change_and_the_next_is_one(metadata):
    changes = Changes(metadata)
    versions = Versions(metadata, changes)
    versions.observe(Signal.SPANS, sent((0, "cart", "1.0"), (1, "mail", "7"), (2, "cart", "1.0")))
    assert titles(changes) == []
    versions.observe(Signal.LOGS, sent((10, "cart", "1.1"), (11, "cart", "1.1")))
    (change,) = changes.list()[0]
    assert change.title == "cart went from version 1.0 to 1.1"
    assert (change.kind, change.node, change.time_unix_ns) == ("deploy", "service:cart", BEGIN + 10 * SECOND)


def test_while_a_deploy_rolls_on_both_versions_send_and_it_is_one_change(metadata):
    changes = Changes(metadata)
    versions = Versions(metadata, changes)
    for second in range(0, 60, 5):
        versions.observe(Signal.SPANS, sent((second, "cart", "1.0"), *([(second, "cart", "1.1")] if second else [])))
    versions.observe(Signal.SPANS, sent((300, "cart", "1.1")))
    assert len(titles(changes)) == 1


def test_going_back_is_a_change_too(metadata):
    changes = Changes(metadata)
    versions = Versions(metadata, changes)
    for second, version in ((0, "1.0"), (10, "1.1"), (400, "1.1"), (500, "1.0")):
        versions.observe(Signal.METRICS, sent((second, "cart", version)))
    assert titles(changes)[-1] == "cart went from version 1.1 to 1.0"
    assert len(titles(changes)) == 2


def test_a_restart_of_either_side_is_no_change_but_a_deploy_meanwhile_is(metadata):
    changes = Changes(metadata)
    Versions(metadata, changes).observe(Signal.SPANS, sent((0, "cart", "1.0")))
    again = Versions(metadata, changes)
    again.observe(Signal.SPANS, sent((900, "cart", "1.0")))
    assert titles(changes) == []
    Versions(metadata, changes).observe(Signal.SPANS, sent((1800, "cart", "2.0")))
    assert titles(changes) == ["cart went from version 1.0 to 2.0"]


def test_resources_without_a_version_say_nothing(metadata):
    changes = Changes(metadata)
    versions = Versions(metadata, changes)
    nameless = pa.RecordBatch.from_arrays(
        [
            pa.array([BEGIN, BEGIN], pa.int64()),
            pa.array(['{"service.version":3}', None]).dictionary_encode().cast(pa.dictionary(pa.int32(), pa.string())),
        ],
        names=["time_unix_ns", "resource_attributes"],
    )
    versions.observe(Signal.LOGS, nameless)
    assert titles(changes) == []
