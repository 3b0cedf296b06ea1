"""The topology over HTTP and as the command lays it out."""

from __future__ import annotations

import orjson
import pyarrow as pa
from tests.gateway.assembly import Keeper, LiveServer

from watchkeeper.cli.topology import _around, topology_lines
from watchkeeper.signals.schema import LOGS, Signal

HOUR_NS = 3_600 * 10**9
BEGIN_NS = 400_000 * HOUR_NS


def _log(keeper: Keeper, at_ns: int) -> None:
    resource = orjson.dumps({"service.name": "cart", "k8s.pod.name": "cart-7", "k8s.node.name": "n1"}).decode()
    told = {"time_unix_ns": pa.array([at_ns], pa.int64()), "resource_attributes": pa.array([resource])}
    columns = [told[one.name].cast(one.type) if one.name in told else pa.nulls(1, one.type) for one in LOGS]
    keeper.topologies.observe(Signal.LOGS, pa.RecordBatch.from_arrays(columns, schema=LOGS))


def test_the_graph_of_an_hour(server: LiveServer, keeper: Keeper) -> None:
    _log(keeper, BEGIN_NS + 5)
    found = server.client.get("/api/v1/topology", params={"from": str(BEGIN_NS), "to": str(BEGIN_NS + HOUR_NS)}).json()
    assert found["from_unix_ns"] == str(BEGIN_NS)
    assert [node["id"] for node in found["nodes"]] == ["host:n1", "pod:cart-7", "service:cart"]
    assert {(edge["source"], edge["target"]) for edge in found["edges"]} == {
        ("service:cart", "pod:cart-7"),
        ("service:cart", "host:n1"),
        ("pod:cart-7", "host:n1"),
    }
    assert found["problems"] == []
    lines = topology_lines(found)
    assert lines[0] == "service:cart"
    assert "  runs on pod:cart-7  [attributes]" in lines
    assert lines[-1] == "1 host, 1 pod, 1 service; 3 edges"
    assert [node["id"] for node in _around(found, "cart-7")["nodes"]] == ["host:n1", "pod:cart-7", "service:cart"]
    asked = {"from": str(BEGIN_NS + HOUR_NS), "to": str(BEGIN_NS + 2 * HOUR_NS)}
    empty = server.client.get("/api/v1/topology", params=asked).json()
    assert topology_lines(empty) == ["nothing was seen in this time"]


def test_a_range_that_is_none_is_refused(server: LiveServer) -> None:
    assert server.client.get("/api/v1/topology", params={"from": "5", "to": "4"}).status_code == 400
