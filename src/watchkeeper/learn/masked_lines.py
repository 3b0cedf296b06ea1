"""Masked tokens by a Transformer: how well the words of a line can be told from the others around them.

Enters: distinct lines held to be normal, and how often each came. Leaves: for each line the share of its tokens that
are not among the TOP best guesses when they are masked, 0..1, higher is stranger; or the mean surprise. One layer,
d_model = d_ff = 256, 8 heads, as Opni's log model; each line weighs the square root of its count. Words are shared by
systems, so that it can go on learning on another one. Source: Devlin et al., "BERT", NAACL 2019, for the masking.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from watchkeeper.learn.line_tokens import MASK, PADDING, TOKENS_MAX, UNKNOWN, Vocabulary, tokens
from watchkeeper.learn.network import Network
from watchkeeper.learn.onnx_graph import Weights
from watchkeeper.learn.training import Told, Training, untold

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
TOP = 50
MASKED_SHARE = 0.15
LEAST_CHANCE = 1e-6
TRAINING = Training(epochs=200, batch=32, rate=1e-3, decay=0.005, steps_max=400)


class Judged(NamedTuple):
    """What masking told of lines, (n,). missed: share of tokens not among the TOP. surprise: mean -log10 chance."""

    missed: Floats
    surprise: Floats


class MaskedLines:
    """See the module. Cost: one pass of the network for each token of each distinct line."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.vocabulary = Vocabulary(network.more["words"])

    @classmethod
    def learn(
        cls, lines: Sequence[str], counts: Floats, *, training: Training = TRAINING, seed: int = 0, told: Told = untold
    ) -> MaskedLines:
        """Train on distinct lines; counts: (n,) how often each came."""
        words = [tokens(line) for line in lines]
        return cls(_trained(words, counts, Vocabulary.of(words), training, seed, told, None))

    def resume(
        self, lines: Sequence[str], counts: Floats, *, training: Training = TRAINING, seed: int = 0, told: Told = untold
    ) -> MaskedLines:
        """Go on learning; words not known yet get weights as far as the vocabulary has room. Gives a new one."""
        words = [tokens(line) for line in lines]
        wider = self.vocabulary.widened(words)
        return type(self)(_trained(words, counts, wider, training, seed, told, self.network.weights))

    def judge(self, lines: Sequence[str]) -> Judged:
        """Mask each token of each line in turn. A word that is not known is never right."""
        rows = self.vocabulary.encode([tokens(line) for line in lines])
        rows = _cut(rows)
        line, place = np.nonzero(rows != PADDING)
        missed, surprise = np.zeros(len(rows)), np.zeros(len(rows))
        for begin in range(0, len(line), 256):
            one, at = line[begin : begin + 256], place[begin : begin + 256]
            masked = rows[one]
            right = masked[np.arange(len(one)), at]
            masked[np.arange(len(one)), at] = MASK
            answer = self.network.ask(masked)[np.arange(len(one)), at]  # (b, vocabulary)
            own = np.take_along_axis(answer, right[:, None], axis=1)
            unknown = right == UNKNOWN
            better = (answer > own).sum(axis=1)
            told = np.exp(own[:, 0] - answer.max(axis=1)) / np.exp(answer - answer.max(axis=1, keepdims=True)).sum(
                axis=1
            )
            chance = np.where(unknown, LEAST_CHANCE, np.maximum(told, LEAST_CHANCE))
            np.add.at(missed, one, (better >= TOP) | unknown)
            np.add.at(surprise, one, -np.log10(chance))
        size = np.maximum(np.bincount(line, minlength=len(rows)), 1)
        return Judged(missed / size, surprise / size)

    def onnx(self) -> bytes:
        """Give the model file."""
        return self.network.onnx()

    @classmethod
    def from_onnx(cls, content: bytes) -> MaskedLines:
        """Take up what `onnx` gave; needs no torch."""
        return cls(Network.from_onnx(content))


def _trained(
    words: Sequence[Sequence[str]],
    counts: Floats,
    vocabulary: Vocabulary,
    training: Training,
    seed: int,
    told: Told,
    begin: Weights | None,
) -> Network:
    size = len(vocabulary)
    settings = {
        "kind": "encoder",
        "given": "ids",
        "inputs": size,
        "outputs": size,
        "width": 256,
        "heads": 8,
        "dropout": 0.1,
        "steps": TOKENS_MAX,
        "every": True,
    }
    rows = _cut(vocabulary.encode(words))
    share = np.sqrt(counts)
    share = (share / share.mean()).astype(np.float32)
    drawn: dict[str, Any] = {}

    def given(torch: Any, chosen: Any) -> Any:
        own = torch.from_numpy(rows)[chosen.cpu()]
        odds = torch.rand(own.shape).masked_fill(own == PADDING, 2.0)
        masked = (odds < MASKED_SHARE) | (odds == odds.min(dim=1, keepdim=True).values)
        drawn["right"] = own.masked_fill(~masked | (own <= UNKNOWN), -100).to(chosen.device)
        return own.masked_fill(masked, MASK).to(chosen.device)

    def loss(torch: Any, answer: Any, chosen: Any) -> Any:
        right = drawn["right"]
        each = torch.nn.functional.cross_entropy(answer.transpose(1, 2), right, reduction="none", ignore_index=-100)
        mean = each.sum(dim=1) / (right != -100).sum(dim=1).clamp(min=1)
        return (mean * torch.from_numpy(share)[chosen.cpu()].to(chosen.device)).mean()

    start = None if begin is None else _widened(begin, size, seed)
    more = {"words": vocabulary.words}
    return Network.learned(settings, given, loss, len(rows), training, seed=seed, begin=start, told=told, more=more)


def _cut(rows: Ints) -> Ints:
    """Leave out the columns that are padding in every row."""
    return rows[:, : max(1, int((rows != PADDING).sum(axis=1).max(initial=1)))]


def _widened(weights: Weights, size: int, seed: int) -> Weights:
    """Give weights with rows for further words: small random numbers, as torch begins with."""
    random = np.random.default_rng(seed)
    wider = dict(weights)
    for name in ("enter.weight", "last.weight", "last.bias"):
        have = weights[name]
        more = random.normal(scale=0.02, size=(size - len(have), *have.shape[1:])).astype(np.float32)
        wider[name] = np.concatenate([have, more])
    return wider
