from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.gateway.assembly import Keeper, LiveServer, finding
from tests.store.reads.tables import NOW, SECOND

from watchkeeper.patterns.base import Template


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    made = Keeper(tmp_path)
    fill(made)
    yield made
    made.close()


@pytest.fixture
def server(keeper: Keeper) -> Iterator[LiveServer]:
    running = LiveServer(keeper)
    yield running
    running.stop()


def fill(keeper: Keeper) -> None:
    at = NOW - 60 * SECOND
    trace = "ab" * 16
    keeper.store.logs(
        {
            "time_unix_ns": at,
            "service": "cart",
            "severity_number": 17,
            "body": "boom 1",
            "template_id": 7,
            "trace_id": trace,
        },
        {"time_unix_ns": at + 1, "service": "cart", "body": "ready", "template_id": 8, "attributes": {"n": 2**53 + 1}},
    )
    keeper.store.spans(
        {
            "time_unix_ns": at,
            "duration_ns": 5_000_000,
            "trace_id": trace,
            "span_id": "1" * 16,
            "service": "cart",
            "name": "GET /",
            "kind": 2,
            "status_code": 2,
            "events": '[{"time_unix_nano":1763700000000000001,"name":"e"}]',
        },
    )
    keeper.store.metrics(
        *[
            {
                "time_unix_ns": at + i * 10 * SECOND,
                "start_time_unix_ns": at,
                "name": "requests",
                "kind": "sum",
                "is_monotonic": True,
                "temporality": 2,
                "value_int": 10 * i,
                "service": "cart",
                "series": 1,
                "attributes": {"route": "/x"},
            }
            for i in range(4)
        ]
    )
    keeper.patterns.templates[7] = Template(7, "boom <*>", 4, at, at, ("boom 0",))
    keeper.publish([finding("f1"), finding("f2", service="pay", entity="service=pay", first_unix_ns=NOW - 2 * SECOND)])
