"""The forms: which questions there are and what an answer to each must be.

A form joins data sets and models: a model that lists a form can answer every data set of it. Enters: an answer. Leaves:
the same answer in one plain type, or ValueError. `plain` turns what is given into JSON, for models that are commands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from watchkeeper.bench.base import Form
from watchkeeper.diagnose.base import Ranking
from watchkeeper.registry import Registry

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FORMS = Registry[Form]("form")


class SessionBlock(NamedTuple):
    """n sessions of log lines. Session i has the lines offsets[i] to offsets[i + 1] of `templates` and `times_s`."""

    offsets: Ints
    templates: Ints
    times_s: Floats

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def sessions(self) -> Ints:
        """Give the number of the session of each line, (m,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))


class ModalityBlock(NamedTuple):
    """n stretches of time, (n, d) numbers of each modality; not a number where nothing was measured."""

    logs: Floats
    traces: Floats
    metrics: Floats

    def __len__(self) -> int:
        return len(self.logs)


class Choice(NamedTuple):
    """A question with the texts to choose from; `several` tells that more than one may be right."""

    question: str
    choices: tuple[str, ...]
    several: bool = False


class Query(NamedTuple):
    """A text to answer, with recorded evidence where there is any."""

    text: str
    evidence: tuple[str, ...] = ()


class Claim(NamedTuple):
    """A sentence of a report. about: `cause`, `path` (nodes: from, to), `category`, `ruled_out` or `evidence`.

    nodes: those that it names, in order. cites: ids of evidence.
    """

    about: str
    text: str
    nodes: tuple[str, ...]
    cites: tuple[str, ...]


class Told(NamedTuple):
    """A report. causes: nodes, likeliest first, () when none is named; hops: how it spread, (from, to).

    category: the name in docs/categories.md, "" when none is told. proofs: what of its evidence it worked out itself,
    with the nodes that each is about; findings and changes of the window are cited by their own ids.
    """

    causes: tuple[str, ...]
    hops: tuple[tuple[str, str], ...] = ()
    category: str = ""
    claims: tuple[Claim, ...] = ()
    proofs: Mapping[str, tuple[str, ...]] = MappingProxyType({})


class Filling(NamedTuple):
    """Something that fills up: times and values (T,) until now, its limit, and how far ahead is asked."""

    times_unix_ns: Ints
    values: Floats
    limit: float
    horizon_s: float


def until_full(answer: Any, given: Filling) -> float | None:
    """Hold an answer to seconds within the horizon, or None."""
    if answer is None:
        return None
    if not 0.0 <= float(answer) <= given.horizon_s:
        raise ValueError(f"{answer} s are not within the horizon of {given.horizon_s} s")
    return float(answer)


def left(answer: Any, given: Any) -> float:
    """Hold an answer to a number from 0 on."""
    told = float(answer)
    if not 0.0 <= told < float("inf"):
        raise ValueError(f"a time left of {told} is none")
    return told


def scores(answer: Any, given: Any) -> Floats:
    """Hold an answer to one finite score a row."""
    told = np.asarray(answer, np.float64)
    if told.shape != (len(given),):
        raise ValueError(f"{len(given)} scores were asked for, the answer has the shape {told.shape}")
    if not np.isfinite(told).all():
        raise ValueError("a score is not finite")
    return told


def ranking(answer: Any, given: Any) -> Any:
    """Hold an answer to a Ranking, or pairs of node and score; each node of the window at most once."""
    if isinstance(answer, Ranking):
        return answer
    pairs = [(str(node), float(score)) for node, score in answer]
    if len({node for node, _ in pairs}) != len(pairs):
        raise ValueError("a node is ranked twice")
    return pairs


def probabilities(answer: Any, given: Any) -> dict[str, float]:
    """Hold an answer to a probability for each class."""
    told = {str(name): float(value) for name, value in dict(answer).items()}
    if not told or min(told.values()) < 0 or not 0.99 < sum(told.values()) < 1.01:
        raise ValueError(f"probabilities of classes must sum to 1, not {sum(told.values())}")
    return told


def texts(answer: Any, given: Any) -> list[str]:
    """Hold an answer to texts, best first, each once; none is an abstention."""
    if isinstance(answer, str) or not isinstance(answer, Sequence):
        raise ValueError(f"a list of texts was asked for, not {type(answer).__name__}")
    return list(dict.fromkeys(str(each) for each in answer))


def chosen(answer: Any, given: Choice) -> frozenset[int]:
    """Hold an answer to numbers of choices from 0 on; none is an abstention."""
    told = frozenset(int(each) for each in answer)
    if any(not 0 <= each < len(given.choices) for each in told):
        raise ValueError(f"there are {len(given.choices)} choices, the answer is {sorted(told)}")
    return told


def report(answer: Any, given: Any) -> Told:
    """Hold an answer to Told whose hops are pairs."""
    if not isinstance(answer, Told):
        raise ValueError(f"a Told was asked for, not {type(answer).__name__}")
    if any(len(hop) != 2 for hop in answer.hops):
        raise ValueError("a hop is a pair of nodes, from and to")
    return answer


def anything(answer: Any, given: Any) -> Any:
    """Take an answer as it is; the task holds it to more."""
    return answer


def plain(value: Any) -> Any:
    """Give plain data for JSON: arrays as lists, tuples with names as objects."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: plain(each) for name, each in value._asdict().items()}
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    return value


def _window(value: Any) -> Any:
    return {
        "baseline_from_unix_ns": value.baseline_from_unix_ns,
        "onset_unix_ns": value.onset_unix_ns,
        "until_unix_ns": value.until_unix_ns,
        "nodes": list(value.nodes),
        "symptom": value.symptom,
        "series": [
            {"node": one.node, "name": one.name, "times_unix_ns": plain(one.times_unix_ns), "values": plain(one.values)}
            for one in value.series
        ],
        "edges": [[edge.source, edge.target, str(edge.kind)] for edge in value.topology.edges],
    }


for _form in (
    Form("sessions", "SessionBlock: sessions of log templates", "a score a session, higher = stranger", scores, plain),
    Form("series", "(T, metrics) the next steps of one machine", "a score a step, higher = stranger", scores, plain),
    Form("vectors", "(n, d) rows without order", "a score a row, higher = stranger", scores, plain),
    Form("modalities", "ModalityBlock: logs, traces, metrics", "a score a row, higher = stranger", scores, plain),
    Form("rows", "(n, d) rows with named columns (facts `columns`)", "a risk a row, higher = likelier", scores, plain),
    Form("incident", "IncidentWindow", "Ranking, or pairs of node and score", ranking, _window),
    Form("release", "changes with what was measured of each", "pairs of change and score", ranking, plain),
    Form("counts", "how often each event came, by name", "a probability for each class", probabilities, plain),
    Form("narrative", "text of an incident as first told", "a probability for each class", probabilities, plain),
    Form("choice", "Choice", "numbers of the right choices", chosen, plain),
    Form("query", "Query", "texts, best first", texts, plain),
    Form("report", "IncidentWindow", "Told", report, _window),
    Form("cycles", "(T, d) sensors of one unit until now", "time left in cycles", left, plain),
    Form("filling", "Filling: what fills up", "seconds until the limit, None beyond the horizon", until_full, plain),
    Form("shop", "a running shop with a fault", "what was done", anything, plain),
):
    FORMS.add(_form.name, _form)
