"""The OpenTelemetry SDK for JavaScript, from npm, sends to a real receiver, and SQL shows that all of it arrived."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients.keeping import Keeper, attributes
from watchkeeper.errors import DiskNearlyFull, QueueFull
from watchkeeper.signals.schema import Signal

HERE = Path(__file__).parent / "js"
FILES = ("package.json", "package-lock.json", "send.mjs")

pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or shutil.which("npm") is None, reason="node and npm are not installed"
)


@pytest.fixture(scope="module")
def sender() -> Path:
    """Give a folder with the script and its packages, installed once for each lock file, outside of the work tree."""
    cache = os.environ.get("WATCHKEEPER_TEST_CACHE") or str(Path.home() / ".cache" / "watchkeeper-tests")
    digest = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()[:12]
    folder = Path(cache) / f"js-clients-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in FILES:
            shutil.copyfile(HERE / name, folder / name)
        if not (folder / "installed").exists():
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=240)
            assert done.returncode == 0, done.stderr
            (folder / "installed").touch()
    return folder / "send.mjs"


def send(script: Path, keeper: Keeper, way: str, *more: str) -> None:
    command = ["node", str(script), way, str(keeper.http_port), str(keeper.grpc_port), *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


PROTOCOLS = {"json": "http/json", "json+gzip": "http/json", "proto+gzip": "http/protobuf", "grpc+gzip": "grpc"}


@pytest.mark.parametrize("way", PROTOCOLS)
def test_everything_arrives(keeper: Keeper, sender: Path, way: str) -> None:
    send(sender, keeper, way)
    logs_are_right(keeper)
    spans_are_right(keeper)
    metrics_are_right(keeper)
    rows = keeper.ledger.rows()
    assert {row.protocol for row in rows} == {PROTOCOLS[way]}
    assert {row.signal: row.accepted for row in rows} == {signal: keeper.count(signal) for signal in Signal}
    assert sum(row.rejected + row.refused + row.dropped + row.deduplicated for row in rows) == 0


def logs_are_right(keeper: Keeper) -> None:
    assert keeper.count(Signal.LOGS) == 303
    slow = keeper.one("SELECT * FROM logs WHERE body = 'slow page'")
    assert (slow["severity_number"], slow["severity_text"], slow["service"]) == (13, "WARN", "frontend")
    assert attributes(slow) == {"ms": 950.5, "size": 12, "cold": True}
    assert attributes(slow, "resource_attributes") == {"service.name": "frontend", "process.pid": 4711}
    assert (slow["scope_name"], slow["scope_version"]) == ("shop.js", "0.9")
    span = keeper.one("SELECT * FROM spans WHERE name = 'GET /'")
    assert (slow["trace_id"], slow["span_id"]) == (span["trace_id"], span["span_id"])
    view = keeper.one("SELECT * FROM logs WHERE event_name = 'page.view'")
    assert json.loads(view["body"]) == {"nested": {"list": [1, "two", None], "flag": False}}
    raw = keeper.one("SELECT * FROM logs WHERE body = 'bytes'")
    assert attributes(raw) == {"raw": {"$bytes": "AQL/"}}
    ticks = keeper.one("SELECT count(DISTINCT body) AS n FROM logs WHERE body LIKE 'tick % é😀'")
    assert ticks["n"] == 300


def spans_are_right(keeper: Keeper) -> None:
    rows = {row["name"]: row for row in keeper.sql("SELECT * FROM spans")}
    assert set(rows) == {"earlier", "GET /", "render"}
    page, render = rows["GET /"], rows["render"]
    assert (page["kind"], page["parent_span_id"], render["parent_span_id"]) == (2, "", page["span_id"])
    assert (render["status_code"], render["status_message"]) == (2, "broken page")
    assert attributes(render) == {"depth": 3, "ratio": 0.5, "tags": ["a", "b"]}
    painted, exception = json.loads(render["events"])
    assert (painted["name"], painted["attributes"]) == ("painted", {"pixels": 640})
    assert exception["attributes"]["exception.type"] == "TypeError"
    (link,) = json.loads(page["links"])
    assert (link["trace_id"], link["span_id"]) == (rows["earlier"]["trace_id"], rows["earlier"]["span_id"])
    assert link["attributes"] == {"why": "retry"}


def metrics_are_right(keeper: Keeper) -> None:
    rows = {row["name"]: row for row in keeper.sql("SELECT * FROM metrics")}
    assert set(rows) == {"visits", "sessions", "queue", "paint", "paint.exponential", "heap", "collections"}
    visits = rows["visits"]
    assert number(visits) == 41
    assert (visits["kind"], visits["unit"], visits["description"]) == ("sum", "{visit}", "Pages shown.")
    assert (visits["is_monotonic"], attributes(visits)) == (True, {"page": "/"})
    assert (number(rows["sessions"]), rows["sessions"]["is_monotonic"]) == (-2, False)
    assert (number(rows["queue"]), rows["queue"]["kind"]) == (7.25, "gauge")
    assert (number(rows["heap"]), attributes(rows["heap"])) == (123456789, {"kind": "old"})
    assert number(rows["collections"]) == 17
    paint = rows["paint"]
    assert (paint["kind"], paint["count"], paint["sum"], paint["bucket_counts"]) == ("histogram", 3, 555.0, [1, 1, 1])
    exponential = rows["paint.exponential"]
    assert (exponential["kind"], exponential["count"]) == ("exponential_histogram", 3)
    assert sum(exponential["positive_bucket_counts"]) == 3


def number(row: dict[str, object]) -> object:
    return row["value_double"] if row["value_int"] is None else row["value_int"]


# Not gRPC: that exporter of the JavaScript SDK sends once and gives up, whatever it is told.
@pytest.mark.parametrize("way", ["json+gzip", "proto"])
def test_refused_and_unanswered_requests_are_sent_again_and_stored_once(keeper: Keeper, sender: Path, way: str) -> None:
    keeper.door.refusals = [QueueFull("full", retry_after_s=0.05)]
    keeper.door.lost_acknowledgements = [DiskNearlyFull("stored, and the answer lost", retry_after_s=0.05)]
    send(sender, keeper, way)
    spans_are_right(keeper)
    logs_are_right(keeper)
    (spans,) = (row for row in keeper.ledger.rows() if row.signal is Signal.SPANS)
    assert (spans.requests, spans.deduplicated, spans.accepted) == (3, 3, 0)


def test_a_token_is_sent_as_a_header(keeper: Keeper, sender: Path) -> None:
    secret = keeper.receiver.tokens.create("browser", "ingest")
    for way in ("proto", "grpc"):
        send(sender, keeper, way, secret)
    assert {row.sender for row in keeper.ledger.rows()} == {"browser"}
    assert keeper.count(Signal.LOGS) == 606
