"""Publishes a version again and again, each time killed one line of code later; a script for test_versions.py.

For each number of lines k, a forked child publishes and dies at its k-th line in watchkeeper/models or in the
functions it was given; the parent then opens what is left as a fresh process would, and checks it. Ends with the first
child that was not killed. Prints how many were.
"""

import os
import signal
import sys
from pathlib import Path

from watchkeeper.models.card import Card
from watchkeeper.models.versions import ModelVersions
from watchkeeper.store.metadata import Metadata

CONTENT = {"weights.bin": b"w" * 5000, "deeper/card.json": b"{}"}
WATCHED = (str(Path("watchkeeper") / "models"), __file__)


def write(folder: Path) -> None:
    (folder / "deeper").mkdir()
    for name, content in CONTENT.items():
        half = len(content) // 2
        with (folder / name).open("wb") as file:
            file.write(content[:half])
            file.flush()
            file.write(content[half:])


def verify(folder: Path) -> None:
    assert (folder / "weights.bin").read_bytes() == CONTENT["weights.bin"]


def die_after(lines: int):
    left = lines

    def trace(frame, event, argument):
        nonlocal left
        if not any(part in frame.f_code.co_filename for part in WATCHED):
            return None
        if event == "line":
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    return trace


def publish(home: Path, lines: int) -> None:
    metadata = Metadata(home / "metadata.sqlite")
    versions = ModelVersions(metadata, home / "models")
    sys.settrace(die_after(lines))
    versions.publish("logs/default", write, Card("logs"), verify=verify)
    sys.settrace(None)


def check(home: Path, before: int) -> int:
    """Check what stands after a kill, and give how many versions there are."""
    metadata = Metadata(home / "metadata.sqlite")
    try:
        versions = ModelVersions(metadata, home / "models", keep=10_000)
        versions.sweep()
        known = versions.list()
        assert len(known) in {before, before + 1}, (before, known)
        folders = {path for path in (home / "models").glob("*/*") if path.is_dir()}
        assert folders == {version.folder for version in known}, folders
        assert not list((home / "models").glob(".partial-*"))
        if len(known) > before:
            newest = known[0]
            for name, content in CONTENT.items():
                assert (newest.folder / name).read_bytes() == content
            assert versions.promote("logs/default", newest.number, who="test", why="whole").damaged == ""
        return len(known)
    finally:
        metadata.close()


def main(home: Path) -> None:
    known = check(home, 0)
    for lines in range(1, 2000):
        child = os.fork()
        if child == 0:
            publish(home, lines)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        known = check(home, known)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            print(lines - 1, known)
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]))
