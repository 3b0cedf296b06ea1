"""An agent under load while its centre is down for ten minutes and both are killed: what is lost, what is double.

Not among `python -m benchmarks`, for it takes as long as it takes: `python -m benchmarks.edge_faults --json`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from tests.e2e.product import wait_for
from tests.edge.agent.processes import Centre, Edge, free_port

BATCH = 100


def measure(down_s: float, per_s: float) -> dict[str, float]:
    """Send at a rate while the centre is down, kill the agent halfway and the centre while it catches up."""
    with tempfile.TemporaryDirectory() as folder:
        home, port = Path(folder), free_port()
        centre = Centre(home / "centre", port)
        edge = Edge(home / "edge", f"http://127.0.0.1:{port}")
        taken = refused = number = 0
        centre.kill()
        begun = time.monotonic()
        killed = False
        while (spent := time.monotonic() - begun) < down_s:
            status = edge.send(number, BATCH)
            taken, refused = taken + BATCH * (status == 200), refused + BATCH * (status != 200)
            number += BATCH
            if spent > down_s / 2 and not killed:
                killed = True
                edge.kill()
                edge.start()
            time.sleep(max(0.0, number / per_s - (time.monotonic() - begun)))
        spool_mib = edge.metric("watchkeeper_edge_spool_bytes") / 2**20
        back = time.monotonic()
        centre.start()
        wait_for(lambda: centre.count() > taken // 4, within_s=600)
        centre.kill()
        centre.start()
        wait_for(lambda: centre.count(where="body LIKE 'line %'") >= taken, within_s=600)
        caught_up_s = time.monotonic() - back
        rows, distinct = centre.sql("SELECT count(*), count(DISTINCT body) FROM logs WHERE body LIKE 'line %'")[0]
        edge.stop()
        centre.stop()
    return {
        "down_s": down_s,
        "acknowledged": taken,
        "refused": refused,
        "lost": taken - distinct,
        "stored_twice": rows - distinct,
        "spool_mib": spool_mib,
        "caught_up_s": caught_up_s,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--down-seconds", type=float, default=600.0)
    parser.add_argument("--per-second", type=float, default=1000.0)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    result = measure(chosen.down_seconds, chosen.per_second)
    print(
        json.dumps(result) if chosen.json else "\n".join(f"{name:20s} {value:12.1f}" for name, value in result.items())
    )


if __name__ == "__main__":
    main()
