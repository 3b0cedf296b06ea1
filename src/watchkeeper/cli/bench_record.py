"""`watchkeeper bench record`: the example shop with its faults becomes a data set of logs, metrics and traces.

Enters: options. Leaves: progress with the time left, a summary, an exit status. Starts and breaks nothing itself.
"""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from watchkeeper.cli.bench_run import span
from watchkeeper.cli.main import EXIT_INTERRUPTED
from watchkeeper.cli.options import JsonOption

if TYPE_CHECKING:
    from watchkeeper.bench.cases.recording import Labels
    from watchkeeper.bench.live.recorder import Told

NS = 1_000_000_000


def record(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="Where to; the cells read `shop_recorded` in the folder of data sets."),
    ],
    rounds: Annotated[int, typer.Option(min=1, help="How often each fault is switched on.")] = 2,
    faults: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND|KIND@SERVICE", help="Faults, comma-separated or repeated; all kinds if none."),
    ] = None,
    calm: Annotated[float, typer.Option(min=20.0, help="Seconds of calm before the first fault.")] = 300.0,
    fault_for: Annotated[float, typer.Option(min=5.0, max=570.0, help="Seconds that a fault lasts.")] = 60.0,
    rest: Annotated[float, typer.Option(min=5.0, help="Seconds from one fault to the next.")] = 60.0,
    settle: Annotated[
        float, typer.Option(min=0.0, help="Seconds after a fault that count as neither calm nor faulty.")
    ] = 15.0,
    json: JsonOption = False,
) -> None:
    """Record the example shop: learn in calm, switch each fault on and off, keep the store and what was true.

    Needs a checkout of Watchkeeper, nginx and redis-server. Ctrl-C keeps the faults that were over by then.
    """
    from watchkeeper.bench.cases.recording import LABELS_FILE, read_labels
    from watchkeeper.bench.live import recorder

    folder = folder.expanduser()
    course = recorder.Course(calm, fault_for, rest, settle)
    wanted = [each.strip() for text in faults or () for each in text.split(",") if each.strip()]
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        labels = recorder.record(folder, course, _tell, rounds=rounds, faults=wanted)
    except KeyboardInterrupt:
        if (folder / LABELS_FILE).is_file():
            kept = len(read_labels(folder).faults)
            typer.echo(f"\ninterrupted: {folder} holds the {kept} faults that were over", err=True)
        else:
            typer.echo("\ninterrupted before the first fault was over: nothing is kept", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    _summary(folder, labels, json=json)


def _tell(told: Told) -> None:
    typer.echo(f"{told.what}; about {span(told.left_s)} left", err=True)


def _summary(folder: Path, labels: Labels, *, json: bool) -> None:
    from watchkeeper.cli.output import table, write_json

    size = sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())
    if json:
        write_json(
            {
                "folder": str(folder),
                "bytes": size,
                "calm_s": round(sum(each.end_unix_ns - each.begin_unix_ns for each in labels.calm) / NS, 1),
                "faults": [_row(each) for each in labels.faults],
            }
        )
        return
    header = ("fault", "seconds", "cause", "category")
    rows = [(each.id, _row(each)["seconds"], " or ".join(each.nodes), each.category) for each in labels.faults]
    for line in table(header, rows, right=(1,)):
        typer.echo(line)
    typer.echo(f"{len(labels.faults)} faults and {len(labels.calm)} spans of calm, {size / 2**20:.1f} MiB: {folder}")


def _row(fault: Any) -> dict[str, Any]:
    return {
        "name": fault.name,
        "round": fault.round,
        "service": fault.service,
        "nodes": list(fault.nodes),
        "category": fault.category,
        "seconds": round((fault.end_unix_ns - fault.begin_unix_ns) / NS, 1),
    }


def _as_interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
