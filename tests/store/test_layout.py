"""The format version, the lock, and a fast start."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.store.telemetry import counts, open_store, put

from watchkeeper.errors import NewerFormat, StoreError
from watchkeeper.store.store import Store

Opened = Callable[..., Store]


def test_a_newer_format_is_refused_and_untouched(home: Path) -> None:
    home.mkdir()
    (home / "FORMAT").write_text('{"format": 2}')
    (home / "something").write_text("new")
    with pytest.raises(NewerFormat, match="format 2"):
        open_store(home)
    assert sorted(p.name for p in home.iterdir()) == ["FORMAT", "something"]
    assert (home / "FORMAT").read_text() == '{"format": 2}'


@pytest.mark.parametrize("content", ["", "{}", "[]", "nonsense", '{"format": '])
def test_an_unreadable_format_is_told_with_the_fix(home: Path, content: str) -> None:
    home.mkdir()
    (home / "FORMAT").write_text(content)
    with pytest.raises(StoreError, match='"format": 1'):
        open_store(home)


def test_a_second_opener_is_told_who_has_it(opened: Opened, home: Path) -> None:
    store = opened()
    script = (
        "import sys; from pathlib import Path; from tests.store.telemetry import open_store\n"
        "try: open_store(Path(sys.argv[1]))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    root = Path(__file__).parents[2]
    told = subprocess.run(
        [sys.executable, "-c", script, str(home)], cwd=root, capture_output=True, text=True, timeout=60, check=False
    )
    assert "StoreError" in told.stdout, told.stderr
    import os

    assert f"pid {os.getpid()}" in told.stdout
    put(store, "a")
    store.close()
    assert counts(opened()) == {"a": 3}


def test_a_home_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="home"):
        open_store(tmp_path / "file" / "home")


def test_an_empty_store_opens_fast_and_without_duckdb(home: Path) -> None:
    open_store(home).close()
    took = []
    for i in range(3):
        began = time.perf_counter()
        store = open_store(home.with_name(f"home{i}"))
        took.append(time.perf_counter() - began)
        store.close()
    assert min(took) < 0.3
    script = (
        "import sys; from pathlib import Path; from tests.store.telemetry import open_store, put\n"
        "store = open_store(Path(sys.argv[1])); put(store, 'a'); store.close(); print('duckdb' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    told = subprocess.run(
        [sys.executable, "-c", script, str(home)], cwd=root, capture_output=True, text=True, timeout=60, check=True
    )
    assert told.stdout.strip() == "False"
    assert told.stderr == ""


def test_queries_leave_no_noise_at_exit(home: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.store.telemetry import open_store, put, counts\n"
        "store = open_store(Path(sys.argv[1])); put(store, 'a'); print(counts(store)); store.close()"
    )
    root = Path(__file__).parents[2]
    told = subprocess.run(
        [sys.executable, "-c", script, str(home)], cwd=root, capture_output=True, text=True, timeout=60, check=True
    )
    assert (told.stdout.strip(), told.stderr) == ("{'a': 3}", "")
