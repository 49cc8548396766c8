"""Every read of the SDK's registry, on a chain where there is something to read.

Tier 1 is what running a subnet takes: each answer is compared with what founded the town, or with
raw storage decoded by other software. The rest answers that there is nothing, or is refused with
the name of what is missing.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import AsyncIterator, Callable
from fractions import Fraction
from typing import Any

import bittensor
import pytest
import pytest_asyncio
from bittensor import Balance
from bittensor._transport.errors import StorageFunctionNotFound
from bittensor.reads import REGISTRY

from tests.conformance.stored import Stored
from tests.conformance.town import AXON, COMMITMENT, REVEALED, TEMPO, WEIGHTS, Town, rpc, ss58

pytestmark = pytest.mark.asyncio(loop_scope="module")

NETUID, SECRET, TUNED = 2, 3, 4
ALL = (0, 1, NETUID, SECRET, TUNED)
V1, V1_HOT = ss58("//V1"), ss58("//V1//hot")
M1, M1_HOT = ss58("//M1"), ss58("//M1//hot")
M2_HOT = ss58("//M2//hot")
V2, CHANGER = ss58("//V2"), ss58("//Changer")
NOMINATOR, NOBODY = ss58("//Nominator"), ss58("//Nobody")
U16 = 65_535

Expect = Callable[[Stored, Town], Any]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sdk(town: Town) -> AsyncIterator[Any]:
    async with bittensor.Subtensor(town.url) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def view(sdk: Any, town: Town) -> Any:
    return await sdk.at(town.block)


def plain(value: Any) -> Any:
    """An answer without the SDK's own types; an amount is its units, whatever it counts."""
    if isinstance(value, Balance):
        return value.rao
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


def free(account: str) -> Expect:
    return lambda s, _: s.get("System.Account", account)["data"]["free"]


def item(name: str, *keys: Any) -> Expect:
    """The stored value of SubtensorModule itself."""
    return lambda s, _: s.module(name, *keys)


def header(s: Stored, number: int) -> dict[str, Any]:
    found: dict[str, Any] = s.chain.get_block(block_number=number)
    return found


def info_of_block(s: Stored, number: int) -> dict[str, Any]:
    block = header(s, number)
    named = [(x.value["call"]["call_module"], x.value["call"]["call_function"])
             for x in block["extrinsics"]]  # fmt: skip
    stamp = block["extrinsics"][0].value["call"]["call_args"][0]["value"]
    when = datetime.datetime.fromtimestamp(stamp / 1000, datetime.UTC)
    return {
        "number": number,
        "hash": block["header"]["hash"],
        "timestamp": when.isoformat(),
        "extrinsics": [".".join(pair) for pair in named],
        "explorer_url": None,
    }


def time_of(s: Stored, town: Town) -> dict[str, Any]:
    unix = s.get("Timestamp.Now") / 1000
    when = datetime.datetime.fromtimestamp(unix, datetime.UTC)
    return {"block": town.block, "unix": unix, "iso": when.isoformat()}


def next_epoch(s: Stored, _: Town) -> int:
    return int(s.module("LastEpochBlock", NETUID) + s.module("Tempo", NETUID))


def epoch_status(s: Stored, town: Town) -> dict[str, Any]:
    after = next_epoch(s, town)
    return {
        "netuid": NETUID,
        "block": town.block,
        "tempo": TEMPO,
        "epoch_index": s.module("SubnetEpochIndex", NETUID),
        "last_epoch_block": s.module("LastEpochBlock", NETUID),
        "blocks_since_last_step": s.module("BlocksSinceLastStep", NETUID),
        "pending_epoch_at": None,
        "next_epoch_start_block": after,
        "blocks_remaining": after - town.block,
        "seconds_remaining": (after - town.block) * 0.25,
    }


def commitment(s: Stored, _: Town) -> dict[str, Any]:
    record = s.get("Commitments.CommitmentOf", NETUID, M1_HOT)
    return {"block": record["block"], "deposit": 0, "data": COMMITMENT}


def commitments(s: Stored, _: Town) -> list[dict[str, Any]]:
    at = s.get("Commitments.CommitmentOf", NETUID, M1_HOT)["block"]
    shape = {"is_revealed": True, "reveals_at": None}
    return [
        {"hotkey": M1_HOT, "uid": 3, "commitment": COMMITMENT, "block": at, "status": "plain",
         **shape},
        {"hotkey": M2_HOT, "uid": 4, "commitment": REVEALED[0], "block": REVEALED[1],
         "status": "revealed", **shape},
    ]  # fmt: skip


def quote(s: Stored, spent: int, *, of: str) -> dict[str, Any]:
    """What a constant product gives for a part of the pool small against it, after the fee."""
    tao, alpha = s.module("SubnetTAO", NETUID), s.module("SubnetAlphaIn", NETUID)
    fee = spent * s.get("Swap.FeeRate", NETUID) // U16
    paid = spent - fee
    x, y = (tao, alpha) if of == "alpha" else (alpha, tao)
    got = y * paid // (x + paid)
    slippage = paid * y // x - got
    other = "tao" if of == "alpha" else "alpha"
    return {
        of: got, other: paid, f"{other}_fee": fee, f"{of}_fee": 0,
        f"{of}_slippage": slippage, f"{other}_slippage": 0,
    }  # fmt: skip


