"""`watchkeeper harness`: three edges and a centre in containers, over mutual TLS, on this machine.

Enters: options. Leaves: progress with its time on the standard error, results on the standard output, an exit status.
The work is that of watchkeeper/harness.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from watchkeeper.cli.options import JsonOption

if TYPE_CHECKING:
    from watchkeeper.harness.harness import Harness
    from watchkeeper.harness.plan import Plan

app = typer.Typer()

EngineOption = Annotated[
    str, typer.Option("--engine", metavar="NAME", help="podman or docker; else the first that answers.")
]
ProjectOption = Annotated[
    str, typer.Option("--project", metavar="NAME", help="Which harness; names containers, network and volumes.")
]
CheckoutOption = Annotated[
    Path | None, typer.Option("--checkout", metavar="FOLDER", help="Checkout of Watchkeeper to build from.")
]
BaseOption = Annotated[
    str, typer.Option("--base-image", metavar="IMAGE", help="Debian 12 or newer; else Debian's slim image of its hub.")
]
WheelsOption = Annotated[
    str, typer.Option("--wheels", metavar="WHERE", help="Build wheels `outside`, by pip here, or `inside` the image.")
]
ExtrasOption = Annotated[
    str, typer.Option("--extras", metavar="NAMES", help="Extras in the centre, comma-separated: bench, learning.")
]
BuildOptions = Annotated[
    list[str] | None,
    typer.Option("--build-option", metavar="TEXT", help="Option for the engine's build; may be repeated."),
]
AnyPortsOption = Annotated[bool, typer.Option("--any-ports", help="Publish on free ports, not on the usual ones.")]
PublishOption = Annotated[
    str, typer.Option("--publish", metavar="ADDRESS", help="Address of this host that publishes the ports.")
]
EdgesOption = Annotated[int, typer.Option("--edges", min=1, max=50, help="How many edges.")]
RateOption = Annotated[float, typer.Option("--rate", min=0.0, help="Requests a second of the shop's customers.")]
DetectOption = Annotated[bool, typer.Option("--detect", help="Detect on the edges as well.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Setting of the centre; may be repeated.")
]
ProjectArgument = "watchkeeper"


class _Progress:
    """Tells steps with the seconds since the start; says nothing where the answer is JSON."""

    def __init__(self, *, quiet: bool) -> None:
        self._begun = time.monotonic()
        self._quiet = quiet

    def __call__(self, text: str) -> None:
        if not self._quiet:
            print(f"{time.monotonic() - self._begun:6.1f} s  {text}", file=sys.stderr, flush=True)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._begun


class _Wish(NamedTuple):
    """The options of `up` and `prepare`."""

    engine: str
    project: str
    checkout: Path | None
    base_image: str
    wheels: str
    extras: str
    build_options: list[str] | None
    any_ports: bool
    publish: str
    edges: int
    rate: float
    detect: bool
    settings: list[str] | None


@app.callback()
def harness() -> None:
    """Run three edges and a centre in containers: real programs, real networks, mutual TLS between all of them."""


@app.command()
def up(
    engine: EngineOption = "",
    project: ProjectOption = ProjectArgument,
    checkout: CheckoutOption = None,
    base_image: BaseOption = "",
    wheels: WheelsOption = "outside",
    extras: ExtrasOption = "",
    build_options: BuildOptions = None,
    any_ports: AnyPortsOption = False,
    publish: PublishOption = "127.0.0.1",
    edges: EdgesOption = 3,
    rate: RateOption = 8.0,
    detect: DetectOption = False,
    settings: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Build what changed, start what does not run, and wait until all is healthy; resumes one that broke off."""
    wish = _Wish(
        engine, project, checkout, base_image, wheels, extras, build_options, any_ports, publish, edges, rate, detect,
        settings,
    )  # fmt: skip
    progress = _Progress(quiet=json)
    started, built = _prepared(wish, progress)
    try:
        started.up()
    except BaseException:
        progress("not all is up; `watchkeeper harness up` goes on from here, `watchkeeper harness down` removes it")
        raise
    _tell_up(started, progress.seconds, built=built, json=json)


