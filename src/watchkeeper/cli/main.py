"""The `watchkeeper` command: a table of commands, each imported only when it is asked for.

Enters: the arguments of the process. Leaves: an exit status (0 done, 1 failed, 2 wrong usage or setting, 3 no server,
130 interrupted) and, for an error, one line on the standard error. Help of the whole is written from the table, so that
it costs no import. Holds no command's logic.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import typer
import typer.core
import typer.main

from watchkeeper.cli.options import Connection
from watchkeeper.errors import SettingError, UnknownName, Unreachable, WatchkeeperError
from watchkeeper.version import __version__

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3
EXIT_INTERRUPTED = 130


class Entry(NamedTuple):
    """One command: the module that holds its typer `app`, and its one line of help."""

    module: str
    help: str


COMMANDS: dict[str, Entry] = {
    "up": Entry("watchkeeper.cli.up", "Start Watchkeeper: receivers, store, detection, API and page in one process."),
    "demo": Entry("watchkeeper.cli.demo", "Start Watchkeeper and the example shop, and switch a fault on."),
    "status": Entry("watchkeeper.cli.status", "Show the ingest ledger, sizes, rates, learning and problems."),
    "logs": Entry("watchkeeper.cli.logs", "Search, follow or summarise logs."),
    "findings": Entry("watchkeeper.cli.findings", "List what is out of the ordinary, or show one finding's evidence."),
    "incidents": Entry("watchkeeper.cli.incidents", "List, show and work on incidents; silences and changes."),
    "explain": Entry("watchkeeper.cli.explain", "Explain an incident: causes with evidence for and against, report."),
    "watch": Entry("watchkeeper.cli.watch", "Choose the workloads that a log model learns and watches."),
    "feedback": Entry("watchkeeper.cli.feedback", "Say what was right or wrong; preview, apply, undo, roll back."),
    "doctor": Entry("watchkeeper.cli.doctor", "Check this machine: system, GPU, driver, CUDA, containers."),
    "gpu": Entry("watchkeeper.cli.gpu", "Show the health of each GPU; watch it, serve it, acknowledge and clear."),
    "infer": Entry("watchkeeper.cli.infer", "Run an inference job from file to file, or jobs from a NATS subject."),
    "models": Entry("watchkeeper.cli.models", "List, show, save, promote and roll back versions of models."),
    "why": Entry("watchkeeper.cli.why", "Tell why a line of log is judged as it is, token by token."),
    "train": Entry("watchkeeper.cli.train", "Train the log model of a watchlist, or of a kind; follow, cancel."),
    "topology": Entry("watchkeeper.cli.topology", "Show what is there and what depends on what, now or at a time."),
    "sql": Entry("watchkeeper.cli.sql", "Run a reading SQL statement over logs, metrics and spans."),
    "replay": Entry("watchkeeper.cli.replay", "Send a log file or a data set as OTLP to any collector."),
    "data": Entry("watchkeeper.cli.data", "List, fetch and verify public data sets."),
    "bench": Entry("watchkeeper.cli.bench", "Measure models on tasks and data sets beside trivial baselines."),
    "settings": Entry("watchkeeper.cli.settings", "List every setting with its value and where it came from."),
    "token": Entry("watchkeeper.cli.token", "Create, list and revoke access tokens."),
    "edge": Entry("watchkeeper.cli.edge", "Run the agent of a node: collect here, forward to a centre, lose nothing."),
    "harness": Entry("watchkeeper.cli.harness", "Run three edges and a centre in containers, over mutual TLS."),
    "certs": Entry("watchkeeper.cli.certs", "Make an authority and certificates for TLS."),
    "backup": Entry("watchkeeper.cli.backup", "Copy the store to a folder, also while Watchkeeper runs."),
    "restore": Entry("watchkeeper.cli.restore", "Fill an empty home folder from a backup."),
}


_SHELL_COMPLETION = {"install_completion", "show_completion"}


def load_command(name: str) -> Any:
    """Import the module of a command and give its click command; raises WatchkeeperError when it is not there."""
    entry = COMMANDS[name]
    try:
        module = importlib.import_module(entry.module)
    except ModuleNotFoundError as error:
        if error.name != entry.module:
            raise
        raise WatchkeeperError(f"the command {name!r} is not part of this installation ({entry.module})") from error
    command = typer.main.get_command(module.app)
    command.name = name
    command.help = command.help or entry.help
    command.params = [each for each in command.params if each.name not in _SHELL_COMPLETION]
    _plain_help(command)
    return command


def _plain_help(command: Any) -> None:
    """Make help plain text: the same in a pipe, a file and a terminal, and no import of a formatter."""
    command.rich_markup_mode = None
    for child in getattr(command, "commands", {}).values():
        _plain_help(child)


class LazyGroup(typer.core.TyperGroup):
    """The group of all commands; holds stubs with help until one of them is run."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for name, entry in COMMANDS.items():
            self.commands[name] = typer.core.TyperCommand(name, help=entry.help)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Put the real command in the place of its stub, then resolve as usual."""
        if args and args[0] in COMMANDS:
            self.commands[args[0]] = load_command(args[0])
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the table of commands, each with its whole line of help."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])


root = typer.Typer(
    cls=LazyGroup,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Keeps watch over running systems: OpenTelemetry in; what failed, where and why out.",
)


def _show_version(asked: bool) -> None:  # noqa: FBT001 - typer's signature of a callback
    if asked:
        typer.echo(f"watchkeeper {__version__}")
        raise typer.Exit


@root.callback()
def _root(
    ctx: typer.Context,
    server: Annotated[
        str, typer.Option(envvar="WATCHKEEPER_SERVER", show_envvar=True, help="Address of a running Watchkeeper.")
    ] = "http://127.0.0.1:8080",
    token: Annotated[
        str, typer.Option(envvar="WATCHKEEPER_TOKEN", show_envvar=True, help="Access token, where tokens are set up.")
    ] = "",
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    ctx.obj = Connection(server, token)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; the console script enters here."""
    command = typer.main.get_command(root)
    try:
        command.main(args=None if arguments is None else list(arguments), prog_name="watchkeeper")
    except WatchkeeperError as error:
        _complain(str(error))
        sys.exit(exit_status(error))
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        _close_quietly()
        sys.exit(EXIT_FAILED)


def exit_status(error: WatchkeeperError) -> int:
    """Give the exit status that stands for an error: 1, 2 or 3."""
    if isinstance(error, Unreachable):
        return EXIT_UNREACHABLE
    if isinstance(error, SettingError | UnknownName):
        return EXIT_USAGE
    return EXIT_FAILED


def _complain(message: str) -> None:
    """Write an error to the standard error; what points into a query keeps its lines."""
    from watchkeeper.cli.text import safe

    first, *more = message.strip().splitlines() or ["failed"]
    print("\n".join([f"watchkeeper: {safe(first)}", *(f"  {safe(line)}" for line in more)]), file=sys.stderr)


def _close_quietly() -> None:
    """Point the standard output nowhere, or the interpreter complains about the broken pipe at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())


if __name__ == "__main__":
    main()
