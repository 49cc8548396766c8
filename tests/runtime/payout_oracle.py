"""Payout told a second time, one hotkey and one storage item at a time, as the rules say it.

Slow on purpose: the library reads and writes many neurons together, and what it leaves in storage
has to be what this leaves there.
"""

from __future__ import annotations

from collections.abc import Mapping

from chain.runtime.fixed import U16_MAX, U64_MAX, U96F32
from chain.runtime.frame import Ctx
from chain.runtime.pallets.subtensor import epoch, rootdividends, shares, staking
from chain.runtime.pallets.subtensor import events as ev
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.payout import Pots
from chain.runtime.pallets.subtensor.records import RecycleOrBurn
from chain.types import AccountId, Alpha, NetUid

ROOT_NETUID = NetUid(0)


def distribute(ctx: Ctx, netuid: NetUid, pots: Pots) -> None:
    """Run the epoch of `netuid` and pay `pots` out."""
    emission = int(pots.server) + int(pots.validator) + int(pots.root)
    earned = epoch.run(ctx, netuid, emission)
    incentives = {hotkey: e.incentive for hotkey, e in earned.items()}

    dividends: dict[AccountId, int] = {}
    for hotkey, e in earned.items():
        for receiver, amount in split_among_parents(ctx, netuid, hotkey, e.dividend):
            raw = U96F32.of(amount)
            dividends[receiver] = U96F32.add(dividends.get(receiver, 0), raw)
    stakes = {
        hotkey: (
            int(shares.total(ctx, hotkey, netuid)),
            int(shares.total(ctx, hotkey, ROOT_NETUID)),
        )
        for hotkey in dividends
    }
    # Without miners the validators get the whole.
    pot = int(pots.validator) + (0 if any(incentives.values()) else int(pots.server))
    alpha_dividends, root_dividends = split_dividends(
        pot, int(pots.root), epoch.tao_weight(ctx), stakes, dividends
    )

    _pay_owner(ctx, netuid, pots.owner)
    _pay_miners(ctx, netuid, incentives)
    _pay_validators(ctx, netuid, alpha_dividends)
    _pay_root_stakers(ctx, netuid, root_dividends)


# Who draws how much


def split_among_parents(
    ctx: Ctx, netuid: NetUid, hotkey: AccountId, dividend: int
) -> list[tuple[AccountId, int]]:
    """Split a dividend over those whose stake `hotkey` voted with; its own part comes last.

    Parents of another coldkey pay the hotkey its childkey take.
    """
    weight = epoch.tao_weight(ctx)

    def counted(key: AccountId, proportion: int) -> int:
        alpha = U96F32.of(int(shares.total(ctx, key, netuid)))
        tao = U96F32.of(int(shares.total(ctx, key, ROOT_NETUID)))
        alpha_part, tao_part = U96F32.mul(alpha, proportion), U96F32.mul(tao, proportion)
        return U96F32.add(alpha_part, U96F32.mul(tao_part, weight))

    given = sum(U96F32.ratio(p, U64_MAX) for p, _ in s.ChildKeys.get(ctx, hotkey, netuid))
    kept = U96F32.of(U96F32.to_u64(counted(hotkey, U96F32.sub(U96F32.ONE, given))))
    parts = [
        (parent, counted(parent, U96F32.ratio(proportion, U64_MAX)))
        for proportion, parent in s.ParentKeys.get(ctx, hotkey, netuid)
    ]
    total = kept + sum(part for _, part in parts)

    owner = s.Owner.get(ctx, hotkey)
    take = U96F32.ratio(_childkey_take(ctx, hotkey, netuid), U16_MAX)
    burn = U96F32.ratio(s.CKBurn.get(ctx), U64_MAX)
    amount = left = U96F32.of(dividend)
    takes = 0
    paid = []
    for parent, part in parts:
        gets = U96F32.mul(amount, U96F32.safe_div(part, total))
        left = U96F32.sub(left, gets)
        if s.Owner.get(ctx, parent) != owner:
            burned, taken = U96F32.mul(burn, gets), U96F32.mul(take, gets)
            gets = U96F32.sub(gets, burned + taken)
            takes += taken
            staking.recycle(ctx, netuid, Alpha(U96F32.to_u64(burned)))
        paid.append((parent, U96F32.to_u64(gets)))
    return [*paid, (hotkey, U96F32.to_u64(U96F32.add(left, takes)))]


def _childkey_take(ctx: Ctx, hotkey: AccountId, netuid: NetUid) -> int:
    least = max(s.MinChildkeyTake.get(ctx), s.MinChildkeyTakePerSubnet.get(ctx, netuid))
    return max(s.ChildkeyTake.get(ctx, hotkey, netuid), least)