@app.command()
def prepare(
    engine: EngineOption = "",
    project: ProjectOption = ProjectArgument,
    checkout: CheckoutOption = None,
    base_image: BaseOption = "",
    wheels: WheelsOption = "outside",
    extras: ExtrasOption = "",
    build_options: BuildOptions = None,
) -> None:
    """Make images, certificates, network and volumes, and start nothing: for compose and Quadlet."""
    wish = _Wish(
        engine, project, checkout, base_image, wheels, extras, build_options, False, "127.0.0.1", 3, 8.0, False, None
    )
    progress = _Progress(quiet=False)
    made, _ = _prepared(wish, progress)
    made.prepare()
    progress("prepared; deploy/compose.yaml and deploy/quadlet start the same containers")


@app.command()
def status(engine: EngineOption = "", project: ProjectOption = ProjectArgument, json: JsonOption = False) -> None:
    """Show each container's health, what each edge sent and what the centre received. Status 1: not all is well."""
    from watchkeeper.cli.output import table, write_json
    from watchkeeper.harness.reports import Reporter

    found = _found(engine, project)
    report = Reporter(found).report()
    well = all(node.healthy for node in report.nodes) and not report.problems
    if json:
        nodes = [{**node._asdict(), "waiting": node.waiting} for node in report.nodes]
        write_json({"schema_version": 1, **report._asdict(), "nodes": nodes, "healthy": well})
    else:
        header = (
            "node",
            "health",
            "memory",
            "centre",
            "received",
            "forwarded",
            "waiting",
            "dropped",
            "stored",
            "twice",
        )
        rows = [
            (node.name, "healthy" if node.healthy else node.said, node.memory, _reached(node.reached), node.received,
             node.forwarded, node.waiting, node.dropped, node.stored, node.deduplicated)
            for node in report.nodes
        ]  # fmt: skip
        lines = table(header, rows, right=range(4, len(header)))
        lines += [f"scraped: {instance} {health}" for instance, health in sorted(report.targets.items())]
        lines += [f"incident: {each}" for each in report.incidents] + [f"problem: {each}" for each in report.problems]
        typer.echo("\n".join(lines))
    if not well:
        raise typer.Exit(1)


@app.command()
def logs(
    name: Annotated[str, typer.Argument(help="centre, edge-1 ...")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on showing.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="Lines of the past.")] = 100,
    engine: EngineOption = "",
    project: ProjectOption = ProjectArgument,
) -> None:
    """Show the log of a container."""
    found = _found(engine, project)
    options = ["--tail", str(lines), *(["--follow"] if follow else [])]
    raise typer.Exit(found.engine.attach("logs", *options, found.plan.container(name)))


@app.command()
def down(
    volumes: Annotated[bool, typer.Option("--volumes", help="Remove stored telemetry and certificates too.")] = False,
    engine: EngineOption = "",
    project: ProjectOption = ProjectArgument,
    json: JsonOption = False,
) -> None:
    """Stop and remove the containers and their network; what they stored stays, unless --volumes."""
    from watchkeeper.cli.output import write_json

    progress = _Progress(quiet=json)
    removed = _found(engine, project, progress).down(volumes=volumes)
    if json:
        write_json({"schema_version": 1, "removed": removed, "seconds": round(progress.seconds, 1)})
    else:
        progress(f"removed {', '.join(removed)}" if removed else "there was nothing to remove")


