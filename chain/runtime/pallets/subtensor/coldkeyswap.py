"""Swapping a coldkey: all that one key owns becomes another's, after an announcement of days.

The announcement names only the hash of the new key. While it stands the old key can do nothing but
follow it up, so that a thief gains nothing by it: the owner may dispute, and then root decides.
"""

from __future__ import annotations

from chain.errors import ModuleError
from chain.runtime.frame import Call, Ctx, ensure, ensure_root, ensure_signed
from chain.runtime.pallets import balances
from chain.runtime.pallets.subtensor import (
    autostake,
    hotkeys,
    ratelimits,
    recycling,
    rootclaims,
    shares,
)
from chain.runtime.pallets.subtensor import errors as er
from chain.runtime.pallets.subtensor import events as ev
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.hotkeyswap import COST
from chain.runtime.pallets.subtensor.pallet import pallet
from chain.types import H256, AccountId, NetUid, Rao, blake2_256

ROOT_NETUID = NetUid(0)
FOLLOWING_UP = {
    "announce_coldkey_swap",
    "swap_coldkey_announced",
    "dispute_coldkey_swap",
    "clear_coldkey_swap_announcement",
}
"""What a coldkey may call while its announcement stands, besides sending sealed extrinsics."""

# Calls


@pallet.call(125)
def announce_coldkey_swap(ctx: Ctx, new_coldkey_hash: H256) -> None:
    """Announce that the signing coldkey will be swapped for the key of this hash.

    The first announcement costs; it may be replaced, for nothing, some days after it fell due.
    """
    # ORIGIN
    who = ensure_signed(ctx)

    # CHECKS
    announced = s.ColdkeySwapAnnouncements.find(ctx, who)
    if announced is None:
        _charge(ctx, who, COST)
    else:
        again = announced[0] + s.ColdkeySwapReannouncementDelay.get(ctx)
        ensure(ctx.block >= again, er.ColdkeySwapReannouncedTooEarly)

    # EFFECTS
    when = ctx.block + s.ColdkeySwapAnnouncementDelay.get(ctx)
    s.ColdkeySwapAnnouncements.put(ctx, who, (when, new_coldkey_hash))

    # EVENT
    ctx.deposit(ev.ColdkeySwapAnnounced(who, new_coldkey_hash))


@pallet.call(126)
def swap_coldkey_announced(ctx: Ctx, new_coldkey: AccountId) -> None:
    """Give all that the signing coldkey owns to the key it announced, once the delay is over."""
    # ORIGIN
    who = ensure_signed(ctx)

    # CHECKS
    when, announced = _announcement(ctx, who)
    ensure(announced == blake2_256(new_coldkey), er.AnnouncedColdkeyHashDoesNotMatch)
    ensure(ctx.block >= when, er.ColdkeySwapTooEarly)

    # EFFECTS and EVENT
    s.ColdkeySwapAnnouncements.remove(ctx, who)
    _swap(ctx, who, new_coldkey)


@pallet.call(127)
def dispute_coldkey_swap(ctx: Ctx) -> None:
    """Stop a swap of the signing coldkey, and all else it does, until root resets it."""
    # ORIGIN
    coldkey = ensure_signed(ctx)

    # CHECKS
    _announcement(ctx, coldkey)
    ensure(not s.ColdkeySwapDisputes.contains(ctx, coldkey), er.ColdkeySwapAlreadyDisputed)

    # EFFECTS
    s.ColdkeySwapDisputes.put(ctx, coldkey, ctx.block)

    # EVENT
    ctx.deposit(ev.ColdkeySwapDisputed(coldkey))


@pallet.call(133)
def clear_coldkey_swap_announcement(ctx: Ctx) -> None:
    """Take back the announcement of the signing coldkey, some days after it fell due."""
    # ORIGIN
    who = ensure_signed(ctx)

    # CHECKS
    when, _ = _announcement(ctx, who)
    clear_from = when + s.ColdkeySwapReannouncementDelay.get(ctx)
    ensure(ctx.block >= clear_from, er.ColdkeySwapClearTooEarly)

    # EFFECTS
    s.ColdkeySwapAnnouncements.remove(ctx, who)

    # EVENT
    ctx.deposit(ev.ColdkeySwapCleared(who))


@pallet.call(128)
def reset_coldkey_swap(ctx: Ctx, coldkey: AccountId) -> None:
    """Forget the announcement and the dispute of a coldkey, by root."""
    # ORIGIN
    ensure_root(ctx)

    # EFFECTS
    _forget(ctx, coldkey)

    # EVENT
    ctx.deposit(ev.ColdkeySwapReset(coldkey))


