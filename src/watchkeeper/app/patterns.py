"""Read access to the pattern miner for pages and detectors, safe while the pipeline mines."""

from __future__ import annotations

from watchkeeper.patterns.base import Template
from watchkeeper.patterns.miner import TemplateMiner


class Patterns:
    """Templates by id, and all of them."""

    def __init__(self, miner: TemplateMiner) -> None:
        self._miner = miner

    def get(self, template_id: int) -> Template | None:
        """Give the template of that id, or None."""
        return self._miner.get(template_id)

    def text(self, template_id: int) -> str:
        """Give the template's text, "" when it is not known (any more)."""
        template = self._miner.get(template_id)
        return template.text if template else ""

    def all(self) -> list[Template]:
        """Give every template known, most lines first."""
        return self._miner.templates()

    def count(self) -> int:
        """Give how many templates are known."""
        return len(self._miner)

    def parameters(self, body: str) -> list[str]:
        """Give what stands at each `<*>` of the line's template."""
        return self._miner.parameters(body)
