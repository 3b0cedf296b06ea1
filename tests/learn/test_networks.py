"""The networks of the room: torch and ONNX tell the same, the same seed gives the same weights, files come back."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from watchkeeper.errors import MissingExtra
from watchkeeper.learn import framework, networks
from watchkeeper.learn.network import Network, weights_of
from watchkeeper.learn.onnx_graph import runner, stored
from watchkeeper.learn.training import Training, train

pytestmark = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")

DENSE = {"kind": "dense", "inputs": 7, "outputs": 7, "width": 5}
IDS = {"given": "ids", "inputs": 30, "outputs": 30, "steps": 12}
VALUES = {"given": "values", "inputs": 3, "outputs": 3, "steps": 12, "every": False}
SETTINGS = (
    DENSE,
    {"kind": "recurrent", "width": 16, "layers": 2, "every": False, **IDS},
    {"kind": "recurrent", "width": 16, "layers": 1, **VALUES},
    {"kind": "encoder", "width": 32, "heads": 8, "dropout": 0.1, "every": True, **IDS},
    {"kind": "encoder", "width": 32, "heads": 4, "dropout": 0.0, **VALUES},
)


def given_to(settings, count=6):
    random = np.random.default_rng(0)
    if settings["kind"] == "dense":
        return random.normal(size=(count, 7)).astype(np.float32)
    if settings["given"] == "values":
        return random.normal(size=(count, 12, 3)).astype(np.float32)
    ids = random.integers(1, 30, (count, 12))
    ids[1, 5:] = networks.PADDING
    return ids


def untrained(settings):
    torch = framework.torch()
    with framework.seeded(torch, 0):
        module = networks.build(torch, settings)
    return torch, module.eval()


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda each: f"{each['kind']} {each.get('given', '')}")
def test_onnx_runtime_tells_what_torch_tells(settings):
    torch, module = untrained(settings)
    given = given_to(settings)
    with torch.no_grad():
        right = networks.forward(torch, module, settings, torch.tensor(given)).numpy()
    content = Network(settings, weights_of(module), {"known": [1, 2]}).onnx()
    loaded = Network.from_onnx(content)
    seen = given != networks.PADDING if settings.get("every") else slice(None)
    np.testing.assert_allclose(loaded.ask(given)[seen], right[seen], atol=1e-5)
    assert loaded.more == {"known": [1, 2]}
    assert loaded.settings == settings


def test_one_pass_tells_of_each_token_what_masking_it_alone_tells():
    settings = {**SETTINGS[3], "every": networks.IN_TURN}
    torch, module = untrained(settings)
    given = given_to(settings)
    given[given == networks.MASK] = 2
    told = Network(settings, weights_of(module)).ask(given)
    for line, place in np.argwhere(given != networks.PADDING):
        masked = given[[line]].copy()
        masked[0, place] = networks.MASK
        with torch.no_grad():
            right = networks.forward(torch, module, settings, torch.tensor(masked)).numpy()[0]
        np.testing.assert_allclose(told[line, place], right, atol=1e-5)


def test_a_file_comes_back_byte_for_byte():
    _, module = untrained(SETTINGS[3])
    content = Network(SETTINGS[3], weights_of(module)).onnx()
    assert Network.from_onnx(content).onnx() == content


def test_nothing_asked_is_nothing_told():
    _, module = untrained(DENSE)
    assert Network(DENSE, weights_of(module)).ask(np.zeros((0, 7), np.float32)).shape == (0, 7)


@pytest.mark.parametrize("content", [b"", b"no model"])
def test_what_is_no_model_is_refused(content):
    with pytest.raises(ValueError, match="model"):
        stored(content)


def test_a_newer_version_is_refused(monkeypatch):
    _, module = untrained(DENSE)
    monkeypatch.setattr("watchkeeper.learn.onnx_graph.SCHEMA_VERSION", 2)
    content = Network(DENSE, weights_of(module)).onnx()
    monkeypatch.undo()
    with pytest.raises(ValueError, match="schema version 2"):
        stored(content)


def learned(seed, told=None, epochs=3):
    rows = np.random.default_rng(1).normal(size=(64, 7)).astype(np.float32)

    def given(torch, chosen):
        return torch.from_numpy(rows)[chosen]

    def loss(torch, answer, chosen):
        return ((answer - given(torch, chosen)) ** 2).mean()

    more = {} if told is None else {"told": told}
    return Network.learned(DENSE, given, loss, 64, Training(epochs=epochs, batch=16), seed=seed, **more)


def test_the_same_seed_gives_the_same_weights_and_leaves_torchs_own_generator_alone():
    torch = framework.torch()
    torch.manual_seed(7)
    first = learned(3).weights
    after = float(torch.rand(1))
    torch.manual_seed(7)
    assert float(torch.rand(1)) == after
    second, other = learned(3).weights, learned(4).weights
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not np.array_equal(first["first.weight"], other["first.weight"])


def test_training_tells_how_far_it_is():
    told = []
    learned(0, told.append)
    assert [each.epoch for each in told] == [1, 2, 3]
    assert told[-1].percent == 100.0
    assert told[-1].remaining_s == 0.0
    assert told[-1].loss < told[0].loss


def test_steps_bound_the_training():
    _, module = untrained(DENSE)
    steps = []

    def loss_of(chosen):
        steps.append(len(chosen))
        return module["last"].weight.sum()

    train(module, 1_000_000, loss_of, Training(epochs=5, batch=10, steps_max=7))
    assert steps == [10] * 7


def test_what_is_missing_is_told_with_how_to_install_it(monkeypatch):
    with pytest.raises(MissingExtra, match=r"watchkeeper\[learning\]"):
        framework.extra("no_such_package_at_all")


def test_a_model_is_asked_without_torch(monkeypatch):
    _, module = untrained(DENSE)
    content = Network(DENSE, weights_of(module)).onnx()

    def absent():
        raise MissingExtra("torch is not to be imported")

    monkeypatch.setattr("watchkeeper.learn.network.torch_module", absent)
    assert Network.from_onnx(content).ask(given_to(DENSE)).shape == (6, 7)
    assert runner(content)(given_to(DENSE)).shape == (6, 7)
