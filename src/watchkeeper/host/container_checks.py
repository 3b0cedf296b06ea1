"""Doctor's checks of containers: an engine that answers, NVIDIA's toolkit, and the device files that CDI promises.

Enters: a Machine, and whether it has a GPU. Leaves: Checks. An engine counts when its client and what runs the
containers both answer. Starts no container.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from watchkeeper.host.check import Check, Requirement, failed, passed, skipped, warned
from watchkeeper.host.machine import Machine

_CDI = "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/cdi-support.html"
_GENERATE = "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"
_SPEC_PATH = re.compile(r"""\b(?:hostPath|path)["']?\s*:\s*["']?(/[^\s"',}]+)""")
_FOLDERS = ("/etc/cdi", "/var/run/cdi", "/run/cdi")


def check_engine(machine: Machine) -> Iterator[Check]:
    """Check podman and docker, client and engine; one that answers is enough."""
    title, need = "Container engine", {"requirement": Requirement.CONTAINER}
    troubles, seen = [], []
    for name, question in (
        ("podman", ("podman", "info", "--format", "{{.Version.Version}}")),
        ("docker", ("docker", "info", "--format", "{{.ServerVersion}}")),
    ):
        client = machine.run((name, "--version"), 10.0)
        if client is None:
            seen.append(f"no {name}")
            continue
        found = re.search(r"\d+\.\d+[.\w]*", client.stdout)
        version = found[0] if found else "of unknown version"
        engine = machine.run(question, 20.0)
        if engine is not None and engine.ok and engine.stdout.strip():
            yield passed("container.engine", title, f"{name} {version}, engine {engine.stdout.strip()}", **need)
            return
        text = "took too long" if engine is None or engine.status is None else engine.stderr.strip()
        seen.append(f"{name} {version}: its engine does not answer")
        troubles.append(f"{name}: {text[-300:] or 'no answer'}")
    if troubles:
        actions: tuple[str, ...] = (
            "sudo systemctl start docker",
            "sudo usermod -aG docker $USER   # then log in anew",
            "podman info",
        )
        reason = "a client is installed, and the engine behind it does not answer"
    else:
        actions = ("sudo apt-get install podman   # or: sudo dnf install podman",)
        reason = "neither podman nor docker is installed"
    yield failed("container.engine", title, "; ".join(seen), reason, evidence=tuple(troubles), actions=actions, **need)


def check_toolkit(machine: Machine, *, has_gpu: bool) -> Iterator[Check]:
    """Check the NVIDIA Container Toolkit: nvidia-ctk, CDI's nvidia.com/gpu=all, its files, the engine's runtime."""
    title = "NVIDIA Container Toolkit"
    if not has_gpu:
        yield skipped("container.toolkit", title, "there is no NVIDIA GPU in this machine", absent=True)
        return
    answer = machine.run(("nvidia-ctk", "--version"), 10.0)
    if answer is None or not answer.ok:
        yield warned(
            "container.toolkit", title, "nvidia-ctk is not there", "containers cannot be given the GPU",
            source=_CDI, actions=("sudo apt-get install nvidia-container-toolkit", _GENERATE),
        )  # fmt: skip
        return
    version = answer.stdout.strip().partition("\n")[0] or "nvidia-ctk, of a version that it does not tell"
    yield passed("container.toolkit", title, version, source=_CDI)
    yield from _cdi(machine)
    yield from _runtime(machine)


def _cdi(machine: Machine) -> Iterator[Check]:
    title = "Devices for containers (CDI)"
    listed = machine.run(("nvidia-ctk", "cdi", "list"), 10.0)
    specs = [
        f"{folder}/{name}" for folder in _FOLDERS for name in machine.names(folder) if name.endswith((".yaml", ".json"))
    ]
    resolves = listed is not None and listed.ok and "nvidia.com/gpu=all" in listed.stdout
    if not resolves:
        yield warned(
            "container.cdi", title, f"{len(specs)} specification files",
            "nvidia.com/gpu=all does not resolve", source=_CDI, actions=(_GENERATE, "nvidia-ctk cdi list"),
        )  # fmt: skip
        return
    missing = [path for spec in specs for path in spec_paths(machine.text(spec) or "") if not machine.exists(path)]
    if missing:
        yield warned(
            "container.cdi", title, f"{len(specs)} specification files, {len(missing)} of their files are missing",
            "the specification is of another driver version; containers will not start with it",
            evidence=tuple(missing[:10]), source=_CDI, actions=(_GENERATE,),
        )  # fmt: skip
    else:
        yield passed(
            "container.cdi", title, f"nvidia.com/gpu=all resolves, {len(specs)} specification files", source=_CDI
        )


def spec_paths(text: str) -> list[str]:
    """List the files of the host that a CDI specification names, in YAML or JSON: device nodes, mounts, hooks.

    >>> spec_paths("hooks: [{path: /usr/bin/hook}]\\nmounts: [{hostPath: /lib/a.so, containerPath: /lib/b.so}]")
    ['/usr/bin/hook', '/lib/a.so']
    """
    return list(dict.fromkeys(_SPEC_PATH.findall(text)))


def _runtime(machine: Machine) -> Iterator[Check]:
    """Check that docker, where it is configured at all, knows the nvidia runtime; podman needs CDI only."""
    title = "Container runtime"
    if machine.run(("docker", "--version"), 10.0) is None:
        yield skipped("container.runtime", title, "docker is not there; podman needs CDI only")
        return
    try:
        told = json.loads(machine.text("/etc/docker/daemon.json") or "{}")
    except ValueError:
        told = {}
    runtimes, features = (
        value if isinstance(told, dict) and isinstance(value := told.get(name), dict) else {}
        for name in ("runtimes", "features")
    )
    if "nvidia" in runtimes or features.get("cdi"):
        yield passed("container.runtime", title, "docker is set up for the GPU (/etc/docker/daemon.json)")
    else:
        yield warned(
            "container.runtime", title, "/etc/docker/daemon.json names no nvidia runtime and no CDI",
            "docker run --gpus all will fail", source=_CDI,
            actions=("sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker",),
        )  # fmt: skip
