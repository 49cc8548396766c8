"""Coinbase: each block's new TAO and alpha, from the issuance curve to the pots of the subnets.

TAO goes into the subnets' pools, by their moving prices; alpha goes beside it into the pools, and
to the participants, block by block into pots that an epoch pays out. What TAO a pool cannot take
buys alpha from it. Leases and ownership by conviction are not here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chain.errors import ModuleError
from chain.runtime.fixed import I96F32, U16_MAX, U64F64, U96F32
from chain.runtime.frame import Ctx, StorageMap
from chain.runtime.pallets import balances, swap
from chain.runtime.pallets.subtensor import epoch, payout, staking, tempo
from chain.runtime.pallets.subtensor import events as ev
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.accounts import subnet_account
from chain.types import Alpha, NetUid, Rao

ROOT_NETUID = NetUid(0)
MAX_SUPPLY = 21_000_000_000_000_000
"""The most TAO there can be, and the most alpha of each subnet."""
FULL_EMISSION = 1_000_000_000
_HALF = U96F32.ONE // 2

# The issuance curve


def emission_for(issuance: int) -> int:
    """New units per block at an issuance: 10^9 halved for each halving of what is still to come.

    TAO and the alpha of each subnet follow the same curve.
    """
    if issuance >= MAX_SUPPLY:
        return 0
    left = I96F32.ONE - I96F32.ratio(issuance, MAX_SUPPLY)
    if left <= 0:
        return 0
    halvings = I96F32.to_int(I96F32.div(I96F32.ONE, left)).bit_length() - 1  # floor(log2(1/left))
    return FULL_EMISSION >> halvings


def block_emission(ctx: Ctx) -> Rao:
    """New TAO of the current block."""
    emission = emission_for(int(s.TotalIssuance.get(ctx)))
    room = MAX_SUPPLY - int(balances.TotalIssuance.get(ctx))
    return Rao(max(min(emission, room), 0))


def alpha_issuance(ctx: Ctx, netuid: NetUid) -> int:
    """All alpha of a subnet, in its pool and outside."""
    return int(s.SubnetAlphaIn.get(ctx, netuid)) + int(s.SubnetAlphaOut.get(ctx, netuid))


# Prices and shares


def moving_price(ctx: Ctx, netuid: NetUid) -> int:
    """The smoothed price that emission follows, U64F64."""
    if netuid == ROOT_NETUID or s.SubnetMechanism.get(ctx, netuid) == 0:
        return U64F64.ONE
    return U64F64.convert(s.SubnetMovingPrice.get(ctx, netuid), I96F32)


def update_moving_price(ctx: Ctx, netuid: NetUid) -> None:
    """Move the smoothed price toward the spot price, of which at most 1 counts.

    The step grows with the subnet's age, so that a young price weighs little.
    """
    first = s.FirstEmissionBlockNumber.find(ctx, netuid) or 0
    age = U64F64.of(max(ctx.block - max(first - 1, 0), 0))
    halving = U64F64.of(s.EMAPriceHalvingBlocks.get(ctx, netuid))
    full = U64F64.convert(s.SubnetMovingAlpha.get(ctx), I96F32)
    step = U64F64.mul(full, U64F64.safe_div(age, U64F64.add(age, halving)))
    spot = min(swap.price(ctx, netuid), U64F64.ONE)
    rest = U64F64.mul(U64F64.sub(U64F64.ONE, step), moving_price(ctx, netuid))
    moved = U64F64.add(U64F64.mul(step, spot), rest)
    s.SubnetMovingPrice.put(ctx, netuid, I96F32.convert(moved, U64F64))


def weighted_root(ctx: Ctx) -> int:
    """All stake on root at the TAO weight, U96F32."""
    return U96F32.mul(U96F32.of(int(s.SubnetTAO.get(ctx, ROOT_NETUID))), epoch.tao_weight(ctx))


def root_proportion(ctx: Ctx, netuid: NetUid, root: int | None = None) -> int:
    """Weighted root stake over itself and the subnet's alpha, U96F32.

    Who asks of many subnets gives the weighted `root`.
    """
    root = weighted_root(ctx) if root is None else root
    return U96F32.safe_div(root, U96F32.add(root, U96F32.of(alpha_issuance(ctx, netuid))))


def subnets(ctx: Ctx) -> list[NetUid]:
    """All subnets but root, in chain order."""
    return [netuid for netuid, _ in s.NetworksAdded.items(ctx) if netuid != ROOT_NETUID]


def emitting(ctx: Ctx, netuids: Sequence[NetUid]) -> list[NetUid]:
    """Those of `netuids` that were started and are open: they get alpha, and may get TAO."""
    return [
        netuid
        for netuid in netuids
        if s.FirstEmissionBlockNumber.contains(ctx, netuid)
        and s.SubtokenEnabled.get(ctx, netuid)
        and s.NetworkRegistrationAllowed.get(ctx, netuid)
    ]


def emission_shares(ctx: Ctx, netuids: Sequence[NetUid]) -> dict[NetUid, int]:
    """Each subnet's share of the block's TAO, U64F64.

    Moving prices, cut by what part of the last miners' pay was withheld; subnets without emission
    leave their share to the others.
    """
    prices = {netuid: moving_price(ctx, netuid) for netuid in netuids}
    by_price = _normalized(prices)
    cut = {}
    for netuid, share in by_price.items():
        withheld = min(U64F64.convert(s.MinerBurned.get(ctx, netuid), U96F32), U64F64.ONE)
        cut[netuid] = U64F64.mul(share, U64F64.sub(U64F64.ONE, withheld))
    shares = _normalized(cut) if any(cut.values()) else by_price
    enabled = {n: share for n, share in shares.items() if s.SubnetEmissionEnabled.get(ctx, n)}
    if len(enabled) == len(shares):
        return shares
    return {netuid: 0 for netuid in netuids} | _normalized(enabled)


def _normalized(parts: Mapping[NetUid, int]) -> dict[NetUid, int]:
    total = sum(parts.values())
    return {netuid: U64F64.safe_div(part, total) for netuid, part in parts.items()}


def sells_root_dividends(ctx: Ctx, netuids: Sequence[NetUid]) -> bool:
    """Whether root stakers are paid: only while subnets together are worth more than TAO."""
    return sum(moving_price(ctx, netuid) for netuid in netuids) > U64F64.ONE


@dataclass(frozen=True)
class Terms:
    """One block of one subnet, U96F32 amounts: to the pool, to participants, to buy alpha with."""

    tao_in: int
    alpha_in: int
    alpha_out: int
    excess_tao: int


def terms(ctx: Ctx, netuid: NetUid, tao_emission: int, root: int | None = None) -> Terms:
    """What becomes of `tao_emission` (U96F32) and of the block's alpha; `root` is weighted.

    The pool takes TAO and alpha at its price, as much alpha as the root proportion of the alpha
    emission; TAO beyond that buys alpha.
    """
    alpha_emission = U96F32.of(emission_for(alpha_issuance(ctx, netuid)))
    price = U96F32.convert(swap.price(ctx, netuid), U64F64)
    alpha_in, tao_in = U96F32.safe_div(tao_emission, price), tao_emission
    cap = U96F32.mul(root_proportion(ctx, netuid, root), alpha_emission)
    if alpha_in > cap:
        alpha_in, tao_in = cap, U96F32.mul(cap, price)
    return Terms(tao_in, alpha_in, alpha_emission, U96F32.sub(tao_emission, tao_in))


# The coinbase


def run_coinbase(ctx: Ctx, emission: Rao) -> None:
    """Share out the block's emission, and run the epochs that are due."""
    s.SubnetRootSellTao.clear(ctx)  # counts what was claimed since the last coinbase
    all_subnets = subnets(ctx)
    netuids = emitting(ctx, all_subnets)
    shares = emission_shares(ctx, netuids)
    sells_root = sells_root_dividends(ctx, netuids)
    tao, root = U64F64.of(int(emission)), weighted_root(ctx)
    given = {
        netuid: terms(ctx, netuid, U96F32.convert(U64F64.mul(tao, share), U64F64), root)
        for netuid, share in shares.items()
    }

    # All terms are fixed before the first pool changes; pots are filled after the last has.
    spent = sum((_inject(ctx, netuid, t) for netuid, t in given.items()), Rao(0))
    _mint(ctx, spent)
    for netuid, t in given.items():
        _fill_pots(ctx, netuid, t.alpha_out, sells_root, root)

    # The pots are drained before any epoch runs: one subnet's epoch must not see another's pay.
    for netuid, pots in sorted(_drain(ctx, all_subnets).items()):
        payout.distribute(ctx, netuid, pots)
        s.LastMechansimStepBlock.put(ctx, netuid, ctx.block)


