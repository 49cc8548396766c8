"""The SDK's intents through `Subtensor.execute`: each does what it says, or is refused by name.

Every test stands on the founded town and on accounts of its own, so that any of them runs alone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import bittensor
import pytest
from bittensor import calls, intents
from bittensor._generated.storage import SubtensorModule as st
from bittensor.error_map import ErrorCode
from bittensor.intents.hyperparameters import OWNER_HYPERPARAMETERS
from bittensor.intents.registry import REGISTRY
from scalecodec.base import RuntimeConfiguration

from chain.runtime.frame import Block, Ctx
from chain.runtime.pallets.absent import ABSENT
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.state import EmptyState, State
from chain.types import AccountId, NetUid, Rao
from tests.conformance.stored import Stored
from tests.conformance.town import (
    ALICE,
    AXON,
    TAO,
    KeyPairs,
    Town,
    rpc,
    send,
    set_weights,
    ss58,
    sudo,
)

NETUID = 2
C = ErrorCode
V1, V2, M1, M2, OWNER = map(KeyPairs, ("//V1", "//V2", "//M1", "//M2", "//Owner"))


@pytest.fixture
async def sdk(town: Town) -> AsyncIterator[Any]:
    async with bittensor.Subtensor(town.url) as client:
        yield client


def hot(wallet: KeyPairs) -> str:
    return str(wallet.hotkey.ss58_address)


def cold(wallet: KeyPairs) -> str:
    return str(wallet.coldkey.ss58_address)


def written(write: Callable[[Ctx], None]) -> tuple[str, str]:
    """The one storage key that `write` writes, and its value."""
    state = State(EmptyState())
    write(Ctx(Block(state, 0)))
    ((where, value),) = state.changes().items()
    assert value is not None
    return f"0x{where.hex()}", f"0x{value.hex()}"


async def do(sdk: Any, intent: Any, wallet: Any) -> Any:
    """Execute what must succeed; the SDK waits until it is final."""
    result = await sdk.execute(intent, wallet)
    assert result.success, (intent, result)
    assert result.fee is not None
    return result


async def free(sdk: Any, wallet: KeyPairs) -> int:
    return int((await sdk.read("balance", coldkey_ss58=cold(wallet))).rao)


async def staked(sdk: Any, wallet: KeyPairs, hotkey: str, netuid: int = NETUID) -> int:
    params = {"coldkey_ss58": cold(wallet), "hotkey_ss58": hotkey, "netuid": netuid}
    return int((await sdk.read("stake", **params)).rao)


async def newcomer(sdk: Any, uri: str, tao: int = 1000) -> KeyPairs:
    """An account nobody else uses, with money."""
    wallet = KeyPairs(uri)
    gift = calls.Balances.transfer_keep_alive(dest=cold(wallet), value=tao * TAO)
    await send(sdk, gift, ALICE)
    return wallet


async def seated(sdk: Any, uri: str) -> KeyPairs:
    """A newcomer whose hotkey has a seat, bought in the open with a raw call."""
    wallet = await newcomer(sdk, uri)
    await send(
        sdk, calls.SubtensorModule.burned_register(netuid=NETUID, hotkey=hot(wallet)), wallet
    )
    return wallet


async def founded(sdk: Any, town: Town, owner: KeyPairs) -> int:
    """A new subnet, as cheap as the first: each costs twice the one before."""
    where, least = written(lambda ctx: s.NetworkLastLockCost.put(ctx, Rao(100 * TAO)))
    rpc(town.url, "devnet_setStorage", [[where, least]])
    return int((await do(sdk, intents.RegisterSubnet(), owner)).data["netuid"])


# Money


@pytest.mark.feature("a signed transfer, followed until it is final", "bittensor")
@pytest.mark.feature("a fee, quoted and paid", "bittensor")
async def test_transfer(sdk: Any) -> None:
    payer, payee = await newcomer(sdk, "//Payer"), KeyPairs("//Payee")
    intent = intents.Transfer(cold(payee), 3)
    quoted = (await sdk.plan(intent, payer)).fee.rao
    before = await free(sdk, payer)
    result = await do(sdk, intent, payer)
    assert await free(sdk, payee) == 3 * TAO
    assert before - await free(sdk, payer) == 3 * TAO + result.fee.rao
    assert result.fee.rao == pytest.approx(quoted, rel=0.01)
    await do(sdk, intents.TransferAll(cold(payee), keep_alive=False), payer)
    assert await free(sdk, payer) == 0


@pytest.mark.feature("batches", "bittensor")
async def test_batch_is_all_or_nothing(sdk: Any) -> None:
    payer, payee = await newcomer(sdk, "//Batcher"), KeyPairs("//Batched")
    one = {"op": "transfer", "dest_ss58": cold(payee), "amount_tao": 1}
    await do(sdk, intents.Batch([one, one]), payer)
    assert await free(sdk, payee) == 2 * TAO
    refused = await sdk.execute(intents.Batch([one, {**one, "amount_tao": 5000}]), payer)
    assert refused.error.code is ErrorCode.INSUFFICIENT_BALANCE
    assert await free(sdk, payee) == 2 * TAO


# Seats


@pytest.mark.feature("events of a block", "bittensor")
@pytest.mark.feature("a MEV-shielded call, opened by the author", "bittensor")
async def test_burned_register_goes_shielded(sdk: Any) -> None:
    wallet = await newcomer(sdk, "//Registrant")
    price = (await sdk.read("burn", netuid=NETUID)).rao
    before = await free(sdk, wallet)
    result = await do(sdk, intents.BurnedRegister(NETUID), wallet)
    assert result.data["shielded"]
    uid = await sdk.read("uid", hotkey_ss58=hot(wallet), netuid=NETUID)
    assert await sdk.query(st.Keys, [NETUID, uid]) == hot(wallet)
    named = {(e["event"]["module_id"], e["event"]["event_id"]) for e in result.events}
    assert ("SubtensorModule", "NeuronRegistered") in named
    paid = before - await free(sdk, wallet)
    fees = 2 * TAO // 1000  # at most, of two extrinsics
    assert price * 0.9 < paid < price * 1.1 + fees  # the price falls a little with each block
    block = await sdk.block_info(int(result.extrinsic_id.split("-")[0]))
    assert [x["call"]["call_function"] for x in block.extrinsics][-2:] == [
        "submit_encrypted",
        "burned_register",
    ]


async def test_associate_a_hotkey(sdk: Any) -> None:
    wallet = await newcomer(sdk, "//Associate")
    await do(sdk, intents.AssociateHotkey(hot(wallet)), wallet)
    assert await sdk.read("hotkey_owner", hotkey_ss58=hot(wallet)) == cold(wallet)


async def test_root_register(sdk: Any) -> None:
    await do(sdk, intents.RootRegister(), M1)
    assert 0 in await sdk.read("netuids_for_hotkey", hotkey_ss58=hot(M1))


@pytest.mark.feature("serving: axon, TLS, prometheus", "bittensor")
async def test_serve(sdk: Any, town: Town) -> None:
    async def axon() -> tuple[Any, ...]:
        graph = await sdk.read("metagraph", netuid=NETUID)
        info = graph["axons"][town.uids["//M2"]]
        return info["ip"], info["port"], info["ip_type"]

    assert await free(sdk, KeyPairs("//M2//hot")) == 0
    before = await free(sdk, M2)
    ip = (10 << 24) + 5
    result = await do(sdk, intents.ServeAxon(NETUID, "10.0.0.5", 8100), M2)
    assert await axon() == (ip, 8100, 4)
    assert before - await free(sdk, M2) == result.fee.rao > 0  # a hotkey's fee is its coldkey's
    await do(sdk, intents.ServeAxonTls(NETUID, "10.0.0.5", 8101, "c0" * 16), M2)
    assert await axon() == (ip, 8101, 4)
    assert await sdk.query(("SubtensorModule", "NeuronCertificates"), [NETUID, hot(M2)])
    await do(sdk, intents.ServePrometheus(NETUID, *AXON), M2)
    prometheus = await sdk.query(("SubtensorModule", "Prometheus"), [NETUID, hot(M2)])
    assert prometheus["port"] == AXON[1]
    await do(sdk, intents.ResetAxon(NETUID), M2)
    assert (await axon())[1] != 8101


# Stake


@pytest.mark.feature("stake: add, remove, move, swap, transfer", "bittensor")
async def test_add_and_remove_stake_at_the_quoted_price(sdk: Any) -> None:
    wallet = await newcomer(sdk, "//Staker")
    quote = await sdk.read("quote_stake", netuid=NETUID, amount_tao=2)
    result = await do(sdk, intents.AddStake(hot(V1), NETUID, 2), wallet)
    held = await staked(sdk, wallet, hot(V1))
    assert held == pytest.approx(quote.alpha.rao, rel=0.01)  # the chain buys too, every block
    assert 1000 * TAO - await free(sdk, wallet) == 2 * TAO + result.fee.rao
    price = (await sdk.read("alpha_price", netuid=NETUID))["price_rao"]
    await do(sdk, intents.AddStakeLimit(hot(V1), NETUID, 1, price * 2), wallet)
    more = await staked(sdk, wallet, hot(V1))
    assert more > held

    before, part = await free(sdk, wallet), held / TAO / 4
    quote = await sdk.read("quote_unstake", netuid=NETUID, amount_alpha=part)
    result = await do(sdk, intents.RemoveStake(hot(V1), NETUID, part), wallet)
    got = await free(sdk, wallet) - before + result.fee.rao
    assert got == pytest.approx(quote.tao.rao, rel=0.01)
    await do(sdk, intents.RemoveStakeLimit(hot(V1), NETUID, part, price // 2), wallet)
    assert await staked(sdk, wallet, hot(V1)) == pytest.approx(more - held // 2, rel=1e-3)
    await do(sdk, intents.UnstakeAll(hot(V1)), wallet)
    assert await staked(sdk, wallet, hot(V1)) <= 1  # what rounding leaves of a share


async def test_unstake_all_alpha_lands_on_root(sdk: Any) -> None:
    wallet = await newcomer(sdk, "//Rooter")
    await do(sdk, intents.AddStake(hot(V1), NETUID, 2), wallet)
    await do(sdk, intents.UnstakeAllAlpha(hot(V1)), wallet)
    assert await staked(sdk, wallet, hot(V1)) <= 1
    assert await staked(sdk, wallet, hot(V1), 0) == pytest.approx(2 * TAO, rel=0.01)


async def test_move_swap_and_transfer_stake(sdk: Any) -> None:
    wallet, friend = await newcomer(sdk, "//Mover"), KeyPairs("//Friend")
    await do(sdk, intents.AddStake(hot(V1), NETUID, 15), wallet)
    part = await staked(sdk, wallet, hot(V1)) / TAO / 10  # what alpha costs depends on the others

    async def at(who: KeyPairs, hotkey: KeyPairs, netuid: int = NETUID) -> float:
        return await staked(sdk, who, hot(hotkey), netuid) / TAO

    await do(sdk, intents.MoveStake(hot(V1), NETUID, hot(V2), NETUID, part), wallet)
    assert await at(wallet, V2) == pytest.approx(part, rel=1e-3)
    await do(sdk, intents.MoveStake(hot(V1), NETUID, hot(V2), 0, part), wallet)
    on_root = await at(wallet, V2, 0)
    assert on_root == pytest.approx(1.5, rel=0.1)
    await do(sdk, intents.MoveSwapStake(hot(V1), NETUID, hot(V2), 0, part), wallet)
    assert await at(wallet, V2, 0) == pytest.approx(2 * on_root, rel=0.02)
    await do(sdk, intents.SwapStake(hot(V1), NETUID, 0, part), wallet)
    assert await at(wallet, V1, 0) == pytest.approx(on_root, rel=0.02)
    await do(sdk, intents.TransferStake(cold(friend), hot(V1), NETUID, NETUID, part), wallet)
    assert await at(friend, V1) == pytest.approx(part, rel=1e-3)
    landing = {"dest_hotkey_ss58": hot(V2)}
    await do(
        sdk, intents.TransferStake(cold(friend), hot(V1), NETUID, NETUID, part, **landing), wallet
    )
    assert await at(friend, V2) == pytest.approx(part, rel=1e-3)


# Weights


@pytest.mark.feature("weights: plain", "bittensor")
async def test_plain_weights(sdk: Any, town: Town) -> None:
    await do(sdk, set_weights(NETUID, weights={3: 1.0, 4: 3.0}), V2)
    row = (await sdk.read("weights", netuid=NETUID))[town.uids["//V2"]]
    assert row == pytest.approx({3: 0.25, 4: 0.75}, rel=1e-4)


@pytest.mark.feature("weights: timelocked, salted commit and reveal", "bittensor")
async def test_timelocked_weights_wait_for_their_round(sdk: Any, town: Town) -> None:
    secretary = KeyPairs("//Secretary")
    before = await sdk.read("timelocked_weight_commits", netuid=town.secret)
    result = await do(sdk, set_weights(town.secret, weights={0: 1.0}), secretary)
    await do(sdk, intents.CommitWeights(town.secret, [0], [1.0]), secretary)
    after = await sdk.read("timelocked_weight_commits", netuid=town.secret)
    commits = [commit for row in after.values() for commit in row]
    assert len(commits) == sum(map(len, before.values())) + 2
    assert result.data["reveal_round"] in {commit["reveal_round"] for commit in commits}


@pytest.mark.feature("weights: timelocked, salted commit and reveal", "bittensor")
async def test_salted_weights_are_revealed(sdk: Any, town: Town) -> None:
    """The hash is made by scalecodec: of (account, index, uids, values, salt, version)."""
    secretary = KeyPairs("//Secretary")
    salt = [1, 2, 3]

    def vec(kind: str, values: list[int]) -> bytes:
        codec = RuntimeConfiguration().create_scale_object(f"Vec<{kind}>")
        return bytes(codec.encode(values).data)

    raw = secretary.hotkey.public_key + town.secret.to_bytes(2, "little")
    raw += vec("u16", [0]) + vec("u16", [65535]) + vec("u16", salt) + bytes(8)
    digest = hashlib.blake2b(raw, digest_size=32).hexdigest()
    commit = calls.SubtensorModule.commit_weights(netuid=town.secret, commit_hash=f"0x{digest}")
    await send(sdk, commit, secretary, by="hotkey")
    reveal = intents.RevealWeights(town.secret, [0], [1.0], salt)
    early = await sdk.execute(reveal, secretary)
    assert (early.error.name, early.error.code) == ("RevealTooEarly", ErrorCode.TOO_EARLY)
    wrong = await sdk.execute(intents.RevealWeights(town.secret, [0], [1.0], [9]), secretary)
    assert not wrong.success
    await sudo(sdk, calls.AdminUtils.sudo_set_tempo(netuid=town.secret, tempo=20))
    rpc(town.url, "devnet_mine", 21)
    await do(sdk, reveal, secretary)
    assert (await sdk.read("weights", netuid=town.secret))[0] == {0: 1.0}


# Subnets


@pytest.mark.feature("subnets: register, start, name", "bittensor")
async def test_register_and_start_a_subnet(sdk: Any, town: Town) -> None:
    owner = await newcomer(sdk, "//Founder", 5000)
    await founded(sdk, town, await newcomer(sdk, "//Pioneer", 5000))
    cost = await sdk.read("subnet_registration_cost")
    before = await free(sdk, owner)
    result = await do(sdk, intents.RegisterSubnet(), owner)
    netuid = result.data["netuid"]
    assert before - await free(sdk, owner) == pytest.approx(cost.rao, rel=1e-4)
    early = await sdk.execute(intents.AddStake(hot(owner), netuid, 1), owner)
    assert early.error.code is ErrorCode.SUBTOKEN_DISABLED
    await do(sdk, intents.StartCall(netuid), owner)
    again = await sdk.execute(intents.StartCall(netuid), owner)
    assert again.error.name == "FirstEmissionBlockNumberAlreadySet"
    await do(sdk, intents.AddStake(hot(owner), netuid, 1), owner)
    await do(sdk, intents.SetSubnetIdentity(netuid, "Second"), owner)
    assert (await sdk.read("subnet_names"))[netuid] == "Second"
    await do(sdk, intents.UpdateSymbol(netuid, "ω"), owner)
    assert (await sdk.read("token_symbols"))[netuid] == "ω"


@pytest.mark.feature("hyperparameters: read and set", "bittensor")
async def test_hyperparameters_of_the_owner(sdk: Any, town: Town) -> None:
    owner = KeyPairs("//Secretary")
    wanted = {
        "immunity_period": 1234,
        "min_allowed_weights": 1,
        "serving_rate_limit": 7,
        "liquid_alpha_enabled": 1,
        "alpha_high": 60_000,
        "weights_version": 3,
        "burn_half_life": 99,
        "transfers_enabled": 0,
        "bonds_moving_avg": 800_000,
    }
    for name, value in wanted.items():
        await do(sdk, intents.SetHyperparameter(town.secret, name, value), owner)
    found = await sdk.read("subnet_hyperparameters", netuid=town.secret)
    assert {name: int(found[name]) for name in wanted} == wanted


TUNED: dict[str, tuple[str, Any, Any]] = {
    "tempo": ("Tempo", 400, 400),
    "immunity_period": ("ImmunityPeriod", 77, 77),
    "min_allowed_weights": ("MinAllowedWeights", 2, 2),
    "weights_version": ("WeightsVersionKey", 5, 5),
    "activity_cutoff_factor": ("ActivityCutoffFactorMilli", 20_000, 20_000),
    "min_burn": ("MinBurn", 600_000, 600_000),
    "max_burn": ("MaxBurn", 50 * TAO, 50 * TAO),
    "bonds_moving_avg": ("BondsMovingAverage", 800_001, 800_001),
    "bonds_penalty": ("BondsPenalty", 60_000, 60_000),
    "serving_rate_limit": ("ServingRateLimit", 51, 51),
    "commit_reveal_period": ("RevealPeriodEpochs", 3, 3),
    "max_allowed_uids": ("MaxAllowedUids", 128, 128),
    "burn_increase_mult": ("BurnIncreaseMult", 3 << 63, {"bits": 3 << 63}),
    "burn_half_life": ("BurnHalfLife", 99, 99),
    "adjustment_alpha": ("AdjustmentAlpha", 11, 11),
    "rho": ("Rho", 12, 12),
    "max_difficulty": ("MaxDifficulty", 10**8, 10**8),
    "alpha_sigmoid_steepness": ("AlphaSigmoidSteepness", 900, 900),
    "min_childkey_take": ("MinChildkeyTakePerSubnet", 655, 655),
    "owner_immune_neuron_limit": ("ImmuneOwnerUidsLimit", 2, 2),
    "liquid_alpha_enabled": ("LiquidAlphaOn", 1, True),
    "alpha_low": ("AlphaValues", 40_000, (40_000, 58_982)),
    "alpha_high": ("AlphaValues", 60_000, (40_000, 60_000)),
    "commit_reveal_weights_enabled": ("CommitRevealWeightsEnabled", 1, True),
    "registration_allowed": ("NetworkRegistrationAllowed", 0, False),
    "yuma3_enabled": ("Yuma3On", 0, False),
    "bonds_reset_enabled": ("BondsResetOn", 1, True),
    "transfers_enabled": ("TransferToggle", 0, False),
    "owner_cut_enabled": ("OwnerCutEnabled", 0, False),
    "owner_cut_auto_lock_enabled": ("OwnerCutAutoLockEnabled", 1, True),
}
"""By the SDK's name: the storage item, what is set, and what must then be stored."""
NOT_SET = {
    "epoch_consensus", "collateral_lock_share", "collateral_drain_ratio",
    "network_pow_registration_allowed",
}  # fmt: skip
"""Refused: see below, and the table of refusals."""


