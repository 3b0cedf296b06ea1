"""The encoder: its graph against a twin in numpy, its cache, and the published weights where they are installed."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path

import numpy as np
import pytest

from watchkeeper.embed import minilm, weights
from watchkeeper.embed.kept import default_cache, file_name
from watchkeeper.embed.minilm import Embedder
from watchkeeper.embed.weights import find_weights, installed_folder, read_safetensors
from watchkeeper.errors import DataSetError, MissingExtra

pytest.importorskip("onnxruntime", reason="the extra `embeddings` is not installed")
pytest.importorskip("onnx", reason="the extra `embeddings` is not installed")
tokenizers = pytest.importorskip("tokenizers", reason="the extra `embeddings` is not installed")

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "disk", "is", "full", "network", "lost", "a", "packet")
SIZE, HEADS, LAYERS, WIDE = 24, 3, 2, 40
TEXTS = ("disk is full", "network lost a packet", "disk", "a a a a a a a a", "")


def small_arrays(seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    shapes = {
        "embeddings.word_embeddings.weight": (len(WORDS), SIZE),
        "embeddings.position_embeddings.weight": (64, SIZE),
        "embeddings.token_type_embeddings.weight": (2, SIZE),
    }
    for layer in range(LAYERS):
        name = f"encoder.layer.{layer}"
        for part in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            shapes |= {f"{name}.{part}.weight": (SIZE, SIZE), f"{name}.{part}.bias": (SIZE,)}
        shapes |= {f"{name}.intermediate.dense.weight": (WIDE, SIZE), f"{name}.intermediate.dense.bias": (WIDE,)}
        shapes |= {f"{name}.output.dense.weight": (SIZE, WIDE), f"{name}.output.dense.bias": (SIZE,)}
    arrays = {name: random.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}
    norms = [
        "embeddings",
        *(f"encoder.layer.{layer}.{at}" for layer in range(LAYERS) for at in ("attention.output", "output")),
    ]
    for each in norms:
        arrays[f"{each}.LayerNorm.weight"] = random.normal(1, 0.1, SIZE).astype(np.float32)
        arrays[f"{each}.LayerNorm.bias"] = random.normal(0, 0.1, SIZE).astype(np.float32)
    return arrays


def write_safetensors(path: Path, arrays: dict[str, np.ndarray]) -> None:
    header, at = {}, 0
    for name, array in arrays.items():
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(array.tobytes() for array in arrays.values()))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("weights")
    write_safetensors(made / "model.safetensors", small_arrays())
    sizes = {"hidden_size": SIZE, "num_attention_heads": HEADS, "num_hidden_layers": LAYERS, "hidden_act": "gelu"}
    (made / "config.json").write_text(json.dumps(sizes))
    vocabulary = {word: at for at, word in enumerate(WORDS)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(made / "tokenizer.json"))
    return made


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def twin(text: str, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Compute the vector of one text in float64, straight from the definition of BERT."""

    def dense(rows: np.ndarray, name: str) -> np.ndarray:
        return rows @ arrays[f"{name}.weight"].astype(float).T + arrays[f"{name}.bias"]

    def norm(rows: np.ndarray, name: str) -> np.ndarray:
        centred = rows - rows.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-12)
        return scaled * arrays[f"{name}.LayerNorm.weight"] + arrays[f"{name}.LayerNorm.bias"]

    ids = [2, *(WORDS.index(word) for word in text.split()), 3]
    rows = arrays["embeddings.word_embeddings.weight"][ids].astype(float)
    rows = rows + arrays["embeddings.position_embeddings.weight"][: len(ids)]
    rows = norm(rows + arrays["embeddings.token_type_embeddings.weight"][0], "embeddings")
    for layer in range(LAYERS):
        name = f"encoder.layer.{layer}"
        query, key, value = (
            dense(rows, f"{name}.attention.self.{part}").reshape(len(ids), HEADS, -1)
            for part in ("query", "key", "value")
        )
        heads = []
        for head in range(HEADS):
            scores = query[:, head] @ key[:, head].T / math.sqrt(SIZE // HEADS)
            shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
            heads.append(shares @ value[:, head])
        rows = norm(rows + dense(np.hstack(heads), f"{name}.attention.output.dense"), f"{name}.attention.output")
        wide = dense(rows, f"{name}.intermediate.dense")
        wide = wide * 0.5 * (1 + np.vectorize(math.erf)(wide / math.sqrt(2)))
        rows = norm(rows + dense(wide, f"{name}.output.dense"), f"{name}.output")
    mean = rows.mean(axis=0)
    return mean / np.linalg.norm(mean)


def test_the_graph_computes_what_bert_is_defined_to(folder: Path, cache: Path) -> None:
    vectors = Embedder(cache, precision="float32", weights=folder).encode(TEXTS)
    assert vectors.dtype == np.float32
    assert np.allclose(vectors, [twin(text, small_arrays()) for text in TEXTS], atol=2e-6)


def test_the_quantised_graph_is_near_the_exact_one(folder: Path, cache: Path) -> None:
    exact = Embedder(cache, precision="float32", weights=folder).encode(TEXTS)
    quantised = Embedder(cache, precision="int8", weights=folder).encode(TEXTS)
    assert (exact * quantised).sum(axis=1).min() > 0.98
    assert not np.array_equal(exact, quantised)


@pytest.mark.parametrize("batch", [1, 2, 32])
def test_order_repeats_and_batches_change_no_vector(folder: Path, cache: Path, batch: int) -> None:
    embedder = Embedder(cache, precision="float32", weights=folder)
    mixed = [TEXTS[1], TEXTS[0], TEXTS[1], TEXTS[3], TEXTS[0]]
    vectors = embedder.encode(mixed, batch=batch)
    assert np.array_equal(vectors[0], vectors[2])
    assert np.array_equal(vectors[1], vectors[4])
    for text, vector in zip(mixed, vectors, strict=True):
        assert np.allclose(vector, embedder.encode([text])[0], atol=2e-6)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)


