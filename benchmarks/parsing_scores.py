"""How right a log parser is: GA, FGA, PA and FTA as the LogPAI tool kit and its corrected labels define them.

GA: share of lines whose group holds exactly the lines of their true template. FGA: the F1 of groups that do. PA: share
of lines whose template text is the true one. FTA: the F1 of templates all of whose lines have that very true text.
Texts are compared after the usual normalisation (Khan et al., ICSE 2022) of both: tokens that hold a parameter,
numbers, paths and true/false/null become parameters, and parameters that touch become one; `*_exact` is without it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

PATH_ENDS = r"""[\s,!;:=|"'\[\](){}]"""
TOKEN_ENDS = r"""[\s,!;:=|"'\[\](){}.\-+@#$%&]"""
WORDS = {"true", "false", "null", "root", "admin"}
TOUCHING = (
    ("<*>.<*>", "<*>"),
    ("<*><*>", "<*>"),
    (" #<*># ", " <*> "),
    (" #<*> ", " <*> "),
    ("<*>:<*>", "<*>"),
    ("<*>#<*>", "<*>"),
    ("<*>/<*>", "<*>"),
    ("<*>@<*>", "<*>"),
    (' "<*>" ', " <*> "),
    (" '<*>' ", " <*> "),
)

_PATH_PARTS, _TOKEN_PARTS = re.compile(f"({PATH_ENDS})"), re.compile(f"({TOKEN_ENDS})")
_PATH, _WITH_PARAMETER = re.compile(r"(/[^/]+)+/?"), re.compile(r"[^\s/]*<\*>[^\s/]*")


class Scores(NamedTuple):
    """All 0..1, higher is better."""

    ga: float
    fga: float
    pa: float
    fta: float
    pa_exact: float
    fta_exact: float


def normalised(template: str) -> str:
    """Give the template as it is compared.

    >>> normalised("size  10, file /a/b of blk_<*> on <*>.<*>")
    'size <*>, file <*> of <*> on <*>'
    """
    text = " ".join(template.split())
    text = "".join("<*>" if _PATH.fullmatch(part) else part for part in _PATH_PARTS.split(text))
    text = "".join(_token(part) for part in _TOKEN_PARTS.split(text))
    before = None
    while before != text:
        before = text
        for touching, one in TOUCHING:
            text = text.replace(touching, one)
    return text


def _token(part: str) -> str:
    if part.lower() in WORDS or part.isdigit() or _WITH_PARAMETER.fullmatch(part):
        return "<*>"
    return part


def f1(right: int, found: int, true: int) -> float:
    """Give the harmonic mean of right/found and right/true."""
    return 2 * right / (found + true) if found + true else 0.0


def scores(groups: Sequence[object], templates: Sequence[str], truth: Sequence[str]) -> Scores:
    """Score a parse: the group and template text of each line against its true template (all (n,))."""
    ga, fga = _grouping(groups, truth)
    form = {text: normalised(text) for text in {*templates, *truth}}
    pa, fta = _texts([form[text] for text in templates], [form[text] for text in truth])
    pa_exact, fta_exact = _texts(templates, truth)
    return Scores(ga, fga, pa, fta, pa_exact, fta_exact)


def mean(all_scores: Sequence[Scores]) -> Scores:
    """Give the mean over systems."""
    return Scores(*(sum(column) / len(column) for column in zip(*all_scores, strict=True)))


def _grouping(groups: Sequence[object], truth: Sequence[str]) -> tuple[float, float]:
    found, true = _rows(groups), _rows(truth)
    exact = {tuple(rows) for rows in true.values()}
    right = [rows for rows in found.values() if tuple(rows) in exact]
    return sum(map(len, right)) / len(truth), f1(len(right), len(found), len(true))


def _rows(groups: Sequence[object]) -> dict[object, list[int]]:
    rows: dict[object, list[int]] = defaultdict(list)
    for row, group in enumerate(groups):
        rows[group].append(row)
    return rows


def _texts(templates: Sequence[str], truth: Sequence[str]) -> tuple[float, float]:
    true_of: dict[str, set[str]] = defaultdict(set)
    for text, true in zip(templates, truth, strict=True):
        true_of[text].add(true)
    right = sum(true == {text} for text, true in true_of.items())
    same = sum(text == true for text, true in zip(templates, truth, strict=True))
    return same / len(truth), f1(right, len(true_of), len(set(truth)))
