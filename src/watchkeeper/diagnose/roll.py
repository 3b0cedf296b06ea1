"""A Roll: the members of one incident, rolled up by line, so that what flaps a thousand times costs as much as once.

Enters: members as they join and change. Leaves: one Member a line (the worst of it, from its first to its last), which
still goes on, and in what order they joined. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from watchkeeper.diagnose.member import SEVERITY_RANK, Member


class Roll:
    """The members of one incident. finding_ids: in order of joining; lines: by `Member.line`, in order of joining.

    last_unix_ns: when anything was seen last, 0 without members. judged: the entry points by which the lines were
    judged last, None when a line has changed since in more than its end.
    """

    def __init__(self, members: Iterable[Member] = ()) -> None:
        self.finding_ids: dict[str, None] = {}
        self.lines: dict[str, Member] = {}
        self.last_unix_ns = 0
        self.judged: frozenset[str] | None = None
        self._open: dict[str, int] = {}
        for member in members:
            self.add(member)

    def add(self, member: Member) -> None:
        """Take in a member that joins or has changed. Constant cost."""
        self.finding_ids[member.finding_id] = None
        known = self.lines.get(member.line)
        line = _folded(known, member) if known else member
        self.lines[member.line] = line
        self.last_unix_ns = max(self.last_unix_ns, member.last_unix_ns)
        if known is None or replace(line, last_unix_ns=known.last_unix_ns) != known:
            self.judged = None
        if member.open:
            self._open[member.finding_id] = member.last_unix_ns
        else:
            self._open.pop(member.finding_id, None)

    def goes_on(self, since_unix_ns: int) -> bool:
        """Tell whether any member is open and was told of after the time."""
        return any(last > since_unix_ns for last in self._open.values())


def _folded(known: Member, member: Member) -> Member:
    shares = [share for share in (known.error_share, member.error_share) if share is not None]
    worse = member if SEVERITY_RANK[member.severity] > SEVERITY_RANK[known.severity] else known
    return replace(
        known,
        title=worse.title,
        severity=worse.severity,
        nodes=tuple(dict.fromkeys((*known.nodes, *member.nodes))) if member.nodes != known.nodes else known.nodes,
        first_unix_ns=min(known.first_unix_ns, member.first_unix_ns),
        last_unix_ns=max(known.last_unix_ns, member.last_unix_ns),
        error_share=max(shares, default=None),
        predicts=known.predicts and member.predicts,
    )
