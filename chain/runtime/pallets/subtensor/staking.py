"""Staking: TAO into a subnet's alpha and back, through a hotkey, and from one subnet to another.

Stake on root is TAO at a price of one. Each trade pays one fee, to the author of the block.
Conviction locks, leases and collateral are not here, so nothing staked is ever locked.
"""

from __future__ import annotations

from collections.abc import Iterator

from chain.errors import DispatchError, ModuleError
from chain.runtime.fixed import U64F64, U96F32
from chain.runtime.frame import Ctx, ensure, ensure_signed
from chain.runtime.pallets import alpha_assets, balances, swap
from chain.runtime.pallets.subtensor import children, hotkeys, rootdividends, shares
from chain.runtime.pallets.subtensor import errors as er
from chain.runtime.pallets.subtensor import events as ev
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.accounts import BURN_ACCOUNT, subnet_account
from chain.runtime.pallets.subtensor.pallet import pallet
from chain.scale import U64
from chain.types import RAO_PER_TAO, AccountId, Alpha, NetUid, Rao

ROOT_NETUID = NetUid(0)
MIN_STAKE = Rao(2_000_000)
"""The least TAO value of a position or a trade, apart from taking out all there is."""

pallet.constant("InitialMinStake", U64, int(MIN_STAKE))

# Positions


def credit(ctx: Ctx, hotkey: AccountId, coldkey: AccountId, netuid: NetUid, alpha: Alpha) -> None:
    """Give `coldkey` stake that is in the issuance already: a payout, not a trade."""
    if not alpha:
        return
    shares.increase(ctx, hotkey, coldkey, netuid, alpha)
    staking = s.StakingHotkeys.get(ctx, coldkey)
    if hotkey not in staking:
        s.StakingHotkeys.put(ctx, coldkey, [*staking, hotkey])


def recycle(ctx: Ctx, netuid: NetUid, alpha: Alpha) -> None:
    """Take alpha that nobody holds any more out of the issuance."""
    out = s.SubnetAlphaOut.get(ctx, netuid)
    s.SubnetAlphaOut.put(ctx, netuid, out.saturating_sub(alpha))
    alpha_assets.count_recycled(ctx, netuid, alpha)


def burn(ctx: Ctx, netuid: NetUid, alpha: Alpha) -> None:
    """Count alpha that nobody holds any more as burned; it stays in the issuance."""
    alpha_assets.count_burned(ctx, netuid, alpha)


# Trades


def stake_into_subnet(
    ctx: Ctx,
    hotkey: AccountId,
    coldkey: AccountId,
    netuid: NetUid,
    tao: Rao,
    *,
    limit_price: int | None = None,
    drop_fees: bool = False,
) -> Alpha:
    """Buy alpha for `tao` of `coldkey` and stake it; returns the alpha.

    The coldkey's account is kept alive, if need be by staking less. What the limit leaves over
    goes back. Raises the swap's refusals, AmountTooLow, InsufficientLiquidity.
    """
    account = subnet_account(netuid)
    tao = min(tao, balances.reducible(ctx, coldkey))
    balances.transfer(ctx, coldkey, account, tao)
    result = swap.buy(ctx, netuid, tao, limit_price=limit_price, drop_fees=drop_fees)
    bought = result.paid_out
    ensure(bought > 0, er.AmountTooLow)
    ensure(shares.can_increase(ctx, hotkey, netuid, bought), er.InsufficientLiquidity)
    credit(ctx, hotkey, coldkey, netuid, bought)
    pay_author(ctx, netuid, result.fee)

    left = tao - result.paid_in - result.fee
    if left:
        balances.transfer(ctx, account, coldkey, left, keep_alive=False)
        s.TotalStake.put(ctx, s.TotalStake.get(ctx).saturating_sub(left))

    record_flow(ctx, netuid, int(result.paid_in))
    s.LastColdkeyHotkeyStakeBlock.put(ctx, coldkey, hotkey, ctx.block)
    if netuid == ROOT_NETUID:
        rootdividends.on_stake_added(ctx, hotkey, coldkey, bought)
    ctx.deposit(ev.StakeAdded(coldkey, hotkey, tao, bought, netuid, int(result.fee)))
    return bought


