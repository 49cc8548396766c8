"""The engine that the settings name, opened on the model that a definition names."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from subnet.config import EngineTable
from subnet.engines.base import Engine
from subnet.engines.models import get_model
from subnet.errors import InvalidSetting

SLOTS = 32
LLAMA_SLOTS = 4
"""On a CPU more at once are no faster, and each takes the memory of a whole context."""


def open_engine(
    table: EngineTable,
    sha256: str,
    *,
    path: Path | None = None,
    allow_other_weights: bool = False,
) -> AbstractAsyncContextManager[Engine]:
    """Open the model with this hash, from `path`, else `engine.model`, else the cache.

    Of a server behind `engine.url` nobody can check the hash: whoever names it vouches for it.

    Raises InvalidSetting, ModelMissing, ModelMismatch, MissingExtra, EngineRefused, EngineAway.
    """
    if table.kind == "openai":
        from subnet.engines.openai import connect

        if table.url is None:
            raise InvalidSetting("engine.url", "the settings", "missing; engine.kind is openai")
        key = table.api_key.get_secret_value() if table.api_key else None
        return connect(
            table.url,
            sha256=sha256,
            model=table.served_model,
            api_key=key,
            slots=table.slots or SLOTS,
            waiting_limit=table.waiting_limit,
        )
    path = path or table.model or get_model(sha256)
    if table.kind == "torch":
        from subnet.engines.torch_engine import TransformersEngine

        return TransformersEngine.open(
            path,
            sha256=sha256,
            allow_other_weights=allow_other_weights,
            device=table.device,
            dtype=table.dtype,
            context=table.context,
            slots=table.slots or SLOTS,
            waiting_limit=table.waiting_limit,
            threads=table.threads,
        )
    from subnet.engines.llamacpp import LlamaEngine

    return LlamaEngine.open(
        path,
        sha256=sha256,
        allow_other_weights=allow_other_weights,
        context=table.context,
        slots=table.slots or LLAMA_SLOTS,
        waiting_limit=table.waiting_limit,
    )


def computes(table: EngineTable) -> tuple[str, str, str] | None:
    """Return (engine, precision, device) as floors name them; None of a server, which one is told.

    What a torch engine takes by itself is known where torch is installed.
    """
    if table.kind == "openai":
        return None
    if table.kind == "llamacpp":
        return "llamacpp", "file", "cpu"
    device, dtype = table.device, table.dtype
    if device == "auto":
        try:
            import torch
        except ImportError:
            return None
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if dtype == "auto":
        dtype = "float32" if device == "cpu" else "bfloat16"
    return "torch", dtype, device
