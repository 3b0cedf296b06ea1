"""The registry of models: `category`, `embedding`, `openai:NAME`.

Enters: the model's name in a job. Leaves: an open Model, kept for the next job of that name.
"""

from __future__ import annotations

from watchkeeper.errors import UnknownName
from watchkeeper.infer.models.base import Model, Opener
from watchkeeper.registry import Lazy, Registry
from watchkeeper.settings import Settings

KEPT_MAX = 16
"""Names come from jobs; so many models stay open, then the least recently used is closed."""

MODELS = Registry[Opener]("model")
MODELS.add("category", Lazy("watchkeeper.infer.models.category:open_category"))
MODELS.add("embedding", Lazy("watchkeeper.infer.models.embedding:open_embedding"))
MODELS.add("openai", Lazy("watchkeeper.infer.models.openai:open_openai"))


class Models:
    """Opens models by name and keeps them. Not for several threads at once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open: dict[str, Model] = {}

    def get(self, name: str) -> Model:
        """Give the model of that name; raises UnknownName, SettingError, MissingExtra, DataSetError."""
        model = self._open.pop(name, None)
        if model is None:
            kind, _, rest = name.partition(":")
            model = MODELS.get(kind)(rest, self._settings)
        self._open[name] = model
        if len(self._open) > KEPT_MAX:
            self._open.pop(next(iter(self._open))).close()
        return model

    def close(self) -> None:
        """Close all that are open."""
        for model in self._open.values():
            model.close()
        self._open.clear()


def plain(kind: str, rest: str) -> None:
    """Refuse what stands behind a colon in the name of a model that has no variants; raises UnknownName."""
    if rest:
        raise UnknownName(f"there is no model named {f'{kind}:{rest}'!r}; did you mean {kind!r}?")
