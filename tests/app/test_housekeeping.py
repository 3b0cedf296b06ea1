"""Housekeeping: tasks at their intervals; a failing one is told and tried again."""

from watchkeeper.app.housekeeping import Housekeeping, Task


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_tasks_run_when_their_time_has_come() -> None:
    clock, runs = Clock(), []
    keeping = Housekeeping(
        [Task("often", 1.0, lambda: runs.append("often")), Task("seldom", 10.0, lambda: runs.append("seldom"))],
        clock=clock,
    )
    for second in range(1, 11):
        clock.now_s = second
        keeping.run_due()
    assert runs == ["often"] * 10 + ["seldom"]


def test_a_failure_is_a_problem_until_it_succeeds_again() -> None:
    clock, fail = Clock(), [True]

    def run() -> None:
        if fail[0]:
            raise OSError("the disk is full")

    keeping = Housekeeping([Task("retention", 1.0, run)], clock=clock)
    clock.now_s = 1.0
    keeping.run_due()
    assert keeping.problems() == ["retention: OSError: the disk is full"]
    fail[0] = False
    clock.now_s = 2.0
    keeping.run_due()
    assert keeping.problems() == []


def test_stop_ends_the_thread() -> None:
    keeping = Housekeeping([Task("never", 3600.0, lambda: None)])
    keeping.start()
    keeping.stop()
    assert not keeping._thread.is_alive()
