"""A data set from the product's own store: a real product is fed, an incident is acknowledged, a backup is measured."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import pyarrow as pa
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from tests.e2e.product import PROTOBUF, Product, log_request, wait_for, watchkeeper
from tests.store.telemetry import settings

from watchkeeper.app.changes import Changes
from watchkeeper.app.feedback import OperatorFeedback
from watchkeeper.app.findings import FindingStore
from watchkeeper.app.incident_store import IncidentStore
from watchkeeper.app.incident_store import Kept as KeptClock
from watchkeeper.app.incidents import Incidents
from watchkeeper.bench.base import BenchError, Place, Split
from watchkeeper.bench.discover import catalogue
from watchkeeper.bench.own.cases import judged_data
from watchkeeper.bench.own.home import at_rest
from watchkeeper.bench.own.store import judged, spells, store_data
from watchkeeper.diagnose.incident import Happening, Incident, IncidentSeverity, IncidentState
from watchkeeper.diagnose.taken_up import is_confirmed
from watchkeeper.errors import NewerFormat
from watchkeeper.models.versions import ModelVersions
from watchkeeper.receive.decode import decode
from watchkeeper.store.backup import restore
from watchkeeper.store.entry import Entry
from watchkeeper.store.layout import FolderLock, Layout
from watchkeeper.store.metadata import Metadata
from watchkeeper.store.store import Store
from watchkeeper.store.wal import list_files

START_S = 1_700_000_040
"""The beginning of a minute."""
MINUTES, STEP_S = 20, 5
SERVICES = ("cart", "frontend", "payment")
REAL, DOUBTFUL = (12, "payment"), (16, "cart")
"""Minute and service of the burst that a person confirms, and of the one that nobody looks at."""
MINUTE_NS = 60 * 10**9


class Kept(NamedTuple):
    """What the product left: its home after a kill, a backup taken before, and the incident that nobody confirmed."""

    home: Path
    backup: Path
    ignored: str
    while_running: str


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    place = tmp_path_factory.mktemp("own")
    quick = {"detect_warmup_s": 60, "detect_window_s": STEP_S, "finding_close_s": 30, "segment_age_s": 3}
    product = Product(place / "home", incident_resolve_s=3600, **quick)
    try:
        _feed(product, range(MINUTES - 1))
        found = {
            each["services"][0]: each for each in wait_for(lambda: _both(product), what="two incidents", within_s=60)
        }
        wait_for(lambda: segments(place / "home"), what="a segment", within_s=60)
        identifier = found["payment"]["id"]
        told = httpx.post(f"{product.url}/api/v1/incidents/{identifier}/acknowledge", json={"by": "ann"}, timeout=30)
        assert told.status_code == 200, told.text
        said = {"subject": identifier, "verdict": "cause", "true_cause": "service:payment", "by": "ann"}
        httpx.post(f"{product.url}/api/v1/feedback", json=said, timeout=30).raise_for_status()
        _feed(product, range(MINUTES - 1, MINUTES))
        for name in ("backup.tar", "backup"):
            asked = {"target": str(place / name)}
            httpx.post(f"{product.url}/api/v1/backup", json=asked, timeout=60).raise_for_status()
        with pytest.raises(BenchError) as refused:
            splits(place / "home")
    finally:
        product.kill()
    return Kept(place / "home", place / "backup", found["cart"]["id"], str(refused.value))


def segments(home: Path) -> list[Path]:
    return [*home.glob("telemetry/logs/**/*.parquet")]


def _feed(product: Product, minutes: range) -> None:
    """Send one request a minute, with lines of each service every few seconds."""
    for minute in minutes:
        request = ExportLogsServiceRequest()
        for second in range(0, 60, STEP_S):
            at = (START_S + minute * 60 + second) * 10**9
            for service in SERVICES:
                bodies = [f"GET /items/{number + second} took {number} ms" for number in range(12)]
                request.MergeFrom(log_request(bodies, service=service, time_unix_ns=at))
                if (minute, service) in {REAL, DOUBTFUL} and 20 <= second < 35:
                    refused = [f"{service} was refused by bank {number}" for number in range(10)]
                    request.MergeFrom(log_request(refused, service=service, severity_number=17, time_unix_ns=at + 999))
        answer = httpx.post(
            f"{product.endpoints['otlp_http']}/v1/logs",
            content=request.SerializeToString(),
            headers=PROTOBUF,
            timeout=30,
        )
        assert answer.status_code == 200, answer.text


def _decoded(entry: Entry) -> pa.RecordBatch:
    told = {"sender": entry.sender, "received_unix_ns": entry.received_unix_ns}
    return decode(entry.signal, entry.encoding, entry.payload, **told).batch


def _both(product: Product) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = product.get("/api/v1/incidents")["items"]
    return items if len(items) > 1 else []


def moment(minute: int) -> datetime:
    return datetime.fromtimestamp(START_S + minute * 60, UTC)


def splits(home: Path, first: int = 0, last: int = MINUTES) -> list[Split]:
    nowhere = Path("/nonexistent")
    return list(store_data("mine", home, moment(first), moment(last)).splits(Place(nowhere, nowhere)))


def sessions(split: Split) -> dict[str, bool]:
    """Give the truth of what is scored, by name."""
    return {name: bool(flag) for item in split.test for name, flag in zip(item.cases, item.truth, strict=True)}


def named(minute: int, service: str) -> str:
    return f"{moment(minute):%Y-%m-%dT%H:%M:%SZ} {service}"


def home_files(home: Path) -> dict[str, tuple[int, int]]:
    """Give size and time of change of everything in a home, folders too."""
    return {str(each): (each.stat().st_size, each.stat().st_mtime_ns) for each in [home, *home.rglob("*")]}


def test_the_truth_is_what_people_confirmed(kept: Kept) -> None:
    (split,) = splits(kept.backup)
    told = sessions(split)
    scored = {named(minute, service) for minute in range(MINUTES // 2, MINUTES) for service in SERVICES}
    unsaid = {named(REAL[0], "cart"), named(REAL[0], "frontend"), named(*DOUBTFUL)}
    assert told.keys() == scored - unsaid
    assert [name for name, flag in told.items() if flag] == [named(*REAL)]
    assert not split.labelled
    learned = {name for item in split.train + split.validation for name in [*item.cases]}
    assert learned == {named(minute, service) for minute in range(MINUTES // 2) for service in SERVICES}
    lines = sum(len(item.given.templates) for item in split.train + split.validation + split.test)
    assert lines == (len(learned) + len(told)) * 12 * 60 // STEP_S + 3 * 10
    assert {"GET <*> took <*> ms", "payment was refused by bank <*>"} <= set(split.facts["texts"].values())


def test_the_command_measures_a_backup(kept: Kept, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(
        f"""
