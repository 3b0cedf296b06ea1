"""Starts the real product and the real example shop in processes of their own, and ends both.

Enters: an empty folder. Leaves: addresses of both, and nothing that still runs, not even when this process is killed.
Looks at no telemetry.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx

from watchkeeper.bench.base import BenchError
from watchkeeper.bench.live.shop import SERVICES, SHOP
from watchkeeper.processes import Programs

WATCHED_POLL_S = 1.0
SEGMENT_AGE_S = 5


@contextmanager
def running(folder: Path, *, warmup_s: float) -> Iterator[Pair]:
    """Give both programs, and end them; of their files Watchkeeper's home stays, all that came in segments."""
    pair = None
    try:
        pair = Pair(folder, warmup_s=warmup_s, chosen={"segment_age_s": SEGMENT_AGE_S})
        yield pair
    finally:
        if pair is not None:
            pair.stop()
        shutil.rmtree(folder / "shop", ignore_errors=True)
        for left in (*folder.glob("*.ready"), *folder.glob("*.output")):
            left.unlink(missing_ok=True)


class Pair:
    """Watchkeeper and a shop that sends to it. `control` is the shop's own API, `api` Watchkeeper's.

    Watchkeeper's home is `folder/home`, the shop's files are in `folder/shop`. chosen: further settings.
    """

    def __init__(self, folder: Path, *, warmup_s: float, chosen: Mapping[str, float] = MappingProxyType({})) -> None:
        if not (SHOP / "shop" / "__main__.py").is_file():
            raise BenchError(f"the example shop is not at {SHOP}; what needs it runs in a checkout of Watchkeeper")
        self.folder = folder
        self._programs = Programs(folder, BenchError)
        settings: dict[str, float] = {"http_port": 0, "otlp_http_port": 0, "otlp_grpc_port": 0, "detect_window_s": 5}
        settings |= {"detect_warmup_s": round(warmup_s), "metric_warmup_s": round(warmup_s), **chosen}
        try:
            up = [sys.executable, "-m", "watchkeeper.cli.main", "up", "--json-ready", "--home", str(folder / "home")]
            for name, value in settings.items():
                up += ["--set", f"{name}={value:g}"]
            keeper = self._programs.start("watchkeeper", up, folder).ready
            shop = [sys.executable, "-m", "shop", "up", "--json-ready", "--otlp", keeper["otlp_http"]]
            self.shop = self._programs.start("shop", [*shop, "--folder", str(folder / "shop")], SHOP).ready
        except BaseException:
            self.stop()
            raise
        if not self.shop["nginx"] or self.shop["carts"] != "redis":
            self.stop()
            raise BenchError("the live shop needs nginx and redis-server; install both")
        self.api = httpx.Client(base_url=keeper["http"], timeout=30.0, trust_env=False)
        self.control = httpx.Client(base_url=self.shop["control"], timeout=40.0, trust_env=False)

    @property
    def fields(self) -> Mapping[str, str]:
        """Give what fills the fields of the shop's actions."""
        return {"python": sys.executable, "folder": str(self.shop["folder"])}

    def status(self) -> dict[str, Any]:
        """Give what runs in the shop and what it uses."""
        return dict(self.control.get("/status").raise_for_status().json())

    def wait_watched(self, within_s: float) -> None:
        """Wait until every service of the shop is watched rather than learned from; raises BenchError."""
        deadline, states = time.monotonic() + within_s, dict[str, str]()
        while time.monotonic() < deadline:
            states = {row["service"]: row["state"] for row in self.api.get("/api/v1/status").json()["learning"]}
            if all(states.get(service) == "watching" for service in SERVICES):
                return
            time.sleep(WATCHED_POLL_S)
        raise BenchError(f"not every service is watched after {within_s:.0f} s: {states}")

    def stop(self) -> None:
        """End both, the shop first, with everything that they started."""
        for client in (getattr(self, "api", None), getattr(self, "control", None)):
            if client is not None:
                client.close()
        self._programs.stop()
