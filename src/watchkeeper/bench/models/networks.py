"""The networks of `learn`, brought to the forms: autoencoder, next event, masked tokens, forecasts.

Enters: what the forms give; lines are known by the fact `texts`. Leaves: scores. Training tells its progress to the
harness. Needs the extra `learning`; a GPU is used where there is one. `n`-fold sessions are scored once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

import numpy as np
import numpy.typing as npt

from watchkeeper.bench.base import Context, Example, ModelSpec
from watchkeeper.bench.forms import SessionBlock
from watchkeeper.bench.models.log_sessions import joined
from watchkeeper.bench.models.vectors import Rows, Scorer
from watchkeeper.bench.progress import tell
from watchkeeper.bench.trainings import shared
from watchkeeper.learn.autoencoder import Autoencoder
from watchkeeper.learn.forecast import SeriesForecast
from watchkeeper.learn.masked_lines import MaskedLines
from watchkeeper.learn.next_event import NextEvent

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
NEEDS = ("torch", "onnx", "onnxruntime")
NEVER_SEEN = 2.0
"""The share of missed tokens of a line that no text is known of: above every share."""


def bottleneck(rows: Floats, seed: int) -> Scorer:
    """Give an autoencoder of rows with a quarter of their columns in the middle, 64 at most."""
    distinct, counts = np.unique(rows.astype(np.float32), axis=0, return_counts=True)
    width = min(64, max(2, rows.shape[1] // 4))
    return Autoencoder.learn(
        distinct.astype(np.float64),
        counts=counts.astype(np.float64),
        width=width,
        standardise="not",
        seed=seed,
        told=tell,
    )


class Next:
    """`learn.next_event.NextEvent`."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Train."""
        block = joined(examples)
        learn = partial(NextEvent.learn, sequences(block), seed=context.seed, told=tell)
        self.model = shared(NextEvent, learn, block.offsets, block.templates, context.seed)

    def answer(self, given: SessionBlock) -> Floats:
        """Score each session by its greatest surprise."""
        distinct, which = unlike(given)
        return self.model.score(distinct)[which]


class Masked:
    """`learn.masked_lines.MaskedLines`: a session is as strange as its strangest line."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Train on the lines of the training part."""
        lines, counts = self._lines(examples, context)
        learn = partial(MaskedLines.learn, lines, counts, seed=context.seed, told=tell)
        self.model = shared(MaskedLines, learn, lines, counts, context.seed)

    def resume(self, examples: Iterable[Example], context: Context) -> None:
        """Go on learning from lines of another system."""
        lines, counts = self._lines(examples, context)
        resume = partial(self.model.resume, lines, counts, seed=context.seed, told=tell)
        self.model = shared(MaskedLines, resume, self.model.onnx(), lines, counts, context.seed)

    def answer(self, given: SessionBlock) -> Floats:
        """Score sessions."""
        templates, which = np.unique(given.templates, return_inverse=True)
        ahead = [each for each in templates.tolist() if each not in self._told]
        judged = getattr(self.model.judge([self._texts.get(each, "") for each in ahead]), self._kind)
        for each, score in zip(ahead, judged.tolist(), strict=True):
            self._told[each] = score if each in self._texts else NEVER_SEEN
        each_line = np.array([self._told[each] for each in templates.tolist()])[which]
        scores = np.zeros(len(given))
        np.maximum.at(scores, given.sessions, each_line)
        return scores

    def _lines(self, examples: Iterable[Example], context: Context) -> tuple[list[str], Floats]:
        self._texts: Mapping[int, str] = context.facts["texts"]
        self._told: dict[int, float] = {}
        templates, counts = np.unique(joined(examples).templates, return_counts=True)
        known = [(self._texts[each], count) for each, count in zip(templates.tolist(), counts, strict=True)]
        return [text for text, _ in known], np.array([count for _, count in known], np.float64)


class Forecast:
    """`learn.forecast.SeriesForecast`."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Train on the steps of the train part."""
        steps = np.concatenate([example.given for example in examples])
        self.model = SeriesForecast.learn(np.nan_to_num(steps), kind=self._kind, seed=context.seed, told=tell)

    def answer(self, given: Floats) -> Floats:
        """Score the next steps."""
        return self.model.score(given)


def sequences(block: SessionBlock) -> list[Ints]:
    """Give the templates of each session."""
    return np.split(block.templates, block.offsets[1:-1])


def unlike(block: SessionBlock) -> tuple[list[Ints], Ints]:
    """Give the distinct sessions, and for each session (n,) which of them it is."""
    found: dict[bytes, int] = {}
    distinct: list[Ints] = []
    which = np.zeros(len(block), np.int64)
    for at, one in enumerate(sequences(block)):
        key = one.tobytes()
        if key not in found:
            found[key] = len(distinct)
            distinct.append(one)
        which[at] = found[key]
    return distinct, which


_SESSIONS, _SERIES = ("sessions",), ("series",)
MODELS = (
    ModelSpec(
        "autoencoder",
        ("sessions", "series", "vectors"),
        partial(Rows, bottleneck),
        "rows told again through a narrow layer",
        random=True,
        needs=NEEDS,
        quick=False,
    ),
    ModelSpec(
        "next_event_lstm",
        _SESSIONS,
        Next,
        "surprise of a line after the last ten, LSTM (DeepLog)",
        random=True,
        needs=NEEDS,
        students=("dense_counts",),
        quick=False,
        parameters={"window": 10, "width": 64, "layers": 2},
    ),
    *(
        ModelSpec(
            name,
            _SESSIONS,
            partial(Masked, kind),
            about,
            random=True,
            needs=NEEDS,
            resumes=True,
            students=("dense_counts",),
            quick=False,
            parameters={"layers": 1, "width": 256, "heads": 8, "vocabulary": 10_000},
        )
        for name, kind, about in (
            ("masked_lines", "missed", "share of masked tokens not among the best 50, Transformer (Opni)"),
            ("masked_lines_surprise", "surprise", "mean surprise of masked tokens, the same Transformer"),
        )
    ),
    *(
        ModelSpec(
            f"forecast_{kind}",
            _SERIES,
            partial(Forecast, kind),
            f"residual of a forecast one step ahead, {kind}",
            random=True,
            needs=NEEDS,
            quick=False,
        )
        for kind in ("lstm", "transformer")
    ),
)
