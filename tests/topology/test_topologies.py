"""The graph from telemetry: calls in any order, where things run, hours kept over a restart."""

from __future__ import annotations

import itertools

import pyarrow as pa
import pytest
from topology_traffic import CLIENT, CONSUMER, HOUR_NS, PRODUCER, SERVER, START_NS, Span, logs, spans

from watchkeeper.signals.schema import Signal
from watchkeeper.signals.topology import Topology
from watchkeeper.store.metadata import Metadata
from watchkeeper.topology import builder as building
from watchkeeper.topology import calls as calling
from watchkeeper.topology.topologies import Topologies

CALL = Span("front", CLIENT, 1, attributes={"server.address": "cart.local"})
ANSWER = Span("cart", SERVER, 2, 1)
OTHER = Span("front", CLIENT, 3, second=2.0, attributes={"server.address": "cart.local"})
ALSO = Span("cart", SERVER, 4, 3, second=2.0, failed=True)


def hour(kept: Topologies, which: int = 0) -> Topology:
    return kept.at(START_NS + which * HOUR_NS, START_NS + (which + 1) * HOUR_NS)


def edges(graph: Topology) -> dict[str, int]:
    return {f"{edge.source} {edge.kind.value} {edge.target}": edge.count for edge in graph.edges}


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::5])
@pytest.mark.parametrize("size", [1, 4])
def test_a_call_is_counted_once_in_whatever_order_its_ends_come(
    metadata: Metadata, order: tuple[int, ...], size: int
) -> None:
    rows = [(CALL, ANSWER, OTHER, ALSO)[place] for place in order]
    kept = Topologies(metadata)
    for begin in range(0, 4, size):
        kept.observe(Signal.SPANS, spans(*rows[begin : begin + size]))
    graph = hour(kept)
    assert edges(graph) == {"service:front calls service:cart": 2}
    [edge] = graph.edges
    assert edge.attributes["failed"] == 1
    assert edge.known_from == ("spans",)
    assert graph.dependencies("service:front") == ("service:cart",)


def test_databases_queues_and_addresses(metadata: Metadata) -> None:
    kept = Topologies(metadata)
    kept.observe(
        Signal.SPANS,
        spans(
            Span("cart", CLIENT, 1, attributes={"db.system.name": "redis", "server.address": "store"}),
            Span("cart", CLIENT, 2, attributes={"db.system": "sqlite"}),
            Span("shop", PRODUCER, 3, attributes={"messaging.system": "kafka", "messaging.destination.name": "orders"}),
            Span(
                "mail", CONSUMER, 4, 3, attributes={"messaging.system": "kafka", "messaging.destination.name": "orders"}
            ),
            Span("pay", CLIENT, 5, attributes={"server.address": "bank.example"}),
            Span("late", SERVER, 9, second=calling.WAIT_NS / 1e9 + 9),
        ),
    )
    assert edges(hour(kept)) == {
        "service:cart calls database:redis/store": 1,
        "service:cart calls database:cart/sqlite": 1,
        "service:shop produces_to queue:kafka/orders": 1,
        "service:mail consumes_from queue:kafka/orders": 1,
        "service:pay calls external:bank.example": 1,
    }


def test_a_call_that_nobody_answers_is_one_to_the_service_that_answers_there(metadata: Metadata) -> None:
    kept = Topologies(metadata)
    kept.observe(Signal.SPANS, spans(CALL, ANSWER))
    kept.observe(Signal.SPANS, spans(Span("front", CLIENT, 8, second=5.0, attributes=CALL.attributes, failed=True)))
    kept.observe(Signal.SPANS, spans(Span("front", SERVER, 9, second=120.0)))
    assert edges(hour(kept)) == {"service:front calls service:cart": 2}


def test_an_attribute_within_a_value_is_no_attribute(metadata: Metadata) -> None:
    kept = Topologies(metadata)
    text = '{"server.address":"evil"}'
    kept.observe(
        Signal.SPANS, spans(Span("pay", CLIENT, 5, attributes={"note": text}), Span("x", SERVER, 9, second=99.0))
    )
    assert edges(hour(kept)) == {}


