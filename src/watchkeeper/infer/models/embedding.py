"""The model `embedding`: the meaning of a text as a unit vector, by MiniLM on the CPU. Needs the extra `embeddings`.

Enters: a job whose prompt is an English text, of which the first 254 word pieces count. Leaves: 384 numbers; the inner
product of two results is their cosine. max_tokens and temperature do not bear on it.
"""

from __future__ import annotations

from watchkeeper.embed.minilm import Embedder
from watchkeeper.errors import DataSetError
from watchkeeper.infer.contract import Answer, Job
from watchkeeper.infer.models.base import Model
from watchkeeper.infer.models.catalogue import plain
from watchkeeper.settings import Settings


class EmbeddingModel(Model):
    """Encodes texts."""

    def __init__(self) -> None:
        try:
            self._embedder = Embedder()
        except OSError as error:
            raise DataSetError(
                f"the encoder's graph cannot be kept: {error}; set XDG_CACHE_HOME to a folder"
            ) from error

    def answer(self, job: Job) -> Answer:
        """Give the vector of the prompt. Cost: 2-20 ms on one core."""
        [vector] = self._embedder.encode([job.prompt])
        return Answer([float(each) for each in vector], {"dimensions": len(vector), "encoder": self._embedder.name})


def open_embedding(rest: str, _settings: Settings) -> Model:
    """Make the model; raises MissingExtra, which tells what to install, and DataSetError."""
    plain("embedding", rest)
    return EmbeddingModel()
