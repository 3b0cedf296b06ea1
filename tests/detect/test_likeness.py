"""Templates that say the same in other words."""

from __future__ import annotations

import pytest

from watchkeeper.detect import likeness
from watchkeeper.detect.likeness import Likeness

TEXTS = {
    1: "<*> torus receiver <*> input pipe error(s) (dcr <*>) detected and corrected",
    2: "<*> torus receiver <*> input pipe error(s) (dcr <*>) detected and corrected over <*> seconds",
    3: "kernel terminated for reason <*>",
    4: "<*> <*>",
    5: "loaded <*> entries of the cache",
    6: "LOADED <*> ENTRIES OF THE CACHES",
}


def anyone(template: int) -> bool:
    return template > 0


@pytest.fixture
def known() -> Likeness:
    index = Likeness(lambda template: TEXTS.get(template, ""))
    for template in (1, 5):
        index.add(template)
    return index


def test_a_rewording_is_like_and_another_message_is_not(known: Likeness) -> None:
    assert known.nearest(2, anyone) > 0.5
    assert known.nearest(3, anyone) == 0.0


def test_only_eligible_templates_vouch_and_none_for_itself(known: Likeness) -> None:
    assert known.nearest(2, lambda template: template != 1) == 0.0
    known.add(3)
    assert known.nearest(3, anyone) == 0.0


def test_the_same_words_are_as_like_as_can_be(known: Likeness) -> None:
    assert known.nearest(6, anyone) == pytest.approx(1.0)


def test_rare_words_weigh_more_than_frequent_ones() -> None:
    texts = {number: f"request handled by worker{chr(97 + number)}" for number in range(10)}
    texts |= {20: "request handled by nobody", 21: "ledger out of balance request", 22: "ledger out of balance"}
    index = Likeness(texts.__getitem__)
    for number in [*range(10), 21]:
        index.add(number)
    assert index.nearest(22, anyone) > index.nearest(20, anyone)


def test_templates_without_words_or_text_are_like_nothing(known: Likeness) -> None:
    known.add(4)
    assert known.nearest(4, anyone) == known.nearest(99, anyone) == 0.0


def test_the_oldest_templates_are_forgotten(known: Likeness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likeness, "TEMPLATES_MAX", 2)
    known.add(3)
    assert known.nearest(2, anyone) == 0.0
    assert set(known._words) == {5, 3}
    assert "torus" not in known._having


def test_candidates_are_bounded_and_the_rarest_words_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likeness, "CANDIDATES_MAX", 3)
    texts = dict.fromkeys(range(100), "request handled") | {200: "request handled twice"}
    texts[201] = "twice handled request"
    index = Likeness(texts.__getitem__)
    for number in [*range(100), 200]:
        index.add(number)
    weighed: list[int] = []
    assert index.nearest(201, lambda template: weighed.append(template) is None) == pytest.approx(1.0)
    assert len(weighed) == 3
