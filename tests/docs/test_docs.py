"""The papers are held to the code: generated parts, names, routes, links, pictures."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
from tests.docs.write import generated

from watchkeeper.settings import SETTINGS

ROOT = Path(__file__).resolve().parents[2]
PAPERS = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES = sorted((ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("path", sorted(generated()), ids=lambda path: path.name)
def test_generated_pages_are_up_to_date(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == generated()[path], f"run `make docs` to write {path.name} anew"


@pytest.mark.parametrize("path", [*PAPERS, *PAGES], ids=lambda path: path.name)
def test_every_file_that_a_page_links_to_exists(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text(encoding="utf-8")):
        if not target.startswith(("http:", "https:", "mailto:")):
            assert (path.parent / target).exists(), f"{path.name} links to {target}, which does not exist"


@pytest.mark.parametrize("path", [*PAPERS, *PAGES], ids=lambda path: path.name)
def test_every_name_in_the_code_that_a_page_gives_exists(path: Path) -> None:
    for module, names in re.findall(r"`(watchkeeper(?:\.\w+)+):([\w.]+)`", path.read_text(encoding="utf-8")):
        thing = importlib.import_module(module)
        for name in names.split("."):
            assert hasattr(thing, name), f"{path.name} speaks of {module}:{names}, which does not exist"
            thing = getattr(thing, name)


def test_every_setting_that_a_page_names_exists() -> None:
    names = {setting.name for setting in SETTINGS}
    for path in [*PAPERS, *PAGES]:
        for name in re.findall(r"--set ([a-z_]+)=", path.read_text(encoding="utf-8")):
            assert name in {*names, "name"}, f"{path.name} speaks of the setting {name}"


def test_make_targets_that_pages_name_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    for path in [*PAPERS, *PAGES]:
        for target in re.findall(r"`make ([a-z]+)", path.read_text(encoding="utf-8")):
            assert target in targets, f"{path.name} speaks of make {target}"
