"""Entities from resource attributes."""

from watchkeeper.signals.entity import Entity, entity_from_resource


def test_kubernetes_attributes_give_every_part() -> None:
    entity = entity_from_resource(
        {
            "service.name": "cart",
            "service.namespace": "shop",
            "k8s.cluster.name": "eu1",
            "k8s.namespace.name": "prod",
            "k8s.deployment.name": "cart",
            "k8s.pod.name": "cart-7f",
            "k8s.node.name": "n1",
            "host.name": "ignored",
        }
    )
    assert entity == Entity("eu1", "prod", "cart", "cart-7f", "n1", "", "shop/cart")
    assert entity.key == "service=shop/cart|pod=cart-7f|workload=cart|node=n1|namespace=prod|cluster=eu1"


def test_what_is_not_said_is_empty() -> None:
    assert entity_from_resource({}) == Entity()
    assert entity_from_resource({}).key == ""


def test_the_unknown_service_of_an_sdk_gives_way_to_a_better_name() -> None:
    said = {"service.name": "unknown_service", "process.executable.name": "trainer"}
    assert entity_from_resource(said).service == "trainer"
    assert entity_from_resource({"service.name": "unknown_service"}).service == "unknown_service"


def test_keys_of_different_entities_differ_even_with_separators_in_names() -> None:
    assert Entity(service="a|node=b").key != Entity(service="a", node="b").key
    assert Entity(service="100%").key == "service=100%25"


def test_values_that_are_not_text_are_written_as_text() -> None:
    assert entity_from_resource({"service.name": 7}).service == "7"
