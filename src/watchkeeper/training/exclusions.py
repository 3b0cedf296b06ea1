"""What is not learned from because it was judged anomalous already: which template of which service, and when.

Enters: findings of logs. Leaves: Exclusions, as JSON data for the worker, and there a mask over rows. A finding about a
template leaves out that template's lines of its service while it went on; one about a service's errors or severity, all
lines of it in that time. What an operator has called wrong is learned from again. Reads no store.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from watchkeeper.signals.finding import Finding

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
ABSENCES = ("stopped", "silent")
"""Last words of kinds that tell of lines which did not come: what came is not to blame."""


class Exclusion(NamedTuple):
    """Lines of a service, of one template or (None) of all, between two inclusive times of event in Unix ns."""

    service: str
    template_id: int | None
    from_unix_ns: int
    until_unix_ns: int


def exclusions_of(findings: Iterable[Finding], *, unless: frozenset[str] = frozenset()) -> list[Exclusion]:
    """Give what findings exclude. unless: ids of findings that were called wrong."""
    return [
        Exclusion(each.service, each.template_id, each.first_unix_ns, each.last_unix_ns)
        for each in findings
        if each.signal == "logs" and each.id not in unless and not each.kind.endswith(ABSENCES)
    ]


class Excluded:
    """Exclusions ready to be asked. Cost of a question: the distinct services and templates of its rows."""

    def __init__(self, exclusions: Iterable[Sequence[object]]) -> None:
        spans: dict[tuple[str, int | None], list[tuple[int, int]]] = defaultdict(list)
        for each in exclusions:
            one = Exclusion(*each)  # type: ignore[arg-type]
            spans[one.service, one.template_id].append((one.from_unix_ns, one.until_unix_ns))
        self._spans = {key: _merged(each) for key, each in spans.items()}
        self._services = {service for service, _ in self._spans}

    def mask(self, services: Sequence[str | None], codes: Ints, templates: Ints, times: Ints) -> Mask:
        """Tell, for each row (n,), whether it is left out. codes: (n,) into `services`. templates: -1 for none."""
        out = np.zeros(len(times), bool)
        for code, service in enumerate(services):
            if service not in self._services:
                continue
            rows = np.flatnonzero(codes == code)
            self._cover(out, rows, times, (service, None))
            for template in np.unique(templates[rows]):
                if (service, int(template)) in self._spans:
                    self._cover(out, rows[templates[rows] == template], times, (service, int(template)))
        return out

    def _cover(self, out: Mask, rows: Ints, times: Ints, key: tuple[str, int | None]) -> None:
        spans = self._spans.get(key)
        if spans is None or not len(rows):
            return
        at = np.searchsorted(spans[:, 0], times[rows], side="right") - 1
        out[rows] |= (at >= 0) & (times[rows] <= spans[np.maximum(at, 0), 1])


def _merged(spans: list[tuple[int, int]]) -> Ints:
    """Give the spans (n, 2) sorted, those that overlap as one."""
    merged: list[list[int]] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([begin, end])
    return np.asarray(merged, np.int64).reshape(-1, 2)
