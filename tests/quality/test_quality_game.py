"""Three real tiers of model on a chain: the better one is paid more, by two validators."""

from __future__ import annotations

import dataclasses
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from bittensor_core import Keypair

from subnet.definition import Miner, MinerOptions
from subnet.engines.models import SMOLLM2_135M, get_model
from subnet.engines.truncated import write_without
from subnet.templates.quality import Quality
from subnet.templates.quality.definition import Ask, Said
from subnet.templates.quality.questions import Fields, Sum, Tell
from subnet.wire.axon import Axon
from subnet.wire.dendrite import Dendrite
from subnet.wire.policy import AnyPolicy
from tests.neurons.ground import alices_subnet, open_bench, settings_of
from tests.prompts.town import Town
from validators.prompts.sources import Mix
from validators.prompts.vault import Vault

pytestmark = [pytest.mark.slow, pytest.mark.model, pytest.mark.timeout(900)]

VALIDATORS = [Keypair.create_from_uri(f"//Alice//validator{number}") for number in range(2)]
MINERS = {name: Keypair.create_from_uri(f"//{name}") for name in ("whole", "without", "markov")}
"""Best first."""
LEFT_OUT = (21,)
"""Layers of 30, from 0. Without the last ones what a model says is no language; without two of the
middle ones it is right too seldom to be told from a chain of words in so few questions."""
TEMPO = 60
EPOCHS, QUESTIONS = 2, 8
TRAINING = 6
"""Questions whose answers the Markov chain learns from; none of them is asked again."""


class Patient(Quality):
    """Asks what such models can do, and waits for a machine that does other things as well."""

    mix = Mix((1, Sum()), (3, Fields()), (1, Tell()))
    timeout_s = paid_s = 240.0


class Markov:
    """A chain of words, of which the next depends on the last alone."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._after: dict[str, list[str]] = defaultdict(list)
        for text in texts:
            words = text.split()
            for one, two in zip(["", *words], [*words, ""], strict=True):
                self._after[one].append(two)
        self._chance = random.Random(1)

    async def answer(self, challenge: Ask, caller: object) -> Said:
        words: list[str] = []
        while len(words) < 25:
            following = self._chance.choice(self._after[words[-1] if words else ""])
            if not following:
                break
            words.append(following)
        return Said(text=" ".join(words))


async def learned(subnet: Quality, teacher: Miner[Ask, Said]) -> Markov:
    texts = []
    async for task in subnet.tasks(b"what nobody is asked again......"):
        texts.append((await teacher.answer(task.challenge, "")).text)
        if len(texts) == TRAINING:
            break
    return Markov(texts)


@asynccontextmanager
async def tiers(subnet: Quality, folder: Path) -> AsyncIterator[dict[str, Any]]:
    path = folder / "without.gguf"
    write_without(get_model(SMOLLM2_135M.sha256), path, LEFT_OUT)
    async with (
        subnet.miner(MinerOptions("5Whole")) as whole,
        subnet.miner(MinerOptions("5Without", model_file=path)) as without,
    ):
        yield {"whole": whole, "without": without, "markov": await learned(subnet, whole)}


async def test_the_incentives_are_in_the_order_of_the_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncExitStack() as stack:
        node, chain, netuid = await stack.enter_async_context(
            alices_subnet(
                tmp_path,
                monkeypatch,
                stakes=[(key, 100) for key in VALIDATORS],
                miners=list(MINERS.values()),
                hidden=False,
                tempo=TEMPO,
                weights_set_rate_limit=0,
            )
        )
        subnet = Patient()
        miners = await stack.enter_async_context(tiers(subnet, tmp_path))
        for number, (name, miner) in enumerate(miners.items(), 2):
            axon = Axon(MINERS[name], policy=AnyPolicy())
            axon.handle(subnet.path, Ask, Said, miner.answer)
            host, port = await axon.start(f"127.0.0.{number}", 0)
            stack.push_async_callback(axon.stop, 1.0)
            await chain.serve_axon(MINERS[name], netuid, host, port)
        table: dict[str, object] = {"tasks_per_round": QUESTIONS}
        settings = settings_of(netuid, network={"chain": node.url}, validator=table)
        towns = []
        for number, key in enumerate(VALIDATORS):
            folder = tmp_path / f"validator{number}"
            folder.mkdir()
            dendrite = await stack.enter_async_context(Dendrite(key, allow_private=True))
            bench = stack.enter_context(
                open_bench(folder, settings, key, chain, subnet, dendrite=dendrite)
            )
            vault = Vault(
                subnet,
                seed=bytes([number]) * 32,
                asked=bench.ledger.was_asked,
                path=folder / "sealed.json",
            )
            bench = dataclasses.replace(bench, vault=vault)
            towns.append(Town(node, chain, netuid, folder, bench, [], []))
        await towns[0].to_next_epoch()
        for _ in range(EPOCHS):
            lines = [await town.round() for town in towns]
            assert all(line["weights"]["set"] for line in lines)
            await towns[0].to_next_epoch()

        metagraph = await chain.metagraph(netuid)
        incentives = {}
        for name, key in MINERS.items():
            neuron = metagraph.find(key.ss58_address)
            assert neuron is not None
            incentives[name] = neuron.incentive
        order = incentives["whole"], incentives["without"], incentives["markov"]
        assert order[0] > order[1] > order[2], [line["scores"] for line in lines]
