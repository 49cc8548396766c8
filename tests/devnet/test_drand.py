"""The drand beacon: a real pulse, over real HTTP, opens what the SDK sealed to its round.

The pulse is the one that quicknet, drand's beacon, published for its round 1000. Nobody can make
another one, so this is the only round that tests can open without a network.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import bittensor_core
import pytest
from aiohttp import web
from bittensor_core import Keypair

from chain.client import Chain
from chain.client.calls import Call, admin, batch, transfer
from chain.devnet import Devnet
from chain.devnet.drand import follow_beacon
from chain.errors import ChainRefused, InvalidTransaction
from chain.runtime.pallets import drand
from chain.runtime.pallets.drand import Pulse, extrinsic, is_genuine
from chain.scale import U16, U64, codec
from chain.types import RAO_PER_TAO, Rao
from tests.patience import until

ROUND = 1000
SIGNATURE = bytes.fromhex(
    "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125"
    "e342b73a8dd2bacbe47e4b6b63ed5e39"
)
RANDOMNESS = bytes.fromhex("fe290beca10872ef2fb164d2aa4442de4566183ec51c56ff3cd603d930e54fdd")
PULSE = Pulse(ROUND, RANDOMNESS, SIGNATURE)
ALICE = Keypair.create_from_uri("//Alice")
HOTKEY = Keypair.create_from_uri("//Alice//validator")
PAYLOAD = codec(tuple[bytes, list[U16], list[U16], U64])
OLD_PAYLOAD = codec(tuple[list[U16], list[U16], U64])


@dataclass
class Beacon:
    """drand's HTTP API, with what it says of each round."""

    url: str = ""
    pulses: dict[str, Pulse] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        assert request.match_info["chain"] == drand.QUICKNET
        self.asked.append(request.match_info["round"])
        pulse = self.pulses.get(self.asked[-1])
        if pulse is None:
            raise web.HTTPNotFound
        return web.json_response(
            {
                "round": pulse.round,
                "randomness": pulse.randomness.hex(),
                "signature": pulse.signature.hex(),
            }
        )