[[store]]
name = "mine"
home = "{kept.backup}"
from = {moment(0).isoformat()}
to = {moment(MINUTES).isoformat()}
"""
    )
    ran = watchkeeper(
        *("bench", "run", "--use", own, "--task", "anomaly-detection", "--data", "mine"),
        *("--models", "always,never,random,unseen_template", "--enhance", "none"),
        *("--set", f"home={tmp_path / 'bench'}", "--json"),
    )
    assert ran.returncode == 0, ran.stderr
    (table,) = json.loads(ran.stdout)
    figures = {row["model"]: row["figures"] for row in table["cells"]}
    assert set(figures) == {"always", "never", "random", "unseen_template"}
    assert figures["unseen_template"]["f1"][0] == 1.0
    assert figures["never"]["recall"][0] == 0.0


def test_a_true_cause_that_somebody_named_is_a_case_of_localization(kept: Kept) -> None:
    nowhere = Path("/nonexistent")
    spec = judged_data("localization", "mine", kept.backup, moment(0), moment(MINUTES))
    (split,) = spec.splits(Place(nowhere, nowhere))
    (item,) = split.test
    assert item.truth == {"service:payment"}
    assert item.given.nodes[0] == "service:payment"
    said = {text for counts in item.given.events for text in counts.subjects}
    assert "payment was refused by bank <*>" in said
    with pytest.raises(BenchError, match="feedback cause ID NODE"):
        list(judged_data("localization", "mine", kept.backup, moment(0), moment(1)).splits(Place(nowhere, nowhere)))
    with pytest.raises(BenchError, match=r"too few incidents.*: none;"):
        list(judged_data("category", "mine", kept.backup, moment(0), moment(9)).splits(Place(nowhere, nowhere)))
    with pytest.raises(BenchError, match="no task 'report'"):
        judged_data("report", "mine", kept.backup, moment(0), moment(9))


def test_true_categories_that_people_named_are_learned_in_folds(kept: Kept, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(kept.backup, home)
    metadata = Metadata(home / "metadata.sqlite")
    incidents = Incidents(metadata, IncidentStore(metadata), Changes(metadata), settings=settings(home))
    feedback = OperatorFeedback(metadata, ModelVersions(metadata, home / "models"), FindingStore(metadata), incidents)
    for at in range(6):
        word, category = (("full", "resource_disk"), ("refused", "network"))[at % 2]
        one = incident(f"i{at}", START_S // 60 + at, START_S // 60 + at, "cart")
        with metadata.transaction() as connection:
            incidents.store.write(connection, [replace(one, diagnosis={"features": {word: 1.0}})], [], KeptClock(0, 0))
        feedback.ledger.give(one.id, "category", true_category=category, who="ann")
    metadata.close()
    nowhere = Path("/nonexistent")
    folds = list(judged_data("category", "mine", home, moment(0), moment(9)).splits(Place(nowhere, nowhere)))
    asked = {item.id: (item.given, item.truth) for split in folds for item in split.test}
    assert asked["i0"] == ({"full": 1.0}, "resource_disk")
    assert len(asked) == 6
    assert all(split.labelled and len(split.train) == 4 for split in folds)


def test_a_home_that_was_killed_reads_as_its_backup_does_and_is_left_as_it_was(kept: Kept) -> None:
    before = home_files(kept.home)
    (split,) = splits(kept.home)
    assert home_files(kept.home) == before
    assert segments(kept.home)
    (other,) = splits(kept.backup)
    assert sessions(split) == sessions(other)
    for one, two in zip((*split.train, *split.test), (*other.train, *other.test), strict=True):
        np.testing.assert_array_equal(one.given.templates, two.given.templates)
        np.testing.assert_array_equal(one.given.times_s, two.given.times_s)


def test_a_tar_of_a_home_reads_as_well(kept: Kept) -> None:
    (split,), (other,) = splits(kept.backup.with_suffix(".tar")), splits(kept.backup)
    assert sessions(split) == sessions(other)


def test_it_makes_no_difference_what_is_in_segments_and_what_in_the_log(kept: Kept, tmp_path: Path) -> None:
    packed = kept.backup.with_suffix(".tar")
    restore(packed, tmp_path / "home")
    assert list_files(tmp_path / "home" / "wal")
    (split,) = splits(tmp_path / "home")
    with Store.open(tmp_path / "home", settings(tmp_path / "home"), _decoded) as store:
        store.seal_now()
    shutil.rmtree(tmp_path / "home" / "wal")
    (other,) = splits(tmp_path / "home")
    for one, two in zip((*split.train, *split.test), (*other.train, *other.test), strict=True):
        np.testing.assert_array_equal(one.given.templates, two.given.templates)


def test_a_home_is_not_locked_and_one_taken_into_use_meanwhile_is_refused(kept: Kept, tmp_path: Path) -> None:
    shutil.copytree(kept.home, tmp_path / "home")
    with pytest.raises(BenchError, match="open in a running Watchkeeper"), at_rest(tmp_path / "home"):
        lock = FolderLock.take(Layout(tmp_path / "home").lock)
    lock.release()
    with at_rest(tmp_path / "home") as home:
        assert [each.acknowledged_by for each in home.incidents] == ["ann", ""]


def test_a_damaged_home_is_told(kept: Kept, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(kept.backup, home)
    segments(home)[0].write_bytes(b"gone")
    with pytest.raises(BenchError, match=r"cannot be read: .*let Watchkeeper open it once"):
        splits(home)
    (home / "catalog.sqlite").unlink()
    with pytest.raises(BenchError, match=r"there is no catalog\.sqlite"):
        splits(home)
    (home / "FORMAT").write_text('{"format": 99}')
    with pytest.raises(NewerFormat):
        splits(home)


def test_what_cannot_be_measured_is_told(kept: Kept, tmp_path: Path) -> None:
    assert "is open in a running Watchkeeper" in kept.while_running
    with pytest.raises(BenchError, match="no home of Watchkeeper and no backup"):
        splits(tmp_path)
    with pytest.raises(BenchError, match=f"no log lines from .*; it has them from {moment(0):%Y-%m-%dT%H:%M}"):
        splits(kept.backup, MINUTES + 5, MINUTES + 9)
    with pytest.raises(BenchError, match=f"no confirmed incident .*nobody confirmed: {kept.ignored};.*ack ID"):
        splits(kept.backup, REAL[0] + 1)
    with pytest.raises(BenchError, match=r"no confirmed incident .*nobody confirmed: none;.*ack ID"):
        splits(kept.backup, 0, REAL[0] - 2)
    with pytest.raises(BenchError, match=r"confirmed incidents before .* let `to` be earlier"):
        splits(kept.backup, REAL[0] - 1)
    with pytest.raises(BenchError, match="nothing but confirmed incidents"):
        splits(kept.backup, REAL[0] - 1, REAL[0] + 1)
    with pytest.raises(BenchError, match="the earlier one first"):
        splits(kept.backup, 5, 5)
    own = tmp_path / "own.toml"
    own.write_text(f'[[store]]\nname = "mine"\nhome = "{kept.backup}"\nfrom = "monday"\nto = 2026-11-20T00:00:00Z\n')
    with pytest.raises(BenchError, match=r"without quotes.*'monday'"):
        catalogue([str(own)])
    own.write_text('[[store]]\nname = "mine"\nhome = "gone"\nfrom = 2026-11-16T00:00:00Z\nto = 2026-11-20T00:00:00Z\n')
    with pytest.raises(BenchError, match=f"no home of Watchkeeper and no backup of one at {tmp_path / 'gone'}"):
        catalogue([str(own)])


def incident(identifier: str, first: int, last: int, *services: str, **told: Any) -> Incident:
    """Give an incident of the minutes `first` to `last`."""
    begins, ends = first * MINUTE_NS, last * MINUTE_NS + 1
    return Incident(
        identifier,
        identifier,
        told.pop("state", IncidentState.RESOLVED),
        IncidentSeverity.WARNING,
        *(begins, ends, begins, ends),
        nodes=(),
        finding_ids=(),
        services=services,
        **told,
    )


def test_a_person_confirms_and_the_product_does_not() -> None:
    one = incident("a", 1, 1, "cart")
    by_itself = Happening(0, "resolved", "quiet")
    assert not is_confirmed(replace(one, resolved_by="watchkeeper", timeline=(by_itself,)))
    assert not is_confirmed(replace(one, timeline=(Happening(0, "note", "looks odd", "ann"),)))
    assert is_confirmed(replace(one, acknowledged_by="ann"))
    assert is_confirmed(replace(one, resolved_by="ann"))
    assert is_confirmed(replace(one, state=IncidentState.OPEN, timeline=(Happening(0, "resolved", "over", "ann"),)))
    assert is_confirmed(replace(one, timeline=(by_itself, Happening(1, "reopened", "it was real", "ann"))))


def test_what_people_said_goes_before_what_they_did() -> None:
    one = incident("a", 1, 1, "cart", acknowledged_by="ann")
    wrong = replace(one, attributes={"feedback": {"truth": "wrong"}})
    assert not is_confirmed(wrong)
    assert is_confirmed(replace(wrong, attributes={"feedback": {"truth": "right"}}, acknowledged_by=""))
    assert not is_confirmed(replace(wrong, attributes={"feedback": {"truth": "disputed"}}))
    minutes, services = np.arange(3), np.array(["cart"] * 3, dtype=object)
    anomalous, counted = judged(minutes, services, spells([wrong]))
    assert (anomalous.tolist(), counted.tolist()) == ([False] * 3, [True] * 3)


def test_what_was_merged_counts_as_what_took_it_over() -> None:
    merged = {"state": IncidentState.MERGED}
    kept_on = incident("target", 3, 4, "cart")
    (spell,) = spells(
        [
            kept_on,
            incident("a", 2, 2, "payment", merged_into="b", acknowledged_by="ann", **merged),
            incident("b", 5, 5, "cart", merged_into="target", **merged),
        ]
    )
    assert spell == ("target", 2, 5, {"cart", "payment"}, True, False)
    (orphan,) = spells([incident("a", 2, 2, "payment", merged_into="deleted", **merged)])
    assert orphan == ("a", 2, 2, {"payment"}, False, False)


def test_an_incident_speaks_for_its_services_and_for_all_where_it_names_none() -> None:
    minutes = np.repeat(np.arange(4), 2)
    services = np.array(["cart", "pay"] * 4, dtype=object)
    told = spells([incident("a", 1, 1, "cart", acknowledged_by="ann"), incident("b", 2, 2, "pay")])
    anomalous, counted = judged(minutes, services, told)
    assert anomalous.tolist() == [False, False, True, False, False, False, False, False]
    assert counted.tolist() == [True, True, True, False, True, False, True, True]
    told = spells([incident("a", 1, 2, acknowledged_by="ann"), incident("b", 2, 3)])
    anomalous, counted = judged(minutes, services, told)
    assert anomalous.tolist() == [False] * 2 + [True] * 4 + [False] * 2
    assert counted.tolist() == [True] * 6 + [False] * 2
