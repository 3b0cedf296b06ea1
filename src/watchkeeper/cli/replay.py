"""`watchkeeper replay`: sends a log file or a data set as OTLP to any collector."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from watchkeeper.cli.options import Connection, JsonOption, SetOption, TokenOption, connection, load_settings
from watchkeeper.errors import SettingError, UnknownName

if TYPE_CHECKING:
    from watchkeeper.edge.replay import Plan, Replay, Summary
    from watchkeeper.edge.sender import Sender
    from watchkeeper.edge.source import Source

app = typer.Typer()


def _show_formats(asked: bool) -> None:  # noqa: FBT001 - typer's signature of a callback
    if asked:
        from watchkeeper.edge.formats import FORMATS

        for name in FORMATS:
            row = FORMATS.get(name)
            typer.echo(f"{row.name:15} {row.title}\n{'':15} {row.example}")
        raise typer.Exit


@app.command()
def replay(
    ctx: typer.Context,
    what: Annotated[
        str, typer.Argument(metavar="FILE|DATASET", help="A log file, a data set, or - for the standard input.")
    ],
    to: Annotated[
        str, typer.Option(metavar="URL", help="Address of the OTLP/HTTP collector.")
    ] = "http://127.0.0.1:4318",
    rate: Annotated[float, typer.Option(min=0, help="Records a second at the most; 0 for no bound.")] = 0.0,
    speed: Annotated[
        float, typer.Option(min=0, help="Keep the recorded gaps, divided by this; 0 sends as fast as it goes.")
    ] = 0.0,
    service: Annotated[str, typer.Option(help="Service name of all records, instead of what the source says.")] = "",
    original_time: Annotated[
        bool | None,
        typer.Option(
            "--original-time/--now",
            help="Send times as recorded (default for files), or moved so that the last record, or with --speed the "
            "first, is now (default for data sets and with --speed).",
        ),
    ] = None,
    line_format: Annotated[
        str, typer.Option("--format", metavar="NAME", help="Log format, or auto; --formats lists them.")
    ] = "auto",
    timezone: Annotated[
        str, typer.Option(help="Zone of times without one: local, UTC, +02:00, Europe/Berlin. Data sets: UTC.")
    ] = "",
    limit: Annotated[int, typer.Option(min=0, help="Stop after so many records; 0 for all.")] = 0,
    batch: Annotated[int, typer.Option(min=1, max=100_000, help="Records in one request.")] = 1000,
    header: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Header to send along; may be repeated.")
    ] = None,
    ca_file: Annotated[str, typer.Option("--ca", metavar="FILE", help="PEM file of authorities to trust.")] = "",
    certificate: Annotated[str, typer.Option("--cert", metavar="FILE", help="PEM client certificate.")] = "",
    key: Annotated[str, typer.Option("--key", metavar="FILE", help="PEM private key of the client certificate.")] = "",
    retry_for: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long a refused batch is tried again.")
    ] = 300.0,
    keep_original: Annotated[
        bool, typer.Option("--keep-original", help="Add each record's lines as attribute log.record.original.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and count, send nothing, show a sample.")] = False,
    json: JsonOption = False,
    assignments: SetOption = None,
    token: TokenOption = "",
    formats: Annotated[
        bool, typer.Option("--formats", callback=_show_formats, is_eager=True, help="List the log formats and exit.")
    ] = False,
) -> None:
    """Send a log file or a data set as OTLP logs to any collector.

    Understands plain, gzip, xz, bzip2 and zstd files; JSON lines, syslog, access logs, the formats of the common
    loggers, container logs (--formats lists all). Stack traces are joined to the line that they belong to. What a
    collector refuses for now (429, 503, a broken connection) is sent again; nothing is left out unsaid.

    Data sets: hdfs, bgl, hadoop, openstack, loghub, loghub/Spark and the like; `watchkeeper data list` shows them.
    """
    from watchkeeper.edge.replay import Plan, Replay
    from watchkeeper.edge.sender import Sender, Target
    from watchkeeper.edge.timeline import When
    from watchkeeper.edge.timestamps import zone_of_text

    sources, from_data_set = find_sources(what, assignments)
    now = (from_data_set or speed > 0) if original_time is None else not original_time
    plan = Plan(
        when=When.NOW if now else When.ORIGINAL,
        rate=rate,
        speed=speed,
        service=service,
        format=line_format,
        batch_records=batch,
        limit=limit,
        keep_original=keep_original,
        merge=from_data_set,
        zone=zone_of_text(timezone or ("UTC" if from_data_set else "local")),
    )
    _check_format(line_format)
    headers = _headers(header or [], connection(ctx, token=token))
    target = Target(to, headers, retry_for_s=retry_for, ca_file=ca_file, certificate=certificate, key=key)
    sender = None if dry_run else Sender(target)
    job = Replay(sources, plan, sender)
    try:
        with _progress(job, sources, shown=sys.stderr.isatty() and not json):
            job.run()
    finally:
        if sender is not None:
            sender.close()
        if job.summary.shapes or dry_run:
            _tell(job.summary, plan, sender, json_lines=json)
    if dry_run and not json:
        _show_sample(sources, plan)
    if job.summary.rejected:
        raise typer.Exit(1)


def find_sources(what: str, assignments: Sequence[str] | None) -> tuple[list[Source], bool]:
    """Find what is to be replayed: a file of that name first, then a data set; tells whether it is a data set."""
    from watchkeeper.edge.source import source_of_path

    if what == "-" or Path(what).exists():
        return [source_of_path(what)], False
    from watchkeeper.datasets.logs import is_log_set, log_parts
    from watchkeeper.edge.source import source_of_part

    if is_log_set(what):
        settings = load_settings(assignments)
        return [source_of_part(part) for part in log_parts(what, settings.path("data"))], True
    if "/" in what or "." in what:
        raise SettingError(f"there is no file {what}")
    raise UnknownName(
        f"there is neither a file nor a data set of log lines named {what!r}; see `watchkeeper data list`"
    )


def _check_format(name: str) -> None:
    from watchkeeper.edge.envelopes import ENVELOPES
    from watchkeeper.edge.formats import FORMATS

    if name not in {"auto", *ENVELOPES}:
        FORMATS.get(name)


def _headers(texts: Sequence[str], known: Connection) -> dict[str, str]:
    headers = {"Authorization": f"Bearer {known.token}"} if known.token else {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise SettingError(f"--header {text!r} is not of the form name=value")
        headers[name.strip()] = value.strip()
    return headers


@contextmanager
def _progress(job: Replay, sources: Sequence[Source], *, shown: bool) -> Iterator[None]:
    if not shown:
        yield
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    sizes = [source.size_bytes for source in sources]
    total = sum(size for size in sizes if size is not None) if all(size is not None for size in sizes) else None
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[said]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task("replay", total=total, said="")
    with bar:
        job.on_progress(_updater(bar.update, task))
        yield


def _updater(update: Callable[..., None], task: int) -> Callable[[Summary, int, float], None]:
    def updated(summary: Summary, position: int, elapsed_s: float) -> None:
        rate = summary.records / elapsed_s if elapsed_s > 0 else 0.0
        said = f"{summary.records:,} records  {rate:,.0f}/s  {summary.bytes / 1e6:,.1f} MB"
        if summary.retries:
            said += f"  {summary.retries} retries"
        update(task, completed=position, said=said)

    return updated


def _tell(summary: Summary, plan: Plan, sender: Sender | None, *, json_lines: bool) -> None:
    if json_lines:
        import orjson

        data = {**summary.as_dict(), "to": sender.url if sender else None, "when": plan.when.value}
        typer.echo(orjson.dumps(data).decode())
        return
    for line in summary_lines(summary, plan, sender.url if sender else None):
        typer.echo(line)


def summary_lines(summary: Summary, plan: Plan, url: str | None) -> list[str]:
    """Say in words what a replay did; `url` None for a dry run."""
    from watchkeeper.cli.text import clock_text, duration_text, safe

    shapes = list(dict.fromkeys(summary.shapes.values()))
    named = shapes[0] if len(shapes) == 1 else f"{len(summary.shapes)} files in {len(shapes)} formats"
    lines = [f"format    {named}" if shapes else "format    none: there were no lines"]
    lines.append(f"read      {summary.lines:,} lines, {summary.bytes / 1e6:,.1f} MB, {summary.records:,} records")
    notes = [
        (summary.joined_lines, "lines joined to the record above"),
        (summary.empty_lines, "empty lines"),
        (summary.without_time, "records without a time of their own"),
        (summary.mended_lines, "lines with bytes that are not UTF-8, replaced by U+FFFD"),
        (summary.cut_lines, f"over-long lines, cut by {summary.cut_bytes:,} bytes"),
    ]
    lines += [f"          {count:,} {text}" for count, text in notes if count]
    if summary.first_unix_ns:
        moved = f", moved by {duration_text(summary.shift_ns)}" if summary.shift_ns else ""
        lines.append(f"times     {clock_text(summary.first_unix_ns)} to {clock_text(summary.last_unix_ns)}{moved}")
    rate = summary.records / summary.elapsed_s if summary.elapsed_s > 0 else 0.0
    took = f"in {summary.elapsed_s:.1f} s, {rate:,.0f} records/s"
    if url is None:
        lines.append(f"sent      nothing, a dry run; read {took}")
        return lines
    lines.append(f"sent      {summary.sent:,} records to {url} {took}")
    if summary.retries:
        lines.append(f"          {summary.retries:,} retries")
    if summary.rejected:
        lines.append(f"rejected  {summary.rejected:,} records: {safe(summary.rejected_message) or 'no reason given'}")
    if summary.unsent:
        lines.append(f"unsent    {summary.unsent:,} records that were read, and whatever follows them")
    return lines


def _show_sample(sources: Sequence[Source], plan: Plan) -> None:
    from watchkeeper.cli.text import clock_text, safe
    from watchkeeper.edge.replay import SourceReader
    from watchkeeper.edge.severity import severity_name

    if sources[0].live:
        return
    typer.echo("the first records:")
    shown = 0
    for records in SourceReader(sources[0], plan).batches():
        for record in records[: 5 - shown]:
            attributes = " ".join(f"{name}={value}" for name, value in record.attributes.items())
            when = clock_text(record.time_unix_ns) if record.time_unix_ns else "no time"
            level = severity_name(record.severity_number)
            typer.echo(f"  {when} {level} [{safe(record.logger)}] {safe(str(record.body))[:300]}")
            typer.echo(f"      {safe(attributes)[:300]}")
            shown += 1
        if shown >= 5:
            return
