"""What `watchkeeper up` costs while nothing happens: time to ready, memory, share of a core; and the installed size."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import subprocess
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.pipeline import start


def installed_bytes(names: set[str]) -> int:
    """Give the size on disk of the files of these distributions."""
    total = 0
    for name in names:
        for file in importlib.metadata.files(name) or []:
            path = Path(str(file.locate()))
            if path.is_file():
                total += path.stat().st_size
    return total


def core_distributions() -> set[str]:
    """Give the names of Watchkeeper and all that its core install brings, extras left out."""
    from packaging.requirements import Requirement

    found: set[str] = set()
    waiting = ["watchkeeper"]
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in found:
            continue
        try:
            wanted = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        found.add(name)
        for text in wanted:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return found


def measure(seconds: float) -> dict[str, float]:
    """Start three times, take the median time to ready; then watch the last one idle."""
    ready = []
    for attempt in range(3):
        with tempfile.TemporaryDirectory() as home:
            begun = time.perf_counter()
            process, _ = start(home)
            ready.append(time.perf_counter() - begun)
            try:
                if attempt == 2:
                    idle = watch(process, seconds)
            finally:
                process.terminate()
                process.wait(60)
    return {"ready_s": sorted(ready)[1], **idle, "installed_mb": installed_bytes(core_distributions()) / 1e6}


def watch(process: subprocess.Popen[str], seconds: float) -> dict[str, float]:
    """Watch a process that has been left alone for a moment."""
    seen = psutil.Process(process.pid)
    time.sleep(5)
    before = seen.cpu_times()
    time.sleep(seconds)
    after = seen.cpu_times()
    used = after.user + after.system - before.user - before.system
    return {"idle_percent_of_core": 100 * used / seconds, "idle_memory_mib": seen.memory_info().rss / 2**20}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    result = measure(chosen.seconds)
    if chosen.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:24s} {value:10.2f}")


if __name__ == "__main__":
    main()