def positions(s: Stored, coldkey: str) -> list[dict[str, Any]]:
    return [
        {"hotkey": hotkey, "coldkey": coldkey, "netuid": netuid, "stake": held,
         "is_registered": s.module("Uids", netuid, hotkey) is not None}
        for hotkey in s.module("StakingHotkeys", coldkey)
        for netuid in ALL
        if (held := s.position(hotkey, coldkey, netuid))
    ]  # fmt: skip


def valuation(s: Stored, town: Town, coldkey: str) -> dict[str, Any]:
    held = positions(s, coldkey)
    worth = sum(s.price(p["netuid"]) * p["stake"] for p in held)
    return {
        "coldkey": coldkey,
        "block": town.block,
        "positions": held,
        "stake_value": int(worth),
        "tao_per_alpha": {n: float(s.price(n)) for n in ALL},
    }


def availability(s: Stored, coldkey: str, netuid: int) -> dict[str, Any]:
    total = s.position(V1_HOT, coldkey, netuid)
    return {"netuid": netuid, "total": total, "locked": 0, "available": total}


def subnet(s: Stored, netuid: int) -> dict[str, Any]:
    return {
        "netuid": netuid,
        "tempo": s.module("Tempo", netuid),
        "burn": s.module("Burn", netuid),
        "neuron_count": s.module("SubnetworkN", netuid),
    }


def network_cost(s: Stored, town: Town) -> int:
    """Twice the last price, falling to half of that in the interval, never below the least."""
    last = s.module("NetworkLastLockCost")
    since = town.block - s.rows("SubtensorModule.LastRateLimitedBlock")["NetworkLastRegistered"]
    fallen = 2 * last - last // s.module("NetworkLockReductionInterval") * since
    return int(max(fallen, s.module("NetworkMinLockCost")))


def hidden_commit(s: Stored, town: Town) -> dict[int, list[dict[str, Any]]]:
    ((epoch, [(hotkey, at, sealed, at_round)]),) = s.rows(
        "SubtensorModule.TimelockedWeightCommits", town.secret
    ).items()
    assert hotkey == ss58("//Secretary//hot")
    # quicknet: round 1 was at 1692803367, then one every three seconds
    opens = datetime.datetime.fromtimestamp(1692803367 + 3 * (at_round - 1), datetime.UTC)
    return {epoch: [{"hotkey": hotkey, "commit_block": at, "reveal_round": at_round,
                     "reveals_at": opens, "ciphertext": sealed}]}  # fmt: skip


def hyperparameters(s: Stored, netuid: int) -> dict[str, Any]:
    """By the reads' names, from the storage items that these name."""
    items = {
        "kappa": "Kappa", "immunity_period": "ImmunityPeriod", "tempo": "Tempo",
        "min_allowed_weights": "MinAllowedWeights", "max_weights_limit": "MaxWeightsLimit",
        "weights_version": "WeightsVersionKey", "weights_rate_limit": "WeightsSetRateLimit",
        "activity_cutoff_factor": "ActivityCutoffFactorMilli",
        "registration_allowed": "NetworkRegistrationAllowed",
        "target_regs_per_interval": "TargetRegistrationsPerInterval", "min_burn": "MinBurn",
        "max_burn": "MaxBurn", "burn_half_life": "BurnHalfLife",
        "bonds_moving_avg": "BondsMovingAverage",
        "max_regs_per_block": "MaxRegistrationsPerBlock",
        "serving_rate_limit": "ServingRateLimit", "max_validators": "MaxAllowedValidators",
        "commit_reveal_period": "RevealPeriodEpochs",
        "commit_reveal_weights_enabled": "CommitRevealWeightsEnabled",
        "liquid_alpha_enabled": "LiquidAlphaOn",
        "alpha_sigmoid_steepness": "AlphaSigmoidSteepness", "subnet_is_active": "SubtokenEnabled",
        "transfers_enabled": "TransferToggle", "bonds_reset_enabled": "BondsResetOn",
        "owner_cut_enabled": "OwnerCutEnabled",
        "owner_cut_auto_lock_enabled": "OwnerCutAutoLockEnabled",
        "min_childkey_take": "MinChildkeyTakePerSubnet",
    }  # fmt: skip
    alpha_low, alpha_high = s.module("AlphaValues", netuid)
    tempo, factor = s.module("Tempo", netuid), s.module("ActivityCutoffFactorMilli", netuid)
    return {
        **{name: s.module(stored, netuid) for name, stored in items.items()},
        "alpha_low": alpha_low,
        "alpha_high": alpha_high,
        "activity_cutoff": tempo * factor // 1000,
        "burn_increase_mult": s.module("BurnIncreaseMult", netuid)["bits"],
        "yuma_version": 3 if s.module("Yuma3On", netuid) else 2,
        "user_liquidity_enabled": False,
    }


