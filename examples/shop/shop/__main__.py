"""The command line: `python -m shop up`, `status`, `restart NAME`, `rollback SERVICE`, `fault on KIND|off|list`.

Only parses and prints. Heavy imports wait until a command needs them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

from shop.layout import DEFAULT_OTLP, LOOPBACK, SERVICES, STATE_FILE, Certificates, Spread, default_folder


def main(arguments: list[str] | None = None) -> int:
    """Run a command; gives the exit status."""
    started = time.monotonic()
    options = _parser().parse_args(arguments)
    try:
        return _up(options, started) if options.command == "up" else _ask(options)
    except KeyboardInterrupt:
        return 130


def _up(options: argparse.Namespace, started: float) -> int:
    # One thread of linear algebra a process: the model is small and the machine is shared.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from shop.layout import plan
    from shop.up import run

    try:
        layout = plan(
            options.folder,
            otlp=options.otlp,
            seed=options.seed,
            rate=options.rate,
            day_s=options.day,
            port_base=options.port_base,
            with_nginx=options.nginx,
            with_redis=options.redis,
            spread=Spread(
                services=tuple(name for name in options.services.split(",") if name),
                peers=dict(_assignment(peer) for peer in options.peers.split(",") if peer),
                bind=options.bind,
                certificates=Certificates(options.certs) if options.certs else None,
            ),
        )
    except OSError as error:
        print(f"shop: {error}", file=sys.stderr)
        return 2
    return run(layout, say=sys.stdout, json_ready=options.json_ready, started=started)


def _ask(options: argparse.Namespace) -> int:
    import httpx

    try:
        state = json.loads((options.folder / STATE_FILE).read_text(encoding="utf-8"))
        with httpx.Client(base_url=state["control"], timeout=30.0, trust_env=False) as client:
            answer = _request(client, options)
    except (FileNotFoundError, httpx.ConnectError):
        print(f"no shop runs in {options.folder}; start one with `python -m shop up`", file=sys.stderr)
        return 1
    if answer.status_code >= 400:
        print(f"shop: {answer.json()['detail']}", file=sys.stderr)
        return 2
    print(json.dumps(answer.json(), indent=2))
    return 0


def _request(client: Any, options: argparse.Namespace) -> Any:
    if options.command == "status":
        return client.get("/status")
    if options.command == "restart":
        return client.post(f"/processes/{options.process}/restart")
    if options.command == "rollback":
        return client.post(f"/services/{options.service}/rollback")
    if options.action == "list":
        return client.get("/faults")
    if options.action == "off":
        asked = {"kind": options.kind, "service": options.service}
        return client.delete("/faults", params={name: value for name, value in asked.items() if value})
    wish = {
        "kind": options.kind,
        "service": options.service,
        "seconds": options.seconds,
        "parameters": dict(options.set),
    }
    return client.post("/faults", json=wish)


def _seconds(text: str) -> float:
    """Read a duration such as 45, 45s or 2m."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m)?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 45s or 2m")
    return float(match[1]) * (60 if match[2] == "m" else 1)


def _assignment(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--folder", type=Path, default=default_folder(), help="where the shop keeps its files (%(default)s)"
    )
    parser = argparse.ArgumentParser(prog="shop", description="A small shop of instrumented services, with faults.")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", parents=[common], help="open the shop")
    up.add_argument(
        "--otlp",
        default=os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", DEFAULT_OTLP),
        help="the collector's OTLP/HTTP address; OTEL_EXPORTER_OTLP_ENDPOINT does too (%(default)s)",
    )
    up.add_argument("--rate", type=float, default=8.0, help="requests a second, 0 for none (%(default)s)")
    up.add_argument(
        "--day", type=float, default=0.0, help="seconds of one day, over which the rate swings; 0: it does not"
    )
    up.add_argument("--seed", type=int, default=7, help="seed of products, history and visits (%(default)s)")
    up.add_argument("--port-base", type=int, default=0, help="first of eight ports; 0 takes free ones")
    up.add_argument("--no-nginx", dest="nginx", action="store_false", help="without nginx, even if it is installed")
    up.add_argument(
        "--no-redis", dest="redis", action="store_false", help="carts in SQLite, even if Redis is installed"
    )
    up.add_argument("--services", default=",".join(SERVICES), help="run these only, comma-separated; see --peers")
    up.add_argument("--peers", default="", help="where the others run: NAME=https://HOST:PORT, comma-separated")
    up.add_argument("--bind", default=LOOPBACK, help="address of the services; beyond %(default)s with --certs only")
    up.add_argument(
        "--certs", type=Path, help="folder of ca.pem, server.pem/.key and client.pem/.key: mutual TLS between services"
    )
    up.add_argument("--json-ready", action="store_true", help="when open, print one line of JSON instead of text")
    commands.add_parser("status", parents=[common], help="what runs, what it uses, how the load fares")
    restart = commands.add_parser("restart", parents=[common], help="end a process and start it again as it was")
    restart.add_argument("process", help="a service, redis or nginx")
    rollback = commands.add_parser("rollback", parents=[common], help="replace a service by the version before")
    rollback.add_argument("service")
    actions = commands.add_parser("fault", help="switch faults").add_subparsers(dest="action", required=True)
    actions.add_parser("list", parents=[common], help="kinds of faults, and those that are on")
    on = actions.add_parser("on", parents=[common], help="switch a fault on")
    on.add_argument("kind")
    on.add_argument("--service", help="the service that it strikes")
    on.add_argument(
        "--for", dest="seconds", type=_seconds, help="when it ends by itself, such as 60s (60s; at most 10m)"
    )
    on.add_argument("--set", type=_assignment, action="append", default=[], metavar="NAME=VALUE", help="a parameter")
    off = actions.add_parser("off", parents=[common], help="switch faults off, all if none is named")
    off.add_argument("kind", nargs="?")
    off.add_argument("--service")
    return parser


if __name__ == "__main__":
    sys.exit(main())
