"""The catalogue and the chooser: typed orders, refusals, and abstention."""

from __future__ import annotations

from pathlib import Path

import pytest

from watchkeeper.remedy.catalogue import CatalogueError, Order, load_catalogue
from watchkeeper.remedy.choose import Named, propose

SHOP = Path(__file__).parents[2] / "examples" / "shop" / "actions.toml"
FIELDS = {"python": "python3", "folder": "/srv/a b"}


def test_an_order_becomes_words_without_a_shell():
    argv = load_catalogue(SHOP).argv(Order("restart-process", "redis"), FIELDS)
    assert argv == ["python3", "-m", "shop", "restart", "redis", "--folder", "/srv/a b"]


@pytest.mark.parametrize(
    "order", [Order("restart-process", "redis; reboot"), Order("restart-process", "sshd"), Order("format", "redis")]
)
def test_what_the_catalogue_does_not_list_is_refused(order):
    with pytest.raises(CatalogueError):
        load_catalogue(SHOP).argv(order, FIELDS)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ('risk = "reversible"', 'risk = "none"'),
        ("schema_version = 1", "schema_version = 9"),
        ('argv = ["{python}", "-m", "shop", "rollback"', 'argv = ["{target}", "-m", "shop", "rollback"'),
        ('name = "roll-back"', 'name = "restart-process"'),
        ("after_change = true", "sudo = true"),
    ],
)
def test_a_catalogue_that_is_wrong_is_refused(tmp_path, change, told):
    text = SHOP.read_text(encoding="utf-8")
    assert change in text
    path = tmp_path / "actions.toml"
    path.write_text(text.replace(change, told), encoding="utf-8")
    with pytest.raises(CatalogueError):
        load_catalogue(path)


@pytest.mark.parametrize(
    ("named", "order"),
    [
        (Named("service:cart", confidence=0.6), ("restart-process", "cart")),
        (Named("database:cart/redis", confidence=0.6), ("restart-process", "redis")),
        (Named("service:cart", confidence=0.6, changed_s={"service:cart": 5.0}), ("roll-back", "cart")),
        (Named("service:cart", confidence=0.6, changed_s={"service:cart": 5_000.0}), ("restart-process", "cart")),
        (Named("service:cart", confidence=0.6, changed_s={"service:ad": 5.0}), ("restart-process", "cart")),
        (Named("service:redis", confidence=0.6, changed_s={"service:redis": 5.0}), ("restart-process", "redis")),
        (Named(""), None),
        (Named("service:cart", confidence=0.05), None),
        (Named("service:cart", confidence=0.6, abstains=True), None),
        (Named("external:bank", confidence=0.9), None),
        (Named("service:unheard", confidence=0.9), None),
    ],
)
def test_what_is_proposed(named, order):
    proposal = propose(named, load_catalogue(SHOP))
    assert (proposal.order and (proposal.order.action, proposal.order.target)) == order
    assert proposal.why
