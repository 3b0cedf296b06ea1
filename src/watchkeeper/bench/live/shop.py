"""What is known of the example shop: where it lies, its services, and the nodes that are to blame for a fault of it.

Plain data and one question. Starts nothing and breaks nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from watchkeeper.signals.topology import NodeKind

SHOP = Path(__file__).parents[4] / "examples" / "shop"
SERVICES = ("frontend", "catalogue", "cart", "checkout", "payment", "recommendation")
DEPENDENCY_NODES: Mapping[str, tuple[str, ...]] = {
    "carts": ("database:cart/redis", "service:redis"),
    "bank": ("external:bank",),
}
"""The nodes that stand for a dependency of the shop that is gone; any of them is a right answer."""
DEPENDENTS = {"cart": "carts", "payment": "bank"}
"""The services whose usual dependency has nodes of its own."""


def right_nodes(service: str, parameters: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the nodes of which any is the cause: the struck service, or the dependency that a fault takes from it.

    >>> right_nodes("payment", {"share": 0.5}), right_nodes("payment", {"dependency": "bank"})
    (('service:payment',), ('external:bank',))
    """
    return DEPENDENCY_NODES.get(str(parameters.get("dependency"))) or (f"{NodeKind.SERVICE.value}:{service}",)
