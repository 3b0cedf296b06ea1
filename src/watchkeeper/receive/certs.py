"""Makes a private certificate authority, and certificates that it signs, for TLS between one's own machines.

Enters: a folder, names and addresses. Leaves: PEM files; keys are readable by their owner only, and nothing is
overwritten but what is renewed. What is made passes the strict checks of OpenSSL, Go and Python. Does not serve TLS:
receive/tls.py does.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from watchkeeper.errors import CertificateError

AUTHORITY_NAME = "ca"
REVOKED_FILE = "revoked.pem"
AUTHORITY_DAYS = 3650
LEAF_DAYS = 825
"""The longest that Apple's and others' clients accept of a private authority."""
CLOCK_SKEW = timedelta(hours=1)

_HOST_NAME = re.compile(r"(?:\*\.)?[A-Za-z0-9_][A-Za-z0-9_.-]*")
_FILE_NAME = re.compile(r"[A-Za-z0-9*][A-Za-z0-9._@*-]{0,63}")


class CertificateFiles(NamedTuple):
    """Where a certificate and its key lie."""

    certificate: Path
    key: Path


class CertificateFacts(NamedTuple):
    """What a certificate says of itself."""

    file: Path
    name: str
    issuer: str
    names: tuple[str, ...]
    usage: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    serial: str


def init_authority(folder: Path, *, days: int = AUTHORITY_DAYS, now: datetime | None = None) -> CertificateFiles:
    """Make an authority: ca.pem, to be given to whoever is to trust it, and ca.key, to be kept here.

    Raises CertificateError when there is one already or the folder cannot be written.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    # A name of its own for each authority, or a client with two of them would try the wrong one.
    public = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    name = _name(f"Watchkeeper CA {public.digest.hex()[:8]}")
    builder = _builder(name, name, key.public_key(), days, now)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(authority=True), critical=True)
    builder = builder.add_extension(public, critical=False)
    return _write(folder, AUTHORITY_NAME, builder.sign(key, hashes.SHA256()), key)


def issue(
    folder: Path,
    name: str,
    *,
    server: bool = False,
    names: Sequence[str] = (),
    days: int = LEAF_DAYS,
    now: datetime | None = None,
) -> CertificateFiles:
    """Make a certificate NAME.pem with NAME.key, signed by the authority in the folder.

    A server's is valid for `name` and `names` (host names, IP addresses, `*.domain`); a client's tells `name` to the
    server. Raises CertificateError when there is no authority, the files exist, or a name cannot be.
    """
    if f"{name}.pem" == REVOKED_FILE:
        raise CertificateError(f"{REVOKED_FILE} is the revocation list; name the certificate otherwise than {name!r}")
    certificate, key = _sign(folder, name, server=server, names=names, days=days, now=now)
    return _write(folder, name, certificate, key)


def check_names(names: Sequence[str]) -> None:
    """Raise CertificateError for a name that no certificate can carry, before anything is made."""
    for name in names:
        _general_name(name)


def renew(folder: Path, name: str, *, days: int = LEAF_DAYS, now: datetime | None = None) -> CertificateFiles:
    """Make a certificate and key anew, for the same names and use, in the place of the old ones.

    Whoever serves or sends with them takes the new ones up without a restart. Raises CertificateError.
    """
    files = _files(folder, name)
    old = show(files.certificate)
    names = [each for each in old.names if each != name]
    certificate, key = _sign(folder, name, server="server" in old.usage, names=names, days=days, now=now)
    _replace(files.key, _pem_of_key(key), 0o600)
    _replace(files.certificate, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    return files


def due(folder: Path, within: timedelta, now: datetime | None = None) -> list[str]:
    """Name the certificates of the folder's authority, itself left out, that expire within a time."""
    authority, _ = _load_authority(folder)
    until = (now or datetime.now(UTC)) + within
    names = []
    for file in sorted(folder.glob("*.pem")):
        if file.stem == AUTHORITY_NAME or file.name == REVOKED_FILE or not file.with_suffix(".key").exists():
            continue
        certificate = _load(file)
        if certificate.issuer == authority.subject and certificate.not_valid_after_utc < until:
            names.append(common_name(file))
    return names


def revoke(folder: Path, files: Sequence[Path], now: datetime | None = None) -> Path:
    """Put certificates on the authority's revocation list, made when there is none; gives the list's file.

    Raises CertificateError for a file that is no certificate of this authority.
    """
    authority, key = _load_authority(folder)
    place = folder / REVOKED_FILE
    start = now or datetime.now(UTC)
    # The list is read from the disk whenever it changes, so it ends when its authority does and not before.
    builder = x509.CertificateRevocationListBuilder().issuer_name(authority.subject).last_update(start - CLOCK_SKEW)
    builder = builder.next_update(authority.not_valid_after_utc)
    known = list(x509.load_pem_x509_crl(place.read_bytes())) if place.exists() else []
    serials = {row.serial_number for row in known}
    for row in known:
        builder = builder.add_revoked_certificate(row)
    for file in files:
        certificate = _load(file)
        if certificate.issuer != authority.subject:
            raise CertificateError(f"{file} is not of the authority in {folder}, which therefore cannot revoke it")
        if certificate.serial_number not in serials:
            serials.add(certificate.serial_number)
            revoked = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number).revocation_date(start)
            builder = builder.add_revoked_certificate(revoked.build())
    try:
        _replace(place, builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), 0o644)
    except OSError as error:
        raise CertificateError(f"cannot write into {folder}: {error}") from error
    return place


