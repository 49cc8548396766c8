"""A miner process around its miner: the model may die, the axon stays; and what is published."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from miners import desk as desks
from miners.desk import Desk
from miners.serve import published_address
from subnet.config import MinerSettings, load
from subnet.definition import Miner, MinerOptions, Subnet
from subnet.errors import (
    Declined,
    EngineAway,
    EngineBusy,
    EngineRefused,
    InvalidSetting,
    RequestRefused,
)
from subnet.protocol import Answer, Challenge, Reply, Task
from subnet.wire.auth import Caller
from tests.patience import PATIENCE_S, until

CALLER = Caller("5Caller", 1)
OPTIONS = MinerOptions("5Miner")


class Ask(Challenge):
    text: str


class Said(Answer):
    text: str


class Mortal(Subnet[Ask, Said]):
    """Its miner dies of the question "die"; `fails` openings in a row do not succeed."""

    challenge, answer = Ask, Said

    def __init__(self, fails: int = 0) -> None:
        self.opened = 0
        self.fails = fails

    def tasks(self, seed: bytes) -> Iterator[Task[Ask]]:
        return iter(())

    async def score(self, task: Task[Ask], reply: Reply[Said]) -> float:
        return 1.0

    @asynccontextmanager
    async def miner(self, options: MinerOptions) -> AsyncIterator[Miner[Ask, Said]]:
        self.opened += 1
        if self.opened <= self.fails:
            raise EngineAway("no memory")
        yield self.Echo(self.opened)

    class Echo:
        def __init__(self, life: int) -> None:
            self.life = life

        async def answer(self, challenge: Ask, caller: str) -> Said:
            if challenge.text == "die":
                raise EngineAway("exit code -9")
            if challenge.text == "crowd":
                raise EngineBusy(16)
            if challenge.text == "long":
                raise EngineRefused("2000 + 24 tokens do not fit the context of 1024")
            return Said(text=f"{challenge.text} {self.life}")


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desks, "PAUSE_S", (0.0,))


@asynccontextmanager
async def staffed(subnet: Subnet[Any, Any]) -> AsyncIterator[Desk]:
    desk = Desk()
    staff = asyncio.create_task(desk.keep_open(subnet, OPTIONS))
    try:
        await desk.opened.wait()
        yield desk
    finally:
        staff.cancel()
        await asyncio.wait([staff])


async def test_an_engine_that_dies_is_opened_again() -> None:
    async with staffed(Mortal()) as desk:
        assert await desk.answer(Ask(text="a"), CALLER) == Said(text="a 1")
        with pytest.raises(Declined, match="being opened"):
            await desk.answer(Ask(text="die"), CALLER)

        async def is_open() -> bool:
            with contextlib.suppress(Declined):
                assert await desk.answer(Ask(text="b"), CALLER) == Said(text="b 2")
                return True
            return False

        await until(is_open, pause_s=0)


async def test_openings_that_fail_later_are_repeated() -> None:
    subnet = Mortal()
    async with staffed(subnet) as desk:
        subnet.fails = 4
        with pytest.raises(Declined):
            await desk.answer(Ask(text="die"), CALLER)
        async with asyncio.timeout(PATIENCE_S):
            while subnet.opened < 5:
                with pytest.raises(Declined):
                    await desk.answer(Ask(text="a"), CALLER)
                await asyncio.sleep(0)


async def test_an_engine_that_never_opens_ends_the_process() -> None:
    with pytest.raises(EngineAway, match="no memory"):
        await Desk().keep_open(Mortal(fails=1), OPTIONS)


async def test_what_the_engine_refuses_is_the_caller_s_mistake() -> None:
    async with staffed(Mortal()) as desk:
        with pytest.raises(RequestRefused, match="do not fit") as caught:
            await desk.answer(Ask(text="long"), CALLER)
        assert await desk.answer(Ask(text="a"), CALLER) == Said(text="a 1")
    assert (caught.value.status, caught.value.code) == (400, "refused")


async def test_a_busy_engine_is_said_so() -> None:
    async with staffed(Mortal()) as desk:
        with pytest.raises(RequestRefused) as caught:
            await desk.answer(Ask(text="crowd"), CALLER)
    assert (caught.value.status, caught.value.code) == (503, "busy")


def settings(**miner: str) -> MinerSettings:
    environment = {f"SUBNET_MINER_{key.upper()}": value for key, value in miner.items()}
    chain = environment.pop("SUBNET_MINER_CHAIN", "finney")
    return load(MinerSettings, environment=environment | {"SUBNET_NETWORK_CHAIN": chain})


@pytest.mark.parametrize(
    ("miner", "address"),
    [
        ({"external_host": "203.0.113.9"}, ("203.0.113.9", 4000)),
        ({"external_host": "203.0.113.9", "external_port": "80"}, ("203.0.113.9", 80)),
        ({"host": "2001:db8::1"}, ("2001:db8::1", 4000)),
        ({"chain": "local"}, ("127.0.0.2", 4000)),
        ({"chain": "local", "host": "127.0.0.9"}, ("127.0.0.9", 4000)),
    ],
)
def test_what_is_published(miner: dict[str, str], address: tuple[str, int]) -> None:
    assert published_address(settings(**miner), 4000) == address


@pytest.mark.parametrize(
    ("miner", "hint"),
    [
        ({}, "--external-host"),
        ({"host": "127.0.0.1", "chain": "local"}, "127.0.0.2"),
        ({"external_host": "::1"}, "127.0.0.2"),
        ({"external_host": "miner.example"}, "not an IP address"),
    ],
)
def test_what_cannot_be_published_is_said_with_what_to_do(miner: dict[str, str], hint: str) -> None:
    with pytest.raises(InvalidSetting, match=hint):
        published_address(settings(**miner), 4000)
