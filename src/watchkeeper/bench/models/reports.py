"""Reports: the product's, and the trivial ones that any claim is held against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from watchkeeper.bench.base import Context, Example, ModelSpec
from watchkeeper.bench.forms import Claim, Told
from watchkeeper.bench.scores.report import observed, told_of
from watchkeeper.diagnose.base import Proof, Ranking
from watchkeeper.diagnose.category.rules import EvidenceClassifier
from watchkeeper.diagnose.diagnoser import Diagnoser
from watchkeeper.diagnose.member import nodes_of
from watchkeeper.diagnose.rank.registry import ranker
from watchkeeper.diagnose.report.writer import write_report
from watchkeeper.diagnose.window import IncidentWindow


class Written:
    """The product's writer on the product's diagnosis; learns nothing."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Make the diagnosis."""
        self._diagnose: Callable[[IncidentWindow], Ranking] = Diagnoser().diagnose
        self._classifier = EvidenceClassifier()

    def answer(self, given: IncidentWindow) -> Told:
        """Diagnose and word it."""
        ranking = self._diagnose(given)
        told = self._classifier.classify(given, ranking)
        return told_of(write_report(None, given.findings, given, ranking, told), ranking, told, given)


class Ruled:
    """A report by a rule."""

    def __init__(self, rule: Callable[[IncidentWindow], Told]) -> None:
        self._rule = rule

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Learn nothing."""

    def answer(self, given: IncidentWindow) -> Told:
        """Apply the rule."""
        return self._rule(given)


class Guessed(Written):
    """The product's writer on a ranking in a random order that is sure of itself."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Take the seed."""
        super().fit(examples, context)
        self._random = np.random.default_rng(context.seed)
        self._diagnose = self._guess

    def _guess(self, window: IncidentWindow) -> Ranking:
        """Draw the order; each verdict cites the first finding that there is."""
        ranking = ranker("random").rank(window)
        proof = tuple(Proof(finding.id, finding.title, finding_id=finding.id) for finding in window.findings[:1])
        order = self._random.permutation(len(ranking.causes))
        causes = tuple(replace(ranking.causes[at], evidence_for=proof) for at in order)
        return replace(ranking, causes=causes, abstains=False)


def loudest(window: IncidentWindow) -> Told:
    """Name the node with most findings, or without findings the one whose metrics moved furthest; tells no chain."""
    counts = Counter(node for finding in window.findings for node in nodes_of(finding)[:1])
    if counts:
        node = min(counts, key=lambda each: (-counts[each], each))
        cites = tuple(finding.id for finding in window.findings if node in nodes_of(finding))
        return Told((node,), claims=(Claim("cause", f"The cause is {node}.", (node,), cites),))
    order = ranker("loudest").rank(window).nodes()
    return _telling(order[0]) if order else Told(())


def everything(window: IncidentWindow) -> Told:
    """Claim every node as a cause and every edge both ways as a step, and cite all that there is."""
    proofs = {f"seen {node}": (node,) for node in sorted(observed(window))}
    cites = (*(finding.id for finding in window.findings), *proofs)
    edges = sorted({(edge.source, edge.target) for edge in window.topology.edges})
    hops = tuple(dict.fromkeys([*edges, *((target, source) for source, target in edges)]))
    claims = [Claim("cause", f"The cause is {node}.", (node,), cites) for node in window.nodes]
    claims += [Claim("path", f"{source} reached {target}.", (source, target), cites) for source, target in hops]
    return Told(window.nodes, hops, "", tuple(claims), proofs)


def _telling(node: str) -> Told:
    claim = Claim("cause", f"The cause is {node}.", (node,), ("metrics",))
    return Told((node,), claims=(claim,), proofs={"metrics": (node,)})


_FORM = ("report",)
MODELS = (
    ModelSpec("report_watchkeeper", _FORM, Written, "the product's diagnosis and report"),
    ModelSpec("report_random", _FORM, Guessed, "a random cause, sure of it", trivial=True, random=True),
    ModelSpec("report_loudest", _FORM, lambda: Ruled(loudest), "names the loudest node", trivial=True),
    ModelSpec("report_everything", _FORM, lambda: Ruled(everything), "claims everything", trivial=True),
    ModelSpec("report_empty", _FORM, lambda: Ruled(lambda window: Told(())), "claims nothing", trivial=True),
)
