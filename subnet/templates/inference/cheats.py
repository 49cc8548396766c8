"""Miners that do less than they are paid for: they show in the demo and the tests that it shows.

Never the default: a miner process runs one only when its settings say so by name.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from subnet.config import EngineTable
from subnet.definition import Miner, MinerOptions
from subnet.engines.choice import open_engine
from subnet.engines.models import get_model
from subnet.engines.truncated import truncated_model
from subnet.errors import Declined, InvalidSetting
from subnet.templates.inference.definition import MODEL, Ask, Honest, Tokens

KEPT_LAYERS = 27
"""Of 30: a tenth of the work left out, which one does not see in the text."""

END = (2,)
"""The model's end token, at once."""
COUNTING = (33, 28, 216, 34, 28, 216, 35, 28, 216, 36, 28, 216, 37, 28, 216, 38, 28, 216, 39, 28,
            216, 40, 28, 216)  # fmt: skip
""""1, 2, 3, 4, 5, 6, 7, 8, ": each token likely after the others, whatever was asked."""
RECORDED = (1653, 339, 5328, 1130, 28, 339, 3680, 732, 436, 2049, 282, 260, 28899, 28, 253, 1379,
            339, 761, 2093, 2269, 1092, 30, 1652, 264)  # fmt: skip
"""What the model itself said to a question of the same form, under another seed."""


class Flaky:
    """Answers every other question of each caller, and honestly; declines the rest."""

    def __init__(self, honest: Miner[Ask, Tokens]) -> None:
        self._honest = honest
        self._asked: Counter[str] = Counter()

    async def answer(self, challenge: Ask, caller: str) -> Tokens:
        """The first, third, fifth... answer to `caller`."""
        self._asked[caller] += 1
        if self._asked[caller] % 2 == 0:
            raise Declined("not this time")
        return await self._honest.answer(challenge, caller)


class Canned:
    """Has no model: says, in turn, what was recorded, what is easy, and nothing."""

    def __init__(self) -> None:
        self._texts = itertools.cycle((RECORDED, COUNTING, END))

    async def answer(self, challenge: Ask, caller: str) -> Tokens:
        """Tokens, with log-probabilities that would be fine ones."""
        tokens = next(self._texts)[: challenge.max_tokens]
        return Tokens(tokens=tokens, logprobs=(-0.5,) * len(tokens))


class Relay:
    """Passes on what another miner answers, which is bound to that miner's hotkey."""

    def __init__(self, source: Miner[Ask, Tokens]) -> None:
        self._source = source

    async def answer(self, challenge: Ask, caller: str) -> Tokens:
        """Somebody else's answer."""
        return await self._source.answer(challenge, caller)


@asynccontextmanager
async def open_miner(
    options: MinerOptions, engine: EngineTable
) -> AsyncIterator[Miner[Ask, Tokens]]:
    """The miner named by `options.behaviour`, on `engine`: flaky, canned or downgraded.

    Raises InvalidSetting for another name, and for downgraded weights that were not allowed or
    cannot be made: a GGUF file can be cut, a folder and a server's model cannot.
    """
    if options.behaviour == "canned":
        yield Canned()
        return
    path = options.model_file
    if options.behaviour == "downgraded":
        if not options.allow_other_weights:
            raise InvalidSetting(
                "miner.behaviour",
                "the settings",
                "downgraded runs other weights than the subnet's; it needs --allow-other-weights",
            )
        path = path or engine.model or get_model(MODEL.sha256)
        if engine.kind == "openai" or path.is_dir():
            raise InvalidSetting(
                "miner.behaviour", "the settings", "downgraded needs a GGUF file of its own to cut"
            )
        path = truncated_model(path, KEPT_LAYERS)
    elif options.behaviour != "flaky":
        raise InvalidSetting(
            "miner.behaviour",
            "the settings",
            f"{options.behaviour} is not one of honest, flaky, downgraded, canned",
        )
    async with open_engine(
        engine, MODEL.sha256, path=path, allow_other_weights=options.allow_other_weights
    ) as opened:
        honest = Honest(opened, options.hotkey)
        yield Flaky(honest) if options.behaviour == "flaky" else honest