def unstake_from_subnet(
    ctx: Ctx,
    hotkey: AccountId,
    coldkey: AccountId,
    netuid: NetUid,
    alpha: Alpha,
    *,
    limit_price: int | None = None,
    drop_fees: bool = False,
    beneficiary: AccountId | None = None,
) -> Rao:
    """Sell `alpha` that `coldkey` holds and pay it, or `beneficiary`; returns the TAO paid.

    What the limit leaves over stays staked. Raises the swap's refusals.
    """
    account = subnet_account(netuid)
    shares.decrease(ctx, hotkey, coldkey, netuid, alpha)
    result = swap.sell(ctx, netuid, alpha, limit_price=limit_price, drop_fees=drop_fees)
    shares.increase(ctx, hotkey, coldkey, netuid, alpha - result.paid_in - result.fee)
    taker = coldkey if beneficiary is None else beneficiary
    balances.transfer(ctx, account, taker, result.paid_out, keep_alive=False)
    for_author = _sell_fee(ctx, netuid, result.fee)

    if netuid == ROOT_NETUID:
        rootdividends.on_stake_removed(ctx, hotkey, coldkey, alpha)
    record_flow(ctx, netuid, -int(result.paid_out) - int(for_author))
    s.LastColdkeyHotkeyStakeBlock.put(ctx, coldkey, hotkey, ctx.block)
    ctx.deposit(
        ev.StakeRemoved(coldkey, hotkey, result.paid_out, result.paid_in, netuid, int(result.fee))
    )
    return result.paid_out


def _sell_fee(ctx: Ctx, netuid: NetUid, fee: Alpha) -> Rao:
    """Turn a fee in alpha into TAO for the author; a crumb worth nothing is burned."""
    if not fee:
        return Rao(0)
    try:
        tao = swap.sell(ctx, netuid, fee, drop_fees=True).paid_out
    except ModuleError:
        burn(ctx, netuid, fee)
        return Rao(0)
    pay_author(ctx, netuid, tao)
    return tao


def pay_author(ctx: Ctx, netuid: NetUid, fee: Rao) -> None:
    """Pass a fee on to the block's author, or burn it where there is none.

    A sum too small to bring an account to life stays in the subnet's account.
    """
    if not fee:
        return
    for taker in (ctx.block_env.author, BURN_ACCOUNT):
        if taker and balances.free(ctx, taker) + fee >= balances.EXISTENTIAL_DEPOSIT:
            balances.transfer(ctx, subnet_account(netuid), taker, fee, keep_alive=False)
            return


def record_flow(ctx: Ctx, netuid: NetUid, tao: int) -> None:
    """Count TAO that users brought into the pool (or took, when negative)."""
    if tao:
        s.SubnetTaoFlow.put(ctx, netuid, s.SubnetTaoFlow.get(ctx, netuid) + tao)


# Checks


def _ensure_can_stake(
    ctx: Ctx,
    coldkey: AccountId,
    hotkey: AccountId,
    netuid: NetUid,
    tao: Rao,
    max_tao: Rao | None = None,
) -> None:
    _ensure_pool_takes(ctx, netuid, int(tao), int(s.SubnetTAO.get(ctx, netuid)))
    _ensure_open(ctx, netuid)
    least = int(MIN_STAKE) + swap.fee_of(ctx, netuid, int(MIN_STAKE))
    ensure(int(tao) >= least, er.AmountTooLow)
    ensure(max_tao is None or tao <= max_tao, er.SlippageTooHigh)
    ensure(balances.reducible(ctx, coldkey, keep_alive=False) >= tao, er.NotEnoughBalanceToStake)
    ensure(hotkeys.exists(ctx, hotkey), er.HotKeyAccountNotExists)
    try:
        quote = swap.quote_buy(ctx, netuid, tao)
    except ModuleError:
        raise er.InsufficientLiquidity() from None
    ensure(quote.paid_in >= MIN_STAKE, er.AmountTooLow)
    ensure(quote.paid_out > 0, er.InsufficientLiquidity)
    ensure(shares.can_increase(ctx, hotkey, netuid, quote.paid_out), er.InsufficientLiquidity)


