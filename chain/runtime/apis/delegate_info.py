"""DelegateInfoRuntimeApi: hotkeys that take others' stake, and who staked to them."""

from __future__ import annotations

from typing import Annotated, Any

from chain.runtime.apis.api import RuntimeApi
from chain.runtime.apis.fields import ACCOUNT, C16, C64, C_ALPHA, C_NETUID
from chain.runtime.apis.neuron_info import at
from chain.runtime.fixed import U64F64
from chain.runtime.frame import Ctx
from chain.runtime.pallets.subtensor import shares
from chain.runtime.pallets.subtensor import storage as s
from chain.scale import Compact, Record, Tuple, Vector, codec
from chain.types import AccountId, NetUid

api = RuntimeApi("DelegateInfoRuntimeApi")

DELEGATE_INFO = Record(
    ("pallet_subtensor", "rpc_info", "delegate_info", "DelegateInfo"),
    (
        ("delegate_ss58", ACCOUNT),
        ("take", C16),
        ("nominators", Vector(Tuple((ACCOUNT, Vector(Tuple((C_NETUID, C_ALPHA))))))),
        ("owner_ss58", ACCOUNT),
        ("registrations", Vector(C_NETUID)),
        ("validator_permits", Vector(C_NETUID)),
        ("return_per_1000", C64),
        ("total_daily_return", C64),
    ),
)
BLOCKS_A_DAY = 7200
ROOT_NETUID = NetUid(0)

DelegateInfo = Annotated[dict[str, Any], DELEGATE_INFO]


def _positions(
    ctx: Ctx, netuids: list[NetUid]
) -> dict[AccountId, dict[AccountId, list[tuple[NetUid, int]]]]:
    """All stake by hotkey and coldkey, in one walk over the coldkeys' staking hotkeys."""
    found: dict[AccountId, dict[AccountId, list[tuple[NetUid, int]]]] = {}
    for coldkey, hotkeys in s.StakingHotkeys.items(ctx):
        for hotkey in hotkeys:
            rows = [(n, int(shares.value(ctx, hotkey, coldkey, n))) for n in netuids]
            rows = [row for row in rows if row[1]]
            if rows:
                found.setdefault(hotkey, {})[coldkey] = rows
    return found


def _delegates(ctx: Ctx) -> list[dict[str, Any]]:
    netuids = [netuid for netuid, added in s.NetworksAdded.items(ctx) if added]
    positions = _positions(ctx, netuids)
    return [
        _delegate(ctx, hotkey, netuids, positions.get(hotkey, {}))
        for hotkey, _ in s.Delegates.items(ctx)
    ]


def _delegate(
    ctx: Ctx,
    hotkey: AccountId,
    netuids: list[NetUid],
    nominators: dict[AccountId, list[tuple[NetUid, int]]],
) -> dict[str, Any]:
    registrations, permits, daily = [], [], 0
    for netuid in netuids:
        uid = s.Uids.find(ctx, netuid, hotkey)
        if uid is None:
            continue
        registrations.append(netuid)
        if at(s.ValidatorPermit.get(ctx, netuid), uid):
            permits.append(netuid)
        tempo = s.Tempo.get(ctx, netuid)
        if tempo:
            emission = U64F64.of(int(at(s.Emission.get(ctx, netuid), uid)))
            daily = U64F64.add(daily, U64F64.mul(emission, U64F64.ratio(BLOCKS_A_DAY, tempo)))
    return {
        "delegate_ss58": hotkey,
        "take": s.Delegates.get(ctx, hotkey),
        "nominators": list(nominators.items()),
        "owner_ss58": s.Owner.get(ctx, hotkey),
        "registrations": registrations,
        "validator_permits": permits,
        "return_per_1000": U64F64.to_u64(_per_1000(ctx, hotkey, daily)),
        "total_daily_return": U64F64.to_u64(daily),
    }


def _per_1000(ctx: Ctx, hotkey: AccountId, daily: int) -> int:
    """What remains of a day's emission after the take, for 1,000 units of root stake."""
    stake = s.TotalHotkeyAlpha.get(ctx, hotkey, ROOT_NETUID)
    if not stake:
        return 0
    kept = U64F64.ONE - U64F64.ratio(s.Delegates.get(ctx, hotkey), 65_535)
    return U64F64.div(U64F64.mul(daily, kept), U64F64.ratio(int(stake), 1000))


@api.method
def get_delegates(ctx: Ctx) -> list[DelegateInfo]:
    """All delegates."""
    return _delegates(ctx)


@api.method
def get_delegate(ctx: Ctx, delegate_account: AccountId) -> DelegateInfo | None:
    """One delegate, None for a hotkey that is none."""
    found = [row for row in _delegates(ctx) if row["delegate_ss58"] == delegate_account]
    return found[0] if found else None


@api.method
def get_delegated(
    ctx: Ctx, delegatee_account: AccountId
) -> list[
    tuple[
        DelegateInfo,
        Annotated[tuple[NetUid, int], Tuple((Compact(codec(NetUid)), C_ALPHA))],
    ]
]:
    """A coldkey's stake with each delegate, subnet by subnet."""
    return [
        (row, position)
        for row in _delegates(ctx)
        for coldkey, positions in row["nominators"]
        if coldkey == delegatee_account
        for position in positions
    ]
