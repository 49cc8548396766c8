"""A model for which one token is no number."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

from subnet.engines.truncated import _copy_fields, write_truncated

POISON = 77


def write_poisoned(source: Path, target: Path) -> None:
    """Write the first layer of a GGUF, in which to read the token `POISON` is to read no number."""
    short = target.with_suffix(".short")
    write_truncated(source, short, 1)
    reader = gguf.GGUFReader(short)
    writer = gguf.GGUFWriter(target, "llama")
    _copy_fields(reader, writer, {})
    tensors = [
        (tensor.name, np.array(tensor.data), tensor.tensor_type) for tensor in reader.tensors
    ]
    (embedding,) = (tensor for tensor in tensors if tensor[0] == "token_embd.weight")
    # What follows from a token is kept as it was, or no text at all would have numbers.
    tensors.append(("output.weight", embedding[1].copy(), embedding[2]))
    embedding[1][POISON] = 0xFF  # every scale in it is no number
    for name, data, kind in tensors:
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