@pytest.mark.feature("hyperparameters: read and set", "bittensor")
async def test_every_hyperparameter_of_the_owner(sdk: Any, town: Town, stored: Stored) -> None:
    """In one subnet, in order; what is stored is read by other software."""
    assert set(TUNED) | NOT_SET == set(OWNER_HYPERPARAMETERS)
    owner = await newcomer(sdk, "//Tuner of all", 5000)
    netuid = await founded(sdk, town, owner)
    await sudo(
        sdk, calls.AdminUtils.sudo_set_commit_reveal_weights_enabled(netuid=netuid, enabled=False)
    )

    def now(item: str) -> Any:
        found = Stored(stored.chain, stored.chain.get_chain_head()).module(item, netuid)
        return tuple(found) if isinstance(found, list) else found

    for name, (item, value, wanted) in TUNED.items():
        assert now(item) != wanted, f"{name} is so before"
        intent = intents.SetHyperparameter(netuid, name, value)
        result = await sdk.execute(intent, owner, wait_for_finalization=False)
        assert result.success, (name, result)
        assert now(item) == wanted, name


async def test_the_split_of_emission_between_mechanisms(sdk: Any, town: Town) -> None:
    owner = await newcomer(sdk, "//Splitter", 5000)
    netuid = await founded(sdk, town, owner)
    await do(sdk, intents.TrimSubnet(netuid, 128), owner)
    await do(sdk, intents.SetMechanismCount(netuid, 2), owner)
    split = calls.AdminUtils.sudo_set_mechanism_emission_split

    async def refusal(parts: list[int]) -> Any:
        result = await sdk.submit_call(split(netuid, parts), owner, signer="coldkey")
        return (result.error.code, result.error.name)

    assert await refusal([1, 2]) == (C.INVALID_ARGUMENT, "InvalidValue")
    assert await refusal([65_533, 1, 1]) == (C.INVALID_ARGUMENT, "InvalidValue")
    await send(sdk, split(netuid, [45_535, 20_000]), owner)
    assert await sdk.read("mechanism_emission_split", netuid=netuid) == [45_535, 20_000]
    assert await refusal([65_535]) == (C.RATE_LIMITED, "TxRateLimitExceeded")


