"""One labelled incident, in the form in which every ranker and classifier is measured.

Made by an adapter of a data set (`bench/cases/<set>.py`), used by benchmarks and by fitting. The window holds what was
observed only; what is true stands beside it, so that no ranker can read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from watchkeeper.diagnose.window import IncidentWindow

NS_PER_S = 1_000_000_000


@dataclass(frozen=True)
class Case:
    """One labelled incident, or a window without a fault when `truth_nodes` is ().

    group: what must not be on both sides of a split (traffic scenario, faulty service, day). truth_nodes: any of them
    is right. truth_indicators: names of indicators, any of them is right, () when not labelled. kind: what was broken
    in the data set's own words. attributes: what else is known of the truth, such as a code region.
    """

    id: str
    group: str
    window: IncidentWindow
    truth_nodes: tuple[str, ...] = ()
    truth_indicators: tuple[str, ...] = ()
    kind: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_fault_free(self) -> bool:
        """Tell whether nothing was broken in this window."""
        return not self.truth_nodes


def with_onset(case: Case, shift_s: float) -> Case:
    """Give the case with the onset told `shift_s` seconds later (earlier when negative), as a detector might have it.

    The onset stays inside the window; what was observed does not change.
    """
    window = case.window
    onset = window.onset_unix_ns + round(shift_s * NS_PER_S)
    onset = min(max(onset, window.baseline_from_unix_ns + 1), window.until_unix_ns - 1)
    return replace(case, window=replace(window, onset_unix_ns=onset))


def leave_one_group_out(cases: Iterable[Case]) -> Iterator[tuple[str, list[Case], list[Case]]]:
    """Give for each group its name, the cases of all other groups to learn from, and its own cases to be scored."""
    every = list(cases)
    for group in dict.fromkeys(case.group for case in every):
        yield (
            group,
            [case for case in every if case.group != group],
            [case for case in every if case.group == group],
        )
