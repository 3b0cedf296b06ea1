"""The masking kernel under the sanitizers, where the machine's compiler has them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import watchkeeper.native
from watchkeeper.patterns.kernel import packed_vocabulary
from watchkeeper.patterns.vocabulary import WORDS

NATIVE = Path(watchkeeper.native.__file__).parent
ROUNDS = int(os.environ.get("WATCHKEEPER_FUZZ_ROUNDS", "1500"))
FLAGS = ["-O1", "-g", "-std=c11", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-Wno-override-init"]


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("this machine has no C compiler")
    program = tmp_path_factory.mktemp("fuzz") / "harness"
    sources = [Path(__file__).with_name("harness.c"), NATIVE / "mask.c", NATIVE / "mask_batch.c"]
    command = [compiler, *FLAGS, "-o", str(program), *map(str, sources)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode and ("sanitize" in built.stderr or "asan" in built.stderr):
        pytest.skip("this machine's compiler has no sanitizers")
    assert built.returncode == 0, built.stderr
    return program


@pytest.mark.parametrize("seed", [1, 2])
def test_no_byte_out_of_bounds_and_no_undefined_behaviour(harness: Path, tmp_path: Path, seed: int) -> None:
    vocabulary = tmp_path / "vocabulary"
    vocabulary.write_bytes(packed_vocabulary())
    command = [str(harness), str(vocabulary), str(len(WORDS)), str(ROUNDS), str(seed)]
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr[-4000:]


def test_a_damaged_vocabulary_is_read_within_bounds(harness: Path, tmp_path: Path) -> None:
    vocabulary = tmp_path / "vocabulary"
    whole = packed_vocabulary()
    for size in (0, 1, 7, len(whole) // 2, len(whole) - 1):
        vocabulary.write_bytes(whole[:size])
        command = [str(harness), str(vocabulary), str(len(WORDS)), "3", "1"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stdout == "ok\n", done.stderr[-4000:]
