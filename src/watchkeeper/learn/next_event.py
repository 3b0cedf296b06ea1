"""Next event by an LSTM: how surprising each line of a session is after the lines before it.

Enters: sequences of template ids held to be normal. Leaves: a score a sequence, its greatest surprise as -log10 of the
chance, higher is stranger. A template that was never learned from shares one place that is never right. Ids mean
something within one system only, so that there is nothing to go on learning from elsewhere. Source: Du et al.,
"DeepLog", CCS 2017 (two layers of 64, a window of 10); a graded surprise stands for its top-g rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from watchkeeper.learn.network import Network
from watchkeeper.learn.training import Told, Training, untold

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
WINDOW, WIDTH, LAYERS = 10, 64, 2
PADDING, UNKNOWN, END, FIRST = 0, 1, 2, 3
LEAST_CHANCE = 1e-6
TRAINING = Training(epochs=40, batch=128, rate=5e-3, steps_max=500)


class _Windows(NamedTuple):
    """Distinct windows (n, WINDOW + 1), the event after each in the last column, how often each came, and of whom."""

    rows: Ints
    counts: Ints
    which: Ints
    owner: Ints


class NextEvent:
    """See the module. Cost: about 20 microseconds a distinct window to score."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._known = np.array(network.more["known"], np.int64)

    @classmethod
    def learn(
        cls, sequences: Sequence[Ints], *, training: Training = TRAINING, seed: int = 0, told: Told = untold
    ) -> NextEvent:
        """Train on the distinct windows, each weighed by how often it came."""
        known = np.unique(np.concatenate([np.zeros(0, np.int64), *sequences]))
        windows = _windows(sequences, known)
        size = FIRST + len(known)
        settings = {
            "kind": "recurrent",
            "given": "ids",
            "inputs": size,
            "outputs": size,
            "width": WIDTH,
            "layers": LAYERS,
            "steps": WINDOW,
            "every": False,
        }
        before, after = windows.rows[:, :-1].copy(), windows.rows[:, -1].copy()
        share = (windows.counts / windows.counts.mean()).astype(np.float32)

        def given(torch: Any, chosen: Any) -> Any:
            return torch.from_numpy(before)[chosen.cpu()].to(chosen.device)

        def loss(torch: Any, answer: Any, chosen: Any) -> Any:
            right = torch.from_numpy(after)[chosen.cpu()].to(chosen.device)
            each = torch.nn.functional.cross_entropy(answer, right, reduction="none")
            return (each * torch.from_numpy(share)[chosen.cpu()].to(chosen.device)).mean()

        more = {"known": known.tolist()}
        return cls(Network.learned(settings, given, loss, len(windows.rows), training, seed=seed, told=told, more=more))

    def score(self, sequences: Sequence[Ints]) -> Floats:
        """Give the greatest surprise of each sequence (n,), its end included, >= 0."""
        windows = _windows(sequences, self._known)
        answer = self.network.ask(windows.rows[:, :-1])
        answer = answer - answer.max(axis=1, keepdims=True)
        right = np.take_along_axis(answer, windows.rows[:, -1:], axis=1)[:, 0]
        chance = np.exp(right) / np.exp(answer).sum(axis=1)
        chance = np.where(windows.rows[:, -1] == UNKNOWN, 0.0, chance)
        surprise = -np.log10(np.maximum(chance, LEAST_CHANCE))
        scores = np.zeros(len(sequences))
        np.maximum.at(scores, windows.owner, surprise[windows.which])
        return scores

    def onnx(self) -> bytes:
        """Give the model file."""
        return self.network.onnx()

    @classmethod
    def from_onnx(cls, content: bytes) -> NextEvent:
        """Take up what `onnx` gave; needs no torch."""
        return cls(Network.from_onnx(content))


def _windows(sequences: Sequence[Ints], known: Ints) -> _Windows:
    """Cut sequences, padded at their begin and closed by END, into windows."""
    lengths = np.array([len(each) for each in sequences], np.int64)
    starts = np.cumsum(np.r_[0, lengths + WINDOW + 1])  # WINDOW of padding before each, END after it
    flat = np.full(int(starts[-1]) + WINDOW, PADDING, np.int64)
    for at, each in zip(starts[:-1].tolist(), sequences, strict=True):
        flat[at + WINDOW : at + WINDOW + len(each)] = _codes(each, known)
        flat[at + WINDOW + len(each)] = END
    owner = np.repeat(np.arange(len(sequences)), lengths + 1)
    first = np.concatenate(
        [np.zeros(0, np.int64), *(np.arange(n + 1) + at for n, at in zip(lengths, starts, strict=False))]
    )
    rows = flat[first[:, None] + np.arange(WINDOW + 1)]
    odd = np.random.default_rng(0).integers(1, 2**62, WINDOW + 1) | 1  # a sum by odd weights stands for a window
    _, place, which, counts = np.unique(rows @ odd, return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(place, kind="stable")
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    return _Windows(rows[place[order]], counts[order], back[which], owner)


def _codes(templates: Ints, known: Ints) -> Ints:
    if not len(known):
        return np.full(len(templates), UNKNOWN, np.int64)
    place = np.minimum(np.searchsorted(known, templates), len(known) - 1)
    return np.asarray(np.where(known[place] == templates, FIRST + place, UNKNOWN))
