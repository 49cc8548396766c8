"""Seats on a subnet: who has which uid, how one is filled, and whose is taken when all are.

Uids are dense, 0..n-1, and one hotkey has at most one on a subnet. A seat that changes hands
starts anew: nothing of the old neuron's weights, bonds or pay is inherited.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from chain.runtime.frame import Ctx, StorageMap, ensure
from chain.runtime.pallets.subtensor import errors as er
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.records import StorageIndex
from chain.types import AccountId, Alpha, NetUid

K = TypeVar("K")
V = TypeVar("V")

MAX_IMMUNE_PERCENT = 80


def indices(ctx: Ctx, netuid: NetUid) -> list[StorageIndex]:
    """The storage index of each mechanism of the subnet."""
    count = s.MechanismCountCurrent.get(ctx, netuid)
    return [StorageIndex.of(netuid, mecid) for mecid in range(count)]


def owner_uid(ctx: Ctx, netuid: NetUid) -> int | None:
    """The seat of the subnet's owner hotkey."""
    hotkey = s.SubnetOwnerHotkey.find(ctx, netuid)
    return None if hotkey is None else s.Uids.find(ctx, netuid, hotkey)


# Filling a seat


def append(ctx: Ctx, netuid: NetUid, hotkey: AccountId) -> int:
    """Open a new seat for `hotkey`."""
    uid = s.SubnetworkN.get(ctx, netuid)
    s.SubnetworkN.put(ctx, netuid, uid + 1)
    s.Active.put(ctx, netuid, [*s.Active.get(ctx, netuid), True])
    s.Emission.put(ctx, netuid, [*s.Emission.get(ctx, netuid), Alpha(0)])
    for column in (s.Consensus, s.Dividends, s.ValidatorTrust):
        column.put(ctx, netuid, [*column.get(ctx, netuid), 0])
    s.ValidatorPermit.put(ctx, netuid, [*s.ValidatorPermit.get(ctx, netuid), False])
    for index in indices(ctx, netuid):
        s.Incentive.put(ctx, index, [*s.Incentive.get(ctx, index), 0])
        s.LastUpdate.put(ctx, index, [*s.LastUpdate.get(ctx, index), ctx.block])
    _seat(ctx, netuid, uid, hotkey)
    return uid


def replace(ctx: Ctx, netuid: NetUid, uid: int, hotkey: AccountId) -> None:
    """Give the seat `uid` to `hotkey`. The old neuron keeps its stake and loses all else here.

    The seat of the owner's hotkey is never given away: then nothing happens.
    """
    old = s.Keys.get(ctx, netuid, uid)
    if s.SubnetOwnerHotkey.find(ctx, netuid) == old:
        return
    _unseat(ctx, netuid, old)
    _seat(ctx, netuid, uid, hotkey)
    _set_entry(ctx, s.Active, netuid, uid, True)
    _clear(ctx, netuid, uid)


def _seat(ctx: Ctx, netuid: NetUid, uid: int, hotkey: AccountId) -> None:
    s.Keys.put(ctx, netuid, uid, hotkey)
    s.Uids.put(ctx, netuid, hotkey, uid)
    s.BlockAtRegistration.put(ctx, netuid, uid, ctx.block)
    s.IsNetworkMember.put(ctx, hotkey, netuid, True)


def _unseat(ctx: Ctx, netuid: NetUid, hotkey: AccountId) -> None:
    s.Uids.remove(ctx, netuid, hotkey)
    s.IsNetworkMember.remove(ctx, hotkey, netuid)
    s.Axons.remove(ctx, netuid, hotkey)
    s.NeuronCertificates.remove(ctx, netuid, hotkey)
    s.Prometheus.remove(ctx, netuid, hotkey)


