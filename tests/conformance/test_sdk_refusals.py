"""Every refusal that the chain documents for an intent, through the SDK, by the SDK's own code.

A row is: the intent, who signs it, the code and name that the SDK must report, and what has to be
so in the state for it. That is written for the row and put back after it: rows do not see each
other. Refusals in the pool arrive as `Custom error: N`, for which the SDK has names of its own.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bittensor
import pytest
from bittensor import calls, intents
from bittensor.error_map import ErrorCode
from bittensor.intents.registry import REGISTRY

from chain.runtime.construct import PALLETS
from chain.runtime.frame import Block, Call, Ctx
from chain.runtime.pallets import payment, system
from chain.runtime.pallets.absent import ABSENT
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.accounts import subnet_account
from chain.runtime.pallets.subtensor.ratelimits import (
    NETWORK_REGISTRATION,
    hyperparameter_change,
)
from chain.runtime.pallets.subtensor.records import AxonInfo, StorageIndex
from chain.runtime.pallets.subtensor.records import Hyperparameter as H
from chain.runtime.state import EmptyState, State
from chain.types import H256, AccountId, Alpha, NetUid, Rao
from tests.conformance.conftest import living_in
from tests.conformance.town import (
    ALICE,
    TAO,
    KeyPairs,
    batch,
    key,
    new_subnet,
    open_chain,
    rpc,
    send,
    ss58,
)
from tests.devnet.process import devnet_process

C = ErrorCode
OPEN, CLOSED, NONE = NetUid(2), NetUid(3), NetUid(77)
"""A subnet that runs, one with commit-reveal that has not started, and none."""
OWNER, SECOND, VAL, MIN, RICH, POOR = map(
    KeyPairs, ("//Owner", "//Second", "//Val", "//Min", "//Rich", "//Poor")
)
FRIEND, STRANGER = ss58("//Friend"), ss58("//Stranger//hot")
POOL = subnet_account(OPEN).ss58()


def hot(wallet: KeyPairs) -> str:
    return str(wallet.hotkey.ss58_address)


def account(uri: str) -> AccountId:
    return AccountId(bytes(key(uri).public_key))


@dataclass(frozen=True)
class Raw:
    """A call as it is: one that the SDK's intent would not make, for knowing better."""

    call: calls.Call
    by: str = "hotkey"


@dataclass(frozen=True)
class Yard:
    """A chain for these rows alone."""

    url: str


async def found(url: str) -> None:
    sdk: Any
    async with bittensor.Subtensor(url) as sdk:
        people = ("//Owner", "//Second", "//Val", "//Min", "//Rich")
        await open_chain(sdk, *people, tao=20_000)
        assert await new_subnet(sdk, OWNER) == OPEN
        assert await new_subnet(sdk, SECOND) == CLOSED
        module, admin = calls.SubtensorModule, calls.AdminUtils
        await send(sdk, module.start_call(netuid=OPEN), OWNER)
        await send(
            sdk, admin.sudo_set_commit_reveal_weights_enabled(netuid=CLOSED, enabled=True), SECOND
        )
        for wallet in (VAL, MIN):
            await send(sdk, module.burned_register(netuid=OPEN, hotkey=hot(wallet)), wallet)
        stake = {"hotkey": hot(VAL), "amount_staked": 20 * TAO}
        root = {**stake, "netuid": 0}
        await batch(
            sdk,
            VAL,
            module.add_stake(**stake, netuid=OPEN),
            module.add_stake(**root),
            module.root_register(hotkey=hot(VAL)),
        )
        await send(sdk, module.try_associate_hotkey(hotkey=hot(RICH)), RICH)
        tempo = calls.AdminUtils.sudo_set_tempo(netuid=OPEN, tempo=360)
        await send(sdk, calls.Sudo.sudo(call=await sdk.compose(tempo)), ALICE)
        rpc(url, "devnet_mine", 361)  # the epoch gives the validator its permit


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory, own_caches: Path) -> Iterator[Yard]:
    log: Path = tmp_path_factory.mktemp("yard") / "log"
    with devnet_process(log, "--block-time", "instant") as devnet:
        with living_in(own_caches):
            asyncio.run(found(devnet.url))
        yield Yard(devnet.url)


@pytest.fixture
async def sdk(yard: Yard) -> AsyncIterator[Any]:
    async with bittensor.Subtensor(yard.url) as client:
        yield client


Write = Callable[[Ctx], None]


@contextmanager
def so(url: str, write: Write | None) -> Iterator[None]:
    """The state as `write` leaves it, and as it was again afterwards."""
    if write is None:
        yield
        return
    state = State(EmptyState())
    write(Ctx(Block(state, 0)))
    wanted = {f"0x{k.hex()}": v and f"0x{v.hex()}" for k, v in state.changes().items()}
    before = [[k, rpc(url, "state_getStorage", k)] for k in wanted]
    rpc(url, "devnet_setStorage", [list(pair) for pair in wanted.items()])
    try:
        yield
    finally:
        rpc(url, "devnet_setStorage", before)


async def error_of(sdk: Any, asked: Any, wallet: Any) -> Any:
    """What the SDK says was wrong with an intent or a raw call, before it signs or after."""
    quick = {"wait_for_finalization": False}
    try:
        if isinstance(asked, Raw):
            result = await sdk.submit_call(asked.call, wallet, signer=asked.by, **quick)
        else:
            result = await sdk.execute(asked, wallet, **quick)
    except bittensor.ChainError as error:
        return error
    assert not result.success, f"{asked} was done"
    return result.error


Row = (
    tuple[Any, KeyPairs, ErrorCode, str | None] | tuple[Any, KeyPairs, ErrorCode, str | None, Write]
)


def limited(netuid: NetUid, number: int, uri: str = "//Owner") -> Write:
    """That the coldkey has just done what is counted under `number`."""
    return lambda ctx: s.TransactionKeyLastBlock.put(ctx, account(uri), netuid, number, 10**6)


def frozen(ctx: Ctx) -> None:
    """Near an epoch: the window is wider than any tempo."""
    s.AdminFreezeWindow.put(ctx, 65_535)


def stake_asked(ctx: Ctx) -> None:
    s.StakeThreshold.put(ctx, 10**18)