def neurons(s: Stored, town: Town) -> list[dict[str, Any]]:
    return [
        {
            "uid": uid,
            "hotkey": ss58(f"{uri}//hot"),
            "coldkey": ss58(uri),
            "active": s.module("Active", NETUID)[uid],
            "validator_permit": s.module("ValidatorPermit", NETUID)[uid],
            "last_update": s.module("LastUpdate", NETUID)[uid],
            "total_stake": s.module("TotalHotkeyAlpha", ss58(f"{uri}//hot"), NETUID),
        }
        for uri, uid in town.uids.items()
    ]


def bonds(s: Stored, _: Town) -> dict[int, dict[int, float]]:
    rows = s.rows("SubtensorModule.Bonds", NETUID)
    assert any(rows.values()), "the town has run an epoch with weights"
    return {uid: {to: bond / U16 for to, bond in rows[uid]} for uid in sorted(rows)}


def weights(_: Stored, town: Town) -> dict[int, dict[int, float]]:
    """What the validators set, as shares; the chain keeps 16 bits of each."""
    return {
        town.uids[uri]: {to: weight / sum(row.values()) for to, weight in row.items()}
        for uri, row in WEIGHTS.items()
    }


def graph(s: Stored, town: Town, netuid: int = NETUID) -> dict[str, Any]:
    """All of a metagraph, from the storage items that its fields name."""
    n = s.module("SubnetworkN", netuid)
    hot = [s.module("Keys", netuid, uid) for uid in range(n)]
    cold = [s.module("Owner", hotkey) for hotkey in hot]
    if netuid == NETUID:
        assert hot == [ss58(f"{uri}//hot") for uri in town.uids]
        assert sum(s.module("Incentive", NETUID)) > 0, "the town has paid"
    root_weight = Fraction(s.module("TaoWeight"), 2**64)
    alpha = [held(s, hotkey, netuid) for hotkey in hot]
    root = [int(held(s, hotkey, 0, on=netuid) * root_weight) for hotkey in hot]
    nothing = dict.fromkeys(("block", "version", "ip", "port", "ip_type", "protocol",
                             "placeholder1", "placeholder2"), 0)  # fmt: skip
    if netuid == NETUID:
        served = s.module("Axons", netuid, M1_HOT)
        assert (served["ip"], served["port"]) == (0x0A010203, AXON[1])
    columns = {
        "active": "Active", "validator_permit": "ValidatorPermit", "last_update": "LastUpdate",
        "emission": "Emission", "dividends": "Dividends", "incentives": "Incentive",
        "consensus": "Consensus",
    }  # fmt: skip
    figures = {
        "alpha_in": "SubnetAlphaIn", "alpha_out": "SubnetAlphaOut", "tao_in": "SubnetTAO",
        "alpha_out_emission": "SubnetAlphaOutEmission", "burn": "Burn", "tempo": "Tempo",
        "alpha_in_emission": "SubnetAlphaInEmission", "tao_in_emission": "SubnetTaoInEmission",
        "subnet_volume": "SubnetVolume", "moving_price": "SubnetMovingPrice", "rho": "Rho",
        "max_uids": "MaxAllowedUids", "network_registered_at": "NetworkRegisteredAt",
        "kappa": "Kappa", "min_allowed_weights": "MinAllowedWeights",
        "max_weights_limit": "MaxWeightsLimit", "weights_version": "WeightsVersionKey",
        "weights_rate_limit": "WeightsSetRateLimit", "max_validators": "MaxAllowedValidators",
        "difficulty": "Difficulty", "registration_allowed": "NetworkRegistrationAllowed",
        "pow_registration_allowed": "NetworkPowRegistrationAllowed",
        "immunity_period": "ImmunityPeriod", "min_difficulty": "MinDifficulty",
        "max_difficulty": "MaxDifficulty", "min_burn": "MinBurn", "max_burn": "MaxBurn",
        "adjustment_alpha": "AdjustmentAlpha", "adjustment_interval": "AdjustmentInterval",
        "target_regs_per_interval": "TargetRegistrationsPerInterval",
        "max_regs_per_block": "MaxRegistrationsPerBlock",
        "serving_rate_limit": "ServingRateLimit", "bonds_moving_avg": "BondsMovingAverage",
        "commit_reveal_weights_enabled": "CommitRevealWeightsEnabled",
        "commit_reveal_period": "RevealPeriodEpochs", "liquid_alpha_enabled": "LiquidAlphaOn",
        "last_step": "LastMechansimStepBlock", "owner_hotkey": "SubnetOwnerHotkey",
        "owner_coldkey": "SubnetOwner",
    }  # fmt: skip
    alpha_low, alpha_high = s.module("AlphaValues", netuid)
    tempo, factor = s.module("Tempo", netuid), s.module("ActivityCutoffFactorMilli", netuid)
    pending = sum(s.module(f"Pending{who}Emission", netuid) for who in ("Server", "Validator"))
    identity = s.module("SubnetIdentitiesV3", netuid)
    return {
        **{name: s.module(stored, netuid) for name, stored in (columns | figures).items()},
        "netuid": netuid,
        "name": identity["subnet_name"] if identity else s.module("TokenSymbol", netuid),
        "symbol": s.module("TokenSymbol", netuid),
        "identity": identity,
        "block": town.block,
        "blocks_since_last_step": town.block - s.module("LastMechansimStepBlock", netuid),
        "subnet_emission": 0,
        "pending_alpha_emission": pending,
        "pending_root_emission": 0,
        "activity_cutoff": tempo * factor // 1000,
        "alpha_low": alpha_low,
        "alpha_high": alpha_high,
        "num_uids": n,
        "hotkeys": hot,
        "coldkeys": cold,
        "identities": [s.module("IdentitiesV2", coldkey) for coldkey in cold],
        "axons": [s.module("Axons", netuid, hotkey) or nothing for hotkey in hot],
        "block_at_registration": [s.module("BlockAtRegistration", netuid, u) for u in range(n)],
        "alpha_stake": alpha,
        "tao_stake": root,
        "total_stake": [a + r for a, r in zip(alpha, root, strict=True)],
        "tao_dividends_per_hotkey": [
            [hotkey, s.module("RootAlphaDividendsPerSubnet", netuid, hotkey)] for hotkey in hot
        ],
        "alpha_dividends_per_hotkey": [
            [hotkey, s.module("AlphaDividendsPerSubnet", netuid, hotkey)] for hotkey in hot
        ],
        **dict.fromkeys(("pruning_score", "trust", "rank"), []),
    }  # fmt: skip


