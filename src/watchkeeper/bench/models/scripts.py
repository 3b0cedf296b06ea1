"""Who writes manifests and scripts: nobody, the usual text, what was given, and retrieval with slots filled in.

Retrieval takes the nearest training question's text. For a constraint it puts in the kind that the given template
defines and leaves out parameters that the template does not know; for an object to be mended it makes the change that
was made to the nearest one to what is given; in a script, names of the nearest question are replaced by those asked.
"""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from watchkeeper.bench.base import Context, Example, ModelSpec
from watchkeeper.bench.forms import Query
from watchkeeper.diagnose.retrieval import TextIndex
from watchkeeper.remedy.manifests import NotYaml, read_manifests, write_manifest

_TEMPLATE = "ConstraintTemplate"


class Nothing:
    """Writes nothing."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Learn nothing."""

    def answer(self, given: Query) -> list[str]:
        """Give nothing."""
        return []


class Echo(Nothing):
    """Gives back what was given to start from."""

    def answer(self, given: Query) -> list[str]:
        """Give the evidence."""
        return list(given.evidence)


class Usual(Nothing):
    """The most frequent text of the training part."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Count."""
        counts = Counter(str(example.label) for example in examples)
        self._text = min(counts, key=lambda text: (-counts[text], text))

    def answer(self, given: Query) -> list[str]:
        """Give it."""
        return [self._text]


class Nearest(Nothing):
    """The text of the nearest training question of the same sort. fills: whether slots are filled in."""

    def __init__(self, *, fills: bool) -> None:
        self._fills = fills

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Index questions by the sort of thing that is given."""
        self._known = [(example.given, str(example.label)) for example in examples]
        sorts: dict[str, dict[str, str]] = {}
        for at, (query, _) in enumerate(self._known):
            sorts.setdefault(_sort(query), {})[str(at)] = query.text
        self._index = {name: TextIndex(texts) for name, texts in sorts.items()}
        self._all = TextIndex({str(at): query.text for at, (query, _) in enumerate(self._known)})

    def answer(self, given: Query) -> list[str]:
        """Give one text."""
        found = self._index.get(_sort(given), self._all).search(given.text, 1)
        if not found:
            return []
        query, text = self._known[int(found[0][0])]
        return [filled(given, query, text) if self._fills else text]


def filled(given: Query, near: Query, text: str) -> str:
    """Give the nearest question's text made to fit what is asked."""
    if text.startswith("#!"):
        return _renamed(given.text, near.text, text)
    if not given.evidence:
        return text
    try:
        start, right = read_manifests(given.evidence[0])[0], read_manifests(text)[0]
        if start.get("kind") == _TEMPLATE:
            return write_manifest(_constraint(start, right))
        before = read_manifests(near.evidence[0])[0] if near.evidence else {}
        return write_manifest(_changed(start, before, right))
    except NotYaml:
        return text


def _sort(query: Query) -> str:
    try:
        return str(read_manifests(query.evidence[0])[0].get("kind")) if query.evidence else ""
    except NotYaml:
        return ""


def _constraint(template: Mapping[str, Any], near: Mapping[str, Any]) -> dict[str, Any]:
    """Give a constraint of the template's kind with those of the near one's parameters that the template knows."""
    crd = ((template.get("spec") or {}).get("crd") or {}).get("spec") or {}
    schema = (crd.get("validation") or {}).get("openAPIV3Schema") or {}
    known = set(schema.get("properties") or {})
    made = copy.deepcopy(dict(near))
    made["kind"] = (crd.get("names") or {}).get("kind", made.get("kind"))
    spec = made.get("spec") or {}
    parameters = {name: value for name, value in (spec.get("parameters") or {}).items() if name in known}
    spec.pop("parameters", None)
    if parameters:
        spec["parameters"] = parameters
    made["spec"] = spec
    return made


def _changed(start: Any, before: Any, after: Any) -> Any:
    """Make to `start` the change from `before` to `after`: keys that came, went or have another value."""
    if not (isinstance(start, dict) and isinstance(before, dict) and isinstance(after, dict)):
        if isinstance(start, list) and isinstance(before, list) and isinstance(after, list) and before and after:
            return [_changed(each, before[0], after[0]) for each in start]
        return copy.deepcopy(after) if before != after else start
    made = {key: value for key, value in start.items() if key in after or key not in before}
    for key, value in after.items():
        if key in ("name", "namespace"):
            continue
        if key not in before:
            made.setdefault(key, copy.deepcopy(value))
        elif key in made:
            made[key] = _changed(made[key], before[key], value)
    return made


def _renamed(asked: str, near: str, text: str) -> str:
    """Replace words of the nearest question that stand in the text by the new words in the same place."""
    ours, theirs = (re.findall(r"[\w-]+", each) for each in (asked, near))
    for new, old in zip(ours, theirs, strict=False):
        if new != old:
            text = re.sub(rf"(?<![\w-]){re.escape(old)}(?![\w-])", new, text)
    return text


_FORM, _TASKS, _NEEDS = ("query",), ("script",), ("yaml", "tree_sitter", "tree_sitter_bash")
MODELS = (
    ModelSpec("script_nothing", _FORM, Nothing, "writes nothing", _TASKS, trivial=True, needs=_NEEDS),
    ModelSpec("script_echo", _FORM, Echo, "what was given to start from", _TASKS, trivial=True, needs=_NEEDS),
    ModelSpec(
        "script_usual", _FORM, Usual, "the usual text", _TASKS, trivial=True, needs_labels=True, needs=_NEEDS
    ),
    ModelSpec(
        "script_nearest", _FORM, lambda: Nearest(fills=False), "of the nearest question by BM25", _TASKS,
        needs_labels=True, needs=_NEEDS,
    ),
    ModelSpec(
        "script_filled", _FORM, lambda: Nearest(fills=True), "of the nearest question, slots filled in", _TASKS,
        needs_labels=True, needs=_NEEDS,
    ),
)  # fmt: skip
