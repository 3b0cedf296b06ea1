"""The two images: built from a checkout when something in it changed, else left alone.

Enters: a checkout, a base image, where wheels are to be built. Leaves: images, labelled with a digest of what they were
made of. With wheels from outside the build needs a Debian mirror and no package index: they are fetched here, by this
machine's pip as it is configured, for the Python of the image.
"""

from __future__ import annotations

import email
import hashlib
import importlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from watchkeeper.errors import HarnessError
from watchkeeper.harness.engine import Engine
from watchkeeper.harness.plan import IMAGES

BASE_IMAGE = "docker.io/library/debian:trixie-slim"
SOURCES_LABEL = "org.watchkeeper.sources"
FREE_BYTES_MIN = 3 * 2**30
PIP_S = 900.0
_PARTS = ("src", "ui", "examples/shop", "deploy/containers", "pyproject.toml", "constraints.txt", "hatch_build.py")
_LEFT_OUT = {"node_modules", "__pycache__", "static"}
_ASK_PYTHON = "import platform, sys; print(platform.python_version(), platform.libc_ver()[1])"
_CANNOT_PULL = (
    "initializing source", "pinging container registry", "pull access denied", "failed to resolve source",
    "no such host", "unauthorized", "manifest unknown", "short-name", "connection refused",
)  # fmt: skip

Say = Callable[[str], None]


@dataclass(frozen=True)
class Recipe:
    """How to build: the checkout, base image, `inside` or `outside`, extras of the centre, further build options."""

    checkout: Path
    base_image: str = BASE_IMAGE
    wheels: str = "outside"
    extras: str = ""
    options: tuple[str, ...] = ()

    def digest(self) -> str:
        """Give what changes with anything that the images are made of. Cost: reads the sources, some 10 MB."""
        made = hashlib.sha256(json.dumps([self.base_image, self.wheels, self.extras, self.options]).encode())
        for part in _PARTS:
            place = self.checkout / part
            for file in sorted(place.rglob("*")) if place.is_dir() else [place]:
                inside = file.relative_to(self.checkout)
                if file.is_file() and not _LEFT_OUT & set(inside.parts) and file.suffix != ".so":
                    made.update(f"{inside}\0{file.stat().st_mode & 0o111}\0".encode())
                    made.update(file.read_bytes())
        return made.hexdigest()[:16]


def find_checkout(named: Path | None) -> Path:
    """Give the checkout that holds deploy/containers; raises HarnessError."""
    places = [named] if named else [Path(__file__).resolve().parents[3], Path.cwd()]
    for place in places:
        if place is not None and (place / "deploy" / "containers" / "edge.Containerfile").exists():
            return place.resolve()
    looked = ", ".join(str(place) for place in places)
    raise HarnessError(f"there is no deploy/containers in {looked}; name a checkout of Watchkeeper with --checkout")


def build_images(engine: Engine, recipe: Recipe, cache: Path, say: Say) -> bool:
    """Build both images unless they are as the checkout is; tells whether it built. Raises HarnessError."""
    wanted = recipe.digest()
    if all(engine.image_label(image, SOURCES_LABEL) == wanted for image in IMAGES.values()):
        say("images are up to date")
        return False
    _check_space(engine)
    with _context(engine, recipe, cache, say) as (context, secrets):
        for kind, image in IMAGES.items():
            say(f"building {image}")
            arguments = ["--tag", image, "--label", f"{SOURCES_LABEL}={wanted}", *secrets]
            if recipe.extras:
                arguments += ["--build-arg", f"EXTRAS={recipe.extras}"]
            _build(engine, recipe, kind, context, arguments, say)
    return True


def _build(engine: Engine, recipe: Recipe, kind: str, context: Path, arguments: list[str], say: Say) -> None:
    file = recipe.checkout / "deploy" / "containers" / f"{kind}.Containerfile"
    # Health checks are no part of the OCI's format of images.
    form = ["--format", "docker"] if engine.name == "podman" else []
    common = ["--file", str(file), "--build-arg", f"BASE_IMAGE={recipe.base_image}"]
    common += ["--build-arg", f"WHEELS={recipe.wheels}", *engine.limits(), *recipe.options]
    try:
        engine.watch("build", *form, *common, *arguments, str(context), line=lambda text: _step(text, say))
    except HarnessError as error:
        if any(mark in str(error).lower() for mark in _CANNOT_PULL):
            raise HarnessError(
                f"{error}\nthe base image {recipe.base_image} cannot be pulled; name one that is here with "
                "--base-image, or make one: deploy/containers/make-base localhost/debian:trixie-slim"
            ) from error
        raise


def _step(text: str, say: Say) -> None:
    """Tell the lines of a build that begin a step."""
    if "STEP " in text or text.startswith("#"):
        say(text[:100])


@contextmanager
def _context(engine: Engine, recipe: Recipe, cache: Path, say: Say) -> Iterator[tuple[Path, list[str]]]:
    """Give the folder that a build sees, and options for secrets."""
    with tempfile.TemporaryDirectory(prefix="watchkeeper-build-") as made:
        place = Path(made)
        if recipe.wheels == "inside":
            secret = place / "pip.conf"
            secret.write_text(_pip_configuration(), encoding="utf-8")
            yield recipe.checkout, ["--secret", f"id=pip,src={secret}"]
            return
        wheels = _wheelhouse(engine, recipe, cache, place, say)
        shutil.copytree(wheels, place / "context" / "wheelhouse", copy_function=_link)
        for part in ("deploy/containers", "examples/shop"):
            left_out = shutil.ignore_patterns("__pycache__")
            shutil.copytree(recipe.checkout / part, place / "context" / part, ignore=left_out)
        yield place / "context", []


