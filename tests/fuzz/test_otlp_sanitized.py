"""The C decoder of OTLP under the address and undefined-behaviour sanitizers, fed with damaged requests.

Longer, by hand: `python -m tests.fuzz.test_otlp_sanitized SECONDS [SEED]`.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from tests.receive.otlp_strategies import random_request

from watchkeeper.native import library
from watchkeeper.signals.schema import Signal

NATIVE = Path(library.__file__).parent
MAIN = Path(__file__).with_name("otlp_main.c")
FLAGS = (
    "-std=c11",
    "-g",
    "-O1",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "-fno-omit-frame-pointer",
)


def build(folder: Path) -> Path | None:
    """Compile the harness with the decoder; None when this machine has no compiler with sanitizers."""
    compiler = next(filter(None, map(shutil.which, ("clang", "gcc", "cc"))), None)
    probe = folder / "probe.c"
    probe.write_text("int main(void) { return 0; }\n")
    if compiler is None:
        return None
    tried = subprocess.run(
        [compiler, *FLAGS, "-o", str(folder / "probe"), str(probe)], capture_output=True, check=False
    )
    if tried.returncode or subprocess.run([str(folder / "probe")], capture_output=True, check=False).returncode:
        return None
    target = folder / "otlp_fuzz"
    sources = [str(path) for path in sorted(NATIVE.glob("otlp_*.c"))]
    subprocess.run([compiler, *FLAGS, f"-I{NATIVE}", "-o", str(target), str(MAIN), *sources, "-lm"], check=True)
    return target


def write_corpus(folder: Path, seed: int) -> list[str]:
    """Write random requests of every signal as files, and give their paths."""
    source = random.Random(seed)
    paths = []
    for signal in Signal:
        for number in range(40):
            path = folder / f"{signal}-{number}.bin"
            path.write_bytes(random_request(source, signal).SerializeToString())
            paths.append(str(path))
    return paths


def run(folder: Path, seed: int, seconds: float) -> subprocess.CompletedProcess[str] | None:
    """Build and run the harness; None when it cannot be built here."""
    program = build(folder)
    if program is None:
        return None
    command = [str(program), str(seed), str(seconds), *write_corpus(folder, seed)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_damaged_requests_neither_read_nor_write_out_of_bounds(tmp_path: Path) -> None:
    done = run(tmp_path, seed=1, seconds=5)
    if done is None:
        pytest.skip("no C compiler with sanitizers on this machine")
    assert done.returncode == 0, done.stderr
    runs, decoded = (int(part.split()[0]) for part in done.stdout.split(", "))
    assert runs > 100
    assert decoded > 100


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as where:
        finished = run(Path(where), int(sys.argv[2]) if len(sys.argv) > 2 else 1, float(sys.argv[1]))
        if finished is None:
            raise SystemExit("no C compiler with sanitizers on this machine")
        print(finished.stdout + finished.stderr)
        raise SystemExit(finished.returncode)
