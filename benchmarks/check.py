"""`python -m benchmarks.check [NAME ...]`: run the benchmarks that have ratios and hold them against baseline.json.

Ends with 1 when a ratio is more than 20 % worse, when one that the baseline has is missing, or when a benchmark failed.
`--write` stores what was found as the new baseline (ratios that this run has no figure for stay as they were);
`--from FILE` judges the JSON document of an earlier run and measures nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import ratios
from benchmarks.run import document, run
from benchmarks.tables import grid, number

BASELINE = Path(__file__).with_name("baseline.json")
LOAD_SECONDS = "30"


def main() -> int:
    """Give 0 when nothing is worse."""
    names = ratios.benchmarks()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(names)} (default: all)")
    parser.add_argument("--baseline", type=Path, default=BASELINE, metavar="FILE")
    parser.add_argument("--from", type=Path, dest="earlier", metavar="FILE", help="a document of `make bench`")
    parser.add_argument("--write", action="store_true", help="store the ratios found as the new baseline")
    chosen = parser.parse_args()
    if unknown := set(chosen.names) - set(names):
        parser.error(f"no benchmark with ratios is named {', '.join(sorted(unknown))}; there are: {', '.join(names)}")
    if chosen.earlier:
        measured: dict[str, Any] = json.loads(chosen.earlier.read_text(encoding="utf-8"))
    else:
        measured = document(run(chosen.names or names, {"pipeline": ["--seconds", LOAD_SECONDS]}))
    now = ratios.found(measured["figures"])
    if chosen.write:
        write(chosen.baseline, now, measured)
        print(f"\n{len(now)} ratios written to {chosen.baseline}")
        return 1 if measured["failed"] else 0
    return report(list(ratios.compare(read(chosen.baseline), now, chosen.names or names)), measured["failed"])


def read(file: Path) -> dict[str, float]:
    """Give the baseline's ratios; none when there is no baseline yet."""
    if not file.exists():
        return {}
    held: dict[str, float] = json.loads(file.read_text(encoding="utf-8"))["ratios"]
    return held


def write(file: Path, now: dict[str, float], measured: dict[str, Any]) -> None:
    """Store ratios as the baseline; those known that `now` lacks stay."""
    kept = {path: value for path, value in read(file).items() if path in ratios.RATIOS}
    merged = {**kept, **now}
    held = {path: round(merged[path], 4) for path in ratios.RATIOS if path in merged}
    about = {name: measured.get(name) for name in ("date", "commit", "machine")}
    file.write_text(json.dumps({**about, "ratios": held}, indent=2) + "\n", encoding="utf-8")


def report(verdicts: Sequence[ratios.Verdict], failed: dict[str, str]) -> int:
    """Print the verdicts, what fails last and in words; give the exit status."""
    rows = [
        [each.path, number(each.now), number(each.baseline), _percent(each.change), each.better, each.outcome]
        for each in verdicts
    ]
    print()
    print("\n".join(grid(["ratio", "now [x]", "baseline [x]", "change", "better is", "outcome"], rows)))
    bad = [each for each in verdicts if each.fails]
    for name, why in failed.items():
        print(f"FAILED: the benchmark {name} did not end: {why}")
    for each in bad:
        what = "has no figure now" if each.now is None else f"is {_percent(each.change)} against the baseline"
        print(f"FAILED: {each.path} {what}")
    if not bad and not failed:
        print(f"nothing is more than {ratios.TOLERANCE:.0%} worse than the baseline")
    return 1 if bad or failed else 0


def _percent(change: float | None) -> str:
    return "-" if change is None else f"{change:+.0%}"


if __name__ == "__main__":
    sys.exit(main())
