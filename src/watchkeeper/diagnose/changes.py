"""Changes out of telemetry: log events that tell of a deploy, a scaling, a configuration or a feature flag.

Enters: a batch of logs. Leaves: Changes, each with an id that is the same when the event is sent again. Names are those
of OpenTelemetry's semantic conventions (deployment, feature flag, CI/CD) and of Kubernetes' own events. Cost: a few
substring searches over the batch; rows that pass are read one by one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from watchkeeper.diagnose.window import Change
from watchkeeper.signals.topology import NodeKind

CHANGES_A_BATCH_MAX = 1_000
TITLE_CHARACTERS_MAX = 300

KUBERNETES_REASONS = {
    "ScalingReplicaSet": "scale",
    "SuccessfulRescale": "scale",
    "ScaledUpGroup": "scale",
    "ScaleDown": "scale",
    "DeploymentRollback": "deploy",
    "SuccessfulUpdate": "deploy",
}
_EVENT = r"^(deployment|cicd\.pipeline|feature_flag|config|configuration|scaling|k8s\.event)(\.|$)"
_ATTRIBUTES = (
    r'"(deployment\.(id|status|name)|cicd\.pipeline\.run\.(id|result)|config\.(change|version)|'
    r'feature_flag\.(change|updated)[^"]*|k8s\.event\.reason|event\.name)":'
)


class _Row(NamedTuple):
    """What a row says: `own` are its attributes, `said` those and the resource's beneath them."""

    event: str
    body: str
    own: Mapping[str, Any]
    said: Mapping[str, Any]
    service: str
    time_unix_ns: int


def changes_from_logs(batch: pa.RecordBatch) -> list[Change]:
    """Give the changes that the log events of a batch tell of, at most CHANGES_A_BATCH_MAX, in their order."""
    events, attributes = batch.column("event_name"), batch.column("attributes")
    maybe = pc.or_(
        pc.fill_null(pc.match_substring_regex(events, _EVENT), fill_value=False),
        pc.fill_null(pc.match_substring_regex(attributes, _ATTRIBUTES), fill_value=False),
    )
    if not pc.any(maybe).as_py():
        return []
    names = ["event_name", "body", "attributes", "resource_attributes", "service", "time_unix_ns"]
    found: dict[str, Change] = {}
    for row in batch.select(names).filter(maybe).to_pylist():
        own = _object(row["attributes"])
        said = {**_object(row["resource_attributes"]), **own}
        change = _change(
            _Row(row["event_name"] or "", row["body"] or "", own, said, row["service"] or "", row["time_unix_ns"])
        )
        if change is not None and len(found) < CHANGES_A_BATCH_MAX:
            found.setdefault(change.id, change)
    return list(found.values())


def change_id(kind: str, node: str, subject: str, time_unix_ns: int) -> str:
    """Give the id of a change that brings none: 16 hexadecimal digits, the same for the same facts."""
    text = "\x1f".join((kind, node, subject, str(time_unix_ns)))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _change(row: _Row) -> Change | None:
    # What the resource says stands on every line of a service and tells of no moment.
    name = row.event or _text(row.own, "event.name")
    topic = name.partition(".")[0]
    reason = _text(row.own, "k8s.event.reason", "reason")
    if reason in KUBERNETES_REASONS:
        return _kubernetes(row, KUBERNETES_REASONS[reason], reason)
    # An evaluation tells what a flag says to one request; only its change is a change.
    if topic == "feature_flag" or any(key.startswith("feature_flag.change") for key in row.own):
        return None if name.endswith("evaluation") else _flag(row, name)
    if topic in {"deployment", "cicd"} or _has(row.own, "deployment.id", "deployment.status", "cicd.pipeline.run.id"):
        return _deploy(row)
    if topic in {"config", "configuration"} or _has(row.own, "config.change", "config.version"):
        version = _text(row.said, "config.version", "config.change")
        return _made(row, "config", version, f"configuration of {row.service or 'unknown'} changed {version}".rstrip())
    if topic == "scaling":
        return _made(row, "scale", row.body, row.body or f"{row.service} was scaled")
    return None


def _deploy(row: _Row) -> Change | None:
    status = _text(row.said, "deployment.status", "cicd.pipeline.run.result", "cicd.pipeline.result")
    version = _text(row.said, "service.version", "deployment.version", "container.image.tag")
    identifier = _text(row.said, "deployment.id", "cicd.pipeline.run.id")
    what = row.service or _text(row.said, "deployment.name", "cicd.pipeline.name") or "unknown"
    title = f"deploy of {what}{' ' + version if version else ''}{': ' + status if status else ''}"
    # One deployment may stand on many lines; each of its states is one change.
    change = _made(row, "deploy", identifier + status, title)
    if not identifier:
        return change
    return replace(change, id=change_id("deploy", change.node, f"{identifier}\x1f{status}", 0))


def _flag(row: _Row, name: str) -> Change:
    key = _text(row.said, "feature_flag.key", "feature_flag.name")
    value = _text(row.said, "feature_flag.result.variant", "feature_flag.variant", "feature_flag.result.value")
    title = f"feature flag {key or name}{' is now ' + value if value else ' changed'}"
    return _made(row, "flag", f"{key}={value}", title)


def _kubernetes(row: _Row, kind: str, reason: str) -> Change:
    workload = _text(row.said, "k8s.object.name", "k8s.deployment.name", "k8s.statefulset.name", "k8s.daemonset.name")
    node = f"{NodeKind.WORKLOAD.value}:{workload}" if workload else _service(row.service)
    uid = _text(row.said, "k8s.event.uid")
    count = _text(row.said, "k8s.event.count")
    return _made(row, kind, f"{uid or row.body}{count}", row.body or f"{reason} of {workload}", node=node)


def _made(row: _Row, kind: str, subject: str, title: str, *, node: str = "") -> Change:
    node = node or _service(row.service)
    shown = {key: value for key, value in row.said.items() if isinstance(value, str | int | float | bool)}
    return Change(
        id=change_id(kind, node, subject, row.time_unix_ns),
        kind=kind,
        node=node,
        title=" ".join(title.split())[:TITLE_CHARACTERS_MAX],
        time_unix_ns=row.time_unix_ns,
        source="telemetry",
        attributes=dict(list(shown.items())[:40]),
    )


def _service(service: str) -> str:
    return f"{NodeKind.SERVICE.value}:{service}" if service else ""


def _has(said: Mapping[str, Any], *names: str) -> bool:
    return any(said.get(name) not in (None, "") for name in names)


def _text(said: Mapping[str, Any], *names: str) -> str:
    return next((str(said[name]) for name in names if said.get(name) not in (None, "")), "")


def _object(text: str | None) -> dict[str, Any]:
    value = json.loads(text) if text else {}
    return value if isinstance(value, dict) else {}