def _clear(ctx: Ctx, netuid: NetUid, uid: int) -> None:
    """Forget what the epochs and others have said of `uid`; its clock starts at this block."""
    _set_entry(ctx, s.Emission, netuid, uid, Alpha(0))
    for column in (s.Consensus, s.Dividends, s.ValidatorTrust, s.StakeWeight):
        _set_entry(ctx, column, netuid, uid, 0)
    _set_entry(ctx, s.ValidatorPermit, netuid, uid, False)
    for index in indices(ctx, netuid):
        s.Bonds.remove(ctx, index, uid)
        s.Weights.remove(ctx, index, uid)
        for row_uid, row in list(s.Weights.row(ctx, index)):
            if any(target == uid and weight for target, weight in row):
                cleared = [(target, 0 if target == uid else weight) for target, weight in row]
                s.Weights.put(ctx, index, row_uid, cleared)
        _set_entry(ctx, s.Incentive, index, uid, 0)
        _set_entry(ctx, s.LastUpdate, index, uid, ctx.block)


def _set_entry(ctx: Ctx, column: StorageMap[K, list[V]], key: K, uid: int, value: V) -> None:
    """Set one entry of a column; those that only epochs write may be shorter than n."""
    entries = column.get(ctx, key)
    if uid < len(entries):
        column.put(ctx, key, [*entries[:uid], value, *entries[uid + 1 :]])


# Taking a seat


def find_prunable(ctx: Ctx, netuid: NetUid) -> int | None:
    """The seat a newcomer gets on a full subnet, or None.

    The lowest emission goes first, then the oldest registration, then the lowest uid. Of neurons
    past their immunity period at least `MinNonImmuneUids` are kept: when there are no more than
    that, one still immune goes instead.
    """
    n = s.SubnetworkN.get(ctx, netuid)
    emission = s.Emission.get(ctx, netuid)
    immunity = s.ImmunityPeriod.get(ctx, netuid)
    immortal = immortal_uids(ctx, netuid)
    ranked: dict[bool, list[tuple[Alpha, int, int]]] = {True: [], False: []}
    for uid in range(n):
        if uid not in immortal:
            born = s.BlockAtRegistration.get(ctx, netuid, uid)
            earned = emission[uid] if uid < len(emission) else Alpha(0)
            ranked[ctx.block - born < immunity].append((earned, born, uid))
    mortal, immune = ranked[False], ranked[True]
    candidates = mortal if len(mortal) > s.MinNonImmuneUids.get(ctx, netuid) else immune
    return min(candidates)[2] if candidates else None


def immortal_uids(ctx: Ctx, netuid: NetUid) -> Sequence[int]:
    """Seats of the owner's hotkeys that are never pruned: the owner hotkey's, then the oldest."""
    limit = s.ImmuneOwnerUidsLimit.get(ctx, netuid)
    coldkey = s.SubnetOwner.get(ctx, netuid)
    seats = [
        (s.BlockAtRegistration.get(ctx, netuid, uid), uid)
        for hotkey in s.OwnedHotkeys.get(ctx, coldkey)
        if (uid := s.Uids.find(ctx, netuid, hotkey)) is not None
    ]
    kept = [uid for _, uid in sorted(seats)][:limit]
    first = owner_uid(ctx, netuid)
    if first is not None and first not in kept:
        kept = [first, *kept][:limit]
    return kept


# Fewer seats, more mechanisms


def trim(ctx: Ctx, netuid: NetUid, seats: int) -> None:
    """Close all seats but `seats`: who earned least leaves, and the others move up in order.

    Immortal and immune neurons stay. Raises TrimmingWouldExceedMaxImmunePercentage when they would
    hold 80 % of the seats that are left.
    """
    n = s.SubnetworkN.get(ctx, netuid)
    if n <= seats:
        return
    immunity = s.ImmunityPeriod.get(ctx, netuid)
    immortal = immortal_uids(ctx, netuid)
    staying = {
        uid
        for uid in range(n)
        if uid in immortal or ctx.block - s.BlockAtRegistration.get(ctx, netuid, uid) < immunity
    }
    ensure(
        len(staying) * 100 // seats < MAX_IMMUNE_PERCENT,
        er.TrimmingWouldExceedMaxImmunePercentage,
    )
    emission = s.Emission.get(ctx, netuid)
    # Stable and descending, read from the end: of equals the highest uid leaves first.
    by_pay = sorted(range(n), key=lambda uid: -int(emission[uid]))
    leaving = [uid for uid in reversed(by_pay) if uid not in staying][: n - seats]
    _compress(ctx, netuid, [uid for uid in range(n) if uid not in leaving], n)


