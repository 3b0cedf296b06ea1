"""Fits the router of fault kinds from labelled incidents and writes it where the program reads it.

Run by hand when the features change: `python -m benchmarks.fit_fault_kinds`. benchmarks/root_causes_nezha.py measures
models fitted in the same way, each without the incidents that it is scored on. Needs nezha_trainticket.
"""

from __future__ import annotations

import json
from pathlib import Path

import watchkeeper.diagnose.category as room
from watchkeeper.bench.cases.nezha import everything
from watchkeeper.diagnose.category.kinds import FaultKinds
from watchkeeper.diagnose.rank.families import evidence
from watchkeeper.diagnose.rank.routed import calibrated
from watchkeeper.settings import Settings

DATA_SET = "nezha_trainticket"


def main() -> None:
    data = everything(DATA_SET, Settings().path("data"))
    found = [(evidence(case.window), case) for case in data.incidents]
    calm = [evidence(case.window) for case in data.quiet]
    kinds = FaultKinds.fit([(one, case.kind) for one, case in found])
    kinds = calibrated(kinds, [(one, case.truth_nodes) for one, case in found] + [(one, ()) for one in calm])
    fitted = {
        **kinds.as_dict(),
        "fitted_on": f"{DATA_SET}, {len(found)} incidents; the curve on {len(calm)} windows without a fault as well",
    }
    place = Path(room.__file__).parent / "kinds.json"
    place.write_text(json.dumps(fitted, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {place.name}: {fitted['fitted_on']}")


if __name__ == "__main__":
    main()
