"""A report as plain data, and as Markdown and HTML: words of ours apart from text of telemetry, which is untrusted.

Enters: sections of lines of spans. Leaves: text. Telemetry's text is shown as code, in which neither Markdown nor HTML
means anything; it is cut to a length, and control characters are taken out. Decides nothing about the content.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

TEXT_MAX = 300
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]+")
_MARKS = re.compile(r"([\\`*_{}\[\]()#+!|<>~&])")


@dataclass(frozen=True)
class Span:
    """A piece of a line. kind: `words` (ours), `told` (untrusted text), `cite` (the id of a piece of evidence)."""

    kind: str
    text: str


@dataclass(frozen=True)
class Line:
    """One sentence; `about`: what kind of claim it makes, "" when it makes none."""

    spans: tuple[Span, ...]
    about: str = ""

    @property
    def cites(self) -> tuple[str, ...]:
        """Give the ids of evidence that it cites."""
        return tuple(span.text for span in self.spans if span.kind == "cite")

    @property
    def text(self) -> str:
        """Give the sentence without marks."""
        return _joined(f"[{span.text}]" if span.kind == "cite" else clean(span.text) for span in self.spans)


@dataclass(frozen=True)
class Section:
    """A heading and its lines, told one after another or as a list."""

    heading: str
    lines: tuple[Line, ...]
    listed: bool = True


def line(*parts: str | Span, about: str = "", cites: Iterable[str] = ()) -> Line:
    """Make a line: plain strings are our own words."""
    spans = [Span("words", part) if isinstance(part, str) else part for part in parts]
    return Line((*spans, *(Span("cite", each) for each in dict.fromkeys(cites) if each)), about)


def told(text: str) -> Span:
    """Mark text that came from outside."""
    return Span("told", text)


def clean(text: str) -> str:
    """Give text on one line, without control and direction characters, cut to TEXT_MAX."""
    flat = " ".join(_UNSEEN.sub(" ", text).split())
    return flat if len(flat) <= TEXT_MAX else flat[: TEXT_MAX - 1] + "…"


def to_markdown(title: str, sections: Sequence[Section]) -> str:
    """Give CommonMark; every span of untrusted text is a code span.

    >>> to_markdown("T", [Section("S", (line("seen:", told("<b>`x`")),))])
    '# `T`\\n\\n## S\\n\\n- seen: `` <b>`x` ``\\n'
    """
    parts = [f"# {_code(title)}"]
    for section in sections:
        mark = "- " if section.listed else ""
        lines = [mark + _joined(_markdown(span) for span in each.spans) for each in section.lines]
        parts.append(f"## {section.heading}\n\n" + ("\n" if section.listed else "\n\n").join(lines))
    return "\n\n".join(parts) + "\n"


def to_html(title: str, sections: Sequence[Section]) -> str:
    """Give an HTML fragment: headings, paragraphs and lists; no scripts, no links, everything escaped."""
    parts = [f"<h1>{_escaped(title)}</h1>"]
    for section in sections:
        parts.append(f"<h2>{_escaped(section.heading)}</h2>")
        lines = [_joined(_html(span) for span in each.spans) for each in section.lines]
        if section.listed:
            parts.append("<ul>" + "".join(f"<li>{each}</li>" for each in lines) + "</ul>")
        else:
            parts.extend(f"<p>{each}</p>" for each in lines)
    return "<article>" + "\n".join(parts) + "</article>\n"


def _joined(pieces: Iterable[str]) -> str:
    text = ""
    for piece in pieces:
        glued = not text or text.endswith((" ", "(")) or piece.startswith((",", ".", ";", ":", ")", " "))
        text += piece if glued else f" {piece}"
    return text


def _markdown(span: Span) -> str:
    if span.kind == "told":
        return _code(span.text)
    if span.kind == "cite":
        return f"\\[{span.text}\\]" if _PLAIN_ID.fullmatch(span.text) else _code(span.text)
    return _MARKS.sub(r"\\\1", span.text)


_PLAIN_ID = re.compile(r"[A-Za-z0-9.:-]+")


def _code(text: str) -> str:
    flat = clean(text) or " "
    longest = max((len(run) for run in re.findall(r"`+", flat)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {flat} {fence}" if longest else f"{fence}{flat}{fence}"


def _html(span: Span) -> str:
    if span.kind == "told":
        return f"<code>{_escaped(span.text)}</code>"
    if span.kind == "cite":
        return f'<cite data-evidence="{_escaped(span.text)}">[{_escaped(span.text)}]</cite>'
    return _escaped(span.text)


def _escaped(text: str) -> str:
    return html.escape(clean(text), quote=True)
