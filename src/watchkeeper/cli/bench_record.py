"""`watchkeeper bench record`: the example shop with its faults becomes a data set of logs, metrics and traces.

Enters: options. Leaves: progress with the time left, a summary, an exit status. Starts and breaks nothing itself.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from watchkeeper.cli.bench_run import span
from watchkeeper.cli.main import EXIT_INTERRUPTED
from watchkeeper.cli.options import JsonOption, SetOption, load_settings

if TYPE_CHECKING:
    from watchkeeper.bench.cases.filling import MemoryCourses
    from watchkeeper.bench.cases.recording import Labels
    from watchkeeper.bench.live.recorder import Told

NS = 1_000_000_000
_ENDING = (signal.SIGINT, signal.SIGTERM)


def record(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FOLDER]",
            help="Where to; if none, `shop_recorded` (`shop_filling`) in the folder of data sets, where cells read it.",
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each fault is switched on.")] = 2,
    faults: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND|KIND@SERVICE", help="Faults, comma-separated or repeated; all kinds if none."),
    ] = None,
    calm: Annotated[
        float | None, typer.Option(min=20.0, help="Seconds of calm before the first fault, 300 if none.")
    ] = None,
    fault_for: Annotated[
        float | None,
        typer.Option(min=5.0, max=570.0, help="Seconds that a fault lasts, 60 if none; with --capacity a round, 300."),
    ] = None,
    rest: Annotated[
        float | None, typer.Option(min=5.0, help="Seconds from one fault to the next, 60 if none; with --capacity 20.")
    ] = None,
    settle: Annotated[
        float | None,
        typer.Option(min=0.0, help="Seconds after a fault that count as neither calm nor faulty, 15 if none."),
    ] = None,
    capacity: Annotated[
        bool,
        typer.Option("--capacity", help="Record memories that fill up instead, in rounds, for failure prediction."),
    ] = False,
    json: JsonOption = False,
    assignments: SetOption = None,
) -> None:
    """Record the example shop: learn in calm, switch each fault on and off, keep the store and what was true.

    Needs a checkout of Watchkeeper, nginx and redis-server. Ctrl-C keeps the faults that were over by then.
    """
    from watchkeeper.bench.cases.recording import FILLING, RECORDED
    from watchkeeper.bench.live import filler, recorder

    place = (
        folder.expanduser() if folder else load_settings(assignments).path("data") / (FILLING if capacity else RECORDED)
    )
    wanted = [each.strip() for text in faults or () for each in text.split(",") if each.strip()]
    _hold_free_of({"--faults": wanted, "--calm": calm is not None, "--settle": settle is not None} if capacity else {})
    for number in _ENDING:
        signal.signal(number, _as_interrupt)
    try:
        if capacity:
            courses = filler.record_filling(
                place, _tell, rounds=rounds, round_s=_else(fault_for, 300.0), rest_s=_else(rest, 20.0)
            )
            _courses(place, courses, json=json)
        else:
            course = recorder.Course(_else(calm, 300.0), _else(fault_for, 60.0), _else(rest, 60.0), _else(settle, 15.0))
            labels = recorder.record(place, course, _tell, rounds=rounds, faults=wanted)
            _summary(place, labels, json=json)
    except KeyboardInterrupt:
        typer.echo(f"\ninterrupted{_kept(place, capacity=capacity)}", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _else(chosen: float | None, usual: float) -> float:
    return usual if chosen is None else chosen


def _hold_free_of(given: Mapping[str, object]) -> None:
    """Raise BadParameter when one of some options was given that mean nothing with --capacity."""
    for option, value in given.items():
        if value:
            raise typer.BadParameter(
                "means nothing with --capacity: in a round each memory has a course of its own", param_hint=option
            )


def _kept(place: Path, *, capacity: bool) -> str:
    """Tell what an interrupted recording leaves."""
    from watchkeeper.bench.cases.filling import read_courses
    from watchkeeper.bench.cases.recording import LABELS_FILE, read_labels

    if not (place / LABELS_FILE).is_file():
        return f" before the first {'round' if capacity else 'fault'} was over: nothing is kept"
    if capacity:
        return f": {place} holds the {len(read_courses(place).courses)} courses that were over"
    return f": {place} holds the {len(read_labels(place).faults)} faults that were over"


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


def _courses(folder: Path, told: MemoryCourses, *, json: bool) -> None:
    from watchkeeper.cli.output import table, write_json

    rows = [
        {
            "service": each.service,
            "round": each.round,
            "shape": each.shape,
            "seconds": round((each.end_unix_ns - each.begin_unix_ns) / NS, 1),
            "mib_per_s": round(each.bytes_per_s / 2**20, 3),
        }
        for each in told.courses
    ]
    if json:
        write_json({"folder": str(folder), "above_bytes": told.above_bytes, "courses": rows})
        return
    for line in table(tuple(rows[0]), [tuple(each.values()) for each in rows], right=(1, 3, 4)):
        typer.echo(line)
    typer.echo(f"{len(rows)} courses, each with a limit {told.above_bytes / 2**20:.0f} MiB above its begin: {folder}")


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
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)  # a second one must not leave half of it running
    raise KeyboardInterrupt