def _mint(ctx: Ctx, spent: Rao) -> None:
    """Account for new TAO. What of the emission no pool took was never minted."""
    balances.issue(ctx, spent)
    s.TotalIssuance.put(ctx, s.TotalIssuance.get(ctx).saturating_add(spent))


def _inject(ctx: Ctx, netuid: NetUid, t: Terms) -> Rao:
    """Put the block's liquidity into the pool; returns the TAO it took."""
    account = subnet_account(netuid)
    tao_in, alpha_in = swap.adjust_protocol_liquidity(
        ctx, netuid, Rao(U96F32.to_u64(t.tao_in)), Alpha(U96F32.to_u64(t.alpha_in))
    )

    # The buying happens with the new weights and the old reserves.
    excess = _buy_for_protocol(ctx, netuid, Rao(U96F32.to_u64(t.excess_tao)))
    s.SubnetAlphaInEmission.put(ctx, netuid, alpha_in)
    s.SubnetAlphaIn.put(ctx, netuid, s.SubnetAlphaIn.get(ctx, netuid).saturating_add(alpha_in))
    s.SubnetTaoInEmission.put(ctx, netuid, tao_in)
    if tao_in:
        balances.deposit(ctx, account, tao_in)
        s.SubnetTAO.put(ctx, netuid, s.SubnetTAO.get(ctx, netuid).saturating_add(tao_in))
        s.TotalStake.put(ctx, s.TotalStake.get(ctx).saturating_add(tao_in))
    inflow = int(tao_in) + int(excess)
    if inflow:
        s.SubnetProtocolFlow.put(ctx, netuid, s.SubnetProtocolFlow.get(ctx, netuid) + inflow)
    return tao_in + excess