def _ensure_can_unstake(
    ctx: Ctx,
    coldkey: AccountId,
    hotkey: AccountId,
    netuid: NetUid,
    alpha: Alpha,
    max_alpha: Alpha | None = None,
) -> None:
    ensure(s.NetworksAdded.get(ctx, netuid), er.SubnetNotExists)
    ensure(alpha > 0, er.AmountTooLow)
    held = shares.value(ctx, hotkey, coldkey, netuid)
    ensure(held >= alpha, er.NotEnoughStakeToWithdraw)
    worth = _worth(ctx, netuid, alpha)
    ensure(alpha == held or worth >= MIN_STAKE, er.AmountTooLow)
    ensure(max_alpha is None or alpha <= max_alpha, er.SlippageTooHigh)
    ensure(hotkeys.exists(ctx, hotkey), er.HotKeyAccountNotExists)


def _ensure_pool_takes(ctx: Ctx, netuid: NetUid, amount: int, reserve: int) -> None:
    """Refuse what no pool swaps: more than a thousand times what it has of that side."""
    if swap.is_dynamic(ctx, netuid):
        ensure(amount <= swap.MAX_INPUT_FACTOR * reserve, er.InsufficientLiquidity)


def _ensure_open(ctx: Ctx, netuid: NetUid) -> None:
    ensure(s.NetworksAdded.get(ctx, netuid), er.SubnetNotExists)
    ensure(s.SubtokenEnabled.get(ctx, netuid), er.SubtokenDisabled)


def _worth(ctx: Ctx, netuid: NetUid, alpha: Alpha) -> Rao:
    """What selling `alpha` would pay. Raises InsufficientLiquidity."""
    try:
        return swap.quote_sell(ctx, netuid, alpha).paid_out
    except ModuleError:
        raise er.InsufficientLiquidity() from None


# Calls: adding


@pallet.call(2)
def add_stake(ctx: Ctx, hotkey: AccountId, netuid: NetUid, amount_staked: Rao) -> None:
    """Stake TAO of the signing coldkey through `hotkey`, whatever the price comes to."""
    # ORIGIN
    coldkey = ensure_signed(ctx)

    # CHECKS
    _ensure_can_stake(ctx, coldkey, hotkey, netuid, amount_staked)

    # EFFECTS and EVENT
    _become_delegate(ctx, hotkey, coldkey)
    stake_into_subnet(ctx, hotkey, coldkey, netuid, amount_staked)


@pallet.call(88)
def add_stake_limit(
    ctx: Ctx,
    hotkey: AccountId,
    netuid: NetUid,
    amount_staked: Rao,
    limit_price: Rao,
    allow_partial: bool,
) -> None:
    """Stake TAO while alpha costs less than `limit_price` rao.

    With `allow_partial` as much as the limit allows, otherwise all or nothing.
    """
    # ORIGIN
    coldkey = ensure_signed(ctx)

    # CHECKS
    _ensure_pool_takes(ctx, netuid, int(amount_staked), int(s.SubnetTAO.get(ctx, netuid)))
    most = swap.max_buy(ctx, netuid, int(limit_price))
    _ensure_can_stake(ctx, coldkey, hotkey, netuid, amount_staked, None if allow_partial else most)

    # EFFECTS and EVENT
    _become_delegate(ctx, hotkey, coldkey)
    tao = min(amount_staked, most)
    stake_into_subnet(ctx, hotkey, coldkey, netuid, tao, limit_price=int(limit_price))


