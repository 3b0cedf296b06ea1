"""`watchkeeper demo`: Watchkeeper watches the example shop, a fault is switched on, and what is found is shown.

Enters: options. Leaves: a picture in the terminal, the page's address, an exit status. Starts `watchkeeper up` and the
shop as programs of their own and talks to both over HTTP, as any user may; finds nothing itself.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn

import httpx
import typer
from rich.console import Console

from watchkeeper.bench.live.shop import SERVICES, right_nodes
from watchkeeper.cli.demo_places import find_shop, listening, port_settings
from watchkeeper.cli.demo_screen import FoundView, Screen, View
from watchkeeper.errors import DemoError
from watchkeeper.processes import Programs, Running

app = typer.Typer()

ANSWER_S = 60.0
LEARNING_GRACE_S = 60.0
POLL_S = 0.5
SILENT_S = 20.0
NS = 1_000_000_000


@app.command()
def demo(
    fault: Annotated[
        str, typer.Option(help="Kind of fault; `python -m shop fault list` in examples/shop tells all.")
    ] = ("bad-deploy"),
    service: Annotated[str, typer.Option(help="Service that the fault strikes; each kind has a usual one.")] = "",
    once: Annotated[bool, typer.Option("--once", help="End once an incident names the right cause, or 60 s on.")] = (
        False
    ),
    warmup: Annotated[int, typer.Option(min=10, help="Seconds of learning before the fault.")] = 60,
    fault_for: Annotated[int, typer.Option(min=5, max=600, help="Seconds that the fault lasts.")] = 120,
    rate: Annotated[float, typer.Option(min=0.1, help="Requests a second that the shop's customers make.")] = 8.0,
    shop: Annotated[
        Path | None, typer.Option(help="Folder of the example shop, if it is not in this checkout.")
    ] = None,
    home: Annotated[Path | None, typer.Option(help="Folder of all state; else a new one, deleted at the end.")] = None,
    any_ports: Annotated[bool, typer.Option("--any-ports", help="Take free ports, not the usual ones.")] = False,
) -> None:
    """Start Watchkeeper and the example shop, learn, switch a fault on, and show who is blamed. Ctrl-C ends it all."""
    shop_folder = find_shop(shop)
    console = Console()
    for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT too: whoever is started in the background inherits deafness
        signal.signal(number, _as_interrupt)
    with _state_folder(home) as folder:
        story = Demo(folder, Screen(console), fault=fault, service=service, warmup_s=warmup, fault_for_s=fault_for)
        try:
            story.start(shop_folder, rate=rate, any_ports=any_ports)
            found = story.play(once=once)
        except KeyboardInterrupt:
            found = True
        finally:
            left = story.stop()
    if left:
        raise DemoError(f"still running at the end: {', '.join(left)}")
    if not found:
        raise typer.Exit(1)


class Demo:
    """One demo from its start to its end."""

    def __init__(
        self, folder: Path, screen: Screen, *, fault: str, service: str, warmup_s: int, fault_for_s: int
    ) -> None:
        self._folder = folder
        self._screen = screen
        self._wish = {"kind": fault, "seconds": float(fault_for_s), **({"service": service} if service else {})}
        self._warmup_s = warmup_s
        self._view = View()
        self._programs = Programs(folder / "programs", DemoError)
        self._running: list[Running] = []
        self._api = httpx.Client(timeout=5.0, trust_env=False)
        self._answered = time.monotonic()
        self._fault: dict[str, Any] = {}
        self._known: set[str] = set()
        self._addresses: list[str] = []

    def start(self, shop_folder: Path, *, rate: float, any_ports: bool) -> None:
        """Start both programs; raises DemoError."""
        self._phase("starting", "Watchkeeper, then the shop")
        up = [sys.executable, "-m", "watchkeeper.cli.main", "up", "--json-ready", "--home", str(self._folder)]
        up += ["--set", f"detect_warmup_s={self._warmup_s}", "--set", "detect_window_s=5"]
        up += ["--set", f"metric_warmup_s={self._warmup_s}"]
        keeper = self._programs.start("watchkeeper", up + port_settings(any_ports=any_ports), self._folder, self._draw)
        self._running.append(keeper)
        self._addresses += [keeper.ready["http"], keeper.ready["otlp_http"], keeper.ready["otlp_grpc"]]
        self._api.base_url = httpx.URL(keeper.ready["http"])
        self._view.page = keeper.ready["http"]
        shop = [sys.executable, "-m", "shop", "up", "--json-ready", "--otlp", keeper.ready["otlp_http"]]
        shop += ["--folder", str(self._folder / "shop"), "--rate", f"{rate:g}"]
        opened = self._programs.start("shop", shop, shop_folder, self._draw)
        self._running.append(opened)
        self._addresses += [opened.ready["control"], opened.ready["front"]]
        self._screen.say(f"Page and API: {keeper.ready['http']}")
        used = "nginx in front" if opened.ready["nginx"] else "no nginx"
        self._screen.say(f"Shop: {opened.ready['front']} ({used}, carts in {opened.ready['carts']})")

    def play(self, *, once: bool) -> bool:
        """Learn, break, find; with `once` gives whether an incident named the cause, else plays until Ctrl-C."""
        with self._screen.open():
            self._learn()
            self._break()
            in_time = self._find()
            if not once:
                self._watch()
            return in_time

    def stop(self) -> list[str]:
        """End both programs; gives what still runs or had to be killed."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave half of it running
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._screen.say("Ending the shop and Watchkeeper ...")
        self._api.close()
        left = [f"{name} (killed)" for name in self._programs.stop()] + listening(self._addresses)
        self._screen.say("All ended." if not left else "Not all ended in order.")
        return left

    def _learn(self) -> None:
        """Wait until every service of the shop is watched rather than learned from."""
        deadline = time.monotonic() + self._warmup_s + LEARNING_GRACE_S
        while True:
            self._refresh()
            states = {name: state for name, state in self._view.learning.items() if name in SERVICES}
            left = max((needed - learned for _, learned, needed in states.values()), default=float(self._warmup_s))
            self._phase("learning", f"what is normal; about {max(0.0, left):.0f} s to go")
            if len(states) == len(SERVICES) and all(state == "watching" for state, _, _ in states.values()):
                return
            if time.monotonic() > deadline:
                still = [name for name in SERVICES if states.get(name, ("",))[0] != "watching"]
                raise DemoError(f"still learning after {self._warmup_s + LEARNING_GRACE_S:g} s: {', '.join(still)}")
            self._pause()

    def _break(self) -> None:
        """Switch the fault on."""
        self._known = {finding["id"] for finding in self._findings()}
        self._view.found.clear()
        shop = self._running[1].ready["control"]
        answer = httpx.post(f"{shop}/faults", json=self._wish, timeout=30.0, trust_env=False)
        if answer.status_code != httpx.codes.CREATED:
            raise DemoError(f"the shop refuses the fault: {answer.json()['detail']}")
        self._fault = answer.json()
        self._view.fault = f"{self._fault['kind']} at {self._fault['service']}"
        self._phase("fault", f"{self._view.fault} is on; who notices?")

    def _find(self) -> bool:
        """Wait for an incident that names the faulty node; tells whether one did within ANSWER_S of the fault."""
        pointed = False
        while self._after_s() < ANSWER_S:
            self._refresh()
            first = next((found for found in reversed(self._view.found) if found.at_fault), None)
            if first is not None and not pointed:
                pointed = True
                self._screen.say(f"{first.after_s:.1f} s after the fault a finding points at {self._fault['service']}")
            if self._view.named_right:
                incident = self._view.incidents[0]
                cause = incident["cause"]
                told = f"{self._after_s():.1f} s after the fault an incident names {cause['node']} as its cause"
                self._phase("found", f"{told} ({cause['confidence']:.0%} sure)")
                self._screen.say(told)
                self._screen.say(f"Incident: {self._view.page}/incidents/{incident['id']}")
                return True
            self._phase("fault", f"{self._view.fault} is on for {self._after_s():.0f} s")
            self._pause()
        self._screen.say(f"No incident names {', '.join(self._guilty())} within {ANSWER_S:g} s of the fault.")
        return False

    def _watch(self) -> NoReturn:
        """Go on showing, until Ctrl-C."""
        while True:
            self._refresh()
            left = self._fault["seconds"] - self._after_s()
            if left > 0:
                self._phase("found", f"{self._view.fault} goes on for {left:.0f} s")
            else:
                self._phase("mended", "the fault is over; findings close as quiet returns")
            self._pause()

    def _refresh(self) -> None:
        """Ask the API for the state of things; a few unanswered questions are borne."""
        for program in self._running:
            program.check()
        try:
            status = self._ask("/api/v1/status")
            self._view.services = self._ask("/api/v1/services", {"from": "1m"})["items"]
            findings = self._findings()
            incidents = list(self._ask("/api/v1/incidents", {"limit": "10"})["items"])
        except httpx.HTTPError as error:
            self._view.unanswered = f"{type(error).__name__}: {error}"
            if time.monotonic() - self._answered > SILENT_S:
                raise DemoError(f"the API has not answered for {SILENT_S:g} s ({self._view.unanswered})") from error
            return
        self._answered = time.monotonic()
        self._view.unanswered = ""
        self._view.learning = {
            row["service"]: (row["state"], float(row["learned_s"]), float(row["needed_s"]))
            for row in status["learning"]
        }
        self._take(findings)
        self._take_incidents(incidents)

    def _take(self, findings: list[dict[str, Any]]) -> None:
        """Keep what is new since the fault, newest first, each with the time at which it was first seen here."""
        if not self._fault:
            return
        seen = {found.finding["id"]: found for found in self._view.found}
        guilty = {node.rpartition(":")[2] for node in self._guilty()} | {self._fault["service"]}
        self._view.found = [
            FoundView(
                finding,
                seen[finding["id"]].after_s if finding["id"] in seen else self._after_s(),
                at_fault=finding["service"] in guilty
                and int(finding["last_unix_ns"]) >= int(self._fault["start_unix_ns"]),
            )
            for finding in findings
            if finding["id"] not in self._known
        ]

    def _take_incidents(self, incidents: list[dict[str, Any]]) -> None:
        """Keep the incidents that went on after the fault, the newest first."""
        if not self._fault:
            return
        begun = int(self._fault["start_unix_ns"])
        self._view.incidents = [each for each in incidents if int(each["last_unix_ns"]) >= begun]
        cause = self._view.incidents[0]["cause"] if self._view.incidents else None
        self._view.named_right = cause is not None and cause["node"] in self._guilty()

    def _guilty(self) -> tuple[str, ...]:
        """Give the nodes that are a right answer: the faulty service, or the dependency that is gone."""
        return right_nodes(self._fault["service"], self._fault["parameters"])

    def _findings(self) -> list[dict[str, Any]]:
        return list(self._ask("/api/v1/findings", {"limit": "100"})["items"])

    def _ask(self, path: str, params: dict[str, str] | None = None) -> dict[str, Any]:
        return dict(self._api.get(path, params=params).raise_for_status().json())

    def _after_s(self) -> float:
        return (time.time_ns() - int(self._fault["start_unix_ns"])) / NS

    def _phase(self, phase: str, detail: str) -> None:
        self._view.phase, self._view.detail = phase, detail
        self._draw()

    def _draw(self) -> None:
        self._screen.show(self._view)

    def _pause(self) -> None:
        time.sleep(POLL_S)


@contextlib.contextmanager
def _state_folder(home: Path | None) -> Iterator[Path]:
    """Give the folder of all state; one that was made for this demo is deleted at the end."""
    if home is not None:
        home.mkdir(parents=True, exist_ok=True)
        yield home.resolve()
        return
    made = Path(tempfile.mkdtemp(prefix="watchkeeper-demo-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _as_interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
