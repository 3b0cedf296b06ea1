"""Made-up telemetry of a small shop, as batches that the pattern miner has been through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from watchkeeper.detect.logs import LogDetector
from watchkeeper.patterns.miner import TemplateMiner
from watchkeeper.signals.finding import Finding
from watchkeeper.signals.schema import LOGS

SECOND_NS = 1_000_000_000
START_NS = 1_763_700_000 * SECOND_NS

INFO, WARN, ERROR = 9, 13, 17

Line = tuple[float, str, int, str]  # seconds after START_NS, service, severity, body


def log_batch(lines: list[Line], miner: TemplateMiner) -> pa.RecordBatch:
    """Give a batch of the logs schema, with template ids."""
    rows = len(lines)
    times = pa.array([START_NS + int(at * SECOND_NS) for at, *_ in lines], pa.int64())
    bodies = pa.array([body for *_, body in lines], pa.string())
    told = {
        "time_unix_ns": times,
        "received_unix_ns": times,
        "severity_number": pa.array([severity for _, _, severity, _ in lines], pa.int32()),
        "body": bodies,
        "service": pa.array([service for _, service, _, _ in lines], pa.string()).dictionary_encode(),
        "trace_id": pa.array([f"{row:032x}" for row in range(rows)]),
        "template_id": miner.match(bodies, times),
    }
    columns = [told[one.name].cast(one.type) if one.name in told else pa.nulls(rows, one.type) for one in LOGS]
    return pa.RecordBatch.from_arrays(columns, schema=LOGS)


@dataclass
class Shop:
    """Steady traffic of six services with waves, rare lines and the odd error; `fault` adds lines."""

    seed: int = 1
    random: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)

    def second(self, at: int, *, error_factor: float = 1.0) -> list[Line]:
        """Give the lines of one second, in order of time."""
        lines: list[Line] = []
        random, wave = self.random, 1.0 + 0.3 * np.sin(at / 300)
        for number, service in enumerate(("frontend", "catalogue", "cart", "checkout", "payment", "recommendation")):
            factor = error_factor if service == "payment" else 1.0
            for rate, severity, form, high in (
                ((12 - 1.5 * number) * wave, INFO, f"GET /{service}/{{}} 200 in 3 ms", 999),
                (0.4 * wave, INFO, "cache refreshed, {} entries", 99),
                (0.02, WARN, "slow query: {} ms", 999),
                (0.1 * factor, ERROR, "upstream timeout after {} s", 9),
            ):
                count = random.poisson(rate)
                lines += [(at, service, severity, form.format(one)) for one in random.integers(high, size=count)]
            if at % 60 == number:
                lines.append((at, service, INFO, f"heartbeat {at}"))
        lines = [(second + self.random.random(), *rest) for second, *rest in lines]
        return sorted(lines)

    def seconds(self, start: int, end: int, *, error_factor: float = 1.0) -> Iterator[list[Line]]:
        """Give the lines second by second."""
        for at in range(start, end):
            yield self.second(at, error_factor=error_factor)


@dataclass
class Bench:
    """A miner and a detector that take lines in, and all findings told, the newest of each id."""

    warmup_s: float = 60.0
    told: dict[str, Finding] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.miner = TemplateMiner()
        self.detector = LogDetector(
            self.text, warmup_s=self.warmup_s, window_s=10.0, close_s=120.0, parameters=self.miner.parameters
        )

    def text(self, template_id: int) -> str:
        """Give a template's text."""
        template = self.miner.get(template_id)
        return template.text if template else ""

    def learn(self, lines: list[Line]) -> list[Finding]:
        """Let the detector learn the lines as one batch."""
        findings = self.detector.learn(log_batch(lines, self.miner))
        self.told.update({finding.id: finding for finding in findings})
        return findings

    def flush(self, at: float) -> list[Finding]:
        """Let event time pass."""
        findings = self.detector.flush(START_NS + int(at * SECOND_NS))
        self.told.update({finding.id: finding for finding in findings})
        return findings

    def kinds(self) -> list[str]:
        """Give the kinds of all findings told."""
        return sorted(finding.kind for finding in self.told.values())
