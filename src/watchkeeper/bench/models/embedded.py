"""An autoencoder of sessions by what their lines mean: the mean of the embeddings of their templates, 384 numbers.

Enters: SessionBlocks and the fact `texts`. Leaves: scores. Texts mean the same in every system, so that it can go on
learning on another one. Needs the extras `learning` and `embeddings`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import numpy as np
import numpy.typing as npt

from watchkeeper.bench.base import Context, Example, ModelSpec
from watchkeeper.bench.forms import SessionBlock
from watchkeeper.bench.models.log_sessions import joined
from watchkeeper.bench.models.networks import NEEDS
from watchkeeper.bench.progress import tell
from watchkeeper.bench.trainings import shared
from watchkeeper.embed.minilm import DIMENSIONS, Embedder
from watchkeeper.learn.autoencoder import Autoencoder

Floats = npt.NDArray[np.float64]
WIDTH = 64


class Meanings:
    """`learn.autoencoder.Autoencoder` on the mean embedding of a session, each template weighed by log(1 + count)."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Train."""
        self._embedder = Embedder()
        self._known: dict[int, Floats] = {}
        rows, counts = self._distinct(examples, context)
        learn = partial(Autoencoder.learn, rows, counts=counts, width=WIDTH, standardise="rows")
        how = f"rows of width {WIDTH}"
        self.model = shared(Autoencoder, partial(learn, seed=context.seed, told=tell), how, rows, counts, context.seed)

    def resume(self, examples: Iterable[Example], context: Context) -> None:
        """Go on learning from another system; ids of templates begin anew."""
        self._known = {}
        rows, counts = self._distinct(examples, context)
        resume = partial(self.model.resume, rows, counts=counts, seed=context.seed, told=tell)
        self.model = shared(Autoencoder, resume, self.model.onnx(), rows, counts, context.seed)

    def answer(self, given: SessionBlock) -> Floats:
        """Score sessions."""
        return self.model.score(self._rows(given))

    def _distinct(self, examples: Iterable[Example], context: Context) -> tuple[Floats, Floats]:
        self._texts = context.facts["texts"]
        rows, counts = np.unique(self._rows(joined(examples)).astype(np.float32), axis=0, return_counts=True)
        return rows.astype(np.float64), counts.astype(np.float64)

    def _rows(self, given: SessionBlock) -> Floats:
        templates, which = np.unique(given.templates, return_inverse=True)
        ahead = [each for each in templates.tolist() if each not in self._known]
        told = self._embedder.encode([self._texts.get(each, "") for each in ahead])
        self._known.update(zip(ahead, told.astype(np.float64), strict=True))
        vectors = np.array([self._known[each] for each in templates.tolist()]).reshape(-1, DIMENSIONS)
        width = len(templates)
        flat = np.bincount(given.sessions * width + which, minlength=len(given) * width)
        weights = np.log1p(flat.reshape(len(given), width))
        return np.asarray(weights @ vectors / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9))


MODELS = (
    ModelSpec(
        "autoencoder_embeddings",
        ("sessions",),
        Meanings,
        "mean embedding of the lines told again, 384-64-384",
        random=True,
        needs=(*NEEDS, "tokenizers"),
        resumes=True,
        students=("dense_counts",),
        quick=False,
        parameters={"sizes": [384, 64, 384]},
    ),
)
