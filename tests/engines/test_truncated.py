"""A model without some of its layers: the others are as they were, under new numbers."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import gguf
import numpy as np
import pytest

from subnet.engines.truncated import write_truncated, write_without
from subnet.errors import EngineRefused

LAYERS = 4


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(LAYERS)
    writer.add_string("general.name", "four layers")
    writer.add_tensor("token_embd.weight", np.full(8, -1, dtype=np.float32))
    for layer in range(LAYERS):
        writer.add_tensor(f"blk.{layer}.ffn_up.weight", np.full(8, layer, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def read(path: Path) -> tuple[int, dict[str, float]]:
    reader = gguf.GGUFReader(path)
    assert reader.fields["general.name"].contents() == "four layers"
    count = int(reader.fields["llama.block_count"].contents())
    return count, {tensor.name: float(tensor.data[0]) for tensor in reader.tensors}


@pytest.mark.parametrize(
    ("left_out", "kept"), [((1,), (0, 2, 3)), ((0, 3), (1, 2)), ((), (0, 1, 2, 3))]
)
def test_what_is_left_moves_up(
    model: Path, tmp_path: Path, left_out: Collection[int], kept: tuple[int, ...]
) -> None:
    target = tmp_path / "without.gguf"
    write_without(model, target, left_out)
    expected = {f"blk.{at}.ffn_up.weight": float(layer) for at, layer in enumerate(kept)}
    assert read(target) == (len(kept), {"token_embd.weight": -1.0, **expected})


def test_the_first_layers_are_those_without_the_others(model: Path, tmp_path: Path) -> None:
    first, without = tmp_path / "first.gguf", tmp_path / "without.gguf"
    write_truncated(model, first, 2)
    write_without(model, without, (2, 3))
    assert first.read_bytes() == without.read_bytes()


@pytest.mark.parametrize("left_out", [(4,), (-1,), (0, 1, 2, 3)])
def test_layers_that_are_not_there_are_not_left_out(
    model: Path, tmp_path: Path, left_out: Collection[int]
) -> None:
    with pytest.raises(EngineRefused, match="cannot be left out"):
        write_without(model, tmp_path / "without.gguf", left_out)
