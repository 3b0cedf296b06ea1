"""The plan, and that compose.yaml and the Quadlet units in deploy/ say the same as it."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from watchkeeper.errors import HarnessError
from watchkeeper.harness.plan import CENTRE, IMAGES, LABEL, SHOP_PORT, SHOP_SERVICES, Plan, usual_ports

DEPLOY = Path(__file__).parents[2] / "deploy"


def test_every_service_of_the_shop_runs_once_and_is_known_to_the_others() -> None:
    for number in (1, 2, 3, 5):
        edges = tuple(f"edge-{index + 1}" for index in range(number))
        plan = Plan(edges=edges, ports=usual_ports(number))
        assert sorted(service for edge in edges for service in plan.part(edge)) == sorted(SHOP_SERVICES)
        for edge in edges:
            if not plan.part(edge):
                assert "SHOP_SERVICES" not in plan.environment(edge)
                continue
            told = dict(peer.split("=") for peer in plan.environment(edge)["SHOP_PEERS"].split(",") if peer)
            assert set(told) | set(plan.part(edge)) == set(SHOP_SERVICES)
            assert not set(told) & set(plan.part(edge))
            for service, url in told.items():
                host, port = url.removeprefix("https://").split(":")
                assert service in plan.part(host)
                assert int(port) == SHOP_PORT + SHOP_SERVICES.index(service)


def test_services_have_the_ports_that_the_shop_gives_them() -> None:
    text = (DEPLOY.parent / "examples" / "shop" / "shop" / "layout.py").read_text(encoding="utf-8")
    assert f"SERVICES = {SHOP_SERVICES!r}".replace("'", '"') in text


def test_a_plan_survives_being_written_and_a_change_changes_its_digest() -> None:
    plan = Plan(rate=3.0, settings={"logs_days_max": "2"})
    assert Plan.from_dict(plan.as_dict()) == plan
    digests = {each.digest(CENTRE, image) for each in (plan, Plan(rate=3.0)) for image in ("a", "b")}
    assert len(digests) == 4
    assert plan.digest("edge-1", "a") == Plan(rate=3.0).digest("edge-1", "a")
    with pytest.raises(HarnessError, match="there are centre, edge-1"):
        plan.container("edge-9")


def test_compose_says_the_same() -> None:
    plan, compose = Plan(), yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    assert set(compose["services"]) == set(plan.nodes)
    for node, service in compose["services"].items():
        kind = "centre" if node == CENTRE else "edge"
        assert service["image"] == IMAGES[kind]
        assert service["hostname"] == node
        assert service["environment"] == plan.environment(node)
        assert service["ports"] == [f"127.0.0.1:{host}:{inside}" for host, inside in plan.published(node).items()]
        assert service["mem_limit"] == (plan.centre_memory if node == CENTRE else plan.edge_memory)
        assert service["labels"] == {LABEL: plan.project}
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        names = [compose["volumes"][volume.split(":")[0]]["name"] for volume in service["volumes"]]
        assert names == [plan.volume(node), plan.certificates(node)]
    assert compose["networks"]["default"]["name"] == plan.project


def test_quadlet_says_the_same() -> None:
    plan = Plan()
    files = {file.stem.removeprefix("watchkeeper-") for file in (DEPLOY / "quadlet").glob("*.container")}
    assert files == set(plan.nodes)
    for node in plan.nodes:
        unit = read_unit(DEPLOY / "quadlet" / f"watchkeeper-{node}.container")["Container"]
        assert unit["Image"] == [IMAGES["centre" if node == CENTRE else "edge"]]
        assert (unit["ContainerName"], unit["HostName"]) == ([plan.container(node)], [node])
        assert dict(each.split("=", 1) for each in unit["Environment"]) == plan.environment(node)
        published = [f"127.0.0.1:{host}:{inside}" for host, inside in plan.published(node).items()]
        assert unit["PublishPort"] == published
        memory = plan.centre_memory if node == CENTRE else plan.edge_memory
        assert unit["PodmanArgs"] == [f"--network-alias={node}", f"--memory={memory}"]
        assert unit["Label"] == [f"{LABEL}={plan.project}"]
        assert (unit["ReadOnly"], unit["DropCapability"]) == (["true"], ["ALL"])
        volume = read_unit(DEPLOY / "quadlet" / f"watchkeeper-{node}-state.volume")["Volume"]
        assert volume["VolumeName"] == [plan.volume(node)]
    network = read_unit(DEPLOY / "quadlet" / "watchkeeper.network")["Network"]
    assert network["NetworkName"] == [plan.project]


def read_unit(file: Path) -> dict[str, dict[str, list[str]]]:
    """Read a unit of systemd, whose keys may repeat."""
    sections: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    section = ""
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            sections[section][key].append(value)
    return sections