def full(ctx: Ctx) -> None:
    """All seats taken, and only those of the owner, which never leave."""
    s.MaxAllowedUids.put(ctx, OPEN, 1)
    s.SubnetworkN.put(ctx, OPEN, 1)


def no_seats(ctx: Ctx) -> None:
    s.MaxAllowedUids.put(ctx, OPEN, 0)


def thin(ctx: Ctx) -> None:
    """A pool that can pay next to nothing, and that nothing flows into."""
    s.SubnetEmissionEnabled.put(ctx, OPEN, False)
    s.SubnetTAO.put(ctx, OPEN, Rao(900_000))
    s.SubnetAlphaIn.put(ctx, OPEN, Alpha(900_000))


def closed(ctx: Ctx) -> None:
    s.SubtokenEnabled.put(ctx, OPEN, False)


def no_transfers(ctx: Ctx) -> None:
    s.TransferToggle.put(ctx, OPEN, False)


def burned(netuid: NetUid = OPEN, wallet: KeyPairs = RICH) -> Any:
    return intents.BurnedRegister(int(netuid), hot(wallet))


def put(item: Any, *values: Any) -> Write:
    return lambda ctx: item.put(ctx, *values)


def owners(call: calls.Call) -> Raw:
    return Raw(call, by="coldkey")


def all_of(*writes: Write) -> Write:
    def write(ctx: Ctx) -> None:
        for each in writes:
            each(ctx)

    return write


def set_to(name: str, value: Any, netuid: NetUid = OPEN) -> Any:
    return intents.SetHyperparameter(int(netuid), name, value)


def moved(**changes: Any) -> Any:
    """Stake of the validator to the miner's hotkey on root."""
    fields: dict[str, Any] = {
        "origin_hotkey_ss58": hot(VAL), "origin_netuid": 2, "dest_hotkey_ss58": hot(MIN),
        "dest_netuid": 0, "amount_alpha": 1, "slippage_protection": False,
    }  # fmt: skip
    return intents.MoveStake(**{**fields, **changes})


def swapped(**changes: Any) -> Any:
    fields: dict[str, Any] = {
        "hotkey_ss58": hot(VAL), "origin_netuid": 2, "dest_netuid": 0, "amount_alpha": 1,
        "slippage_protection": False,
    }  # fmt: skip
    return intents.SwapStake(**{**fields, **changes})


def given(**changes: Any) -> Any:
    fields: dict[str, Any] = {
        "dest_coldkey_ss58": FRIEND, "hotkey_ss58": hot(VAL), "origin_netuid": 2,
        "dest_netuid": 2, "amount_alpha": 1,
    }  # fmt: skip
    return intents.TransferStake(**{**fields, **changes})


def weights(netuid: NetUid = OPEN, *pairs: tuple[int, float], **fields: Any) -> Any:
    uids, values = zip(*(pairs or ((2, 1),)), strict=True)
    return intents.SetWeights(int(netuid), list(uids), list(values), **fields)


def children(*pairs: tuple[float, str], netuid: NetUid = OPEN, hotkey: str | None = None) -> Any:
    return intents.SetChildren(int(netuid), [list(pair) for pair in pairs], hotkey)


def related(ctx: Ctx) -> None:
    """The miner's hotkey lends to the validator's."""
    s.ParentKeys.put(ctx, account("//Val//hot"), OPEN, [(2**63, account("//Min//hot"))])


def funded(uri: str, rao: int) -> Write:
    """An account with money: its record alone, the issuance does not matter here."""

    def write(ctx: Ctx) -> None:
        record = system.Account.get(ctx, account(uri))
        data = replace(record.data, free=Rao(rao))
        system.Account.put(ctx, account(uri), replace(record, providers=1, data=data))

    return write


def served(ctx: Ctx) -> None:
    """The miner has just said where it is."""
    s.ServingRateLimit.put(ctx, OPEN, 50)
    s.Axons.put(ctx, OPEN, account("//Min//hot"), AxonInfo(10**6, 1, 1, 80, 4, 4, 0, 0))


def ten_waiting(ctx: Ctx) -> None:
    """Ten sealed commits in an epoch that does not end."""
    s.SubnetEpochIndex.put(ctx, CLOSED, 5)
    s.LastEpochBlock.put(ctx, CLOSED, 10**6)
    waiting = [(account("//Second//hot"), 1, b"x", 1)] * 10
    s.TimelockedWeightCommits.put(ctx, StorageIndex.of(CLOSED), 5, waiting)


def commit(uri: str, netuid: NetUid, epoch: int, digest: bytes) -> Write:
    """A salted commit that waits."""
    index, hotkey = StorageIndex.of(netuid), account(uri)
    return lambda ctx: s.WeightCommits.put(ctx, index, hotkey, [(H256(digest), epoch, 1, 0)])


def of_all(uri: str, netuid: NetUid) -> bytes:
    """What stands for everything on uid 0, with salt 7 and version 0."""
    raw = account(uri) + int(netuid).to_bytes(2, "little")
    raw += b"\x04\x00\x00" + b"\x04\xff\xff" + b"\x04\x07\x00" + bytes(8)
    return hashlib.blake2b(raw, digest_size=32).digest()


def committed(uri: str, netuid: NetUid, epoch: int, now: int | None = None) -> Write:
    """Such a commit of an epoch, and which epoch it is."""

    def write(ctx: Ctx) -> None:
        commit(uri, netuid, epoch, of_all(uri, netuid))(ctx)
        if now is not None:
            s.SubnetEpochIndex.put(ctx, netuid, now)

    return write


assert "Balances" in PALLETS.by_name
FEE = int(payment.fee(Call("Balances", "transfer_keep_alive", {}), 147, 0))
"""Of a transfer, whose extrinsic has about so many bytes."""
REVEAL = intents.RevealWeights(int(CLOSED), [0], [1.0], [7])
SEALED = intents.CommitWeights(int(CLOSED), [0], [1.0])
LONG = "x" * 257
FIVE = [(0.1, ss58(f"//Child{i}")) for i in range(6)]

