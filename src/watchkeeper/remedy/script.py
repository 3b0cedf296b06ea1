"""Writes an order as a script for people to read and run: it shows what it would do, and does it only with --run.

Enters: an order with the argv of the catalogue. Leaves: bash text. Every word is quoted; nothing of an order can become
a command of its own. Runs nothing.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from watchkeeper.remedy.catalogue import Order


def write_script(order: Order, argv: Sequence[str]) -> str:
    """Give a bash script.

    >>> "action=(shop restart 'a; b')" in write_script(Order("restart", "a; b"), ["shop", "restart", "a; b"])
    True
    """
    words = " ".join(shlex.quote(word) for word in argv)
    why = " ".join(order.why.split())
    return f"""#!/usr/bin/env bash
# {order.action} {" ".join(order.target.split())}{f": {why}" if why else ""}
# Shows what it would do; does it with --run.
set -euo pipefail
action=({words})
if [ "${{1:-}}" != "--run" ]; then
  printf '%q ' "${{action[@]}}"
  echo
  exit 0
fi
exec "${{action[@]}}"
"""
