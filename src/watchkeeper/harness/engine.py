"""The container engine, podman or docker, by its command line: the one place that runs it.

Enters: arguments. Leaves: what the engine said, or HarnessError with what is wrong and what to do. Both engines are
spoken to in the words that they share. Knows nothing of edges and centres.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from watchkeeper.errors import HarnessError

ENGINES = ("podman", "docker")
ANSWER_S = 120.0
OPEN_FILES_MAX = 65_536
PROCESSES_MAX = 4_096
TOLD_CHARACTERS = 1_500
_FAULTS = (
    ("no space left on device", "the disk is full; `{engine} image prune` and `{engine} system df` help"),
    ("address already in use", "a port is taken; stop what listens there, or use --any-ports"),
    ("port is already allocated", "a port is taken; stop what listens there, or use --any-ports"),
    ("cannot connect to the docker daemon", "the engine does not run; start it, or choose the other by --engine"),
    ("permission denied while trying to connect", "this user may not use docker; join its group, or use podman"),
    ("setting rlimit", "this machine forbids the limits that the engine asks for; see `default_ulimits` of "
     "containers.conf"),
    ("netavark", "the engine cannot make a network; install netavark, aardvark-dns and iptables"),
    ("oci runtime", "the engine cannot start a container; try another runtime (runc, crun) in containers.conf"),
)  # fmt: skip


class Answer(NamedTuple):
    """What the engine said: exit status, standard output, standard error."""

    status: int
    output: str
    errors: str


class Container(NamedTuple):
    """A container that exists: its name, `running` or another state, and its labels."""

    name: str
    state: str
    labels: dict[str, str]


class Engine:
    """One engine; `name` is podman or docker."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._environment = dict(os.environ)
        if name == "podman" and not Path("/run/systemd/system").exists():
            # Podman's health checks are timers of systemd; the harness asks for health itself.
            self._environment["DISABLE_HC_SYSTEMD"] = "true"

    def run(
        self, *arguments: str, within_s: float = ANSWER_S, given: bytes | None = None, check: bool = True
    ) -> Answer:
        """Run one command of the engine; raises HarnessError when it fails, or takes too long."""
        try:
            done = subprocess.run(
                [self.name, *arguments],
                input=given,
                stdin=subprocess.DEVNULL if given is None else None,
                capture_output=True,
                timeout=within_s,
                check=False,
                env=self._environment,
            )
        except subprocess.TimeoutExpired as error:
            raise HarnessError(f"`{self.name} {arguments[0]}` did not end within {within_s:g} s") from error
        except OSError as error:
            raise HarnessError(f"{self.name} cannot be run: {error.strerror}") from error
        answer = Answer(
            done.returncode, done.stdout.decode(errors="replace").strip(), done.stderr.decode(errors="replace").strip()
        )
        if check and answer.status:
            raise self.fault(arguments[0], answer.errors or answer.output)
        return answer

    def watch(self, *arguments: str, line: Callable[[str], None]) -> str:
        """Run a long command and tell each line of what it says; gives them all. Raises HarnessError."""
        said: list[str] = []
        try:
            with subprocess.Popen(
                [self.name, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=self._environment,
            ) as process:
                assert process.stdout is not None
                self._read(process.stdout, said, line)
        except OSError as error:
            raise HarnessError(f"{self.name} cannot be run: {error.strerror}") from error
        if process.returncode:
            raise self.fault(arguments[0], "\n".join(said))
        return "\n".join(said)

    def attach(self, *arguments: str) -> int:
        """Run a command whose output is this process's own, until it ends; gives its exit status."""
        try:
            return subprocess.run([self.name, *arguments], check=False, env=self._environment).returncode
        except OSError as error:
            raise HarnessError(f"{self.name} cannot be run: {error.strerror}") from error

    def containers(self, label: str) -> dict[str, Container]:
        """Give the containers with a label (`name=value`), running or not, by name."""
        names = self.run("ps", "--all", "--filter", f"label={label}", "--format", "{{.Names}}").output.split()
        if not names:
            return {}
        found = json.loads(self.run("container", "inspect", *names).output)
        return {
            row["Name"].lstrip("/"): Container(
                row["Name"].lstrip("/"), row["State"]["Status"], row["Config"].get("Labels") or {}
            )
            for row in found
        }

    def image_label(self, image: str, label: str) -> str | None:
        """Give a label of an image, "" for none; None when there is no such image here."""
        answer = self.run("image", "inspect", image, check=False)
        if answer.status:
            return None
        facts = json.loads(answer.output)[0]
        labels = facts.get("Labels") or facts.get("Config", {}).get("Labels") or {}
        return str(labels.get(label, ""))

    def image_bytes(self, image: str) -> int:
        """Give the size of an image."""
        return int(json.loads(self.run("image", "inspect", image).output)[0]["Size"])

    def memory(self, names: Sequence[str]) -> dict[str, str]:
        """Give what memory running containers use, as the engine writes it."""
        answer = self.run("stats", "--no-stream", "--format", "{{.Name}}\t{{.MemUsage}}", *names, check=False)
        rows = [line.split("\t") for line in answer.output.splitlines() if "\t" in line]
        return {row[0]: row[1].split("/")[0].strip() for row in rows}

    def limits(self) -> list[str]:
        """Give the options that keep a container within what this process may have itself.

        Engines ask for more open files by default than some machines grant, and then start nothing at all.
        """
        files = _hard_limit(resource.RLIMIT_NOFILE, OPEN_FILES_MAX)
        processes = _hard_limit(resource.RLIMIT_NPROC, PROCESSES_MAX)
        return ["--ulimit", f"nofile={files}:{files}", "--ulimit", f"nproc={processes}:{processes}"]

    def fault(self, what: str, said: str) -> HarnessError:
        """Make the error of a failed command, with advice where the cause is known."""
        lowered = said.lower()
        advice = next((words for mark, words in _FAULTS if mark in lowered), "")
        return HarnessError(
            f"`{self.name} {what}` failed: {said[-TOLD_CHARACTERS:].strip()}"
            + (f"\n{advice.format(engine=self.name)}" if advice else "")
        )

    @staticmethod
    def _read(stream: IO[bytes], said: list[str], line: Callable[[str], None]) -> None:
        for raw in stream:
            text = raw.decode(errors="replace").rstrip()
            if text:
                said.append(text)
                line(text)


def choose_engine(wanted: str = "") -> Engine:
    """Give the engine that is wanted, else the first that is installed and answers; raises HarnessError."""
    if wanted and wanted not in ENGINES:
        raise HarnessError(f"there is no engine {wanted!r}; there are {' and '.join(ENGINES)}")
    tried = []
    for name in (wanted,) if wanted else ENGINES:
        if shutil.which(name) is None:
            tried.append(f"{name} is not installed")
            continue
        engine = Engine(name)
        answer = engine.run("info", "--format", "json" if name == "podman" else "{{json .}}", check=False)
        if answer.status == 0 and not _server_errors(answer.output):
            return engine
        last = (answer.errors or str(_server_errors(answer.output))).splitlines()
        tried.append(f"{name} does not answer: {last[-1] if last else 'no reason given'}")
    raise HarnessError(
        f"no container engine can be used: {'; '.join(tried)}. Install one (Debian: apt-get install podman runc "
        "netavark aardvark-dns); `watchkeeper demo` needs none"
    )


def _server_errors(output: str) -> Any:
    """Give what docker's client says of a daemon that is away; it does so with exit status 0."""
    try:
        return json.loads(output).get("ServerErrors")
    except ValueError:
        return "its answer cannot be read"


def _hard_limit(which: int, most: int) -> int:
    hard = resource.getrlimit(which)[1]
    return most if hard == resource.RLIM_INFINITY else min(hard, most)
