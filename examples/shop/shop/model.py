"""A small recommender: which products go with those a customer has looked at or holds in the cart.

Item embeddings by a truncated singular value decomposition of the positive pointwise mutual information of products
bought by the same customer (Levy and Goldberg, 2014). Trained in milliseconds; does no I/O and holds no customers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


class Quality(NamedTuple):
    """Share of held-out purchases that were among the first ten recommended, and the same for the ten best sellers."""

    hit_rate: float
    hit_rate_popular: float


@dataclass(frozen=True)
class Recommender:
    """Embeddings (products, rank) of length one, and how often each product was bought (products,)."""

    embeddings: Floats
    popularity: Floats

    @classmethod
    def train(cls, history: list[Ints], products: int, rank: int = 24) -> Recommender:
        """Learn from each customer's purchases."""
        bought = np.zeros((len(history), products), np.float32)  # (customers, products)
        for customer, skus in enumerate(history):
            bought[customer, skus] = 1
        together = bought.T @ bought  # (products, products)
        np.fill_diagonal(together, 0)
        single = together.sum(1)
        with np.errstate(divide="ignore", invalid="ignore"):
            information = np.log(together * together.sum() / np.outer(single, single))
        information = np.where(np.isfinite(information), np.maximum(information, 0), 0)
        left, strength, _ = np.linalg.svd(information)
        embeddings = left[:, :rank] * np.sqrt(strength[:rank])
        norms = np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-9)
        return cls((embeddings / norms).astype(np.float32), bought.sum(0).astype(np.float32))

    def scores(self, baskets: list[list[int]]) -> Floats:
        """Give each product's score for each basket (baskets, products), higher = fits better.

        A product of the basket itself scores -inf; for an empty basket the score is the popularity.
        """
        marks = np.zeros((len(baskets), len(self.popularity)), np.float32)  # (b, products)
        for row, basket in enumerate(baskets):
            marks[row, basket] = 1
        sizes = marks.sum(1, keepdims=True)
        scores = (marks / np.maximum(sizes, 1)) @ self.embeddings @ self.embeddings.T
        popular = self.popularity / max(float(self.popularity.max()), 1.0)
        scores = np.where(sizes > 0, scores + 0.05 * popular, popular)
        scores[marks > 0] = -np.inf
        return scores

    def best(self, baskets: list[list[int]], count: int) -> list[list[tuple[int, float]]]:
        """Give the `count` best products of each basket as (sku, score), best first."""
        scores = self.scores(baskets)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :count]
        return [[(int(sku), float(scores[row, sku])) for sku in skus] for row, skus in enumerate(order)]


def train_and_judge(history: list[Ints], products: int) -> tuple[Recommender, Quality]:
    """Train on all but each customer's last purchase, and judge by those."""
    model = Recommender.train([skus[:-1] for skus in history], products)
    best = model.best([skus[:-1].tolist() for skus in history], 10)
    popular = set(np.argsort(-model.popularity)[:10].tolist())
    wanted = [int(skus[-1]) for skus in history]
    hits = sum(sku in {found for found, _ in row} for sku, row in zip(wanted, best, strict=True))
    popular_hits = sum(sku in popular for sku in wanted)
    return model, Quality(hits / len(wanted), popular_hits / len(wanted))
