"""What is sent: one pure function per kind of target, from an incident's summary and its event to an HTTP request.

Enters: a Target, an event, the summary as plain data, the link to its page, the moment of sending. Leaves: a Request.
Shapes as published: Slack's incoming webhooks and blocks, PagerDuty's Events API v2, Alertmanager's API v2.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from watchkeeper.app.news import Event
from watchkeeper.app.notify.targets import Target, TargetKind
from watchkeeper.diagnose.incident import IncidentSeverity
from watchkeeper.receive.alertmanager import OWN_LABEL

ALERT_NAME = "WatchkeeperIncident"
ALERT_HOLDS = timedelta(hours=3)
"""How long Alertmanager takes an alert to go on unless it is told again."""
SIGNATURE_HEADER = "X-Watchkeeper-Signature"
TIMESTAMP_HEADER = "X-Watchkeeper-Timestamp"
DELIVERY_HEADER = "X-Watchkeeper-Delivery"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OVER = frozenset({Event.RESOLVED, Event.MERGED})
_WORDS = {
    Event.OPENED: "New incident",
    Event.WORSE: "Incident got worse",
    Event.ACKNOWLEDGED: "Acknowledged",
    Event.DIAGNOSED: "Likeliest cause found",
    Event.RESOLVED: "Resolved",
    Event.REOPENED: "Reopened",
    Event.MERGED: "Merged",
    Event.STILL: "Still going on",
}
_MARKS = {"critical": ":red_circle:", "warning": ":large_yellow_circle:", "info": ":large_blue_circle:"}


class Request(NamedTuple):
    """One HTTP POST."""

    url: str
    headers: dict[str, str]
    body: bytes


class Message(NamedTuple):
    """What is to be told: the event, the incident's summary as it was then, its page ("" for none), a delivery's id."""

    event: Event
    incident: Mapping[str, Any]
    link: str
    delivery: str


def request_of(target: Target, message: Message, now_unix_ns: int) -> Request:
    """Make the request that tells a target a message."""
    return _MAKERS[target.kind](target, message, now_unix_ns)


def _slack(target: Target, message: Message, _now_unix_ns: int) -> Request:
    incident, event = message.incident, message.event
    head = f"{_WORDS[event]}: {incident['title']}"
    mark = ":white_check_mark:" if event in _OVER else _MARKS[incident["severity"]]
    facts = [f"*{incident['severity']}*", f"since {_shown(incident['first_unix_ns'])}"]
    if incident["reopened"]:
        facts.append(f"reopened {incident['reopened']} times" if incident["reopened"] > 1 else "reopened")
    lines = [f"{mark} *{_escaped(head)}*", _escaped(incident["impact"])]
    cause = incident.get("cause")
    if cause:
        lines.append(f"Likeliest cause: *{_escaped(cause['node'])}* ({cause['confidence']:.0%} sure)")
    context = " · ".join(facts) + (f" · <{message.link}|open the incident>" if message.link else f" · {incident['id']}")
    body = {
        "text": _escaped(head)[:3000],
        "blocks": [
            {"type": "section", "text": {"type": "mrkdwn", "text": "\n".join(lines)[:3000]}},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": context[:2000]}]},
        ],
    }
    return _json(target, body, bearer=True)


def _webhook(target: Target, message: Message, now_unix_ns: int) -> Request:
    body = {
        "version": 1,
        "event": message.event.value,
        "delivery": message.delivery,
        "link": message.link,
        "incident": _texts(message.incident),
    }
    request = _json(target, body)
    stamp = str(now_unix_ns // 10**9)
    headers = {**request.headers, DELIVERY_HEADER: message.delivery, TIMESTAMP_HEADER: stamp}
    if target.secret:
        headers[SIGNATURE_HEADER] = signature(target.secret, stamp, request.body)
    return request._replace(headers=headers)


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Sign a body: HMAC-SHA-256 over `timestamp.body`, so that neither can be changed nor sent again much later."""
    return "sha256=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _pagerduty(target: Target, message: Message, _now_unix_ns: int) -> Request:
    incident, event = message.incident, message.event
    action = "resolve" if event in _OVER else "acknowledge" if event is Event.ACKNOWLEDGED else "trigger"
    body: dict[str, Any] = {
        "routing_key": target.secret,
        "event_action": action,
        "dedup_key": f"watchkeeper-{incident['id']}",
    }
    if action == "trigger":
        services = list(incident["services"])
        body |= {
            "client": "Watchkeeper",
            "payload": {
                "summary": str(incident["title"])[:1024],
                "source": services[0] if services else next(iter(incident["nodes"]), "watchkeeper"),
                "severity": incident["severity"],
                "timestamp": _rfc3339(incident["first_unix_ns"]),
                "component": services[0] if services else "",
                "class": str(incident.get("category") or "incident"),
                "custom_details": {
                    "impact": incident["impact"],
                    "services": services,
                    "findings": incident["findings_count"],
                    "reopened": incident["reopened"],
                    "cause": incident.get("cause"),
                },
            },
        }
        if message.link:
            body |= {"client_url": message.link, "links": [{"href": message.link, "text": "Incident in Watchkeeper"}]}
    return _json(target, body)


