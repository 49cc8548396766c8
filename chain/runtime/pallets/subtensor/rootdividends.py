"""Root dividends: alpha that subnets owe to those who stake TAO on root.

A subnet's dividend for a hotkey's root stakers is not staked at once. It raises a rate, alpha per
unit of root stake (`RootClaimable`), and a staker is owed rate * stake less what it has claimed
(`RootClaimed`). Staking moves the claimed side, so that nobody inherits past dividends.
A claim sells what is owed and stakes the TAO on root. Nobody is paid without claiming, though the
chain itself claims for a few stakers in every block.
"""

from __future__ import annotations

from collections.abc import Iterable

from chain.errors import ModuleError
from chain.runtime.fixed import I96F32
from chain.runtime.frame import Ctx, ensure, ensure_signed
from chain.runtime.pallets import balances, swap
from chain.runtime.pallets.subtensor import errors as er
from chain.runtime.pallets.subtensor import events as ev
from chain.runtime.pallets.subtensor import shares
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.accounts import subnet_account
from chain.runtime.pallets.subtensor.pallet import pallet
from chain.types import AccountId, Alpha, NetUid

ROOT_NETUID = NetUid(0)
MAX_SUBNETS = 5
"""How many subnets one claim may name."""


def accrue(ctx: Ctx, hotkey: AccountId, netuid: NetUid, alpha: Alpha) -> bool:
    """Owe `alpha` of `netuid` to the root stakers of `hotkey`; False where it is not worth a rate.

    That is when it exceeds all their stake: the rate would be absurd.
    """
    stake = shares.total(ctx, hotkey, ROOT_NETUID)
    if not stake or alpha > stake:
        return False
    rates = dict(s.RootClaimable.get(ctx, hotkey))
    rise = I96F32.ratio(int(alpha), int(stake))
    rates[netuid] = I96F32.add(rates.get(netuid, 0), rise)
    s.RootClaimable.put(ctx, hotkey, rates)
    return True


def on_stake_added(ctx: Ctx, hotkey: AccountId, coldkey: AccountId, alpha: Alpha) -> None:
    """Count past dividends of new root stake as claimed."""
    for netuid, rate in s.RootClaimable.get(ctx, hotkey).items():
        claimed = s.RootClaimed.get(ctx, netuid, hotkey, coldkey)
        s.RootClaimed.put(ctx, netuid, hotkey, coldkey, claimed + _part(rate, alpha))


def on_stake_removed(ctx: Ctx, hotkey: AccountId, coldkey: AccountId, alpha: Alpha) -> None:
    """Forget the claims of root stake that leaves."""
    for netuid, rate in s.RootClaimable.get(ctx, hotkey).items():
        claimed = s.RootClaimed.get(ctx, netuid, hotkey, coldkey)
        left = max(claimed - _part(rate, alpha), 0)
        if left:
            s.RootClaimed.put(ctx, netuid, hotkey, coldkey, left)
        else:
            s.RootClaimed.remove(ctx, netuid, hotkey, coldkey)


def owed(ctx: Ctx, hotkey: AccountId, coldkey: AccountId, netuid: NetUid) -> Alpha:
    """Alpha of `netuid` that `coldkey` may claim through `hotkey`."""
    rate = s.RootClaimable.get(ctx, hotkey).get(netuid, 0)
    earned = _part(rate, shares.value(ctx, hotkey, coldkey, ROOT_NETUID))
    return _unclaimed(ctx, hotkey, coldkey, netuid, earned)


def due(ctx: Ctx, hotkey: AccountId, coldkey: AccountId) -> list[NetUid]:
    """The subnets that owe `coldkey` a sum worth claiming through `hotkey`."""
    rates = s.RootClaimable.get(ctx, hotkey)
    if not rates:
        return []
    stake = shares.value(ctx, hotkey, coldkey, ROOT_NETUID)
    sums = {n: _unclaimed(ctx, hotkey, coldkey, n, _part(r, stake)) for n, r in rates.items()}
    return [netuid for netuid, alpha in sums.items() if is_worth_claiming(ctx, netuid, alpha)]