def _become_delegate(ctx: Ctx, hotkey: AccountId, coldkey: AccountId) -> None:
    """Give a hotkey that others stake through a take of its own."""
    if not hotkeys.owns(ctx, coldkey, hotkey) and not s.Delegates.contains(ctx, hotkey):
        s.Delegates.put(ctx, hotkey, s.MaxDelegateTake.get(ctx))


# Calls: removing


@pallet.call(3)
def remove_stake(ctx: Ctx, hotkey: AccountId, netuid: NetUid, amount_unstaked: Alpha) -> None:
    """Sell stake of the signing coldkey, all it holds at most, whatever the price comes to."""
    # ORIGIN
    coldkey = ensure_signed(ctx)

    # CHECKS
    ensure(s.SubtokenEnabled.get(ctx, netuid), er.SubtokenDisabled)
    alpha = min(amount_unstaked, shares.value(ctx, hotkey, coldkey, netuid))
    _ensure_pool_takes(ctx, netuid, int(alpha), int(s.SubnetAlphaIn.get(ctx, netuid)))
    _ensure_can_unstake(ctx, coldkey, hotkey, netuid, alpha)

    # EFFECTS and EVENT
    unstake_from_subnet(ctx, hotkey, coldkey, netuid, alpha)
    _clear_small_nomination(ctx, hotkey, coldkey, netuid)
    children.drop_pending_children(ctx, hotkey)


@pallet.call(89)
def remove_stake_limit(
    ctx: Ctx,
    hotkey: AccountId,
    netuid: NetUid,
    amount_unstaked: Alpha,
    limit_price: Rao,
    allow_partial: bool,
) -> None:
    """Sell stake while alpha is worth more than `limit_price` rao.

    With `allow_partial` as much as the limit allows, otherwise all or nothing. Unlike
    `remove_stake` it does not ask whether the token is open.
    """
    # ORIGIN
    coldkey = ensure_signed(ctx)

    # CHECKS
    _ensure_pool_takes(ctx, netuid, int(amount_unstaked), int(s.SubnetAlphaIn.get(ctx, netuid)))
    most = swap.max_sell(ctx, netuid, int(limit_price))
    _ensure_can_unstake(
        ctx, coldkey, hotkey, netuid, amount_unstaked, None if allow_partial else most
    )

    # EFFECTS and EVENT
    alpha = min(amount_unstaked, most)
    unstake_from_subnet(ctx, hotkey, coldkey, netuid, alpha, limit_price=int(limit_price))
    _clear_small_nomination(ctx, hotkey, coldkey, netuid)
    children.drop_pending_children(ctx, hotkey)


@pallet.call(103)
def remove_stake_full_limit(
    ctx: Ctx, hotkey: AccountId, netuid: NetUid, limit_price: Rao | None
) -> None:
    """Sell all stake of the signing coldkey through `hotkey`, at `limit_price` or not at all."""
    # CHECKS, ORIGIN to EVENT
    ensure(s.NetworksAdded.get(ctx, netuid), er.SubnetNotExists)
    coldkey = ensure_signed(ctx)
    alpha = shares.value(ctx, hotkey, coldkey, netuid)
    if limit_price is None:
        remove_stake(ctx, hotkey, netuid, alpha)
    else:
        remove_stake_limit(ctx, hotkey, netuid, alpha, limit_price, False)


@pallet.call(83)
def unstake_all(ctx: Ctx, hotkey: AccountId) -> None:
    """Sell all that the signing coldkey holds through `hotkey`, root included."""
    # ORIGIN
    coldkey = ensure_signed(ctx)

    # CHECKS
    ensure(hotkeys.exists(ctx, hotkey), er.HotKeyAccountNotExists)

    # EFFECTS and EVENT
    for netuid, alpha in _sellable(ctx, hotkey, coldkey):
        unstake_from_subnet(ctx, hotkey, coldkey, netuid, alpha)
        _clear_small_nomination(ctx, hotkey, coldkey, netuid)


