"""What is told when an engine is missing, away, or fails; engines are programs that answer as the real ones do."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from watchkeeper.errors import HarnessError
from watchkeeper.harness import certificates
from watchkeeper.harness.engine import Engine, choose_engine
from watchkeeper.harness.harness import Harness, State, free_ports, is_free, read_state
from watchkeeper.harness.images import Recipe, build_images, find_checkout, left_out
from watchkeeper.harness.plan import Plan, usual_ports
from watchkeeper.receive.certs import revoke, show

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put programs that say and fail as they are told first on the path, alone but for the shell's own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def write(name: str, *, says: str = "", fails: str = "") -> None:
        status = f"echo '{fails}' >&2; exit 125" if fails else f"[ \"$1\" = image ] && exit 1; echo '{says}'"
        (folder / name).write_text(f"#!/bin/sh\n{status}\n", encoding="utf-8")
        (folder / name).chmod(0o755)

    return write


def test_no_engine_is_told_with_what_to_install(program: Callable[..., None]) -> None:
    with pytest.raises(HarnessError, match=r"podman is not installed; docker is not installed.*apt-get install podman"):
        choose_engine()
    with pytest.raises(HarnessError, match="there is no engine 'rkt'"):
        choose_engine("rkt")


def test_an_engine_that_does_not_answer_is_passed_over(program: Callable[..., None]) -> None:
    program("podman", fails="Error: cannot clone: Operation not permitted")
    with pytest.raises(HarnessError, match="podman does not answer: Error: cannot clone"):
        choose_engine()
    program("docker", says='{"ServerErrors": ["Cannot connect to the Docker daemon"]}')
    with pytest.raises(HarnessError, match=r"docker does not answer.*daemon"):
        choose_engine()
    program("docker", says='{"ServerVersion": "28"}')
    assert choose_engine().name == "docker"


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("write /var/lib/x: no space left on device", "the disk is full"),
        ("rootlessport listen tcp 127.0.0.1:3000: bind: address already in use", "a port is taken"),
        ("error setting rlimit type 7: operation not permitted: OCI permission denied", "default_ulimits"),
    ],
)
def test_a_failure_of_the_engine_is_told_with_advice(program: Callable[..., None], said: str, advice: str) -> None:
    program("podman", fails=said)
    with pytest.raises(HarnessError) as caught:
        Engine("podman").run("run", "x")
    assert said in str(caught.value)
    assert advice in str(caught.value)


def test_a_base_image_that_cannot_be_pulled_names_the_way_out(program: Callable[..., None], tmp_path: Path) -> None:
    pulled = "Error: creating build container: initializing source docker://debian: pinging container registry"
    (tmp_path / "bin" / "podman").write_text(
        f'#!/bin/sh\ncase $1 in info) echo {tmp_path} ;; image) exit 1 ;; *) echo "{pulled}"; exit 125 ;; esac\n',
        encoding="utf-8",
    )
    (tmp_path / "bin" / "podman").chmod(0o755)
    recipe = Recipe(CHECKOUT, "docker.io/library/debian:none", "inside")
    with pytest.raises(HarnessError, match="cannot be pulled; name one that is here with --base-image"):
        build_images(Engine("podman"), recipe, tmp_path, lambda _: None)


def test_a_checkout_is_found_and_its_digest_follows_its_files(tmp_path: Path) -> None:
    assert find_checkout(None) == CHECKOUT
    with pytest.raises(HarnessError, match="--checkout"):
        find_checkout(tmp_path)
    for name in ("pyproject.toml", "constraints.txt", "hatch_build.py"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    (tmp_path / "src").mkdir()
    first = Recipe(tmp_path).digest()
    assert Recipe(tmp_path).digest() == first != Recipe(tmp_path, extras="bench").digest()
    (tmp_path / "src" / "a.py").write_text("1", encoding="utf-8")
    assert Recipe(tmp_path).digest() != first


def test_wheels_that_another_version_of_python_needs_are_found(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "cart_db-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(
            "cart_db-1.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: cart-db\nVersion: 1.0\n"
            'Requires-Dist: older>=4; python_full_version < "3.11.3"\nRequires-Dist: Cart.Db\n'
            'Requires-Dist: wanted-by-an-extra; extra == "tls"\n',
        )
    assert left_out(tmp_path, "3.11.2") == ["older>=4"]
    assert left_out(tmp_path, "3.13.1") == []


def test_certificates_are_made_once_and_each_node_gets_its_own(tmp_path: Path) -> None:
    plan = Plan(edges=("edge-1",), ports=usual_ports(1))
    certificates.make_certificates(tmp_path, plan)
    before = {node: certificates.digest(tmp_path, node) for node in plan.nodes}
    certificates.make_certificates(tmp_path, plan)
    assert {node: certificates.digest(tmp_path, node) for node in plan.nodes} == before
    revoke(tmp_path, [tmp_path / "edge-1.pem"])
    revoked = certificates.digest(tmp_path, "centre")
    assert revoked != before["centre"], "who is revoked is told to the containers"
    certificates.make_certificates(tmp_path, plan)
    assert certificates.digest(tmp_path, "centre") == revoked
    server, client = show(tmp_path / "edge-1-server.pem"), show(tmp_path / "edge-1.pem")
    assert {"edge-1", "localhost", "127.0.0.1"} <= set(server.names)
    assert ("server" in server.usage, "client" in client.usage) == (True, True)
    bundle = certificates.bundle(tmp_path, "edge-1")
    assert b"ca.key" not in bundle
    assert (tmp_path / "edge-1.key").read_bytes() in bundle
    assert (tmp_path / "centre.key").read_bytes() not in bundle


def test_a_server_that_is_published_elsewhere_gets_a_certificate_for_it(tmp_path: Path) -> None:
    certificates.make_certificates(tmp_path, Plan(edges=("edge-1",), ports=usual_ports(1)))
    elsewhere = Plan(edges=("edge-1",), ports=usual_ports(1), publish="192.0.2.7")
    certificates.make_certificates(tmp_path, elsewhere)
    assert {"192.0.2.7", "127.0.0.1", "centre"} <= set(show(tmp_path / "centre-server.pem").names)
    before = certificates.digest(tmp_path, "centre")
    certificates.make_certificates(tmp_path, elsewhere)
    assert certificates.digest(tmp_path, "centre") == before


def test_a_taken_port_is_told_before_anything_starts(tmp_path: Path, program: Callable[..., None]) -> None:
    program("podman", says="")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert not is_free("127.0.0.1", port)
        ports = {**free_ports(usual_ports(1), "127.0.0.1"), "page": port}
        plan = Plan(edges=("edge-1",), ports=ports)
        with pytest.raises(HarnessError, match=rf"port {port}; stop what listens there, or use --any-ports"):
            Harness(Engine("podman"), tmp_path, plan).up()


def test_state_is_kept_for_its_owner_only_and_damage_is_told(tmp_path: Path) -> None:
    assert read_state(tmp_path) is None
    harness = Harness(Engine("podman"), tmp_path, Plan())
    harness._remember(State(Plan(rate=1.0), "secret", {"centre": "x"}))
    assert read_state(tmp_path) == State(Plan(rate=1.0), "secret", {"centre": "x"})
    file = tmp_path / "harness.json"
    assert file.stat().st_mode & 0o077 == 0
    file.write_text("{", encoding="utf-8")
    with pytest.raises(HarnessError, match="cannot be read"):
        read_state(tmp_path)
    assert os.listdir(tmp_path) == ["harness.json"]
