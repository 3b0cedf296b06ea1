"""Prometheus remote write of the whole program, in and out, with a real Prometheus: values, a kill, PromQL."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.product import Product, wait_for, watchkeeper
from tests.e2e.prometheus_server import PROGRAM, Prometheus, Target, free_port, scraped, version
from tests.receive.remote_write.written import V2, sample
from watchkeeper.receive.remote_write.snappy import compress

needs_prometheus = pytest.mark.skipif(PROGRAM is None, reason="prometheus is not installed")
MESSAGES = [
    "prometheus.WriteRequest",
    pytest.param(
        "io.prometheus.write.v2.Request",
        marks=pytest.mark.skipif(version() < (2, 54), reason="the Prometheus here is too old to send remote write 2.0"),
    ),
]
METRICS = """\
# TYPE target info
target_info{version="1.2",k8s_pod="cart-7f"} 1
# TYPE queue_depth_bytes gauge
# UNIT queue_depth_bytes bytes
# HELP queue_depth_bytes How much waits.
queue_depth_bytes{queue="orders"} 41.5
# TYPE took_seconds histogram
# UNIT took_seconds seconds
took_seconds_bucket{le="0.1"} 3
took_seconds_bucket{le="+Inf"} 4
took_seconds_sum 0.7
took_seconds_count 4
"""


def configuration(target: Target, product: Product, message: str) -> str:
    chosen = f"  protobuf_message: {message}\n" if version() >= (2, 54) else ""
    return f"""
global: {{scrape_interval: 250ms, external_labels: {{cluster: eu}}}}
scrape_configs:
- {{job_name: shop/cart, static_configs: [{{targets: ["{target.address}"]}}]}}
remote_write:
- url: {product.endpoints["otlp_http"]}/api/v1/write
{chosen}  metadata_config: {{send_interval: 500ms}}
  queue_config: {{batch_send_deadline: 200ms, min_backoff: 50ms, max_backoff: 500ms}}