async def test_mechanisms_and_trimming(sdk: Any, town: Town) -> None:
    owner = KeyPairs("//Secretary")
    many = await sdk.execute(intents.SetMechanismCount(town.secret, 2), owner)
    assert many.error.name == "TooManyUIDsPerMechanism"
    await do(sdk, intents.TrimSubnet(town.secret, 64), owner)
    await do(sdk, intents.SetMechanismCount(town.secret, 2), owner)
    assert await sdk.read("mechanism_count", netuid=town.secret) == 2


async def test_what_only_root_may(sdk: Any, town: Town) -> None:
    intent = intents.SetSubnetEmissionEnabled([town.secret], False)
    refused = await sdk.execute(intent, OWNER)
    assert refused.error.code is ErrorCode.NOT_AUTHORIZED
    await do(sdk, intent, ALICE)
    assert await sdk.read("subnet_emission_enabled", netuid=town.secret) == 0


# Delegates


@pytest.mark.feature("identity, takes, children", "bittensor")
async def test_identity_takes_and_children(sdk: Any, town: Town) -> None:
    await do(sdk, intents.SetIdentity(name="Second validator"), V2)
    assert (await sdk.read("identity", coldkey_ss58=cold(V2)))["name"] == "Second validator"
    await do(sdk, intents.DecreaseTake(0.1), V2)
    take = await sdk.read("delegate_take", hotkey_ss58=hot(V2))
    assert take["take"] == pytest.approx(0.1, rel=1e-3)
    soon = await sdk.execute(intents.IncreaseTake(0.12), V2)
    assert soon.error.code is ErrorCode.RATE_LIMITED
    fresh = await newcomer(sdk, "//Taker")
    await do(sdk, intents.AssociateHotkey(), fresh)
    await do(sdk, intents.IncreaseTake(0.1), fresh)
    await do(sdk, intents.SetTake(0.05), fresh)
    take = await sdk.read("delegate_take", hotkey_ss58=hot(fresh))
    assert take["take"] == pytest.approx(0.05, rel=1e-3)
    await do(sdk, intents.SetChildkeyTake(NETUID, 0.05), V2)
    await do(sdk, intents.SetChildren(NETUID, [[0.5, hot(M1)]]), V2)
    pending = await sdk.read("pending_children", hotkey_ss58=hot(V2), netuid=NETUID)
    ((part, child),) = pending["children"]
    assert child == hot(M1)
    assert part / 2**64 == pytest.approx(0.5)


