"""A network with its weights as whole numbers of 8 bits: smaller and faster to ask, and not to be trained.

Enters: a Network. Leaves: the same answers but for rounding. Weights are rounded once, what flows through the network
when it is asked (ONNX Runtime's dynamic quantisation). Whether it is good enough is for the caller to measure.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from watchkeeper.learn import networks
from watchkeeper.learn.framework import extra
from watchkeeper.learn.network import BATCH, Network
from watchkeeper.learn.onnx_graph import runner, stored


class Quantised:
    """Is asked as a Network is."""

    def __init__(self, content: bytes) -> None:
        told = stored(content)
        self.settings = told.settings
        self.more = self.settings.pop("more")
        self._content = content
        self._run = runner(content)

    @classmethod
    def of(cls, network: Network) -> Quantised:
        """Round a network's weights."""
        onnx, quantization = extra("onnx"), extra("onnxruntime.quantization")
        content = networks.graph(network.weights, network.settings, {"more": network.more}, folded=True)
        model = onnx.load_from_string(content)
        kept = {each.key: each.value for each in model.metadata_props}
        root = logging.getLogger()
        level = root.level
        root.setLevel(logging.ERROR)  # it advises, by the root logger, to preprocess models made by other tools
        try:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "model.onnx"
                quantization.quantize_dynamic(model, path, per_channel=True, weight_type=quantization.QuantType.QInt8)
                rounded = onnx.load(path)
        finally:
            root.setLevel(level)
        del rounded.metadata_props[:]
        onnx.helper.set_model_props(rounded, kept)
        return cls(bytes(rounded.SerializeToString()))

    def ask(self, given: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Give what the network tells of (n, ...) examples, in batches of BATCH."""
        if not len(given):
            return np.zeros((0, self.settings["outputs"]), np.float32)
        return np.concatenate([self._run(given[at : at + BATCH]) for at in range(0, len(given), BATCH)])

    def onnx(self) -> bytes:
        """Give the model file."""
        return self._content
