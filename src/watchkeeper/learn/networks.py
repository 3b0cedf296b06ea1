"""The three networks of this room, each told twice: as torch modules to train, as an ONNX graph to score.

Enters: settings. Leaves: a module with its forward pass, or the bytes of a graph with trained weights; a test holds the
two to each other. Sizes are the caller's; what the numbers mean too. Sources: Hochreiter and Schmidhuber 1997 (LSTM);
Vaswani et al., NeurIPS 2017 (Transformer encoder, one layer).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from watchkeeper.learn.onnx_graph import Graph, Weights

Settings = Mapping[str, Any]
"""kind: `dense`, `recurrent` or `encoder`. inputs: tokens known (`ids`) or values a step (`values`). outputs: numbers
told. width: of the hidden layer. steps: of a sequence. layers (recurrent), heads and dropout (encoder). every: whether
each step of a sequence is told something (True), its last one only (False), or, for an encoder of ids, each as if it
were MASK (IN_TURN)."""
IN_TURN = "in turn"
"""The module is given MASK at some steps and tells of all of those. The graph is given none, and tells of each step
what the module would with MASK at this one only: with one layer, keys and values of the others stay the same, so that
one pass is enough."""
PADDING = 0
MASK = 1
_LSTM_GATES = (0, 3, 1, 2)
"""torch has the gates in the order input, forget, cell, output; ONNX input, output, forget, cell."""


def build(torch: Any, settings: Settings) -> Any:
    """Give the untrained module; weights are drawn from torch's generator."""
    nn, width = torch.nn, settings["width"]
    if settings["kind"] == "dense":
        parts = {"first": nn.Linear(settings["inputs"], width), "last": nn.Linear(width, settings["outputs"])}
        return nn.ModuleDict(parts)
    enter = nn.Embedding if settings["given"] == "ids" else nn.Linear
    parts = {"enter": enter(settings["inputs"], width), "last": nn.Linear(width, settings["outputs"])}
    if settings["kind"] == "recurrent":
        parts["lstm"] = nn.LSTM(width, width, settings["layers"], batch_first=True)
    else:
        parts["place"] = nn.Embedding(settings["steps"], width)
        parts["layer"] = nn.TransformerEncoderLayer(
            width, settings["heads"], settings.get("feedforward", width), settings["dropout"], batch_first=True
        )
    return nn.ModuleDict(parts)


def forward(torch: Any, module: Any, settings: Settings, given: Any) -> Any:
    """Run the module. given: (B, inputs) for dense, (B, T) ids or (B, T, inputs) values; told: (B, [T,] outputs).

    Where `every` is IN_TURN, what is told is (M, outputs): of all MASK tokens, row by row.
    """
    if settings["kind"] == "dense":
        return module["last"](torch.relu(module["first"](given)))
    inner = module["enter"](given)  # (B, T, width)
    if settings["kind"] == "recurrent":
        inner = module["lstm"](inner)[0]
    else:
        inner = inner + module["place"].weight[: given.shape[1]]
        padding = given == PADDING if settings["given"] == "ids" else None
        inner = module["layer"](inner, src_key_padding_mask=padding)
    if settings["every"] == IN_TURN:
        return module["last"](inner[given == MASK])
    return module["last"](inner if settings["every"] else inner[:, -1])


def graph(weights: Weights, settings: Settings, more: Settings, *, folded: bool = False) -> bytes:
    """Give the ONNX model of trained weights; `more` are further settings to be kept in it.

    folded: weights of linear layers are written as they are multiplied, which is what quantisation looks for; such a
    model is to be run only.
    """
    made = Graph(weights, folded=folded)
    kept = {**settings, **more}
    if settings["kind"] == "dense":
        inner = made.add("Relu", made.linear("given", "first.weight", "first.bias"))
        return made.model("float32", ["n", settings["inputs"]], made.linear(inner, "last.weight", "last.bias"), kept)
    if settings["given"] == "ids":
        inner, kind, shape = made.add("Gather", "enter.weight", "given"), "int64", ["n", "steps"]
    else:
        inner = made.linear("given", "enter.weight", "enter.bias")
        kind, shape = "float32", ["n", "steps", settings["inputs"]]
    step: Callable[[Graph, str, Settings], str] = _lstm if settings["kind"] == "recurrent" else _encoder
    step = _in_turn if settings["every"] == IN_TURN else step
    inner = step(made, inner, settings)
    if not settings["every"]:
        inner = made.add("Gather", inner, made.constant(np.array(-1)), axis=1)
    return made.model(kind, shape, made.linear(inner, "last.weight", "last.bias"), kept)


def _lstm(made: Graph, inner: str, settings: Settings) -> str:
    width = settings["width"]
    order = made.ints(*(gate * width + at for gate in _LSTM_GATES for at in range(width)))
    axis = made.ints(0)
    inner = made.add("Transpose", inner, perm=[1, 0, 2])  # (T, B, width)
    for layer in range(settings["layers"]):
        parts = {
            name: made.add("Gather", f"lstm.{name}_l{layer}", order)
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        }
        bias = made.add("Concat", parts["bias_ih"], parts["bias_hh"], axis=0)
        told = [made.add("Unsqueeze", each, axis) for each in (parts["weight_ih"], parts["weight_hh"], bias)]
        inner = made.add("Squeeze", made.add("LSTM", inner, *told, hidden_size=width), made.ints(1))
    return made.add("Transpose", inner, perm=[1, 0, 2])


