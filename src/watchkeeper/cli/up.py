"""`watchkeeper up`: runs Watchkeeper in the foreground until Ctrl-C."""

from __future__ import annotations

import json
import logging
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Annotated, Any

import typer

from watchkeeper.cli.options import ConfigOption, HomeOption, SetOption, load_settings

if TYPE_CHECKING:
    from watchkeeper.app.watchkeeper import Watchkeeper

app = typer.Typer()


@app.command()
def up(
    assignments: SetOption = None,
    config: ConfigOption = None,
    home: HomeOption = None,
    json_ready: Annotated[
        bool, typer.Option("--json-ready", help="Print one JSON line with the addresses once ready, and nothing else.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens.")] = False,
) -> None:
    """Run Watchkeeper: OTLP on 4317 (gRPC) and 4318 (HTTP), page and API on 8080, until Ctrl-C."""
    settings = load_settings(assignments, config, home)
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    from watchkeeper.gateway.serve import serve

    def ready(keeper: Watchkeeper) -> None:
        if json_ready:
            print(json.dumps(keeper.endpoints), flush=True)
        else:
            _greet(keeper)

    _run(serve(settings, ready))


def _run(coroutine: Coroutine[Any, Any, None]) -> None:
    import asyncio

    try:
        import uvloop
    except ImportError:
        asyncio.run(coroutine)
    else:
        uvloop.run(coroutine)


def _greet(keeper: Watchkeeper) -> None:
    said = keeper.endpoints
    typer.echo(f"Watchkeeper is ready; Ctrl-C stops it. State is kept in {keeper.settings.path('home')}")
    typer.echo(f"  page and API  {said['http']}")
    typer.echo(f"  OTLP/HTTP     {said['otlp_http']}")
    typer.echo(f"  OTLP/gRPC     {said['otlp_grpc']}")
    if not keeper.status()["store"]["signals"]["logs"]["rows"]:
        typer.echo("Nothing is stored yet. Send something:")
        typer.echo(
            f"  export OTEL_EXPORTER_OTLP_ENDPOINT={said['otlp_http']} OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"
        )
        typer.echo(f"  watchkeeper replay --to {said['otlp_http']} FILE")
