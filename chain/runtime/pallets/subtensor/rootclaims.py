"""Root dividends that the chain claims by itself, and the sums too small to be claimed.

Every block a few of all root stakers are drawn by the parent's hash, and what they are owed is
claimed as they would claim it; a staker who is owed nothing worth a claim is passed over without
an event. A staker comes onto the list at the first epoch after it staked: before that nothing can
be owed. It stays listed when it leaves root.
"""

from __future__ import annotations

from collections.abc import Iterable

from chain.errors import ModuleError
from chain.runtime.fixed import I96F32, U64_MAX
from chain.runtime.frame import Ctx, ensure, signed
from chain.runtime.pallets.subtensor import columns, ratelimits, rootdividends
from chain.runtime.pallets.subtensor import errors as er
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.pallet import pallet
from chain.scale import U64, codec
from chain.types import AccountId, NetUid

ROOT_NETUID = NetUid(0)
DRAWN_PER_BLOCK = 5
MAX_THRESHOLD = 10_000_000  # alpha units
NO_RATES = s.RootClaimable.value.encode({})
ON_ROOT = codec(NetUid).encode(ROOT_NETUID)
"""What the storage key of a holding on root ends with."""


@pallet.call(124)
def sudo_set_root_claim_threshold(ctx: Ctx, netuid: NetUid, new_value: U64) -> None:
    """Set the least alpha that a root staker can claim of a subnet; its owner, or root.

    Root's own is that of all subnets without one.
    """
    # ORIGIN
    ratelimits.ensure_owner_or_root(ctx, netuid)

    # CHECKS
    ensure(new_value <= MAX_THRESHOLD, er.InvalidRootClaimThreshold)

    # EFFECTS
    s.RootClaimableThreshold.put(ctx, netuid, I96F32.of(new_value))


# What happens by itself


def claim_for_some(ctx: Ctx, netuids: Iterable[NetUid]) -> None:
    """Claim for the stakers drawn in this block; where an epoch ran, bring the list up to date."""
    if any(s.LastEpochBlock.get(ctx, netuid) == ctx.block for netuid in netuids):
        _list_stakers(ctx)
    for index in draw(ctx.block_env.parent_hash, DRAWN_PER_BLOCK, s.NumStakingColdkeys.get(ctx)):
        coldkey = s.StakingColdkeysByIndex.find(ctx, index)
        if coldkey is not None:
            _claim_for(ctx, coldkey)


def draw(block_hash: bytes, count: int, size: int) -> list[int]:
    """At most `count` different indices below `size`: a walk whose steps the hash gives."""
    if not size:
        return []
    position = int.from_bytes(block_hash[:8], "big")
    drawn = set()
    for i in range(count):
        at = 8 * i % 32
        step = int.from_bytes(block_hash[at : at + 8], "big")
        position = min(position + step, U64_MAX) % size
        drawn.add(position)
    return sorted(drawn)


def _list_stakers(ctx: Ctx) -> None:
    paying = {
        s.RootClaimable.keys_of(key)[0]
        for key in ctx.state.keys(s.RootClaimable.prefix)
        if ctx.state.values[key] != NO_RATES
    }
    # All stake there is: its keys are many, so that only those of root are taken apart.
    on_root = [key for key in ctx.state.keys(s.AlphaV2.prefix) if key.endswith(ON_ROOT)]
    holders = map(s.AlphaV2.keys_of, on_root)
    stakers = list(dict.fromkeys(coldkey for hotkey, coldkey, _ in holders if hotkey in paying))
    for coldkey, place in zip(
        stakers, columns.stored(ctx, s.StakingColdkeys, stakers), strict=True
    ):
        if place is None:
            list_staker(ctx, coldkey)


def list_staker(ctx: Ctx, coldkey: AccountId) -> None:
    """Put `coldkey` at the end of the list, unless it is listed."""
    if not s.StakingColdkeys.contains(ctx, coldkey):
        count = s.NumStakingColdkeys.get(ctx)
        s.StakingColdkeysByIndex.put(ctx, count, coldkey)
        s.StakingColdkeys.put(ctx, coldkey, count)
        s.NumStakingColdkeys.put(ctx, count + 1)


def unlist_staker(ctx: Ctx, coldkey: AccountId) -> None:
    """Take `coldkey` off the list; the last one listed gets its place."""
    place = s.StakingColdkeys.find(ctx, coldkey)
    if place is None:
        return
    last = s.NumStakingColdkeys.get(ctx) - 1
    moved = s.StakingColdkeysByIndex.get(ctx, last)
    s.StakingColdkeysByIndex.put(ctx, place, moved)
    s.StakingColdkeys.put(ctx, moved, place)
    s.StakingColdkeysByIndex.remove(ctx, last)
    s.StakingColdkeys.remove(ctx, coldkey)
    s.NumStakingColdkeys.put(ctx, last)


def _claim_for(ctx: Ctx, coldkey: AccountId) -> None:
    hotkeys = s.StakingHotkeys.get(ctx, coldkey)
    due = sorted({n for hotkey in hotkeys for n in rootdividends.due(ctx, hotkey, coldkey)})
    as_staker = ctx.as_origin(signed(coldkey))
    for first in range(0, len(due), rootdividends.MAX_SUBNETS):
        batch = frozenset(due[first : first + rootdividends.MAX_SUBNETS])
        try:
            with ctx.transaction():
                rootdividends.claim_root(as_staker, batch)
        except ModuleError:
            continue
