"""Continuations that were lost: which, since when, and what does not count as a loss."""

from dataclasses import replace

import numpy as np
from tests.diagnose.traced_shop import CART, FRONT, NODES, ONSET, START, UNTIL, S, Shop, shop

from watchkeeper.diagnose.rank.events import EventSupportRanker, lost_steps
from watchkeeper.diagnose.window import EventCounts, IncidentWindow


def test_a_shop_as_usual_loses_nothing() -> None:
    assert lost_steps(shop().window()) == []
    assert EventSupportRanker().rank(shop().window()).abstains


def test_a_line_that_no_longer_follows_is_lost_and_what_comes_instead_is_told() -> None:
    step, *_ = lost_steps(shop(lines=("read cart", "cart failed")).window())
    assert (step.node, step.name) == (CART, "read cart → cart read")
    assert (step.share_before, step.share_during) == (1.0, 0.0)
    assert step.instead[0].event == "cart failed"
    assert step.instead[0].failed == 1.0


def test_more_or_less_traffic_of_the_same_kind_loses_nothing() -> None:
    made = Shop()
    for second in range(600):
        made.request(second)
    for second in range(600, 780, 9):
        made.request(second)
    assert lost_steps(made.window()) == []


def test_what_varied_before_is_not_lost() -> None:
    made = Shop()
    for second in range(780):
        quiet = second // 60 % 3 == 0 if second < 600 else True
        made.request(second, lines=("read cart",) if quiet and second % 2 else ("read cart", "cart read"))
    assert all(step.score < 1.0 for step in lost_steps(made.window()))


def test_an_onset_told_a_minute_late_still_shows_the_loss() -> None:
    window = shop(lines=("read cart",)).window()
    late = replace(window, onset_unix_ns=window.onset_unix_ns + 60 * S)
    assert lost_steps(late)[0].name == "read cart → cart read"


def test_the_order_of_rows_does_not_matter() -> None:
    made = shop(lines=("read cart",))
    assert lost_steps(made.window()) == lost_steps(made.window(order=-1))


def counts(kind: str, rows: dict[tuple[str, str], tuple[int, int]], errors: tuple[int, int] = (0, 0)) -> IncidentWindow:
    starts = START + 60 * S * np.arange(13, dtype=np.int64)
    before = starts < ONSET
    table = np.array([np.where(before, *levels) for levels in rows.values()], np.int64)
    failed = np.zeros_like(table)
    failed[0] = np.where(before, *errors)
    nodes, subjects = zip(*rows, strict=True)
    events = EventCounts(kind, nodes, subjects, table, failed, starts, 60)
    return IncidentWindow(START, ONSET, UNTIL, NODES, events=(events,))


def test_without_spans_a_template_that_vanishes_is_lost() -> None:
    rows = {(CART, "cart read"): (30, 0), (CART, "read cart"): (30, 60), (FRONT, "served"): (30, 30)}
    (step,) = lost_steps(counts("log", rows))
    assert (step.node, step.expected) == (CART, "cart read")
    assert step.instead[0].event == "read cart"


def test_an_operation_that_fails_has_lost_its_success() -> None:
    rows = {(CART, "Cart/Get"): (50, 50), (FRONT, "GET /"): (50, 50)}
    (step,) = lost_steps(counts("span", rows, errors=(1, 40)))
    assert (step.node, step.first, step.expected) == (CART, "Cart/Get start", "success")
    assert step.instead[0].event == "failure"


def test_too_few_happenings_say_nothing() -> None:
    rows = {(CART, "a"): (1, 0), (CART, "b"): (0, 0)}
    window = counts("log", rows)
    assert lost_steps(replace(window, until_unix_ns=ONSET + 60 * S)) == []
