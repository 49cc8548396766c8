"""A model of a few thousand random numbers: a folder of safetensors with everything a model has."""

from __future__ import annotations

import atexit
import functools
import tempfile
from pathlib import Path

from subnet.engines.models import write_sums

CONTEXT = 512
VOCABULARY = 263
END = 1
TEMPLATE = (
    "{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)


@functools.cache
def tiny_model() -> tuple[Path, str]:
    """Return a tiny model for all tests of this process, and its hash."""
    folder = tempfile.TemporaryDirectory(prefix="tiny-model-")
    atexit.register(folder.cleanup)
    return Path(folder.name), write_tiny_model(Path(folder.name))


def write_tiny_model(folder: Path, seed: int = 0) -> str:
    """Write a two-layer Llama over bytes to `folder`, the same for a seed; return its hash."""
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    characters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = ["<|start|>", "<|end|>", *characters, "th", "he", "in", "Ġt", "Ġa"]
    merges = [("t", "h"), ("h", "e"), ("i", "n"), ("Ġ", "t"), ("Ġ", "a")]
    bare = Tokenizer(models.BPE(vocab={word: at for at, word in enumerate(words)}, merges=merges))
    bare.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare.decoder = decoders.ByteLevel()
    bare.add_special_tokens([AddedToken(word, special=True) for word in words[:2]])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bare, bos_token="<|start|>", eos_token="<|end|>", pad_token="<|end|>"
    )
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=2,  # of 32 numbers: vLLM has no smaller ones on the CPU
        num_key_value_heads=1,
        max_position_embeddings=CONTEXT,
        bos_token_id=0,
        eos_token_id=END,
        pad_token_id=END,
        initializer_range=0.2,
        tie_word_embeddings=False,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    with torch.no_grad():
        model.lm_head.weight[END] *= 3  # random weights would hardly ever end an answer
    model.save_pretrained(folder)
    return write_sums(folder)
