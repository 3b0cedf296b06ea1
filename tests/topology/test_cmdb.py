"""The CMDB: files read, names matched, what is told of it; and the generator's noise."""

from __future__ import annotations

from pathlib import Path

import pytest

from watchkeeper.errors import SettingError
from watchkeeper.signals.topology import Edge, EdgeKind, Node, NodeKind, Topology
from watchkeeper.topology.cmdb import Cmdb, CmdbEntry, Names, parse, read_cmdb
from watchkeeper.topology.generate import DROPPED, generate_cmdb
from watchkeeper.topology.merge import merged

NOW_NS = 1_763_700_000 * 10**9
OBSERVED = Topology(
    tuple(Node(NodeKind.SERVICE, name) for name in ("cart-service", "payment-service", "stock-api")),
    (Edge("service:cart-service", "service:stock-api", EdgeKind.CALLS, 7),),
)


def entry(name: str, *dependencies: str, owner: str = "team-a", updated_ns: int = NOW_NS) -> CmdbEntry:
    return CmdbEntry(name, owner=owner, dependencies=dependencies, last_updated_unix_ns=updated_ns)


def test_csv_and_json_are_the_same(tmp_path: Path) -> None:
    table = tmp_path / "cmdb.csv"
    table.write_text(
        "service_name,domain,owner,language,config_path,system,deployment_env,dependencies,last_updated\n"
        'cart,shop,ann,go,/etc/cart.yaml,k8s,prod,"stock; redis",2025-11-01T00:00:00Z\n',
        encoding="utf-8",
    )
    document = tmp_path / "cmdb.json"
    document.write_text(
        '[{"service_name":"cart","domain":"shop","owner":"ann","language":"go","config_path":"/etc/cart.yaml",'
        '"system":"k8s","deployment_env":"prod","dependencies":["stock","redis"],"last_updated":"2025-11-01"}]',
        encoding="utf-8",
    )
    assert read_cmdb(table) == read_cmdb(document)
    [one] = read_cmdb(table).entries
    assert one.dependencies == ("stock", "redis")
    assert one.last_updated_unix_ns == 1_761_955_200 * 10**9


@pytest.mark.parametrize(("name", "text"), [("a.json", "[1]"), ("a.json", "{"), ("a.json", '{"services": 3}')])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(SettingError, match="CMDB file"):
        read_cmdb(tmp_path / name)
    with pytest.raises(SettingError, match="cmdb_file"):
        read_cmdb(tmp_path / "absent.csv")


def test_rows_without_a_name_or_twice_there_are_told() -> None:
    found = parse([{"service_name": "a", "last_updated": "soon"}, {"owner": "x"}, {"service_name": "a"}])
    assert [one.service_name for one in found.entries] == ["a"]
    assert found.entries[0].last_updated_unix_ns == 0
    assert len(found.problems) == 2


def test_names() -> None:
    names = Names(["cart-service", "card-service", "payment-service", "stock-api"])
    assert names.match("paymnet_service").name == "payment-service"  # type: ignore[union-attr]
    assert names.match("Payment.SVC").name == "payment-service"  # type: ignore[union-attr]
    assert names.match("cart-service").likeness == 1.0  # type: ignore[union-attr]
    assert names.match("carx-service") is None
    assert names.match("weather-station") is None
    assert names.match("") is None
    assert Names([]).match("cart") is None


def test_what_is_listed_is_beside_what_was_seen_and_never_in_its_place() -> None:
    cmdb = Cmdb((entry("cart_servcie", "payment-service"), entry("stock-api", owner="unknown"), entry("old-thing")))
    found = merged(OBSERVED, cmdb, now_unix_ns=NOW_NS)
    assert {(edge.source, edge.target, edge.count, edge.known_from) for edge in found.topology.edges} == {
        ("service:cart-service", "service:stock-api", 7, ("spans",)),
        ("service:cart-service", "service:payment-service", 0, ("cmdb",)),
    }
    assert found.topology.by_id["service:old-thing"].attributes["seen"] is False
    assert found.topology.by_id["service:cart-service"].attributes["owner"] == "team-a"
    assert "owner" not in found.topology.by_id["service:stock-api"].attributes
    told = [problem.partition(":")[0] for problem in found.problems]
    assert sorted(told) == ["misspelt", "not listed", "owner unknown", "unknown"]


def test_both_sources_of_an_edge_are_named_and_stale_entries_told() -> None:
    cmdb = Cmdb((entry("cart-service", "stock-api", "payment-service", updated_ns=NOW_NS - 400 * 86_400 * 10**9),))
    found = merged(OBSERVED, cmdb, now_unix_ns=NOW_NS)
    known = {edge.target: edge for edge in found.topology.edges}
    assert known["service:stock-api"].known_from == ("spans", "cmdb")
    assert known["service:stock-api"].count == 7
    assert known["service:payment-service"].attributes == {"cmdb.stale": True}
    assert any(problem.startswith("stale") for problem in found.problems)


def test_a_name_near_to_two_is_told_and_not_guessed() -> None:
    observed = Topology((Node(NodeKind.SERVICE, "cart-service"), Node(NodeKind.SERVICE, "card-service")))
    found = merged(observed, Cmdb((entry("carx-service"),)), now_unix_ns=NOW_NS)
    assert any(problem.startswith("ambiguous") for problem in found.problems)
    assert "owner" not in found.topology.by_id["service:cart-service"].attributes


def test_without_a_cmdb_nothing_changes() -> None:
    assert merged(OBSERVED, Cmdb(), now_unix_ns=NOW_NS).topology is OBSERVED


def test_the_generator_has_the_noise_that_it_tells_of() -> None:
    made = generate_cmdb(200, 5)
    assert made == generate_cmdb(200, 5)
    assert made != generate_cmdb(200, 6)
    assert len(set(made.names)) == len(made.entries) == 200
    assert len(made.misspelt) == 20
    assert len(made.unknown_owners) == len(made.stale) == 10
    calls = sum(len(each) for each in made.dependencies.values())
    assert len(made.dropped) == round(DROPPED * calls)
    listed = sum(len(one.dependencies) for one in made.entries)
    assert listed == calls - len(made.dropped)
    assert sum(not one.owner_known for one in made.entries) == 10
    with pytest.raises(ValueError, match="cannot be made"):
        generate_cmdb(0, 1)


def test_most_misspelt_names_are_found_and_few_wrong_ones_taken() -> None:
    made = generate_cmdb(200, 7)
    names = Names(made.names)
    near = [name in [one.name for one in names.nearest(written)] for written, name in made.misspelt.items()]
    assert sum(near) >= 0.9 * len(near)
    taken = [(names.match(written), name) for written, name in made.misspelt.items()]
    right = [match.name == name for match, name in taken if match is not None]
    assert sum(right) >= 0.9 * len(right) > 0
