"""The bound on requests in flight."""

from __future__ import annotations

import pytest

from watchkeeper.errors import QueueFull
from watchkeeper.receive.budget import Budget


def test_what_would_pass_the_limit_is_refused_and_told_when_to_come_again() -> None:
    budget = Budget(100, 1.5)
    first, second = budget.lease(), budget.lease()
    first.grow(60)
    with pytest.raises(QueueFull, match="queue_bytes_max") as refused:
        second.grow(41)
    assert refused.value.retry_after_s == 1.5
    second.grow(40)
    assert budget.held == 100


def test_one_alone_may_pass_the_limit() -> None:
    budget = Budget(100, 1)
    alone = budget.lease()
    alone.grow(70)
    alone.grow(70)
    with pytest.raises(QueueFull):
        budget.lease().grow(1)
    alone.close()
    budget.lease().grow(1)


def test_closing_gives_everything_back_once_and_ends_holding() -> None:
    budget = Budget(100, 1)
    lease, other = budget.lease(), budget.lease()
    other.grow(5)
    lease.grow(10)
    lease.close()
    lease.close()
    lease.grow(10)
    assert budget.held == 5
