"""Alertmanager's webhook, version 4: alerts of a user's own rules become findings of the kind `alert.NAME`.

Enters: the parsed payload. Leaves: Findings, open for firing alerts and closed for resolved ones; the same alert of the
same beginning is the same finding. Source: prometheus.io/docs/alerting/latest/configuration, `webhook_config`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from watchkeeper.errors import MalformedTelemetry
from watchkeeper.signals.entity import Entity
from watchkeeper.signals.finding import (
    Band,
    Baseline,
    Evidence,
    Finding,
    FindingSeverity,
    FindingState,
    finding_id,
)

VERSION = "4"
OWN_LABEL = "watchkeeper_incident"
ALERTS_MAX = 1_000
TEXT_CHARACTERS_MAX = 2_000
LABELS_MAX = 100

_SEVERITIES = {
    "critical": FindingSeverity.CRITICAL,
    "page": FindingSeverity.CRITICAL,
    "error": FindingSeverity.CRITICAL,
    "fatal": FindingSeverity.CRITICAL,
    "emergency": FindingSeverity.CRITICAL,
    "info": FindingSeverity.INFO,
    "information": FindingSeverity.INFO,
    "none": FindingSeverity.INFO,
    "debug": FindingSeverity.INFO,
}
_WORKLOADS = ("deployment", "statefulset", "daemonset", "workload", "cronjob", "job_name")


def findings_from_webhook(payload: Mapping[str, Any], now_unix_ns: int) -> list[Finding]:
    """Give a finding for each alert of a webhook's payload; raises MalformedTelemetry for what is no such payload."""
    if str(payload.get("version")) != VERSION:
        raise MalformedTelemetry(
            f"this is version {str(payload.get('version'))[:50]!r} of Alertmanager's webhook; {VERSION!r} is understood"
        )
    alerts = payload.get("alerts")
    if not isinstance(alerts, list) or len(alerts) > ALERTS_MAX:
        raise MalformedTelemetry(
            f"`alerts` must be a list of at most {ALERTS_MAX}; set max_alerts of the webhook lower"
        )
    return [
        _finding(alert, position, now_unix_ns) for position, alert in enumerate(alerts) if not _is_own(alert, position)
    ]


def _is_own(alert: Any, position: int) -> bool:
    """Tell whether Watchkeeper sent this alert itself; it must not come round as a finding."""
    return isinstance(alert, dict) and OWN_LABEL in _texts(alert, "labels", position)


def _finding(alert: Any, position: int, now_unix_ns: int) -> Finding:
    if not isinstance(alert, dict):
        raise MalformedTelemetry(f"alert {position} is not an object")
    labels, annotations = _texts(alert, "labels", position), _texts(alert, "annotations", position)
    status = alert.get("status")
    if status not in {"firing", "resolved"}:
        raise MalformedTelemetry(f"alert {position} has the status {str(status)[:50]!r}; firing and resolved are known")
    name = labels.get("alertname") or "unnamed"
    entity = entity_of_labels(labels)
    started = _time(alert.get("startsAt"), position) or now_unix_ns
    ended = _time(alert.get("endsAt"), position)
    resolved = status == "resolved"
    last = max(started, min(ended or now_unix_ns, now_unix_ns) if resolved else now_unix_ns)
    fingerprint = str(alert.get("fingerprint") or "\x1f".join(f"{key}={labels[key]}" for key in sorted(labels)))
    kind = f"alert.{re.sub(r'[^A-Za-z0-9_:.-]', '_', name)[:150]}"
    why = annotations.get("description") or annotations.get("message") or annotations.get("summary") or ""
    title = annotations.get("summary") or f"alert {name}"
    link = str(alert.get("generatorURL") or "")[:TEXT_CHARACTERS_MAX]
    rule = f"the rule {name} of Alertmanager's sender"
    return Finding(
        id=finding_id(kind, entity.key, fingerprint, started),
        kind=kind,
        signal="metrics",
        service=entity.service,
        entity=entity.key,
        subject=fingerprint[:TEXT_CHARACTERS_MAX],
        title=" ".join(title.split())[:300],
        why=why or f"{rule} fires.",
        severity=_SEVERITIES.get(labels.get("severity", "").lower(), FindingSeverity.WARNING),
        score=1.0,
        count=1,
        first_unix_ns=started,
        last_unix_ns=last,
        expected=Band(f"{rule} does not fire"),
        seen=Band("resolved" if resolved else "firing"),
        baseline=Baseline(0, 0),
        state=FindingState.CLOSED if resolved else FindingState.OPEN,
        evidence=tuple(Evidence("note", f"{key}: {value}", started) for key, value in sorted(annotations.items())[:20]),
        detected_unix_ns=now_unix_ns,
        attributes={"labels": labels, "generator_url": link, "source": "alertmanager"},
    )


def entity_of_labels(labels: Mapping[str, str]) -> Entity:
    """Read whom an alert is about from the usual labels of Prometheus and Kubernetes.

    >>> entity_of_labels({"job": "shop/cart", "instance": "10.0.0.1:9090"}).key
    'service=shop/cart|node=10.0.0.1'
    """

    def said(*names: str) -> str:
        return next((labels[name] for name in names if labels.get(name)), "")

    instance = said("instance").rpartition(":")[0] or said("instance")
    workload = said(*_WORKLOADS)
    return Entity(
        cluster=said("cluster"),
        namespace=said("namespace", "exported_namespace"),
        workload=workload,
        pod=said("pod", "pod_name", "exported_pod"),
        node=said("node", "nodename", "host", "hostname") or ("" if said("pod") else instance),
        gpu=said("UUID", "gpu_uuid", "gpu"),
        service=said("service_name", "service", "exported_service", "app", "job") or workload,
    )


def _texts(alert: Mapping[str, Any], name: str, position: int) -> dict[str, str]:
    said = alert.get(name) or {}
    if not isinstance(said, dict) or len(said) > LABELS_MAX:
        raise MalformedTelemetry(f"`{name}` of alert {position} must be an object of at most {LABELS_MAX} texts")
    return {str(key)[:200]: str(value)[:TEXT_CHARACTERS_MAX] for key, value in said.items()}


def _time(text: Any, position: int) -> int:
    """Read RFC 3339 to nanoseconds; 0 for none, which Go writes as year 1."""
    if not text:
        return 0
    try:
        whole = re.fullmatch(r"(.{19})(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)", str(text))
        if whole is None:
            raise ValueError(text)
        moment = datetime.fromisoformat(whole[1] + whole[3].replace("Z", "+00:00"))
        seconds = int(moment.timestamp())
    except (ValueError, OverflowError) as error:
        raise MalformedTelemetry(f"alert {position} has the time {str(text)[:50]!r}, which is not RFC 3339") from error
    if not 0 < seconds < 2**33:
        return 0
    return seconds * 10**9 + int((whole[2] or "0").ljust(9, "0"))