def _alertmanager(target: Target, message: Message, now_unix_ns: int) -> Request:
    """Severity is a label, and labels tell alerts apart: those of the other severities are ended with every message."""
    incident = message.incident
    now = _EPOCH + timedelta(microseconds=now_unix_ns // 1000)
    began = min(_EPOCH + timedelta(microseconds=int(incident["first_unix_ns"]) // 1000), now)
    alerts = []
    for severity in IncidentSeverity:
        goes_on = message.event not in _OVER and severity.value == incident["severity"]
        alert: dict[str, Any] = {
            "labels": {
                "alertname": ALERT_NAME,
                OWN_LABEL: incident["id"],
                "severity": severity.value,
                "source": "watchkeeper",
            },
            "annotations": {
                "summary": incident["title"],
                "description": incident["impact"],
                "services": ", ".join(incident["services"]),
            },
            "startsAt": began.isoformat(),
            "endsAt": (now + ALERT_HOLDS if goes_on else now).isoformat(),
        }
        if message.link:
            alert["generatorURL"] = message.link
        alerts.append(alert)
    request = _json(target, alerts, bearer=True)
    return request._replace(url=target.url.rstrip("/") + "/api/v2/alerts")


_MAKERS: dict[TargetKind, Callable[[Target, Message, int], Request]] = {
    TargetKind.SLACK: _slack,
    TargetKind.WEBHOOK: _webhook,
    TargetKind.PAGERDUTY: _pagerduty,
    TargetKind.ALERTMANAGER: _alertmanager,
}


def _json(target: Target, body: Any, *, bearer: bool = False) -> Request:
    headers = {"Content-Type": "application/json", "User-Agent": "watchkeeper"}
    if bearer and target.secret:
        headers["Authorization"] = f"Bearer {target.secret}"
    return Request(target.url, headers, json.dumps(body, separators=(",", ":")).encode())


def _texts(value: Any) -> Any:
    """Write times as text, as the API does."""
    if isinstance(value, Mapping):
        return {
            key: str(item) if str(key).endswith("unix_ns") and isinstance(item, int) else _texts(item)
            for key, item in value.items()
        }
    return [_texts(item) for item in value] if isinstance(value, list | tuple) else value


def _escaped(text: str) -> str:
    """Escape what Slack reads as markup, mentions of everyone included; line ends become spaces."""
    return " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _rfc3339(unix_ns: int) -> str:
    return (_EPOCH + timedelta(microseconds=int(unix_ns) // 1000)).isoformat(timespec="milliseconds")


def _shown(unix_ns: int) -> str:
    return f"{_EPOCH + timedelta(microseconds=int(unix_ns) // 1000):%Y-%m-%d %H:%M:%S} UTC"
