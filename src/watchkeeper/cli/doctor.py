"""`watchkeeper doctor`: what this machine is, what is wrong with it, and what to type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from watchkeeper.cli.options import ConfigOption, HomeOption, JsonOption, SetOption, load_settings
from watchkeeper.cli.output import coloured, paint, write_json
from watchkeeper.cli.text import safe

if TYPE_CHECKING:
    from watchkeeper.host.check import Report

app = typer.Typer()

RootOption = Annotated[
    Path, typer.Option("--root", metavar="FOLDER", help="Look at a recorded machine below this folder.")
]
NvmlOption = Annotated[
    str, typer.Option("--nvml", metavar="FILE", help="The NVML library, where it is not the system's.")
]
StyleOption = Annotated[
    str,
    typer.Option(
        "--exit-style", metavar="NAME", help="seed, nagios or npd: what the exit status means, see docs/nodes.md."
    ),
]
_MARKS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red"), "skipped": ("-", "bright_black")}


@app.command()
def doctor(
    root: RootOption = Path("/"),
    json: JsonOption = False,
    require: Annotated[
        str,
        typer.Option(
            "--require", metavar="LIST", help="What counts for the exit status: gpu,driver,cuda,container,other."
        ),
    ] = "",
    exit_style: StyleOption = "seed",
    nvml: NvmlOption = "",
    report_to: Annotated[
        Path | None,
        typer.Option("--report", metavar="FOLDER", help="Write the report to a dated JSON file there, too."),
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option("--bundle", metavar="FILE", help="Write a redacted .tar.gz for support, too.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show evidence and sources of all checks.")] = False,
    settings: SetOption = None,
    config: ConfigOption = None,
    home: HomeOption = None,
) -> None:
    """Check this machine: system, disk, clock, GPU, driver, CUDA, containers; what was seen and the fix to type.

    Exit status: 0 all good, 1 no GPU, 2 driver missing, 3 CUDA missing, 4 container engine missing, 10 other failure;
    the first failure decides. A machine without a GPU is neither healthy nor broken: name what you need by --require.
    """
    from watchkeeper.host.exits import exit_status, npd_line, requirements
    from watchkeeper.host.visit import Outlook, exit_style_of

    chosen = load_settings(settings, config, home)
    required, style = requirements(require), exit_style_of(exit_style)
    with Outlook(chosen, root, nvml) as outlook:
        report, health = outlook.report()
    if report_to is not None:
        _save(report, report_to)
    if bundle is not None:
        from watchkeeper.host.bundle import write_bundle

        _writing(bundle, lambda: write_bundle(bundle, report, health, outlook.history))
    if json:
        write_json(report.as_dict())
    elif style == "npd":
        typer.echo(npd_line(report, required))
    else:
        for line in doctor_lines(report, verbose=verbose):
            typer.echo(line)
    raise typer.Exit(exit_status(report, style, required))


def _save(report: Report, folder: Path) -> None:
    import orjson

    stamp = report.as_dict()["started_at"][:19].replace(":", "").replace("-", "")
    host = "".join(each if each.isalnum() or each in ".-_" else "_" for each in report.host)
    path = folder / f"doctor-{host}-{stamp}Z.json"
    _writing(path, lambda: path.write_bytes(orjson.dumps(report.as_dict(), option=orjson.OPT_INDENT_2)))


def _writing(path: Path, write: Callable[[], object]) -> None:
    """Write a file, and say where; raises WatchkeeperError when it cannot be written."""
    from watchkeeper.errors import WatchkeeperError

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write()
    except OSError as error:
        raise WatchkeeperError(f"{path} cannot be written: {error.strerror}; name another place") from error
    typer.echo(f"written: {path}", err=True)


def doctor_lines(report: Report, *, verbose: bool) -> list[str]:
    """Lay a report out as text, in the manner of `flutter doctor`."""
    data = report.as_dict()
    lines = [f"Doctor of {safe(report.host)}, {data['started_at']}, {len(report.checks)} checks:"]
    for check in data["checks"]:
        plain = check["status"] in {"ok", "skipped"} and check["severity"] == "info"
        if not verbose and plain and check["device"] and check["id"] != "gpu.reading":
            continue
        lines += _check_lines(check, verbose=verbose)
    counts = {name: sum(check["status"] == name for check in data["checks"]) for name in _MARKS}
    words = {
        "ok": "No issues found.",
        "no_gpu": "No issues found; this machine has no GPU.",
        "warn": f"Issues in {counts['warn']} checks.",
        "fail": f"Failures in {counts['fail']} checks, issues in {counts['warn']}.",
    }
    return [*lines, "", paint(words[data["verdict"]], None, bold=True)]


def _check_lines(check: Mapping[str, Any], *, verbose: bool) -> list[str]:
    mark, colour = _MARKS[check["status"]]
    seen = check["observed"] or check["reason"]
    device = f" {check['device']}" if check["device"] else ""
    if check["severity"] == "unknown":
        mark, colour = "?", "yellow"
    lines = [f"[{paint(mark, colour)}] {safe(check['title'])}{safe(device)}: {safe(str(seen))}"]
    wrong = check["status"] in {"warn", "fail"}
    if check["observed"] and check["reason"]:
        lines.append(f"    • {safe(check['reason'])}")
    if wrong or verbose:
        lines += [f"      {safe(line)}" for line in check["evidence"]]
        if check["threshold"]:
            lines.append(f"    • held against {safe(check['threshold'])}; {safe(check['source'])}")
        elif check["source"]:
            lines.append(f"    • source: {safe(check['source'])}")
    if wrong:
        lines += [f"    {'→' if coloured() else '->'} {safe(action)}" for action in check["actions"]]
    return lines
