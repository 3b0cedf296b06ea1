"""`watchkeeper certs`: makes an authority and the certificates that it signs, for TLS on the three ports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()

FolderOption = Annotated[
    Path | None, typer.Option("--folder", metavar="FOLDER", help="Where certificates lie; `certs` in the home folder.")
]
NamesOption = Annotated[
    list[str] | None,
    typer.Option("--name", metavar="HOST", help="A host name or IP address the server is reached by; may be repeated."),
]
SERVER_NAME = "server"


@app.callback()
def certs() -> None:
    """Make an authority and certificates for TLS and mutual TLS."""


@app.command()
def init(
    names: NamesOption = None,
    folder: FolderOption = None,
    days: Annotated[int, typer.Option(metavar="N", help="How long the authority is valid.")] = 3650,
) -> None:
    """Make a private authority and a certificate for this server, and print the settings that use them."""
    import socket

    from watchkeeper.receive.certs import check_names, init_authority, issue
    from watchkeeper.receive.certs import revoke as revoke_certificates

    place = _folder(folder)
    reached_by = ["localhost", "127.0.0.1", "::1", socket.gethostname(), *(names or [])]
    check_names(reached_by)
    authority = init_authority(place, days=days)
    server = issue(place, SERVER_NAME, server=True, names=reached_by)
    typer.echo(f"The authority is {authority.certificate}; give it to the clients, and keep {authority.key.name} here.")
    typer.echo(f"The server is valid for {', '.join(dict.fromkeys(reached_by))}. Settings, for watchkeeper.toml:")
    typer.echo(f'tls_cert = "{server.certificate}"\ntls_key = "{server.key}"')
    typer.echo("To take telemetry from clients with a certificate only (`watchkeeper certs issue NAME` makes one):")
    typer.echo(f'tls_client_ca = "{authority.certificate}"')
    typer.echo(f'tls_crl = "{revoke_certificates(place, ())}"')


@app.command()
def issue(
    name: Annotated[str, typer.Argument(help="Whom the certificate is for; of a server, its host name.")],
    server: Annotated[bool, typer.Option("--server", help="For a server; else for a client.")] = False,
    names: NamesOption = None,
    days: Annotated[int, typer.Option(metavar="N", help="How long it is valid.")] = 825,
    folder: FolderOption = None,
) -> None:
    """Make a certificate and its key, signed by the authority."""
    from watchkeeper.receive.certs import issue as issue_certificate

    made = issue_certificate(_folder(folder), name, server=server, names=names or (), days=days)
    typer.echo(f"{made.certificate}\n{made.key}")


@app.command()
def renew(
    names: Annotated[list[str] | None, typer.Argument(help="Whose; all that expire soon when none is named.")] = None,
    within: Annotated[int, typer.Option(metavar="DAYS", help="How soon a certificate must expire to be renewed.")] = 30,
    days: Annotated[int, typer.Option(metavar="N", help="How long the new ones are valid.")] = 825,
    folder: FolderOption = None,
) -> None:
    """Make certificates anew in the place of the old; servers and agents take them up without a restart."""
    from datetime import timedelta

    from watchkeeper.receive.certs import due
    from watchkeeper.receive.certs import renew as renew_certificate

    place = _folder(folder)
    chosen = names or due(place, timedelta(days=within))
    for name in chosen:
        typer.echo(f"renewed {renew_certificate(place, name, days=days).certificate}")
    if not chosen:
        typer.echo(f"No certificate expires within {within} days.")


@app.command()
def revoke(
    names: Annotated[list[str], typer.Argument(help="Whose certificates, by the names they were issued for.")],
    folder: FolderOption = None,
) -> None:
    """Put certificates on the revocation list; a server with the setting tls_crl refuses them from then on."""
    from watchkeeper.receive.certs import revoke as revoke_certificates

    place = _folder(folder)
    file = revoke_certificates(place, [place / f"{name.replace('*', '_')}.pem" for name in names])
    typer.echo(f"{', '.join(names)}: revoked in {file}")


@app.command()
def show(
    files: Annotated[list[Path] | None, typer.Argument(help="PEM files; all of the folder when none is named.")] = None,
    folder: FolderOption = None,
) -> None:
    """Show whom certificates are for and how long they are valid."""
    from datetime import UTC, datetime

    from watchkeeper.errors import NotFound
    from watchkeeper.receive.certs import REVOKED_FILE
    from watchkeeper.receive.certs import show as read

    place = _folder(folder)
    chosen = files or [file for file in sorted(place.glob("*.pem")) if file.name != REVOKED_FILE]
    if not chosen:
        raise NotFound(f"there are no certificates in {place}; `watchkeeper certs init` makes them")
    for file in chosen:
        facts = read(file)
        left = (facts.not_after - datetime.now(UTC)).days
        typer.echo(f"{facts.file}\n  subject   {facts.name}\n  issuer    {facts.issuer}")
        typer.echo(
            f"  valid     {facts.not_before:%Y-%m-%d %H:%M} to {facts.not_after:%Y-%m-%d %H:%M} UTC ({left} days left)"
        )
        typer.echo(f"  usage     {', '.join(facts.usage) or '-'}\n  names     {', '.join(facts.names) or '-'}")
        typer.echo(f"  serial    {facts.serial}")


def _folder(folder: Path | None) -> Path:
    if folder is not None:
        return folder
    from watchkeeper.cli.options import load_settings

    return load_settings().path("home") / "certs"