def test_in_eight_bits_no_vector_depends_on_its_neighbours(folder: Path, cache: Path) -> None:
    embedder = Embedder(cache, precision="int8", weights=folder)
    together = embedder.encode(TEXTS)
    assert np.array_equal(together, np.concatenate([embedder.encode([text]) for text in TEXTS]))


def test_no_texts_give_no_rows(folder: Path, cache: Path) -> None:
    assert Embedder(cache, weights=folder).encode([]).shape == (0, 384)


def test_a_damaged_graph_is_built_anew(folder: Path, tmp_path: Path) -> None:
    first = Embedder(tmp_path, precision="float32", weights=folder).encode(TEXTS)
    path = tmp_path / file_name(find_weights(folder), "float32")
    path.write_bytes(path.read_bytes()[:1000])
    assert np.array_equal(Embedder(tmp_path, precision="float32", weights=folder).encode(TEXTS), first)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_other_weights_are_another_file(folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    write_safetensors(tmp_path / "model.safetensors", small_arrays(seed=1))
    assert file_name(find_weights(folder), "int8") != file_name(find_weights(tmp_path), "int8")


def test_files_that_are_no_weights_are_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataSetError, match=r"model\.safetensors"):
        find_weights(tmp_path)
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    whole = (folder / "model.safetensors").read_bytes()
    for damaged in (b"", b"\xff" * 40, whole[:-8]):
        (tmp_path / "model.safetensors").write_bytes(damaged)
        with pytest.raises(DataSetError, match="safetensors"):
            Embedder(tmp_path / "cache", weights=tmp_path)
    arrays = small_arrays()
    del arrays["encoder.layer.1.output.dense.bias"]
    write_safetensors(tmp_path / "model.safetensors", arrays)
    with pytest.raises(DataSetError, match=r"layer\.1\.output"):
        Embedder(tmp_path / "cache", weights=tmp_path)


def test_missing_weights_and_modules_are_told_with_the_command(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name.startswith("gt_all") else found(name))
    assert not minilm.is_available()
    with pytest.raises(MissingExtra, match=r"watchkeeper\[embeddings\]"):
        Embedder()
    monkeypatch.setitem(importlib.import_module("sys").modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match="onnxruntime"):
        Embedder(weights=folder)


def test_weights_that_are_not_the_release_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "installed_folder", lambda: folder)
    with pytest.raises(DataSetError, match="checksum"):
        find_weights()


needs_release = pytest.mark.skipif(installed_folder() is None, reason=f"{weights.PACKAGE} is not installed")


@needs_release
def test_the_published_weights_are_what_they_were() -> None:
    arrays = read_safetensors(find_weights().folder / "model.safetensors")
    assert arrays["embeddings.word_embeddings.weight"].shape == (30522, 384)


@needs_release
def test_the_published_encoder_tells_meanings_apart() -> None:
    embedder = Embedder(default_cache())
    vectors = embedder.encode(
        ["No space left on device", "The disk is full", "The user logged in successfully", "x " * 600]
    )
    cosines = vectors @ vectors.T
    assert cosines[0, 1] > 0.4
    assert cosines[0, 1] > cosines[0, 2] + 0.3