@app.command()
def fault(
    where: Annotated[str, typer.Argument(metavar="NAME/KIND", help="Edge or service, and kind: payment/error-rate.")],
    switch: Annotated[str, typer.Argument(metavar="on|off", help="Switch it on, or off.")],
    seconds: Annotated[float, typer.Option("--for", metavar="SECONDS", help="When it ends by itself.")] = 60.0,
    parameters: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Parameter of the fault; may be repeated.")
    ] = None,
    engine: EngineOption = "",
    project: ProjectOption = ProjectArgument,
) -> None:
    """Let the shop go wrong: a fault of examples/shop, in a service or wherever it usually strikes on an edge."""
    from watchkeeper.cli.output import write_json
    from watchkeeper.errors import HarnessError

    found = _found(engine, project)
    name, _, kind = where.partition("/")
    if not kind or switch not in {"on", "off"}:
        raise HarnessError(f"{where} {switch}: write NAME/KIND on or NAME/KIND off, such as payment/error-rate on")
    edge = found.edge_of(name)
    service = [] if name == edge else ["--service", name]
    if switch == "off":
        write_json(found.fault(edge, "off", kind, *service))
        return
    chosen = [option for each in parameters or () for option in ("--set", each)]
    write_json(found.fault(edge, kind, *service, "--for", f"{seconds:g}", *chosen))


@app.command()
def cut(
    edge: Annotated[str, typer.Argument(help="edge-1 ...")],
    engine: EngineOption = "",
    project: ProjectOption = ProjectArgument,
) -> None:
    """Take an edge off the network; what it collects waits on its disk."""
    _found(engine, project).cut(edge)
    typer.echo(f"{edge} is off the network; `watchkeeper harness heal {edge}` puts it back")


@app.command()
def heal(
    edge: Annotated[str, typer.Argument(help="edge-1 ...")],
    engine: EngineOption = "",
    project: ProjectOption = ProjectArgument,
) -> None:
    """Put an edge back on the network."""
    _found(engine, project).heal(edge)
    typer.echo(f"{edge} is on the network again")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def train(ctx: typer.Context, engine: EngineOption = "", project: ProjectOption = ProjectArgument) -> None:
    """Train in the centre, on what it stored: `watchkeeper train --follow` there; more options are passed on.

    Where nothing is watched yet, everything that has sent logs is. The centre needs the extra `learning`.
    """
    import json

    from watchkeeper.errors import HarnessError

    found = _found(engine, project)
    if found.engine.run("exec", found.plan.container("centre"), "watchkeeper", "train", "--help", check=False).status:
        raise HarnessError("the centre's Watchkeeper has no command `train`; build newer images with `harness up`")
    listed = found.engine.run(*_command(found), "watch", "list", "--json", check=False)
    if not listed.status and not json.loads(listed.output)["items"]:
        _inside(found, "watch", "add", "*/*/*")
    raise typer.Exit(_inside(found, "train", "--follow", *ctx.args))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def bench(
    ctx: typer.Context,
    suite: Annotated[str, typer.Option(help="quick or full.")] = "quick",
    engine: EngineOption = "",
    project: ProjectOption = ProjectArgument,
) -> None:
    """Run `watchkeeper bench run` in the centre, on the data sets of WATCHKEEPER_DATA; more options are passed on."""
    raise typer.Exit(_inside(_found(engine, project), "bench", "run", "--suite", suite, *ctx.args))


def _inside(found: Harness, *command: str) -> int:
    """Run a command of Watchkeeper in the centre, its output shown here; gives its exit status."""
    terminal = ["--tty"] if sys.stdout.isatty() else []
    return found.engine.attach(*_command(found, *terminal), *command)


def _command(found: Harness, *options: str) -> list[str]:
    """Give the engine's words for `watchkeeper` in the centre, which may ask its server anything."""
    server = ["--env", "WATCHKEEPER_SERVER=https://localhost:3000", "--env", "SSL_CERT_FILE=/certs/ca.pem"]
    token = ["--env", f"WATCHKEEPER_TOKEN={found.token}"]
    where = ["exec", *options, *server, *token, "--workdir", "/var/lib/watchkeeper", found.plan.container("centre")]
    return [*where, "watchkeeper"]