@pallet.call(84)
def unstake_all_alpha(ctx: Ctx, hotkey: AccountId) -> None:
    """Sell all alpha that the signing coldkey holds through `hotkey` and stake it on root."""
    # ORIGIN
    coldkey = ensure_signed(ctx)

    # CHECKS
    ensure(hotkeys.exists(ctx, hotkey), er.HotKeyAccountNotExists)

    # EFFECTS and EVENT
    paid = Rao(0)
    for netuid, alpha in _sellable(ctx, hotkey, coldkey):
        if netuid != ROOT_NETUID:
            paid += unstake_from_subnet(ctx, hotkey, coldkey, netuid, alpha)
            _clear_small_nomination(ctx, hotkey, coldkey, netuid)
    stake_into_subnet(ctx, hotkey, coldkey, ROOT_NETUID, paid)


def _sellable(ctx: Ctx, hotkey: AccountId, coldkey: AccountId) -> Iterator[tuple[NetUid, Alpha]]:
    """Positions that can be sold whole; the others are passed over."""
    for netuid, _ in list(s.NetworksAdded.items(ctx)):
        alpha = shares.value(ctx, hotkey, coldkey, netuid)
        try:
            _ensure_open(ctx, netuid)
            _ensure_can_unstake(ctx, coldkey, hotkey, netuid, alpha)
        except ModuleError:
            continue
        yield netuid, alpha


def clear_small_nominations(ctx: Ctx) -> None:
    """Sell every nominator's position that is below the minimum."""
    for (hotkey, coldkey, netuid), _ in list(s.AlphaV2.items(ctx)):
        _clear_small_nomination(ctx, hotkey, coldkey, netuid)