@pytest.mark.feature("auto-stake, hotkey and coldkey swaps", "bittensor")
async def test_auto_stake(sdk: Any) -> None:
    intent = intents.SetAutoStake(NETUID, hot(V1))
    await do(sdk, intent, M2)
    assert await sdk.read("auto_stake", coldkey_ss58=cold(M2), netuid=NETUID) == hot(V1)
    found = await sdk.read("auto_stake_all", coldkey_ss58=cold(M2))
    assert found == [{"netuid": NETUID, "hotkey": hot(V1)}]
    again = await sdk.execute(intent, M2)
    assert (again.error.code, again.error.name) == (
        ErrorCode.ALREADY_EXISTS,
        "SameAutoStakeHotkeyAlreadySet",
    )


@pytest.mark.feature("auto-stake, hotkey and coldkey swaps", "bittensor")
async def test_swap_a_hotkey(sdk: Any) -> None:
    wallet, fresh = await seated(sdk, "//Swapper"), ss58("//Swapper//cool")
    uid = await sdk.read("uid", hotkey_ss58=hot(wallet), netuid=NETUID)
    await do(sdk, intents.SwapHotkey(fresh, netuid=NETUID), wallet)
    assert await sdk.read("uid", hotkey_ss58=fresh, netuid=NETUID) == uid
    assert await sdk.read("uid", hotkey_ss58=hot(wallet), netuid=NETUID) is None
    assert await sdk.read("hotkey_owner", hotkey_ss58=fresh) == cold(wallet)


