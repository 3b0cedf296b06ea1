"""Log detectors over sessions: the product's two, and the lookup of unseen templates as the baseline.

Enters: SessionBlocks. Leaves: a score a session. session_profile is learned once; newcomer_watch scores each session
before it learns from it, in order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from watchkeeper.bench.base import Context, Example, ModelSpec
from watchkeeper.bench.forms import SessionBlock
from watchkeeper.detect.newcomers import NewcomerWatch
from watchkeeper.detect.sessions import SessionProfile, Sessions, gather


def joined(examples: Iterable[Example]) -> SessionBlock:
    """Give all blocks as one."""
    blocks = [example.given for example in examples]
    offsets = [np.zeros(1, np.int64)]
    for block in blocks:
        offsets.append(block.offsets[1:] + offsets[-1][-1])
    return SessionBlock(
        np.concatenate(offsets),
        np.concatenate([np.zeros(0, np.int64), *(block.templates for block in blocks)]),
        np.concatenate([np.zeros(0), *(block.times_s for block in blocks)]),
    )


def gathered(block: SessionBlock) -> Sessions:
    """Give a block as the product takes sessions."""
    return gather(block.sessions, block.templates, block.times_s)


class Profile:
    """`detect.sessions.SessionProfile`."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Learn from all lines up to the end of the training part."""
        facts = context.facts
        share = 0.0 if facts["clean"] else float(facts["budget"])
        self._profile = SessionProfile.learn(gathered(joined(examples)), facts["train_until_s"], anomalous_share=share)
        self._until_s = float(facts["until_s"])
        self.threshold = self._profile.threshold

    def answer(self, given: SessionBlock) -> Any:
        """Score by all lines of the session."""
        return self._profile.score(gathered(given), self._until_s)


class Newcomers:
    """`detect.newcomers.NewcomerWatch`."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Learn the sessions in order."""
        self._watch = NewcomerWatch()
        self._watch.train(list(_sets(joined(examples))))
        self.threshold = self._watch.threshold

    def answer(self, given: SessionBlock) -> Any:
        """Score each session, then learn from it."""
        return np.array([self._watch.take(each) for each in _sets(given)])


class UnseenTemplate:
    """Flags sessions with a template that the training part does not have."""

    threshold = 0.5

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Keep the templates."""
        self.known = np.unique(joined(examples).templates)

    def answer(self, given: SessionBlock) -> Any:
        """Give 1 or 0."""
        unseen = ~np.isin(given.templates, self.known)
        return (np.bincount(given.sessions, weights=unseen, minlength=len(given)) > 0).astype(np.float64)


def _sets(block: SessionBlock) -> Iterable[set[int]]:
    for begin, end in zip(block.offsets[:-1], block.offsets[1:], strict=True):
        yield set(block.templates[begin:end].tolist())


_FORM = ("sessions",)
MODELS = (
    ModelSpec("unseen_template", _FORM, UnseenTemplate, "lookup of templates never seen", trivial=True),
    ModelSpec(
        "session_profile",
        _FORM,
        Profile,
        "what sessions usually hold and lack",
        covers=("detect.sessions:SessionProfile",),
    ),
    ModelSpec(
        "newcomer_watch",
        _FORM,
        Newcomers,
        "events new to the stream, online",
        covers=("detect.newcomers:NewcomerWatch",),
    ),
)