def held(s: Stored, hotkey: str, netuid: int, on: int | None = None) -> int:
    """Stake through a hotkey, less what it lends on a subnet and with what it is lent there."""
    where = netuid if on is None else on
    own = s.module("TotalHotkeyAlpha", hotkey, netuid)
    lent = sum(part for part, _ in s.module("ChildKeys", hotkey, where))
    borrowed = sum(
        Fraction(part, 2**64 - 1) * s.module("TotalHotkeyAlpha", parent, netuid)
        for part, parent in s.module("ParentKeys", hotkey, where)
    )
    return int(own - Fraction(lent, 2**64 - 1) * own + borrowed)


TIER_1: dict[str, tuple[dict[str, Any], Expect]] = {
    # Accounts and the chain
    "balance": ({"coldkey_ss58": V1}, free(V1)),
    "balances": (
        {"coldkey_ss58s": [V1, M1, NOBODY]},
        lambda s, t: {who: free(who)(s, t) for who in (V1, M1, NOBODY)},
    ),
    "existential_deposit": ({}, lambda s, _: 500),
    "block_info": ({"block": 10}, lambda s, _: info_of_block(s, 10)),
    "block_time": ({}, lambda s, _: 0.25),
    "is_fast_blocks": ({}, lambda s, _: True),
    "mev_shield_next_key": ({}, lambda s, _: s.get("MevShield.NextKey")),
    "timestamp": ({}, time_of),
    "tx_rate_limit": ({}, lambda s, _: 0),
    # Epochs
    "blocks_since_last_step": ({"netuid": NETUID}, item("BlocksSinceLastStep", NETUID)),
    "blocks_since_last_update": (
        {"netuid": NETUID, "uid": 1},
        lambda s, t: t.block - s.module("LastUpdate", NETUID)[1],
    ),
    "blocks_until_next_epoch": ({"netuid": NETUID}, lambda s, t: next_epoch(s, t) - t.block),
    "next_epoch_start_block": ({"netuid": NETUID}, next_epoch),
    "epoch_status": ({"netuid": NETUID}, epoch_status),
    # Hyperparameters
    "difficulty": ({"netuid": TUNED}, item("Difficulty", TUNED)),
    "immunity_period": ({"netuid": TUNED}, item("ImmunityPeriod", TUNED)),
    "max_weight_limit": ({"netuid": NETUID}, lambda s, _: U16),
    "min_allowed_weights": ({"netuid": TUNED}, item("MinAllowedWeights", TUNED)),
    "reveal_period": ({"netuid": TUNED}, item("RevealPeriodEpochs", TUNED)),
    "subnet_emission_enabled": ({"netuid": TUNED}, lambda s, _: 0),
    "weights_rate_limit": ({"netuid": TUNED}, item("WeightsSetRateLimit", TUNED)),
    "subnet_hyperparameters": (
        {"netuid": TUNED}, lambda s, _: hyperparameters(s, TUNED)
    ),
    # Commitments
    "commitment": ({"netuid": NETUID, "hotkey_ss58": M1_HOT}, commitment),
    "commitments": ({"netuid": NETUID}, commitments),
    "revealed_commitment": (
        {"netuid": NETUID, "hotkey_ss58": M2_HOT},
        lambda s, _: [["\x18" + REVEALED[0], REVEALED[1]]],  # its length, as it was sealed
    ),
    # Neurons
    "hotkey_owner": ({"hotkey_ss58": V1_HOT}, lambda s, _: V1),
    "netuids_for_hotkey": ({"hotkey_ss58": V1_HOT}, lambda s, _: [0, NETUID]),
    "neurons": ({"netuid": NETUID, "lite": True}, neurons),
    "owned_hotkeys": ({"coldkey_ss58": V1}, lambda s, _: [V1_HOT]),
    "uid": ({"hotkey_ss58": M1_HOT, "netuid": NETUID}, lambda s, t: t.uids["//M1"]),
    # Prices
    "alpha_price": (
        {"netuid": NETUID},
        lambda s, _: {"netuid": NETUID, "tao_per_alpha": float(s.price(NETUID)),
                      "price_rao": int(s.price(NETUID) * 10**9)},
    ),
    "alpha_prices": ({}, lambda s, _: {n: float(s.price(n)) for n in ALL}),
    "quote_stake": (
        {"netuid": NETUID, "amount_tao": 3.0},
        lambda s, _: quote(s, 3 * 10**9, of="alpha"),
    ),
    "quote_unstake": (
        {"netuid": NETUID, "amount_alpha": 3.0},
        lambda s, _: quote(s, 3 * 10**9, of="tao"),
    ),
    # Stake
    "stake": (
        {"coldkey_ss58": NOMINATOR, "hotkey_ss58": V1_HOT, "netuid": NETUID},
        lambda s, _: s.position(V1_HOT, NOMINATOR, NETUID),
    ),
    "stake_availability": (
        {"coldkey_ss58": V1, "netuid": NETUID},
        lambda s, _: availability(s, V1, NETUID),
    ),
    "stake_availability_for_coldkey": (
        {"coldkey_ss58": V1, "netuids": [NETUID, 0]},
        lambda s, _: [availability(s, V1, n) for n in (0, NETUID)],
    ),
    "stake_for_coldkey": ({"coldkey_ss58": V1}, lambda s, _: positions(s, V1)),
    "stake_for_coldkeys": (
        {"coldkey_ss58s": [M1, NOMINATOR]},
        lambda s, _: {who: positions(s, who) for who in (M1, NOMINATOR)},
    ),
    "stake_value_for_coldkey": ({"coldkey_ss58": V1}, lambda s, t: valuation(s, t, V1)),
    "stake_value_for_coldkeys": (
        {"coldkey_ss58s": [V1, NOMINATOR]},
        lambda s, t: {who: valuation(s, t, who) for who in (V1, NOMINATOR)},
    ),
    "staking_hotkeys": ({"coldkey_ss58": NOMINATOR}, lambda s, _: [V1_HOT]),
    "total_alpha_staked": (
        {"netuid": NETUID},
        lambda s, _: sum(
            held for (_, n), held in s.rows("SubtensorModule.TotalHotkeyAlpha").items()
            if n == NETUID
        ),
    ),
    # Subnets
    "burn": ({"netuid": NETUID}, item("Burn", NETUID)),
    "commit_reveal_enabled": ({"netuid": TUNED}, lambda s, _: False),
    "metagraph": ({"netuid": NETUID}, graph),
    "subnet": ({"netuid": NETUID}, lambda s, _: subnet(s, NETUID)),
    "subnet_identity": (
        {"netuid": NETUID},
        lambda s, _: {"subnet_name": "Town", "description": "small", **dict.fromkeys(
            ("github_repo", "subnet_contact", "subnet_url", "discord", "logo_url", "additional"),
            "",
        )},
    ),
    "subnet_names": ({}, lambda s, _: {NETUID: "Town"}),
    "subnet_registration_cost": ({}, network_cost),
    "subnet_start_schedule": (
        {"netuid": NETUID},
        lambda s, t: {"netuid": NETUID, "registered_at": t.registered_at, "start_call_delay": 0,
                      "earliest_start_block": t.registered_at, "current_block": t.block},
    ),
    "subnets": ({}, lambda s, _: [subnet(s, n) for n in ALL]),
    "token_symbols": ({}, lambda s, _: {0: "Τ", 1: "α", 2: "β", 3: "γ", 4: "δ"}),
    # Weights
    "bonds": ({"netuid": NETUID, "mechid": 0}, bonds),
    "timelocked_weight_commits": ({"netuid": SECRET, "mechid": 0}, hidden_commit),
    "weights": ({"netuid": NETUID, "mechid": 0}, weights),
}  # fmt: skip
"""Name: what to ask, and what the answer must be."""


