"""Time that was added: told where it was made."""

from dataclasses import replace

from tests.diagnose.traced_shop import CART, FRONT, ONSET, STORE, shop

from watchkeeper.diagnose.rank.gaps import GapRanker, SelfTimeRanker, TraceLatencyRanker, rises
from watchkeeper.diagnose.window import EdgeGap


def test_nothing_rises_in_a_shop_as_usual() -> None:
    window = shop().window()
    assert not any(one.is_risen for kind in ("self", "wait", "span") for one in rises(window, kind))
    assert GapRanker().rank(window).abstains


def test_slow_work_is_told_at_the_operation_that_does_it() -> None:
    window = shop(own_ms=200).window()
    assert [(one.node, one.subject) for one in rises(window, "self") if one.is_risen] == [(CART, "Cart/Get")]
    assert SelfTimeRanker().rank(window).nodes()[0] == CART
    assert FRONT in TraceLatencyRanker().rank(window).nodes()[:2]


def test_a_slow_way_is_told_between_caller_and_callee() -> None:
    window = shop(wait_ms=300).window()
    (risen,) = [one for one in rises(window, "wait") if one.is_risen]
    assert (risen.caller, risen.node) == (FRONT, CART)
    assert not any(one.is_risen for one in rises(window, "self"))
    assert GapRanker().rank(window).nodes()[0] == CART


def test_gaps_stand_in_where_waits_were_not_counted() -> None:
    window = shop().window()
    gaps = (EdgeGap(FRONT, CART, 0.004, 0.5, 100, 50), EdgeGap(CART, STORE, 0.002, 0.002, 100, 50))
    bare = replace(window, events=(), gaps=gaps)
    assert [(one.node, one.is_risen) for one in rises(bare, "wait")] == [(CART, True), (STORE, False)]
    assert bare.onset_unix_ns == ONSET
