"""StakeInfoRuntimeApi: who has how much stake where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from chain.runtime.apis.api import RuntimeApi
from chain.runtime.apis.fields import ACCOUNT, BOOL, C64, C_ALPHA, C_NETUID, C_RAO
from chain.runtime.apis.neuron_info import at
from chain.runtime.frame import Ctx
from chain.runtime.pallets import swap
from chain.runtime.pallets.subtensor import records, shares
from chain.runtime.pallets.subtensor import storage as s
from chain.scale import U64, Compact, Record, codec
from chain.types import AccountId, Alpha, NetUid

api = RuntimeApi("StakeInfoRuntimeApi")

STAKE_INFO = Record(
    ("pallet_subtensor", "rpc_info", "stake_info", "StakeInfo"),
    (
        ("hotkey", ACCOUNT),
        ("coldkey", ACCOUNT),
        ("netuid", C_NETUID),
        ("stake", C_ALPHA),
        ("locked", C64),
        ("emission", C_ALPHA),
        ("tao_emission", C_RAO),
        ("drain", C64),
        ("is_registered", BOOL),
    ),
)
StakeInfo = Annotated[dict[str, Any], STAKE_INFO]


def _info(ctx: Ctx, hotkey: AccountId, coldkey: AccountId, netuid: NetUid) -> dict[str, Any]:
    uid = s.Uids.find(ctx, netuid, hotkey)
    emission = 0 if uid is None else at(s.Emission.get(ctx, netuid), uid)
    return {
        "hotkey": hotkey,
        "coldkey": coldkey,
        "netuid": netuid,
        "stake": shares.value(ctx, hotkey, coldkey, netuid),
        "locked": 0,
        "emission": emission,
        "tao_emission": s.RootAlphaDividendsPerSubnet.get(ctx, netuid, hotkey),
        "drain": 0,
        "is_registered": uid is not None,
    }


def _netuids(ctx: Ctx) -> list[NetUid]:
    return [netuid for netuid, added in s.NetworksAdded.items(ctx) if added]


def _of_coldkey(ctx: Ctx, coldkey: AccountId) -> list[dict[str, Any]]:
    rows = [
        _info(ctx, hotkey, coldkey, netuid)
        for hotkey in s.StakingHotkeys.get(ctx, coldkey)
        for netuid in _netuids(ctx)
    ]
    return [row for row in rows if row["stake"]]


@api.method
def get_stake_info_for_coldkey(ctx: Ctx, coldkey_account: AccountId) -> list[StakeInfo]:
    """A coldkey's positions that hold something."""
    return _of_coldkey(ctx, coldkey_account)


@api.method
def get_stake_info_for_coldkeys(
    ctx: Ctx, coldkey_accounts: list[AccountId]
) -> list[tuple[AccountId, list[StakeInfo]]]:
    """Several coldkeys' positions that hold something."""
    return [(coldkey, _of_coldkey(ctx, coldkey)) for coldkey in coldkey_accounts]


@api.method
def get_stake_info_for_hotkey_coldkey_netuid(
    ctx: Ctx, hotkey_account: AccountId, coldkey_account: AccountId, netuid: NetUid
) -> StakeInfo | None:
    """One position, also an empty one; None when there is no such subnet."""
    if not s.NetworksAdded.get(ctx, netuid):
        return None
    return _info(ctx, hotkey_account, coldkey_account, netuid)


@dataclass(frozen=True)
class StakeAvailability:
    """How much of a position can be moved. Nothing is locked here."""

    __scale_path__ = ("pallet_subtensor", "rpc_info", "stake_info", "StakeAvailability")
    total: Annotated[Alpha, Compact(codec(Alpha))]
    locked: Annotated[Alpha, Compact(codec(Alpha))]
    available: Annotated[Alpha, Compact(codec(Alpha))]


@api.method
def get_stake_availability_for_coldkeys(
    ctx: Ctx, coldkey_accounts: list[AccountId], netuids: list[NetUid] | None
) -> dict[AccountId, dict[NetUid, StakeAvailability]]:
    """By coldkey and subnet, what is staked and how much of it can be moved."""
    answer: dict[AccountId, dict[NetUid, StakeAvailability]] = {}
    for coldkey in coldkey_accounts:
        totals: dict[NetUid, Alpha] = {}
        for row in _of_coldkey(ctx, coldkey):
            if netuids is None or row["netuid"] in netuids:
                totals[row["netuid"]] = totals.get(row["netuid"], Alpha(0)) + row["stake"]
        answer[coldkey] = {
            netuid: StakeAvailability(total, Alpha(0), total) for netuid, total in totals.items()
        }
    return answer


Place = tuple[AccountId, NetUid]


# On the chain this is a plain multiplication by the subnet's rate; places are compared as wholes.
@api.method
def get_stake_fee(
    ctx: Ctx,
    origin: Place | None,
    origin_coldkey_account: AccountId,
    destination: Place | None,
    destination_coldkey_account: AccountId,
    amount: U64,
) -> U64:
    """What moving `amount` costs at the pool it goes through."""
    if origin == destination:
        return 0
    place = destination or origin
    netuid = place[1] if place else NetUid(0)
    return int(amount) * swap.FeeRate.get(ctx, netuid) // 65_535


@api.method
def get_coldkey_lock(ctx: Ctx, coldkey: AccountId, netuid: NetUid) -> records.LockState | None:
    """Always None: conviction locks are not made on this chain."""
    return None


@api.method
def get_hotkey_conviction(
    ctx: Ctx, hotkey: AccountId, netuid: NetUid
) -> Annotated[int, records.FIXED_U128]:
    """Always 0: conviction locks are not made on this chain."""
    return 0


@api.method
def get_most_convicted_hotkey_on_subnet(ctx: Ctx, netuid: NetUid) -> AccountId | None:
    """Always None: conviction locks are not made on this chain."""
    return None