LOOSE = {
    # The chain's own 64-bit fixed point, and pools whose two sides weigh a hair from one half.
    "alpha_price": 1e-9, "alpha_prices": 1e-9, "quote_stake": 1e-6, "quote_unstake": 1e-6,
    "stake_value_for_coldkey": 1e-8, "stake_value_for_coldkeys": 1e-8,
    # What the chain keeps of a share.
    "weights": 2e-5, "subnet_registration_cost": 1e-12,
}  # fmt: skip


def assert_same(got: Any, wanted: Any, rel: float, where: str) -> None:
    if isinstance(wanted, dict):
        assert set(got) == set(wanted), where
        for key in wanted:
            assert_same(got[key], wanted[key], rel, f"{where}.{key}")
    elif isinstance(wanted, (list, tuple)):
        assert len(got) == len(wanted), where
        for index, (one, other) in enumerate(zip(got, wanted, strict=True)):
            assert_same(one, other, rel, f"{where}[{index}]")
    elif rel and isinstance(wanted, (int, float)) and not isinstance(wanted, bool):
        assert got == pytest.approx(wanted, rel=rel, abs=1), where
    else:
        assert got == wanted, where


IGNORED = {
    "commitment": {"fields"},  # the same bytes, not decoded
    "commitments": {"duration"},  # from the client's clock
    "neurons": {"raw"},
}


