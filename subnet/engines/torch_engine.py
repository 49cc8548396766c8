"""An engine over torch and transformers: many answers at once, on a GPU or on the CPU.

It opens GGUF files and folders of safetensors, and runs models whose every layer attends to the
whole text. A batch of answers sums in another order than one answer alone, and one GPU in another
order than the next: log-probabilities agree to about 1e-4 nats in float32 and far less closely in
bfloat16, which a judge has to forgive. Needs the `torch` extra.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import io
import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from subnet.engines.batched import BatchedEngine
from subnet.engines.models import check_model
from subnet.engines.sampling import check_text
from subnet.errors import EngineRefused, MissingExtra

logger = logging.getLogger(__name__)

Precision: TypeAlias = Literal["auto", "float32", "bfloat16", "float16"]

_PLACE = "\N{OBJECT REPLACEMENT CHARACTER}"


class TransformersEngine(BatchedEngine):
    """One open model; see the `Engine` protocol. Use `async with TransformersEngine.open(...)`."""

    def __init__(
        self, model: Any, tokenizer: Any, model_sha256: str, *, context: int, places: int
    ) -> None:
        before, _, after = tokenizer.apply_chat_template(
            [{"role": "user", "content": _PLACE}], tokenize=False, add_generation_prompt=True
        ).partition(_PLACE)
        self._tokenizer = tokenizer.backend_tokenizer
        super().__init__(
            model_sha256,
            vocabulary=model.config.get_text_config().vocab_size,
            end_token=int(tokenizer.eos_token_id),
            turn=(_encode(self._tokenizer, before), _encode(self._tokenizer, after)),
            context=context,
            places=places,
        )
        # From here on, control tokens spelled in a text stay text.
        self._tokenizer.encode_special_tokens = True

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        path: Path,
        *,
        sha256: str,
        allow_other_weights: bool = False,
        device: str = "auto",
        dtype: Precision = "auto",
        context: int = 2048,
        slots: int = 32,
        waiting_limit: int = 64,
        step_timeout_s: float = 60.0,
        threads: int = 1,
    ) -> AsyncIterator[TransformersEngine]:
        """Open the GGUF file or the folder of safetensors at `path` after checking its hash.

        `device` is torch's name of one; "auto" takes the first GPU, or else the CPU. `dtype` "auto"
        is bfloat16 on a GPU and float32 on the CPU. Prompt + answer fit `context` tokens, or fewer
        if the model knows fewer. `slots` requests are worked on at once and `waiting_limit` more
        wait. `step_timeout_s` is what one step may take before the engine counts as hanging.
        `threads` are torch's on the CPU. `allow_other_weights` is a weakening, as for llama.cpp.

        Raises ModelMismatch (another file, which it names), EngineRefused (no usable model, no such
        device), MissingExtra (torch is not installed), OSError (a file cannot be read).
        """
        for package in ("torch", "transformers", "accelerate", "gguf"):
            if importlib.util.find_spec(package) is None:
                raise MissingExtra(package, "torch")
        found = await asyncio.to_thread(check_model, path, sha256, allow_other=allow_other_weights)
        model, tokenizer = await asyncio.to_thread(_load, path, device, dtype, threads)
        limit = getattr(model.config.get_text_config(), "max_position_embeddings", context)
        engine = cls(
            model,
            tokenizer,
            found,
            context=min(context, limit),
            places=slots + waiting_limit,
        )
        from subnet.engines.torch_batch import TorchModel

        rows = TorchModel(model, slots=slots, threads=threads)
        async with engine._running(rows, slots=slots, step_timeout_s=step_timeout_s):
            yield engine

    async def tokenize(self, text: str) -> list[int]:
        """Return the token ids of plain `text`; control tokens spelled in it stay text."""
        check_text(text)
        return await asyncio.to_thread(_encode, self._tokenizer, text)

    def _decode(self, token_ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(token_ids), skip_special_tokens=False))


def _encode(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False).ids)


def _load(path: Path, device: str, dtype: Precision, threads: int) -> tuple[Any, Any]:
    """Return the model on its device, and its tokenizer; nothing is looked for elsewhere."""
    import torch
    import transformers

    transformers.utils.logging.set_verbosity_error()
    torch.set_num_threads(threads)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if dtype == "auto":
        dtype = "float32" if device == "cpu" else "bfloat16"
    where: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    folder = path
    if not path.is_dir():
        folder, where["gguf_file"] = path.parent, path.name
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # where its progress bars go
            tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), **where)
            model = transformers.AutoModelForCausalLM.from_pretrained(
                str(folder),
                **where,
                dtype=getattr(torch, dtype),
                attn_implementation="sdpa",
                use_safetensors=True,
            )
        if folder is not path:
            _cut_as_the_file_says(path, tokenizer.backend_tokenizer)
        model = model.to(device).eval()
    except EngineRefused:
        raise
    except Exception as error:  # a file that is no model can raise anything
        raise EngineRefused(f"cannot open {path} on {device}: {error}") from error
    _ensure_usable(path, model, tokenizer)
    logger.info("%s is open on %s in %s", path, device, dtype)
    return model, tokenizer


def _cut_as_the_file_says(path: Path, tokenizer: Any) -> None:
    """Have text cut into words as the GGUF's own tokenizer does, which transformers leaves out.

    Otherwise a third of all texts with digits or line ends in them would have other ids than
    llama.cpp gives them, and an honest miner would answer another prompt. Raises EngineRefused for
    a way to cut that is not known here to be the same.
    """
    from gguf import GGUFReader
    from tokenizers import pre_tokenizers

    field = GGUFReader(path).fields.get("tokenizer.ggml.pre")
    way = field.contents() if field is not None else None
    words = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if way == "smollm":
        digits = pre_tokenizers.Digits(individual_digits=True)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, words])
    elif way == "gpt-2":
        tokenizer.pre_tokenizer = words
    else:
        raise EngineRefused(
            f"{path} cuts text in the way {way!r}, which is not known here; "
            "open the model's folder of safetensors instead"
        )


def _ensure_usable(path: Path, model: Any, tokenizer: Any) -> None:
    """Raise EngineRefused for models that the batch would run wrongly."""
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if kinds != {"full_attention"} or getattr(config, "sliding_window", None) is not None:
        raise EngineRefused(f"{path} has layers that do not attend to the whole text")
    if tokenizer.eos_token_id is None:
        raise EngineRefused(f"{path} names no end token")
    if not tokenizer.chat_template:
        raise EngineRefused(f"{path} has no chat format")