@pytest.fixture
async def beacon() -> AsyncIterator[Beacon]:
    beacon = Beacon()
    app = web.Application()
    app.router.add_get("/{chain}/public/{round}", beacon.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    beacon.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield beacon
    await runner.cleanup()


def sealed_by_the_sdk(hotkey: bytes) -> bytes:
    """What `SetWeights` sends, {0: 65535, 1: 7}, sealed to round 1000.

    The SDK seals to a round that is to come, by the wall clock and the block time; a block time
    below zero leads back to a round that has been.
    """
    low, high = -1e6, 0.0
    while True:
        middle = (low + high) / 2
        sealed, round = bittensor_core.get_encrypted_commit_v2(
            uids=[0, 1], weights=[65535, 7], version_key=0, last_epoch_block=0,
            pending_epoch_at=0, subnet_epoch_index=0, tempo=360, blocks_since_last_step=0,
            current_block=100, subnet_reveal_period_epochs=1, block_time=middle, hotkey=hotkey,
        )  # fmt: skip
        if round == ROUND:
            return bytes(sealed)
        low, high = (middle, high) if round < ROUND else (low, middle)


def sealed(payload: bytes) -> bytes:
    return bytes(
        bittensor_core.inner_ciphertext(bittensor_core.encrypt_at_round(payload, ROUND)[0])
    )


class Town:
    """A subnet that hides weights, with one validator."""

    def __init__(self, node: Devnet, chain: Chain, netuid: int) -> None:
        self.node, self.chain, self.netuid = node, chain, netuid

    async def next_epoch(self) -> None:
        schedule = await self.chain.schedule(self.netuid)
        assert schedule.next_block is not None
        await self.node.mine(schedule.next_block - self.node.head.number)

    async def commit(self, text: bytes, round: int = ROUND) -> None:
        args = {
            "netuid": self.netuid,
            "mecid": 0,
            "commit": text,
            "reveal_round": round,
            "commit_reveal_version": 4,
        }
        call = Call("SubtensorModule", "commit_timelocked_mechanism_weights", args)
        await self.chain.submit(call, HOTKEY, role="hotkey")

    async def row(self) -> dict[int, int]:
        return await self.chain.weights(self.netuid, 1)

    async def queue(self) -> list[Any]:
        map_ = ("SubtensorModule", "TimelockedWeightCommits")
        rows = await self.chain.query_map(*map_, self.netuid)
        return [entry for _, entries in rows for entry in entries]

    async def last_round(self) -> int:
        return int(await self.chain.query("Drand", "LastStoredRound"))


Make = Callable[..., Any]


@pytest.fixture
async def town(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Make]:
    monkeypatch.setenv("BITTENSOR_RUNTIME_CACHE_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("BTCLI_TOKEN_SYMBOLS_CACHE", str(tmp_path / "symbols.json"))
    monkeypatch.setattr("chain.devnet.node.FINALITY_LAG_S", 0.02)  # each call waits for it
    async with AsyncExitStack() as stack:

        async def make(**options: Any) -> Town:
            node = await stack.enter_async_context(Devnet("minimal", **options))
            chain = await stack.enter_async_context(Chain.connect(node.url))
            owner = Keypair.create_from_uri("//own").ss58_address
            netuid = await chain.register_network(ALICE, owner)
            await chain.start_call(ALICE, netuid)
            on = {"netuid": netuid, "enabled": True}
            for call in (
                Call("AdminUtils", "sudo_set_commit_reveal_weights_enabled", on),
                batch([transfer(HOTKEY.ss58_address, RAO_PER_TAO)]),
                admin("sudo_set_tempo", netuid=netuid, tempo=20),
            ):
                await chain.submit(call, ALICE)
            await chain.register(ALICE, netuid, HOTKEY.ss58_address)
            stake = Rao(100 * RAO_PER_TAO)
            await chain.add_stake(ALICE, HOTKEY.ss58_address, netuid, stake, tolerance=None)
            town = Town(node, chain, netuid)
            await town.next_epoch()
            return town

        yield make


async def test_a_pulse_from_the_beacon_opens_what_the_sdk_sealed(
    town: Make, beacon: Beacon
) -> None:
    here = await town(drand="online", drand_url=beacon.url)
    await here.commit(sealed_by_the_sdk(HOTKEY.public_key))
    assert await here.last_round() == 0
    beacon.pulses = {"latest": PULSE}
    await until(lambda: drand.last_round(here.node.state()) == ROUND)
    stored = await here.chain.query("Drand", "Pulses", ROUND)
    assert bytes.fromhex(stored["signature"].removeprefix("0x")) == SIGNATURE
    assert await here.row() == {}  # its epoch is the next one
    await here.next_epoch()
    assert await here.row() == {0: 65535, 1: 7}
    assert await here.queue() == []
    names = [event.name for event in await here.chain.events(here.node.head.number)]
    assert "TimelockedWeightsRevealed" in names
    with pytest.raises(ChainRefused) as refused:  # who knows the signature could see inside
        await here.commit(sealed(b"late"), ROUND - 1)
    assert "Custom error: 15" in str(refused.value) or refused.value.name == "InvalidRevealRound"


async def test_without_the_beacon_they_expire_and_the_log_says_so(
    town: Make, caplog: pytest.LogCaptureFixture
) -> None:
    here = await town()
    await here.commit(sealed_by_the_sdk(HOTKEY.public_key))
    await here.next_epoch()
    assert len(await here.queue()) == 1
    await here.next_epoch()
    assert (await here.queue(), await here.row()) == ([], {})
    said = [r.getMessage() for r in caplog.records if "beacon" in r.getMessage()]
    assert said == [
        f"subnet {here.netuid}: 1 sealed commits of weights have expired: the rounds of the beacon "
        "that open them were not heard of"
    ]


async def test_what_cannot_be_set_is_gone_without_an_event(town: Make) -> None:
    here = await town()
    other = Keypair.create_from_uri("//other").public_key
    await here.commit(sealed_by_the_sdk(other))  # somebody else's row
    await here.commit(sealed(PAYLOAD.encode((HOTKEY.public_key, [9], [1], 0))))  # no such seat
    await here.commit(sealed(b"\x01"))
    await here.commit(b"not sealed at all")
    here.node.submit(extrinsic([PULSE], here.node.head.number))
    await here.next_epoch()
    assert (await here.queue(), await here.row()) == ([], {})
    names = [event.name for event in await here.chain.events(here.node.head.number)]
    assert "TimelockedWeightsRevealed" not in names and "WeightsSet" not in names


async def test_a_payload_of_the_older_form(town: Make) -> None:
    here = await town()
    await here.commit(sealed(OLD_PAYLOAD.encode(([1, 0], [3, 6], 0))))
    here.node.submit(extrinsic([PULSE], here.node.head.number))
    await here.next_epoch()
    assert await here.row() == {1: 32768, 0: 65535}


async def test_sealed_commitments_open_too(town: Make) -> None:
    here = await town()

    async def commit(*fields: object) -> None:
        args = {"netuid": here.netuid, "info": {"fields": [list(fields)]}}
        await here.chain.submit(Call("Commitments", "set_commitment", args), HOTKEY, role="hotkey")

    def sealed_to(round: int, text: bytes) -> dict[str, Any]:
        return {"TimelockEncrypted": {"encrypted": "0x" + text.hex(), "reveal_round": round}}

    async def read(item: str) -> Any:
        return await here.chain.query("Commitments", item, here.netuid, HOTKEY.ss58_address)

    await commit(sealed_to(ROUND, sealed(b"the answer")), sealed_to(ROUND + 1, b"not yet"))
    here.node.submit(extrinsic([PULSE], here.node.head.number))
    await here.node.mine(2)
    (revealed,) = await read("RevealedCommitments")
    assert revealed[0] == "the answer"
    (kept,) = (await read("CommitmentOf"))["info"]["fields"]
    assert kept["TimelockEncrypted"]["reveal_round"] == ROUND + 1
    await commit(sealed_to(ROUND, b"not sealed at all"))
    await here.node.mine()
    assert await read("CommitmentOf") is None
    assert len(await read("RevealedCommitments")) == 1


FORGED = {
    "another round": Pulse(ROUND + 1, RANDOMNESS, SIGNATURE),
    "other randomness": Pulse(ROUND, bytes(32), SIGNATURE),
    "no signature": Pulse(ROUND, RANDOMNESS, b""),
    "no point": Pulse(ROUND, RANDOMNESS, SIGNATURE[:-1] + b"\x00"),
}


@pytest.mark.parametrize("name", FORGED)
async def test_forged_pulses_stay_out(name: str) -> None:
    assert not is_genuine(FORGED[name])
    async with Devnet() as node:
        for pulses in ([FORGED[name]], [PULSE, FORGED[name]]):
            with pytest.raises(InvalidTransaction) as refused:
                node.submit(extrinsic(pulses, 0))
            assert refused.value.kind == "BadProof"


async def test_a_round_is_stored_once() -> None:
    assert is_genuine(PULSE)
    async with Devnet() as node:
        with pytest.raises(InvalidTransaction, match="ExhaustsResources"):
            node.submit(extrinsic([PULSE] * 11, 0))
        with pytest.raises(InvalidTransaction, match="Stale"):
            node.submit(extrinsic([], 0))
        await node.mine()
        digest = node.submit(extrinsic([PULSE], 1))
        await node.mine()
        assert digest not in node.pool
        assert drand.last_round(node.state()) == ROUND
        with pytest.raises(InvalidTransaction, match="Stale"):
            node.submit(extrinsic([PULSE], 1))


async def test_what_was_missed_is_asked_for_first(beacon: Beacon) -> None:
    beacon.pulses = {"latest": PULSE}
    async with Devnet() as node:
        node.set_storage({drand.LastStoredRound.prefix: (ROUND - 3).to_bytes(8, "little")})
        follower = asyncio.create_task(follow_beacon(node, beacon.url, every_s=0.01))
        await until(lambda: len(beacon.asked) > 2)
        follower.cancel()
        await asyncio.wait([follower])
        assert beacon.asked[:2] == ["latest", str(ROUND - 2)]
        assert drand.last_round(node.state()) == ROUND - 3  # none is left out


async def test_a_beacon_that_is_away_or_lies_costs_one_line(
    beacon: Beacon, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    def said() -> list[str]:
        return [r.getMessage() for r in caplog.records if r.getMessage().startswith("drand: ")]

    async with Devnet() as node:
        follower = asyncio.create_task(follow_beacon(node, beacon.url, every_s=0.01))
        await until(lambda: len(beacon.asked) > 5)
        assert len(said()) == 1 and "HTTP 404" in said()[0]
        beacon.pulses = {"latest": FORGED["another round"]}
        await until(lambda: len(said()) == 2)
        assert "BadProof" in said()[1]
        beacon.pulses = {"latest": PULSE}
        await until(lambda: drand.last_round(node.state()) == ROUND)
        assert said()[2:] == [f"drand: {beacon.url} answers again"]
        follower.cancel()
        await asyncio.wait([follower])


async def test_the_command_line(beacon: Beacon) -> None:
    import re
    import sys

    beacon.pulses = {"latest": PULSE}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "subnet.cli.app", "devnet", "--port", "0", "--block-time", "0.1",
        "--drand", "online", "--drand-url", beacon.url,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), 20)).decode()
        url = re.search(r"ws://\S+", line)
        assert url is not None
        async with Chain.connect(url.group()) as chain:
            deadline = time.monotonic() + 20
            while int(await chain.query("Drand", "LastStoredRound")) != ROUND:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.1)
            await chain.wait_for_block(await chain.block() + 1)
    finally:
        process.terminate()
        _, said = await process.communicate()
    assert b"Traceback" not in said and b"failed" not in said, said.decode()