def _unclaimed(
    ctx: Ctx, hotkey: AccountId, coldkey: AccountId, netuid: NetUid, earned: int
) -> Alpha:
    return Alpha(max(earned - s.RootClaimed.get(ctx, netuid, hotkey, coldkey), 0))


def _part(rate: int, alpha: Alpha) -> int:
    return I96F32.to_u64(I96F32.mul(rate, I96F32.of(int(alpha))))


@pallet.call(121)
def claim_root(ctx: Ctx, subnets: frozenset[NetUid]) -> None:
    """Pay the signing coldkey what `subnets` owe it, as stake on root through the same hotkeys.

    Sums below a subnet's threshold, and those its pool cannot take, stay owed. Root itself owes
    nothing: named alone it stands for all subnets, as later runtimes ignore the list.
    """
    # ORIGIN
    coldkey = ensure_signed(ctx)

    # CHECKS
    ensure(1 <= len(subnets) <= MAX_SUBNETS, er.InvalidValue)

    # EFFECTS
    for hotkey in s.StakingHotkeys.get(ctx, coldkey):
        owing = s.RootClaimable.get(ctx, hotkey) if subnets == {ROOT_NETUID} else subnets
        _claim_all(ctx, hotkey, coldkey, owing)

    # EVENT
    ctx.deposit(ev.RootClaimed(coldkey))


@pallet.call(148)
def claim_root_with_hotkey(ctx: Ctx, hotkey: AccountId) -> None:
    """Pay the signing coldkey what all subnets owe it through one hotkey, as stake on root."""
    # ORIGIN
    coldkey = ensure_signed(ctx)

    # EFFECTS
    _claim_all(ctx, hotkey, coldkey, s.RootClaimable.get(ctx, hotkey))

    # EVENT
    ctx.deposit(ev.RootClaimed(coldkey))


def _claim_all(ctx: Ctx, hotkey: AccountId, coldkey: AccountId, netuids: Iterable[NetUid]) -> None:
    for netuid in sorted(netuids):
        _claim(ctx, hotkey, coldkey, netuid)


def is_worth_claiming(ctx: Ctx, netuid: NetUid, alpha: Alpha) -> bool:
    """Whether `alpha` that `netuid` owes is a sum that a claim pays.

    A subnet that sets no least of its own has root's, which is all that later runtimes know.
    """
    if not alpha:
        return False
    least = s.RootClaimableThreshold.find(ctx, netuid)
    if least is None:
        least = s.RootClaimableThreshold.get(ctx, ROOT_NETUID)
    return I96F32.of(int(alpha)) >= least


def _claim(ctx: Ctx, hotkey: AccountId, coldkey: AccountId, netuid: NetUid) -> None:
    alpha = owed(ctx, hotkey, coldkey, netuid)
    if not is_worth_claiming(ctx, netuid, alpha):
        return
    try:
        tao = swap.sell(ctx, netuid, alpha, drop_fees=True).paid_out
    except ModuleError:
        return
    balances.transfer(
        ctx, subnet_account(netuid), subnet_account(ROOT_NETUID), tao, keep_alive=False
    )
    sold = s.SubnetRootSellTao.get(ctx, netuid)
    s.SubnetRootSellTao.put(ctx, netuid, sold.saturating_add(tao))
    claimed = s.RootClaimed.get(ctx, netuid, hotkey, coldkey)
    s.RootClaimed.put(ctx, netuid, hotkey, coldkey, claimed + int(alpha))
    stake = swap.buy(ctx, ROOT_NETUID, tao).paid_out
    shares.increase(ctx, hotkey, coldkey, ROOT_NETUID, stake)
    on_stake_added(ctx, hotkey, coldkey, stake)
