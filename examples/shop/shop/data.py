"""What the shop sells and what its customers bought: generated, the same for the same seed.

Customers have tastes: each likes two of the categories and, within them, what is popular. Holds no state.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_CATEGORIES = ("tea", "coffee", "books", "garden", "kitchen", "paper", "bicycle", "music")
_QUALITIES = ("plain", "fine", "large", "small", "travel", "winter", "summer", "classic", "blue", "green", "red", "old",
              "new", "light", "heavy")  # fmt: skip
SHELF = len(_QUALITIES)
PRODUCTS = len(_CATEGORIES) * SHELF
CUSTOMERS = 600


@dataclass(frozen=True)
class Product:
    """One product; `price_cents` in euro cents."""

    sku: int
    name: str
    category: str
    price_cents: int


def products(seed: int) -> list[Product]:
    """Give all products; `sku` is the position."""
    prices = np.random.default_rng(seed).integers(190, 9_900, PRODUCTS)
    names = [(quality, category) for category in _CATEGORIES for quality in _QUALITIES]
    return [
        Product(sku, f"{quality} {category}", category, int(price))
        for sku, ((quality, category), price) in enumerate(zip(names, prices, strict=True))
    ]


def purchases(seed: int) -> list[npt.NDArray[np.int64]]:
    """Give each customer's purchases, oldest first: an array of SKUs, 6 to 24 long, none twice."""
    chance = np.random.default_rng(seed)
    popularity = 1.0 / np.arange(1, len(_QUALITIES) + 1)
    history = []
    for _ in range(CUSTOMERS):
        weights = np.full((len(_CATEGORIES), len(_QUALITIES)), 0.02) * popularity
        for category in chance.choice(len(_CATEGORIES), 2, replace=False):
            weights[category] = np.roll(popularity, category)
        flat = weights.ravel() / weights.sum()
        history.append(chance.choice(PRODUCTS, int(chance.integers(6, 25)), replace=False, p=flat))
    return history
