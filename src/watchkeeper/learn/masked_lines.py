"""Masked tokens by a Transformer: how well the words of a line can be told from the others around them.

Enters: distinct lines held to be normal, and how often each came. Leaves: for each token of a line its rank and chance
when it is masked, and for each line the share of tokens that are not among the TOP best guesses, 0..1, higher is
stranger; or the mean surprise. One layer, d_model = d_ff = 256, 8 heads, as Opni's log model; each line weighs the
square root of its count. Words are shared by systems, so that it can go on learning on another one. Source: Devlin et
al., "BERT", NAACL 2019, for the masking.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from watchkeeper.learn.checkpoints import Checkpoints
from watchkeeper.learn.line_tokens import MASK, PADDING, TOKENS_MAX, UNKNOWN, Vocabulary, tokens
from watchkeeper.learn.network import Network
from watchkeeper.learn.networks import IN_TURN
from watchkeeper.learn.onnx_graph import Weights
from watchkeeper.learn.quantised import Quantised
from watchkeeper.learn.training import Told, Training, untold

Codes = npt.NDArray[np.int32]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
TOP = 50
MASKED_SHARE = 0.15
UNKNOWN_SHARE = 0.03
"""Of the words around: hidden in training as words not known, so that later ones that are none mean something."""
LEAST_CHANCE = 1e-6
NUMBERS_TOGETHER = 4_000_000
"""How many numbers the network tells in one go, words known times tokens: some 16 MB."""
TESTED_MAX = 2_000
PLACES_TESTED = 2_048
TRAINING = Training(epochs=200, batch=32, rate=1e-3, decay=0.005, steps_max=400)


class Judged(NamedTuple):
    """What masking told of lines, (n,). missed: share of tokens not among the TOP. surprise: mean -log10 chance."""

    missed: Floats
    surprise: Floats


class Guesses(NamedTuple):
    """One row a token. line: (m,) its line. rank: 0 for the best guess; a word not known ranks behind all words.

    chance: 0..1, LEAST_CHANCE at least.
    """

    line: Ints
    rank: Ints
    chance: Floats

    def judged(self, lines: int) -> Judged:
        """Sum up by line, of so many; a line without tokens is not strange."""
        size = np.maximum(np.bincount(self.line, minlength=lines), 1)
        missed = np.bincount(self.line, weights=self.rank >= TOP, minlength=lines)
        surprise = np.bincount(self.line, weights=-np.log10(self.chance), minlength=lines)
        return Judged(missed / size, surprise / size)


class MaskedLines:
    """See the module. Cost: one pass of the network for each distinct line, whatever its tokens.

    Raises ValueError for a network of another kind.
    """

    def __init__(self, network: Network | Quantised) -> None:
        if network.settings["every"] != IN_TURN:
            raise ValueError("the network tells of masked tokens in the way of an earlier version; train it again")
        self.network = network
        self.vocabulary = Vocabulary(network.more["words"])

    @classmethod
    def learn(
        cls, lines: Sequence[str], counts: Floats, *, training: Training = TRAINING, seed: int = 0, told: Told = untold
    ) -> MaskedLines:
        """Train on distinct lines; counts: (n,) how often each came."""
        words = [tokens(line) for line in lines]
        return cls.learn_words(words, np.sqrt(counts), training=training, seed=seed, told=told)

    @classmethod
    def learn_words(
        cls,
        lines: Sequence[Sequence[str]],
        weights: Floats,
        *,
        held: Sequence[Sequence[str]] = (),
        training: Training = TRAINING,
        seed: int = 0,
        told: Told = untold,
        checkpoints: Checkpoints | None = None,
        vocabulary: Vocabulary | None = None,
    ) -> MaskedLines:
        """Train on the tokens of distinct lines; weights: (n,), > 0. vocabulary: that of the lines by default.

        held: lines to test on: the state that tells most of their masked tokens right is kept.
        """
        vocabulary = vocabulary or Vocabulary.of(lines)
        rows = vocabulary.encode(lines)
        test = _accuracy(vocabulary.encode(held[:TESTED_MAX]), seed) if len(held) else None
        return cls(_trained(rows, weights, vocabulary, training, seed, told, test=test, checkpoints=checkpoints))

    def resume(
        self, lines: Sequence[str], counts: Floats, *, training: Training = TRAINING, seed: int = 0, told: Told = untold
    ) -> MaskedLines:
        """Go on learning; words not known yet get weights as far as the vocabulary has room. Gives a new one."""
        if not isinstance(self.network, Network):
            raise ValueError("a model whose weights were rounded cannot go on learning; take the one it was made of")
        words = [tokens(line) for line in lines]
        wider = self.vocabulary.widened(words)
        begin = _widened(self.network.weights, len(wider), seed)
        return type(self)(_trained(wider.encode(words), np.sqrt(counts), wider, training, seed, told, begin=begin))

    def judge(self, lines: Sequence[str]) -> Judged:
        """Mask each token of each line in turn. A word that is not known is never right."""
        return self.judge_words([tokens(line) for line in lines])

    def judge_words(self, lines: Sequence[Sequence[str]]) -> Judged:
        """Judge lines by their tokens; a line without any is not strange."""
        return self.guess(lines).judged(len(lines))

    def guess(self, lines: Sequence[Sequence[str]], *, passed: Callable[[int], None] | None = None) -> Guesses:
        """Mask each token of each line in turn, and tell its rank and chance among all words.

        passed: called with how many tokens were asked of, now and then.
        """
        rows = self.vocabulary.encode(lines)
        held = rows != PADDING
        size = held.sum(axis=1)
        ranks, chances = np.zeros(rows.shape, np.int64), np.zeros(rows.shape)
        for chosen in _batches(size, max(TOKENS_MAX, NUMBERS_TOGETHER // len(self.vocabulary))):
            given = _cut(rows[chosen])
            inside = given != PADDING
            answer = self.network.ask(given)[inside]  # (tokens, vocabulary)
            right = given[inside]
            rank, chance = _placed(answer, right)
            unknown = right == UNKNOWN
            line, place = np.nonzero(inside)
            ranks[chosen[line], place] = np.where(unknown, max(TOP, len(self.vocabulary)), rank)
            chances[chosen[line], place] = np.where(unknown, LEAST_CHANCE, np.maximum(chance, LEAST_CHANCE))
            if passed is not None:
                passed(len(right))
        return Guesses(np.nonzero(held)[0], ranks[held], chances[held])

    def onnx(self) -> bytes:
        """Give the model file."""
        return self.network.onnx()

    @classmethod
    def from_onnx(cls, content: bytes) -> MaskedLines:
        """Take up what `onnx` gave; needs no torch."""
        return cls(Network.from_onnx(content))


def _trained(
    rows: Codes,
    weights: Floats,
    vocabulary: Vocabulary,
    training: Training,
    seed: int,
    told: Told,
    *,
    begin: Weights | None = None,
    test: Callable[[Any, Any], float] | None = None,
    checkpoints: Checkpoints | None = None,
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
        "every": IN_TURN,
    }
    share = (weights / weights.mean()).astype(np.float32)
    drawn: dict[str, Any] = {}

    def given(torch: Any, chosen: Any) -> Any:
        own = torch.from_numpy(_cut(rows[chosen.cpu().numpy()]))
        odds = torch.rand(own.shape).masked_fill(own == PADDING, 2.0)
        masked = (odds < MASKED_SHARE) | (odds == odds.min(dim=1, keepdim=True).values)
        line = torch.nonzero(masked)[:, 0]
        told = own[masked] > UNKNOWN
        each = torch.bincount(line[told], minlength=len(own)).clamp(min=1)
        drawn["right"] = own[masked].masked_fill(~told, -100).to(chosen.device)
        drawn["weight"] = (torch.from_numpy(share)[chosen.cpu()] / each / len(own))[line].to(chosen.device)
        hidden = (torch.rand(own.shape) < UNKNOWN_SHARE) & (own != PADDING)
        return own.masked_fill(hidden, UNKNOWN).masked_fill(masked, MASK).to(chosen.device)

    def loss(torch: Any, answer: Any, chosen: Any) -> Any:
        each = torch.nn.functional.cross_entropy(answer, drawn["right"], reduction="none", ignore_index=-100)
        return (each * drawn["weight"]).sum()

    return Network.learned(
        settings,
        given,
        loss,
        len(rows),
        training,
        seed=seed,
        begin=begin,
        told=told,
        more={"words": vocabulary.words},
        lengths=(rows != PADDING).sum(axis=1),
        test=test,
        checkpoints=checkpoints,
    )


def _batches(size: Ints, numbers: int) -> Iterator[Ints]:
    """Give the lines in batches of like length, each of at most so many places, padding included; one line at least."""
    order = np.argsort(size, kind="stable")
    begin = 0
    while begin < len(order):
        places = np.arange(1, len(order) - begin + 1) * size[order[begin:]]
        end = begin + max(1, int(np.searchsorted(places, numbers, "right")))
        yield order[begin:end]
        begin = end


def _placed(answer: npt.NDArray[np.float32], right: Ints) -> tuple[Ints, Floats]:
    """Give rank and chance of the right words (n,) among what is told of all words (n, vocabulary), which is spoilt."""
    own = np.take_along_axis(answer, right[:, None], axis=1)
    ranks = np.count_nonzero(answer > own, axis=1)
    most = answer.max(axis=1, keepdims=True)
    np.exp(np.subtract(answer, most, out=answer), out=answer)
    return ranks, np.exp(own - most)[:, 0] / answer.sum(axis=1)


def _accuracy(rows: Codes, seed: int) -> Callable[[Any, Any], float]:
    """Give the test of a network: the share of the tokens of held-out lines, one a line, that it tells right.

    Words not known are wrong, whatever is told of them.
    """
    odds = np.random.default_rng(seed).random(rows.shape)
    at = np.where(rows != PADDING, odds, -1.0).argmax(axis=1)
    right = rows[np.arange(len(rows)), at]
    rows[np.arange(len(rows)), at] = MASK
    batches = list(_batches((rows != PADDING).sum(axis=1), PLACES_TESTED))

    def test(torch: Any, forward: Any) -> float:
        place = "cuda" if torch.cuda.is_available() else "cpu"
        hits = 0
        for chosen in batches:
            told = forward(torch.from_numpy(_cut(rows[chosen])).to(place)).argmax(dim=1).cpu().numpy()
            hits += int(((told == right[chosen]) & (told > UNKNOWN)).sum())
        return hits / max(1, len(rows))

    return test


def _cut(rows: Codes) -> Ints:
    """Leave out the columns that are padding in every row."""
    return rows[:, : max(1, int((rows != PADDING).sum(axis=1).max(initial=1)))].astype(np.int64)


def _widened(weights: Weights, size: int, seed: int) -> Weights:
    """Give weights with rows for further words: small random numbers, as torch begins with."""
    random = np.random.default_rng(seed)
    wider = dict(weights)
    for name in ("enter.weight", "last.weight", "last.bias"):
        have = weights[name]
        more = random.normal(scale=0.02, size=(size - len(have), *have.shape[1:])).astype(np.float32)
        wider[name] = np.concatenate([have, more])
    return wider