def _compress(ctx: Ctx, netuid: NetUid, kept: list[int], n: int) -> None:
    """Number the seats `kept` anew, 0..len(kept)-1, in all that is stored by uid."""
    moved = {old: new for new, old in enumerate(kept)}
    seats = [
        (s.Keys.get(ctx, netuid, uid), s.BlockAtRegistration.get(ctx, netuid, uid))
        for uid in range(n)
    ]
    for uid, (hotkey, _) in enumerate(seats):
        s.Keys.remove(ctx, netuid, uid)
        s.BlockAtRegistration.remove(ctx, netuid, uid)
        if uid not in moved:
            _unseat(ctx, netuid, hotkey)
    for old, new in moved.items():
        hotkey, born = seats[old]
        s.Keys.put(ctx, netuid, new, hotkey)
        s.Uids.put(ctx, netuid, hotkey, new)
        s.BlockAtRegistration.put(ctx, netuid, new, born)
    for column in _columns():
        _select(ctx, column, netuid, kept)
    for index in indices(ctx, netuid):
        _select(ctx, s.Incentive, index, kept)
        _select(ctx, s.LastUpdate, index, kept)
        for rows in (s.Weights, s.Bonds):
            stored = dict(rows.row(ctx, index))
            rows.clear(ctx, index)
            for uid, row in stored.items():
                if uid in moved:
                    entries = [(moved[to], value) for to, value in row if to in moved]
                    rows.put(ctx, index, moved[uid], entries)
    s.SubnetworkN.put(ctx, netuid, len(kept))


def _columns() -> tuple[StorageMap[NetUid, list[Any]], ...]:
    """What is stored as one list a subnet, an entry a uid."""
    return (
        s.Active,
        s.Emission,
        s.Consensus,
        s.Dividends,
        s.ValidatorTrust,
        s.ValidatorPermit,
        s.StakeWeight,
    )


def _select(ctx: Ctx, column: StorageMap[K, list[V]], key: K, kept: list[int]) -> None:
    entries = column.get(ctx, key)
    if entries:
        column.put(ctx, key, [entries[uid] for uid in kept if uid < len(entries)])


def set_mechanism_count(ctx: Ctx, netuid: NetUid, count: int) -> None:
    """Have `count` mechanisms: a dropped one is forgotten, a new one knows every seat.

    A change ends the split of the emission between them.
    """
    before = s.MechanismCountCurrent.get(ctx, netuid)
    if count == before:
        return
    n = s.SubnetworkN.get(ctx, netuid)
    for mecid in range(count, before):
        index = StorageIndex.of(netuid, mecid)
        s.Incentive.remove(ctx, index)
        s.LastUpdate.remove(ctx, index)
        for rows in (s.Weights, s.Bonds, s.WeightCommits, s.TimelockedWeightCommits):
            rows.clear(ctx, index)
    for mecid in range(before, count):
        index = StorageIndex.of(netuid, mecid)
        s.Incentive.put(ctx, index, [0] * n)
        s.LastUpdate.put(ctx, index, [0] * n)
    s.MechanismCountCurrent.put(ctx, netuid, count)
    s.MechanismEmissionSplit.remove(ctx, netuid)


def reset_bonds(ctx: Ctx, netuid: NetUid, hotkey: AccountId) -> None:
    """Let every validator forget its bonds to `hotkey`, if the subnet has this switched on."""
    uid = s.Uids.find(ctx, netuid, hotkey)
    if uid is None or not s.BondsResetOn.get(ctx, netuid):
        return
    for index in indices(ctx, netuid):
        for row_uid, row in list(s.Bonds.row(ctx, index)):
            kept = [(to, bond) for to, bond in row if to != uid]
            if len(kept) < len(row):
                s.Bonds.put(ctx, index, row_uid, kept)