ROWS: dict[str, Row] = {
    # Money
    "transfer: more than there is": (
        intents.Transfer(FRIEND, 10**7), RICH, C.INSUFFICIENT_BALANCE, "FundsUnavailable"),
    "transfer: no money for the fee": (
        intents.Transfer(FRIEND, 1), POOR, C.INSUFFICIENT_BALANCE, "Payment"),
    "transfer: too little for a new account": (
        intents.Transfer(FRIEND, "0.0000001"), RICH, C.INSUFFICIENT_BALANCE, "BelowMinimum"),
    "transfer: the account would die": (
        intents.Transfer(FRIEND, "1.0"), KeyPairs("//Single"), C.INSUFFICIENT_BALANCE,
        "NotExpendable", funded("//Single", TAO + FEE + 300)),
    "transfer_all: no money for the fee": (
        intents.TransferAll(FRIEND), POOR, C.INSUFFICIENT_BALANCE, "Payment"),
    "batch: an item's own refusal": (
        intents.Batch([{"op": "transfer", "dest_ss58": FRIEND, "amount_tao": 10**7}]), RICH,
        C.INSUFFICIENT_BALANCE, "FundsUnavailable"),
    # Hotkeys and seats
    "associate_hotkey: a subnet's account": (
        intents.AssociateHotkey(POOL), RICH, C.NOT_AUTHORIZED, "CannotUseSystemAccount"),
    "burned_register: on root": (
        burned(NetUid(0)), RICH, C.INVALID_ARGUMENT, "RegistrationNotPermittedOnRootSubnet"),
    "burned_register: on no subnet": (
        burned(NONE), RICH, C.SUBNET_NOT_EXISTS, "SubnetNotExists"),
    "burned_register: where it is switched off": (
        burned(), RICH, C.DISABLED, "SubNetRegistrationDisabled",
        put(s.NetworkRegistrationAllowed, OPEN, False)),
    "burned_register: a second seat": (
        burned(wallet=VAL), VAL, C.ALREADY_EXISTS, "HotKeyAlreadyRegisteredInSubNet"),
    "burned_register: more than one has": (
        burned(), RICH, C.INSUFFICIENT_BALANCE, "NotEnoughBalanceToStake",
        all_of(put(s.MaxBurn, OPEN, Rao(10**9 * TAO)),
                     put(s.Burn, OPEN, Rao(10**9 * TAO)))),
    "burned_register: a subnet's account": (
        intents.BurnedRegister(2, POOL), RICH, C.NOT_AUTHORIZED, "CannotUseSystemAccount"),
    "burned_register: another's hotkey": (
        burned(CLOSED, VAL), RICH, C.NOT_AUTHORIZED, "NonAssociatedColdKey"),
    "burned_register: no seats": (
        burned(), RICH, C.LIMIT_EXCEEDED, "NoNeuronIdAvailable", no_seats),
    "burned_register: nobody leaves": (
        burned(), RICH, C.LIMIT_EXCEEDED, "NoNeuronIdAvailable", full),
    "burned_register: an empty pool": (
        burned(), RICH, C.INSUFFICIENT_LIQUIDITY, "ReservesTooLow", thin),
    "root_register: too many in this interval": (
        intents.RootRegister(), RICH, C.RATE_LIMITED, "TooManyRegistrationsThisInterval",
        all_of(put(s.Tempo, NetUid(0), 0),
                     put(s.RegistrationsThisInterval, NetUid(0), 3))),
    "root_register: too many in this block": (
        intents.RootRegister(), RICH, C.RATE_LIMITED, "TooManyRegistrationsThisBlock",
        put(s.MaxRegistrationsPerBlock, NetUid(0), 0)),
    "root_register: a second seat": (
        intents.RootRegister(), VAL, C.ALREADY_EXISTS, "HotKeyAlreadyRegisteredInSubNet"),
    "root_register: less stake than the least": (
        intents.RootRegister(), RICH, C.INSUFFICIENT_BALANCE, "StakeTooLowForRoot",
        put(s.MaxAllowedUids, NetUid(0), 1)),
    "root_register: a subnet's account": (
        intents.RootRegister(POOL), RICH, C.NOT_AUTHORIZED, "CannotUseSystemAccount"),
    # Subnets
    "register_subnet: another's hotkey": (
        intents.RegisterSubnet(hot(VAL)), RICH, C.NOT_AUTHORIZED, "NonAssociatedColdKey"),
    "register_subnet: a subnet's account": (
        intents.RegisterSubnet(POOL), RICH, C.NOT_AUTHORIZED, "CannotUseSystemAccount"),
    "register_subnet: before its time": (
        intents.RegisterSubnet(), RICH, C.DISABLED, "SubNetRegistrationDisabled",
        put(s.NetworkRegistrationStartBlock, 10**9)),
    "register_subnet: too soon after another": (
        intents.RegisterSubnet(), RICH, C.RATE_LIMITED, "RateLimitExceeded",
        all_of(put(s.LastRateLimitedBlock, NETWORK_REGISTRATION, 10**6),
                     put(s.NetworkRateLimit, 7200))),
    "register_subnet: too many": (
        intents.RegisterSubnet(), RICH, C.LIMIT_EXCEEDED, "SubnetLimitReached",
        put(s.SubnetLimit, 1)),
    "register_subnet: more than one has": (
        intents.RegisterSubnet(), RICH, C.INSUFFICIENT_BALANCE, "CannotAffordLockCost",
        put(s.NetworkMinLockCost, Rao(10**9 * TAO))),
    "start_call: no subnet": (
        intents.StartCall(77), OWNER, C.SUBNET_NOT_EXISTS, "SubnetNotExists"),
    "start_call: another's": (
        intents.StartCall(2), RICH, C.NOT_AUTHORIZED, "BadOrigin"),
    "start_call: twice": (
        intents.StartCall(2), OWNER, C.ALREADY_EXISTS, "FirstEmissionBlockNumberAlreadySet"),
    "start_call: too early": (
        intents.StartCall(3), SECOND, C.TOO_EARLY, "NeedWaitingMoreBlocksToStarCall",
        put(s.StartCallDelay, 10**6)),
    "set_subnet_identity: another's": (
        intents.SetSubnetIdentity(2, "Mine"), RICH, C.NOT_AUTHORIZED, "NotSubnetOwner"),
    "set_subnet_identity: too long": (
        intents.SetSubnetIdentity(2, LONG), OWNER, C.INVALID_ARGUMENT, "InvalidIdentity"),
    "update_symbol: another's": (
        intents.UpdateSymbol(2, "ω"), RICH, C.NOT_AUTHORIZED, "BadOrigin"),
    "update_symbol: none that is known": (
        intents.UpdateSymbol(2, "!"), OWNER, C.NOT_FOUND, "SymbolDoesNotExist"),
    "update_symbol: one in use": (
        intents.UpdateSymbol(2, "γ"), OWNER, C.ALREADY_EXISTS, "SymbolAlreadyInUse"),
    "trim_subnet: another's": (
        intents.TrimSubnet(2, 64), RICH, C.NOT_AUTHORIZED, "BadOrigin"),
    "trim_subnet: too seldom allowed": (
        intents.TrimSubnet(2, 64), OWNER, C.RATE_LIMITED, "TxRateLimitExceeded",
        limited(OPEN, 9)),
    "trim_subnet: near an epoch": (
        intents.TrimSubnet(2, 64), OWNER, C.TOO_EARLY, "AdminActionProhibitedDuringWeightsWindow",
        frozen),
    "trim_subnet: below the least": (
        intents.TrimSubnet(2, 3), OWNER, C.INVALID_ARGUMENT, "InvalidValue"),
    "trim_subnet: above the most": (
        intents.TrimSubnet(2, 257), OWNER, C.INVALID_ARGUMENT, "InvalidValue"),
    "trim_subnet: too many are immune": (
        intents.TrimSubnet(2, 2), OWNER, C.LIMIT_EXCEEDED,
        "TrimmingWouldExceedMaxImmunePercentage", put(s.MinAllowedUids, OPEN, 1)),
    "set_mechanism_count: another's": (
        intents.SetMechanismCount(2, 2), RICH, C.NOT_AUTHORIZED, "BadOrigin"),
    "set_mechanism_count: too soon": (
        intents.SetMechanismCount(2, 2), OWNER, C.RATE_LIMITED, "TxRateLimitExceeded",
        limited(OPEN, 7)),
    "set_mechanism_count: near an epoch": (
        intents.SetMechanismCount(2, 2), OWNER, C.TOO_EARLY,
        "AdminActionProhibitedDuringWeightsWindow", frozen),
    "set_mechanism_count: none": (
        intents.SetMechanismCount(2, 0), OWNER, C.INVALID_ARGUMENT, "InvalidValue"),
    "set_mechanism_count: too many": (
        intents.SetMechanismCount(2, 3), OWNER, C.INVALID_ARGUMENT, "InvalidValue"),
    "set_mechanism_count: too many seats": (
        intents.SetMechanismCount(2, 2), OWNER, C.LIMIT_EXCEEDED, "TooManyUIDsPerMechanism"),
    "set_subnet_emission_enabled: not root": (
        intents.SetSubnetEmissionEnabled([2], False), OWNER, C.NOT_AUTHORIZED, "BadSigner"),
    "set_subnet_emission_enabled: of root": (
        intents.SetSubnetEmissionEnabled([0], False), ALICE, C.INVALID_ARGUMENT,
        "NotPermittedOnRootSubnet"),
    "set_root_claim_threshold: too high": (
        intents.SetRootClaimThreshold("0.02"), ALICE, C.INVALID_ARGUMENT,
        "InvalidRootClaimThreshold"),
    # Serving
    "serve_axon: no seat": (
        intents.ServeAxon(2, "10.0.0.1", 80), RICH, C.NOT_REGISTERED,
        "HotKeyNotRegisteredInNetwork"),
    "serve_axon: the loopback": (
        intents.ServeAxon(2, "127.0.0.1", 80), MIN, C.INVALID_ARGUMENT, "InvalidIpAddress"),
    "serve_axon: too soon": (
        intents.ServeAxon(2, "10.0.0.1", 80), MIN, C.RATE_LIMITED, "ServingRateLimitExceeded",
        served),
    "serve_axon: no port": (
        intents.ServeAxon(2, "10.0.0.1", 0), MIN, C.INVALID_ARGUMENT, "InvalidPort"),
    "serve_axon_tls: no seat": (
        intents.ServeAxonTls(2, "10.0.0.1", 80, "ab" * 33), RICH, C.NOT_REGISTERED,
        "HotKeyNotRegisteredInNetwork"),
    "serve_axon_tls: the loopback of IPv6": (
        intents.ServeAxonTls(2, "::1", 80, "ab" * 33), MIN, C.INVALID_ARGUMENT,
        "InvalidIpAddress"),
    "serve_prometheus: no seat": (
        intents.ServePrometheus(2, "10.0.0.1", 80), RICH, C.NOT_REGISTERED,
        "HotKeyNotRegisteredInNetwork"),
    "serve_prometheus: nowhere": (
        intents.ServePrometheus(2, "0.0.0.0", 80), MIN, C.INVALID_ARGUMENT, "InvalidIpAddress"),
    "serve_prometheus: no port": (
        intents.ServePrometheus(2, "10.0.0.1", 0), MIN, C.INVALID_ARGUMENT, "InvalidPort"),
    "reset_axon: no seat": (
        intents.ResetAxon(2), RICH, C.NOT_REGISTERED, "HotKeyNotRegisteredInNetwork"),
    # Stake
    "add_stake: on no subnet": (
        intents.AddStake(hot(VAL), 77, 1), RICH, C.SUBNET_NOT_EXISTS, "SubnetNotExists"),
    "add_stake: a thousand times the pool": (
        intents.AddStake(hot(VAL), 2, 200, False), RICH, C.INSUFFICIENT_LIQUIDITY,
        "InsufficientLiquidity", thin),
    "add_stake: before the start": (
        intents.AddStake(hot(SECOND), 3, 1, False), RICH, C.SUBTOKEN_DISABLED,
        "SubtokenDisabled"),
    "add_stake: too little": (
        intents.AddStake(hot(VAL), 2, "0.0001"), RICH, C.LIMIT_EXCEEDED, "AmountTooLow"),
    "add_stake: the price moves too far": (
        intents.AddStake(hot(VAL), 2, 5000), RICH, C.INSUFFICIENT_LIQUIDITY, "SlippageTooHigh"),
    "add_stake: more than one has": (
        intents.AddStake(hot(VAL), 2, 10**5, slippage_protection=False), RICH,
        C.INSUFFICIENT_BALANCE, "NotEnoughBalanceToStake"),
    "add_stake: an unknown hotkey": (
        intents.AddStake(STRANGER, 2, 1), RICH, C.NOT_REGISTERED, "HotKeyAccountNotExists"),
    "add_stake: an empty pool": (
        intents.AddStake(hot(VAL), 2, "0.5", False), RICH, C.INSUFFICIENT_LIQUIDITY,
        "InsufficientLiquidity", thin),
    "add_stake_limit: the price is above it": (
        intents.AddStakeLimit(hot(VAL), 2, 1, 1), RICH, C.INSUFFICIENT_LIQUIDITY,
        "PriceLimitExceeded"),
    "add_stake_limit: on root, below 1 TAO": (
        intents.AddStakeLimit(hot(VAL), 0, 1, 1), RICH, C.INSUFFICIENT_LIQUIDITY,
        "SlippageTooHigh"),
    "add_stake_limit: on no subnet": (
        intents.AddStakeLimit(hot(VAL), 77, 1, 10**12), RICH, C.SUBNET_NOT_EXISTS,
        "SubnetNotExists"),
    "remove_stake: from no subnet": (
        intents.RemoveStake(hot(VAL), 77, 1), VAL, C.SUBNET_NOT_EXISTS, "SubnetNotExists"),
    "remove_stake: while closed": (
        intents.RemoveStake(hot(VAL), 2, 1, slippage_protection=False), VAL,
        C.SUBTOKEN_DISABLED, "SubtokenDisabled", closed),
    "remove_stake: more than there is": (
        intents.RemoveStake(hot(VAL), 2, 5000), VAL, C.INSUFFICIENT_BALANCE,
        "NotEnoughStakeToWithdraw"),
    "remove_stake: none of it": (
        intents.RemoveStake(hot(VAL), 2, 1, slippage_protection=False), RICH, C.LIMIT_EXCEEDED,
        "AmountTooLow"),
    "remove_stake: too little": (
        intents.RemoveStake(hot(VAL), 2, "0.0001", slippage_protection=False), VAL,
        C.LIMIT_EXCEEDED, "AmountTooLow"),
    "remove_stake: an empty pool": (
        intents.RemoveStake(hot(VAL), 2, 1, slippage_protection=False), VAL,
        C.INSUFFICIENT_LIQUIDITY, "InsufficientLiquidity", thin),
    "remove_stake_limit: the price is below it": (
        intents.RemoveStakeLimit(hot(VAL), 2, 1, 10**12), VAL, C.INSUFFICIENT_LIQUIDITY,
        "PriceLimitExceeded"),
    "remove_stake_limit: on root, above 1 TAO": (
        intents.RemoveStakeLimit(hot(VAL), 0, 1, 10**12), VAL, C.INSUFFICIENT_LIQUIDITY,
        "SlippageTooHigh"),
    "unstake_all: an unknown hotkey": (
        intents.UnstakeAll(STRANGER), RICH, C.NOT_REGISTERED, "HotKeyAccountNotExists"),
    "unstake_all_alpha: an unknown hotkey": (
        intents.UnstakeAllAlpha(STRANGER), RICH, C.NOT_REGISTERED, "HotKeyAccountNotExists"),
    "move_stake: nowhere else": (
        moved(dest_hotkey_ss58=hot(VAL), dest_netuid=2), VAL, C.INVALID_ARGUMENT, "SameNetuid"),
    "move_stake: to no subnet": (
        moved(dest_netuid=77), VAL, C.SUBNET_NOT_EXISTS, "SubnetNotExists"),
    "move_stake: before the start": (
        moved(dest_netuid=3), VAL, C.SUBTOKEN_DISABLED, "SubtokenDisabled"),
    "move_stake: to an unknown hotkey": (
        moved(dest_hotkey_ss58=STRANGER), VAL, C.NOT_REGISTERED, "HotKeyAccountNotExists"),
    "move_stake: none of it": (moved(), RICH, C.LIMIT_EXCEEDED, "AmountTooLow"),
    "move_stake: too little": (
        moved(amount_alpha="0.0001"), VAL, C.LIMIT_EXCEEDED, "AmountTooLow"),
    "move_stake: an empty pool": (
        moved(), VAL, C.INSUFFICIENT_LIQUIDITY, "InsufficientLiquidity", thin),
    "move_stake: the price moves too far": (
        moved(amount_alpha=15, slippage_protection=True, rate_tolerance=0.001), VAL,
        C.INSUFFICIENT_LIQUIDITY, "SlippageTooHigh"),
    "move_swap_stake: to no subnet": (
        intents.MoveSwapStake(hot(VAL), 2, hot(MIN), 77, 1, slippage_protection=False), VAL,
        C.SUBNET_NOT_EXISTS, "SubnetNotExists"),
    "move_swap_stake: to an unknown hotkey": (
        intents.MoveSwapStake(hot(VAL), 2, STRANGER, 0, 1, slippage_protection=False), VAL,
        C.NOT_REGISTERED, "HotKeyAccountNotExists"),
    "swap_stake: nowhere else": (
        swapped(dest_netuid=2), VAL, C.INVALID_ARGUMENT, "SameNetuid"),
    "swap_stake: to no subnet": (
        swapped(dest_netuid=77), VAL, C.SUBNET_NOT_EXISTS, "SubnetNotExists"),
    "swap_stake: before the start": (
        swapped(dest_netuid=3), VAL, C.SUBTOKEN_DISABLED, "SubtokenDisabled"),
    "swap_stake: of an unknown hotkey": (
        swapped(hotkey_ss58=STRANGER), VAL, C.NOT_REGISTERED, "HotKeyAccountNotExists"),
    "swap_stake: too little": (
        swapped(amount_alpha="0.0001"), VAL, C.LIMIT_EXCEEDED, "AmountTooLow"),
    "swap_stake: the price moves too far": (
        swapped(amount_alpha=15, slippage_protection=True, rate_tolerance=0.001), VAL,
        C.INSUFFICIENT_LIQUIDITY, "SlippageTooHigh"),
    "transfer_stake: to oneself": (
        given(dest_coldkey_ss58=ss58("//Val")), VAL, C.INVALID_ARGUMENT, "SameNetuid"),
    "transfer_stake: to no subnet": (
        given(dest_netuid=77), VAL, C.SUBNET_NOT_EXISTS, "SubnetNotExists"),
    "transfer_stake: before the start": (
        given(dest_netuid=3), VAL, C.SUBTOKEN_DISABLED, "SubtokenDisabled"),
    "transfer_stake: of an unknown hotkey": (
        given(hotkey_ss58=STRANGER), VAL, C.NOT_REGISTERED, "HotKeyAccountNotExists"),
    "transfer_stake: too little": (
        given(amount_alpha="0.0001"), VAL, C.LIMIT_EXCEEDED, "AmountTooLow"),
    "transfer_stake: where it is switched off": (
        given(), VAL, C.DISABLED, "TransferDisallowed", no_transfers),
    "transfer_stake: to another's unknown hotkey": (
        given(dest_hotkey_ss58=STRANGER), VAL, C.NOT_REGISTERED, "HotKeyAccountNotExists"),
    "set_auto_stake: no subnet": (
        intents.SetAutoStake(77, hot(VAL)), MIN, C.SUBNET_NOT_EXISTS, "SubnetNotExists"),
    "set_auto_stake: no seat": (
        intents.SetAutoStake(2, hot(RICH)), MIN, C.NOT_REGISTERED, "HotKeyNotRegisteredInSubNet"),
    "set_auto_stake: the same again": (
        intents.SetAutoStake(2, hot(VAL)), MIN, C.ALREADY_EXISTS,
        "SameAutoStakeHotkeyAlreadySet",
        put(s.AutoStakeDestination, account("//Min"), OPEN, account("//Val//hot"))),
    # Takes and children
    "increase_take: an unknown hotkey": (
        intents.IncreaseTake(0.1), POOR, C.NOT_REGISTERED, "HotKeyAccountNotExists"),
    "increase_take: beyond the most": (
        intents.IncreaseTake(0.9), VAL, C.INVALID_ARGUMENT, "DelegateTakeTooHigh"),
    "increase_take: not higher": (
        intents.IncreaseTake(0.01), VAL, C.INVALID_ARGUMENT, "DelegateTakeTooLow"),
    "increase_take: too soon": (
        intents.IncreaseTake(0.17), VAL, C.RATE_LIMITED, "DelegateTxRateLimitExceeded",
        all_of(put(s.Delegates, account("//Val//hot"), 100),
                     put(s.LastTxBlockDelegateTake, account("//Val//hot"), 1))),
    "decrease_take: below the least": (
        intents.DecreaseTake(0.01), VAL, C.INVALID_ARGUMENT, "DelegateTakeTooLow",
        put(s.MinDelegateTake, 5000)),
    "decrease_take: not lower": (
        intents.DecreaseTake(0.18), VAL, C.INVALID_ARGUMENT, "DelegateTakeTooLow",
        put(s.Delegates, account("//Val//hot"), 5000)),
    "set_take: another's hotkey": (
        intents.SetTake(0.1), KeyPairs("//Thief"), C.NOT_AUTHORIZED, "NonAssociatedColdKey",
        all_of(put(s.Owner, account("//Thief//hot"), account("//Val")),
                     funded("//Thief", TAO))),
    "set_childkey_take: another's hotkey": (
        intents.SetChildkeyTake(2, 0.1, hot(VAL)), RICH, C.NOT_AUTHORIZED,
        "NonAssociatedColdKey"),
    "set_childkey_take: beyond the most": (
        intents.SetChildkeyTake(2, 0.5), VAL, C.INVALID_ARGUMENT, "InvalidChildkeyTake"),
    "set_childkey_take: below the subnet's least": (
        intents.SetChildkeyTake(2, 0.01), VAL, C.INVALID_ARGUMENT, "InvalidChildkeyTake",
        put(s.MinChildkeyTakePerSubnet, OPEN, 5000)),
    "set_childkey_take: too soon": (
        intents.SetChildkeyTake(2, 0.1), VAL, C.RATE_LIMITED, "TxChildkeyTakeRateLimitExceeded",
        limited(OPEN, 1, "//Val//hot")),
    "set_children: too soon": (
        children((0.5, hot(MIN))), VAL, C.RATE_LIMITED, "TxRateLimitExceeded",
        limited(OPEN, 0, "//Val//hot")),
    "set_children: on root": (
        children((0.5, hot(MIN)), netuid=NetUid(0)), VAL, C.INVALID_ARGUMENT,
        "RegistrationNotPermittedOnRootSubnet"),
    "set_children: on no subnet": (
        children((0.5, hot(MIN)), netuid=NONE), VAL, C.SUBNET_NOT_EXISTS, "SubnetNotExists"),
    "set_children: of another's hotkey": (
        children((0.5, hot(MIN)), hotkey=hot(VAL)), RICH, C.NOT_AUTHORIZED,
        "NonAssociatedColdKey"),
    "set_children: twice the same": (
        children((0.2, hot(MIN)), (0.2, hot(MIN))), VAL, C.INVALID_ARGUMENT, "DuplicateChild"),
    "set_children: itself": (
        children((0.2, hot(VAL))), VAL, C.INVALID_ARGUMENT, "InvalidChild"),
    "set_children: too many": (
        children(*FIVE), VAL, C.LIMIT_EXCEEDED, "TooManyChildren"),
    "set_children: a parent": (
        children((0.2, hot(MIN))), VAL, C.INVALID_ARGUMENT, "ChildParentInconsistency", related),
    "set_children: too little stake": (
        children((0.2, hot(MIN))), VAL, C.INSUFFICIENT_BALANCE, "NotEnoughStakeToSetChildkeys",
        stake_asked),
    # Identity, keys
    "set_identity: no seat anywhere": (
        intents.SetIdentity("Rich"), RICH, C.NOT_REGISTERED, "HotKeyNotRegisteredInNetwork"),
    "set_identity: too long": (
        intents.SetIdentity(LONG), VAL, C.INVALID_ARGUMENT, "InvalidIdentity"),
    "swap_hotkey: on no subnet": (
        intents.SwapHotkey(STRANGER, netuid=77), VAL, C.SUBNET_NOT_EXISTS, "SubnetNotExists"),
    "swap_hotkey: another's": (
        intents.SwapHotkey(STRANGER, hot(VAL), 2), RICH, C.NOT_AUTHORIZED,
        "NonAssociatedColdKey"),
    "swap_hotkey: for another's": (
        intents.SwapHotkey(hot(MIN), netuid=2), VAL, C.NOT_AUTHORIZED, "NonAssociatedColdKey"),
    "swap_hotkey: for itself": (
        intents.SwapHotkey(hot(VAL), netuid=2), VAL, C.INVALID_ARGUMENT,
        "NewHotKeyIsSameWithOld"),
    "swap_hotkey: for one that has a seat": (
        intents.SwapHotkey(hot(MIN), netuid=2), VAL, C.ALREADY_EXISTS,
        "HotKeyAlreadyRegisteredInSubNet",
        put(s.Owner, account("//Min//hot"), account("//Val"))),
    "swap_hotkey: for one with a past on root": (
        intents.SwapHotkey(STRANGER, netuid=0), VAL, C.INVALID_ARGUMENT,
        "NewHotKeyNotCleanForRootSwap",
        put(s.RootClaimable, account("//Stranger//hot"), {OPEN: 1})),
    "swap_hotkey: too soon": (
        intents.SwapHotkey(STRANGER, netuid=2), VAL, C.RATE_LIMITED,
        "HotKeySwapOnSubnetIntervalNotPassed",
        put(s.LastHotkeySwapOnNetuid, OPEN, account("//Val"), 10**6)),
    "swap_hotkey: for a subnet's account": (
        intents.SwapHotkey(POOL, netuid=2), VAL, C.NOT_AUTHORIZED, "CannotUseSystemAccount"),
    "swap_hotkey: more than one has": (
        intents.SwapHotkey(STRANGER), KeyPairs("//Small"), C.INSUFFICIENT_BALANCE,
        "NotEnoughBalanceToPaySwapHotKey",
        all_of(put(s.Owner, account("//Small//hot"), account("//Small")),
                     funded("//Small", 10**7))),
    # Weights
    "set_weights: on root": (
        weights(NetUid(0), (0, 1)), VAL, C.INVALID_ARGUMENT, "CanNotSetRootNetworkWeights",
        put(s.CommitRevealWeightsEnabled, NetUid(0), False)),
    # The guard before the pool asks how long ago that was on a mechanism that is not there.
    "set_weights: no such mechanism": (
        weights(mechid=5), VAL, C.RATE_LIMITED, "RateLimitExceeded"),
    "set_weights: while commit-reveal is on": (
        Raw(calls.SubtensorModule.set_weights(3, [0], [1], 0)), SECOND, C.DISABLED,
        "CommitRevealEnabled"),
    "set_weights: uids and values of two lengths": (
        Raw(calls.SubtensorModule.set_weights(2, [2], [1, 1], 0)), VAL, C.INVALID_ARGUMENT,
        "WeightVecNotEqualSize"),
    "set_weights: a uid twice": (
        Raw(calls.SubtensorModule.set_weights(2, [2, 2], [1, 1], 0)), VAL, C.INVALID_ARGUMENT,
        "DuplicateUids"),
    "set_weights: no seat": (weights(), RICH, C.NOT_REGISTERED, None),
    "set_weights: too little stake": (
        weights(), VAL, C.LIMIT_EXCEEDED, "StakeAmountTooLow", stake_asked),
    "set_weights: an old version": (
        weights(), VAL, C.INVALID_ARGUMENT, "IncorrectWeightVersionKey",
        put(s.WeightsVersionKey, OPEN, 9)),
    "set_weights: too soon": (
        weights(), VAL, C.RATE_LIMITED, None, put(s.WeightsSetRateLimit, OPEN, 10**6)),
    "set_weights: no permit": (
        weights(OPEN, (1, 1)), MIN, C.NOT_AUTHORIZED, "NeuronNoValidatorPermit",
        lambda ctx: s.ValidatorPermit.put(ctx, OPEN, [True, True, False])),
    "set_weights: a uid that is not there": (
        weights(OPEN, (9, 1)), VAL, C.INVALID_ARGUMENT, "UidVecContainInvalidOne"),
    "set_weights: too few": (
        Raw(calls.SubtensorModule.set_weights(2, [2], [1], 0)), VAL, C.INVALID_ARGUMENT,
        "WeightVecLengthIsLow", put(s.MinAllowedWeights, OPEN, 3)),
    "set_weights: more than there are seats": (
        Raw(calls.SubtensorModule.set_weights(2, [0, 1, 2, 3], [1] * 4, 0)), VAL,
        C.LIMIT_EXCEEDED, "UidsLengthExceedUidsInSubNet"),
    "commit_weights: too soon": (
        SEALED, SECOND, C.RATE_LIMITED, None, put(s.WeightsSetRateLimit, CLOSED, 10**6)),
    "commit_weights: another version": (
        intents.CommitWeights(3, [0], [1.0], commit_reveal_version=9), SECOND,
        C.INVALID_ARGUMENT, "IncorrectCommitRevealVersion"),
    "commit_weights: too many wait": (
        SEALED, SECOND, C.LIMIT_EXCEEDED, "TooManyUnrevealedCommits",
        ten_waiting),
    "commit_weights: too little stake": (
        SEALED, SECOND, C.LIMIT_EXCEEDED, "StakeAmountTooLow",
        all_of(stake_asked,
                     put(s.SubnetOwnerHotkey, CLOSED, account("//Other//hot")))),
    "reveal_weights: nothing committed": (
        REVEAL, SECOND, C.NOT_FOUND, "NoWeightsCommitFound"),
    "reveal_weights: something else committed": (
        REVEAL, SECOND, C.NOT_FOUND, "NoWeightsCommitFound",
        commit("//Second//hot", CLOSED, 10**6, bytes(32))),
    "reveal_weights: too early": (
        REVEAL, SECOND, C.TOO_EARLY, "RevealTooEarly", committed("//Second//hot", CLOSED, 10**6)),
    "reveal_weights: too late": (
        REVEAL, SECOND, C.TOO_EARLY, "RevealTooEarly",
        committed("//Second//hot", CLOSED, 1, now=10)),
    "reveal_weights: where it is switched off": (
        intents.RevealWeights(2, [0], [1.0], [7]), OWNER, C.DISABLED, "CommitRevealDisabled",
        committed("//Owner//hot", OPEN, 9, now=10)),
}  # fmt: skip

