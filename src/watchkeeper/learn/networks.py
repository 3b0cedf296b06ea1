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
each step of a sequence is told something (True), its last one only (False), or each that is MASK (`masked`, for ids:
training is told of all of them, scoring of one a sequence)."""
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

    Where `every` is `masked`, what is told is (M, outputs): of all MASK tokens, row by row.
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
    if settings["every"] == "masked":
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
    inner = step(made, inner, settings)
    if settings["every"] == "masked":
        place = made.add("Cast", made.add("Equal", "given", made.constant(np.array(MASK, np.int64))), to=1)
        inner = made.add("Mul", inner, made.add("Unsqueeze", place, made.ints(2)))
        inner = made.add("ReduceSum", inner, made.ints(1), keepdims=0)  # (B, width): of the one token that is MASK
    elif not settings["every"]:
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
    width, heads = settings["width"], settings["heads"]
    steps = made.add("Slice", made.add("Shape", inner), made.ints(1), made.ints(2))  # (1,): T
    places = made.add("Slice", "place.weight", made.ints(0), steps, made.ints(0))
    inner = made.add("Add", inner, places)  # (B, T, width)
    parts = made.linear(inner, "layer.self_attn.in_proj_weight", "layer.self_attn.in_proj_bias")
    parts = made.add("Reshape", parts, made.ints(0, 0, 3, heads, width // heads))
    parts = made.add("Transpose", parts, perm=[2, 0, 3, 1, 4])  # (3, B, heads, T, width / heads)
    query, key, value = (made.add("Gather", parts, made.constant(np.array(at)), axis=0) for at in range(3))
    scale = made.constant(np.array(1 / math.sqrt(width // heads), np.float32))
    fit = made.add("Mul", made.add("MatMul", query, made.add("Transpose", key, perm=[0, 1, 3, 2])), scale)
    if settings["given"] == "ids":
        padding = made.add("Cast", made.add("Equal", "given", made.constant(np.array(PADDING, np.int64))), to=1)
        padding = made.add("Mul", padding, made.constant(np.array(-1e9, np.float32)))
        fit = made.add("Add", fit, made.add("Unsqueeze", padding, made.ints(1, 2)))
    seen = made.add("MatMul", made.add("Softmax", fit, axis=-1), value)
    seen = made.add("Reshape", made.add("Transpose", seen, perm=[0, 2, 1, 3]), made.ints(0, 0, width))
    seen = made.linear(seen, "layer.self_attn.out_proj.weight", "layer.self_attn.out_proj.bias")
    inner = made.norm(made.add("Add", inner, seen), "layer.norm1")
    deep = made.add("Relu", made.linear(inner, "layer.linear1.weight", "layer.linear1.bias"))
    deep = made.linear(deep, "layer.linear2.weight", "layer.linear2.bias")
    return made.norm(made.add("Add", inner, deep), "layer.norm2")
