"""Access tokens and who may be served without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from watchkeeper.errors import DuplicateName, Forbidden, NotFound, SettingError, Unauthorized
from watchkeeper.receive.peer import Certificate, Peer
from watchkeeper.receive.tokens import Identity, Role, Tokens, identify, require_authentication
from watchkeeper.settings import DAY_S, Settings
from watchkeeper.store.metadata import Metadata


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_763_700_000.0

    def __call__(self) -> float:
        return self.now_s

    def unix_ns(self) -> int:
        return int(self.now_s) * 10**9


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(metadata, clock) -> Tokens:
    return Tokens(metadata, now_unix_ns=clock.unix_ns, clock=clock)


def settings(**chosen) -> Settings:
    return Settings(chosen={"home": "/nowhere", **chosen}, environment={})


def test_a_secret_stands_for_its_name_and_role(tokens) -> None:
    secret = tokens.create("collector-1", "ingest")
    assert secret.startswith("wk_ingest_")
    assert len(secret) > 50
    assert tokens.check(secret) == Identity("collector-1", Role.INGEST)
    assert tokens.create("collector-2", "ingest") != secret


@pytest.mark.parametrize("wrong", ["", "wk_ingest_", "x", "wk_ingest_é", "\ud800", "wk_admin_" + "A" * 43])
def test_a_wrong_secret_is_nobody(tokens, wrong) -> None:
    tokens.create("a", "admin")
    with pytest.raises(Unauthorized):
        tokens.check(wrong)


def test_a_secret_with_one_character_changed_is_nobody(tokens) -> None:
    secret = tokens.create("a", "admin")
    for place in range(len(secret)):
        changed = secret[:place] + ("A" if secret[place] != "A" else "B") + secret[place + 1 :]
        with pytest.raises(Unauthorized):
            tokens.check(changed)


def test_no_secret_is_on_disk(tokens, metadata, tmp_path: Path) -> None:
    secret = tokens.create("a", "viewer").encode()
    metadata.close()
    files = list(tmp_path.iterdir())
    assert files
    random_part = secret.rpartition(b"_")[2]
    assert not [file for file in files if random_part in file.read_bytes()]


def test_a_token_expires(tokens, clock) -> None:
    secret = tokens.create("a", "viewer", expires_days=2)
    clock.now_s += 2 * DAY_S - 1
    assert tokens.check(secret).name == "a"
    clock.now_s += 1
    with pytest.raises(Unauthorized, match="expired"):
        tokens.check(secret)
    assert tokens.any(), "an expired token is still one that was set up: the door does not open by itself"


def test_a_revoked_token_is_refused_at_once_here_and_within_a_second_elsewhere(tokens, clock, tmp_path: Path) -> None:
    secret = tokens.create("a", "viewer")
    metadata = Metadata(tmp_path / "metadata.sqlite")
    try:
        elsewhere = Tokens(metadata, now_unix_ns=clock.unix_ns, clock=clock)
        assert elsewhere.check(secret).name == "a"
        tokens.revoke("a")
        with pytest.raises(Unauthorized):
            tokens.check(secret)
        clock.now_s += 1.0
        with pytest.raises(Unauthorized):
            elsewhere.check(secret)
        later = tokens.create("b", "viewer")
        clock.now_s += 1.0
        assert elsewhere.check(later).name == "b"
    finally:
        metadata.close()


def test_checking_does_not_read_the_disk_each_time(tokens, metadata, clock) -> None:
    secret = tokens.create("a", "viewer")
    metadata.write("DELETE FROM tokens")
    assert tokens.check(secret).name == "a"
    clock.now_s += 1.0
    with pytest.raises(Unauthorized):
        tokens.check(secret)


def test_tokens_are_listed_without_secrets_and_survive_a_restart(tokens, metadata, clock) -> None:
    tokens.create("b", "viewer")
    secret = tokens.create("a", "admin", expires_days=1)
    again = Tokens(metadata, now_unix_ns=clock.unix_ns, clock=clock)
    assert [(each.name, each.role) for each in again.list()] == [("a", Role.ADMIN), ("b", Role.VIEWER)]
    assert again.list()[0].expires_unix_ns == clock.unix_ns() + DAY_S * 10**9
    assert again.check(secret).role is Role.ADMIN
    assert secret not in repr(again.list())


def test_names_and_roles_that_cannot_be_are_refused(tokens) -> None:
    tokens.create("a", "viewer")
    with pytest.raises(DuplicateName, match="'a'"):
        tokens.create("a", "admin")
    for name in ("", " a", "a b", "-a", "a" * 65, "é"):
        with pytest.raises(SettingError, match="name"):
            tokens.create(name, "viewer")
    with pytest.raises(SettingError, match="viewer, operator, admin, ingest"):
        tokens.create("c", "root")
    for days in (0, -1, float("nan"), float("inf")):
        with pytest.raises(SettingError, match="days"):
            tokens.create("c", "viewer", expires_days=days)
    with pytest.raises(NotFound, match="'nobody'"):
        tokens.revoke("nobody")


def test_what_each_role_may() -> None:
    may = {role: {other for other in Role if Identity("x", role).may(other)} for role in Role}
    assert may == {
        Role.VIEWER: {Role.VIEWER},
        Role.OPERATOR: {Role.VIEWER, Role.OPERATOR},
        Role.ADMIN: set(Role),
        Role.INGEST: {Role.INGEST},
    }


@pytest.mark.parametrize("bind", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_loopback_without_tokens_is_open(tokens, bind) -> None:
    require_authentication(settings(bind=bind), tokens)
    assert identify(settings(bind=bind), tokens, Peer("grpc"), Role.ADMIN) is None


@pytest.mark.parametrize("bind", ["0.0.0.0", "::", "192.168.1.5", "watch.example"])
def test_any_other_address_needs_authentication_or_the_word_insecure(tokens, bind) -> None:
    with pytest.raises(SettingError, match="token create") as refused:
        require_authentication(settings(bind=bind), tokens)
    assert "insecure" in str(refused.value)
    assert bind in str(refused.value)
    require_authentication(settings(bind=bind, insecure=True), tokens)
    require_authentication(settings(bind=bind, tls_client_ca="ca.pem"), tokens)
    tokens.create("a", "ingest")
    require_authentication(settings(bind=bind), tokens)


def test_beyond_loopback_nobody_is_served_without_a_token_even_when_the_last_is_revoked(tokens) -> None:
    chosen = settings(bind="0.0.0.0")
    tokens.create("a", "ingest")
    tokens.revoke("a")
    with pytest.raises(Unauthorized):
        identify(chosen, tokens, Peer("grpc"), Role.INGEST)
    assert identify(settings(bind="0.0.0.0", insecure=True), tokens, Peer("grpc"), Role.INGEST) is None


def test_once_there_is_a_token_loopback_needs_one_too(tokens) -> None:
    secret = tokens.create("a", "ingest")
    with pytest.raises(Unauthorized, match="Authorization: Bearer"):
        identify(settings(), tokens, Peer("grpc"), Role.INGEST)
    assert identify(settings(), tokens, Peer("grpc", secret=secret), Role.INGEST) == Identity("a", Role.INGEST)
    with pytest.raises(Forbidden, match="viewer"):
        identify(settings(), tokens, Peer("grpc", secret=secret), Role.VIEWER)


def test_a_client_certificate_stands_for_ingest_and_a_wrong_token_is_not_mended_by_it(tokens) -> None:
    peer = Peer("grpc", certificate=Certificate("collector-1", ("collector-1",)))
    assert identify(settings(), tokens, peer, Role.INGEST) == Identity("collector-1", Role.INGEST)
    with pytest.raises(Forbidden):
        identify(settings(), tokens, peer, Role.VIEWER)
    tokens.create("a", "ingest")
    assert identify(settings(), tokens, peer, Role.INGEST) == Identity("collector-1", Role.INGEST)
    with pytest.raises(Unauthorized):
        identify(
            settings(),
            tokens,
            Peer("grpc", secret="wrong", certificate=Certificate("collector-1", ("collector-1",))),
            Role.INGEST,
        )


def test_a_peer_does_not_show_its_secret() -> None:
    assert "hush" not in repr(Peer("grpc", secret="hush"))
