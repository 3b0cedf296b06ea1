"""Keeps the buckets fresh: each status when it changes, the counts every 30 s, from one thread of its own.

Enters: what the training gateway tells. Leaves: values in buckets. A bucket that cannot be written is tried again after
a growing pause with what is true then, and told in `problem`; nobody waits for it.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

from watchkeeper.errors import Refused, SettingError, StoreError, TooLarge, Unreachable
from watchkeeper.training.buckets import AGGREGATION, STATUS, Buckets, key_of
from watchkeeper.training.counts import WorkloadCount, WorkloadCounts
from watchkeeper.training.gateway import TrainingGateway

REFRESH_S = 30.0
PAUSE_FIRST_S = 0.5
PAUSE_S_MAX = 30.0
ITEM_BYTES = 80
SUMMARY = "summary"
SCHEMA_VERSION = 1


class Publisher:
    """Writes to buckets; `start` before use, `stop` after."""

    def __init__(
        self,
        gateway: TrainingGateway,
        buckets: Buckets,
        *,
        refresh_s: float = REFRESH_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gateway, self._buckets = gateway, buckets
        self._refresh_s, self._clock = refresh_s, clock
        self._changed = threading.Condition()
        self._dirty: set[str] = set()
        self._all = True
        self._stopping = False
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name="training-buckets", daemon=True)
        self.problem = ""
        gateway.on_change(self.status_changed)

    def start(self) -> None:
        """Write everything, then go on with what changes."""
        self._thread.start()

    def stop(self) -> None:
        """Write the statuses that wait, once more, and end."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def status_changed(self, name: str) -> None:
        """Have the status of a watchlist written; never blocks."""
        with self._changed:
            self._dirty.add(name)
            self._changed.notify_all()

    def connected(self) -> None:
        """Have everything written anew, for the buckets were away; never blocks."""
        with self._changed:
            self._all, self._failures = True, 0
            self._changed.notify_all()

    def write_status(self) -> None:
        """Write the status of every watchlist, and delete those that are gone."""
        names = self._gateway.watchlists.names()
        for name in names:
            self._put(STATUS, key_of(name), self._gateway.status(name))
        for key in {*self._buckets.keys(STATUS)} - {key_of(name) for name in names}:
            self._buckets.delete(STATUS, key)

    def write_counts(self) -> None:
        """Write the counts: one value a cluster, or several where one would be too large, and the summary."""
        counts = self._gateway.counts()
        clusters: dict[str, list[WorkloadCount]] = {}
        for each in counts.items:
            clusters.setdefault(each.workload.cluster_id, []).append(each)
        written, told = {SUMMARY}, []
        for cluster_id, items in sorted(clusters.items()):
            keys = []
            for number, part in enumerate(parts_of(items, self._buckets.value_bytes_max() // 2)):
                keys.append(f"{key_of(cluster_id)}.{number}")
                self._put(AGGREGATION, keys[-1], {**_head(counts), "cluster_id": cluster_id, "namespaces": part})
            written.update(keys)
            lines = sum(each.log_count for each in items)
            told.append({"cluster_id": cluster_id, "keys": keys, "workloads": len(items), "log_count": lines})
        self._put(AGGREGATION, SUMMARY, {**_head(counts), "left_out": counts.left_out, "clusters": told})
        for key in {*self._buckets.keys(AGGREGATION)} - written:
            self._buckets.delete(AGGREGATION, key)

    def _put(self, bucket: str, key: str, value: dict[str, Any]) -> None:
        document = {"schema_version": SCHEMA_VERSION, **value}
        self._buckets.put(bucket, key, json.dumps(document, separators=(",", ":")).encode())

    def _run(self) -> None:
        due_s = self._clock()
        while True:
            with self._changed:
                if not self._dirty and not self._all and not self._stopping:
                    self._changed.wait(max(0.0, due_s - self._clock()))
                everything = self._all or self._clock() >= due_s
                dirty, stopping = self._dirty, self._stopping
                self._dirty, self._all = set(), False
            try:
                self._write(dirty, everything=everything and not stopping)
            except (Unreachable, StoreError, Refused, TooLarge, SettingError) as error:
                self._failed(error)
            else:
                self._failures, self.problem = 0, ""
                if everything:
                    due_s = self._clock() + self._refresh_s
            if stopping:
                return

    def _write(self, dirty: set[str], *, everything: bool) -> None:
        if everything:
            self.write_status()
            self.write_counts()
        elif dirty:
            known = {*self._gateway.watchlists.names()}
            if dirty <= known:
                for name in dirty:
                    self._put(STATUS, key_of(name), self._gateway.status(name))
            else:
                self.write_status()

    def _failed(self, error: Exception) -> None:
        """Try all of it again after a pause, which a stop or a new connection cuts short."""
        self.problem = f"counts and status do not reach their buckets: {error}"
        pause_s = min(PAUSE_S_MAX, PAUSE_FIRST_S * 2**self._failures)
        with self._changed:
            self._failures = min(self._failures + 1, 10)
            if not self._all:
                self._changed.wait_for(lambda: self._stopping or self._all, pause_s)
            self._all = True


def parts_of(items: list[WorkloadCount], bytes_max: int) -> list[dict[str, dict[str, int]]]:
    """Give counts as {namespace: {deployment: lines}}, in parts below a size in JSON."""
    parts: list[dict[str, dict[str, int]]] = [{}]
    size = 0
    for each in sorted(items):
        more = ITEM_BYTES + 6 * (len(each.workload.namespace) + len(each.workload.deployment))
        if size + more > bytes_max:
            parts.append({})
            size = 0
        size += more
        parts[-1].setdefault(each.workload.namespace, {})[each.workload.deployment] = each.log_count
    return parts


def _head(counts: WorkloadCounts) -> dict[str, Any]:
    return {
        "state": counts.state,
        "problem": counts.problem,
        "from_unix_ns": str(counts.from_unix_ns),
        "until_unix_ns": str(counts.until_unix_ns),
    }
