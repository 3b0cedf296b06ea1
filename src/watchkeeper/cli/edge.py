"""`watchkeeper edge`: the agent of a node, in the foreground until Ctrl-C."""

from __future__ import annotations

import json
import logging
from typing import Annotated

import typer

from watchkeeper.cli.options import ConfigOption, HomeOption, SetOption, load_settings

app = typer.Typer()


@app.command()
def edge(
    to: Annotated[str, typer.Option("--to", metavar="URL", help="Address of the centre: https://centre:4318.")] = "",
    files: Annotated[
        list[str] | None,
        typer.Option("--file", metavar="PATTERN", help="Follow these log files; may be repeated, `*` is allowed."),
    ] = None,
    journal: Annotated[bool, typer.Option("--journal", help="Follow the journal of this machine.")] = False,
    detect: Annotated[bool, typer.Option("--detect", help="Detect what is out of the ordinary here as well.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print every record that is taken in.")] = False,
    ca_file: Annotated[str, typer.Option("--ca", metavar="FILE", help="PEM file of the centre's authority.")] = "",
    certificate: Annotated[str, typer.Option("--cert", metavar="FILE", help="PEM certificate of this node.")] = "",
    key: Annotated[str, typer.Option("--key", metavar="FILE", help="PEM private key of that certificate.")] = "",
    token: Annotated[str, typer.Option("--token", envvar="WATCHKEEPER_TOKEN", help="Ingest token of the centre.")] = "",
    assignments: SetOption = None,
    config: ConfigOption = None,
    home: HomeOption = None,
    json_ready: Annotated[
        bool, typer.Option("--json-ready", help="Print one JSON line with the addresses once ready.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens.")] = False,
) -> None:
    """Run the agent of a node: takes in OTLP, follows logs, reads the host, and forwards all to a centre.

    OTLP on 4317 (gRPC) and 4318 (HTTP), /metrics, /health and /ready on 8889. What the centre has not taken is kept
    on disk.
    """
    import asyncio

    from watchkeeper.edge.agent import Agent, AgentPlan, run
    from watchkeeper.edge.link import Centre
    from watchkeeper.errors import SettingError

    settings = load_settings(assignments, config, home)
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    url = to or settings.text("edge_to")
    if not url:
        raise SettingError("tell where the centre is: --to https://centre:4318")
    centre = Centre(
        url,
        ca_file or settings.text("edge_ca"),
        certificate or settings.text("edge_cert"),
        key or settings.text("edge_key"),
        token,
    )
    plan = AgentPlan(centre, tuple(files or ()), journal=journal, debug=debug, detect=detect)

    def ready(agent: Agent) -> None:
        if json_ready:
            print(json.dumps(agent.endpoints), flush=True)
            return
        typer.echo(f"The agent of {agent.node} is ready; Ctrl-C stops it. It forwards to {centre.url}")
        typer.echo(f"  OTLP/HTTP     {agent.endpoints['otlp_http']}")
        typer.echo(f"  OTLP/gRPC     {agent.endpoints['otlp_grpc']}")
        typer.echo(f"  metrics       {agent.endpoints['metrics']}")

    asyncio.run(run(Agent(settings, plan), ready))
