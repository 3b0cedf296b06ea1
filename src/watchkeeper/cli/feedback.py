"""`watchkeeper feedback`: says what findings and incidents really were, previews what that changes, and applies it.

Enters: ids and verdicts. Leaves: lines of text, or JSON. Holds no logic: the server does it all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from watchkeeper.cli.client import Client
from watchkeeper.cli.options import JsonOption, ServerOption, TokenOption, connection
from watchkeeper.cli.output import table, write_json
from watchkeeper.cli.text import clock_text, safe

app = typer.Typer(no_args_is_help=True)

SubjectArgument = Annotated[str, typer.Argument(metavar="ID", help="The finding or incident.")]
WhyOption = Annotated[str, typer.Option("--why", "-m", metavar="TEXT", help="Why; stands in the log of feedback.")]
ByOption = Annotated[str, typer.Option("--by", metavar="NAME", help="Who says it, where no tokens are set up.")]
FromOption = Annotated[
    str, typer.Option("--from", metavar="TIME", help="From: 15m, 2h, 7d before now, RFC 3339, Unix nanoseconds.")
]
ToOption = Annotated[str, typer.Option("--to", metavar="TIME", help="Up to; as --from.")]

_PATH = "/api/v1/feedback"
_CHANGES_SHOWN = 20


@app.callback()
def feedback() -> None:
    """Say what findings and incidents really were; see what that changes; apply it, and go back."""


@app.command()
def right(
    ctx: typer.Context,
    subject: SubjectArgument,
    why: WhyOption = "",
    by: ByOption = "",
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """Say that it was a real anomaly: it is kept out of what is learned as normal."""
    _give(ctx, {"subject": subject, "verdict": "right", "why": why, "by": by}, json=json, server=server, token=token)


@app.command()
def wrong(
    ctx: typer.Context,
    subject: SubjectArgument,
    why: WhyOption = "",
    by: ByOption = "",
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """Say that it is expected behaviour: the same, no stronger, weighs less from the next round on."""
    _give(ctx, {"subject": subject, "verdict": "wrong", "why": why, "by": by}, json=json, server=server, token=token)


@app.command()
def cause(
    ctx: typer.Context,
    subject: SubjectArgument,
    node: Annotated[str, typer.Argument(metavar="NODE", help="The true cause, such as service:cart or host:n1.")],
    why: WhyOption = "",
    by: ByOption = "",
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """Name the true cause."""
    said = {"subject": subject, "verdict": "cause", "true_cause": node, "why": why, "by": by}
    _give(ctx, said, json=json, server=server, token=token)


@app.command()
def category(
    ctx: typer.Context,
    subject: SubjectArgument,
    name: Annotated[str, typer.Argument(metavar="CATEGORY", help="The true category, see docs/categories.md.")],
    why: WhyOption = "",
    by: ByOption = "",
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """Name the true category of failure."""
    said = {"subject": subject, "verdict": "category", "true_category": name, "why": why, "by": by}
    _give(ctx, said, json=json, server=server, token=token)


@app.command()
def undo(
    ctx: typer.Context,
    entry: Annotated[str, typer.Argument(metavar="FEEDBACK", help="Id of the feedback, from the list.")],
    why: WhyOption = "",
    by: ByOption = "",
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """Take feedback back; it stays in the log, with who took it back."""
    with Client(connection(ctx, server, token)) as client:
        told = client.delete(f"{_PATH}/{entry}", {"by": by, "why": why})
    _tell(told, json=json)


@app.command("list")
def list_feedback(
    ctx: typer.Context,
    subject: Annotated[str, typer.Option(help="Only of this finding or incident.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Entries at the most.")] = 50,
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """List what people said, the latest last, and the rounds made of it."""
    with Client(connection(ctx, server, token)) as client:
        told = client.get(_PATH, {"subject": subject, "limit": limit})
        rounds = client.get(f"{_PATH}/rounds")["items"]
    if json:
        write_json({**told, "rounds": rounds})
        return
    rows = [
        (
            each["id"],
            clock_text(int(each["time_unix_ns"])),
            each["by"],
            each["verdict"] + _said(each),
            f"{each['subject_kind']} {each['subject']}",
            "" if each["in_force"] or each["verdict"] == "undo" else "no longer counts",
        )
        for each in reversed(told["items"])
    ]
    for line in table(("feedback", "time", "who", "says", "of", ""), rows) if rows else ["no feedback"]:
        typer.echo(line)
    for each in reversed(rounds):
        typer.echo(_round_line(each))
    if told["pending"]:
        typer.echo(f"{told['pending']} not applied; `watchkeeper feedback preview` tells what would change")


@app.command()
def ask(
    ctx: typer.Context,
    start: FromOption = "7d",
    end: ToOption = "now",
    limit: Annotated[int, typer.Option(min=1, help="Findings at the most.")] = 20,
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """List what a verdict is worth most on, at most two findings about the same thing, the most useful first."""
    with Client(connection(ctx, server, token)) as client:
        items = client.get(f"{_PATH}/questions", {"from": start, "to": end, "limit": limit})["items"]
    if json:
        write_json(items)
        return
    rows = [(each["finding_id"], each["about"], each["judged"], each["title"]) for each in items]
    for line in table(("finding", "alike", "judged", "what"), rows, right=(1, 2)) if rows else ["nothing to ask"]:
        typer.echo(line)


@app.command()
def preview(
    ctx: typer.Context,
    start: FromOption = "7d",
    end: ToOption = "now",
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """Tell which kept findings and incidents would change if the feedback given were applied now."""
    with Client(connection(ctx, server, token)) as client:
        told = client.post(f"{_PATH}/preview", {"from": start, "to": end})
    if json:
        write_json(told)
        return
    for line in preview_lines(told):
        typer.echo(line)


@app.command()
def apply(
    ctx: typer.Context,
    why: WhyOption = "",
    by: ByOption = "",
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """Make a round of all feedback; it acts unless it is worse on held-out or earlier verdicts or stored incidents."""
    _round(ctx, "rounds", {"why": why, "by": by}, json=json, server=server, token=token)


@app.command()
def rollback(
    ctx: typer.Context,
    why: WhyOption = "",
    by: ByOption = "",
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """Go back to the round before, in one step."""
    _round(ctx, "rollback", {"why": why, "by": by}, json=json, server=server, token=token)


def preview_lines(told: dict[str, Any]) -> list[str]:
    """Word a preview."""
    findings, incidents = told["findings"], told["incidents"]
    lines = [
        f"{told['pending']} not applied, {told['rules']} rules; of {findings['all']} findings {findings['lowered']} "
        f"would weigh less and {findings['raised']} more",
        f"incidents: {incidents['before']} now, {incidents['after']} then; {incidents['gone']} would be gone, "
        f"{incidents['changed']} changed, {incidents['new']} new",
    ]
    for each in incidents["items"][:_CHANGES_SHOWN]:
        change = each["change"]
        if change == "changed":
            change = (
                f"{each['severity_before']} -> {each['severity_after']}, findings "
                f"{each['findings_before']} -> {each['findings_after']}"
            )
        lines.append(f"  incident {each['id']}  {change}: {safe(each['title'])}")
    lines += [
        f"  finding {each['id']}  {each['change']} (weight {each['weight']:g}): {safe(each['title'])}"
        for each in findings["items"][:_CHANGES_SHOWN]
    ]
    rest = len(incidents["items"]) + len(findings["items"]) - 2 * _CHANGES_SHOWN
    if rest > 0 or told["truncated"]:
        lines.append("  ... and more; --json gives them")
    verdict = f"it would stay a candidate: {told['reason']}" if told["reason"] else "it would be promoted"
    return [*lines, verdict]


def _give(ctx: typer.Context, said: Mapping[str, object], *, json: bool, server: str, token: str) -> None:
    with Client(connection(ctx, server, token)) as client:
        told = client.post(_PATH, said)
    _tell(told, json=json)


def _tell(told: dict[str, Any], *, json: bool) -> None:
    if json:
        write_json(told)
        return
    what = f"undoes {told['undoes']}" if told["verdict"] == "undo" else told["verdict"] + _said(told)
    typer.echo(f"feedback {told['id']}: {safe(told['by'])} on {told['subject_kind']} {told['subject']}: {safe(what)}")


def _round(ctx: typer.Context, name: str, said: Mapping[str, object], *, json: bool, server: str, token: str) -> None:
    with Client(connection(ctx, server, token)) as client:
        told = client.post(f"{_PATH}/{name}", said)
    if json:
        write_json(told)
    else:
        typer.echo(_round_line(told))


def _round_line(each: dict[str, Any]) -> str:
    made_of = f"{each['entries']} entries, {each['rules']} rules"
    line = f"round {each['number']} ({each['state']}) by {safe(each['by'])}: {made_of}"
    return f"{line}; not promoted: {safe(each['reason'])}" if each["reason"] else line


def _said(each: dict[str, Any]) -> str:
    said = each["true_cause"] or each["true_category"]
    return f" {said}" if said else ""
