"""The ratios that must not get worse, and how a run is held against the baseline. Pure: figures in, verdicts out.

A ratio is told by the path of its figure in the JSON document; its direction stands here, once. Ratios to a peer of the
same run move little with the machine, so a change of more than TOLERANCE is a change of the code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

TOLERANCE = 0.20

HIGHER, LOWER = "higher", "lower"
"""Which values are better."""

RATIOS: dict[str, str] = {
    "decoders.logs.ratio": HIGHER,
    "decoders.metrics.ratio": HIGHER,
    "decoders.spans.ratio": HIGHER,
    "patterns.speed.hdfs.ratio_to_drain3": HIGHER,
    "patterns.speed.bgl.ratio_to_drain3": HIGHER,
    "patterns.averages.original labels, watchkeeper.ga": HIGHER,
    "patterns.averages.original labels, watchkeeper.fga": HIGHER,
    "patterns.averages.corrected labels, watchkeeper.ga": HIGHER,
    "patterns.averages.corrected labels, watchkeeper.pa": HIGHER,
    "patterns.averages.corrected labels, watchkeeper.fta": HIGHER,
    "pipeline.ratio_to_reference_decoder": HIGHER,
    "pipeline.ratio_to_drain3": HIGHER,
    "pipeline.cpu_ratio_to_reference_decoder": LOWER,
    "pipeline.cpu_ratio_to_drain3": LOWER,
}


class Verdict(NamedTuple):
    """One ratio held against its baseline; None stands for no figure. `change` is relative, positive is better."""

    path: str
    better: str
    baseline: float | None
    now: float | None
    change: float | None
    outcome: str

    @property
    def fails(self) -> bool:
        """Tell whether this must fail the check: worse than allowed, or a figure that was there and is gone."""
        return self.outcome in {"worse", "missing"}


def benchmarks() -> list[str]:
    """Give the names of the benchmarks that have ratios, in order."""
    return list(dict.fromkeys(path.partition(".")[0] for path in RATIOS))


def found(figures: Mapping[str, Any]) -> dict[str, float]:
    """Give the ratios that a run's figures hold."""
    held = {path: _at(figures, path) for path in RATIOS}
    return {path: value for path, value in held.items() if value is not None}


def compare(baseline: Mapping[str, float], now: Mapping[str, float], names: list[str]) -> Iterator[Verdict]:
    """Hold the ratios of the benchmarks `names` against the baseline.

    Outcomes: "ok"; "better" and "worse" by more than TOLERANCE; "missing" when only the baseline has it; "new" when
    only the run has it; "unknown" when the baseline has a path that no benchmark gives any more; "no figure" for none.
    """
    for path, better in RATIOS.items():
        if path.partition(".")[0] in names:
            yield _verdict(path, better, baseline.get(path), now.get(path))
    for path in baseline:
        if path not in RATIOS:
            yield Verdict(path, "-", baseline[path], None, None, "unknown")


def _verdict(path: str, better: str, before: float | None, now: float | None) -> Verdict:
    if before is None or now is None:
        outcome = "no figure" if before is now else "new" if before is None else "missing"
        return Verdict(path, better, before, now, None, outcome)
    change = (now - before) / before if better == HIGHER else (before - now) / before
    outcome = "worse" if change < -TOLERANCE else "better" if change > TOLERANCE else "ok"
    return Verdict(path, better, before, now, change, outcome)


def _at(figures: Mapping[str, Any], path: str) -> float | None:
    value: Any = figures
    for name in path.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return None
        value = value[name]
    return float(value) if isinstance(value, int | float) else None