@pallet.call(71)
def swap_coldkey(ctx: Ctx, old_coldkey: AccountId, new_coldkey: AccountId, swap_cost: Rao) -> None:
    """Swap a coldkey at once, by root; the old coldkey pays `swap_cost`."""
    # ORIGIN
    ensure_root(ctx)

    # CHECKS
    _charge(ctx, old_coldkey, swap_cost)

    # EFFECTS and EVENT
    _swap(ctx, old_coldkey, new_coldkey)
    _forget(ctx, old_coldkey)


@pallet.call(73)
def schedule_swap_coldkey(ctx: Ctx, new_coldkey: AccountId) -> None:
    """Was replaced by announcements: always refused with Deprecated."""
    raise er.Deprecated()


@pallet.guard
def check_coldkey_swap(ctx: Ctx, who: AccountId, call: Call) -> None:
    """Keep a coldkey still while its swap is announced, and more so while it is disputed."""
    if not s.ColdkeySwapAnnouncements.contains(ctx, who):
        return
    ensure(not s.ColdkeySwapDisputes.contains(ctx, who), er.ColdkeySwapDisputed)
    sealed = (call.pallet, call.name) == ("MevShield", "submit_encrypted")
    follows_up = call.pallet == pallet.name and call.name in FOLLOWING_UP
    ensure(sealed or follows_up, er.ColdkeySwapAnnounced)


def _announcement(ctx: Ctx, coldkey: AccountId) -> tuple[int, H256]:
    found = s.ColdkeySwapAnnouncements.find(ctx, coldkey)
    if found is None:
        raise er.ColdkeySwapAnnouncementNotFound()
    return found


def _forget(ctx: Ctx, coldkey: AccountId) -> None:
    s.ColdkeySwapAnnouncements.remove(ctx, coldkey)
    s.ColdkeySwapDisputes.remove(ctx, coldkey)


def _charge(ctx: Ctx, coldkey: AccountId, cost: Rao) -> None:
    try:
        recycling.recycle(ctx, coldkey, cost)
    except ModuleError:
        raise er.NotEnoughBalanceToPaySwapColdKey() from None


# The swap


def _swap(ctx: Ctx, old: AccountId, new: AccountId) -> None:
    # CHECKS
    ensure(not s.StakingHotkeys.get(ctx, new), er.ColdKeyAlreadyAssociated)
    ensure(not hotkeys.exists(ctx, new), er.NewColdKeyIsHotkey)

    # EFFECTS
    identity = s.IdentitiesV2.find(ctx, old)
    if identity is not None and not s.IdentitiesV2.contains(ctx, new):
        s.IdentitiesV2.remove(ctx, old)
        s.IdentitiesV2.put(ctx, new, identity)
    staking = s.StakingHotkeys.get(ctx, old)
    for netuid, _ in list(s.NetworksAdded.items(ctx)):
        if ratelimits.is_owner(ctx, netuid, old):
            s.SubnetOwner.put(ctx, netuid, new)
        autostake.rename_coldkey(ctx, netuid, old, new)
        for hotkey in staking:
            _move_stake(ctx, netuid, hotkey, old, new)
    _move_listing(ctx, old, new)
    s.StakingHotkeys.remove(ctx, old)
    s.StakingHotkeys.put(ctx, new, staking)
    owned = s.OwnedHotkeys.get(ctx, old)
    for hotkey in owned:
        s.Owner.put(ctx, hotkey, new)
    before = s.OwnedHotkeys.get(ctx, new)
    s.OwnedHotkeys.remove(ctx, old)
    s.OwnedHotkeys.put(ctx, new, [*before, *(key for key in owned if key not in before)])
    left = balances.reducible(ctx, old, keep_alive=False)
    if left:
        balances.transfer(ctx, old, new, left, keep_alive=False)

    # EVENT
    ctx.deposit(ev.ColdkeySwapped(old, new))


def _move_stake(
    ctx: Ctx, netuid: NetUid, hotkey: AccountId, old: AccountId, new: AccountId
) -> None:
    alpha = shares.value(ctx, hotkey, old, netuid)
    shares.decrease(ctx, hotkey, old, netuid, alpha)
    shares.increase(ctx, hotkey, new, netuid, alpha)
    if netuid == ROOT_NETUID:
        for each in s.RootClaimable.get(ctx, hotkey):
            claimed = s.RootClaimed.get(ctx, each, hotkey, old)
            if claimed:
                s.RootClaimed.remove(ctx, each, hotkey, old)
                moved = claimed + s.RootClaimed.get(ctx, each, hotkey, new)
                s.RootClaimed.put(ctx, each, hotkey, new, moved)


def _move_listing(ctx: Ctx, old: AccountId, new: AccountId) -> None:
    if s.StakingColdkeys.contains(ctx, old):
        rootclaims.unlist_staker(ctx, old)
        rootclaims.list_staker(ctx, new)
