"""A model without some of its layers as a model of its own: what a miner that cuts corners serves.

Weights, tokenizer and format stay; `block_count` says how many layers there are. Written without
computing anything, tensor by tensor from a memory map.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
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
    reader, architecture, there = _read(source)
    if not 0 < layers < there:
        raise EngineRefused(f"{source} has {there} layers; the first {layers} are no part of it")
    _write(reader, architecture, target, range(layers))


def write_without(source: Path, target: Path, left_out: Collection[int]) -> None:
    """Write the GGUF `source` to `target` without the layers `left_out`, from 0; errors as above.

    A model without two from its middle still speaks, and less well.
    """
    reader, architecture, there = _read(source)
    kept = [layer for layer in range(there) if layer not in left_out]
    if not set(left_out) < set(range(there)):
        raise EngineRefused(f"{source} has {there} layers; {sorted(left_out)} cannot be left out")
    _write(reader, architecture, target, kept)


def _read(source: Path) -> tuple[GGUFReader, str, int]:
    """An open GGUF, its architecture and the number of its layers. Raises EngineRefused."""
    from gguf import GGUFReader

    try:
        reader = GGUFReader(source)
        architecture = str(reader.fields["general.architecture"].contents())
        there = int(reader.fields[f"{architecture}.block_count"].contents())
    except (ValueError, KeyError, IndexError) as error:
        raise EngineRefused(f"{source} is no GGUF model: {error}") from error
    return reader, architecture, there


def _write(reader: GGUFReader, architecture: str, target: Path, kept: Sequence[int]) -> None:
    from gguf import GGUFWriter

    writer = GGUFWriter(target, architecture)
    try:
        _copy_fields(reader, writer, {f"{architecture}.block_count": len(kept)})
        _copy_tensors(reader, writer, kept)
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


def _copy_tensors(reader: GGUFReader, writer: GGUFWriter, kept: Sequence[int]) -> None:
    places = {layer: place for place, layer in enumerate(kept)}
    tensors = [(_renamed(tensor.name, places), tensor) for tensor in reader.tensors]
    there = [(name, tensor) for name, tensor in tensors if name is not None]
    for name, tensor in there:
        data = tensor.data
        writer.add_tensor_info(name, data.shape, data.dtype, data.nbytes, tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for _, tensor in there:
        writer.write_tensor_data(tensor.data)


def _renamed(tensor: str, places: Mapping[int, int]) -> str | None:
    """Return the name ("blk.7.attn_q.weight") that a tensor has now, None if its layer is gone."""
    block, _, rest = tensor.partition(".")
    if block != "blk":
        return tensor
    layer, _, part = rest.partition(".")
    place = places.get(int(layer))
    return None if place is None else f"blk.{place}.{part}"
