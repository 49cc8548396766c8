"""The life of a subnet, driven by the unmodified SDK through our client, and read back by both.

Create, start, register, serve, stake, set weights, an epoch that pays, unstake: each step is a
signed extrinsic on a chain of its own.
"""

from __future__ import annotations

import asyncio
from typing import Any

import bittensor
import pytest
from bittensor_core import Keypair

from chain.client import Chain, alpha_supply, issuance
from chain.client.calls import Call, admin, batch, transfer
from chain.errors import ChainRefused
from chain.types import RAO_PER_TAO, Alpha, Rao

TEMPO = 20
ALICE = Keypair.create_from_uri("//Alice")


def tao(amount: int) -> Rao:
    return Rao(amount * RAO_PER_TAO)


def key(name: str) -> Any:
    return Keypair.create_from_uri(f"//{name}")


async def found(chain: Chain) -> int:
    """An empty subnet that can pay, owned by //Owner."""
    owner = key("Owner")
    await chain.submit(admin("sudo_set_admin_freeze_window", window=0), ALICE)
    cost = await chain.network_cost()
    names = ("Miner", "Validator", "Loser")
    gifts = [transfer(key(name).ss58_address, tao(100)) for name in names]
    await chain.submit(batch([transfer(owner.ss58_address, cost + tao(10)), *gifts]), ALICE)
    netuid = await chain.register_network(owner, key("Owner//hot").ss58_address)
    off = {"netuid": netuid, "enabled": False}
    await chain.submit(Call("AdminUtils", "sudo_set_commit_reveal_weights_enabled", off), owner)
    for function, args in (
        ("sudo_set_weights_set_rate_limit", {"weights_set_rate_limit": 0}),
        ("sudo_set_max_allowed_validators", {"max_allowed_validators": 1}),
        ("sudo_set_subnet_emission_enabled", {"enabled": True}),
    ):
        await chain.submit(admin(function, netuid=netuid, **args), ALICE)
    await chain.start_call(owner, netuid)
    return netuid


async def test_life_of_a_subnet(devnet: str) -> None:
    async with Chain.connect(devnet) as chain:
        netuid = await found(chain)
        assert netuid == 2  # the chain begins with subnet 1

        # Seats, bought shielded and side by side.
        cold, hot = key("Validator"), key("Validator//hot")
        miner_cold, miner = key("Miner"), key("Miner//hot")
        uids = await asyncio.gather(
            chain.register(cold, netuid, hot.ss58_address),
            chain.register(miner_cold, netuid, miner.ss58_address),
        )
        assert sorted(uids) == [1, 2]  # seat 0 is the owner's
        validator_uid, miner_uid = uids
        with pytest.raises(ChainRefused) as refused:
            await chain.register(key("Loser"), netuid, miner.ss58_address)
        assert refused.value.name in ("HotKeyAlreadyRegisteredInSubNet", "NonAssociatedColdKey")

        # An address.
        with pytest.raises(ChainRefused) as refused:
            await chain.serve_axon(miner, netuid, "127.0.0.1", 8091)
        assert refused.value.name == "InvalidIpAddress"
        await chain.serve_axon(miner, netuid, "127.0.0.2", 8091)

        # Stake, and nothing else, gives a permit; and that at the first epoch.
        before = await chain.balance(cold.ss58_address)
        await chain.add_stake(cold, hot.ss58_address, netuid, tao(20))
        assert int(before) - int(await chain.balance(cold.ss58_address)) == pytest.approx(
            int(tao(20)), rel=1e-3
        )
        staked = await chain.stake(cold.ss58_address, hot.ss58_address, netuid)
        assert staked > 0
        with pytest.raises(ChainRefused) as refused:
            await chain.set_weights(hot, netuid, {miner_uid: 1.0})
        assert refused.value.name == "NeuronNoValidatorPermit"

        await chain.submit(admin("sudo_set_tempo", netuid=netuid, tempo=TEMPO), ALICE)
        schedule = await chain.schedule(netuid)
        assert schedule.next_block is not None
        await chain.wait_for_block(schedule.next_block)
        metagraph = await chain.metagraph(netuid, schedule.next_block)
        seat = metagraph.neurons[miner_uid]
        assert (seat.hotkey, seat.coldkey) == (miner.ss58_address, miner_cold.ss58_address)
        assert (seat.host, seat.port) == ("127.0.0.2", 8091)
        permits = {neuron.uid for neuron in metagraph.neurons if neuron.permit}
        assert permits == {0, validator_uid}  # the owner's seat always has one
        assert metagraph.incentive == 0  # nobody had a permit to set weights with

        # Weights, and the epoch that pays for them.
        receipt = await chain.set_weights(hot, netuid, {miner_uid: 0.7, 0: 0.1, validator_uid: 0})
        assert receipt.row == {0: 9362, miner_uid: 65535}
        assert await chain.weights(netuid, validator_uid) == receipt.row
        after = await chain.schedule(netuid)
        assert after.next_block == schedule.next_block + TEMPO
        assert after.epochs == schedule.epochs + 1
        await chain.wait_for_block(after.next_block)
        paid = await chain.metagraph(netuid, after.next_block)
        assert paid.neurons[miner_uid].incentive > 50_000
        assert paid.neurons[miner_uid].alpha > metagraph.neurons[miner_uid].alpha
        assert paid.neurons[validator_uid].dividends == 65535

        # What the miner earned becomes TAO again.
        earned = paid.neurons[miner_uid].alpha
        before = await chain.balance(miner_cold.ss58_address)
        await chain.remove_stake(miner_cold, miner.ss58_address, netuid, Alpha(int(earned) // 2))
        assert await chain.balance(miner_cold.ss58_address) > before

        # Nothing was made or lost on the way.
        block = await chain.finalized_block()
        assert (await issuance(chain, block)).conserved
        supply = await alpha_supply(chain, netuid, block)
        assert 0 <= supply.dust <= 4 * block
        assert supply.hotkeys > 0

    # The same, read by the SDK alone.
    async with bittensor.Subtensor(devnet) as sdk:
        graph = await sdk.subnets.metagraph(netuid)
        assert graph is not None
        assert graph.neurons[miner_uid].axon == "127.0.0.2:8091"
        assert graph.neurons[miner_uid].incentive > 0.7
        rows = await sdk.weights.weights(netuid)
        assert rows[validator_uid][miner_uid] == pytest.approx(65535 / (65535 + 9362))
        info = await sdk.subnets.info(netuid)
        assert info.tempo == TEMPO
