"""Lets the kernel end a child process when the one that started it is gone, however that ended; Linux only.

The signal comes when the *thread* that started the child ends: start children from a thread that outlives them.
"""

from __future__ import annotations

import ctypes
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def end_with_parent(number: signal.Signals = signal.SIGTERM) -> Callable[[], None] | None:
    """Give what a child does before it becomes its program (`preexec_fn`), None where the system cannot do it."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)  # loaded before the fork: little is safe between fork and exec

    def ask_the_kernel() -> None:
        library.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)

    return ask_the_kernel