def _wheelhouse(engine: Engine, recipe: Recipe, cache: Path, place: Path, say: Say) -> Path:
    """Give a folder with Watchkeeper's wheel and all that it needs for the Python of the image."""
    say("asking the base image for its Python")
    (place / "empty").mkdir()
    _build(
        engine, recipe, "edge", place / "empty", ["--target", "python", "--tag", "localhost/watchkeeper-python"], say
    )
    asked = ["run", "--rm", "--network", "none", *engine.limits(), "localhost/watchkeeper-python", "python3", "-c"]
    python, glibc = engine.run(*asked, _ASK_PYTHON).output.split()
    extras = ",".join(filter(None, ("shop", recipe.extras)))
    needs = [recipe.checkout / "pyproject.toml", recipe.checkout / "constraints.txt"]
    stamp = hashlib.sha256(b"".join(file.read_bytes() for file in needs) + f"{python}{glibc}{extras}".encode())
    folder = cache / f"wheelhouse-{stamp.hexdigest()[:12]}"
    for old in cache.glob("wheelhouse-*"):
        if old != folder:
            shutil.rmtree(old)
    whole, own_of = folder / ".whole", folder / ".own"
    folder.mkdir(parents=True, exist_ok=True)
    if not own_of.exists() or own_of.read_text(encoding="utf-8") != recipe.digest():
        for old in folder.glob("watchkeeper-*.whl"):
            old.unlink()
        say("building Watchkeeper's wheel")
        _pip("wheel", "--no-deps", "--wheel-dir", str(folder), str(recipe.checkout))
        own_of.write_text(recipe.digest(), encoding="utf-8")
    if not whole.exists():
        say(f"fetching what it needs, for Python {python}")
        own = next(folder.glob("watchkeeper-*.whl"))
        target = ["--only-binary", ":all:", "--python-version", python, *_platforms(glibc)]
        constraints = ["--constraint", str(recipe.checkout / "constraints.txt")]
        wanted = [f"{own}[{extras}]"]
        while wanted:
            _pip("download", *target, *constraints, "--dest", str(folder), *wanted)
            wanted = left_out(folder, python)
        whole.touch()
    return folder


def left_out(folder: Path, python: str) -> list[str]:
    """Give what wheels in a folder need on a version of Python and pip did not fetch.

    `pip download --python-version` chooses files for that version, but reads conditions such as
    `python_full_version < "3.11.3"` as of the Python that it runs on itself.
    """
    requirement = importlib.import_module("pip._vendor.packaging.requirements").Requirement
    environment = {"python_full_version": python, "python_version": ".".join(python.split(".")[:2]), "extra": ""}
    there = {_canonical(wheel.name.partition("-")[0]) for wheel in folder.glob("*.whl")}
    missing = {}
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            metadata = email.message_from_bytes(archive.read(name))
        for text in metadata.get_all("Requires-Dist") or ():
            needed = requirement(text)
            if (needed.marker is None or needed.marker.evaluate(environment)) and _canonical(needed.name) not in there:
                missing[_canonical(needed.name)] = f"{needed.name}{needed.specifier}"
    return sorted(missing.values())


def _canonical(name: str) -> str:
    """Give a project's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _platforms(glibc: str) -> list[str]:
    """Give pip's options for every platform tag that a glibc runs."""
    machine, minor = platform.machine(), int(glibc.split(".")[1])
    tags = [f"manylinux_2_{number}_{machine}" for number in range(minor, 4, -1)]
    tags += [f"manylinux2014_{machine}", f"manylinux2010_{machine}", f"manylinux1_{machine}", f"linux_{machine}"]
    return [option for tag in tags for option in ("--platform", tag)]


def _pip(*arguments: str) -> str:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", arguments[0], "--quiet", *arguments[1:]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_S, check=False)
    if done.returncode:
        told = [line for line in (done.stdout + done.stderr).splitlines() if line.strip() and "WARNING" not in line]
        last = "\n".join(told[-12:])
        raise HarnessError(f"`pip {arguments[0]}` failed: {last}\nWith --wheels inside, the build fetches them itself")
    return done.stdout


def _pip_configuration() -> str:
    """Give this machine's configuration of pip as one file, the variables of the environment included."""
    lines = ["[global]"]
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, timeout=PIP_S, check=False
    )
    for line in listed.stdout.splitlines():
        name, equals, value = line.partition("=")
        if equals:
            lines.append(f"{name.rpartition('.')[2]} = {value.strip(chr(39))}")
    return "\n".join(dict.fromkeys(lines)) + "\n"


def _check_space(engine: Engine) -> None:
    """Raise HarnessError when the disk of the engine has too little room for the images."""
    form = "{{.Store.GraphRoot}}" if engine.name == "podman" else "{{.DockerRootDir}}"
    root = Path(engine.run("info", "--format", form).output)
    while not root.exists():
        root = root.parent
    free = shutil.disk_usage(root).free
    if free < FREE_BYTES_MIN:
        raise HarnessError(
            f"the disk of {root} has {free / 2**30:.1f} GiB left, and the images need up to "
            f"{FREE_BYTES_MIN / 2**30:g} GiB; `{engine.name} image prune` frees some"
        )


def _link(source: str, target: str) -> None:
    """Link a file rather than copy it, where both are on one disk."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
