"""The nursery: a small process that forks every other process of the shop and dies with the supervisor.

The heavy imports happen once, in the supervisor, before the nursery is forked; a service forked from it is up in a
tenth of a second and shares their memory. A child is killed by the kernel when the nursery dies, and the nursery when
the supervisor dies (PR_SET_PDEATHSIG), so that not even `kill -9` leaves a process behind. Knows nothing of shops.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import json
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

PR_SET_PDEATHSIG = 1
MESSAGE_BYTES_MAX = 65_536

Target = Callable[[dict[str, Any]], None]


def die_with_parent(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent dies; at once if that has happened already. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(1)


class Nursery:
    """The supervisor's end: start children, signal them, hear of their ends.

    `on_exit(pid, status)` is called in the event loop for each child that ended, and for the nursery itself, with which
    all children end; status as os.waitstatus_to_exitcode.
    """

    def __init__(self, pid: int, channel: socket.socket, on_exit: Callable[[int, int], None]) -> None:
        self.pid = pid
        self._channel = channel
        self._on_exit = on_exit
        self._waiting: list[asyncio.Future[int]] = []

    @classmethod
    def open(cls, targets: Mapping[str, Target], folder: Path, on_exit: Callable[[int, int], None]) -> Nursery:
        """Fork the nursery. Call it before any thread or event loop is started."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        gc.collect()
        gc.freeze()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            ours.close()
            _exit_with(lambda: _Keeper(theirs, targets, folder).run(parent))
        theirs.close()
        ours.setblocking(False)
        return cls(pid, ours, on_exit)

    def listen(self) -> None:
        """Hear the nursery in the running event loop."""
        asyncio.get_running_loop().add_reader(self._channel, self._hear)

    async def start(self, target: str, arguments: dict[str, Any]) -> int:
        """Start a child that runs a target (or, for `exec`, the program in arguments["argv"]); gives its pid."""
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        self._channel.send(json.dumps({"target": target, "arguments": arguments}).encode())
        return await answer

    def _hear(self) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(BlockingIOError):
            while data := self._channel.recv(MESSAGE_BYTES_MAX):
                message = json.loads(data)
                if "ended" in message:
                    # Later, so that whoever waits for the start of this very child has its pid by then.
                    loop.call_soon(self._on_exit, message["ended"], message["status"])
                elif not (waiting := self._waiting.pop(0)).done():
                    waiting.set_result(message["started"])
            loop.remove_reader(self._channel)
            self._on_exit(self.pid, -signal.SIGKILL)

    def close(self) -> None:
        """End the nursery and, with it, every child that still lives."""
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop().remove_reader(self._channel)
        self._channel.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


class _Keeper:
    """The nursery's own end: a loop over the channel and over dead children."""

    def __init__(self, channel: socket.socket, targets: Mapping[str, Target], folder: Path) -> None:
        self._channel = channel
        self._targets = targets
        self._folder = folder

    def run(self, parent_pid: int) -> None:
        os.setsid()  # Ctrl-C in the terminal is for the supervisor, which ends the children in order
        die_with_parent(parent_pid)
        self._wake, wake_writer = socket.socketpair()
        self._wake.setblocking(False)
        wake_writer.setblocking(False)
        signal.set_wakeup_fd(wake_writer.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        while True:
            readable, _, _ = select.select([self._channel, self._wake], [], [])
            if self._wake in readable:
                self._wake.recv(4096)
                self._reap()
            if self._channel in readable:
                data = self._channel.recv(MESSAGE_BYTES_MAX)
                if not data:
                    return
                self._start(json.loads(data))

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._tell({"ended": pid, "status": os.waitstatus_to_exitcode(status)})

    def _start(self, message: dict[str, Any]) -> None:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _exit_with(lambda: self._become(parent, message["target"], message["arguments"]))
        self._tell({"started": pid})

    def _become(self, parent_pid: int, target: str, arguments: dict[str, Any]) -> None:
        die_with_parent(parent_pid)
        signal.set_wakeup_fd(-1)
        for each in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_DFL)
        self._channel.close()
        output = os.open(self._folder / f"{arguments['name']}.out", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        if target == "exec":
            os.execv(arguments["argv"][0], arguments["argv"])
        self._targets[target](arguments)

    def _tell(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._channel.send(json.dumps(message).encode())


def _exit_with(work: Callable[[], None]) -> NoReturn:
    """Run the work of a forked process and leave, without the clean-up that belongs to the process it came from."""
    status = 1
    try:
        work()
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001 - the last frame of a process: whatever it is, tell it and end
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)