# Some of these the SDK itself would not make: they are sent as raw calls.
HYPERPARAMETERS: dict[str, Row] = {
    "another's": (set_to("rho", 3), RICH, C.NOT_AUTHORIZED, "BadOrigin"),
    "too soon": (
        set_to("rho", 3), OWNER, C.RATE_LIMITED, "TxRateLimitExceeded",
        all_of(put(s.OwnerHyperparamRateLimit, 2),
                     put(s.LastRateLimitedBlock, hyperparameter_change(OPEN, H.Rho), 10**6))),
    "near an epoch": (
        set_to("rho", 3), OWNER, C.TOO_EARLY, "AdminActionProhibitedDuringWeightsWindow", frozen),
    "weights_version, too soon": (
        set_to("weights_version", 3), OWNER, C.RATE_LIMITED, "TxRateLimitExceeded",
        limited(OPEN, 4)),
    "tempo, too short": (
        owners(calls.AdminUtils.sudo_set_tempo(2, 359)), OWNER, C.INVALID_ARGUMENT,
        "TempoOutOfBounds"),
    "tempo, too long": (
        owners(calls.AdminUtils.sudo_set_tempo(2, 50_401)), OWNER, C.INVALID_ARGUMENT,
        "TempoOutOfBounds"),
    "tempo, too soon": (
        set_to("tempo", 400), OWNER, C.RATE_LIMITED, "TxRateLimitExceeded", limited(OPEN, 11)),
    "activity_cutoff_factor": (
        owners(calls.AdminUtils.sudo_set_activity_cutoff_factor(2, 999)), OWNER, C.INVALID_ARGUMENT,
        "ActivityCutoffFactorMilliOutOfBounds"),
    "min_burn, not below 1 TAO": (
        set_to("min_burn", TAO), OWNER, C.INVALID_ARGUMENT, "ValueNotInBounds"),
    "max_burn, not above 0.1 TAO": (
        set_to("max_burn", TAO // 10), OWNER, C.INVALID_ARGUMENT, "ValueNotInBounds"),
    "burn_half_life": (set_to("burn_half_life", 0), OWNER, C.INVALID_ARGUMENT, "InvalidValue"),
    "burn_increase_mult": (
        owners(calls.AdminUtils.sudo_set_burn_increase_mult(2, {"bits": 4 << 64})), OWNER,
        C.INVALID_ARGUMENT, "InvalidValue"),
    "bonds_moving_avg": (
        set_to("bonds_moving_avg", 975_001), OWNER, C.LIMIT_EXCEEDED,
        "BondsMovingAverageMaxReached"),
    "commit_reveal_period, none": (
        set_to("commit_reveal_period", 0), OWNER, C.INVALID_ARGUMENT, "RevealPeriodTooSmall"),
    "commit_reveal_period, too long": (
        set_to("commit_reveal_period", 101), OWNER, C.INVALID_ARGUMENT, "RevealPeriodTooLarge"),
    "max_allowed_uids, below the least": (
        set_to("max_allowed_uids", 63), OWNER, C.INVALID_ARGUMENT,
        "MaxAllowedUidsLessThanMinAllowedUids"),
    "max_allowed_uids, below what there is": (
        set_to("max_allowed_uids", 2), OWNER, C.INVALID_ARGUMENT,
        "MaxAllowedUIdsLessThanCurrentUIds", put(s.MinAllowedUids, OPEN, 1)),
    "max_allowed_uids, too many": (
        set_to("max_allowed_uids", 257), OWNER, C.INVALID_ARGUMENT,
        "MaxAllowedUidsGreaterThanDefaultMaxAllowedUids"),
    "max_allowed_uids, of two mechanisms": (
        set_to("max_allowed_uids", 129), OWNER, C.LIMIT_EXCEEDED, "TooManyUIDsPerMechanism",
        put(s.MechanismCountCurrent, OPEN, 2)),
    "alpha_sigmoid_steepness": (
        owners(calls.AdminUtils.sudo_set_alpha_sigmoid_steepness(2, -1)), OWNER, C.INVALID_ARGUMENT,
        "NegativeSigmoidSteepness"),
    "min_childkey_take": (
        set_to("min_childkey_take", 20_000), OWNER, C.INVALID_ARGUMENT, "InvalidChildkeyTake"),
    "owner_immune_neuron_limit": (
        set_to("owner_immune_neuron_limit", 11), OWNER, C.INVALID_ARGUMENT, "InvalidValue"),
    "alpha_high, switched off": (
        set_to("alpha_high", 60_000), OWNER, C.DISABLED, "LiquidAlphaDisabled"),
    "alpha_high, too low": (
        set_to("alpha_high", 1000), OWNER, C.INVALID_ARGUMENT, "AlphaHighTooLow",
        put(s.LiquidAlphaOn, OPEN, True)),
    "alpha_low, out of range": (
        set_to("alpha_low", 1000), OWNER, C.INVALID_ARGUMENT, "AlphaLowOutOfRange",
        put(s.LiquidAlphaOn, OPEN, True)),
    "network_pow_registration_allowed": (
        set_to("network_pow_registration_allowed", 1), OWNER, C.DISABLED,
        "POWRegistrationDisabled"),
}  # fmt: skip
ROWS |= {f"set_hyperparameter: {what}": row for what, row in HYPERPARAMETERS.items()}


@pytest.mark.feature("errors by their names", "bittensor")
@pytest.mark.parametrize("what", ROWS)
async def test_the_refusal_has_the_sdks_code(sdk: Any, yard: Yard, what: str) -> None:
    intent, wallet, code, name, *write = ROWS[what]
    assert isinstance(intent, Raw) or intent.op == what.split(":")[0]
    with so(yard.url, write[0] if write else None):
        error = await error_of(sdk, intent, wallet)
    assert (error.code, error.name) == (code, name), error


def test_every_intent_that_is_done_has_a_refusal_here() -> None:
    """Claims and a few others are never refused: there is then nothing to do."""
    never = {"claim_root", "claim_root_with_hotkey", "fund_evm_key"}
    followed = {
        "announce_coldkey_swap", "swap_coldkey_announced", "clear_coldkey_swap_announcement",
        "dispute_coldkey_swap",
    }  # fmt: skip
    wrapped = {f"{pallet}.{name}" for pallet, name in ABSENT}
    done = {
        name for name, cls in REGISTRY.items()
        if not {".".join(call) for call in cls.wraps} & wrapped
    } | {"set_hyperparameter"}  # fmt: skip
    assert done - never == {what.split(":")[0] for what in ROWS} | followed