@pytest.mark.feature("auto-stake, hotkey and coldkey swaps", "bittensor")
async def test_announce_a_coldkey_swap(sdk: Any) -> None:
    wallet, heir = await newcomer(sdk, "//Leaver"), ss58("//Heir")
    await do(sdk, intents.AnnounceColdkeySwap(heir), wallet)
    found = await sdk.read("coldkey_swap_announcement", coldkey_ss58=cold(wallet))
    assert found["execute_block"] > await sdk.block()
    blocked = await sdk.execute(intents.Transfer(heir, 1), wallet)
    assert (blocked.error.code, blocked.error.name) == (ErrorCode.DISABLED, "ColdkeySwapAnnounced")
    early = await sdk.execute(intents.SwapColdkeyAnnounced(heir), wallet)
    assert early.error.code is ErrorCode.TOO_EARLY


@pytest.mark.feature("auto-stake, hotkey and coldkey swaps", "bittensor")
async def test_follow_an_announced_coldkey_swap_up(sdk: Any) -> None:
    heir, admin = ss58("//Heir of all"), calls.AdminUtils
    await sudo(
        sdk,
        admin.sudo_set_coldkey_swap_announcement_delay(duration=0),
        admin.sudo_set_coldkey_swap_reannouncement_delay(duration=0),
    )
    wallet = await newcomer(sdk, "//Goer")
    await do(sdk, intents.AnnounceColdkeySwap(heir), wallet)
    await do(sdk, intents.ClearColdkeySwapAnnouncement(), wallet)
    assert await sdk.read("coldkey_swap_announcement", coldkey_ss58=cold(wallet)) is None
    await do(sdk, intents.AssociateHotkey(), wallet)
    await do(sdk, intents.AnnounceColdkeySwap(heir), wallet)
    await do(sdk, intents.SwapColdkeyAnnounced(heir), wallet)
    assert await sdk.read("hotkey_owner", hotkey_ss58=hot(wallet)) == heir
    assert await free(sdk, wallet) == 0
    robbed = await newcomer(sdk, "//Robbed")
    await do(sdk, intents.AnnounceColdkeySwap(heir), robbed)
    await do(sdk, intents.DisputeColdkeySwap(), robbed)
    stopped = await sdk.execute(intents.SwapColdkeyAnnounced(heir), robbed)
    assert (stopped.error.code, stopped.error.name) == (C.DISABLED, "ColdkeySwapDisputed")
    await sudo(
        sdk,
        admin.sudo_set_coldkey_swap_announcement_delay(duration=36_000),
        admin.sudo_set_coldkey_swap_reannouncement_delay(duration=7200),
    )


