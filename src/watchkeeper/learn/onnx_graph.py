"""ONNX graphs, written operator by operator, with a network's weights under their own names.

Enters: weights by name and the operators that a network is made of. Leaves: the bytes of an ONNX model, and a function
that runs them by ONNX Runtime. torch's exporter is not used: it needs torch where the graph is made, takes seconds, and
names weights otherwise. Source: the ONNX operator set 17.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from watchkeeper.learn.framework import extra

OPSET = 17
IR_VERSION = 9
SCHEMA_VERSION = 1
_EPSILON = 1e-5
Weights = dict[str, npt.NDArray[Any]]
Run = Callable[[npt.NDArray[Any]], npt.NDArray[np.float32]]


class Stored(NamedTuple):
    """What a model file holds: settings that can be told in JSON, and weights by name."""

    settings: dict[str, Any]
    weights: Weights


class Graph:
    """A graph under construction; every method adds operators and gives the name of what comes out of the last."""

    def __init__(self, weights: Mapping[str, npt.NDArray[Any]], *, folded: bool = False) -> None:
        self._helper = extra("onnx.helper")
        self._numpy = extra("onnx.numpy_helper")
        self._nodes: list[Any] = []
        self._weights, self._folded = dict(weights), folded
        self._initial: list[Any] = []
        self._count = 0

    def add(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """Add an operator; gives the name of its last output."""
        self._count += 1
        names = [f"{operator}_{self._count}_{at}" for at in range(outputs)]
        self._nodes.append(self._helper.make_node(operator, list(inputs), names, **attributes))
        return names[-1]

    def constant(self, value: npt.NDArray[Any]) -> str:
        """Add a constant; its name is not that of a weight."""
        self._count += 1
        name = f"constant_{self._count}"
        self._initial.append(self._numpy.from_array(np.asarray(value, order="C"), name))
        return name

    def ints(self, *values: int) -> str:
        """Add a constant of whole numbers (n,)."""
        return self.constant(np.array(values, np.int64))

    def linear(self, inner: str, weight: str, bias: str) -> str:
        """Give x W^T + b over the last axis."""
        if self._folded:
            turned = self.constant(self._weights.pop(weight).T)
            return self.add("Add", self.add("MatMul", inner, turned), bias)
        return self.add("Add", self.add("MatMul", inner, self.add("Transpose", weight, perm=[1, 0])), bias)

    def norm(self, inner: str, name: str) -> str:
        """Normalise the last axis."""
        return self.add("LayerNormalization", inner, f"{name}.weight", f"{name}.bias", axis=-1, epsilon=_EPSILON)

    def model(self, kind: str, shape: list[Any], outcome: str, settings: Mapping[str, Any]) -> bytes:
        """Give the model. kind: `int64` or `float32`, what enters under the name `given`; shape: its dimensions."""
        proto = extra("onnx").TensorProto
        enters = self._helper.make_tensor_value_info("given", getattr(proto, kind.upper().replace("32", "")), shape)
        self._nodes.append(self._helper.make_node("Identity", [outcome], ["told"]))
        leaves = self._helper.make_tensor_value_info("told", proto.FLOAT, None)
        own = [self._numpy.from_array(np.asarray(each, order="C"), name) for name, each in self._weights.items()]
        graph = self._helper.make_graph(self._nodes, "watchkeeper", [enters], [leaves], [*own, *self._initial])
        model = self._helper.make_model(graph, opset_imports=[self._helper.make_opsetid("", OPSET)])
        model.ir_version = IR_VERSION
        self._helper.set_model_props(
            model, {"schema_version": str(SCHEMA_VERSION), "settings": json.dumps(dict(settings), sort_keys=True)}
        )
        return bytes(model.SerializeToString())


def stored(content: bytes) -> Stored:
    """Read settings and weights; raises ValueError for a newer version or what is no such model."""
    onnx, numpy_helper = extra("onnx"), extra("onnx.numpy_helper")
    try:
        model = onnx.load_from_string(content)
    except extra("google.protobuf.message").DecodeError as error:
        raise ValueError(f"these {len(content)} bytes are no ONNX model: {error}") from error
    told = {each.key: each.value for each in model.metadata_props}
    if int(told.get("schema_version", SCHEMA_VERSION + 1)) > SCHEMA_VERSION:
        raise ValueError(f"the model is of schema version {told.get('schema_version')}, known is {SCHEMA_VERSION}")
    weights = {  # of a folded model: not all
        each.name: numpy_helper.to_array(each)
        for each in model.graph.initializer
        if not each.name.startswith("constant_")
    }
    return Stored(json.loads(told["settings"]), weights)


def runner(content: bytes) -> Run:
    """Give the function that runs a model on one array, by ONNX Runtime on one thread."""
    runtime = extra("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Lines come in batches of many shapes; the arena and its patterns would keep the largest of each.
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(given: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        return np.asarray(session.run(["told"], {"given": given})[0], np.float32)

    return run
