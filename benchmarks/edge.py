"""What the agent of a node costs at rest: memory and share of a core, with host metrics every 10 s."""

from __future__ import annotations

import argparse
import json
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.idle import watch
from benchmarks.pipeline import start

FREE_PORTS = ("otlp_http_port=0", "otlp_grpc_port=0", "edge_metrics_port=0")


def start_agent(home: Path, to: str, *more: str) -> subprocess.Popen[str]:
    """Start an agent with its defaults on free ports; gives it once it is ready."""
    chosen = [word for setting in FREE_PORTS for word in ("--set", setting)]
    command = [sys.executable, "-m", "watchkeeper.cli.main", "edge", "--to", to, "--home", str(home), "--json-ready"]
    process = subprocess.Popen([*command, *chosen, *more], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    if not select.select([process.stdout], [], [], 120)[0] or not process.stdout.readline().strip():
        process.kill()
        raise RuntimeError("the agent did not get ready")
    return process


def measure(seconds: float, *more: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        centre, endpoints = start(str(Path(folder) / "centre"))
        begun = time.perf_counter()
        agent = start_agent(Path(folder) / "edge", endpoints["otlp_http"], *more)
        ready_s = time.perf_counter() - begun
        try:
            idle = watch(agent, seconds)
            children = psutil.Process(agent.pid).children(recursive=True)
            idle["children_memory_mib"] = sum(child.memory_info().rss for child in children) / 2**20
        finally:
            for process in (agent, centre):
                process.terminate()
                process.wait(60)
    return {"ready_s": ready_s, **idle}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
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
