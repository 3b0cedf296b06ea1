"""`watchkeeper infer`: one inference job from file to file; `watchkeeper infer worker`: jobs from a subject of NATS."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from watchkeeper.cli.options import ConfigOption, HomeOption, SetOption, load_settings
from watchkeeper.errors import (
    InvalidJob,
    Refused,
    SettingError,
    TooLarge,
    UnknownName,
    Unreachable,
    WatchkeeperError,
)

if TYPE_CHECKING:
    from watchkeeper.edge.record import Record
    from watchkeeper.infer.job_log import JobLog, LogLine

app = typer.Typer()

EXIT_REFUSED = 4
_TOLD = {"timestamp", "level", "message"}
LogOption = Annotated[
    Path | None, typer.Option("--log", metavar="FILE", help="Append the log lines to this file, too.")
]
OtlpOption = Annotated[
    str, typer.Option("--otlp", metavar="URL", help="Send the log lines as OTLP to this collector, too.")
]
TokenOption = Annotated[str, typer.Option("--token", envvar="WATCHKEEPER_TOKEN", help="Token of that collector.")]


class LogTo(NamedTuple):
    """Where the log goes besides standard error."""

    file: Path | None
    otlp: str
    token: str


@app.callback(invoke_without_command=True)
def infer(
    ctx: typer.Context,
    source: Annotated[
        Path | None,
        typer.Option(
            "--input", metavar="FILE", envvar="WATCHKEEPER_INFER_INPUT", help="The job; - reads standard input."
        ),
    ] = None,
    target: Annotated[
        Path | None,
        typer.Option(
            "--output", metavar="FILE", envvar="WATCHKEEPER_INFER_OUTPUT", help="Its output; - writes standard output."
        ),
    ] = None,
    log: LogOption = None,
    otlp: OtlpOption = "",
    token: TokenOption = "",
    settings: SetOption = None,
    config: ConfigOption = None,
    home: HomeOption = None,
) -> None:
    """Run one inference job: a JSON file in, a JSON file out, a JSON log line a step on standard error.

    Models: category, embedding, openai:NAME. Exit status: 0 the output is written, 1 failed, 2 the job, its model or a
    setting is wrong, 3 a server does not answer, 4 it refuses for now. A job that fails leaves no output file.
    """
    if ctx.invoked_subcommand is not None:
        if log or otlp or settings or config or home:
            raise SettingError("options of the worker stand after its name: watchkeeper infer worker --nats URL ...")
        return
    from watchkeeper.infer.files import run_files
    from watchkeeper.infer.models.catalogue import Models
    from watchkeeper.infer.run import JobRunner

    if source is None or target is None:
        raise SettingError("name the job and its output: watchkeeper infer --input job.json --output result.json")
    chosen = load_settings(settings, config, home)
    with job_log("infer", LogTo(log, otlp, token)) as lines:
        models = Models(chosen)
        try:
            run_files(source, target, JobRunner(models, lines), lines)
        except WatchkeeperError as error:
            raise typer.Exit(exit_status(error)) from error
        finally:
            models.close()


@app.command()
def worker(
    nats: Annotated[
        str, typer.Option("--nats", metavar="URL", envvar="WATCHKEEPER_NATS", help="The server: nats://127.0.0.1:4222.")
    ],
    subject: Annotated[str, typer.Option("--subject", metavar="NAME", help="Where jobs come from.")] = "infer.jobs",
    results: Annotated[str, typer.Option("--results", metavar="NAME", help="Where results go.")] = "infer.results",
    dead: Annotated[str, typer.Option("--dead", metavar="NAME", help="Where dead letters go.")] = "infer.dead",
    durable: Annotated[
        str, typer.Option("--durable", metavar="NAME", help="The consumer that all workers of these jobs share.")
    ] = "watchkeeper-infer",
    deliveries: Annotated[
        int, typer.Option("--deliveries", metavar="N", min=1, help="Deliveries after which a job is a dead letter.")
    ] = 5,
    ack_wait: Annotated[
        float,
        typer.Option("--ack-wait", metavar="SECONDS", min=0.5, help="Silence after which a worker counts as dead."),
    ] = 30.0,
    pause: Annotated[
        float, typer.Option("--pause", metavar="SECONDS", min=0.0, help="First pause before a retry; it doubles.")
    ] = 1.0,
    health: Annotated[
        float, typer.Option("--health", metavar="SECONDS", min=0.05, help="Time between health lines in the log.")
    ] = 60.0,
    credentials: Annotated[str, typer.Option("--credentials", metavar="FILE", help="File of NATS credentials.")] = "",
    log: LogOption = None,
    otlp: OtlpOption = "",
    token: TokenOption = "",
    settings: SetOption = None,
    config: ConfigOption = None,
    home: HomeOption = None,
) -> None:
    """Take jobs from a JetStream subject and publish their results, until Ctrl-C; needs the extra `nats`.

    At least once: a job is acknowledged when its result, or a dead letter with the reason, is stored. Exit status: 0
    stopped, 1 failed, 2 a setting is wrong, 3 no NATS server, 4 it has no JetStream.
    """
    import asyncio

    from watchkeeper.infer.bus import Subjects
    from watchkeeper.infer.worker import WorkerPlan, serve

    chosen = load_settings(settings, config, home)
    plan = WorkerPlan(
        Subjects(subject, results, dead, durable),
        deliveries_max=deliveries,
        pause_first_s=pause,
        health_every_s=health,
        ack_wait_s=ack_wait,
    )
    with job_log("infer.worker", LogTo(log, otlp, token)) as lines:
        try:
            asyncio.run(serve(nats, plan, chosen, lines, credentials=credentials))
        except WatchkeeperError as error:
            lines.write("error", str(error), error=type(error).__name__)
            raise typer.Exit(exit_status(error)) from error


def exit_status(error: WatchkeeperError) -> int:
    """Give the exit status of a job that failed so."""
    if isinstance(error, InvalidJob | TooLarge | UnknownName | SettingError):
        return 2
    if isinstance(error, Unreachable):
        return 3
    return EXIT_REFUSED if isinstance(error, Refused) else 1


@contextmanager
def job_log(component: str, to: LogTo) -> Iterator[JobLog]:
    """Open the log of jobs; what could not be sent as OTLP is told at the end and changes no exit status."""
    from watchkeeper.infer.job_log import JobLog
    from watchkeeper.infer.ship import LogShipper

    sender = _OtlpSender(to) if to.otlp else None
    shipper = LogShipper(sender.send) if sender is not None else None
    log = JobLog(component, file=to.file, listeners=(shipper,) if shipper else ())
    try:
        yield log
    finally:
        if shipper is not None and sender is not None:
            if not shipper.close():
                log.write("warning", f"{shipper.lost} log lines were not sent as OTLP: {shipper.reason}")
            sender.stop()
        log.close()


class _OtlpSender:
    """Sends log lines to a collector; one whose collector is away gives up after a few seconds."""

    def __init__(self, to: LogTo) -> None:
        from watchkeeper.edge.sender import Sender, Target

        headers = {"Authorization": f"Bearer {to.token}"} if to.token else {}
        target = Target(to.otlp, headers, timeout_s=5.0, retry_for_s=5.0)
        try:
            self._sender = Sender(target)
        except SettingError as error:
            wrong = f"--otlp {to.otlp!r} is no address of a collector; write it as http://127.0.0.1:4318"
            raise SettingError(wrong) from error

    def send(self, lines: Sequence[LogLine]) -> int:
        """Send some lines; gives how many were taken."""
        import time

        from watchkeeper.edge.otlp import encode_logs

        body = encode_logs(map(_record, lines), observed_unix_ns=time.time_ns())
        return self._sender.send(body, len(lines)).accepted

    def stop(self) -> None:
        """Try nothing again and close the connection."""
        self._sender.stop()
        self._sender.close()


def _record(line: LogLine) -> Record:
    """Give a line as a record of OTLP: the message is the body, the rest are attributes."""
    import socket

    from watchkeeper.edge.record import Record
    from watchkeeper.infer.job_log import LEVELS

    said = line.as_dict()
    attributes = {name: value for name, value in said.items() if name not in _TOLD and value not in (None, "")}
    return Record(
        line.message,
        line.time_unix_ns,
        LEVELS[line.level],
        line.level.upper(),
        attributes,
        logger=f"watchkeeper.{line.component}",
        resource=(("service.name", "watchkeeper-infer"), ("host.name", socket.gethostname())),
    )
