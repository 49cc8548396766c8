"""Payout: what an epoch earned, turned into stake.

The four pots of a subnet (miners, validators, root stakers, owner) were filled block by block. An
epoch only says in which proportion each hotkey draws on them. Validators' dividends go to those
whose stake they vote with, then to their nominators, less a take.
Rounding leaves crumbs that nobody holds: they stay in `SubnetAlphaOut`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from chain.runtime.fixed import U16_MAX, U64_MAX, U96F32
from chain.runtime.frame import Ctx, StorageDoubleMap
from chain.runtime.pallets.subtensor import columns, epoch, rootdividends, shares, staking
from chain.runtime.pallets.subtensor import events as ev
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.records import RecycleOrBurn
from chain.types import AccountId, Alpha, NetUid

ROOT_NETUID = NetUid(0)


@dataclass(frozen=True)
class Pots:
    """Alpha of a subnet that waits for an epoch."""

    server: Alpha
    validator: Alpha
    root: Alpha
    owner: Alpha


def distribute(ctx: Ctx, netuid: NetUid, pots: Pots) -> None:
    """Run the epoch of `netuid` and pay `pots` out."""
    emission = int(pots.server) + int(pots.validator) + int(pots.root)
    earned = epoch.run(ctx, netuid, emission)
    incentives = {hotkey: e.incentive for hotkey, e in earned.items()}
    dividends = _shared_with_parents(
        ctx, netuid, {hotkey: e.dividend for hotkey, e in earned.items()}
    )
    alpha, root = (
        columns.numbers(ctx, s.TotalHotkeyAlpha, dividends, on) for on in (netuid, ROOT_NETUID)
    )
    stakes = dict(zip(dividends, zip(alpha, root, strict=True), strict=True))
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


def _shared_with_parents(
    ctx: Ctx, netuid: NetUid, dividends: Mapping[AccountId, int]
) -> dict[AccountId, int]:
    """The dividend of each hotkey, U96F32, once all have given their parents what is theirs."""
    received: dict[AccountId, int] = {}
    parents = columns.stored(ctx, s.ParentKeys, dividends, netuid)
    if not any(parents):
        return {
            hotkey: U96F32.of(dividend) if dividend else 0 for hotkey, dividend in dividends.items()
        }
    for (hotkey, dividend), with_parents in zip(dividends.items(), parents, strict=True):
        parts = [(hotkey, dividend)]
        if with_parents is not None:
            parts = split_among_parents(ctx, netuid, hotkey, dividend)
        for receiver, amount in parts:
            raw = U96F32.of(amount)
            received[receiver] = U96F32.add(received.get(receiver, 0), raw)
    return received


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
        root_parts[hotkey], alpha_parts[hotkey] = 0, dividend
        alpha, root = stakes[hotkey]
        if root and dividend:
            weighted = U96F32.mul(U96F32.of(root), tao_weight)
            share = U96F32.safe_div(weighted, U96F32.add(U96F32.of(alpha), weighted))
            root_parts[hotkey] = U96F32.mul(dividend, share)
            alpha_parts[hotkey] = U96F32.sub(dividend, root_parts[hotkey])
    return _shared(pot, alpha_parts), _shared(root_pot, root_parts)


def _shared(pot: int, parts: Mapping[AccountId, int]) -> dict[AccountId, int]:
    total = sum(parts.values())
    raw = U96F32.of(pot)
    return {
        key: U96F32.mul(raw, U96F32.safe_div(part, total)) if part else 0
        for key, part in parts.items()
    }


# Paying


def _pay_owner(ctx: Ctx, netuid: NetUid, cut: Alpha) -> None:
    owner, hotkey = s.SubnetOwner.find(ctx, netuid), s.SubnetOwnerHotkey.find(ctx, netuid)
    if owner is not None and hotkey is not None:
        staking.credit(ctx, hotkey, owner, netuid, cut)


def _pay_miners(ctx: Ctx, netuid: NetUid, incentives: Mapping[AccountId, int]) -> None:
    """Stake each miner's incentive for its coldkey; what owner's hotkeys earned is withheld."""
    own = owner_hotkeys(ctx, netuid)
    withheld = 0
    paid = []
    for hotkey, incentive in incentives.items():
        if not incentive:
            continue
        if hotkey in own:
            withheld += incentive
            if s.RecycleOrBurn.get(ctx, netuid) == RecycleOrBurn.Recycle:
                staking.recycle(ctx, netuid, Alpha(incentive))
            else:
                staking.burn(ctx, netuid, Alpha(incentive))
            continue
        paid.append(hotkey)
    owners = _owners(ctx, paid)
    chosen = columns.accounts(ctx, s.AutoStakeDestination, owners, netuid)
    grants = []
    for hotkey, owner, destination in zip(paid, owners, chosen, strict=True):
        incentive = incentives[hotkey]
        if destination is not None:
            event = ev.AutoStakeAdded(netuid, destination, hotkey, owner, Alpha(incentive))
            ctx.deposit(event)
        grants.append((destination or hotkey, owner, incentive))
    _credit(ctx, netuid, grants)
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
    rest = _pay_takes(ctx, netuid, dividends)
    shares.increase_all_of(ctx, list(rest), netuid, list(rest.values()))
    _replace(ctx, s.AlphaDividendsPerSubnet, netuid, rest)
    now = columns.numbers(ctx, s.TotalHotkeyAlpha, rest, netuid)
    columns.put_numbers(ctx, s.TotalHotkeyAlphaLastEpoch, rest, netuid, values=now)


def _pay_root_stakers(ctx: Ctx, netuid: NetUid, dividends: Mapping[AccountId, int]) -> None:
    rest = _pay_takes(ctx, netuid, dividends)
    stakes = columns.numbers(ctx, s.TotalHotkeyAlpha, rest, ROOT_NETUID)
    for (hotkey, amount), stake in zip(rest.items(), stakes, strict=True):
        # Root stake is owed even nothing: it makes the rate exist.
        owed = stake and rootdividends.accrue(ctx, hotkey, netuid, Alpha(amount))
        if not owed and amount:
            staking.credit(ctx, hotkey, s.Owner.get(ctx, hotkey), netuid, Alpha(amount))
    _replace(ctx, s.RootAlphaDividendsPerSubnet, netuid, rest)


def _pay_takes(
    ctx: Ctx, netuid: NetUid, dividends: Mapping[AccountId, int]
) -> dict[AccountId, int]:
    """Stake each hotkey's take for its owner; returns what is left for its stakers.

    `dividends` are U96F32, the result whole units.
    """
    rest = dict.fromkeys(dividends, 0)
    earning = [hotkey for hotkey, dividend in dividends.items() if dividend]
    rates = columns.numbers(ctx, s.Delegates, earning)
    grants = []
    for hotkey, owner, rate in zip(earning, _owners(ctx, earning), rates, strict=True):
        dividend = dividends[hotkey]
        take = U96F32.mul(U96F32.ratio(rate, U16_MAX), dividend)
        grants.append((hotkey, owner, U96F32.to_u64(take)))
        rest[hotkey] = U96F32.to_u64(U96F32.sub(dividend, take))
    _credit(ctx, netuid, grants)
    return rest


def _owners(ctx: Ctx, hotkeys: Collection[AccountId]) -> list[AccountId]:
    return [owner or s.ZERO for owner in columns.accounts(ctx, s.Owner, hotkeys)]


def _credit(ctx: Ctx, netuid: NetUid, grants: Iterable[tuple[AccountId, AccountId, int]]) -> None:
    """Stake each (hotkey, coldkey, alpha) in turn, as `staking.credit` does one."""
    grants = [grant for grant in grants if grant[2]]
    shares.increase_many(ctx, netuid, grants)
    listed = columns.stored(ctx, s.StakingHotkeys, [coldkey for _, coldkey, _ in grants])
    for (hotkey, coldkey, _), raw in zip(grants, listed, strict=True):
        if raw is None or raw[1:] != hotkey:  # most coldkeys have one hotkey
            hotkeys = s.StakingHotkeys.get(ctx, coldkey)
            if hotkey not in hotkeys:
                s.StakingHotkeys.put(ctx, coldkey, [*hotkeys, hotkey])


def _replace(
    ctx: Ctx,
    item: StorageDoubleMap[NetUid, AccountId, Alpha],
    netuid: NetUid,
    amounts: Mapping[AccountId, int],
) -> None:
    """Let `amounts` be all that is stored under `netuid`."""
    kept = set(columns.raw_keys(item, netuid, amounts))
    for key in ctx.state.keys(item.raw_key(netuid)):
        if key not in kept:
            ctx.state.remove(key)
    columns.put_numbers(ctx, item, netuid, amounts, values=list(amounts.values()))
