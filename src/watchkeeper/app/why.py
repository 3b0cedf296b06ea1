"""Why a line of log is judged as it is: its mask, what the online detector knows of it, what each log model says of it.

Enters: a line, and whose it is where that is known. Leaves: plain data for page, API and command line. Asks the same
parts that judge; judges nothing itself and learns nothing from the line. Works without any trained model, and says so.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from watchkeeper.app.learned_lines import NEEDED, LearnedLines
from watchkeeper.app.patterns import Patterns
from watchkeeper.detect.logs import LogDetector
from watchkeeper.detect.service import UNSEEN_SCORE_MIN
from watchkeeper.errors import NotFound
from watchkeeper.learn.explanation import KnownLines
from watchkeeper.patterns.miner import TemplateMiner
from watchkeeper.training.workloads import workload_of

LINE_CHARACTERS_MAX = 2_000
NEAREST = 3
NEAREST_AMONG_MAX = 20_000
SERVICES_TOLD_MAX = 20
MODELS_TOLD_MAX = 5
SPARE_TEMPLATES_MAX = 1_000


class Why:
    """See the module. detector: gives the running log detector; it is asked under `lock`."""

    def __init__(
        self,
        patterns: Patterns,
        detector: Callable[[], LogDetector],
        learned_lines: LearnedLines,
        *,
        lock: threading.RLock,
        window_s: float,
    ) -> None:
        self._patterns, self._detector, self._learned_lines = patterns, detector, learned_lines
        self._lock, self._window_s = lock, window_s
        self._own_lock = threading.Lock()
        self._spare = TemplateMiner(templates_max=SPARE_TEMPLATES_MAX)

    def explain(
        self, line: str, *, service: str = "", model: str = "", resource: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Explain one line. model: only this one; else the one that watches the workload, else all that are active.

        Raises NotFound for a model that is not active. Cost: some 10 ms, and for each model some 10 ms more.
        """
        line = line[:LINE_CHARACTERS_MAX]
        template, text = self._masked(line)
        known = self._patterns.get(template)
        covering = self._learned_lines.name_for(workload_of(resource)) if resource else ""
        names = [model] if model else [covering] if covering else self._learned_lines.names()[:MODELS_TOLD_MAX]
        models = [self._model(name, line) for name in names]
        return {
            "line": line,
            "masked": text,
            "template_id": str(template),
            "service": service,
            "pattern": {
                "lines": known.lines,
                "first_unix_ns": known.first_unix_ns,
                "last_unix_ns": known.last_unix_ns,
            }
            if known
            else None,
            "online": self._online(template, service),
            "models": models,
            "no_model": "" if models else _no_model(),
            "nearest": [] if known else self._nearest(text),
        }

    def _masked(self, line: str) -> tuple[int, str]:
        """Give the template of a line, as the pipeline's miner would, which does not count this one."""
        with self._own_lock:
            [template] = self._spare.match(pa.array([line]), pa.array([0], pa.int64())).to_pylist()
            found = self._spare.get(template)
        return template, found.text if found else line

    def _online(self, template: int, service: str) -> dict[str, Any]:
        with self._lock:
            detector = self._detector()
            known = detector.known(template)
            states = {state.service: state.state for state in detector.learning()}
            new_to_it = service in states and service not in {one.service for one in known}
            score = detector.surprise(service, template) if new_to_it else None
        return {
            "window_s": self._window_s,
            "state": states.get(service, "no data") if service else "",
            "services": [
                {
                    "service": one.service,
                    "state": one.state,
                    "first_unix_ns": one.first_ns,
                    "last_unix_ns": one.last_ns,
                    "lines": one.lines,
                    "windows": one.windows,
                    "expected": round(one.expected, 3),
                    "upper": round(one.upper, 3),
                }
                for one in known[:SERVICES_TOLD_MAX]
            ],
            "services_count": len(known),
            "score": None if score is None else round(score, 3),
            "threshold": UNSEEN_SCORE_MIN,
        }

    def _model(self, name: str, line: str) -> dict[str, Any]:
        found = self._learned_lines.model(name)
        if found is None:
            raise NotFound(f"no model {name[:100]!r} is at work; `watchkeeper models list` tells which are active")
        version, model = found
        return {"version": version.as_dict(), "explanation": model.explain(line).as_dict()}

    def _nearest(self, masked: str) -> list[dict[str, Any]]:
        """Give the known templates that share most with one that is not known."""
        templates = self._patterns.all()[:NEAREST_AMONG_MAX]
        lines = KnownLines([one.text for one in templates], np.array([one.lines for one in templates], np.int64))
        return [one._asdict() for one in lines.nearest(masked, NEAREST)]


def _no_model() -> str:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        return (
            f"no log model can be asked: {', '.join(missing)} is not installed "
            "(pip install 'watchkeeper[learning]'); the online detector judges alone"
        )
    return "no log model was trained yet; the online detector judges alone (docs/learning.md tells how to train one)"
