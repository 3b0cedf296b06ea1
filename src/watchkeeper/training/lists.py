"""Watchlists and workloads as page and command line show and edit them: with counts, by wildcards, several lists.

Enters: requests as of requests.py. Leaves: plain data. What is submitted goes through the training gateway, which alone
decides; this only chooses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from watchkeeper.errors import NotFound, QueryError
from watchkeeper.training.counts import WorkloadCounts
from watchkeeper.training.gateway import Plain, TrainingGateway, aggregation_head, check_range
from watchkeeper.training.requests import ChooseRequest, EditRequest, ListTrainRequest, read
from watchkeeper.training.watchlist import DEFAULT, Watchlist, check_name
from watchkeeper.training.workloads import Workload, WorkloadPattern, read_pattern


class Lists:
    """What `/api/v1/watchlists` and `/api/v1/workloads` ask for; safe to use from any thread."""

    def __init__(self, gateway: TrainingGateway) -> None:
        self._gateway = gateway
        self._lists = gateway.watchlists

    def workloads(self, *, match: str = "", limit: int = 1_000) -> Plain:
        """Give workloads and their log counts, the busiest first, and in which lists each is chosen."""
        counts = self._gateway.counts()
        wanted = read_pattern(match) if match else WorkloadPattern()
        found = [each for each in counts.items if wanted.matches(each.workload)]
        chosen = {each.name: {*each.chosen} for each in self._lists.list()}
        items = [
            {
                **each.workload.as_dict(),
                "log_count": each.log_count,
                "watchlists": [name for name, workloads in chosen.items() if each.workload in workloads],
            }
            for each in found[:limit]
        ]
        head = aggregation_head(counts, found=bool(found))
        return {**head, "left_out": counts.left_out, "total": len(found), "items": items}

    def all(self) -> Plain:
        """Give every list."""
        counts = self._gateway.counts().by_workload()
        return {"items": [self._shown(each, counts) for each in self._lists.list()]}

    def get(self, name: str) -> Plain:
        """Give one list; raises NotFound."""
        return self._shown(self._lists.get(name), self._gateway.counts().by_workload())

    def choose(self, name: str, data: Any) -> Plain:
        """Set what a list is to hold, without submitting it; makes the list where it is missing."""
        self._lists.choose(name, [each.workload() for each in read(ChooseRequest, data).items])
        return self.get(name)

    def edit(self, name: str, data: Any) -> Plain:
        """Add workloads and take others away, by patterns; gives the list, and what was added and removed.

        A pattern without wildcards adds its workload even if nothing was ever heard of it. Raises NotFound for a
        pattern that means nothing that is known, and changes nothing then.
        """
        add, remove = read(EditRequest, data).patterns()
        if not add and not remove:
            raise QueryError("nothing to add and nothing to remove; give patterns of workloads in `add` or `remove`")
        check_name(name)
        known = self._lists.get(name) if name in self._lists.names() else Watchlist(name)
        chosen = {*known.chosen}
        added = _meant(add, self._gateway.counts()) - chosen
        removed: set[Workload] = set()
        for pattern in remove:
            gone = {*pattern.of(chosen | added)}
            if not gone:
                raise NotFound(f"no workload of the watchlist {name!r} is meant by {'/'.join(pattern)!r}")
            removed |= gone
        self._lists.choose(name, (chosen | added) - removed)
        return {**self.get(name), "added": _items(added - removed), "removed": _items(removed & chosen)}

    def train(self, name: str, data: Any, *, who: str) -> Plain:
        """Submit a list: what is given, else what is chosen in it."""
        request = read(ListTrainRequest, data)
        start, end = check_range(request.from_unix_ns, request.until_unix_ns)
        if request.items is None:
            workloads: Iterable[Workload] = self._lists.get(name).chosen
        else:
            workloads = [each.workload() for each in request.items]
        return self._gateway.submit(name, workloads, who=who, from_unix_ns=start, until_unix_ns=end)

    def remove(self, name: str, *, who: str) -> None:
        """Reset a list and forget it; raises NotFound."""
        self._gateway.remove(name, who=who)

    def _shown(self, known: Watchlist, counts: Mapping[Workload, int]) -> Plain:
        status = self._gateway.status(known.name)
        return {
            "name": known.name,
            "is_default": known.name == DEFAULT,
            "items": _items(known.chosen, counts),
            "submitted": _items(known.submitted),
            "trained": _items(known.trained),
            "is_submitted": known.chosen == known.submitted,
            "submitted_unix_ns": str(known.submitted_unix_ns),
            "trained_unix_ns": str(known.trained_unix_ns),
            "decision": known.decision,
            "status": status,
        }


def _meant(patterns: Iterable[WorkloadPattern], counts: WorkloadCounts) -> set[Workload]:
    heard = [each.workload for each in counts.items]
    meant: set[Workload] = set()
    for pattern in patterns:
        found = {*pattern.of(heard)}
        if not found and pattern.is_exact:
            found = {Workload(*pattern)}
        if not found:
            about = f" ({counts.state}{f': {counts.problem}' if counts.problem else ''})"
            raise NotFound(
                f"no workload that sent logs in the last hour{about} is meant by {'/'.join(pattern)!r}; "
                "`watchkeeper watch list --known` lists them"
            )
        meant |= found
    return meant


def _items(workloads: Iterable[Workload], counts: Mapping[Workload, int] | None = None) -> list[Plain]:
    return [
        {**each.as_dict(), **({"log_count": counts.get(each, 0)} if counts is not None else {})}
        for each in sorted(workloads)
    ]