@pytest.mark.feature("connect: versions, properties, metadata", "bittensor")
@pytest.mark.feature("subscriptions: heads, storage", "bittensor")
async def test_connect_and_follow_heads(sdk: Any, town: Town) -> None:
    version = rpc(town.url, "state_getRuntimeVersion")
    assert await sdk.spec_version() == version["specVersion"]
    assert sdk.token_symbols[1] == "α"
    numbers = []
    async for head in sdk.blocks():
        numbers.append(head.number)
        if len(numbers) == 2:
            break
    assert numbers[1] == numbers[0] + 1 > town.block


@pytest.mark.feature("storage: values, maps, several at once", "bittensor")
@pytest.mark.feature("runtime APIs", "bittensor")
@pytest.mark.feature("the 56 reads that running a subnet takes", "bittensor")
@pytest.mark.parametrize("name", sorted(TIER_1))
async def test_tier_1_answers_what_the_state_says(
    view: Any, stored: Stored, town: Town, name: str
) -> None:
    params, expect = TIER_1[name]
    got = plain(await view.read(name, **params))
    wanted = expect(stored, town)
    for row in got if isinstance(got, list) else [got]:
        for key in IGNORED.get(name, ()):
            del row[key]
    assert_same(got, wanted, LOOSE.get(name, 0.0), name)


FIXED = {
    "existential_deposit": "a constant of the runtime",
    "block_time": "a constant of the chain",
    "is_fast_blocks": "a constant of the chain",
    "max_weight_limit": "a constant, on every subnet",
    "mev_shield_next_key": "the key never changes here",
    "block_info": "asked by number, it is the same from everywhere",
}
"""Reads whose answer nothing that happens on a chain can change."""


@pytest.mark.parametrize("name", sorted(set(TIER_1) - set(FIXED)))
async def test_tier_1_says_something(sdk: Any, view: Any, name: str) -> None:
    """It is not what the same question is answered on a chain where nothing has happened."""
    params, _ = TIER_1[name]
    genesis = await sdk.at(0)
    try:
        before = plain(await genesis.read(name, **params))
    except bittensor.BittensorError:  # there is no such subnet yet
        return
    assert plain(await view.read(name, **params)) != before


async def test_a_tuned_subnet_has_nothing_by_default(stored: Stored) -> None:
    """Or the comparison of its hyperparameters would not see one that is never read."""
    tuned, default = hyperparameters(stored, TUNED), hyperparameters(stored, 999)
    same = {name for name in tuned if tuned[name] == default[name]}
    assert same == {"max_weights_limit", "user_liquidity_enabled", "subnet_is_active"}


async def test_hyperparameters_and_metagraph_of_two_subnets(
    view: Any, stored: Stored, town: Town
) -> None:
    for netuid in (NETUID, TUNED):
        got = plain(await view.read("subnet_hyperparameters", netuid=netuid))
        assert_same(got, hyperparameters(stored, netuid), 0.0, "hyperparameters")
    got = plain(await view.read("metagraph", netuid=TUNED))
    assert_same(got, graph(stored, town, TUNED), 0.0, "metagraph")


def delegate(s: Stored, _: Town) -> dict[str, Any]:
    """A day's emission is the last epoch's times the epochs of a day; no root stake, no return."""
    take = s.module("Delegates", V1_HOT)
    a_day = s.module("Emission", NETUID)[1] * Fraction(7200, TEMPO)
    root_stake = s.module("TotalHotkeyAlpha", V1_HOT, 0)
    return {
        "hotkey": V1_HOT,
        "owner": V1,
        "take": take / U16,
        "nominators": 2,
        "registrations": [0, NETUID],
        "validator_permits": [NETUID],
        "return_per_1000": int(a_day * (1 - Fraction(take, U16)) / Fraction(root_stake, 1000)),
        "total_daily_return": int(a_day),
    }


def delegated(s: Stored, town: Town) -> list[dict[str, Any]]:
    record = delegate(s, town)
    return [{"delegate": record, "netuid": NETUID, "stake": s.position(V1_HOT, NOMINATOR, NETUID)}]


def announcement(s: Stored, _: Town) -> dict[str, Any]:
    when, digest = s.module("ColdkeySwapAnnouncements", CHANGER)
    return {"execute_block": when, "new_coldkey_hash": digest, "disputed": False,
            "dispute_block": None}  # fmt: skip


