"""`python -m benchmarks [NAME ...] [--json FILE]`: runs the benchmarks one after another, each in its own process.

Prints what each prints and writes one JSON document with all figures, the date and the machine.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

NAMES = ("idle", "decoders", "patterns", "log_anomalies", "store", "pipeline")


def machine() -> dict[str, object]:
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "python": platform.python_version(),
        "system": platform.platform(),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(NAMES)} (default: all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures here")
    chosen = parser.parse_args()
    unknown = set(chosen.names) - set(NAMES)
    if unknown:
        parser.error(f"there is no benchmark named {', '.join(sorted(unknown))}; there are: {', '.join(NAMES)}")
    figures: dict[str, object] = {}
    failed = []
    names = chosen.names or list(NAMES)
    for number, name in enumerate(names, 1):
        print(f"[{number}/{len(names)}] {name}", flush=True)
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}", "--json"], stdout=subprocess.PIPE, text=True, check=False
        )
        if done.returncode:
            failed.append(name)
            print(f"  failed with exit status {done.returncode}", flush=True)
            continue
        figures[name] = json.loads(done.stdout.strip().splitlines()[-1])
        print(json.dumps(figures[name], indent=2), flush=True)
    document = {"date": datetime.date.today().isoformat(), "machine": machine(), "figures": figures, "failed": failed}
    if chosen.json:
        chosen.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
