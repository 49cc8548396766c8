"""The SDK's intents through `Subtensor.execute`: each does what it says, or is refused by name.

Every test stands on the founded town and on accounts of its own, so that any of them runs alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import bittensor
import pytest
from bittensor import calls, intents
from bittensor._generated.storage import SubtensorModule as st
from bittensor.error_map import ErrorCode
from scalecodec.base import RuntimeConfiguration

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
V1, V2, M1, M2, OWNER = map(KeyPairs, ("//V1", "//V2", "//M1", "//M2", "//Owner"))


@pytest.fixture
async def sdk(town: Town) -> AsyncIterator[Any]:
    async with bittensor.Subtensor(town.url) as client:
        yield client


def hot(wallet: KeyPairs) -> str:
    return str(wallet.hotkey.ss58_address)


def cold(wallet: KeyPairs) -> str:
    return str(wallet.coldkey.ss58_address)


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

    before = await free(sdk, wallet)
    quote = await sdk.read("quote_unstake", netuid=NETUID, amount_alpha=0.5)
    result = await do(sdk, intents.RemoveStake(hot(V1), NETUID, 0.5), wallet)
    got = await free(sdk, wallet) - before + result.fee.rao
    assert got == pytest.approx(quote.tao.rao, rel=0.01)
    await do(sdk, intents.RemoveStakeLimit(hot(V1), NETUID, 0.5, price // 2), wallet)
    assert await staked(sdk, wallet, hot(V1)) == pytest.approx(more - TAO, rel=1e-3)
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

    async def at(who: KeyPairs, hotkey: KeyPairs, netuid: int = NETUID) -> float:
        return await staked(sdk, who, hot(hotkey), netuid) / TAO

    await do(sdk, intents.MoveStake(hot(V1), NETUID, hot(V2), NETUID, 1), wallet)
    assert await at(wallet, V2) == pytest.approx(1, rel=1e-3)
    await do(sdk, intents.MoveStake(hot(V1), NETUID, hot(V2), 0, 1), wallet)
    on_root = await at(wallet, V2, 0)
    assert on_root > 1  # an alpha costs more than a TAO here
    await do(sdk, intents.MoveSwapStake(hot(V1), NETUID, hot(V2), 0, 1), wallet)
    assert await at(wallet, V2, 0) == pytest.approx(2 * on_root, rel=0.01)
    await do(sdk, intents.SwapStake(hot(V1), NETUID, 0, 1), wallet)
    assert await at(wallet, V1, 0) == pytest.approx(on_root, rel=0.01)
    await do(sdk, intents.TransferStake(cold(friend), hot(V1), NETUID, NETUID, 1), wallet)
    assert await at(friend, V1) == pytest.approx(1, rel=1e-3)
    landing = {"dest_hotkey_ss58": hot(V2)}
    await do(
        sdk, intents.TransferStake(cold(friend), hot(V1), NETUID, NETUID, 1, **landing), wallet
    )
    assert await at(friend, V2) == pytest.approx(1, rel=1e-3)


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
async def test_register_and_start_a_subnet(sdk: Any) -> None:
    owner = await newcomer(sdk, "//Founder", 50_000)
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


# Refusals

NOBODY = KeyPairs("//Nobody")
C = ErrorCode
REFUSALS: dict[str, tuple[Any, KeyPairs, ErrorCode, str]] = {
    "more than one has": (
        intents.Transfer(ss58("//Payee"), 10**7), V1, C.INSUFFICIENT_BALANCE, "FundsUnavailable"
    ),
    "no money for the fee": (
        intents.Transfer(ss58("//Payee"), 1), NOBODY, C.INSUFFICIENT_BALANCE, "Payment"
    ),
    "less than the existential deposit": (
        intents.Transfer(ss58("//Tiny"), "0.000000100"), V1, C.INSUFFICIENT_BALANCE, "BelowMinimum"
    ),
    "a seat on no subnet": (
        intents.BurnedRegister(99), V1, C.SUBNET_NOT_EXISTS, "SubnetNotExists"
    ),
    "a second seat": (
        intents.BurnedRegister(NETUID), M1, C.ALREADY_EXISTS, "HotKeyAlreadyRegisteredInSubNet"
    ),
    "another's hotkey": (
        intents.BurnedRegister(1, hot(M1)), V1, C.NOT_AUTHORIZED, "NonAssociatedColdKey"
    ),
    "to start what runs": (
        intents.StartCall(NETUID), OWNER, C.ALREADY_EXISTS, "FirstEmissionBlockNumberAlreadySet"
    ),
    "to start another's subnet": (intents.StartCall(NETUID), V1, C.NOT_AUTHORIZED, "BadOrigin"),
    "to name another's subnet": (
        intents.SetSubnetIdentity(NETUID, "Mine"), V1, C.NOT_AUTHORIZED, "NotSubnetOwner"
    ),
    "to set another's hyperparameter": (
        intents.SetHyperparameter(NETUID, "rho", 3), V1, C.NOT_AUTHORIZED, "BadOrigin"
    ),
    "to reveal nothing": (
        intents.RevealWeights(NETUID, [0], [1.0], [1]), V1, C.NOT_FOUND, "NoWeightsCommitFound"
    ),
    "an address that is nobody's": (
        intents.ServeAxon(NETUID, "127.0.0.1", 80), M1, C.INVALID_ARGUMENT, "InvalidIpAddress"
    ),
    "stake on an unknown hotkey": (
        intents.AddStake(ss58("//Unknown"), NETUID, 1), V1, C.NOT_REGISTERED,
        "HotKeyAccountNotExists",
    ),
    "stake on no subnet": (
        intents.AddStake(hot(V1), 99, 1), V1, C.SUBNET_NOT_EXISTS, "SubnetNotExists"
    ),
    "stake that moves the price too far": (
        intents.AddStake(hot(V1), NETUID, 5000), V1, C.INSUFFICIENT_LIQUIDITY, "SlippageTooHigh"
    ),
    "a move that moves the price too far": (
        intents.MoveStake(hot(V1), NETUID, hot(V2), 0, 40), V1, C.INSUFFICIENT_LIQUIDITY,
        "SlippageTooHigh",
    ),
    "too little stake": (
        intents.AddStake(hot(V1), NETUID, "0.0001"), V1, C.LIMIT_EXCEEDED, "AmountTooLow"
    ),
    "more stake than money": (
        intents.AddStake(hot(V1), NETUID, 10**6, slippage_protection=False), V1,
        C.INSUFFICIENT_BALANCE, "NotEnoughBalanceToStake",
    ),
    "to unstake more than there is": (
        intents.RemoveStake(hot(V1), NETUID, 10**6), V1, C.INSUFFICIENT_BALANCE,
        "NotEnoughStakeToWithdraw",
    ),
    "a take beyond the most": (
        intents.IncreaseTake(0.9), V1, C.INVALID_ARGUMENT, "DelegateTakeTooHigh"
    ),
}  # fmt: skip


@pytest.mark.feature("errors by their names", "bittensor")
@pytest.mark.parametrize("what", REFUSALS)
async def test_refusals_have_the_sdks_codes(sdk: Any, what: str) -> None:
    intent, wallet, code, name = REFUSALS[what]
    result = await sdk.execute(intent, wallet, wait_for_finalization=False)
    assert not result.success
    assert (result.error.code, result.error.name) == (code, name)


async def test_a_seat_without_a_permit(sdk: Any) -> None:
    idler = await seated(sdk, "//Idler")
    result = await sdk.execute(set_weights(NETUID, weights={1: 1.0}), idler)
    assert (result.error.code, result.error.name) == (C.NOT_AUTHORIZED, "NeuronNoValidatorPermit")


async def test_a_hotkey_without_a_seat(sdk: Any) -> None:
    stranger = await newcomer(sdk, "//Stranger")
    await do(sdk, intents.AssociateHotkey(), stranger)
    result = await sdk.execute(intents.ServeAxon(NETUID, "10.0.0.1", 80), stranger)
    assert result.error.code is ErrorCode.NOT_REGISTERED
    with pytest.raises(bittensor.ChainError) as refused:  # the SDK looks before it signs
        await sdk.execute(set_weights(NETUID, weights={3: 1.0}), stranger)
    assert refused.value.code is ErrorCode.NOT_REGISTERED


MISSING: dict[str, tuple[Any, str]] = {
    "add_collateral": (intents.AddCollateral(NETUID, 1), "SubtensorModule.add_collateral"),
    "add_proxy": (intents.AddProxy(ss58("//Friend")), 'pallet "Proxy"'),
    "claim_root_with_hotkey": (
        intents.ClaimRootWithHotkey(hot(V1)), "SubtensorModule.claim_root_with_hotkey"
    ),
    "create_crowdloan": (
        intents.CreateCrowdloan(10, 1, 20, 1000, ss58("//Friend")), 'pallet "Crowdloan"'
    ),
    "lock_stake": (intents.LockStake(NETUID, 1), "SubtensorModule.lock_stake"),
    "stake_into_basket": (
        intents.StakeIntoBasket(hot(V1), 1), "SubtensorModule.stake_into_basket"
    ),
}  # fmt: skip
"""Some of what is not here. The SDK composes by metadata, so that it can say what is missing."""


@pytest.mark.feature("calls that are not here, refused by name", "bittensor")
@pytest.mark.parametrize("op", MISSING)
async def test_calls_that_are_not_here_are_named(sdk: Any, op: str) -> None:
    intent, missing = MISSING[op]
    with pytest.raises(ValueError, match=f"{missing} not found"):
        await sdk.execute(intent, V1)
