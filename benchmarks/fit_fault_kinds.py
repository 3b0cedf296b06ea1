"""Fits the router of fault kinds from labelled incidents and writes it where the program reads it.

Run by hand when the features change: `python -m benchmarks.fit_fault_kinds`. benchmarks/root_causes_nezha.py measures
models fitted in the same way, each without the incidents that it is scored on. Needs nezha_trainticket.
"""

from __future__ import annotations

import json
from pathlib import Path

import watchkeeper.diagnose.category as room
from watchkeeper.bench.cases.nezha import cases
from watchkeeper.diagnose.category.kinds import FaultKinds
from watchkeeper.diagnose.rank.families import evidence
from watchkeeper.settings import Settings

DATA_SET = "nezha_trainticket"


def main() -> None:
    found = [(evidence(case.window), case.kind) for case in cases(DATA_SET, Settings().path("data"))]
    fitted = {**FaultKinds.fit(found).as_dict(), "fitted_on": f"{DATA_SET}, {len(found)} incidents"}
    place = Path(room.__file__).parent / "kinds.json"
    place.write_text(json.dumps(fitted, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {place.name}: {fitted['fitted_on']}")


if __name__ == "__main__":
    main()
