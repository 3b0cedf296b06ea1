"""One harness for all tests of this folder: built, brought up, and removed with its images at the end."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.running import CHECKOUT, Running, podman, why_no_containers


@pytest.fixture(scope="session")
def harness() -> Iterator[Running]:
    # Wheels that were fetched stay for the next run; WATCHKEEPER_KEEP_IMAGES keeps the images too.
    if shutil.which("podman") is None or os.geteuid() != 0:
        pytest.skip("podman as root is needed (its network is looked into); see .ci/run for the packages")
    home = Path(os.environ.get("WATCHKEEPER_CONTAINERS_HOME") or CHECKOUT / ".cache" / "containers")
    running = Running(home)
    if reason := why_no_containers(running.base):
        pytest.skip(f"no container runs here: {reason}")
    running.command("down", "--volumes")
    running.up()
    try:
        yield running
    finally:
        running.command("down", "--volumes")
        if not os.environ.get("WATCHKEEPER_KEEP_IMAGES"):
            images = ("watchkeeper-edge", "watchkeeper-centre", "watchkeeper-python")
            podman("rmi", "--force", *(f"localhost/{image}" for image in images), check=False)
            podman("image", "prune", "--force", check=False)
