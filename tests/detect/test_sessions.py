"""Sessions with what few have, and without what all have by their age."""

from __future__ import annotations

import numpy as np

from watchkeeper.detect.sessions import RARE_SCORE, SessionProfile, Sessions, gather

BEGIN, WORK, END, FAULT, NEW = 1, 2, 3, 4, 5


def lines(kinds: list[list[int]], start_s: float = 0.0, step_s: float = 10.0) -> Sessions:
    """Give sessions of one template a second, a session every `step_s`."""
    told = [
        (number, template, start_s + number * step_s + at)
        for number, templates in enumerate(kinds)
        for at, template in enumerate(templates)
    ]
    session, template, time_s = (np.array(column) for column in zip(*told, strict=True))
    return gather(session, template, time_s.astype(np.float64))


TRAIN = lines(
    [[BEGIN, WORK, END]] * 480 + [[BEGIN, WORK]] * 5 + [[BEGIN, WORK, FAULT, END]] * 5 + [[BEGIN, WORK, END]] * 10
)
PROFILE = SessionProfile.learn(TRAIN, now_s=10_000.0)


def test_usual_sessions_are_not_told() -> None:
    assert (PROFILE.score(lines([[BEGIN, WORK, END]] * 3), now_s=1000.0) < RARE_SCORE).all()


def test_a_rare_a_new_and_a_missing_template_are_told() -> None:
    odd = lines([[BEGIN, WORK, FAULT, END], [BEGIN, NEW, WORK, END], [BEGIN, WORK], [BEGIN, WORK, END]])
    rare, new, missing, usual = PROFILE.score(odd, now_s=1000.0)
    assert new > rare > RARE_SCORE > usual
    assert missing > RARE_SCORE


def test_a_young_session_does_not_lack_what_is_still_to_come() -> None:
    young = lines([[BEGIN, WORK]], start_s=100.0)
    assert PROFILE.score(young, now_s=101.0)[0] < RARE_SCORE
    assert PROFILE.score(young, now_s=160.0)[0] > RARE_SCORE


def test_lines_after_now_are_not_looked_at() -> None:
    later = lines([[BEGIN, WORK, FAULT, END]], start_s=100.0)
    assert PROFILE.score(later, now_s=101.0)[0] < RARE_SCORE
    early = SessionProfile.learn(TRAIN, now_s=1000.0)
    assert early.sessions == 101
    assert early.has[list(early.templates).index(FAULT)] < 0.01


def test_a_profile_of_nothing_finds_everything_new() -> None:
    nothing = gather(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    profile = SessionProfile.learn(nothing, now_s=0.0)
    assert profile.score(lines([[BEGIN]]), now_s=5.0).shape == (1,)
