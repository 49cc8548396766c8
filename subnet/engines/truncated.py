"""The first layers of a model as a model of its own: what a miner that cuts corners would serve.

Weights, tokenizer and format stay; the last layers are left out and `block_count` says so. Written
without computing anything, tensor by tensor from a memory map.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from subnet.errors import EngineRefused

if TYPE_CHECKING:
    from gguf import GGUFReader, GGUFWriter


def truncated_model(path: Path, layers: int) -> Path:
    """Return the GGUF of the first `layers` layers of `path`, made beside it if it is not there.

    Raises EngineRefused if `path` is no GGUF or has no more layers than that, OSError if it cannot
    be written; a file under the final name is whole.
    """
    target = path.with_name(f"{path.stem}-first-{layers}-layers.gguf")
    if not target.is_file():
        partial = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            write_truncated(path, partial, layers)
            os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)
    return target


def write_truncated(source: Path, target: Path, layers: int) -> None:
    """Write the first `layers` layers of the GGUF `source` to `target`; errors as above."""
    from gguf import GGUFReader, GGUFWriter

    try:
        reader = GGUFReader(source)
        architecture = str(reader.fields["general.architecture"].contents())
        there = int(reader.fields[f"{architecture}.block_count"].contents())
    except (ValueError, KeyError, IndexError) as error:
        raise EngineRefused(f"{source} is no GGUF model: {error}") from error
    if not 0 < layers < there:
        raise EngineRefused(f"{source} has {there} layers; the first {layers} are no part of it")
    writer = GGUFWriter(target, architecture)
    try:
        _copy_fields(reader, writer, {f"{architecture}.block_count": layers})
        _copy_tensors(reader, writer, layers)
    finally:
        writer.close()


def _copy_fields(reader: GGUFReader, writer: GGUFWriter, changed: dict[str, int]) -> None:
    from gguf import GGUFValueType

    for name, field in reader.fields.items():
        # The writer makes these itself.
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        kind = field.types[0]
        inner = field.types[-1] if kind == GGUFValueType.ARRAY else None
        writer.add_key_value(name, changed.get(name, field.contents()), kind, sub_type=inner)


def _copy_tensors(reader: GGUFReader, writer: GGUFWriter, layers: int) -> None:
    kept = [tensor for tensor in reader.tensors if _layer(tensor.name) < layers]
    for tensor in kept:
        data = tensor.data
        writer.add_tensor_info(tensor.name, data.shape, data.dtype, data.nbytes, tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor in kept:
        writer.write_tensor_data(tensor.data)


def _layer(tensor: str) -> int:
    """Return the layer of a tensor by its name ("blk.7.attn_q.weight"), -1 if it is in none."""
    block, _, rest = tensor.partition(".")
    return int(rest.partition(".")[0]) if block == "blk" else -1
