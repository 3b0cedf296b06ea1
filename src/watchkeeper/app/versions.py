"""Sees deploys in telemetry itself: a service that sends another `service.version` than before was changed.

Enters: batches of any signal, on their way through the pipeline. Leaves: a Change of kind `deploy` for each new version
of a service, and for each that comes back after it was gone. The first version ever seen of a service is none.
"""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from watchkeeper.app.changes import Changes
from watchkeeper.diagnose.window import Change
from watchkeeper.signals.entity import entity_from_resource
from watchkeeper.signals.schema import Signal
from watchkeeper.signals.topology import NodeKind
from watchkeeper.store.metadata import Metadata

GONE_NS = 120 * 10**9
"""A version unheard for so long is gone: while a deploy rolls on, old and new send side by side."""
SERVICES_MAX = 10_000
RESOURCES_KEPT_MAX = 10_000
TEXT_MAX = 200

_SCHEMA = ("CREATE TABLE IF NOT EXISTS service_versions (service TEXT PRIMARY KEY, version TEXT NOT NULL) STRICT",)


@dataclass
class _Service:
    current: str
    heard_unix_ns: dict[str, int]


class Versions:
    """Observes; cost: one look at each different resource of a batch. The current versions outlive a restart."""

    def __init__(self, metadata: Metadata, changes: Changes) -> None:
        self._metadata = metadata
        self._changes = changes
        self._lock = threading.Lock()
        self._read: dict[str, tuple[str, str]] = {}
        metadata.ensure("service_versions", 1, _SCHEMA)
        rows = metadata.read("SELECT service, version FROM service_versions")
        self._services = {row["service"]: _Service(row["version"], {row["version"]: 0}) for row in rows}

    def observe(self, signal: Signal, batch: pa.RecordBatch) -> None:
        """Take one batch in; raises StoreError when a change cannot be kept."""
        del signal
        resources = batch.column("resource_attributes")
        for text in pc.unique(resources).to_pylist():
            service, version = self._named(text)
            if not version:
                continue
            times = batch.column("time_unix_ns").filter(pc.equal(resources.cast(pa.string()), text))
            bounds = pc.min_max(times).as_py()
            with self._lock:
                self._hear(service, version, bounds["min"], bounds["max"])

    def _hear(self, service: str, version: str, first_unix_ns: int, last_unix_ns: int) -> None:
        known = self._services.get(service)
        if known is None:
            if len(self._services) < SERVICES_MAX:
                self._services[service] = _Service(version, {version: last_unix_ns})
                self._keep(service, version)
            return
        heard = known.heard_unix_ns.get(version)
        if version != known.current and (heard is None or first_unix_ns - heard > GONE_NS):
            was, known.current = known.current, version
            self._changes.put([_change(service, was, version, first_unix_ns)])
            self._keep(service, version)
        known.heard_unix_ns[version] = max(last_unix_ns, heard or 0)

    def _keep(self, service: str, version: str) -> None:
        self._metadata.write("INSERT OR REPLACE INTO service_versions VALUES (?, ?)", [service, version])

    def _named(self, text: str | None) -> tuple[str, str]:
        """Give service and version that a resource names, "" for what it does not."""
        if not text or '"service.version"' not in text:
            return "", ""
        known = self._read.get(text)
        if known is None:
            attributes = json.loads(text)
            version = attributes.get("service.version")
            service = entity_from_resource(attributes).service
            known = (service, version[:TEXT_MAX]) if service and isinstance(version, str) else ("", "")
            if len(self._read) >= RESOURCES_KEPT_MAX:
                self._read.clear()
            self._read[text] = known
        return known


def _change(service: str, was: str, version: str, time_unix_ns: int) -> Change:
    said = "\x1f".join(("service.version", service, version, str(time_unix_ns)))
    return Change(
        id=hashlib.blake2b(said.encode(), digest_size=8).hexdigest(),
        kind="deploy",
        node=f"{NodeKind.SERVICE.value}:{service}",
        title=f"{service} went from version {was} to {version}",
        time_unix_ns=time_unix_ns,
        source="telemetry",
        attributes={"service.version": version, "service.version.before": was},
    )
