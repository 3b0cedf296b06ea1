"""The ONNX graph of a BERT-type sentence encoder: from token numbers to unit vectors, mean over the tokens.

Enters: the published arrays by name. Leaves: an ONNX model, float32 or with weights in 8 bits. Only standard
operators are used. Written for one shape of encoder (post-norm layers, exact GELU); runs nothing itself.

Sources: Devlin et al., "BERT", NAACL 2019; Reimers and Gurevych, "Sentence-BERT", EMNLP 2019; Wang et al., "MiniLM",
NeurIPS 2020.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from watchkeeper.embed.weights import Floats32
from watchkeeper.errors import DataSetError

GRAPH_VERSION = 1
"""Goes up with every change of this file: graphs in caches are keyed by it."""
OPSET = 20
IR_VERSION = 10
EPSILON = 1e-12
HIDDEN_TOKEN = -1e9
"""Added to the attention towards padding."""


class _Builder:
    """Nodes and constants of a graph as they are added; each method gives the name of what it made."""

    def __init__(self, arrays: Mapping[str, Floats32]) -> None:
        self.arrays = arrays
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def weight(self, name: str) -> Floats32:
        if name not in self.arrays:
            raise DataSetError(f"the weights have no array {name!r}; they are not those of a BERT encoder")
        return self.arrays[name]

    def constant(self, name: str, value: Any) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, kind: str, inputs: Sequence[str], name: str, outputs: Sequence[str] = (), **attributes: Any) -> str:
        told = list(outputs) or [name]
        self.nodes.append(helper.make_node(kind, list(inputs), told, name=name, **attributes))
        return told[0]

    def dense(self, rows: str, weights: Floats32, bias: Floats32, name: str) -> str:
        """Multiply by the transposed weights (out, in), as torch keeps them, and add the bias."""
        product = self.node("MatMul", [rows, self.constant(f"{name}.weight", weights.T)], f"{name}.product")
        return self.node("Add", [product, self.constant(f"{name}.bias", bias)], name)

    def norm(self, rows: str, source: str, name: str) -> str:
        scale = self.constant(f"{name}.scale", self.weight(f"{source}.weight"))
        shift = self.constant(f"{name}.shift", self.weight(f"{source}.bias"))
        return self.node("LayerNormalization", [rows, scale, shift], name, axis=-1, epsilon=EPSILON)


def encoder_graph(arrays: Mapping[str, Floats32], config: Mapping[str, int]) -> onnx.ModelProto:
    """Give the float32 graph: `tokens` (B, T) int64 and `mask` (B, T) float32 to `vectors` (B, D), unit length.

    config: `num_hidden_layers`, `num_attention_heads`, `hidden_size`. Raises DataSetError for other weights.
    """
    told = _Builder(arrays)
    rows = _embedded(told)
    away = told.node("Sub", [told.constant("one", np.float32(1.0)), "mask"], "away")
    away = told.node("Mul", [away, told.constant("hidden", np.float32(HIDDEN_TOKEN))], "away.scores")
    away = told.node("Unsqueeze", [away, told.constant("axes.heads", np.array([1, 2], np.int64))], "away.heads")
    heads, size = config["num_attention_heads"], config["hidden_size"]
    told.constant("shape.split", np.array([0, 0, 3, heads, size // heads], np.int64))
    told.constant("shape.joined", np.array([0, 0, size], np.int64))
    for layer in range(config["num_hidden_layers"]):
        rows = _layer(told, rows, away, layer, scale=(size // heads) ** -0.5)
    _pooled(told, rows)
    graph = helper.make_graph(
        told.nodes,
        "sentence_encoder",
        [
            helper.make_tensor_value_info("tokens", TensorProto.INT64, ["texts", "length"]),
            helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["texts", "length"]),
        ],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["texts", size])],
        told.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    return model


def _embedded(told: _Builder) -> str:
    """Add up the embeddings of tokens and positions; there is one kind of segment, so its row joins the positions."""
    words = told.constant("words", told.weight("embeddings.word_embeddings.weight"))
    segment = told.weight("embeddings.token_type_embeddings.weight")[0]
    places = told.constant("places", told.weight("embeddings.position_embeddings.weight") + segment)
    length = told.node("Shape", ["tokens"], "length", start=1, end=2)
    zero, axis = told.constant("zero", np.array([0], np.int64)), told.constant("axis.rows", np.array([0], np.int64))
    here = told.node("Slice", [places, zero, length, axis], "places.used")
    rows = told.node("Add", [told.node("Gather", [words, "tokens"], "words.used"), here], "embedded")
    return told.norm(rows, "embeddings.LayerNorm", "embedded.norm")


def _layer(told: _Builder, rows: str, away: str, layer: int, *, scale: float) -> str:
    """Add one layer: attention over all heads, then the dense part, each with its residual and norm."""
    source, name = f"encoder.layer.{layer}", f"layer.{layer}"
    parts = [f"{source}.attention.self.{part}" for part in ("query", "key", "value")]
    # The scale of the scores is put into the query's weights: one operation less for each layer.
    factors = (np.float32(scale), np.float32(1.0), np.float32(1.0))
    weights = [told.weight(f"{part}.weight") * factor for part, factor in zip(parts, factors, strict=True)]
    biases = [told.weight(f"{part}.bias") * factor for part, factor in zip(parts, factors, strict=True)]
    mixed = told.dense(rows, np.concatenate(weights), np.concatenate(biases), f"{name}.mixed")  # (B, T, 3 D)
    split = told.node("Reshape", [mixed, "shape.split"], f"{name}.split")  # (B, T, 3, H, D / H)
    split = told.node("Transpose", [split], f"{name}.parts", perm=[2, 0, 3, 1, 4])  # (3, B, H, T, D / H)
    each = [f"{name}.query", f"{name}.key", f"{name}.value"]
    told.node("Split", [split], f"{name}.three", each, axis=0, num_outputs=3)
    query, key, value = (told.node("Squeeze", [one, "zero"], f"{one}.one") for one in each)
    turned = told.node("Transpose", [key], f"{name}.turned", perm=[0, 1, 3, 2])
    scores = told.node("MatMul", [query, turned], f"{name}.scores")
    scores = told.node("Add", [scores, away], f"{name}.seen")
    shares = told.node("Softmax", [scores], f"{name}.shares", axis=-1)
    seen = told.node("MatMul", [shares, value], f"{name}.attended")
    seen = told.node("Transpose", [seen], f"{name}.back", perm=[0, 2, 1, 3])
    seen = told.node("Reshape", [seen, "shape.joined"], f"{name}.joined")
    for part, before in (("attention.output", seen), ("output", "")):
        inner = before or _widened(told, rows, source, name)
        out = f"{source}.{part}"
        told_out = told.dense(
            inner, told.weight(f"{out}.dense.weight"), told.weight(f"{out}.dense.bias"), f"{name}.{part}"
        )
        added = told.node("Add", [told_out, rows], f"{name}.{part}.added")
        rows = told.norm(added, f"{out}.LayerNorm", f"{name}.{part}.norm")
    return rows


def _widened(told: _Builder, rows: str, source: str, name: str) -> str:
    weights, bias = told.weight(f"{source}.intermediate.dense.weight"), told.weight(f"{source}.intermediate.dense.bias")
    return told.node("Gelu", [told.dense(rows, weights, bias, f"{name}.wide")], f"{name}.gelu")


def _pooled(told: _Builder, rows: str) -> None:
    """Take the mean over the tokens that are no padding, at unit length."""
    last = told.constant("axis.last", np.array([-1], np.int64))
    inner = told.constant("axis.tokens", np.array([1], np.int64))
    mask = told.node("Unsqueeze", ["mask", last], "mask.column")
    total = told.node("ReduceSum", [told.node("Mul", [rows, mask], "rows.seen"), inner], "total", keepdims=0)
    length = told.node("ReduceL2", [total, last], "total.length", keepdims=1)
    floor = told.constant("floor", np.float32(1e-12))
    told.node("Div", [total, told.node("Max", [length, floor], "total.floor")], "vectors")
