"""CONTRIBUTING.md's recipe, followed to the letter: three files written from its text, and cells measured with them."""

from __future__ import annotations

import re
from pathlib import Path

from watchkeeper.bench.audit import audit
from watchkeeper.bench.cells import Chosen, plan
from watchkeeper.bench.discover import catalogue
from watchkeeper.bench.room import Folders, Limits
from watchkeeper.bench.runner import run_cells

CONTRIBUTING = Path(__file__).parents[3] / "CONTRIBUTING.md"
NAMED = re.compile(r"```python\n# (\w+\.py)\n(.*?)```", re.DOTALL)


def test_a_detector_a_data_set_and_an_enhancement_take_one_file_each(tmp_path):
    written = []
    for name, text in NAMED.findall(CONTRIBUTING.read_text(encoding="utf-8")):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        written.append(str(path))
    assert [Path(each).name for each in written] == ["median_distance.py", "shifted_rows.py", "smoothed.py"]
    known = catalogue(written)
    assert [each for each in audit(known) if "shifted_rows" in each or "median_distance" in each] == []
    chosen = Chosen(data=["shifted_rows"], models=["median_distance", "never"], enhancements=["none", "smoothed"])
    told = {}
    folders = Folders(tmp_path / "records", tmp_path / "data", tmp_path / "cache", tuple(written))
    cells = plan(known, chosen, folders.data)
    run_cells(cells, folders, Limits(), lambda cell, record: told.update({cell.id: record}))
    prefix = "anomaly-detection/shifted_rows@1"
    assert told[f"{prefix}/median_distance/none"]["figures"]["f1"][0] > 0.7
    assert told[f"{prefix}/median_distance/smoothed"]["state"] == "done"
    assert told[f"{prefix}/never/none"]["figures"]["f1"][0] == 0.0
