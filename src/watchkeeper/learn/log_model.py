"""The log model: which lines of watched workloads are unlikely, after the lines that were counted as normal.

Enters: counted lines (line_counts.py), then raw lines. Leaves: verdicts, each cached by masked line, and why. A line of
a form that was learned is normal without asking the network; only new forms go to it, masked token by masked token
(masked_lines.py, after Opni's OpniLog). The threshold is calibrated on forms held out, for a stated budget of false
alarms. Saved as data files; torch is needed to learn only. Safe to use from any thread.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from watchkeeper.learn.calibration import BUDGET, NONE, Calibration, auc, calibrated, strangers_of
from watchkeeper.learn.checkpoints import EVERY_STEPS, Checkpoints
from watchkeeper.learn.explanation import Explanation, KnownLines, TokenGuess
from watchkeeper.learn.line_counts import FormReader, LineCounts, Lines, has_failure_words
from watchkeeper.learn.line_tokens import WordsOf, words
from watchkeeper.learn.masked_lines import TOP, Guesses, MaskedLines
from watchkeeper.learn.network import Network
from watchkeeper.learn.quantised import Quantised
from watchkeeper.learn.training import Told, Training, untold
from watchkeeper.patterns.reference import mask

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
__all__ = ["Judged", "LineCounts", "LogModel", "Verdict", "has_failure_words"]

SCHEMA_VERSION = 1
CACHED_MAX = 50_000
JUDGED_HELD_MAX = 1_000
SETTLING_PASSES = 4
"""Lines held out and strangers made of them, each by exact and by rounded weights."""
QUALITY_LOSS_MAX = 0.01
"""By how much rounded weights may tell fewer held-out tokens, and strangers worse, and still be taken."""
TRAINING = Training(epochs=60, batch=32, rate=1e-3, decay=0.005, steps_min=400, steps_max=2_000)


class Verdict(NamedTuple):
    """Of one masked line. known: it was learned, and the network was not asked; score and chance are 1 then.

    score: share of tokens whose truth is among the TOP guesses, 0..1, lower = stranger. chance: geometric mean of the
    chances of its tokens, 0..1, lower = stranger. strange: below the threshold.
    """

    form: str
    known: bool
    score: float
    chance: float
    strange: bool


class Judged(NamedTuple):
    """Lines by form: a verdict each of m forms with `counts` (m,), and the form of each line, `codes` (n,)."""

    verdicts: list[Verdict]
    counts: Ints
    codes: Ints


class LogModel:
    """See the module. cached_max: verdicts kept, those longest not asked for go first."""

    def __init__(
        self,
        lines: MaskedLines,
        counts: LineCounts,
        calibration: Calibration = NONE,
        quality: dict[str, float] | None = None,
        parameters: dict[str, Any] | None = None,
        *,
        cached_max: int = CACHED_MAX,
    ) -> None:
        self.lines, self.counts, self.calibration = lines, counts, calibration
        self.quality, self.parameters = dict(quality or {}), dict(parameters or {})
        self._cached_max = cached_max
        self._cache: OrderedDict[str, Verdict] = OrderedDict()
        self._reader = FormReader()
        self._known: KnownLines | None = None
        self._lock = threading.RLock()
        self._exact: MaskedLines | None = None
        self.asked = 0

    @classmethod
    def learn(
        cls,
        counts: LineCounts,
        *,
        training: Training = TRAINING,
        seed: int = 0,
        told: Told = untold,
        checkpoint: Path | None = None,
        checkpoint_every: int = EVERY_STEPS,
        checkpoint_apart_s: float = 0.0,
        budget: float = BUDGET,
        passed: Callable[[int], None] | None = None,
    ) -> LogModel:
        """Train on four fifths of the distinct lines, test and calibrate on the others; raises ValueError for none.

        checkpoint: a folder to go on from after a kill, written every `checkpoint_every` steps, but not sooner than
        `checkpoint_apart_s` after the last time; it must be of the same lines to be taken up. It stays, for whoever
        calls to remove once the model is kept. passed: called with the tokens asked of as held-out lines are judged,
        see tokens_settled. Cost: training.planned(...) steps of some hundredths of a second on one core, and
        SETTLING_PASSES of the network for at most JUDGED_HELD_MAX lines. Raises MissingExtra without torch.
        """
        learned, held = counts.split()
        if not len(learned):
            raise ValueError("there is no line to learn from; watch workloads that log, or take a longer time")
        forms = learned.lines()
        kept = None
        if checkpoint is not None:
            purpose = f"log model {seed} {training} {counts.fingerprint()}"
            kept = Checkpoints(checkpoint, purpose, every_steps=checkpoint_every, apart_s=checkpoint_apart_s)
        exact = MaskedLines.learn_words(
            WordsOf(forms),
            learned.weights(),
            held=WordsOf(held.lines()),
            training=training,
            seed=seed,
            told=told,
            checkpoints=kept,
        )
        epochs, batches = training.planned(len(forms))
        parameters = {
            **vars(training),
            "epochs_planned": epochs,
            "steps_planned": epochs * batches,
            "seed": seed,
            "layers": 1,
            "width": 256,
            "heads": 8,
            "dropout": 0.1,
            "vocabulary": len(exact.vocabulary),
        }
        return _settled(cls(exact, counts, parameters=parameters), held.lines(), budget, seed, passed)

    @property
    def threshold(self) -> float:
        """Give the value of the measure in force below which a line is strange."""
        return self.calibration.threshold

    @property
    def exact(self) -> MaskedLines:
        """Give the lines as they were trained, where they were in this process, else those that are asked."""
        return self._exact or self.lines

    @property
    def quantised(self) -> bool:
        """Tell whether the rounded weights are the ones asked."""
        return isinstance(self.lines.network, Quantised)

    def score(self, lines: Lines) -> Floats:
        """Give the share (n,) of masked tokens whose truth is among the TOP guesses, 0..1, lower = stranger.

        The network is asked of every form, the known ones too; cost: one pass for each distinct form.
        """
        with self._lock:
            read = self._reader.read(lines)
        judged = self.lines.judge_words([words(form) for form in read.forms])
        return np.asarray((1.0 - judged.missed)[read.codes])

    def measured(
        self, forms: Sequence[str], *, passed: Callable[[int], None] | None = None
    ) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Ask the network of every form (n,), the known ones too: `score` of each, and whether users would see it.

        passed: called with the tokens that were asked of, now and then.
        """
        values = _values(self.lines.guess(WordsOf(forms), passed=passed), len(forms))
        with self._lock:
            new = np.array([form not in self.counts for form in forms], bool)
        return values["share"], new & (values[self.calibration.measure] < self.calibration.threshold)

    def flagged(self, lines: Lines) -> npt.NDArray[np.bool_]:
        """Tell which raw lines (n,) are strange: of a form not known, and below the threshold of the measure in force.

        This, and not `score` held against a number, is the model's decision.
        """
        judged = self.judge(lines)
        return np.array([verdict.strange for verdict in judged.verdicts], bool)[judged.codes]

    def judge(self, lines: Lines) -> Judged:
        """Judge raw lines; only forms that are neither known nor cached go to the network.

        Cost: about a microsecond a line, and some 2 ms for each form that the network is asked of.
        """
        with self._lock:
            read = self._reader.read(lines)
            return Judged(self.judge_forms(read.forms), read.counts, read.codes)

    def judge_forms(self, forms: Sequence[str]) -> list[Verdict]:
        """Judge lines that are masked already."""
        with self._lock:
            told: dict[str, Verdict] = {}
            missing = []
            for form in dict.fromkeys(forms):
                cached = self._cached(form)
                if cached is not None:
                    told[form] = cached
                else:
                    missing.append(form)
            told |= {verdict.form: verdict for verdict in self._ask(missing)}
            return [told[form] for form in forms]

    def calibrate(self, held_out_lines: Lines, budget: float = BUDGET) -> Calibration:
        """Set the threshold by raw lines held to be normal; those of known forms say nothing and are left out.

        budget: share of the normal forms that are new which may be flagged. Without such lines the calibration of
        `learn`, which held a fifth of the distinct lines out, stays; it has the same meaning.
        """
        with self._lock:
            forms = [form for form in self._reader.read(held_out_lines).forms if form not in self.counts]
            if forms:
                self.calibration = _calibration(self.lines, forms, budget, 0)
                self._cache.clear()
            return self.calibration

    def hold_to(self, share: float) -> None:
        """Let a threshold set by hand, of the share of words foretold (0..1), decide in place of the calibrated one."""
        with self._lock:
            self.calibration = self.calibration._replace(measure="share", threshold=share, budget=1.0, bound=1.0)
            self._cache.clear()

    def explain(self, line: str) -> Explanation:
        """Tell why a line is usual or strange.

        Cost: one pass of the network, some 10 ms more to find the nearest known lines.
        """
        with self._lock:
            form = self._reader.read([line]).forms[0]
            source = "known" if form in self.counts else "cache" if form in self._cache else "model"
            [verdict] = self.judge_forms([form])
            if self._known is None:
                self._known = KnownLines(self.counts.lines(), self.counts.counts())
            known = self._known
        tokens = words(form)
        guesses = self.lines.guess([tokens])
        each = zip(tokens, guesses.rank.tolist(), guesses.chance.tolist(), strict=True)
        asked = self.lines.judge_words([tokens])
        neighbours = known.nearest(form, 4)
        return Explanation(
            line=line,
            masked=form,
            template=mask(line.encode("utf-8", "replace")).template.decode("utf-8", "replace"),
            source=source,
            known_count=self.counts.count_of(form),
            tokens=tuple(TokenGuess(token, rank + 1, round(chance, 6), rank < TOP) for token, rank, chance in each),
            score=round(float(1.0 - asked.missed[0]), 4),
            chance=round(float(10.0 ** -asked.surprise[0]), 6),
            measure=self.calibration.measure,
            threshold=self.calibration.threshold,
            budget=self.calibration.budget,
            bound=self.calibration.bound,
            strange=verdict.strange,
            neighbours=tuple(near for near in neighbours if near.line != form)[:3],
        )

    def save(self, folder: Path) -> None:
        """Write the model into the folder, which is made when missing: ONNX, npz and JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        if not self.quantised or self._exact is not None:
            (folder / "model.onnx").write_bytes(self.exact.onnx())
        if self.quantised:
            (folder / "model.int8.onnx").write_bytes(self.lines.onnx())
        self.counts.save(folder)
        about = {
            "schema_version": SCHEMA_VERSION,
            "calibration": self.calibration._asdict(),
            "quality": self.quality,
            "parameters": self.parameters,
            "quantised": self.quantised,
        }
        (folder / "model.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> LogModel:
        """Read what `save` wrote; needs no torch.

        Raises ValueError or OSError for what is damaged or newer, MissingExtra without ONNX Runtime.
        """
        about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        if about["schema_version"] > SCHEMA_VERSION:
            raise ValueError(f"{folder / 'model.json'} was written by a newer version ({about['schema_version']})")
        if about["quantised"]:
            lines = MaskedLines(Quantised((folder / "model.int8.onnx").read_bytes()))
        else:
            lines = MaskedLines.from_onnx((folder / "model.onnx").read_bytes())
        calibration = Calibration(**about["calibration"])
        return cls(lines, LineCounts.load(folder), calibration, about["quality"], about["parameters"])

    def _cached(self, form: str) -> Verdict | None:
        if form in self.counts:
            return Verdict(form, known=True, score=1.0, chance=1.0, strange=False)
        verdict = self._cache.get(form)
        if verdict is not None:
            self._cache.move_to_end(form)
        return verdict

    def _ask(self, forms: list[str]) -> list[Verdict]:
        if not forms:
            return []
        self.asked += len(forms)
        values = _values(self.lines.guess(WordsOf(forms)), len(forms))
        strange = values[self.calibration.measure] < self.calibration.threshold
        share, chance = values["share"].tolist(), values["chance"].tolist()
        verdicts = [
            Verdict(form, known=False, score=share[at], chance=chance[at], strange=bool(strange[at]))
            for at, form in enumerate(forms)
        ]
        self._cache.update((verdict.form, verdict) for verdict in verdicts)
        while len(self._cache) > self._cached_max:
            self._cache.popitem(last=False)
        return verdicts


def _values(guesses: Guesses, lines: int) -> dict[str, Floats]:
    """Give both measures of so many lines, higher = more usual."""
    judged = guesses.judged(lines)
    return {"share": 1.0 - judged.missed, "chance": 10.0**-judged.surprise}


def _calibration(lines: MaskedLines, forms: Sequence[str], budget: float, seed: int) -> Calibration:
    held = [words(form) for form in _some(forms, seed)]
    made = strangers_of(held, lines.vocabulary.words, seed=seed)
    normal, strange = (_values(lines.guess(each), len(each)) for each in (held, made))
    return calibrated(normal, strange, budget)


def _some(forms: Sequence[str], seed: int) -> list[str]:
    ordered = sorted(forms)
    chosen = np.random.default_rng(seed).permutation(len(ordered))[:JUDGED_HELD_MAX]
    return [ordered[at] for at in chosen.tolist()]


def tokens_settled(counts: LineCounts, seed: int = 0) -> int:
    """Give how many tokens `learn` will ask of to settle the model that it trained from these lines."""
    return SETTLING_PASSES * sum(len(words(form)) for form in _some(counts.split()[1].lines(), seed))


def _settled(
    model: LogModel, held: list[str], budget: float, seed: int, passed: Callable[[int], None] | None
) -> LogModel:
    """Measure the trained network and its rounded twin on lines held out; give the model of the one to be shipped."""
    exact = model.lines
    if not isinstance(exact.network, Network):
        return model
    rounded = MaskedLines(Quantised.of(exact.network))
    tokens = [words(form) for form in _some(held, seed)]
    made = strangers_of(tokens, exact.vocabulary.words, seed=seed)
    told, chosen = {}, []
    for name, lines in (("exact", exact), ("int8", rounded)):
        guesses = lines.guess(tokens, passed=passed)
        normal = _values(guesses, len(tokens))
        strange = _values(lines.guess(made, passed=passed), len(made))
        chosen.append(calibrated(normal, strange, budget))
        told[f"accuracy_{name}"] = float((guesses.rank == 0).mean()) if len(guesses.rank) else 0.0
        told[f"top50_{name}"] = float((guesses.rank < TOP).mean()) if len(guesses.rank) else 0.0
        told[f"separation_{name}"] = max(auc(normal[each], strange[each]) for each in normal)
        told[f"bytes_{name}"] = float(len(lines.onnx()))
    keeps = all(told[f"{name}_int8"] >= told[f"{name}_exact"] - QUALITY_LOSS_MAX for name in ("accuracy", "separation"))
    taken = "int8" if keeps else "exact"
    quality = {
        "accuracy": told[f"accuracy_{taken}"],
        "top50": told[f"top50_{taken}"],
        "separation": told[f"separation_{taken}"],
        "held_lines": float(len(tokens)),
        **told,
    }
    settled = LogModel(
        rounded if keeps else exact,
        model.counts,
        chosen[keeps],
        {name: round(value, 4) for name, value in quality.items()},
        model.parameters,
    )
    settled._exact = exact
    return settled
