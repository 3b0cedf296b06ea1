"""The page's pure parts (formats, times, queries, waterfall, verdict), tested by Node's own test runner: `npm test`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

UI = Path(__file__).parents[2] / "ui"


def test_pure_parts_of_the_page() -> None:
    npm = shutil.which("npm")
    if npm is None or not (UI / "node_modules").exists():
        pytest.skip("npm and ui/node_modules are needed: run `make page`")
    done = subprocess.run([npm, "test"], cwd=UI, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# fail 0" in done.stdout