def convictions(s: Stored, town: Town) -> dict[str, Any]:
    out, protocol = s.module("SubnetAlphaOut", NETUID), s.module("SubnetProtocolAlpha", NETUID)
    burned = s.get("AlphaAssets.AlphaBurned", NETUID)
    eligible = out - protocol - burned
    unlocked: dict[str, Any] = {
        "total_locked_alpha": 0, "total_conviction_alpha": 0, "leader_hotkey": None,
        "leader_blocks_to_threshold": None, "hotkeys": [],
    }  # fmt: skip
    return {
        "netuid": NETUID, "block": town.block, "alpha_out": out, "protocol_alpha": protocol,
        "alpha_burned": burned, "eligible_alpha": eligible, "threshold_alpha": eligible * 18 // 100,
        "unlock_rate": 934_866, "maturity_rate": 934_866, "owner_hotkey": ss58("//Owner//hot"),
        "registered_at": town.registered_at,
        "ownership_changeable_at_block": town.registered_at + 2_629_800, **unlocked,
    }  # fmt: skip


MINER_ONE = {"name": "Miner One", **dict.fromkeys(
    ("url", "github_repo", "image", "discord", "description", "additional"), "")}  # fmt: skip
ON_V1 = {"coldkey_ss58": V1, "netuid": NETUID}
CHILD = {"hotkey_ss58": V1_HOT, "netuid": NETUID}
LENT = {"hotkey_ss58": V1_HOT, "netuid": TUNED}
HALF = 2**63
IDLE = {"enabled": False, "frozen": False, "refill_blocks": 0, "refill_per_block_tao": 0,
        "used_tao": 0, "budget_tao": 0, "remaining_tao": 0}  # fmt: skip

OTHERS: dict[str, tuple[dict[str, Any], Expect]] = {
    "delegate": ({"hotkey_ss58": V1_HOT}, delegate),
    "delegates": ({}, lambda s, t: [delegate(s, t)]),
    "delegated": ({"coldkey_ss58": NOMINATOR}, delegated),
    "is_delegate": ({"hotkey_ss58": V1_HOT}, lambda s, _: True),
    "delegate_take": (
        {"hotkey_ss58": V1_HOT},
        lambda s, _: {"hotkey": V1_HOT, "take": 8192 / U16, "take_u16": 8192, "min": 0.0,
                      "max": 11_796 / U16},
    ),
    "children": (LENT, lambda s, _: [[HALF, M1_HOT]]),
    "parents": ({**LENT, "hotkey_ss58": M1_HOT}, lambda s, _: [[HALF, V1_HOT]]),
    "pending_children": (
        CHILD,
        lambda s, _: {"children": [[HALF // 2, M1_HOT]], "cooldown_block": s.module(
            "PendingChildKeys", NETUID, V1_HOT)[1]},
    ),
    "auto_stake": ({"coldkey_ss58": V2, "netuid": NETUID}, lambda s, _: V1_HOT),
    "auto_stake_all": ({"coldkey_ss58": V2}, lambda s, _: [{"netuid": NETUID, "hotkey": V1_HOT}]),
    "coldkey_swap_announcement": ({"coldkey_ss58": CHANGER}, announcement),
    "identity": ({"coldkey_ss58": M1}, lambda s, _: MINER_ONE),
    "hotkey_identities": ({"hotkey_ss58s": [M1_HOT, V1_HOT]}, lambda s, _: {M1_HOT: MINER_ONE}),
    "mechanism_count": ({"netuid": TUNED}, lambda s, _: 2),
    "mechanism_emission_split": ({"netuid": TUNED}, lambda s, _: [45_535, 20_000]),
    "subnet_convictions": ({"netuid": NETUID}, convictions),
    "root_claim_threshold": ({}, lambda s, _: 600_000),
}  # fmt: skip
"""Answered with a value, beyond what running a subnet takes."""

EMPTY: dict[str, tuple[dict[str, Any], Any]] = {
    "accepts_locked_alpha": ({"coldkey_ss58": V1}, False),
    "basket_position": ({"hotkey_ss58": V1_HOT, "coldkey_ss58": V1}, None),
    "basket_trading_status": ({"hotkey_ss58": V1_HOT}, IDLE),
    "coldkey_lock": (ON_V1, None),
    "collateral_policy": (
        {"netuid": NETUID},
        {"netuid": NETUID, "lock_share": 0.0, "drain_ratio": 1.0},
    ),
    "hotkey_conviction": (CHILD, {"conviction_alpha": 0}),
    "locks_for_coldkey": ({"coldkey_ss58": V1}, []),
    "locks_for_hotkey": (CHILD, []),
    "miner_collateral": ({**ON_V1, "hotkey_ss58": V1_HOT}, None),
    "most_convicted_hotkey": ({"netuid": NETUID}, None),
    "root_basket_owed": ({"coldkey_ss58": V1}, 0),
    "root_basket_owed_breakdown": ({"coldkey_ss58": V1}, []),
    "root_basket_portfolio": ({"coldkey_ss58": V1}, []),
    "root_basket_total_nav": ({}, 0),
    "root_baskets": ({}, []),
    "subnet_collateral": ({"netuid": NETUID}, []),
    "subnet_tao_flows": ({}, {}),
    "validator_basket": ({"hotkey_ss58": V1_HOT}, []),
    "validator_basket_nav": ({"hotkey_ss58": V1_HOT}, 0),
}
"""Answered, and there is nothing: nobody can make such a thing here, or nobody did."""

LOAN = {"crowdloan_id": 0}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "associated_evm_key": ({"netuid": NETUID, "uid": 1}, "SubtensorModule.AssociatedEvmAddress"),
    "childkey_threshold_suspended": (
        {"hotkey_ss58": V1_HOT}, "SubtensorModule.ChildkeyThresholdSuspended"
    ),
    "crowdloan": (LOAN, "Crowdloan.Crowdloans"),
    "crowdloan_contributors": (LOAN, "Crowdloan.Contributions"),
    "crowdloans": ({}, "Crowdloan.Crowdloans"),
    "lease": ({"lease_id": 0}, "SubtensorModule.SubnetLeases"),
    "leases": ({}, "SubtensorModule.SubnetLeases"),
    "multisig": ({"account_ss58": V1, "call_hash": "00" * 32}, "Multisig.Multisigs"),
    "proxies": ({"coldkey_ss58": V1}, "Proxy.Proxies"),
    "validator_basket_summary": ({"hotkey_ss58": V1_HOT}, "SubtensorModule.BasketRate"),
}  # fmt: skip
"""Refused: the storage item that this runtime does not have."""


