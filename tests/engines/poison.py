"""Models that llama.cpp opens and that are not what an engine expects."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

from subnet.engines.truncated import _copy_fields, _copy_tensors, write_truncated

POISON = 77
WIDTH = 32


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
    _write(writer)


def write_changed(
    source: Path, target: Path, *, template: str | None = None, **numbers: int
) -> None:
    """Write the first layer of a GGUF with another chat format, and with `numbers` of a llama's."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, "llama")
    if template is not None:
        del reader.fields["tokenizer.chat_template"]
        writer.add_chat_template(template)
    for name, value in numbers.items():
        writer.add_uint32(f"llama.{name}", value)
    _copy_fields(reader, writer, {"llama.block_count": 1})
    _copy_tensors(reader, writer, range(1))
    writer.close()


def write_recurrent(source: Path, target: Path) -> None:
    """Write a small Mamba of nothing but zeros, which reads and speaks as the llama `source`."""
    reader = gguf.GGUFReader(source)
    for name in [name for name in reader.fields if name.startswith("llama.")]:
        del reader.fields[name]
    writer = gguf.GGUFWriter(target, "mamba")
    _copy_fields(reader, writer, {})
    inner, state, rank = 2 * WIDTH, 4, 1
    writer.add_ssm_conv_kernel(4)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(rank)
    blocks: dict[str, tuple[int, ...]] = {
        "ssm_in.weight": (2 * inner, WIDTH),
        "ssm_conv1d.weight": (inner, 4),
        "ssm_conv1d.bias": (inner,),
        "ssm_x.weight": (rank + 2 * state, inner),
        "ssm_dt.weight": (inner, rank),
        "ssm_dt.bias": (inner,),
        "ssm_a": (inner, state),
        "ssm_d": (inner,),
        "ssm_out.weight": (WIDTH, inner),
    }
    words = len(reader.fields["tokenizer.ggml.tokens"].contents())
    _write_zeros(writer, words, blocks, heads=0)


def write_spelling(target: Path) -> None:
    """Write a small llama of zeros with a token for each byte and for nothing else.

    It reads a space as a sign of three bytes, so a text may have more tokens than bytes.
    """
    writer = gguf.GGUFWriter(target, "llama")
    special = ["<unk>", "<s>", "</s>"]
    words = [*special, *(f"<0x{byte:02X}>" for byte in range(256))]
    kinds = [gguf.TokenType.UNKNOWN] + [gguf.TokenType.CONTROL] * 2 + [gguf.TokenType.BYTE] * 256
    writer.add_tokenizer_model("llama")
    writer.add_token_list(words)
    writer.add_token_scores([0.0] * len(words))
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template("{{ messages[0].content }}")
    blocks: dict[str, tuple[int, ...]] = {
        **{f"attn_{name}.weight": (WIDTH, WIDTH) for name in ("q", "k", "v", "output")},
        "ffn_norm.weight": (WIDTH,),
        "ffn_gate.weight": (WIDTH, WIDTH),
        "ffn_up.weight": (WIDTH, WIDTH),
        "ffn_down.weight": (WIDTH, WIDTH),
    }
    _write_zeros(writer, len(words), blocks, heads=1)


def _write_zeros(
    writer: gguf.GGUFWriter, words: int, blocks: dict[str, tuple[int, ...]], *, heads: int
) -> None:
    """Write one layer of these shapes, and what every model has around it."""
    writer.add_context_length(512)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(WIDTH if heads else 0)
    writer.add_head_count(heads)
    writer.add_block_count(1)
    writer.add_layer_norm_rms_eps(1e-5)
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (words, WIDTH),
        "output_norm.weight": (WIDTH,),
        "blk.0.attn_norm.weight": (WIDTH,),
        **{f"blk.0.{name}": shape for name, shape in blocks.items()},
    }
    for name, shape in shapes.items():
        writer.add_tensor(name, np.zeros(shape, np.float32))
    _write(writer)


def _write(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
