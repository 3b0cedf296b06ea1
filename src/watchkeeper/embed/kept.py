"""The graph on disk: built once from the published weights, kept in the user's cache, opened by ONNX Runtime.

Enters: weights, a precision and a folder. Leaves: a session that was loaded from a complete file. Files are written
beside and moved, so that processes that build at once do not disturb each other; one that cannot be loaded is built
anew. The file's name holds the versions of graph and runtime and the checksum of the weights: none is ever stale.
"""

from __future__ import annotations

import importlib
import logging
import os
import tempfile
from pathlib import Path
from typing import Any, Literal

from watchkeeper.embed.weights import INSTALL, Weights
from watchkeeper.errors import MissingExtra

Precision = Literal["int8", "float32"]
LOG = logging.getLogger(__name__)


def needed(name: str) -> Any:
    """Import a module of the extra `embeddings`; raises MissingExtra."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtra(f"embeddings need {error.name}; install it with: {INSTALL}") from error


def default_cache() -> Path:
    """Give the folder of built graphs: `watchkeeper/embeddings` in XDG_CACHE_HOME, else in ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "watchkeeper" / "embeddings"


def open_session(weights: Weights, precision: Precision, folder: Path, *, threads: int) -> Any:
    """Give an inference session, building the graph when there is none yet; raises MissingExtra, DataSetError.

    Cost: the first time about ten seconds and four times the size of the weights in memory.
    """
    runtime = needed("onnxruntime")
    path = folder / file_name(weights, precision)
    if path.is_file():
        try:
            return _session(runtime, path, threads)
        except _load_errors(runtime) as error:
            LOG.warning("the graph %s cannot be loaded and is built anew: %s", path, error)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".building-") as beside:
        part = Path(beside) / path.name
        _build(weights, precision, part)
        session = _session(runtime, part, threads)
        part.replace(path)
    return session


def file_name(weights: Weights, precision: Precision) -> str:
    """Give the name of the file that these weights are kept under."""
    graph, runtime = needed("watchkeeper.embed.graph"), needed("onnxruntime")
    return f"encoder-{precision}-{graph.GRAPH_VERSION}-{runtime.__version__}-{weights.sha256[:16]}.onnx"


def _build(weights: Weights, precision: Precision, path: Path) -> None:
    onnx, graph = needed("onnx"), needed("watchkeeper.embed.graph")
    model = graph.encoder_graph(weights.arrays(), weights.config())
    if precision == "float32":
        onnx.save_model(model, str(path))
        return
    quantization = needed("onnxruntime.quantization")
    full = path.with_suffix(".full.onnx")
    onnx.save_model(model, str(full))
    quantization.quantize_dynamic(
        str(full),
        str(path),
        per_channel=True,
        # One bit less in the weights: sums of 8-bit products overflow on processors without VNNI.
        reduce_range=True,
        weight_type=quantization.QuantType.QInt8,
        extra_options={"MatMulConstBOnly": True},
    )


def _session(runtime: Any, path: Path, threads: int) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _load_errors(runtime: Any) -> tuple[type[Exception], ...]:
    states = runtime.capi.onnxruntime_pybind11_state
    return (states.InvalidProtobuf, states.InvalidGraph, states.Fail, states.InvalidArgument, states.NotImplemented)