def show(file: Path) -> CertificateFacts:
    """Tell what a certificate in a PEM file says of itself; raises CertificateError."""
    certificate = _load(file)
    return CertificateFacts(
        file,
        certificate.subject.rfc4514_string(),
        certificate.issuer.rfc4514_string(),
        _alternatives(certificate),
        _usage(certificate),
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        f"{certificate.serial_number:x}",
    )


def common_name(file: Path) -> str:
    """Give the name that a certificate in a PEM file carries; raises CertificateError when there is none."""
    names = _load(file).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if not names:
        raise CertificateError(f"the certificate {file} names nobody; make one with `watchkeeper certs issue NAME`")
    return str(names[0].value)


def names_of(file: Path) -> frozenset[str]:
    """Give all names that a certificate in a PEM file carries: those by which its owner may speak of itself."""
    return frozenset({common_name(file), *_alternatives(_load(file))})


def _load(file: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(file.read_bytes())
    except (OSError, ValueError) as error:
        raise CertificateError(f"{file} is no certificate in PEM form: {error}") from error


def _sign(
    folder: Path, name: str, *, server: bool, names: Sequence[str], days: int, now: datetime | None
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Make a key and a certificate for it; writes nothing."""
    if not _FILE_NAME.fullmatch(name) or name == AUTHORITY_NAME:
        raise CertificateError(
            f"{name!r} cannot name a certificate; take 1 to 64 letters, digits or ._@*-, and not {AUTHORITY_NAME!r}"
        )
    authority, authority_key = _load_authority(folder)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_name(name), authority.subject, key.public_key(), days, now, within=authority)
    usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
    issuer = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    alternatives = [_general_name(text) for text in dict.fromkeys([name, *names])]
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(authority=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer), critical=False
    )
    return builder.sign(authority_key, hashes.SHA256()), key


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    days: int,
    now: datetime | None,
    within: x509.Certificate | None = None,
) -> x509.CertificateBuilder:
    if days < 1:
        raise CertificateError(f"a certificate cannot be valid for {days} days; give 1 or more")
    start = now or datetime.now(UTC)
    end = start + timedelta(days=days)
    if within is not None:
        end = min(end, within.not_valid_after_utc)
    if end <= start:
        raise CertificateError("the authority has expired; make another in a new folder with `watchkeeper certs init`")
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - CLOCK_SKEW)
        .not_valid_after(end)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        pass
    try:
        if "@" in text:
            return x509.RFC822Name(text)
        if text.isascii() and not _HOST_NAME.fullmatch(text):
            raise ValueError("letters, digits, - _ and . make a host name")
        return x509.DNSName(text)
    except ValueError as error:
        raise CertificateError(f"{text!r} is neither a host name nor an IP address: {error}") from error


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _load_authority(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    files = _files(folder, AUTHORITY_NAME)
    try:
        certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        key = serialization.load_pem_private_key(files.key.read_bytes(), password=None)
    except FileNotFoundError as error:
        raise CertificateError(
            f"there is no authority in {folder} ({Path(str(error.filename)).name} is missing); make one with "
            "`watchkeeper certs init`"
        ) from error
    except (OSError, ValueError, TypeError) as error:
        raise CertificateError(f"the authority in {folder} cannot be read: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateError(f"{files.key} is no elliptic-curve key; make an authority with `watchkeeper certs init`")
    return certificate, key


def _files(folder: Path, name: str) -> CertificateFiles:
    file_name = name.replace("*", "_")
    return CertificateFiles(folder / f"{file_name}.pem", folder / f"{file_name}.key")


def _write(folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> CertificateFiles:
    files = _files(folder, name)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in files:
            if path.exists():
                raise CertificateError(
                    f"{path} exists already and is not overwritten; move it away, or choose another name"
                )
        _write_new(files.key, _pem_of_key(key), 0o600)
        _write_new(files.certificate, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    except OSError as error:
        raise CertificateError(f"cannot write into {folder}: {error}") from error
    return files


def _pem_of_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _replace(path: Path, content: bytes, mode: int) -> None:
    """Write a file anew so that a reader sees the old one or the new one, and never a part."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    _write_new(new, content, mode)
    new.replace(path)


def _write_new(path: Path, content: bytes, mode: int) -> None:
    """Write a file that must not be there yet, never readable by more than `mode` says, not even for a moment."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)


def _alternatives(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(str(name.value) for name in names)


def _usage(certificate: x509.Certificate) -> tuple[str, ...]:
    known = {ExtendedKeyUsageOID.SERVER_AUTH: "server", ExtendedKeyUsageOID.CLIENT_AUTH: "client"}
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        return ("authority",) if constraints.ca else ()
    return tuple(known.get(each, each.dotted_string) for each in usage)
