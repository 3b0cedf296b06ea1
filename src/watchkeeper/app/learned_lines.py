"""Trained log models at work: lines of watched workloads that their model holds to be unlikely become findings.

Enters: log batches as they pass, with their template ids. Leaves: findings of kind `unlikely-line` through `publish`,
explained. The pipeline's thread only looks up which templates have a verdict; the others go, once each and bounded, to
a thread of this room, which asks the models. Without an active model there is no thread, no model in memory, and ONNX
Runtime is not imported. A promotion or rollback is taken up without a restart.
"""

from __future__ import annotations

import importlib.util
import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from watchkeeper.app.unlikely import OpenLines, Unlikely
from watchkeeper.errors import NotFound
from watchkeeper.learn.log_model import LogModel
from watchkeeper.models.card import Version
from watchkeeper.models.versions import ModelVersions
from watchkeeper.signals.finding import Finding
from watchkeeper.signals.schema import Signal
from watchkeeper.training.kinds import PREFIX as KIND_PREFIX
from watchkeeper.training.kinds import Kind
from watchkeeper.training.watchlist import Watchlists
from watchkeeper.training.workloads import Workload, workload_of, workloads_in

LOGS_PREFIX = "logs/"
WAITING_MAX = 10_000
TEMPLATES_MAX = 200_000
RESOURCES_MAX = 10_000
REFRESH_EVERY_S = 5.0
WAKE_EVERY_S = 1.0
TOGETHER_MAX = 64
BODY_CHARACTERS_MAX = 2_000
NEEDED = ("onnx", "onnxruntime")

log = logging.getLogger(__name__)
Ints = npt.NDArray[np.int64]


class Key(NamedTuple):
    """Lines that are judged together: those of one template of one service, by one model."""

    model: str
    service: str
    template_id: int


class Seen(NamedTuple):
    """Lines of a key that wait for a verdict. body, trace_id: of the first of them; severity: the gravest told."""

    body: str
    lines: int
    first_unix_ns: int
    last_unix_ns: int
    severity: int
    trace_id: str

    def and_then(self, other: Seen) -> Seen:
        """Give both together."""
        return self._replace(
            lines=self.lines + other.lines,
            first_unix_ns=min(self.first_unix_ns, other.first_unix_ns),
            last_unix_ns=max(self.last_unix_ns, other.last_unix_ns),
            severity=max(self.severity, other.severity),
        )


class Loaded(NamedTuple):
    """A model at work. strange: whether the lines of a template are, by its id, for those that were judged."""

    version: Version
    model: LogModel
    strange: dict[int, bool]


