"""The engine that the settings name, opened on the model that a definition names."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from subnet.config import EngineTable
from subnet.engines.base import Engine
from subnet.engines.models import get_model
from subnet.errors import InvalidSetting


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
            slots=table.slots,
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
            slots=table.slots,
            waiting_limit=table.waiting_limit,
            threads=table.threads,
        )
    from subnet.engines.llamacpp import LlamaEngine

    return LlamaEngine.open(
        path,
        sha256=sha256,
        allow_other_weights=allow_other_weights,
        context=table.context,
        waiting_limit=table.waiting_limit,
    )
