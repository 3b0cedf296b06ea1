"""Diagnoses of a chosen span, forecasts, and the incident that a finding belongs to."""

from __future__ import annotations

import pytest
from tests.gateway.assembly import Keeper, LiveServer
from tests.gateway.test_incident_routes import call
from tests.store.reads.tables import NOW, SECOND

from watchkeeper.gateway import models_explain as models

FROM, TO = NOW - 120 * SECOND, NOW


def test_a_span_is_explained_and_nothing_kept(server: LiveServer, keeper: Keeper) -> None:
    before = keeper.incidents.counts()
    asked = {"from_unix_ns": str(FROM), "to_unix_ns": TO, "services": ["cart", "cart"]}
    told = call(server, "POST", "/api/v1/explain", asked, model=models.ExplainAnswer)
    assert {cause["node"] for cause in told["ranking"]["causes"]} == {"service:cart"}
    assert isinstance(told["window"]["onset_unix_ns"], str)
    assert keeper.incidents.counts() == before


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"to_unix_ns": FROM}, "exchange them"),
        ({"to_unix_ns": FROM + 86_401 * SECOND}, "shorter"),
        ({"to_unix_ns": "9999999999999999999"}, "2262"),
        ({"from_unix_ns": "yesterday"}, "from_unix_ns"),
        ({"services": [""]}, "services"),
        ({"service": "cart"}, "service"),
    ],
)
def test_what_cannot_be_explained_is_refused(server: LiveServer, change: dict[str, object], says: str) -> None:
    asked = {"from_unix_ns": str(FROM), "to_unix_ns": str(TO), **change}
    assert says in call(server, "POST", "/api/v1/explain", asked, status=400)["detail"]


def test_a_share_that_rises_is_forecast_to_its_limit(server: LiveServer, keeper: Keeper) -> None:
    keeper.store.metrics(
        *[
            {
                "time_unix_ns": NOW - (3600 - i * 60) * SECOND,
                "name": "system.filesystem.utilization",
                "kind": "gauge",
                "unit": "1",
                "service": "cart",
                "value_double": 0.3 + i / 100,
                "series": 2,
            }
            for i in range(60)
        ]
    )
    path = f"/api/v1/metrics/forecast?name=system.filesystem.utilization&from={NOW - 3600 * SECOND}&to={NOW}"
    told = call(server, "GET", path, model=models.ForecastAnswer)
    (line,) = told["items"]
    assert (told["is_capacity"], line["limit"], line["is_trend"]) == (True, 1.0, True)
    assert line["time_to_limit_s"] == pytest.approx(660, rel=0.1)
    assert line["earliest_s"] <= line["time_to_limit_s"] <= line["latest_s"]
    assert all(low <= mid <= high for low, mid, high in zip(line["low"], line["mid"], line["high"], strict=True))


def test_what_does_not_fill_up_is_not_forecast(server: LiveServer) -> None:
    told = call(server, "GET", "/api/v1/metrics/forecast?name=requests", model=models.ForecastAnswer)
    assert (told["is_capacity"], told["items"]) == (False, [])


def test_a_finding_tells_the_incident_that_it_belongs_to(server: LiveServer) -> None:
    (incident,) = call(server, "GET", "/api/v1/incidents?service=cart")["items"]
    assert call(server, "GET", "/api/v1/findings/f1")["incident_id"] == incident["id"]
    listed = call(server, "GET", "/api/v1/findings?service=cart")["items"]
    assert [item["incident_id"] for item in listed] == [incident["id"]]
