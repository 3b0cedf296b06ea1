"""One emergency: a shop that runs well, a fault in it, what the product says, one action, and whether that helped.

Enters: the kind of fault, kept from the model. Leaves: an Ended in the ledger: whether the signs came back and stayed,
whether the fault is truly gone, whether anything else was changed. Actions are those of the shop's catalogue, run as
argv without a shell. What the model returns is not believed: the ledger alone counts.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from watchkeeper.bench.base import BenchError
from watchkeeper.bench.live.programs import Pair
from watchkeeper.bench.live.shop import SERVICES, SHOP
from watchkeeper.bench.live.vital import Signs, Watch, deviations, unwell
from watchkeeper.remedy.catalogue import Catalogue, CatalogueError, Order, load_catalogue
from watchkeeper.remedy.choose import Named

BAND_S = 20.0
SETTLED_S = 10.0
"""Of a shop that has just opened, before its band is taken."""
SHOWN_S = 15.0
LEARNED_WITHIN_S = 240.0
NAMED_WITHIN_S = 75.0
NAMED_SETTLED_S = 12.0
HELD_S = 15.0
RECOVERED_WITHIN_S = 60.0
FAULT_S = 400.0
ACTION_S = 30.0
POLL_S = 1.0
NS = 1_000_000_000
_log = logging.getLogger(__name__)


class Evidence(NamedTuple):
    """What Watchkeeper says: the cause named, and how many findings each service has since the fault."""

    named: Named
    findings: Mapping[str, int]


class Ended(NamedTuple):
    """What came of one emergency. recovered: the signs came back and stayed; resolved: and the fault is truly gone."""

    fault: str
    order: Order | None
    why: str
    recovered: bool
    resolved: bool
    regressed: bool
    unapproved: int
    seconds: float
    left: tuple[str, ...] = ()


@dataclass
class Ledger:
    """What only the harness writes: one Ended for each time that the emergency was gone through."""

    ended: list[Ended] = field(default_factory=list)
    close: Callable[[], None] = lambda: None


class Emergency:
    """What a model is given. The shop is started at the first look or act; it has one action.

    Who acts without a look does not need a Watchkeeper that has learned, and is not made to wait for one.
    """

    def __init__(self, fault: str, warmup_s: float, ledger: Ledger) -> None:
        ledger.close = self._close
        self._run: _Run | None = None

        def begun(*, watched: bool) -> _Run:
            if self._run is None:
                self._run = _started(fault, warmup_s, watched=watched)
            return self._run

        def told(order: Order | None, why: str) -> Ended:
            run = begun(watched=False)
            try:
                ledger.ended.append(run.carry_out(order, why))
            finally:
                run.stop()
                self._run = None
            return ledger.ended[-1]

        self._begun, self._told = begun, told
        self.catalogue: Catalogue = load_catalogue(SHOP / "actions.toml")

    def evidence(self) -> Evidence:
        """Wait until Watchkeeper has named a cause for some seconds, or NAMED_WITHIN_S; give what it says."""
        return self._begun(watched=True).evidence()

    def carry_out(self, order: Order | None, why: str = "") -> str:
        """Do one action, or nothing; gives what was done. The emergency is over then."""
        ended = self._told(order, why)
        return f"{ended.order.action} {ended.order.target}" if ended.order else f"nothing: {why}"

    def _close(self) -> None:
        if self._run is not None:
            self._run.stop()
            self._run = None


def _started(fault: str, warmup_s: float, *, watched: bool) -> _Run:
    """Start both programs, once more when they did not get going: that is no fault of the model that is asked."""
    try:
        return _Run(fault, warmup_s, watched=watched)
    except BenchError as error:
        _log.warning("the emergency is begun once more: %s", error)
        return _Run(fault, warmup_s, watched=watched)


class _Run:
    """Both programs, warmed up, with the fault switched on."""

    def __init__(self, fault: str, warmup_s: float, *, watched: bool) -> None:
        self._fault = fault
        self._folder = Path(tempfile.mkdtemp(prefix="watchkeeper-emergency-"))
        self._pair = Pair(self._folder, warmup_s=warmup_s)
        try:
            if watched:
                self._pair.wait_watched(warmup_s + LEARNED_WITHIN_S)
            else:
                time.sleep(SETTLED_S)
            self._watch = Watch(Path(self._pair.shop["folder"]), self._pair.status)
            time.sleep(BAND_S)
            self._before = self._watch.signs()
            if told := unwell(self._before):
                raise BenchError(f"the shop does not run well before the fault: {told}; the machine is too busy for it")
            wish = {"kind": fault, "seconds": FAULT_S}
            self._truth = self._pair.control.post("/faults", json=wish).raise_for_status().json()
            self._watch.mark()
            self._begun_s = time.monotonic()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End both programs and take their files away."""
        self._pair.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def evidence(self) -> Evidence:
        named, since_s = Named(""), time.monotonic()
        while time.monotonic() - self._begun_s < NAMED_WITHIN_S:
            fresh = self._named()
            if fresh.node != named.node:
                since_s = time.monotonic()
            named = fresh
            if named.node and not named.abstains and time.monotonic() - since_s >= NAMED_SETTLED_S:
                break
            time.sleep(POLL_S)
        return Evidence(named, self._findings())

    def _named(self) -> Named:
        if not self._findings():
            return Named("")  # an incident from before the fault says nothing of it
        begun_ns = int(self._truth["start_unix_ns"])
        for item in self._pair.api.get("/api/v1/incidents", params={"limit": 10}).json()["items"]:
            cause = item.get("cause")
            if int(item["last_unix_ns"]) < begun_ns:
                continue
            if not cause:
                return Named("")
            onset_ns = int(item["first_unix_ns"])
            return Named(
                cause["node"],
                item.get("category") or "unknown",
                float(cause["confidence"]),
                bool(item.get("abstains")),
                self._changed(onset_ns),
            )
        return Named("")

    def _changed(self, onset_ns: int) -> dict[str, float]:
        """Give seconds from the newest change on each node to an incident's onset."""
        changed: dict[str, float] = {}
        for each in self._pair.api.get("/api/v1/changes", params={"limit": 100}).json()["items"]:
            before_s = (onset_ns - int(each["time_unix_ns"])) / NS
            changed[each["node"]] = min(before_s, changed.get(each["node"], before_s))
        return changed

    def _findings(self) -> dict[str, int]:
        begun_ns, counts = int(self._truth["start_unix_ns"]), dict[str, int]()
        for each in self._pair.api.get("/api/v1/findings", params={"limit": 500}).json()["items"]:
            if int(each["detected_unix_ns"]) >= begun_ns and each["service"]:
                counts[each["service"]] = counts.get(each["service"], 0) + 1
        return counts

    def carry_out(self, order: Order | None, why: str) -> Ended:
        # What an action makes worse is told from what the fault did by itself, which takes some seconds to show.
        time.sleep(max(0.0, SHOWN_S - (time.monotonic() - self._begun_s)))
        during = self._watch.signs()
        state = self._state()
        self._watch.mark()
        if order is not None:
            why = self._act(order) or order.why
        recovered, left, after = self._recover()
        touched = sum(state[name] != self._state().get(name) for name in state if order is None or name != order.target)
        gone = self._gone()
        regressed = order is not None and not recovered and _worse(during, after)
        seconds = time.monotonic() - self._begun_s
        return Ended(self._fault, order, why, recovered, recovered and gone, regressed, touched, seconds, tuple(left))

    def _act(self, order: Order) -> str:
        """Run an order's argv; gives what went wrong, "" when nothing did."""
        catalogue = load_catalogue(SHOP / "actions.toml")
        try:
            argv = catalogue.argv(order, self._pair.fields)
            done = subprocess.run(argv, cwd=SHOP, capture_output=True, timeout=ACTION_S, check=False)
        except (CatalogueError, subprocess.TimeoutExpired) as error:
            return str(error)
        return "" if done.returncode == 0 else done.stderr.decode("utf-8", "replace").strip()[-200:]

    def _recover(self) -> tuple[bool, list[str], Signs]:
        """Wait until the signs of a whole window of HELD_S are in the band; begins a new one whenever they are not."""
        deadline = time.monotonic() + RECOVERED_WITHIN_S
        while True:
            self._watch.mark()
            time.sleep(HELD_S)
            signs = self._watch.signs()
            left = deviations(self._before, signs)
            if not left or time.monotonic() + HELD_S > deadline:
                return not left, left, signs

    def _state(self) -> dict[str, Any]:
        """Give each process with its version, and the files that configure the shop, so that any change shows."""
        status = self._pair.status()
        versions = {name: each["version"] for name, each in status["services"].items()}
        state: dict[str, Any] = {name: (pid, versions.get(name)) for name, pid in status["processes"].items()}
        for path in Path(self._pair.shop["folder"]).rglob("*.conf"):
            state[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
        return state

    def _gone(self) -> bool:
        """Tell whether the fault is truly over: no service has it on, and every process that ran runs."""
        status = self._pair.status()
        if "redis" not in status["processes"]:
            return False
        still = False
        for name in SERVICES:
            address = f"{status['services'][name]['address']}/_control/faults/{self._fault}"
            still |= bool(self._pair.control.delete(address).json()["was_on"])
        return not still


def _worse(during: Signs, after: Signs) -> bool:
    """Tell whether a shop fares clearly worse after an action than during the fault."""
    return after.failed > during.failed + 0.1 or after.p95_s > 2 * during.p95_s + 0.5
