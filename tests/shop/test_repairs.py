"""What mends the shop, carried out as the catalogue of actions says it: real processes, no shell."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from shop_run import SHOP, RunningShop

from watchkeeper.remedy.catalogue import Order, load_catalogue

CARD = "4000 0000 0000 1001"


def carried_out(shop: RunningShop, action: str, target: str) -> int:
    fields = {"python": sys.executable, "folder": str(shop.folder)}
    argv = load_catalogue(SHOP / "actions.toml").argv(Order(action, target), fields)
    return subprocess.run(argv, cwd=SHOP, capture_output=True, timeout=30, check=False).returncode


def buy(shop: RunningShop) -> int:
    with closing(sqlite3.connect(shop.folder / "stock.db")) as stock:
        (sku,) = stock.execute("SELECT sku FROM stock ORDER BY pieces DESC, sku LIMIT 1").fetchone()
    assert shop.user.post("/cart/7", json={"sku": sku, "quantity": 1}).status_code == 201
    return shop.user.post("/checkout/7", json={"card": CARD}).status_code


def test_a_bad_deploy_is_mended_by_going_back_and_not_by_a_restart(shop: RunningShop) -> None:
    assert carried_out(shop, "roll-back", "payment") == 2  # there is nothing to go back to
    shop.fault_on("bad-deploy", "payment", share=1.0)
    assert carried_out(shop, "restart-process", "payment") == 0
    assert shop.status()["services"]["payment"]["version"] == "1.5.0"
    assert buy(shop) == 502
    before = shop.status()["processes"]
    assert carried_out(shop, "roll-back", "payment") == 0
    assert shop.status()["services"]["payment"]["version"] == "1.4.0"
    assert buy(shop) == 201
    after = shop.status()["processes"]
    assert {name for name in before if before[name] != after.get(name)} == {"payment"}
    shop.fault_off()
    assert shop.status()["processes"] == after


def test_a_fault_in_memory_is_mended_by_a_restart(shop: RunningShop) -> None:
    shop.fault_on("error-rate", "payment", share=1.0)
    assert buy(shop) == 502
    assert carried_out(shop, "restart-process", "payment") == 0
    assert buy(shop) == 201
    shop.fault_off()


def test_redis_that_is_down_is_started_again_and_only_once(shop: RunningShop) -> None:
    if shop.status()["carts"] != "redis":
        pytest.skip("redis-server is not installed")
    shop.fault_on("dependency-down", "cart")
    assert "redis" not in shop.status()["processes"]
    assert carried_out(shop, "restart-process", "redis") == 0
    mended = shop.status()["processes"]["redis"]
    assert buy(shop) == 201
    shop.fault_off()
    assert shop.status()["processes"]["redis"] == mended


def test_what_the_shop_does_not_run_cannot_be_restarted(shop: RunningShop) -> None:
    assert shop.control.post("/processes/sshd/restart").status_code == 404
    assert shop.control.post("/services/cart/rollback").status_code == 409
