"""Which operation calls which: calls never seen before, and calls that were always made and now are not.

Enters: the pairs of parent and child of each closed window. Leaves: judgements. A new call is told once it has been
made in a few traces, if new calls are rare in that service; a missing child is judged like a failure, by parents that
did not fail themselves. Bounded in pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from watchkeeper.detect.novelty import ALARMED_WEIGHT, NoveltyClock
from watchkeeper.detect.traces.calls import Pairs
from watchkeeper.detect.traces.history import FAILURES, Figures, Histories, Key, Watched
from watchkeeper.detect.traces.judgement import Exemplar, Judgement, Kind
from watchkeeper.detect.traces.spans import Operation, Operations, Spans, trace_id
from watchkeeper.detect.traces.verdicts import Suspicion, failures, points

OUTSIDE = -1
PATHS_MAX = 20_000
CHILDREN_MAX = 30
PATH_TRACES_MIN = 3
PATH_WINDOWS_MAX = 30
PATH_SURPRISE_MIN = 1.0
MISSING_SHARE_MAX = 0.02
MISSING_PARENTS_MIN = 50
MISSING_NOW_MIN = 0.2
EXEMPLARS_MAX = 5

Ints = npt.NDArray[np.int64]
Path = tuple[int, int]


@dataclass
class NewPath:
    """A path that has come too seldom to be told: how surprising it was, since when, in which traces."""

    surprise: float
    window: int
    first_ns: int
    traces: int = 0
    exemplars: list[Exemplar] = field(default_factory=list)


class Seen(NamedTuple):
    """One closed window: all spans that may be joined, the pairs that are new, the rows of spans that are new."""

    window: int
    spans: Spans
    pairs: Pairs
    fresh: Ints


class Missing(NamedTuple):
    """A child that too many parents lack now."""

    key: Key
    path: Path
    suspicion: Suspicion
    figures: Figures
    parents: Ints


class Paths:
    """See the module. A path is the numbers of a parent's operation, OUTSIDE for none, and of its child's."""

    def __init__(self, operations: Operations, histories: Histories, warmup_ns: int, window_ns: int) -> None:
        self._operations = operations
        self._histories = histories
        self._warmup_ns, self._window_ns = warmup_ns, window_ns
        self.calls: dict[Path, int] = {}
        self._children: dict[int, list[int]] = {}
        self._parents: dict[int, list[int]] = {}
        self._new: dict[Path, NewPath] = {}
        self.clocks: dict[str, NoveltyClock] = {}

    def parent_of(self, operation: int) -> int:
        """Give the operation that calls this one most, OUTSIDE when none does."""
        best, parent = 0, OUTSIDE
        for other in self._parents.get(operation, ()):
            if self.calls.get((other, operation), 0) > best:
                best, parent = self.calls[other, operation], other
        return parent

    # -- never seen -----------------------------------------------------------------------------------------------

    def meet(self, seen: Seen, first_ns: dict[str, int]) -> list[Judgement]:
        """Judge and learn the paths of a window. first_ns: when each service was first heard of."""
        told: list[Judgement] = []
        roots = seen.fresh[seen.spans.parent[seen.fresh] == 0]
        parents = np.concatenate([seen.spans.operation[seen.pairs.parent], np.full(len(roots), OUTSIDE)])
        rows = np.concatenate([seen.pairs.child, roots])
        both = np.stack([parents, seen.spans.operation[rows]], axis=1)
        distinct, inverse, counts = np.unique(both, axis=0, return_inverse=True, return_counts=True)
        learned = sum(self.calls.values())
        # By name, for the numbers of operations depend on which span came first.
        for place in sorted(range(len(distinct)), key=lambda one: self._names(distinct[one])):
            parent, child = distinct[place].tolist()
            known = self.calls.get((parent, child))
            if known is not None and (parent, child) not in self._new:
                self.calls[parent, child] = known + int(counts[place])
                continue
            mine = rows[inverse.ravel() == place]
            said = self._meet_new((parent, child), seen, mine, first_ns)
            if said is not None:
                told.append(said._replace(learned_spans=learned))
        for path in [path for path, new in self._new.items() if seen.window - new.window > PATH_WINDOWS_MAX]:
            del self._new[path]
        return told

    def _names(self, path: Ints) -> list[Operation]:
        return [self._operations.names[one] if one != OUTSIDE else Operation("", "") for one in path.tolist()]

    def _meet_new(
        self,
        path: Path,
        seen: Seen,
        rows: Ints,
        first_ns: dict[str, int],
    ) -> Judgement | None:
        teller = self._operations.names[path[1] if path[0] == OUTSIDE else path[0]]
        at_ns = int(seen.spans.end_ns[rows].min())
        begun_ns = first_ns.get(teller.service, at_ns)
        clock = self.clocks.setdefault(teller.service, NoveltyClock(begun_ns + self._warmup_ns // 2))
        if path not in self.calls:
            if len(self.calls) >= PATHS_MAX:
                return None
            self.calls[path] = 0
            self._relate(path)
            if at_ns - begun_ns < self._warmup_ns:
                clock.add(at_ns, 1.0)
            else:
                surprise = clock.surprise(at_ns, self._window_ns / 1e9)
                self._new[path] = NewPath(surprise, seen.window, at_ns)
                clock.add(at_ns, ALARMED_WEIGHT if surprise >= PATH_SURPRISE_MIN else 1.0)
        self.calls[path] += len(rows)
        new = self._new.get(path)
        if new is None:
            return None
        new.traces += len(rows)
        for row in rows[: EXEMPLARS_MAX - len(new.exemplars)].tolist():
            text = f"{self._operations.names[path[1]].name} took {seen.spans.duration_s[row] * 1e3:,.3g} ms"
            new.exemplars.append(Exemplar(text, int(seen.spans.start_ns[row]), trace_id(seen.spans.trace[row])))
        if new.traces < PATH_TRACES_MIN:
            return None
        del self._new[path]
        return self._unseen(path, new, seen, begun_ns) if new.surprise >= PATH_SURPRISE_MIN else None

    def _relate(self, path: Path) -> None:
        parent, child = path
        if parent != OUTSIDE and len(self._children.setdefault(parent, [])) < CHILDREN_MAX:
            self._children[parent].append(child)
            self._parents.setdefault(child, []).append(parent)

    def _unseen(self, path: Path, new: NewPath, seen: Seen, begun_ns: int) -> Judgement:
        names = self._operations.names
        child, parent = names[path[1]], names[path[0]] if path[0] != OUTSIDE else Operation("", "")
        return Judgement(
            Kind.UNSEEN,
            parent.service or child.service,
            parent.name,
            round(new.surprise + math.log10(new.traces), 3),
            new.first_ns,
            (seen.window + 1) * self._window_ns,
            float(new.traces),
            0.0,
            None,
            0.0,
            "traces",
            new.traces,
            new.traces,
            caller=parent.service,
            callee=child.service,
            child=child.name,
            exemplars=tuple(new.exemplars),
            learned_from_ns=begun_ns,
            learned_windows=max(0, (new.first_ns - begun_ns) // self._window_ns),
        )

    # -- missing --------------------------------------------------------------------------------------------------

    def missing(self, seen: Seen, newest_ns: dict[str, int]) -> list[Missing]:
        """Count which parents of the window lack which child, learn it, and give what is suspicious.

        newest_ns: of each service. Where the child's service tells nothing of the window's second half, its spans are
        late or it is gone, and nothing is concluded.
        """
        found: list[Missing] = []
        fine = seen.fresh[~seen.spans.failed[seen.fresh]]
        operations = seen.spans.operation[fine]
        told_ns = seen.window * self._window_ns + self._window_ns // 2
        for parent in np.unique(operations).tolist():
            rows = fine[operations == parent]
            mine = np.isin(seen.pairs.parent, rows)
            for child in self._children.get(parent, ()):
                if newest_ns.get(self._operations.names[child].service, 0) < told_ns:
                    continue
                has = seen.pairs.parent[mine & (seen.spans.operation[seen.pairs.child] == child)]
                lacking = rows[~np.isin(rows, has)]
                one = self._count((parent, child), seen.window, len(rows), lacking)
                found += [one] if one is not None else []
        return found

    def _count(self, path: Path, window: int, parents: int, lacking: Ints) -> Missing | None:
        names = self._operations.names
        key = Key(Watched.CHILD, *names[path[0]], *names[path[1]])
        row, figures = self._histories.row(key), Figures(parents, len(lacking))
        share, _ = self._histories.share(row)
        known = self._histories.trials(row) >= MISSING_PARENTS_MIN and share <= MISSING_SHARE_MAX
        suspicion = failures(parents, len(lacking), self._histories, row, Kind.MISSING) if known else None
        if suspicion is None or (suspicion.seen < MISSING_NOW_MIN and not suspicion.weak):
            self._histories.append(row, window, figures)
            return None
        return Missing(key, path, suspicion, figures, lacking)

    def missing_points(self, one: Missing, window: int) -> tuple[tuple[int, float], ...]:
        """Give the share of parents without the child, window by window."""
        row = self._histories.row(one.key)
        return tuple(points(self._histories, row, FAILURES, one.figures, window, self._window_ns))

    # -- state ----------------------------------------------------------------------------------------------------

    def as_dict(self) -> dict[str, Any]:
        """Give plain data to save."""
        return {
            "calls": [[*path, count] for path, count in self.calls.items()],
            "new": [
                [*path, new.surprise, new.window, new.first_ns, new.traces, [list(one) for one in new.exemplars]]
                for path, new in self._new.items()
            ],
            "clocks": [[name, clock.from_ns, clock.events, clock.at_ns] for name, clock in self.clocks.items()],
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Take up what `as_dict` gave; raises KeyError, TypeError or ValueError when it does not fit."""
        self.calls = {(int(parent), int(child)): int(count) for parent, child, count in saved["calls"]}
        self._children, self._parents = {}, {}
        for path in self.calls:
            self._relate(path)
        self._new = {
            (int(parent), int(child)): NewPath(
                float(surprise), int(window), int(first), int(traces), [Exemplar(*one) for one in exemplars]
            )
            for parent, child, surprise, window, first, traces, exemplars in saved["new"]
        }
        self.clocks = {
            name: NoveltyClock(int(begun), float(events), int(at)) for name, begun, events, at in saved["clocks"]
        }