# Root's dividends


async def test_claim_root_dividends(sdk: Any, town: Town) -> None:
    """What is owed is written into storage: half an alpha of the town for each TAO on root."""
    wallet = await newcomer(sdk, "//Claimant")
    hotkey = KeyPairs("//Claimed")
    await do(sdk, intents.AssociateHotkey(hot(hotkey)), wallet)
    await do(sdk, intents.AddStake(hot(hotkey), 0, 4), wallet)
    where, row = written(
        lambda ctx: s.RootClaimable.put(
            ctx, AccountId(hotkey.hotkey.public_key), {NetUid(NETUID): 1 << 31}
        )
    )
    for intent in (intents.ClaimRoot(), intents.ClaimRootWithHotkey(hot(hotkey))):
        price = (await sdk.read("alpha_price", netuid=NETUID))["price_rao"]
        rpc(town.url, "devnet_setStorage", [[where, row]])
        before = await staked(sdk, wallet, hot(hotkey), 0)
        await do(sdk, intent, wallet)
        gained = await staked(sdk, wallet, hot(hotkey), 0) - before
        assert gained == pytest.approx(2 * price, rel=0.1)
        forget, nothing = written(lambda ctx: s.RootClaimed.put(
            ctx, NetUid(NETUID), AccountId(hotkey.hotkey.public_key),
            AccountId(wallet.coldkey.public_key), 0))  # fmt: skip
        rpc(town.url, "devnet_setStorage", [[forget, nothing]])
        await do(sdk, intents.RemoveStake(hot(hotkey), 0, gained / TAO), wallet)


