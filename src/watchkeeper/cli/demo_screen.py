"""What the demo shows: a live picture in a terminal, plain lines elsewhere.

Enters: a View, once a second or so. Leaves: text. Asks nobody anything and decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

EVIDENCE_SHOWN = 2
FINDINGS_SHOWN = 8
INCIDENTS_SHOWN = 3
_COLOURS = {"critical": "bold red", "warning": "yellow", "info": "cyan"}


@dataclass(frozen=True)
class FoundView:
    """A finding as it came from the API, how many seconds after the fault, and whether it is of the faulty service."""

    finding: dict[str, Any]
    after_s: float
    at_fault: bool


@dataclass
class View:
    """All that is shown."""

    phase: str = "starting"
    detail: str = ""
    page: str = ""
    fault: str = ""
    services: list[dict[str, Any]] = field(default_factory=list)
    learning: dict[str, tuple[str, float, float]] = field(default_factory=dict)  # service: state, learned s, needed s
    found: list[FoundView] = field(default_factory=list)
    incidents: list[dict[str, Any]] = field(default_factory=list)
    named_right: bool = False
    unanswered: str = ""


class Screen:
    """Shows a View: redrawn in place on a terminal; elsewhere what is new since the last one, a line each."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._told: set[str] = set()
        self._phase = ""

    @contextmanager
    def open(self) -> Iterator[None]:
        """Begin to draw; the last picture stays."""
        live: AbstractContextManager[Any] = nullcontext()
        if self._console.is_terminal:
            live = self._live = Live(console=self._console, auto_refresh=False, vertical_overflow="ellipsis")
        with live:
            yield
        self._live = None

    def show(self, view: View) -> None:
        """Draw a View."""
        if self._live is not None:
            self._live.update(picture(view), refresh=True)
            return
        if view.phase != self._phase:
            self._phase = view.phase
            self._say(f"[{view.phase}] {view.detail}".rstrip())
        for incident in view.incidents:
            said = incident_line(incident)
            if said not in self._told:
                self._told.add(said)
                self._say(said)
        for found in view.found:
            if found.finding["id"] not in self._told:
                self._told.add(found.finding["id"])
                for line in finding_lines(found):
                    self._say(line)

    def say(self, text: str) -> None:
        """Write a line that stays."""
        self._say(text)

    def _say(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)


def finding_lines(found: FoundView) -> list[str]:
    """Give a finding in words: what, where, how soon, expected against seen, and lines of evidence."""
    finding = found.finding
    mark = "->" if found.at_fault else "  "
    title = str(finding["title"])
    where = "" if title.startswith(finding["service"]) else f"{finding['service']}: "
    lines = [f"{mark} +{found.after_s:.0f} s  {finding['severity']}  {where}{title}"]
    expected, seen = finding["expected"].get("text", ""), finding["seen"].get("text", "")
    if expected or seen:
        lines.append(f"        expected {expected}; seen {seen}")
    lines += [f"        | {_one_line(text)}" for text in _evidence(finding)]
    return lines


def incident_line(incident: dict[str, Any]) -> str:
    """Give an incident in a line: what, and whom it blames."""
    cause = incident["cause"]
    blamed = f"cause: {cause['node']} ({cause['confidence']:.0%} sure)" if cause else "no cause named yet"
    return f"== incident, {incident['severity']}: {_one_line(str(incident['title']))}; {blamed}"


def picture(view: View) -> RenderableType:
    """Give the whole picture for a terminal."""
    head = Text.assemble((f"{view.phase}  ", "bold"), view.detail)
    parts: list[RenderableType] = [head]
    if view.page:
        parts.append(Text.assemble("page  ", (view.page, "underline"), "    Ctrl-C ends everything"))
    if view.fault:
        parts.append(Text.assemble("fault ", (view.fault, "bold magenta")))
    if view.unanswered:
        parts.append(Text(f"the API does not answer: {view.unanswered}", "red"))
    incidents = [
        Text(incident_line(incident), "bold red" if view.named_right else "bold", no_wrap=True, overflow="ellipsis")
        for incident in view.incidents[:INCIDENTS_SHOWN]
    ]
    return Group(Panel(Group(*parts), title="Watchkeeper demo"), _services(view), *incidents, *_findings(view))


def _services(view: View) -> Table:
    table = Table(expand=True, box=None, header_style="dim")
    for name in ("service", "learning"):
        table.add_column(name)
    for name in ("lines/s", "errors in 1 min", "spans in 1 min", "findings open"):
        table.add_column(name, justify="right")
    for row in view.services:
        state, learned, needed = view.learning.get(row["service"], ("", 0.0, 0.0))
        told = f"learning {learned:.0f} of {needed:.0f} s" if state == "warming" else state
        table.add_row(
            escape(row["service"]),
            told,
            f"{row['logs_per_second']:.1f}",
            str(row["errors"]),
            str(row["spans"]),
            str(row["findings_open"] or ""),
            style="red" if row["findings_open"] else None,
        )
    return table


def _findings(view: View) -> list[RenderableType]:
    if not view.found:
        return [Text("no findings since the fault" if view.fault else "no findings yet", "dim")]
    shown: list[RenderableType] = []
    for found in view.found[:FINDINGS_SHOWN]:
        first, *rest = finding_lines(found)
        colour = _COLOURS.get(found.finding["severity"], "")
        shown.append(Text(first, colour if found.at_fault else "dim", no_wrap=True, overflow="ellipsis"))
        shown += [Text(line, "dim", no_wrap=True, overflow="ellipsis") for line in rest]
    if len(view.found) > FINDINGS_SHOWN:
        shown.append(Text(f"and {len(view.found) - FINDINGS_SHOWN} more on the page", "dim"))
    return shown


def _evidence(finding: dict[str, Any]) -> list[str]:
    lines = dict.fromkeys(str(each["text"]) for each in finding.get("evidence", ()) if each.get("kind") == "line")
    return list(lines)[:EVIDENCE_SHOWN]


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]