def min_nomination(ctx: Ctx) -> Rao:
    """The least a nominator may hold, in TAO: a part, in millionths, of the least stake."""
    return Rao(int(MIN_STAKE) * s.NominatorMinRequiredStake.get(ctx) // 1_000_000)


def _clear_small_nomination(
    ctx: Ctx, hotkey: AccountId, coldkey: AccountId, netuid: NetUid
) -> None:
    """Sell what a nominator has left when it is below the minimum; owners may keep any sum.

    What the pool does not take is lost.
    """
    left = shares.value(ctx, hotkey, coldkey, netuid)
    if not left or hotkeys.owns(ctx, coldkey, hotkey):
        return
    # Divided with 32 fractional bits, as the chain does.
    price = U96F32.convert(swap.price(ctx, netuid), U64F64)
    least = U96F32.to_u64(U96F32.safe_div(U96F32.of(int(min_nomination(ctx))), price))
    if left >= least:
        return
    try:
        with ctx.transaction():
            unstake_from_subnet(ctx, hotkey, coldkey, netuid, left)
    except DispatchError:
        shares.decrease(ctx, hotkey, coldkey, netuid, left)


# Calls: moving


@pallet.call(85)
def move_stake(
    ctx: Ctx,
    origin_hotkey: AccountId,
    destination_hotkey: AccountId,
    origin_netuid: NetUid,
    destination_netuid: NetUid,
    alpha_amount: Alpha,
) -> None:
    """Move stake of the signing coldkey to another hotkey, another subnet, or both."""
    # ORIGIN
    coldkey = ensure_signed(ctx)

    # CHECKS and EFFECTS
    source = (origin_hotkey, coldkey, origin_netuid)
    target = (destination_hotkey, coldkey, destination_netuid)
    tao = _move(ctx, source, target, alpha_amount)

    # EVENT
    ctx.deposit(
        ev.StakeMoved(
            coldkey, origin_hotkey, origin_netuid, destination_hotkey, destination_netuid, tao
        )
    )


@pallet.call(86)
def transfer_stake(
    ctx: Ctx,
    destination_coldkey: AccountId,
    hotkey: AccountId,
    origin_netuid: NetUid,
    destination_netuid: NetUid,
    alpha_amount: Alpha,
) -> None:
    """Give stake of the signing coldkey to another coldkey; both subnets must allow it."""
    # ORIGIN
    coldkey = ensure_signed(ctx)

    # CHECKS and EFFECTS
    source = (hotkey, coldkey, origin_netuid)
    target = (hotkey, destination_coldkey, destination_netuid)
    tao = _move(ctx, source, target, alpha_amount)

    # EVENT
    ctx.deposit(
        ev.StakeTransferred(
            coldkey, destination_coldkey, hotkey, origin_netuid, destination_netuid, tao
        )
    )


@pallet.call(87)
def swap_stake(
    ctx: Ctx,
    hotkey: AccountId,
    origin_netuid: NetUid,
    destination_netuid: NetUid,
    alpha_amount: Alpha,
) -> None:
    """Move stake of the signing coldkey to another subnet, through the same hotkey."""
    # ORIGIN
    coldkey = ensure_signed(ctx)

    # CHECKS and EFFECTS
    source = (hotkey, coldkey, origin_netuid)
    target = (hotkey, coldkey, destination_netuid)
    tao = _move(ctx, source, target, alpha_amount)

    # EVENT
    ctx.deposit(ev.StakeSwapped(coldkey, hotkey, origin_netuid, destination_netuid, tao))


@pallet.call(90)
def swap_stake_limit(
    ctx: Ctx,
    hotkey: AccountId,
    origin_netuid: NetUid,
    destination_netuid: NetUid,
    alpha_amount: Alpha,
    limit_price: Rao,
    allow_partial: bool,
) -> None:
    """Move stake to another subnet while the ratio of their prices stays above a limit.

    `limit_price` is origin's price over destination's, times 10^9. With `allow_partial` as much
    is moved as the limit allows, otherwise all or nothing.
    """
    # ORIGIN
    coldkey = ensure_signed(ctx)

    # CHECKS and EFFECTS
    source = (hotkey, coldkey, origin_netuid)
    target = (hotkey, coldkey, destination_netuid)
    most = _max_move(ctx, origin_netuid, destination_netuid, alpha_amount, int(limit_price))
    if allow_partial:
        alpha_amount, most = min(alpha_amount, most), alpha_amount
    tao = _move(ctx, source, target, alpha_amount, most)

    # EVENT
    ctx.deposit(ev.StakeSwapped(coldkey, hotkey, origin_netuid, destination_netuid, tao))


# The two calls below are of later runtimes than spec 425, with the indices they have there.


@pallet.call(149)
def move_stake_limit(
    ctx: Ctx,
    origin_hotkey: AccountId,
    destination_hotkey: AccountId,
    origin_netuid: NetUid,
    destination_netuid: NetUid,
    alpha_amount: Alpha,
    limit_price: Rao,
    allow_partial: bool,
) -> None:
    """`move_stake` under the limit of `swap_stake_limit`; within one subnet there is no price."""
    # ORIGIN
    coldkey = ensure_signed(ctx)

    # CHECKS and EFFECTS
    source = (origin_hotkey, coldkey, origin_netuid)
    target = (destination_hotkey, coldkey, destination_netuid)
    alpha = min(alpha_amount, shares.value(ctx, origin_hotkey, coldkey, origin_netuid))
    most = alpha
    if origin_netuid != destination_netuid:
        most = _max_move(ctx, origin_netuid, destination_netuid, alpha, int(limit_price))
    tao = _move(ctx, source, target, min(alpha, most) if allow_partial else alpha, most)

    # EVENT
    ctx.deposit(
        ev.StakeMoved(
            coldkey, origin_hotkey, origin_netuid, destination_hotkey, destination_netuid, tao
        )
    )


@pallet.call(143)
def transfer_stake_and_hotkey(
    ctx: Ctx,
    destination_coldkey: AccountId,
    origin_hotkey: AccountId,
    destination_hotkey: AccountId,
    origin_netuid: NetUid,
    destination_netuid: NetUid,
    alpha_amount: Alpha,
) -> None:
    """`transfer_stake` that lands on another hotkey."""
    # ORIGIN
    coldkey = ensure_signed(ctx)

    # CHECKS and EFFECTS
    source = (origin_hotkey, coldkey, origin_netuid)
    target = (destination_hotkey, destination_coldkey, destination_netuid)
    tao = _move(ctx, source, target, alpha_amount)

    # EVENT
    ctx.deposit(
        ev.StakeAndHotkeyTransferred(
            coldkey,
            destination_coldkey,
            origin_hotkey,
            destination_hotkey,
            origin_netuid,
            destination_netuid,
            tao,
        )
    )


Position = tuple[AccountId, AccountId, NetUid]  # hotkey, coldkey, netuid


def _move(
    ctx: Ctx, source: Position, target: Position, amount: Alpha, most: Alpha | None = None
) -> Rao:
    """Move up to `amount` from one position to another; returns its value in TAO."""
    hotkey, coldkey, netuid = source
    target_hotkey, target_coldkey, target_netuid = target
    ensure(source != target, er.SameNetuid)
    for each in (netuid, target_netuid):
        ensure(s.NetworksAdded.get(ctx, each), er.SubnetNotExists)
    for each in (netuid, target_netuid):
        ensure(s.SubtokenEnabled.get(ctx, each), er.SubtokenDisabled)
    for key in (hotkey, target_hotkey):
        ensure(hotkeys.exists(ctx, key), er.HotKeyAccountNotExists)
    alpha = min(amount, shares.value(ctx, hotkey, coldkey, netuid))
    if netuid != target_netuid:
        value = _worth(ctx, netuid, alpha)
        ensure(value > MIN_STAKE, er.AmountTooLow)
        ensure(most is None or alpha <= most, er.SlippageTooHigh)
    if coldkey != target_coldkey:
        for each in (netuid, target_netuid):
            ensure(s.TransferToggle.get(ctx, each), er.TransferDisallowed)
    if netuid == target_netuid:
        value = _spot_value(ctx, netuid, alpha)
        ensure(value >= MIN_STAKE, er.AmountTooLow)

    _become_delegate(ctx, target_hotkey, target_coldkey)
    if netuid == target_netuid:
        _move_within_subnet(ctx, source, target, alpha, value)
        return value
    from_root = netuid == ROOT_NETUID
    tao = unstake_from_subnet(
        ctx, hotkey, coldkey, netuid, alpha, drop_fees=from_root, beneficiary=target_coldkey
    )
    if tao >= MIN_STAKE:
        stake_into_subnet(
            ctx, target_hotkey, target_coldkey, target_netuid, tao, drop_fees=not from_root
        )
    _clear_small_nomination(ctx, hotkey, coldkey, netuid)
    return tao


def _move_within_subnet(
    ctx: Ctx, source: Position, target: Position, alpha: Alpha, value: Rao
) -> None:
    hotkey, coldkey, netuid = source
    target_hotkey, target_coldkey, _ = target
    shares.decrease(ctx, hotkey, coldkey, netuid, alpha)
    ensure(shares.can_increase(ctx, target_hotkey, netuid, alpha), er.InsufficientLiquidity)
    credit(ctx, target_hotkey, target_coldkey, netuid, alpha)
    if netuid == ROOT_NETUID:
        rootdividends.on_stake_removed(ctx, hotkey, coldkey, alpha)
        rootdividends.on_stake_added(ctx, target_hotkey, target_coldkey, alpha)
    s.LastColdkeyHotkeyStakeBlock.put(ctx, target_coldkey, target_hotkey, ctx.block)
    ctx.deposit(ev.StakeRemoved(coldkey, hotkey, value, alpha, netuid, 0))
    ctx.deposit(ev.StakeAdded(target_coldkey, target_hotkey, value, alpha, netuid, 0))


def _spot_value(ctx: Ctx, netuid: NetUid, alpha: Alpha) -> Rao:
    return Rao(U64F64.to_u64(U64F64.mul(swap.price(ctx, netuid), U64F64.of(int(alpha)))))


def _max_move(
    ctx: Ctx, origin: NetUid, destination: NetUid, alpha: Alpha, limit_price: int
) -> Alpha:
    """The most of `alpha` whose move leaves the ratio of prices at `limit_price` or above."""

    def keeps(amount: int) -> bool:
        try:
            sold = swap.quote_sell(ctx, origin, Alpha(amount))
            bought = swap.quote_buy(ctx, destination, sold.paid_out, drop_fees=True)
        except ModuleError:
            return False
        price = swap.price_after(ctx, origin, alpha=int(sold.paid_in), tao=-int(sold.paid_out))
        against = swap.price_after(
            ctx, destination, alpha=-int(bought.paid_out), tao=int(bought.paid_in)
        )
        return U64F64.safe_div(price, against) >= U64F64.ratio(limit_price, RAO_PER_TAO)

    low, high = 0, int(alpha)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if keeps(middle) else (low, middle - 1)
    return Alpha(low)


# Calls: destroying


@pallet.call(101)
def recycle_alpha(ctx: Ctx, hotkey: AccountId, amount: Alpha, netuid: NetUid) -> None:
    """Destroy stake of the signing coldkey; it leaves the issuance and is emitted again."""
    # ORIGIN
    coldkey = ensure_signed(ctx)

    # CHECKS
    alpha = _destroyable(ctx, hotkey, coldkey, amount, netuid)
    ensure(s.SubnetAlphaOut.get(ctx, netuid) >= alpha, er.NotEnoughAlphaOutToRecycle)

    # EFFECTS
    shares.decrease(ctx, hotkey, coldkey, netuid, alpha)
    recycle(ctx, netuid, alpha)

    # EVENT
    ctx.deposit(ev.AlphaRecycled(coldkey, hotkey, alpha, netuid))


@pallet.call(102)
def burn_alpha(ctx: Ctx, hotkey: AccountId, amount: Alpha, netuid: NetUid) -> None:
    """Destroy stake of the signing coldkey; it stays counted as issued."""
    # ORIGIN
    coldkey = ensure_signed(ctx)

    # CHECKS
    alpha = _destroyable(ctx, hotkey, coldkey, amount, netuid)

    # EFFECTS
    shares.decrease(ctx, hotkey, coldkey, netuid, alpha)
    burn(ctx, netuid, alpha)

    # EVENT
    ctx.deposit(ev.AlphaBurned(coldkey, hotkey, alpha, netuid))


def _destroyable(
    ctx: Ctx, hotkey: AccountId, coldkey: AccountId, amount: Alpha, netuid: NetUid
) -> Alpha:
    """What of `amount` the coldkey holds and may destroy."""
    ensure(s.NetworksAdded.get(ctx, netuid), er.SubnetNotExists)
    ensure(netuid != ROOT_NETUID, er.CannotBurnOrRecycleOnRootSubnet)
    ensure(s.SubtokenEnabled.get(ctx, netuid), er.SubtokenDisabled)
    ensure(hotkeys.exists(ctx, hotkey), er.HotKeyAccountNotExists)
    alpha = min(amount, shares.value(ctx, hotkey, coldkey, netuid))
    ensure(alpha > 0, er.NotEnoughStakeToWithdraw)
    return alpha
