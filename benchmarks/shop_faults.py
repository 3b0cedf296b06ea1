"""The shop's own faults, live: how soon an incident names the cause, and whether it is right.

Each run is a new Watchkeeper beside a new shop: learn, switch one fault on, watch the incidents for a minute. Counts as
right at 1 when, a minute after the fault, the likeliest cause of the newest incident is the faulty service, or for a
dependency that is gone, that dependency. Beside it: what a random choice among services would reach, and the service
of the first finding, which is what a person without any ranking would look at.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from watchkeeper.bench.live.programs import Pair
from watchkeeper.bench.live.shop import SERVICES, right_nodes
from watchkeeper.bench.scores.bootstrap import mean_interval

FAULTS = ("bad-deploy", "error-rate", "latency", "cpu-burst", "memory-leak", "dependency-down", "queue-jam")
WATCHED_S = 60.0
POLL_S = 1.0
NS = 1_000_000_000


def main() -> None:
    """Print the figures as JSON on the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--together", type=int, default=2, help="how many runs at once")
    parser.add_argument("--warmup", type=int, default=60, help="seconds of learning before the fault")
    parser.add_argument("--faults", nargs="*", default=list(FAULTS))
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the state of each run here, to look into")
    chosen = parser.parse_args()
    wanted = [fault for _ in range(chosen.runs) for fault in chosen.faults]
    with ThreadPoolExecutor(chosen.together) as pool:
        seen = []
        for outcome in pool.map(lambda fault: one_run(fault, chosen.warmup, chosen.keep), wanted):
            seen.append(outcome)
            print(f"[{len(seen)}/{len(wanted)}] {json.dumps(outcome)}", file=sys.stderr, flush=True)
    print(json.dumps(figures(seen)))


def one_run(fault: str, warmup_s: int, keep: Path | None = None) -> dict[str, Any]:
    """Start both programs, break the shop, watch, end both."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
    prefix = f"watchkeeper-shop-{fault}-"
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=keep))
    with contextlib.ExitStack() as at_end:
        if keep is None:
            at_end.callback(shutil.rmtree, folder, ignore_errors=True)
        pair = Pair(folder, warmup_s=warmup_s)
        at_end.callback(pair.stop)
        pair.wait_watched(warmup_s + 90)
        struck = pair.control.post("/faults", json={"kind": fault, "seconds": WATCHED_S + 30}).raise_for_status()
        return {"fault": fault, **_watch(pair.api, struck.json())}


def _watch(api: httpx.Client, fault: dict[str, Any]) -> dict[str, Any]:
    """Poll the incidents for WATCHED_S and tell what they named when."""
    begun_ns = int(fault["start_unix_ns"])
    right = right_nodes(fault["service"], fault["parameters"])
    outcome: dict[str, Any] = {"service": fault["service"], "first_finding_s": None, "first_finding": "", "named": []}
    right_since: float | None = None
    while (after_s := (time.time_ns() - begun_ns) / NS) < WATCHED_S:
        findings = api.get("/api/v1/findings", params={"limit": 100}).json()["items"]
        fresh = [each for each in findings if int(each["detected_unix_ns"]) >= begun_ns]
        if fresh and outcome["first_finding_s"] is None:
            first = min(fresh, key=lambda each: int(each["detected_unix_ns"]))
            outcome["first_finding_s"], outcome["first_finding"] = round(after_s, 1), f"service:{first['service']}"
        named = _named(api, begun_ns)
        if not outcome["named"] or outcome["named"][-1]["node"] != named["node"]:
            outcome["named"].append({"after_s": round(after_s, 1), **named})
        if named["node"] not in right:
            right_since = None
        elif right_since is None:
            right_since = round(after_s, 1)
        time.sleep(POLL_S)
    outcome["right"] = right_since is not None
    outcome["right_since_s"] = right_since
    outcome["first_finding_right"] = outcome["first_finding"] in right
    return outcome


def _named(api: httpx.Client, begun_ns: int) -> dict[str, Any]:
    """Give the likeliest cause of the newest incident that goes on since the fault; "" while none is named."""
    items = api.get("/api/v1/incidents", params={"limit": 10}).json()["items"]
    for item in items:
        if int(item["last_unix_ns"]) < begun_ns:
            continue
        cause = item.get("cause")
        return {
            "node": cause["node"] if cause and not item.get("abstains") else "",
            "confidence": cause["confidence"] if cause else 0,
        }
    return {"node": "", "confidence": 0}


def figures(seen: list[dict[str, Any]]) -> dict[str, Any]:
    """Give accuracy at 1 with its interval, seconds, and the same by fault."""
    by_fault = {}
    for fault in dict.fromkeys(each["fault"] for each in seen):
        runs = [each for each in seen if each["fault"] == fault]
        by_fault[fault] = {
            "runs": len(runs),
            "right": sum(each["right"] for each in runs),
            "right_since_s": [each["right_since_s"] for each in runs],
            "first_finding_s": [each["first_finding_s"] for each in runs],
            "named_last": [each["named"][-1]["node"] if each["named"] else "" for each in runs],
        }
    rights = [float(each["right"]) for each in seen]
    return {
        "accuracy_at_1": round(mean_interval(rights).mean, 3),
        "interval_95": [round(end, 3) for end in mean_interval(rights)[1:]],
        "random": 1 / len(SERVICES),
        "first_finding": sum(each["first_finding_right"] for each in seen) / len(seen),
        "runs": len(seen),
        "by_fault": by_fault,
    }


if __name__ == "__main__":
    main()