def _buy_for_protocol(ctx: Ctx, netuid: NetUid, tao: Rao) -> Rao:
    """Buy alpha that nobody owns; returns the TAO spent, none where the pool refuses."""
    s.SubnetExcessTao.put(ctx, netuid, Rao(0))
    if not tao:
        return tao
    try:
        result = swap.buy(ctx, netuid, tao, drop_fees=True)
    except ModuleError:
        return Rao(0)
    balances.deposit(ctx, subnet_account(netuid), tao)
    s.SubnetExcessTao.put(ctx, netuid, result.paid_in)
    bought = s.SubnetProtocolAlpha.get(ctx, netuid).saturating_add(result.paid_out)
    s.SubnetProtocolAlpha.put(ctx, netuid, bought)
    return tao


def _fill_pots(ctx: Ctx, netuid: NetUid, alpha_out: int, sells_root: bool, weighted: int) -> None:
    """Share the participants' alpha (U96F32) between owner, miners, validators, root stakers."""
    created = Alpha(U96F32.to_u64(alpha_out))
    s.SubnetAlphaOutEmission.put(ctx, netuid, created)
    s.SubnetAlphaOut.put(ctx, netuid, s.SubnetAlphaOut.get(ctx, netuid).saturating_add(created))
    if s.OwnerCutEnabled.get(ctx, netuid):
        cut = U96F32.mul(alpha_out, U96F32.ratio(s.SubnetOwnerCut.get(ctx), U16_MAX))
        alpha_out = U96F32.sub(alpha_out, cut)
        _add(ctx, s.PendingOwnerCut, netuid, cut)
    # The root proportion is that of the issuance as it is now, pool and this block included.
    root = U96F32.mul(U96F32.mul(root_proportion(ctx, netuid, weighted), alpha_out), _HALF)
    server = U96F32.mul(alpha_out, _HALF)
    _add(ctx, s.PendingServerEmission, netuid, server)
    _add(ctx, s.PendingValidatorEmission, netuid, U96F32.sub(U96F32.sub(alpha_out, server), root))
    if sells_root:
        _add(ctx, s.PendingRootAlphaDivs, netuid, root)
    else:
        staking.recycle(ctx, netuid, Alpha(U96F32.to_u64(root)))


def _add(ctx: Ctx, item: StorageMap[NetUid, Alpha], netuid: NetUid, amount: int) -> None:
    item.put(ctx, netuid, item.get(ctx, netuid).saturating_add(Alpha(U96F32.to_u64(amount))))


def _drain(ctx: Ctx, netuids: Sequence[NetUid]) -> dict[NetUid, payout.Pots]:
    """Take the pots of the subnets whose epoch runs in this block, and move all schedules on."""
    drained: dict[NetUid, payout.Pots] = {}
    most = s.MaxEpochsPerBlock.get(ctx)
    for netuid in netuids:
        s.BlocksSinceLastStep.put(ctx, netuid, s.BlocksSinceLastStep.get(ctx, netuid) + 1)
        if not tempo.should_run_epoch(ctx, netuid):
            continue
        if len(drained) >= most:
            s.PendingEpochAt.put(ctx, netuid, ctx.block + 1)
            ctx.deposit(ev.EpochDeferred(netuid, ctx.block, ctx.block + 1))
            continue
        if epoch.is_consistent(ctx, netuid):
            s.BlocksSinceLastStep.put(ctx, netuid, 0)
            drained[netuid] = payout.Pots(
                server=_take(ctx, s.PendingServerEmission, netuid),
                validator=_take(ctx, s.PendingValidatorEmission, netuid),
                root=_take(ctx, s.PendingRootAlphaDivs, netuid),
                owner=_take(ctx, s.PendingOwnerCut, netuid),
            )
        else:
            ctx.deposit(ev.EpochSkipped(netuid, ctx.block))
        s.LastEpochBlock.put(ctx, netuid, ctx.block)
        s.PendingEpochAt.put(ctx, netuid, 0)
        s.SubnetEpochIndex.put(ctx, netuid, s.SubnetEpochIndex.get(ctx, netuid) + 1)
    return drained


def _take(ctx: Ctx, item: StorageMap[NetUid, Alpha], netuid: NetUid) -> Alpha:
    waiting = item.get(ctx, netuid)
    item.put(ctx, netuid, Alpha(0))
    return waiting
