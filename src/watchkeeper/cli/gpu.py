"""`watchkeeper gpu`: the health of each GPU, once, live, as Prometheus metrics, or sent on; acknowledge and clear."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from watchkeeper.cli.options import ConfigOption, HomeOption, JsonOption, SetOption, load_settings
from watchkeeper.cli.output import paint, table, write_json
from watchkeeper.cli.text import bytes_text, clock_text, safe

if TYPE_CHECKING:
    from watchkeeper.edge.node_health import NodeHealthSender
    from watchkeeper.edge.sender import Target
    from watchkeeper.host.survey import HostHealth
    from watchkeeper.host.visit import Outlook

app = typer.Typer()

RootOption = Annotated[
    Path, typer.Option("--root", metavar="FOLDER", help="Look at a recorded machine below this folder.")
]
NvmlOption = Annotated[
    str, typer.Option("--nvml", metavar="FILE", help="The NVML library, where it is not the system's.")
]
_COLOURS = {"healthy": "green", "warning": "yellow", "critical": "red", "unknown": "yellow"}
_NAGIOS = {"healthy": 0, "warning": 1, "critical": 2, "unknown": 3, "no_gpu": 3}
_NPD = {"healthy": 0, "warning": 0, "critical": 1, "unknown": 2, "no_gpu": 2}
_SEED = {"healthy": 0, "warning": 0, "critical": 10, "unknown": 10, "no_gpu": 1}


@app.callback(invoke_without_command=True)
def gpu(
    ctx: typer.Context,
    root: RootOption = Path("/"),
    json: JsonOption = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it anew at every reading until Ctrl-C.")] = False,
    serve: Annotated[
        str,
        typer.Option(
            "--serve", metavar="HOST:PORT", help="Serve /metrics under the DCGM exporter's names; its port is 9400."
        ),
    ] = "",
    to: Annotated[
        str, typer.Option("--to", metavar="URL", help="Send events and readings as OTLP to a collector.")
    ] = "",
    token: Annotated[str, typer.Option("--token", envvar="WATCHKEEPER_TOKEN", help="Token of that collector.")] = "",
    ca_file: Annotated[str, typer.Option("--ca", metavar="FILE", help="PEM file of that collector's authority.")] = "",
    certificate: Annotated[str, typer.Option("--cert", metavar="FILE", help="PEM certificate to show to it.")] = "",
    key: Annotated[str, typer.Option("--key", metavar="FILE", help="PEM private key of that certificate.")] = "",
    interval: Annotated[
        float, typer.Option("--interval", metavar="SECONDS", help="Time between readings.", min=0.05)
    ] = 10.0,
    readings: Annotated[
        int, typer.Option("--readings", metavar="N", help="End after N readings; 0 goes on.", min=0)
    ] = 0,
    exit_style: Annotated[
        str, typer.Option("--exit-style", metavar="NAME", help="seed, nagios or npd, as for `watchkeeper doctor`.")
    ] = "seed",
    nvml: NvmlOption = "",
    settings: SetOption = None,
    config: ConfigOption = None,
    home: HomeOption = None,
) -> None:
    """Show the health of each GPU with the reason, and what to do.

    Exit status: 0 healthy or warning, 1 no GPU, 10 critical or unknown; --exit-style nagios and npd have their own.
    Options stand before a subcommand's name.
    """
    from watchkeeper.host.visit import Outlook, exit_style_of

    style = exit_style_of(exit_style)
    chosen = load_settings(settings, config, home)
    outlook = Outlook(chosen, root, nvml)
    ctx.obj = outlook
    if ctx.invoked_subcommand is not None:
        return
    with outlook:
        if serve:
            _serve(outlook, serve, interval, insecure=chosen.flag("insecure"))
            return
        target = _target(to, token, ca_file, certificate, key) if to else None
        health = _look(outlook, _Show(json=json, watch=watch, target=target), interval, readings)
    table_of = {"seed": _SEED, "nagios": _NAGIOS, "npd": _NPD}[style.value]
    raise typer.Exit(table_of[health.state.value])


def _target(to: str, token: str, ca_file: str, certificate: str, key: str) -> Target:
    from watchkeeper.edge.sender import Target

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return Target(to, headers, ca_file=ca_file, certificate=certificate, key=key)


class _Show:
    """How readings are shown and sent."""

    def __init__(self, *, json: bool, watch: bool, target: Target | None) -> None:
        self.json = json
        self.watch = watch
        self.sender: NodeHealthSender | None = None
        if target is not None:
            from watchkeeper.edge.node_health import NodeHealthSender

            self.sender = NodeHealthSender(target)

    def show(self, health: HostHealth) -> None:
        if self.sender is not None:
            records, points = self.sender.send(health)
            typer.echo(f"sent {records} log records and {points} metric points", err=True)
        if self.json:
            write_json(health.as_dict())
            return
        if self.watch and typer.get_text_stream("stdout").isatty():
            typer.echo("\x1b[H\x1b[2J", nl=False)
        for line in gpu_lines(health):
            typer.echo(line)


def _look(outlook: Outlook, show: _Show, interval: float, readings: int) -> HostHealth:
    import threading

    pause = threading.Event()
    done = 0
    while True:
        health = outlook.look()
        show.show(health)
        done += 1
        if not show.watch or done == readings:
            if show.sender is not None:
                show.sender.close()
            return health
        pause.wait(interval)


def _serve(outlook: Outlook, address: str, interval: float, *, insecure: bool) -> None:
    from watchkeeper.host.exporter import serve

    def ready(url: str) -> None:
        typer.echo(f"serving {url}/metrics; Ctrl-C ends it")

    serve(outlook.look, address, interval_s=interval, ready=ready, insecure=insecure)


def gpu_lines(health: HostHealth) -> list[str]:
    """Lay a look out as text: a table of the GPUs, then what is wrong with whom and what to do."""
    data = health.as_dict()
    if data["verdict"] == "no_gpu":
        lines = [f"No GPU in {safe(health.host)}: none on the PCI bus, none from the driver."]
    else:
        lines = [
            f"{safe(health.host)}: driver {safe(str(data['driver'] or 'unknown'))}, {len(data['gpus'])} GPUs, "
            f"{_state(data['verdict'])}"
        ]
    if data["gpus"]:
        rows = [_row(each) for each in data["gpus"]]
        header = ("gpu", "name", "health", "temp", "memory", "used", "power", "sm clock", "throttle", "xid")
        lines += ["", *table(header, rows, right=(3, 4, 5, 6, 7))]
    checks = [(None, check) for check in data["checks"]]
    checks += [(each["index"], check) for each in data["gpus"] for check in each["checks"]]
    for index, check in checks:
        if check["status"] in {"warn", "fail"} or (check["severity"] == "unknown" and check["device"]):
            lines += _trouble(index, check)
    return lines


def _state(state: str) -> str:
    return paint(state, _COLOURS.get(state), bold=True)


def _row(each: dict[str, Any]) -> tuple[object, ...]:
    def told(value: object, unit: str = "") -> str:
        return (
            "unknown" if value is None else f"{value:g}{unit}" if isinstance(value, float | int) else f"{value}{unit}"
        )

    memory = "unknown"
    if each["memory_used_bytes"] is not None and each["memory_total_bytes"]:
        memory = f"{bytes_text(each['memory_used_bytes'])}/{bytes_text(each['memory_total_bytes'])}"
    throttle = ", ".join(each["throttles"]) or ("-" if each["throttle_reasons"] is not None else "unknown")
    xids = ",".join(str(event["code"]) for event in each["xid_events"] if event["code"]) or "-"
    return (
        each["index"], each["name"] or "unknown", each["health"], told(each["temperature_c"], " C"), memory,
        told(each["utilization_percent"], " %"), told(each["power_w"], " W"), told(each["clock_sm_mhz"], " MHz"),
        throttle, xids,
    )  # fmt: skip


def _trouble(index: int | None, check: dict[str, Any]) -> list[str]:
    where = f"GPU {index}" if index is not None else (check["device"] or "host")
    colour = "red" if check["status"] == "fail" else "yellow"
    lines = ["", f"{paint(check['severity'], colour, bold=True)} {safe(where)}: {safe(check['title'])}"]
    lines.append(f"  {safe(check['reason'])}" + (f" ({safe(check['observed'])})" if check["observed"] else ""))
    lines += [f"  | {safe(line)}" for line in check["evidence"]]
    if check["threshold"]:
        lines.append(f"  held against {safe(check['threshold'])}; {safe(check['source'])}")
    return lines + [f"  -> {safe(action)}" for action in check["actions"]]


@app.command()
def history(ctx: typer.Context, json: JsonOption = False) -> None:
    """List every event kept of this host, newest last, and what was acknowledged and cleared."""
    outlook: Outlook = ctx.obj
    kept = outlook.history
    if json:
        write_json({"events": [each.as_dict() for each in kept.events], "marks": [vars(each) for each in kept.marks]})
        return
    rows = [
        (each.time_unix_ns, each.device or "host", each.severity.value, each.title, each.text) for each in kept.events
    ]
    rows += [
        (each.time_unix_ns, each.device or "all", each.action, f"by {each.by}", each.note or "-") for each in kept.marks
    ]
    if not rows:
        typer.echo("nothing has happened that was seen")
        return
    shown = [(clock_text(row[0]), *row[1:]) for row in sorted(rows)]
    for line in table(("when", "device", "what", "title", "text"), shown):
        typer.echo(line)


DeviceArgument = Annotated[
    str, typer.Argument(metavar="DEVICE", help="A GPU by index, UUID or PCI address; host; or all.")
]
CodeOption = Annotated[int, typer.Option("--xid", metavar="N", help="Only this XID.")]
NoteOption = Annotated[str, typer.Option("--note", metavar="TEXT", help="Why; kept in the history.")]
ByOption = Annotated[str, typer.Option("--by", metavar="NAME", help="Who; the user that runs it when not given.")]


@app.command()
def acknowledge(
    ctx: typer.Context, device: DeviceArgument, code: CodeOption = 0, note: NoteOption = "", by: ByOption = ""
) -> None:
    """Say that a trouble is known: it stays, and warns at the most."""
    _mark(ctx.obj, "acknowledge", device, code, note, by)


@app.command()
def clear(
    ctx: typer.Context, device: DeviceArgument, code: CodeOption = 0, note: NoteOption = "", by: ByOption = ""
) -> None:
    """Set a device healthy: what happened until now no longer counts, and stays in the history."""
    _mark(ctx.obj, "clear", device, code, note, by)


def _mark(outlook: Outlook, action: str, device: str, code: int, note: str, by: str) -> None:
    from watchkeeper.host.kernel_events import pci_key

    with outlook:
        health = outlook.look()
    key = "" if device == "all" else pci_key(device)
    for each in health.gpus:
        if device in {str(each.gpu.index), each.gpu.uuid, each.gpu.pci}:
            key = pci_key(each.gpu.pci or each.gpu.id)
    marked = outlook.history.mark(action, by=by or getpass.getuser(), device=key, code=code, note=note)
    typer.echo(
        f"{marked} {'condition' if marked == 1 else 'conditions'} {'cleared' if action == 'clear' else 'acknowledged'}"
    )