@pytest.mark.feature("the other 46 reads: a value, nothing, or a refusal", "bittensor")
@pytest.mark.parametrize("name", sorted(OTHERS))
async def test_other_reads_with_a_value(view: Any, stored: Stored, town: Town, name: str) -> None:
    params, expect = OTHERS[name]
    assert_same(plain(await view.read(name, **params)), expect(stored, town), 0.0, name)


@pytest.mark.parametrize("name", sorted(EMPTY))
async def test_reads_of_what_is_not_there(view: Any, name: str) -> None:
    params, nothing = EMPTY[name]
    assert plain(await view.read(name, **params)) == nothing


@pytest.mark.parametrize("name", sorted(REFUSED))
async def test_reads_that_are_refused(view: Any, name: str) -> None:
    params, missing = REFUSED[name]
    with pytest.raises(StorageFunctionNotFound, match=f"storage function {missing} not found"):
        await view.read(name, **params)


async def test_every_read_is_in_one_of_these() -> None:
    parts: tuple[dict[str, tuple[dict[str, Any], Any]], ...] = (TIER_1, OTHERS, EMPTY, REFUSED)
    assert len(TIER_1) == 56
    assert len(REGISTRY) == sum(map(len, parts)) == 102
    assert set(REGISTRY) == {name for part in parts for name in part}
    for part in parts:
        for name, (params, _) in part.items():
            assert set(params) == set(REGISTRY[name].params), name


@pytest.mark.parametrize(
    ("name", "params", "nothing"),
    [
        ("balance", {"coldkey_ss58": NOBODY}, 0),
        ("uid", {"hotkey_ss58": NOBODY, "netuid": NETUID}, None),
        ("stake", {"coldkey_ss58": NOBODY, "hotkey_ss58": V1_HOT, "netuid": NETUID}, 0),
        ("stake_for_coldkey", {"coldkey_ss58": NOBODY}, []),
        ("neurons", {"netuid": 99}, []),
        ("metagraph", {"netuid": 99}, None),
        ("subnet_hyperparameters", {"netuid": 99}, None),
        ("subnet_identity", {"netuid": 99}, None),
        ("commitment", {"netuid": NETUID, "hotkey_ss58": V1_HOT}, None),
        ("weights", {"netuid": 99}, {}),
        ("block_info", {"block": 10**6}, None),
        ("delegate", {"hotkey_ss58": M1_HOT}, None),
    ],
)
async def test_asked_about_what_does_not_exist(
    view: Any, name: str, params: dict[str, Any], nothing: Any
) -> None:
    assert plain(await view.read(name, **params)) == nothing


async def test_whole_neurons_carry_their_rows(view: Any, stored: Stored, town: Town) -> None:
    found = {
        neuron.uid: neuron.raw for neuron in await view.read("neurons", netuid=NETUID, lite=False)
    }
    assert len(found) == len(town.uids)
    for uid, row in stored.rows("SubtensorModule.Weights", NETUID).items():
        assert [list(pair) for pair in found[uid]["weights"]] == [list(pair) for pair in row]
    for uid, row in stored.rows("SubtensorModule.Bonds", NETUID).items():
        assert [list(pair) for pair in found[uid]["bonds"]] == [list(pair) for pair in row]
    assert found[3]["axon_info"]["port"] == found[3]["prometheus_info"]["port"] == AXON[1]


@pytest.mark.feature("the state of a past block", "bittensor")
async def test_the_past_stays_readable(sdk: Any, town: Town) -> None:
    before = await sdk.at(town.registered_at - 1)
    assert [row.netuid for row in await before.read("subnets")] == [0, 1]
    assert await before.read("metagraph", netuid=NETUID) is None
    after = await sdk.at(town.registered_at)
    assert (await after.read("metagraph", netuid=NETUID))["num_uids"] == 1
