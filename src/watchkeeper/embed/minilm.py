"""Embedder: texts to unit vectors by all-MiniLM-L6-v2, on the CPU, without torch.

Enters: texts in English, of which the first 254 word pieces count. Leaves: (n, 384) float32; the inner product of two
is their cosine. Needs the extra `embeddings` and the weights' package; whoever can do without asks `is_available`.
Fetches nothing from a network and learns nothing.

Source: Wang et al., "MiniLM", NeurIPS 2020; the model card of sentence-transformers/all-MiniLM-L6-v2.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from watchkeeper.embed.kept import Precision, default_cache, needed, open_session
from watchkeeper.embed.weights import find_weights, installed_folder

DIMENSIONS = 384
TOKENS_MAX = 256
"""As the published model was trained to be used; longer texts are cut."""
_MODULES = ("onnx", "onnxruntime", "tokenizers")

Vectors = npt.NDArray[np.float32]


def is_available() -> bool:
    """Tell whether all that an Embedder needs is installed. Cost: looks, imports nothing."""
    return all(importlib.util.find_spec(name) for name in _MODULES) and installed_folder() is not None


class Embedder:
    """Gives texts as unit vectors.

    cache: folder for the built graph, the user's cache by default. precision: `int8` is four times smaller and faster,
    `float32` is exact. weights: a folder with another encoder of this type. threads: of ONNX Runtime. Raises
    MissingExtra, DataSetError. Cost: about a second; the first time on a machine about ten, once.
    """

    def __init__(
        self,
        cache: Path | None = None,
        *,
        precision: Precision = "int8",
        weights: Path | None = None,
        threads: int = 1,
    ) -> None:
        found = find_weights(weights)
        self.name = f"all-MiniLM-L6-v2/{precision}/{found.sha256[:12]}"
        self._alone = precision == "int8"
        self._session = open_session(found, precision, cache or default_cache(), threads=threads)
        self._tokenizer = needed("tokenizers").Tokenizer.from_file(str(found.tokenizer))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(TOKENS_MAX)

    def encode(self, texts: Sequence[str], *, batch: int = 32) -> Vectors:
        """Give (n, 384) unit vectors in the order of `texts`; equal texts are encoded once.

        batch: how many are computed together in float32. In int8 it is one at a time: the scales of 8-bit activations
        are those of all that is computed together, and a vector must not depend on its neighbours. Cost: 2-20 ms a
        text on one core, by its length.
        """
        batch = 1 if self._alone else batch
        places = {text: at for at, text in enumerate(dict.fromkeys(texts))}
        if not places:
            return np.zeros((0, DIMENSIONS), np.float32)
        tokens = [each.ids for each in self._tokenizer.encode_batch(list(places))]
        order = sorted(range(len(tokens)), key=lambda at: len(tokens[at]))
        together = [order[begin : begin + batch] for begin in range(0, len(order), batch)]
        parts = [self._run([tokens[at] for at in each]) for each in together]
        unique = np.empty((len(tokens), parts[0].shape[1]), np.float32)
        unique[order] = np.concatenate(parts)
        return np.asarray(unique[[places[text] for text in texts]])

    def _run(self, tokens: Sequence[Sequence[int]]) -> Vectors:
        """Compute some texts at once, padded to the longest of them."""
        longest = max(len(each) for each in tokens)
        ids = np.zeros((len(tokens), longest), np.int64)
        mask = np.zeros((len(tokens), longest), np.float32)
        for row, each in enumerate(tokens):
            ids[row, : len(each)] = each
            mask[row, : len(each)] = 1.0
        [vectors] = self._session.run(["vectors"], {"tokens": ids, "mask": mask})
        return np.asarray(vectors, np.float32)
