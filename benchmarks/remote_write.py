"""Prometheus remote write: samples a second on one core, from the body to the record batch, and end to end.

Bodies as Prometheus sends them: targets one after another, 600 metrics of 5 series each, 8 labels, one sample a series,
500 and 2,000 samples a request. `known` is the steady state, `new` the first time that a series comes. CPU time
of the thread, so that neighbours matter less. End to end (skipped without Prometheus): a real one scrapes 5,000 series
once a second and writes to a running Watchkeeper; `delay` is from the scrape to the receipt.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
from tests.e2e.product import Product, wait_for
from tests.e2e.prometheus_server import PROGRAM, Prometheus, scraped
from tests.receive.remote_write.written import COUNTER, V2, request_v1, sample, series_v1

from watchkeeper.receive.decode import decode
from watchkeeper.receive.remote_write.known import Known
from watchkeeper.receive.remote_write.snappy import compress, decompress
from watchkeeper.receive.remote_write.translate import Translator, Version
from watchkeeper.signals.schema import Signal

METRICS, SERIES = 600, 5
START_MS = 1_763_700_000_000
BYTES_MAX = 64 << 20
TARGET_SERIES = 5_000


def labels() -> Iterator[dict[str, str]]:
    """Give the labels of one target after another."""
    target = 0
    while True:
        for metric in range(METRICS):
            for series in range(SERIES):
                yield {
                    "__name__": f"node_subsystem_{metric}_total",
                    "cluster": "eu-west-1",
                    "code": str(200 + series),
                    "device": f"dev{series}",
                    "handler": f"/api/v1/things/{metric % 37}",
                    "instance": f"10.0.{target // 250}.{target % 250}:9100",
                    "job": "node",
                    "mode": "idle",
                }
        target += 1


def bodies(version: Version, samples: int, requests: int) -> list[bytes]:
    """Give compressed requests of the same series, a scrape apart."""
    source = labels()
    known = [next(source) for _ in range(samples)]
    made = []
    for step in range(requests):
        points = [sample(step * 3.5 + place, START_MS + step * 15_000) for place in range(samples)]
        if version is Version.V1:
            body = request_v1(*(series_v1(each, point) for each, point in zip(known, points, strict=True)))
        else:
            request = V2()
            for each, point in zip(known, points, strict=True):
                request.series(each, point, kind=COUNTER, help_="Things that were counted.")
            body = request.whole()
        made.append(compress(body))
    return made


def rate(samples: int, run: Callable[[], object], rounds: int) -> float:
    rates = []
    for _ in range(rounds):
        begun = time.thread_time()
        run()
        rates.append(samples / (time.thread_time() - begun))
    return statistics.median(rates)


def measure(version: Version, samples: int, rounds: int) -> dict[str, float]:
    made = bodies(version, samples, 5)
    translator = Translator(Known())

    def translated(by: Translator) -> list[bytes]:
        return [by.translate(version, decompress(each, BYTES_MAX), "bench").payload for each in made]

    def batches() -> int:
        return sum(
            decode(Signal.METRICS, "protobuf", each, sender="bench", received_unix_ns=1).batch.num_rows
            for each in translated(translator)
        )

    total = samples * len(made)
    assert batches() == total
    first = made[:1]

    def new() -> None:
        Translator(Known()).translate(version, decompress(first[0], BYTES_MAX), "bench")

    return {
        "whole_known_per_s": round(rate(total, batches, rounds)),
        "to_otlp_known_per_s": round(rate(total, lambda: translated(translator), rounds)),
        "to_otlp_new_per_s": round(rate(samples, new, rounds)),
        "bytes_per_sample": round(len(made[-1]) / samples, 1),
    }


def end_to_end(seconds: float) -> dict[str, float]:
    """Let a real Prometheus write for a while; everything is stored, or this fails."""
    with tempfile.TemporaryDirectory() as name, scraped() as target:
        folder = Path(name)
        target.text = "# TYPE load gauge\n" + "".join(
            f'load{{shard="{place}",zone="eu-west-1",handler="/h{place % 50}"}} {place}\n'
            for place in range(TARGET_SERIES)
        )
        product, prometheus = Product(folder / "home", ready_within_s=120), Prometheus(folder)
        try:
            prometheus.start(
                "global: {scrape_interval: 1s}\nscrape_configs:\n"
                f'- {{job_name: load, static_configs: [{{targets: ["{target.address}"]}}]}}\n'
                f"remote_write: [{{url: {product.endpoints['otlp_http']}/api/v1/write}}]\n"
            )
            count = "SELECT count(*) FROM metrics WHERE name = 'load' AND flags = 0"
            wait_for(lambda: product.sql(count)[0][0], within_s=120, what="the first samples")
            cpu = psutil.Process(product.process.pid).cpu_times()
            begun, before = time.monotonic(), product.sql(count)[0][0]
            wait_for(lambda: time.monotonic() - begun >= seconds, within_s=seconds + 60, what="the end of the run")
            spent_s, stored = time.monotonic() - begun, product.sql(count)[0][0] - before
            after = psutil.Process(product.process.pid).cpu_times()
            delays = product.sql(
                """SELECT quantile_cont((received_unix_ns - time_unix_ns) / 1e9, 0.5),
                   quantile_cont((received_unix_ns - time_unix_ns) / 1e9, 0.99),
                   count(*) - count(DISTINCT (series, time_unix_ns)), count(DISTINCT time_unix_ns) FROM metrics
                   WHERE name = 'load' AND flags = 0"""
            )[0]
            assert delays[2] == 0, f"{delays[2]} samples are there twice"
            return {
                "stored_per_s": round(stored / spent_s),
                "delay_p50_s": delays[0],
                "delay_p99_s": delays[1],
                "watchkeeper_percent_of_core": 100 * (after.user + after.system - cpu.user - cpu.system) / spent_s,
            }
        finally:
            prometheus.stop()
            product.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object only")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each figure (default: 7)")
    parser.add_argument("--seconds", type=float, default=30.0, help="length of the run with Prometheus (default: 30)")
    chosen = parser.parse_args()
    figures: dict[str, object] = {
        f"{version.value} x {samples}": measure(version, samples, chosen.rounds)
        for version in Version
        for samples in (500, 2_000)
    }
    if PROGRAM is None:
        figures["skipped"] = {"prometheus": "prometheus is not installed"}
    elif chosen.seconds:
        figures["prometheus"] = end_to_end(chosen.seconds)
    if chosen.json:
        print(json.dumps(figures))
        return
    for name, found in figures.items():
        print(name, json.dumps(found))


if __name__ == "__main__":
    main()