def _prepared(wish: _Wish, progress: _Progress) -> tuple[Harness, bool]:
    """Give the harness that is wished for, with its images built; tells whether they were built anew."""
    from watchkeeper.errors import SettingError
    from watchkeeper.harness.engine import choose_engine
    from watchkeeper.harness.harness import Harness
    from watchkeeper.harness.images import BASE_IMAGE, Recipe, build_images, find_checkout

    if wish.wheels not in {"inside", "outside"}:
        raise SettingError(f"--wheels {wish.wheels!r} is neither inside nor outside")
    engine = choose_engine(wish.engine)
    folder = _folder(wish.project)
    plan = _plan(wish, folder)
    progress(f"engine: {engine.name}")
    recipe = Recipe(
        find_checkout(wish.checkout),
        wish.base_image or BASE_IMAGE,
        wish.wheels,
        wish.extras,
        tuple(wish.build_options or ()),
    )
    built = build_images(engine, recipe, folder.parent / "cache", progress)
    return Harness(engine, folder, plan, progress), built


def _plan(wish: _Wish, folder: Path) -> Plan:
    """Make the plan; one with free ports keeps those that it has."""
    import os

    from watchkeeper.cli.options import load_settings
    from watchkeeper.harness.harness import free_ports, read_state
    from watchkeeper.harness.plan import Plan, usual_ports

    load_settings(wish.settings)  # a setting that cannot be is told here, not by a container that does not start
    settings = dict(each.split("=", 1) for each in wish.settings or ())
    names = tuple(f"edge-{number + 1}" for number in range(wish.edges))
    ports = usual_ports(wish.edges)
    if wish.any_ports:
        before = read_state(folder)
        known = before.plan.ports if before else {}
        ports = dict(known) if set(known) == set(ports) else free_ports(ports, wish.publish)
    return Plan(
        project=wish.project,
        edges=names,
        ports=ports,
        publish=wish.publish,
        rate=wish.rate,
        detect=wish.detect,
        settings=settings,
        data=str(Path(os.environ["WATCHKEEPER_DATA"]).resolve()) if os.environ.get("WATCHKEEPER_DATA") else "",
    )


def _found(engine: str, project: str, say: Callable[[str], None] = lambda _: None) -> Harness:
    """Give the harness of a project as it was last brought up."""
    from watchkeeper.harness.engine import choose_engine
    from watchkeeper.harness.harness import Harness, read_state
    from watchkeeper.harness.plan import Plan

    folder = _folder(project)
    state = read_state(folder)
    return Harness(choose_engine(engine), folder, state.plan if state else Plan(project=project), say)


def _folder(project: str) -> Path:
    from watchkeeper.cli.options import load_settings

    return load_settings().path("home") / "harness" / project


def _reached(reached: bool | None) -> str:  # noqa: FBT001 - three states, one of them not asked
    return "-" if reached is None else "reached" if reached else "away"


def _tell_up(started: Harness, seconds: float, *, built: bool, json: bool) -> None:
    from watchkeeper.cli.output import write_json
    from watchkeeper.harness.reports import Reporter

    reporter, ports = Reporter(started), started.plan.ports
    address = started.plan.publish
    told: dict[str, Any] = {
        "page": reporter.page,
        "token": started.token,
        "otlp_http": f"https://{address}:{ports['otlp_http']}",
        "otlp_grpc": f"{address}:{ports['otlp_grpc']}",
        "prometheus": reporter.prometheus,
        "edges": {edge: f"https://{address}:{ports[edge]}/metrics" for edge in started.plan.edges},
        "authority": str(started.authority),
    }
    if json:
        write_json({"schema_version": 1, **told, "seconds": round(seconds, 1), "built": built})
        return
    typer.echo(f"The harness is up after {seconds:.1f} s.")
    typer.echo(f"  page and API  {told['page']}   token: {told['token']}")
    typer.echo(f"  OTLP          {told['otlp_http']} and gRPC {told['otlp_grpc']}, with a client certificate")
    typer.echo(f"  Prometheus    {told['prometheus']}")
    for edge, url in told["edges"].items():
        services = ", ".join(started.plan.part(edge)) or "no services"
        typer.echo(f"  {edge:<12}  {url}   {services}")
    typer.echo(f"  authority     {told['authority']}   (the browser warns of a certificate that it does not know)")