"""


@pytest.fixture
def target() -> Iterator[Target]:
    with scraped() as served:
        served.text = METRICS
        yield served


def stored(product: Product, name: str) -> list[tuple[int, float]]:
    query = f"SELECT time_unix_ns, value_double FROM metrics WHERE name = '{name}' AND flags = 0 ORDER BY 1"
    return [(int(time_ns) // 10**6, value) for time_ns, value in product.sql(query)]


def told(product: Product, name: str) -> list[Any]:
    columns = "kind, unit, description, is_monotonic, attributes, resource_attributes, service, value_double"
    rows = product.sql(f"SELECT {columns} FROM metrics WHERE name = '{name}' ORDER BY time_unix_ns DESC LIMIT 1")
    return rows[0] if rows else []


@needs_prometheus
@pytest.mark.parametrize("message", MESSAGES)
def test_prometheus_on_both_sides_and_a_kill_in_between(tmp_path: Path, target: Target, message: str) -> None:
    prometheus = Prometheus(tmp_path)
    product = Product(
        tmp_path / "home",
        ready_within_s=90,
        otlp_http_port=free_port(),
        remote_write_url=prometheus.write_url,
        remote_write_version="2.0",
        remote_write_interval_s=0.5,
        remote_write_pause_s_max=0.5,
        remote_write_labels="replica=a,instance=wk-1",
    )
    try:
        prometheus.start(configuration(target, product, message))
        wait_for(lambda: len(stored(product, "scrapes_total")) >= 3, within_s=60, what="the first scrapes")
        comes_as_it_is(product)
        goes_out(product, prometheus)
        product.kill()
        before = target.scrapes
        wait_for(lambda: target.scrapes > before + 4, within_s=60, what="scrapes while Watchkeeper is down")
        product.start()
        wait_for(lambda: arrived(product, prometheus, before + 4), within_s=60, what="what was scraped meanwhile")
        kept, sent = stored(product, "scrapes_total"), prometheus.samples("scrapes_total")
        assert len(kept) == len(dict(kept)), "nothing is there twice"
        assert {at: value for at, value in sent.items() if at <= kept[-1][0]} == dict(kept), (
            "nothing is lost or changed"
        )
    finally:
        prometheus.stop()
        product.stop()


def arrived(product: Product, prometheus: Prometheus, scrapes: int) -> bool:
    kept = dict(stored(product, "scrapes_total"))
    return (
        bool(kept)
        and max(kept.values()) > scrapes
        and set(kept) >= {at for at, value in prometheus.samples("scrapes_total").items() if value <= scrapes}
    )


def comes_as_it_is(product: Product) -> None:
    wait_for(lambda: told(product, "queue_depth_bytes")[1:3] == ["By", "How much waits."], what="the metadata")
    kind, _, _, _, attributes, resource, service, value = told(product, "queue_depth_bytes")
    assert (kind, service, value) == ("gauge", "shop/cart", 41.5)
    assert json.loads(attributes) == {"cluster": "eu", "queue": "orders"}
    said = json.loads(resource)
    assert (said["service.name"], said["service.namespace"]) == ("cart", "shop")
    assert said["service.instance.id"] == f"{said['server.address']}:{said['server.port']}"
    assert (said["version"], said["k8s_pod"]) == ("1.2", "cart-7f")
    kind, unit, _, rises, attributes, _, _, value = told(product, "took_seconds_bucket")
    assert (kind, unit, rises, json.loads(attributes)["le"] in {"0.1", "+Inf"}) == ("sum", "s", True, True)
    assert told(product, "target_info") == []
    (row,) = [each for each in product.get("/api/v1/ledger")["items"] if each["protocol"].startswith("remote-write/")]
    assert (row["rejected"], row["refused"], row["dropped"], row["last_error"]) == (0, 0, 0, "")


def goes_out(product: Product, prometheus: Prometheus) -> None:
    """PromQL of Prometheus answers Watchkeeper's own metrics; an old one that knows no 2.0 is sent 1.0."""
    labels = '{job="watchkeeper", instance="wk-1", replica="a"}'
    wait_for(lambda: prometheus.query(f"watchkeeper_ready{labels} == 1"), within_s=60, what="own metrics")
    (accepted,) = wait_for(
        lambda: prometheus.query(
            'sum(watchkeeper_ingest_records_total{protocol=~"remote-write/.*", outcome="accepted"}) > 0'
        ),
        within_s=60,
        what="the ledger in PromQL",
    )
    assert float(accepted["value"][1]) > 0
    severities = {each["metric"]["severity"] for each in prometheus.query("watchkeeper_incidents_open")}
    assert severities == {"info", "warning", "critical"}
    (state,) = product.get("/api/v1/status")["remote_write"]
    assert (state["url"], state["rejected"], state["dropped"], state["last_error"]) == (prometheus.write_url, 0, 0, "")
    assert state["version"] == ("2.0" if version() >= (2, 54) else "1.0")
    assert state["sent"] > 0
    shown = watchkeeper("status", "--server", product.url)
    assert f"own metrics to {prometheus.write_url} ({state['version']}): " in shown.stdout, shown


def test_a_level_shift_sent_by_remote_write_becomes_a_finding(tmp_path: Path) -> None:
    product = Product(tmp_path / "home", ready_within_s=90, metric_warmup_s=600, segment_age_s=5)
    random_ = random.Random(7)
    start_ms, step_ms, steps, shift = 1_763_700_000_000, 15_000, 360, 300
    try:
        for begin in range(0, steps, 60):
            request = V2()
            for place in range(begin, begin + 60):
                level = 400.0 if place >= shift else 40.0
                request.series(
                    {"__name__": "checkout_queue_depth", "job": "shop", "instance": "shop-1:9100", "queue": "orders"},
                    sample(level + random_.gauss(0, 1) + math.sin(place / 9), start_ms + place * step_ms),
                    kind=2,
                )
            headers = {
                "content-type": "application/x-protobuf;proto=io.prometheus.write.v2.Request",
                "content-encoding": "snappy",
            }
            url = f"{product.endpoints['otlp_http']}/api/v1/write"
            answer = httpx.post(url, content=compress(request.whole()), headers=headers, timeout=30)
            assert (answer.status_code, answer.headers["x-prometheus-remote-write-samples-written"]) == (204, "60")
        (found,) = wait_for(
            lambda: [each for each in product.get("/api/v1/findings")["items"] if each["service"] == "shop"],
            within_s=60,
            what="a finding",
        )
        assert "checkout_queue_depth" in json.dumps(found)
        late_s = int(found["first_unix_ns"]) / 1e9 - (start_ms + shift * step_ms) / 1e3
        assert -60 <= late_s <= 300, found
    finally:
        product.stop()
