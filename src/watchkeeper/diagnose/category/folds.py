"""Folds: which examples are held out together, so that choices and calibration never see what they are judged on.

Enters: labels, and groups that must not be split. Leaves: the fold of each example. Same input, same folds.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt


def stratified_folds(
    labels: Sequence[Hashable], count: int, *, seed: int = 0, groups: Sequence[Hashable] | None = None
) -> npt.NDArray[np.int64]:
    """Give the fold (N,) of each example, 0..count-1: every class spread evenly, every group in one fold.

    Groups are dealt out in random order, large ones first, each to the fold that has fewest of its classes, then
    fewest examples.
    """
    together: dict[Hashable, list[int]] = defaultdict(list)
    for at in range(len(labels)):
        together[at if groups is None else groups[at]].append(at)
    shuffled = np.random.default_rng(seed).permutation(len(together))
    members = [list(together.values())[at] for at in shuffled]
    members.sort(key=len, reverse=True)
    held = [Counter[Hashable]() for _ in range(count)]
    sizes = np.zeros(count, np.int64)
    folds = np.zeros(len(labels), np.int64)
    for group in members:
        classes = Counter(labels[at] for at in group)
        cost = [
            (sum(number * held[fold][label] for label, number in classes.items()), sizes[fold], fold)
            for fold in range(count)
        ]
        fold = min(cost)[2]
        held[fold].update(classes)
        sizes[fold] += len(group)
        folds[group] = fold
    return folds