class LearnedLines:
    """An observer of the pipeline; `start` before use, `stop` after. See the module.

    kinds: pretrained ones; each scores the workloads that it names and that no watchlist's model covers.
    template_text: gives a template's text by its id. event_time_unix_ns: gives the event time of now. Cost in the
    pipeline's thread: some 20 nanoseconds a line, and a look-up for each template of a batch.
    """

    def __init__(
        self,
        models: ModelVersions,
        watchlists: Watchlists,
        publish: Callable[[list[Finding]], None],
        *,
        kinds: Mapping[str, Kind],
        template_text: Callable[[int], str],
        event_time_unix_ns: Callable[[], int],
        close_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._models, self._watchlists, self._publish = models, watchlists, publish
        self._kinds, self._all_kinds, self._text = dict(kinds), dict(kinds), template_text
        self._thresholds: dict[str, float] = {}
        self._event_time, self._clock = event_time_unix_ns, clock
        self._open = OpenLines(close_s)
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopping, self._started = False, False
        self._stale: set[str] = set()
        self._loaded: dict[str, Loaded] = {}
        self._coverage: dict[Workload, str] = {}
        self._works = False
        self._of_resource: dict[str, str] = {}
        self._refreshed_s = -REFRESH_EVERY_S
        self._waiting: dict[Key, Seen] = {}
        self._busy = False
        self._problem = self._fault = ""
        self.lines_passed_over = 0
        models.on_change(self._model_changed)

    def start(self, unfinished: list[Finding] | None = None) -> None:
        """Take up the active models. unfinished: open findings of an earlier run, to be gone on with and closed."""
        self._open.take_up(unfinished or [])
        with self._changed:
            self._started = True
            self._stale |= self._names()
            self._begin_thread(needed=bool(self._stale) or len(self._open) > 0)

    def stop(self) -> None:
        """End the thread; what waits is not judged any more."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def observe(self, signal: Signal, batch: pa.RecordBatch) -> None:
        """Note the lines of watched workloads whose template has no verdict yet, or is strange."""
        if signal is not Signal.LOGS or not self._works:
            return
        codes, names = self._models_of(batch.column("resource_attributes"))
        for at, name in enumerate(names):
            loaded = self._loaded.get(name)
            if loaded is not None:
                self._note(name, loaded, batch, np.flatnonzero(codes == at))

    def set_kinds(self, *, off: Collection[str], thresholds: Mapping[str, float]) -> None:
        """Let these pretrained kinds score nothing from now on, and all others again; the models are loaded anew.

        thresholds: by kind, of the share of words foretold; a kind that has none goes by its calibrated one.
        """
        with self._changed:
            self._kinds = {name: kind for name, kind in self._all_kinds.items() if name not in off}
            self._thresholds = {f"{KIND_PREFIX}{name}": share for name, share in thresholds.items()}
            if self._started and not self._stopping:
                self._stale |= self._names()
                self._begin_thread(needed=bool(self._stale))
                self._changed.notify_all()

    def model(self, name: str) -> tuple[Version, LogModel] | None:
        """Give the model of that name that is at work, None when there is none."""
        loaded = self._loaded.get(name)
        return None if loaded is None else (loaded.version, loaded.model)

    def names(self) -> list[str]:
        """Name the models at work."""
        return sorted(self._loaded)

    def name_for(self, workload: Workload) -> str:
        """Name the model that scores a workload, "" for none."""
        return self._coverage.get(workload, "") or self._kind_for(workload)

    def problems(self) -> list[str]:
        """Give what keeps a model from its work."""
        return [each for each in (self._problem, self._fault) if each]

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until every line that was noted is judged and every change of a model taken up; False when in vain."""
        with self._changed:
            return self._changed.wait_for(lambda: not (self._waiting or self._stale or self._busy), timeout_s)

    # -- the pipeline's thread ------------------------------------------------------------------------------------

    def _models_of(self, resources: pa.Array) -> tuple[Ints, list[str]]:
        """Give the place of each row's model in the names, -1 for none."""
        encoded = resources if pa.types.is_dictionary(resources.type) else resources.dictionary_encode()
        names: dict[str, int] = {}
        of_code = []
        known = self._of_resource  # is replaced after a change of coverage; what is found till then goes with it
        for text in encoded.dictionary.to_pylist():
            name = known.get(text or "")
            if name is None:
                if len(known) >= RESOURCES_MAX:
                    known.clear()
                name = known[text or ""] = self.name_for(_workload(text or "{}"))
            of_code.append(names.setdefault(name, len(names)) if name else -1)
        places = pc.fill_null(encoded.indices, len(of_code)).to_numpy(zero_copy_only=False)
        return np.array([*of_code, -1], np.int64)[places], list(names)

    def _note(self, name: str, loaded: Loaded, batch: pa.RecordBatch, rows: Ints) -> None:
        templates = pc.fill_null(batch.column("template_id"), -1).to_numpy(zero_copy_only=False)[rows]
        told = [each for each in np.unique(templates).tolist() if each != -1 and loaded.strange.get(each, True)]
        if not told:
            return
        rows = rows[np.isin(templates, told)]
        part = batch.take(pa.array(rows))
        found: dict[Key, Seen] = {}
        for service, template, time_unix_ns, severity, trace_id, body in zip(
            *(part.column(each).to_pylist() for each in _COLUMNS), strict=True
        ):
            key = Key(name, service or "", template)
            seen = Seen("", 1, time_unix_ns, time_unix_ns, severity or 0, trace_id or "")
            known = found.get(key)
            found[key] = known.and_then(seen) if known else seen._replace(body=(body or "")[:BODY_CHARACTERS_MAX])
        with self._changed:
            for key, seen in found.items():
                known = self._waiting.get(key)
                if known is None and len(self._waiting) >= WAITING_MAX:
                    self.lines_passed_over += seen.lines
                    continue
                self._waiting[key] = known.and_then(seen) if known else seen
            self._changed.notify_all()

    def _model_changed(self, name: str) -> None:
        if not name.startswith((LOGS_PREFIX, KIND_PREFIX)):
            return
        with self._changed:
            if self._started and not self._stopping:
                self._stale.add(name)
                self._begin_thread(needed=True)
                self._changed.notify_all()

    def _begin_thread(self, *, needed: bool) -> None:
        if needed and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="learned lines", daemon=True)
            self._thread.start()

    # -- this room's thread ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._changed:
                if not (self._waiting or self._stale or self._stopping):
                    self._changed.wait(WAKE_EVERY_S)
                if self._stopping:
                    return
                stale, self._stale = self._stale, set()
                taken = [(key, self._waiting.pop(key)) for key in list(self._waiting)[:TOGETHER_MAX]]
                self._busy = True
            try:
                self._take_up(stale)
                self._judge(taken)
                self._close()
                self._fault = "" if taken else self._fault
            except Exception as error:  # the boundary: one failure must not end the scoring of lines
                self._fault = f"lines could not be scored by their model: {type(error).__name__}: {error}"
                log.exception("scoring lines by their model failed")
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _take_up(self, stale: set[str]) -> None:
        """Load what changed, and see anew which model covers which workload."""
        for name in sorted(stale):
            self._load(name)
        now_s = self._clock()
        if stale or now_s - self._refreshed_s >= REFRESH_EVERY_S:
            self._refreshed_s = now_s
            coverage = self._covered()
            if stale or coverage != self._coverage:
                self._coverage = coverage
                self._of_resource = {}
                kinds = any(kind.workloads and kind.model in self._loaded for kind in self._kinds.values())
                self._works = bool(coverage) or kinds

    def _load(self, name: str) -> None:
        if self._models.active(name) is None:
            self._loaded.pop(name, None)
            return
        missing = [each for each in NEEDED if importlib.util.find_spec(each) is None]
        if missing:  # the model is sound: it must not be set aside for what is missing here
            self._loaded.pop(name, None)
            self._problem = (
                f"the model {name} needs {', '.join(missing)} to score lines, and they are not scored; "
                "install with: pip install 'watchkeeper[learning]'"
            )
            return
        found = self._models.load(name, LogModel.load)
        self._problem = ""
        if found is None:
            self._loaded.pop(name, None)
            return
        version, model = found
        if name in self._thresholds:
            model.hold_to(self._thresholds[name])
        self._loaded[name] = Loaded(version, model, {})
        log.info("version %s of %s scores lines from now on", version.number, name)

    def _covered(self) -> dict[Workload, str]:
        """Give the model of each workload that a watchlist names; kinds stand for patterns (see `_kind_for`).

        Not of one that the version at work has learned no line of, as after a rollback, or while a newer one waits to
        be promoted: all of its lines would be strange.
        """
        covered: dict[Workload, str] = {}
        for name in sorted(self._loaded, reverse=True):
            if name.startswith(LOGS_PREFIX):
                try:
                    watched = self._watchlists.get(name.removeprefix(LOGS_PREFIX)).watched
                except NotFound:
                    continue
                learned = _learned_by(self._loaded[name].version)
                covered |= {each: name for each in watched if learned is None or each in learned}
        return covered

    def _kind_for(self, workload: Workload) -> str:
        for kind in self._kinds.values():
            if kind.model in self._loaded and kind.covers(workload):
                return kind.model
        return ""

    def _names(self) -> set[str]:
        """Name the active models that may be ours, without loading them."""
        ours = {each.name for each in self._models.list() if each.state == "active"}
        return {name for name in ours if name.startswith((LOGS_PREFIX, KIND_PREFIX))}

    def _judge(self, taken: list[tuple[Key, Seen]]) -> None:
        changed: dict[str, Finding] = {}
        for name in dict.fromkeys(key.model for key, _ in taken):
            loaded = self._loaded.get(name)
            if loaded is None:
                continue
            own = [(key, seen) for key, seen in taken if key.model == name]
            judged = loaded.model.judge([seen.body for _, seen in own])
            if len(loaded.strange) > TEMPLATES_MAX:
                loaded.strange.clear()
            for (key, seen), code in zip(own, judged.codes.tolist(), strict=True):
                verdict = judged.verdicts[code]
                # A template is strange when one line of it was: its lines may differ in the kinds of their values.
                strange = verdict.strange or loaded.strange.get(key.template_id, False)
                loaded.strange[key.template_id] = strange
                if strange:
                    finding = self._told(loaded, key, seen)
                    if finding is not None:
                        changed[finding.id] = finding
        if changed:
            self._publish(list(changed.values()))

    def _told(self, loaded: Loaded, key: Key, seen: Seen) -> Finding | None:
        known = self._open.touch(key.service, key.template_id, seen.lines, seen.last_unix_ns, seen.body)
        if known.is_open:
            return known.finding
        return self._open.tell(
            Unlikely(
                key.service,
                key.template_id,
                self._text(key.template_id),
                loaded.version,
                loaded.model.explain(seen.body),
                seen.lines,
                seen.first_unix_ns,
                seen.last_unix_ns,
                seen.severity,
                seen.trace_id,
            )
        )

    def _close(self) -> None:
        closed = self._open.sweep(self._event_time())
        if closed:
            self._publish(closed)


_COLUMNS = ("service", "template_id", "time_unix_ns", "severity_number", "trace_id", "body")


def _learned_by(version: Version) -> frozenset[Workload] | None:
    """Give the workloads that a version has learned lines of; None where its card does not tell."""
    trained_on = version.card.trained_on
    if "workloads" not in trained_on:
        return None
    return workloads_in(trained_on["workloads"]) - workloads_in(trained_on.get("without_lines", ()))


def _workload(resource: str) -> Workload:
    try:
        told = orjson.loads(resource)
    except orjson.JSONDecodeError:
        told = {}
    return workload_of(told if isinstance(told, dict) else {})