async def test_the_least_that_is_claimed(sdk: Any) -> None:
    await do(sdk, intents.SetRootClaimThreshold("0.001"), ALICE)
    assert (await sdk.read("root_claim_threshold")).rao == TAO // 1000
    await do(sdk, intents.SetRootClaimThreshold("0.0005"), ALICE)


async def test_funding_an_evm_key_is_a_transfer(sdk: Any) -> None:
    """The SDK composes no more than that; nothing takes it out again here."""
    payer = await newcomer(sdk, "//Funder")
    result = await do(sdk, intents.FundEvmKey(f"0x{'ab' * 20}", 1), payer)
    assert await free(sdk, payer) == 999 * TAO - result.fee.rao


# What is not here

FRIEND = ss58("//Friend")
INNER = {"op": "transfer", "dest_ss58": FRIEND, "amount_tao": 1}
LEG = {"origin_netuid": 2, "dest_netuid": 0, "amount": 1}
MISSING: dict[str, dict[str, Any]] = {
    "SubtensorModule": {
        "add_collateral": intents.AddCollateral(NETUID, 1),
        "add_stake_burn": intents.StakeBurn(NETUID, 1),
        "associate_evm_key": intents.AssociateEvmKey(NETUID, f"0x{'11' * 20}", 1, f"0x{'2' * 130}"),
        "lock_stake": intents.LockStake(NETUID, 1),
        "move_lock": intents.MoveLock(NETUID, FRIEND),
        "pow_register": intents.PowRegister(NETUID, 1, 1, "00" * 32),
        "register_leased_network": intents.RegisterLeasedNetwork(10),
        "set_min_collateral": intents.SetMinCollateral(NETUID, 1),
        "set_perpetual_lock": intents.SetPerpetualLock(NETUID, True),
        "set_reject_locked_alpha": intents.SetRejectLockedAlpha(True),
        "stake_into_basket": intents.StakeIntoBasket(hot(V1), 1),
        "swap_basket": intents.SwapBasket(hot(V1), 2, 0, 1),
        "swap_basket_many": intents.SwapBasketMany(hot(V1), [LEG, LEG]),
        "terminate_lease": intents.TerminateLease(0),
    },
    "AdminUtils": {
        "sudo_set_collateral_drain_ratio": intents.SetHyperparameter(
            NETUID, "collateral_drain_ratio", 1 << 64
        ),
        "sudo_set_collateral_lock_share": intents.SetHyperparameter(
            NETUID, "collateral_lock_share", 100
        ),
        "sudo_set_epoch_consensus": intents.SetHyperparameter(NETUID, "epoch_consensus", "Null"),
        "sudo_trim_null_uids_batch": intents.TrimNullSubnetBatch(NETUID, 64),
    },
    "Crowdloan": {
        "contribute": intents.ContributeCrowdloan(0, 1),
        "create": intents.CreateCrowdloan(10, 1, 20, 1000, FRIEND),
        "dissolve": intents.DissolveCrowdloan(0),
        "finalize": intents.FinalizeCrowdloan(0),
        "refund": intents.RefundCrowdloan(0),
        "set_max_contribution": intents.SetCrowdloanMaxContribution(0, 1),
        "update_cap": intents.UpdateCrowdloanCap(0, 5),
        "update_end": intents.UpdateCrowdloanEnd(0, 5),
        "update_min_contribution": intents.UpdateCrowdloanMinContribution(0, 1),
        "withdraw": intents.WithdrawCrowdloan(0),
    },
    "EVM": {"withdraw": intents.EvmWithdraw(1)},
    "Multisig": {
        "as_multi": intents.MultisigExecute(2, [FRIEND], INNER),
        "as_multi_threshold_1": intents.MultisigThreshold1([FRIEND], INNER),
        "cancel_as_multi": intents.MultisigCancel(2, [FRIEND], INNER, {"height": 1, "index": 1}),
    },
    "Proxy": {
        "add_proxy": intents.AddProxy(FRIEND),
        "create_pure": intents.CreatePureProxy(),
        "kill_pure": intents.KillPureProxy(FRIEND),
        "proxy_announced": intents.ExecuteProxyAnnounced(
            FRIEND, FRIEND, "transfer", {"dest_ss58": FRIEND, "amount_tao": 1}
        ),
        "remove_proxies": intents.RemoveProxies(),
        "remove_proxy": intents.RemoveProxy(FRIEND),
    },
}
"""Intents of what is not here, by the call that they come to."""
RAW: dict[str, dict[str, Any]] = {
    "SubtensorModule.disable_voting_power_tracking": {"netuid": NETUID},
    "SubtensorModule.enable_voting_power_tracking": {"netuid": NETUID},
    "SubtensorModule.sudo_set_voting_power_ema_alpha": {"netuid": NETUID, "alpha": 1},
    "Multisig.approve_as_multi": {
        "threshold": 2, "other_signatories": [FRIEND], "maybe_timepoint": None,
        "call_hash": "0x" + "11" * 32, "max_weight": {"ref_time": 1, "proof_size": 1},
    },
    "Proxy.announce": {"real": FRIEND, "call_hash": "0x" + "11" * 32},
    "Proxy.remove_announcement": {"real": FRIEND, "call_hash": "0x" + "11" * 32},
    "Proxy.reject_announcement": {"delegate": FRIEND, "call_hash": "0x" + "11" * 32},
}  # fmt: skip
"""Calls of what is not here that no intent comes to by itself."""
ASKED = {f"{p}.{name}": intent for p, row in MISSING.items() for name, intent in row.items()}


