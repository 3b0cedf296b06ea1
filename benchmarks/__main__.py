"""`python -m benchmarks [NAME ...] [--json FILE]`: run benchmarks, print a table of each, keep all figures as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks.run import NAMES, document, run

JSON_FILE = Path(".cache/benchmarks.json")


def main() -> int:
    """Give 1 when a benchmark failed, for which reason is told; else 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(NAMES)} (default: all)")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", default=JSON_FILE, help=f"where all figures go (default: {JSON_FILE})"
    )
    chosen = parser.parse_args()
    unknown = set(chosen.names) - set(NAMES)
    if unknown:
        parser.error(f"there is no benchmark named {', '.join(sorted(unknown))}; there are: {', '.join(NAMES)}")
    ran = run(chosen.names or NAMES)
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    chosen.json.write_text(json.dumps(document(ran), indent=2) + "\n", encoding="utf-8")
    print(f"all figures: {chosen.json}")
    return 1 if ran.failed else 0


if __name__ == "__main__":
    sys.exit(main())