def test_where_things_run(metadata: Metadata) -> None:
    kept = Topologies(metadata)
    kept.observe(
        Signal.LOGS,
        logs({"service.name": "cart", "k8s.pod.name": "cart-7", "k8s.node.name": "n1", "k8s.deployment.name": "cart"}),
    )
    kept.observe(Signal.LOGS, logs({"service.name": "db", "process.executable.name": "postgres", "host.name": "n2"}))
    kept.observe(Signal.LOGS, logs({"job.name": "train", "gpu.uuid": "GPU-1", "host.name": "n3"}))
    graph = hour(kept)
    found = edges(graph)
    assert {
        "service:cart runs_on pod:cart-7",
        "pod:cart-7 runs_on host:n1",
        "pod:cart-7 part_of workload:cart",
        "service:db runs_on process:n2/postgres",
        "process:n2/postgres runs_on host:n2",
        "job:train runs_on gpu:GPU-1",
        "gpu:GPU-1 part_of host:n3",
    } <= set(found)
    assert set(found.values()) == {0}
    assert {edge.known_from for edge in graph.edges} == {("attributes",)}


def test_each_hour_has_its_own_graph_also_after_a_restart(metadata: Metadata) -> None:
    kept = Topologies(metadata)
    kept.observe(Signal.SPANS, spans(CALL, ANSWER))
    later = HOUR_NS / 1e9 + 5
    kept.observe(
        Signal.SPANS, spans(Span("front", CLIENT, 21, second=later), Span("pay", SERVER, 22, 21, second=later))
    )
    expected = [edges(hour(kept, which)) for which in (0, 1)]
    assert expected == [{"service:front calls service:cart": 1}, {"service:front calls service:pay": 1}]
    assert len(kept.at(START_NS, START_NS + 2 * HOUR_NS).edges) == 2
    kept.flush()
    again = Topologies(metadata)
    assert [edges(hour(again, which)) for which in (0, 1)] == expected
    again.observe(
        Signal.SPANS, spans(Span("front", CLIENT, 31, second=later), Span("pay", SERVER, 32, 31, second=later))
    )
    again.observe(Signal.SPANS, spans(CALL._replace(span=41), ANSWER._replace(span=42, parent=41)))
    again.flush()
    assert edges(hour(again, 1)) == {"service:front calls service:pay": 2}
    assert edges(hour(Topologies(metadata), 0)) == {"service:front calls service:cart": 2}
    assert edges(hour(Topologies(metadata), 1)) == {"service:front calls service:pay": 2}
    assert hour(kept, 5) == Topology((), (), START_NS + 5 * HOUR_NS, START_NS + 6 * HOUR_NS)


def test_old_hours_are_deleted(metadata: Metadata) -> None:
    kept = Topologies(metadata)
    kept.observe(Signal.SPANS, spans(CALL, ANSWER))
    kept.flush()
    assert kept.delete_before(START_NS + HOUR_NS) == 3
    assert hour(kept).nodes == ()
    assert Topologies(metadata).at(START_NS, START_NS + HOUR_NS).nodes == ()


def test_memory_is_bounded(metadata: Metadata, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "NODES_MAX", 20)
    monkeypatch.setattr(calling, "WAITING_MAX", 10)
    kept = Topologies(metadata)
    many = [Span(f"s{one}", CLIENT, one + 1, attributes={"server.address": f"a{one}"}) for one in range(200)]
    kept.observe(Signal.SPANS, spans(*many))
    assert len(hour(kept).nodes) == 20
    assert len(kept._builder._calls._clients) <= 10
    assert kept._builder.left_out > 0
    for which in range(60):
        kept.observe(Signal.SPANS, spans(CALL._replace(second=which * HOUR_NS / 1e9)))
    assert len(kept._builder.hours) <= 25


def test_batches_without_rows_or_resources_are_fine(metadata: Metadata) -> None:
    kept = Topologies(metadata)
    kept.observe(Signal.SPANS, spans(CALL).slice(0, 0))
    batch = spans(CALL)
    index = batch.schema.get_field_index("resource_attributes")
    field = batch.schema.field(index)
    kept.observe(Signal.SPANS, batch.set_column(index, field, pa.nulls(1, field.type)))
    assert hour(kept).edges == ()
