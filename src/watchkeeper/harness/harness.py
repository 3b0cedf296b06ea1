"""One harness: brought up, asked, disturbed, taken down.

Enters: an engine, a folder of state, a plan. Leaves: containers that run, and what they tell. `up` does what is missing
and no more, so that one that broke off is resumed by the next; `down` removes what it finds, planned or not. Builds no
images (images.py) and reads no telemetry (reports.py).
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from watchkeeper.errors import HarnessError
from watchkeeper.harness import certificates
from watchkeeper.harness.engine import Container, Engine
from watchkeeper.harness.images import SOURCES_LABEL
from watchkeeper.harness.plan import CENTRE, IMAGES, LABEL, PLAN_LABEL, Plan

STATE_FILE = "harness.json"
SCHEMA_VERSION = 1
READY_S = 300.0
POLL_S = 0.5
STOP_S = 20
LOG_LINES = 12
TOKEN = "harness"
SHOP_FOLDER = "/var/lib/watchkeeper/shop"
_HEALTH = {
    "edge": ("python3", "/opt/harness/health.py", "https://localhost:8889/ready", "shop"),
    "centre": ("python3", "/opt/harness/health.py", "https://localhost:3000/ready", "http://localhost:9090/-/ready"),
}

Say = Callable[[str], None]


class State(NamedTuple):
    """What a harness remembers: its plan, the secret of its token, which certificates are in whose volume."""

    plan: Plan
    token: str = ""
    certificates: Mapping[str, str] = MappingProxyType({})


class Harness:
    """A harness of some project; its folder holds the authority, the plan and the token."""

    def __init__(self, engine: Engine, folder: Path, plan: Plan, say: Say = lambda _: None) -> None:
        self.engine = engine
        self.folder = folder
        self.plan = plan
        self._say = say

    @property
    def authority(self) -> Path:
        """The file of the authority that signed all certificates."""
        return self.folder / "certs" / "ca.pem"

    def prepare(self) -> None:
        """Make network, volumes and certificates; what is there already stays. Images must be there."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._say("certificates, network and volumes")
        certs = self.folder / "certs"
        certificates.make_certificates(certs, self.plan)
        if self.engine.run("network", "inspect", self.plan.project, check=False).status:
            self.engine.run("network", "create", "--label", f"{LABEL}={self.plan.project}", self.plan.project)
        known = dict(self._state().certificates)
        for node in self.plan.nodes:
            self._volume(self.plan.volume(node))
            made = self._volume(self.plan.certificates(node))
            wanted = certificates.digest(certs, node)
            if made or known.get(node) != wanted:
                certificates.fill_volume(self.engine, self.plan, certs, node)
                known[node] = wanted
        self._remember(State(self.plan, self._state().token, known))

    def up(self) -> float:
        """Bring up what does not run and wait until all are healthy; gives the seconds. Raises HarnessError."""
        begun = time.monotonic()
        # The centre first, and last the edge where the customers are.
        order = (CENTRE, *reversed(self.plan.edges))
        found = self.containers()
        missing = [node for node in order if not self._is_as_planned(found, node)]
        self._check_ports(missing, found)
        self.prepare()
        for node in missing:
            self._start(node, found.get(self.plan.container(node)))
        for name in set(found) - {self.plan.container(node) for node in self.plan.nodes}:
            self._remove(name)
        self._wait(begun)
        self._token()
        return time.monotonic() - begun

    def down(self, *, volumes: bool) -> list[str]:
        """Remove containers and network, with `volumes` all state and certificates too; gives what was removed."""
        removed = []
        for name in self.containers():
            self._say(f"removing {name}")
            self._remove(name)
            removed.append(name)
        label = f"label={LABEL}={self.plan.project}"
        for network in self.engine.run("network", "ls", "--filter", label, "--format", "{{.Name}}").output.split():
            self.engine.run("network", "rm", network)
            removed.append(network)
        if volumes:
            for volume in self.engine.run("volume", "ls", "--filter", label, "--format", "{{.Name}}").output.split():
                self.engine.run("volume", "rm", volume)
                removed.append(volume)
            for file in [*(self.folder / "certs").glob("*"), self.folder / STATE_FILE]:
                file.unlink(missing_ok=True)
        return removed

    def health(self, node: str, found: Mapping[str, Container] | None = None) -> tuple[bool, str]:
        """Tell whether a node's container is healthy, and what it said or in which state it is.

        `found` are the containers where they were looked for already; that costs as much as the health itself.
        """
        container = (self.containers() if found is None else found).get(self.plan.container(node))
        if container is None:
            return False, "not there"
        if container.state != "running":
            return False, container.state
        kind = "centre" if node == CENTRE else "edge"
        answer = self.engine.run("exec", container.name, *_HEALTH[kind], check=False)
        said = (answer.output or answer.errors or "no answer").splitlines()
        return answer.status == 0, said[-1]

    def containers(self) -> dict[str, Container]:
        """Give the containers of this harness that exist, by name."""
        return self.engine.containers(f"{LABEL}={self.plan.project}")

    def cut(self, edge: str) -> None:
        """Take an edge off the network; raises HarnessError."""
        self.engine.run("network", "disconnect", self.plan.project, self._edge(edge))

    def heal(self, edge: str) -> None:
        """Put it back; raises HarnessError."""
        self.engine.run("network", "connect", "--alias", edge, self.plan.project, self._edge(edge))

    def fault(self, edge: str, kind: str, *options: str) -> Any:
        """Switch a fault of the shop on at an edge, kind `off` all of its faults off; gives what the shop says."""
        action = ("off",) if kind == "off" else ("on", kind)
        command = ("/opt/shop/bin/python", "-m", "shop", "fault", *action, *options, "--folder", SHOP_FOLDER)
        answer = self.engine.run("exec", "--workdir", "/opt/shop/code", self._edge(edge), *command, check=False)
        if answer.status:
            raise HarnessError(answer.errors or answer.output or f"the shop on {edge} does not answer")
        return json.loads(answer.output)

    def edge_of(self, name: str) -> str:
        """Give the edge that a name means: an edge, or that where a service of the shop runs; raises HarnessError."""
        if name in self.plan.edges:
            return name
        found = next((edge for edge in self.plan.edges if name in self.plan.part(edge)), "")
        if not found:
            services = [service for edge in self.plan.edges for service in self.plan.part(edge)]
            raise HarnessError(f"{name!r} is neither an edge ({', '.join(self.plan.edges)}) nor a service of the shop "
                               f"({', '.join(services)})")  # fmt: skip
        return found

    def _edge(self, edge: str) -> str:
        if edge not in self.plan.edges:
            raise HarnessError(f"there is no edge {edge!r}; there are {', '.join(self.plan.edges)}")
        return self.plan.container(edge)

    def _image(self, node: str) -> str:
        return self.engine.image_label(IMAGES["centre" if node == CENTRE else "edge"], SOURCES_LABEL) or ""

    def _is_as_planned(self, found: dict[str, Container], node: str) -> bool:
        container = found.get(self.plan.container(node))
        wanted = self.plan.digest(node, self._image(node))
        return container is not None and container.state == "running" and container.labels.get(PLAN_LABEL) == wanted

    def _start(self, node: str, old: Container | None) -> None:
        if old is not None:
            self._remove(old.name)
        self._say(f"starting {node}")
        label = f"{PLAN_LABEL}={self.plan.digest(node, self._image(node))}"
        self.engine.run("run", "--detach", *self.engine.limits(), "--label", label, *self.plan.run_arguments(node))

    def _remove(self, name: str) -> None:
        self.engine.run("rm", "--force", "--time", str(STOP_S), name) if self.engine.name == "podman" else (
            self.engine.run("stop", "--time", str(STOP_S), name),
            self.engine.run("rm", "--force", name),
        )

    def _volume(self, name: str) -> bool:
        """Make a volume; tells whether it was not there."""
        if self.engine.run("volume", "inspect", name, check=False).status == 0:
            return False
        self.engine.run("volume", "create", "--label", f"{LABEL}={self.plan.project}", name)
        return True

    def _check_ports(self, missing: Iterable[str], found: dict[str, Container]) -> None:
        """Raise HarnessError for a port of the host that something else has; ours of before are let go of first."""
        for node in missing:
            if self.plan.container(node) in found:
                self._remove(found[self.plan.container(node)].name)
                del found[self.plan.container(node)]
        taken = [port for node in missing for port in self.plan.published(node) if not is_free(self.plan.publish, port)]
        if taken:
            said = ", ".join(map(str, taken))
            raise HarnessError(
                f"taken on {self.plan.publish}: port {said}; stop what listens there, or use --any-ports"
            )

    def _wait(self, begun: float) -> None:
        """Wait until every container is healthy, telling how far it is; raises HarnessError with the log of one not."""
        waiting = list(self.plan.nodes)
        deadline = time.monotonic() + READY_S
        why = ""
        while waiting:
            found = self.containers()
            for node in list(waiting):
                healthy, why = self.health(node, found)
                if healthy:
                    waiting.remove(node)
                    ready = len(self.plan.nodes) - len(waiting)
                    self._say(f"{node} is healthy: {ready} of {len(self.plan.nodes)}, {time.monotonic() - begun:.0f} s")
                elif why in {"exited", "stopped", "dead", "not there"}:
                    raise HarnessError(f"{node} ended by itself: {self._last(node)}")
            if waiting and time.monotonic() > deadline:
                raise HarnessError(f"not healthy after {READY_S:g} s: {', '.join(waiting)} ({why}); "
                                   f"its log ends with: {self._last(waiting[0])}")  # fmt: skip
            if waiting:
                time.sleep(POLL_S)

    def _last(self, node: str) -> str:
        answer = self.engine.run("logs", "--tail", str(LOG_LINES), self.plan.container(node), check=False)
        return (answer.output + "\n" + answer.errors).strip() or "nothing"

    def _token(self) -> None:
        """Have a token that opens page and API; a new one where the state that knew the old is gone."""
        state = self._state()
        centre = self.plan.container(CENTRE)
        listed = self.engine.run("exec", centre, "watchkeeper", "token", "list", "--json").output
        known = any(row["name"] == TOKEN for row in json.loads(listed)) if listed.startswith("[") else False
        if known and state.token:
            return
        if known:
            self.engine.run("exec", centre, "watchkeeper", "token", "revoke", TOKEN)
        made = self.engine.run("exec", centre, "watchkeeper", "token", "create", TOKEN, "--role", "admin").output
        self._remember(State(self.plan, made.splitlines()[0].strip(), state.certificates))

    @property
    def token(self) -> str:
        """The secret that opens page and API; empty before the first `up`."""
        return self._state().token

    def _state(self) -> State:
        return read_state(self.folder) or State(self.plan)

    def _remember(self, state: State) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        own = {"plan": state.plan.as_dict(), "token": state.token, "certificates": dict(state.certificates)}
        data = {"schema_version": SCHEMA_VERSION, **own}
        fresh = self.folder / f"{STATE_FILE}.new"
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(json.dumps(data, indent=1))
        fresh.replace(self.folder / STATE_FILE)


def read_state(folder: Path) -> State | None:
    """Give what a harness remembers, None where there is none; raises HarnessError for a file that cannot be read."""
    file = folder / STATE_FILE
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        if data.pop("schema_version") != SCHEMA_VERSION:
            raise HarnessError(f"{file} was written by another version; remove it, and `harness down --volumes`")
        return State(**{**data, "plan": Plan.from_dict(data["plan"])})
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise HarnessError(f"{file} cannot be read: {error}; remove it") from error


def is_free(address: str, port: int) -> bool:
    """Tell whether a port of this host can be listened on."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def free_ports(names: Iterable[str], address: str) -> dict[str, int]:
    """Give a port for each name that nothing listens on now."""
    probes = {name: socket.socket(socket.AF_INET, socket.SOCK_STREAM) for name in names}
    try:
        for probe in probes.values():
            probe.bind((address, 0))
        return {name: int(probe.getsockname()[1]) for name, probe in probes.items()}
    finally:
        for probe in probes.values():
            probe.close()
