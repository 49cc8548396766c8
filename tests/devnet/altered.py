"""Our runtime with one rule altered, while the rest of the process keeps the right one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from chain.devnet.engine import BuiltBlock, Header, StateReader
from chain.devnet.engines.python import PythonEngine
from chain.runtime.pallets import payment
from chain.types import Rao


class AlteredEngine(PythonEngine):
    """Charges more for every extrinsic; its metadata does not show it."""

    def build_block(
        self, state: StateReader, parent: Header, extrinsics: Sequence[bytes], timestamp_ms: int
    ) -> BuiltBlock:
        fee = payment.fee
        with pytest.MonkeyPatch.context() as altered:
            altered.setattr(payment, "fee", lambda *args: fee(*args) + Rao(5))
            return super().build_block(state, parent, extrinsics, timestamp_ms)


def altered_engine(like: PythonEngine) -> AlteredEngine:
    """The altered twin of an engine."""
    return AlteredEngine(like._runtime.config)
