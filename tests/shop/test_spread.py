"""A shop spread over two parts: its services call each other over mutual TLS, and a fault strikes where it belongs."""

from __future__ import annotations

import signal
from pathlib import Path

import httpx
import pytest
from shop.layout import SERVICES, Certificates
from shop_run import RunningShop
from shop_sink import Sink

from watchkeeper.receive.certs import init_authority, issue

HERE = ("frontend", "checkout")
THERE = tuple(name for name in SERVICES if name not in HERE)
PORT_BASE = {"here": 27_310, "there": 27_330}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spread")
    init_authority(folder)
    for name, server in (("server", True), ("client", False)):
        issue(folder, name, server=server, names=["localhost", "127.0.0.1"])
    return folder


def options(part: str, services: tuple[str, ...], others: tuple[str, ...], other: str, folder: Path) -> list[str]:
    peers = [f"{name}=https://127.0.0.1:{PORT_BASE[other] + SERVICES.index(name)}" for name in others]
    return [
        *("--services", ",".join(services), "--peers", ",".join(peers), "--certs", str(folder)),
        *("--port-base", str(PORT_BASE[part]), "--rate", "0", "--no-redis"),
    ]


def test_two_parts_serve_one_purchase_and_refuse_strangers(sink: Sink, certificates: Path, tmp_path: Path) -> None:
    there = RunningShop(tmp_path / "there", sink.address, *options("there", THERE, HERE, "here", certificates))
    here = RunningShop(tmp_path / "here", sink.address, *options("here", HERE, THERE, "there", certificates))
    try:
        assert set(here.status()["services"]) == set(HERE)
        with httpx.Client(base_url=here.state["front"], verify=Certificates(certificates).client()) as user:
            user.post("/cart/5", json={"sku": 40, "quantity": 1}).raise_for_status()
            assert user.post("/checkout/5", json={"card": "4000 0000 0000 1001"}).status_code == 201
            wrong = here.control.post("/faults", json={"kind": "error-rate", "service": "payment"})
            assert wrong.status_code == 422
            assert "does not run here" in wrong.text
            there.control.post("/faults", json={"kind": "error-rate", "parameters": {"share": 1}}).raise_for_status()
            user.post("/cart/6", json={"sku": 40, "quantity": 1}).raise_for_status()
            assert user.post("/checkout/6", json={"card": "4000 0000 0000 1001"}).status_code >= 500
        for stranger in (httpx.Client(verify=False), httpx.Client()):
            with stranger, pytest.raises(httpx.TransportError):
                stranger.get(f"https://127.0.0.1:{PORT_BASE['there'] + SERVICES.index('payment')}/_control/health")
    finally:
        assert (here.end(signal.SIGTERM), there.end(signal.SIGTERM)) == (0, 0)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--services", "frontend"], "nobody told where catalogue"),
        (["--services", "shelf"], "there is no service 'shelf'"),
        (["--bind", "0.0.0.0"], "needs --certs"),
    ],
)
def test_what_cannot_be_is_told(tmp_path: Path, wrong: list[str], said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        RunningShop(tmp_path, "http://127.0.0.1:9", *wrong)