@pytest.mark.feature("calls that are not here, refused by name", "bittensor")
@pytest.mark.parametrize("name", [*ASKED, *RAW])
async def test_what_is_not_here_names_what_it_needs(sdk: Any, name: str) -> None:
    before = await free(sdk, OWNER)
    if name in ASKED:
        result = await sdk.execute(ASKED[name], OWNER)
    else:
        pallet, call = name.split(".")
        result = await sdk.submit_call(calls.Call(pallet, call, RAW[name]), OWNER)
    assert not result.success
    assert f"{name} needs the real-runtime engine" in str(result.error)
    assert await free(sdk, OWNER) == before


@pytest.mark.feature("calls that are not here, refused by name", "bittensor")
async def test_a_call_through_a_proxy_names_what_it_needs(sdk: Any) -> None:
    transfer = intents.Transfer(FRIEND, 1)
    result = await sdk.execute(transfer, OWNER, proxy_for=cold(V1))
    assert "Proxy.proxy needs the real-runtime engine" in str(result.error)


def test_every_call_that_is_not_here_is_asked_for() -> None:
    assert {tuple(name.split(".")) for name in (*ASKED, *RAW)} | {("Proxy", "proxy")} == ABSENT


def test_every_intent_is_done_or_refused() -> None:
    """Done: by a test of this file, which names its class. Refused: in the table above."""
    source = Path(__file__).read_text().split("FRIEND = ss58")[0]
    used = set(re.findall(r"(?:intents\.|\b)([A-Z]\w+)\(", source)) | {"SetWeights"}
    refused = {type(intent) for intent in ASKED.values()} | {intents.MultisigApprove}
    for name, cls in REGISTRY.items():
        assert (cls in refused) or cls.__name__ in used, name
