"""Names of a CMDB that people misspelt, matched to the names that are seen: top-1, top-3, and what is wrongly matched.

Generated CMDBs of 100 and 1,000 services, several seeds: a tenth of the names carry one or two slips of the pen or
another word for their role. Beside it stand the exact look-up, the standard library's nearest match, and a random
choice. `wrong_of_unknown` is the share of names of services that do not exist, misspelt too, that were matched all the
same; `accepted` and `right_of_accepted` are of the misspelt names at the product's floor.
"""

from __future__ import annotations

import argparse
import difflib
import json
import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from watchkeeper.topology.cmdb import FLOOR, Names
from watchkeeper.topology.generate import generate_cmdb

SIZES = (100, 1_000)
SEEDS = range(300, 310)
UNKNOWN_SHARE = 0.1

Nearest = Callable[[str], list[str]]


def rules(known: list[str], seed: int) -> dict[str, Nearest]:
    """Give each rule as a function from a written name to up to three known ones."""
    names, source = Names(known), random.Random(seed)
    return {
        "watchkeeper": lambda name: [match.name for match in names.nearest(name, 3)],
        "difflib": lambda name: difflib.get_close_matches(name, known, n=3, cutoff=0.0),
        "exact": lambda name: [name] if name in known else [],
        "random": lambda name: source.sample(known, 3),
    }


def measure(services: int) -> dict[str, Any]:
    """Measure one size over all seeds."""
    top: dict[str, dict[str, list[float]]] = {}
    accepted, right, wrong, spent, asked = [], [], [], 0.0, 0
    for seed in SEEDS:
        made = generate_cmdb(services, seed)
        source = random.Random(seed)
        gone = set(source.sample(made.names, round(UNKNOWN_SHARE * services)))
        known = [name for name in made.names if name not in gone]
        misspelt = {written: name for written, name in made.misspelt.items() if name not in gone}
        for rule, nearest in rules(known, seed).items():
            found = [(nearest(written), name) for written, name in misspelt.items()]
            told = top.setdefault(rule, {"top_1": [], "top_3": []})
            told["top_1"].append(float(np.mean([near[:1] == [name] for near, name in found])))
            told["top_3"].append(float(np.mean([name in near for near, name in found])))
        names, begun = Names(known), time.perf_counter()
        matches = [(names.match(written), name) for written, name in misspelt.items()]
        spent, asked = spent + time.perf_counter() - begun, asked + len(matches)
        taken = [(match.name, name) for match, name in matches if match is not None]
        accepted.append(len(taken) / len(matches))
        right.append(float(np.mean([one == name for one, name in taken])))
        wrong.append(float(np.mean([names.match(name) is not None for name in sorted(gone)])))
    return {
        **{
            rule: {each: round(float(np.mean(values)), 4) for each, values in told.items()}
            for rule, told in top.items()
        },
        "at_the_floor": {
            "floor": FLOOR,
            "accepted": round(float(np.mean(accepted)), 4),
            "right_of_accepted": round(float(np.mean(right)), 4),
            "wrong_of_unknown": round(float(np.mean(wrong)), 4),
            "look_up_ms": round(1e3 * spent / asked, 3),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    result = {f"{services}_services": measure(services) for services in SIZES}
    print(json.dumps(result, indent=None if chosen.json else 2))


if __name__ == "__main__":
    main()
