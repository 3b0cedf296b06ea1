"""What is out of the ordinary in a session: lines that belong together, such as those of one request, block or job.

Enters: lines as (session, template, time). Leaves: a score a session: the greatest surprise among the templates that it
has though few sessions do, and those that it lacks though nearly all that old have them by then. Needs no labels and no
clean training data: what is rare is rare also when it is learned from. Knows no text. Not yet part of the log detector.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

RARE_SCORE = 1.3
CLEAN_SHARE = 0.005
PRESENT_BY_QUANTILE = 0.995

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Sessions(NamedTuple):
    """n sessions over k templates.

    templates: (k,) ids, sorted. starts_s: (n,) time of each one's first line. delays_s: (n, k) from there to the first
    line of each template, infinite where there is none.
    """

    templates: Ints
    starts_s: Floats
    delays_s: Floats


def gather(session: Ints, template: Ints, time_s: Floats) -> Sessions:
    """Gather lines into sessions. session: (m,) codes 0..n-1, each used. template: (m,) ids. time_s: (m,).

    >>> gather(np.array([0, 0, 1]), np.array([7, 9, 7]), np.array([1.0, 4.0, 5.0])).delays_s.tolist()
    [[0.0, 3.0], [0.0, inf]]
    """
    templates, column = np.unique(template, return_inverse=True)
    count = int(session.max()) + 1 if len(session) else 0
    starts = np.full(count, np.inf)
    np.minimum.at(starts, session, time_s)
    delays = np.full((count, len(templates)), np.inf)
    np.minimum.at(delays, (session, column), time_s - starts[session])
    return Sessions(templates, starts, delays)


@dataclass
class SessionProfile:
    """What sessions usually hold: learned once from a stretch of telemetry.

    templates: (k,) known. has: (k,) share of sessions with each. lacks: (k,) share, among those old enough, without it.
    old_enough_s: (k,) age by which nearly every session that will have the template has it. threshold: above it a score
    is out of the ordinary.
    """

    templates: Ints
    sessions: int
    has: Floats
    lacks: Floats
    old_enough_s: Floats
    threshold: float = RARE_SCORE

    @classmethod
    def learn(cls, sessions: Sessions, now_s: float, *, anomalous_share: float = 0.05) -> SessionProfile:
        """Learn from the lines of the sessions up to `now_s`; those after it are not looked at.

        anomalous_share: the greatest share of them, 0..1, that may be anomalous; 0 when they are known to be clean.
        The threshold is RARE_SCORE, or higher where more of them than that would pass it.
        """
        begun = sessions.starts_s <= now_s
        starts, delays = sessions.starts_s[begun], sessions.delays_s[begun]
        delays = np.where(starts[:, None] + delays <= now_s, delays, np.inf)
        count, ages = len(starts), now_s - starts
        present = np.isfinite(delays)
        old = np.full(delays.shape[1], np.inf)
        lacks = np.ones(delays.shape[1])
        for k in np.flatnonzero(present.any(axis=0)).tolist():
            old[k] = np.quantile(delays[present[:, k], k], PRESENT_BY_QUANTILE)
            mature = ages >= old[k]
            lacks[k] = (np.count_nonzero(delays[mature, k] > old[k]) + 0.5) / (np.count_nonzero(mature) + 1)
        has = (present.sum(axis=0) + 0.5) / (count + 1)
        profile = cls(sessions.templates, count, has, lacks, old)
        if count:
            scores = profile.score(Sessions(sessions.templates, starts, delays), now_s)
            share = max(anomalous_share, CLEAN_SHARE)
            profile.threshold = max(RARE_SCORE, float(np.quantile(scores, 1 - share)))
        return profile

    def score(self, sessions: Sessions, now_s: float) -> Floats:
        """Give each session's score (n,) by its lines up to `now_s`, >= 0; above `threshold` is out of the ordinary.

        The score is -log10 of the share of sessions that are like it in its most unusual template.
        """
        seen = np.where(sessions.starts_s[:, None] + sessions.delays_s <= now_s, sessions.delays_s, np.inf)
        present = np.isfinite(seen)
        place = np.searchsorted(self.templates, sessions.templates)
        place = np.minimum(place, max(0, len(self.templates) - 1))
        known = self.templates[place] == sessions.templates if len(self.templates) else np.zeros(len(place), bool)
        scores = np.zeros(len(sessions.starts_s))
        never = 0.5 / (self.sessions + 1)
        for k, at in enumerate(place.tolist()):
            share = self.has[at] if known[k] else never
            scores = np.where(present[:, k], np.maximum(scores, -np.log10(share)), scores)
        ages = now_s - sessions.starts_s
        column = {int(template): k for k, template in enumerate(sessions.templates)}
        for at, template in enumerate(self.templates.tolist()):
            without = ~present[:, column[template]] if template in column else np.ones(len(scores), bool)
            missing = without & (ages >= self.old_enough_s[at])
            scores = np.where(missing, np.maximum(scores, -np.log10(self.lacks[at])), scores)
        return np.maximum(scores, 0.0)
