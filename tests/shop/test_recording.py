"""`watchkeeper bench record`: what is switched on, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from watchkeeper.bench.base import BenchError
from watchkeeper.bench.live import programs
from watchkeeper.bench.live.recorder import CATEGORIES, GONE, Course, Strike, chosen, record

KINDS = [
    {"kind": "latency", "services": ["catalogue", "frontend", "cart", "payment"]},
    {"kind": "error-rate", "services": ["payment", "frontend", "catalogue", "cart"]},
    {"kind": "dependency-down", "services": ["cart", "frontend", "catalogue", "payment"]},
    {"kind": "queue-jam", "services": ["checkout"]},
]


def test_the_first_round_strikes_the_usual_services_and_later_ones_others():
    first, second = chosen(KINDS, (), 2)[:4], chosen(KINDS, (), 2)[4:]
    assert [each.service for each in first] == ["catalogue", "payment", "cart", "checkout"]
    assert [each.service for each in second] == ["frontend", "catalogue", "payment", "checkout"]
    assert {each.round for each in second} == {1}
    assert chosen(KINDS, ("latency@cart",), 2) == [Strike("latency", "cart", 0), Strike("latency", "cart", 1)]


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("flood", "no fault 'flood'; it has latency"),
        ("queue-jam@cart", "does not fit 'cart'; it fits checkout"),
        ("dependency-down@frontend", "it fits cart, payment"),
    ],
)
def test_a_fault_that_the_shop_has_not_is_told(fault: str, why: str):
    with pytest.raises(BenchError, match=why):
        chosen(KINDS, (fault,), 1)


def test_every_kind_of_the_shop_has_a_category():
    from shop.faults import DEPENDENCIES
    from shop.faults import KINDS as OFFERED

    assert set(CATEGORIES) == set(OFFERED)
    assert set(GONE) <= set(DEPENDENCIES)


def test_what_cannot_be_recorded_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a file").touch()
    with pytest.raises(BenchError, match="is not empty"):
        record(tmp_path / "there", Course(), lambda _: None)
    with pytest.raises(BenchError, match="longer than the 15 s"):
        record(tmp_path / "short", Course(rest_s=10.0), lambda _: None)
    monkeypatch.setattr(programs, "SHOP", tmp_path / "nowhere")
    with pytest.raises(BenchError, match="example shop is not at"):
        record(tmp_path / "new", Course(), lambda _: None)
    assert not [*(tmp_path / "new").glob("*")]