def split_dividends(
    pot: int,
    root_pot: int,
    tao_weight: int,
    stakes: Mapping[AccountId, tuple[int, int]],
    dividends: Mapping[AccountId, int],
) -> tuple[dict[AccountId, int], dict[AccountId, int]]:
    """Split the validators' pot and the root stakers' pot over the hotkeys, as U96F32.

    Each hotkey's dividend falls into two parts, as its stake does into alpha and (weighted) root
    stake; each pot is shared in proportion to one of them. `stakes` are (alpha, root) pairs,
    `tao_weight` and `dividends` U96F32. Both results are in the order of the hotkeys' bytes.
    """
    alpha_parts: dict[AccountId, int] = {}
    root_parts: dict[AccountId, int] = {}
    for hotkey, dividend in sorted(dividends.items()):
        alpha, root = (U96F32.of(stake) for stake in stakes[hotkey])
        weighted = U96F32.mul(root, tao_weight)
        share = U96F32.safe_div(weighted, U96F32.add(alpha, weighted))
        root_parts[hotkey] = U96F32.mul(dividend, share)
        alpha_parts[hotkey] = U96F32.sub(dividend, root_parts[hotkey])
    return _shared(pot, alpha_parts), _shared(root_pot, root_parts)


def _shared(pot: int, parts: Mapping[AccountId, int]) -> dict[AccountId, int]:
    total = sum(parts.values())
    raw = U96F32.of(pot)
    return {key: U96F32.mul(raw, U96F32.safe_div(part, total)) for key, part in parts.items()}


# Paying


def _pay_owner(ctx: Ctx, netuid: NetUid, cut: Alpha) -> None:
    owner, hotkey = s.SubnetOwner.find(ctx, netuid), s.SubnetOwnerHotkey.find(ctx, netuid)
    if owner is not None and hotkey is not None:
        staking.credit(ctx, hotkey, owner, netuid, cut)


def _pay_miners(ctx: Ctx, netuid: NetUid, incentives: Mapping[AccountId, int]) -> None:
    """Stake each miner's incentive for its coldkey; what owner's hotkeys earned is withheld."""
    own = owner_hotkeys(ctx, netuid)
    withheld = 0
    for hotkey, incentive in incentives.items():
        if not incentive:
            continue
        alpha = Alpha(incentive)
        if hotkey in own:
            withheld += incentive
            if s.RecycleOrBurn.get(ctx, netuid) == RecycleOrBurn.Recycle:
                staking.recycle(ctx, netuid, alpha)
            else:
                staking.burn(ctx, netuid, alpha)
            continue
        owner = s.Owner.get(ctx, hotkey)
        chosen = s.AutoStakeDestination.find(ctx, owner, netuid)
        if chosen is not None:
            ctx.deposit(ev.AutoStakeAdded(netuid, chosen, hotkey, owner, alpha))
        staking.credit(ctx, hotkey if chosen is None else chosen, owner, netuid, alpha)
    s.MinerBurned.put(ctx, netuid, U96F32.ratio(withheld, sum(incentives.values())))


def owner_hotkeys(ctx: Ctx, netuid: NetUid) -> set[AccountId]:
    """Hotkeys with a seat on the subnet that its owner's coldkey owns, and its owner hotkey."""
    owner = s.SubnetOwner.find(ctx, netuid)
    owned = set() if owner is None else set(s.OwnedHotkeys.get(ctx, owner))
    named = s.SubnetOwnerHotkey.find(ctx, netuid)
    if named is not None:
        owned.add(named)
    return {hotkey for hotkey in owned if s.Uids.contains(ctx, netuid, hotkey)}


def _pay_validators(ctx: Ctx, netuid: NetUid, dividends: Mapping[AccountId, int]) -> None:
    s.AlphaDividendsPerSubnet.clear(ctx, netuid)
    for hotkey, dividend in dividends.items():
        rest = _pay_take(ctx, netuid, hotkey, dividend)
        shares.increase_all(ctx, hotkey, netuid, rest)
        s.AlphaDividendsPerSubnet.put(ctx, netuid, hotkey, rest)
        now = shares.total(ctx, hotkey, netuid)
        s.TotalHotkeyAlphaLastEpoch.put(ctx, hotkey, netuid, now)


def _pay_root_stakers(ctx: Ctx, netuid: NetUid, dividends: Mapping[AccountId, int]) -> None:
    s.RootAlphaDividendsPerSubnet.clear(ctx, netuid)
    for hotkey, dividend in dividends.items():
        rest = _pay_take(ctx, netuid, hotkey, dividend)
        if not rootdividends.accrue(ctx, hotkey, netuid, rest):
            staking.credit(ctx, hotkey, s.Owner.get(ctx, hotkey), netuid, rest)
        s.RootAlphaDividendsPerSubnet.put(ctx, netuid, hotkey, rest)


def _pay_take(ctx: Ctx, netuid: NetUid, hotkey: AccountId, dividend: int) -> Alpha:
    """Stake the hotkey's take for its owner; returns what is left for the stakers."""
    take = U96F32.mul(U96F32.ratio(s.Delegates.get(ctx, hotkey), U16_MAX), dividend)
    alpha = Alpha(U96F32.to_u64(take))
    staking.credit(ctx, hotkey, s.Owner.get(ctx, hotkey), netuid, alpha)
    return Alpha(U96F32.to_u64(U96F32.sub(dividend, take)))