def _encoder(made: Graph, inner: str, settings: Settings) -> str:
    inner = made.add("Add", inner, _places(made, inner)[0])  # (B, T, width)
    query, key, value = _parts(made, inner, settings)
    fit = _fit(made, query, key, settings)
    seen = made.add("MatMul", made.add("Softmax", _without_padding(made, fit, settings), axis=-1), value)
    return _deep(made, inner, seen, settings)


def _in_turn(made: Graph, inner: str, settings: Settings) -> str:
    """Mask every step in turn: what looks is MASK at each step, and what it sees at its own step is MASK too."""
    places, steps = _places(made, inner)
    hidden = made.add("Gather", "enter.weight", made.constant(np.array(MASK, np.int64)))
    hidden = made.add("Unsqueeze", made.add("Add", places, hidden), made.ints(0))  # (1, T, width): MASK at each step
    both = made.add("Concat", hidden, made.add("Add", inner, places), axis=0)
    first, rest = made.ints(0), (made.ints(1), made.ints(np.iinfo(np.int64).max))
    query, key, value = _parts(made, both, settings)
    query, own_key, own_value = (made.add("Slice", each, first, rest[0], first) for each in (query, key, value))
    key, value = (made.add("Slice", each, *rest, first) for each in (key, value))
    scalar = made.constant(np.array(0, np.int64)), made.constant(np.array(1, np.int64))
    number = made.add("Range", scalar[0], made.add("Squeeze", steps), scalar[1])
    own = made.add("Equal", made.add("Unsqueeze", number, made.ints(0)), made.add("Unsqueeze", number, made.ints(1)))
    at_own = made.add("ReduceSum", made.add("Mul", query, own_key), made.ints(-1), keepdims=1)
    at_own = made.add("Mul", at_own, _scale(made, settings))  # (1, heads, T, 1)
    fit = made.add("Where", own, at_own, _fit(made, query, key, settings))  # (B, heads, T, T)
    share = made.add("Softmax", _without_padding(made, fit, settings), axis=-1)
    of_own = made.add("Where", own, share, made.constant(np.array(0, np.float32)))
    of_own = made.add("ReduceSum", of_own, made.ints(-1), keepdims=1)
    seen = made.add("MatMul", share, value)
    seen = made.add("Add", seen, made.add("Mul", of_own, made.add("Sub", own_value, value)))
    return _deep(made, hidden, seen, settings)


def _places(made: Graph, inner: str) -> tuple[str, str]:
    """Give the rows of the places (T, width), and T (1,)."""
    steps = made.add("Slice", made.add("Shape", inner), made.ints(1), made.ints(2))
    return made.add("Slice", "place.weight", made.ints(0), steps, made.ints(0)), steps


def _parts(made: Graph, inner: str, settings: Settings) -> tuple[str, str, str]:
    """Give query, key and value, each (B, heads, T, width / heads)."""
    width, heads = settings["width"], settings["heads"]
    parts = made.linear(inner, "layer.self_attn.in_proj_weight", "layer.self_attn.in_proj_bias")
    parts = made.add("Reshape", parts, made.ints(0, 0, 3, heads, width // heads))
    parts = made.add("Transpose", parts, perm=[2, 0, 3, 1, 4])
    query, key, value = (made.add("Gather", parts, made.constant(np.array(at)), axis=0) for at in range(3))
    return query, key, value


def _scale(made: Graph, settings: Settings) -> str:
    return made.constant(np.array(1 / math.sqrt(settings["width"] // settings["heads"]), np.float32))


def _fit(made: Graph, query: str, key: str, settings: Settings) -> str:
    return made.add(
        "Mul", made.add("MatMul", query, made.add("Transpose", key, perm=[0, 1, 3, 2])), _scale(made, settings)
    )


def _without_padding(made: Graph, fit: str, settings: Settings) -> str:
    if settings["given"] != "ids":
        return fit
    padding = made.add("Cast", made.add("Equal", "given", made.constant(np.array(PADDING, np.int64))), to=1)
    padding = made.add("Mul", padding, made.constant(np.array(-1e9, np.float32)))
    return made.add("Add", fit, made.add("Unsqueeze", padding, made.ints(1, 2)))


def _deep(made: Graph, inner: str, seen: str, settings: Settings) -> str:
    """Give what follows attention. seen: (B, heads, T, width / heads), added to `inner`."""
    seen = made.add("Reshape", made.add("Transpose", seen, perm=[0, 2, 1, 3]), made.ints(0, 0, settings["width"]))
    seen = made.linear(seen, "layer.self_attn.out_proj.weight", "layer.self_attn.out_proj.bias")
    inner = made.norm(made.add("Add", inner, seen), "layer.norm1")
    deep = made.add("Relu", made.linear(inner, "layer.linear1.weight", "layer.linear1.bias"))
    deep = made.linear(deep, "layer.linear2.weight", "layer.linear2.bias")
    return made.norm(made.add("Add", inner, deep), "layer.norm2")
