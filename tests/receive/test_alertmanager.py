"""Alertmanager's webhook: what each alert becomes, and payloads that are none."""

from __future__ import annotations

from typing import Any

import pytest

from watchkeeper.errors import MalformedTelemetry
from watchkeeper.receive.alertmanager import findings_from_webhook
from watchkeeper.signals.finding import FindingSeverity, FindingState

NOW = 1_763_700_000_000_000_000


def alert(**said: Any) -> dict[str, Any]:
    return {
        "status": "firing",
        "labels": {"alertname": "HighErrorRate", "severity": "critical", "service": "cart", "pod": "cart-7f"},
        "annotations": {"summary": "cart fails", "description": "5% of requests fail"},
        "startsAt": "2025-11-21T04:30:00.123456789Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus/graph",
        "fingerprint": "c0ffee",
        **said,
    }


def read(*alerts: Any) -> list[Any]:
    return findings_from_webhook({"version": "4", "alerts": list(alerts)}, NOW)


def test_a_firing_alert_is_an_open_finding() -> None:
    (finding,) = read(alert())
    assert (finding.kind, finding.title, finding.why) == ("alert.HighErrorRate", "cart fails", "5% of requests fail")
    assert (finding.service, finding.entity) == ("cart", "service=cart|pod=cart-7f")
    assert (finding.state, finding.severity) == (FindingState.OPEN, FindingSeverity.CRITICAL)
    assert finding.first_unix_ns == 1_763_699_400_123_456_789
    assert finding.last_unix_ns == NOW


def test_resolving_closes_the_same_finding_and_firing_anew_is_another() -> None:
    fired, done, again = (
        read(one)[0]
        for one in (
            alert(),
            alert(status="resolved", endsAt="2025-11-21T04:35:00+00:00"),
            alert(startsAt="2025-11-21T04:36:00Z"),
        )
    )
    assert done.id == fired.id != again.id
    assert (done.state, done.last_unix_ns) == (FindingState.CLOSED, 1_763_699_700_000_000_000)


def test_labels_say_whom_it_is_about() -> None:
    def entity(**labels: str) -> str:
        return read(alert(labels={"alertname": "x", **labels}))[0].entity

    assert entity(job="node", instance="10.0.0.1:9100") == "service=node|node=10.0.0.1"
    assert entity(namespace="shop", deployment="pay") == "service=pay|workload=pay|namespace=shop"
    assert entity(node="n1", service_name="cart", job="scrape") == "service=cart|node=n1"
    assert entity() == ""


def test_what_watchkeeper_sent_itself_does_not_come_round() -> None:
    assert read(alert(labels={"alertname": "WatchkeeperIncident", "watchkeeper_incident": "7"})) == []


def test_odd_but_possible_alerts_are_taken() -> None:
    (bare,) = read({"status": "firing"})
    assert (bare.kind, bare.first_unix_ns) == ("alert.unnamed", NOW)
    (odd,) = read(alert(labels={"alertname": "a b\nc" * 100, "severity": "Page"}, annotations=None, endsAt=""))
    assert len(odd.kind) <= 156
    assert odd.severity is FindingSeverity.CRITICAL
    assert read(alert(labels={"severity": "unheard-of"}))[0].severity is FindingSeverity.WARNING


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"version": "3", "alerts": []},
        {"version": "4"},
        {"version": "4", "alerts": {}},
        {"version": "4", "alerts": [{}] * 1001},
        *({"version": "4", "alerts": [each]} for each in (1, {}, {"status": "odd"}, alert(labels=[1]))),
        *({"version": "4", "alerts": [alert(startsAt=each)]} for each in ("soon", "2025-13-01T00:00:00Z", 7)),
    ],
)
def test_what_is_no_such_payload_is_refused(payload: dict[str, Any]) -> None:
    with pytest.raises(MalformedTelemetry):
        findings_from_webhook(payload, NOW)
