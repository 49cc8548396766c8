"""Subnets: how one comes to be, what it costs, who it says it is, and when it runs.

A new subnet takes its creator's lock as the TAO of its pool; it can be registered on at once and
is staked on and paid from `start_call` on. When all places are taken, the cheapest subnet past its
immunity makes room. Seats on root are taken here too. Leasing subnets is not here.
"""

from __future__ import annotations

from chain.errors import BadOrigin
from chain.runtime.fixed import I64F64, U64_MAX, U64F64
from chain.runtime.frame import Ctx, ensure, ensure_signed
from chain.runtime.pallets import balances, devnet, swap
from chain.runtime.pallets.subtensor import (
    children,
    coinbase,
    dissolve,
    hotkeys,
    ratelimits,
    registration,
    tempo,
    uids,
)
from chain.runtime.pallets.subtensor import errors as er
from chain.runtime.pallets.subtensor import events as ev
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.accounts import is_system_account, subnet_account
from chain.runtime.pallets.subtensor.pallet import pallet
from chain.runtime.pallets.subtensor.records import (
    ChainIdentityV2,
    Hyperparameter,
    SubnetIdentityV3,
)
from chain.scale import U16, U32
from chain.types import RAO_PER_TAO, AccountId, Alpha, NetUid, Rao

ROOT_NETUID = NetUid(0)
DYNAMIC = 1  # the mechanism of a subnet with its own token
INITIAL_BURN = Rao(RAO_PER_TAO)
MIN_TEMPO, MAX_TEMPO = 360, 50_400
MIN_CUTOFF_FACTOR, MAX_CUTOFF_FACTOR = 1_000, 50_000  # thousandths of a tempo
ROOT_SYMBOL = "Τ"  # a capital tau
SYMBOLS = "αβγδεζηθικλμνξοπρσtυφχψω"  # a Latin t, since tau is root's

# Creating


@pallet.call(59)
def register_network(ctx: Ctx, hotkey: AccountId) -> None:
    """Create a subnet with `hotkey` as its owner's neuron; the signing coldkey pays the lock."""
    _register_network(ctx, hotkey, None)


@pallet.call(79)
def register_network_with_identity(
    ctx: Ctx, hotkey: AccountId, identity: SubnetIdentityV3 | None
) -> None:
    """Create a subnet as `register_network` does, and say what it is."""
    _register_network(ctx, hotkey, identity)


def _register_network(ctx: Ctx, hotkey: AccountId, identity: SubnetIdentityV3 | None) -> None:
    # ORIGIN
    coldkey = ensure_signed(ctx)

    # CHECKS
    ensure(
        not hotkeys.exists(ctx, hotkey) or hotkeys.owns(ctx, coldkey, hotkey),
        er.NonAssociatedColdKey,
    )
    ensure(not is_system_account(hotkey), er.CannotUseSystemAccount)
    ensure(ctx.block >= s.NetworkRegistrationStartBlock.get(ctx), er.SubNetRegistrationDisabled)
    check_rate_limit(ctx)
    netuids = [netuid for netuid, _ in s.NetworksAdded.items(ctx)]
    full = sum(netuid != ROOT_NETUID for netuid in netuids) >= s.SubnetLimit.get(ctx)
    pruned = dissolve.find_prunable(ctx) if full else None
    ensure(not full or pruned is not None, er.SubnetLimitReached)
    cost = lock_cost(ctx)
    spendable = balances.reducible(ctx, coldkey, keep_alive=False)
    ensure(spendable >= cost, er.CannotAffordLockCost)
    ensure(identity is None or is_valid_subnet_identity(identity), er.InvalidIdentity)

    # EFFECTS
    if pruned is None:
        netuid = next(n for n in map(NetUid, range(1, len(netuids) + 1)) if n not in netuids)
    else:
        netuid = pruned
        dissolve.dissolve(ctx, pruned)
    price = median_price(ctx)  # of the others: before this subnet's own pool has one
    lock = min(cost, balances.reducible(ctx, coldkey, keep_alive=True))
    balances.transfer(ctx, coldkey, subnet_account(netuid), lock)
    s.NetworkLastLockCost.put(ctx, lock)
    s.LastRateLimitedBlock.put(ctx, ratelimits.NETWORK_REGISTRATION, ctx.block)
    hotkeys.adopt(ctx, coldkey, hotkey)
    initialise(ctx, netuid)
    uids.append(ctx, netuid, hotkey)
    _open_pool(ctx, netuid, lock, price)
    s.SubnetOwner.put(ctx, netuid, coldkey)
    set_owner_hotkey(ctx, netuid, hotkey)
    if identity is not None:
        _store_identity(ctx, netuid, identity)
    children.inherit_root_validators(ctx, netuid)

    # EVENT
    ctx.deposit(ev.NetworkAdded(netuid, DYNAMIC))


def check_rate_limit(ctx: Ctx) -> None:
    """Raise NetworkTxRateLimitExceeded when the last subnet was created too few blocks ago."""
    last = s.LastRateLimitedBlock.get(ctx, ratelimits.NETWORK_REGISTRATION)
    limit = s.NetworkRateLimit.get(ctx)
    ensure(ratelimits.passes(ctx, last, limit), er.NetworkTxRateLimitExceeded)


def lock_cost(ctx: Ctx) -> Rao:
    """What the next subnet costs: twice the last price, falling linearly, never below the least.

    max(least, last*m - floor(last/interval) * blocks since), m = 1 before anybody paid; the
    interval shortens with the block emission.
    """
    last = int(s.NetworkLastLockCost.get(ctx))
    last_block = s.LastRateLimitedBlock.get(ctx, ratelimits.NETWORK_REGISTRATION)
    emission = I64F64.ratio(int(coinbase.block_emission(ctx)), RAO_PER_TAO)
    slow = I64F64.of(s.NetworkLockReductionInterval.get(ctx))
    interval = I64F64.to_u64(I64F64.mul(slow, emission))
    slope = last // interval if interval else 0
    doubled = min(last * (2 if last_block else 1), U64_MAX)
    fallen = max(doubled - min(slope * (ctx.block - last_block), U64_MAX), 0)
    return max(Rao(fallen), s.NetworkMinLockCost.get(ctx))


def median_price(ctx: Ctx) -> int:
    """The median of the positive prices of all subnets but root, in U64F64; 1 without any."""
    prices = sorted(
        price
        for netuid, _ in s.NetworksAdded.items(ctx)
        if netuid != ROOT_NETUID and (price := swap.price(ctx, netuid)) > 0
    )
    if not prices:
        return U64F64.ONE
    middle = len(prices) // 2
    if len(prices) % 2:
        return prices[middle]
    return U64F64.safe_div(U64F64.add(prices[middle - 1], prices[middle]), U64F64.of(2))


def initialise(ctx: Ctx, netuid: NetUid) -> None:
    """Write the hyperparameters a new subnet begins with."""
    tempo_blocks = s.Tempo.default or 0
    s.SubnetworkN.put(ctx, netuid, 0)
    s.NetworksAdded.put(ctx, netuid, True)
    s.TotalNetworks.put(ctx, s.TotalNetworks.get(ctx) + 1)
    s.Tempo.put(ctx, netuid, tempo_blocks)
    # Subnets of one tempo would otherwise all run their epochs in the same block.
    s.LastEpochBlock.put(ctx, netuid, max(ctx.block - int(netuid) % tempo_blocks, 0))
    s.NetworkRegistrationAllowed.put(ctx, netuid, True)
    s.MaxAllowedUids.put(ctx, netuid, 256)
    s.MaxAllowedValidators.put(ctx, netuid, 64)
    s.MinAllowedWeights.put(ctx, netuid, 1)
    s.ImmunityPeriod.put(ctx, netuid, 5000)
    s.Yuma3On.put(ctx, netuid, True)
    s.Burn.put(ctx, netuid, INITIAL_BURN)
    s.SubnetMechanism.put(ctx, netuid, DYNAMIC)
    s.NetworkRegisteredAt.put(ctx, netuid, ctx.block)
    s.RegisteredSubnetCounter.put(ctx, netuid, s.RegisteredSubnetCounter.get(ctx, netuid) + 1)
    s.TokenSymbol.put(ctx, netuid, _free_symbol(ctx, netuid))
    # Whoever creates a subnet does not also decide that TAO flows to it.
    s.SubnetEmissionEnabled.put(ctx, netuid, False)
    devnet.begin_subnet(ctx, netuid)


def _open_pool(ctx: Ctx, netuid: NetUid, lock: Rao, price: int) -> None:
    tao = max(lock, s.NetworkMinLockCost.get(ctx))
    alpha = U64F64.to_u64(U64F64.safe_div(U64F64.of(int(tao)), price))
    s.SubnetTAO.put(ctx, netuid, tao)
    s.SubnetAlphaIn.put(ctx, netuid, Alpha(alpha))
    s.SubnetAlphaOut.put(ctx, netuid, Alpha(0))
    s.SubnetLocked.put(ctx, netuid, lock)
    s.TotalStake.put(ctx, s.TotalStake.get(ctx) + tao)


def set_owner_hotkey(ctx: Ctx, netuid: NetUid, hotkey: AccountId) -> None:
    """Name the neuron that stands for the subnet's owner."""
    s.SubnetOwnerHotkey.put(ctx, netuid, hotkey)
    ctx.deposit(ev.SubnetOwnerHotkeySet(netuid, hotkey))


@pallet.call(92)
def start_call(ctx: Ctx, netuid: NetUid) -> None:
    """Let a subnet's token trade and its emission begin; the owner signs, once."""
    # ORIGIN and CHECKS
    who = ensure_signed(ctx)
    ensure(s.NetworksAdded.get(ctx, netuid), er.SubnetNotExists)
    if not ratelimits.is_owner(ctx, netuid, who):
        raise BadOrigin("only the subnet's owner may call this")
    ensure(
        not s.FirstEmissionBlockNumber.contains(ctx, netuid),
        er.FirstEmissionBlockNumberAlreadySet,
    )
    ready = s.NetworkRegisteredAt.get(ctx, netuid) + s.StartCallDelay.get(ctx)
    ensure(ctx.block >= ready, er.NeedWaitingMoreBlocksToStarCall)

    # EFFECTS
    s.FirstEmissionBlockNumber.put(ctx, netuid, ctx.block + 1)
    s.SubtokenEnabled.put(ctx, netuid, True)

    # EVENT
    ctx.deposit(ev.FirstEmissionBlockNumberSet(netuid, ctx.block + 1))


# Who a subnet or a coldkey says it is


_SUBNET_IDENTITY_LIMITS = {"subnet_name": 256, "discord": 256}
_CHAIN_IDENTITY_LIMITS = {"name": 256, "url": 256, "github_repo": 256, "discord": 256}
_TEXT_LIMIT = 1024  # bytes, of the fields not named above


def is_valid_subnet_identity(identity: SubnetIdentityV3) -> bool:
    """Whether every text is short enough."""
    return _is_short(vars(identity), _SUBNET_IDENTITY_LIMITS)


def _is_short(texts: dict[str, bytes], limits: dict[str, int]) -> bool:
    return all(len(text) <= limits.get(name, _TEXT_LIMIT) for name, text in texts.items())


def _store_identity(ctx: Ctx, netuid: NetUid, identity: SubnetIdentityV3) -> None:
    s.SubnetIdentitiesV3.put(ctx, netuid, identity)
    ctx.deposit(ev.SubnetIdentitySet(netuid))


@pallet.call(78)
def set_subnet_identity(
    ctx: Ctx,
    netuid: NetUid,
    subnet_name: bytes,
    github_repo: bytes,
    subnet_contact: bytes,
    subnet_url: bytes,
    discord: bytes,
    description: bytes,
    logo_url: bytes,
    additional: bytes,
) -> None:
    """Say what a subnet is; its owner signs."""
    # ORIGIN
    coldkey = ensure_signed(ctx)

    # CHECKS
    ensure(ratelimits.is_owner(ctx, netuid, coldkey), er.NotSubnetOwner)
    identity = SubnetIdentityV3(
        subnet_name,
        github_repo,
        subnet_contact,
        subnet_url,
        discord,
        description,
        logo_url,
        additional,
    )
    ensure(is_valid_subnet_identity(identity), er.InvalidIdentity)

    # EFFECTS and EVENT
    _store_identity(ctx, netuid, identity)


@pallet.call(68)
def set_identity(
    ctx: Ctx,
    name: bytes,
    url: bytes,
    github_repo: bytes,
    image: bytes,
    discord: bytes,
    description: bytes,
    additional: bytes,
) -> None:
    """Say who a coldkey is; it signs, and one of its hotkeys must be registered somewhere."""
    # ORIGIN
    coldkey = ensure_signed(ctx)

    # CHECKS
    netuids = [netuid for netuid, _ in s.NetworksAdded.items(ctx)]
    ensure(
        any(
            s.Uids.contains(ctx, netuid, hotkey)
            for hotkey in s.OwnedHotkeys.get(ctx, coldkey)
            for netuid in netuids
        ),
        er.HotKeyNotRegisteredInNetwork,
    )
    identity = ChainIdentityV2(name, url, github_repo, image, discord, description, additional)
    ensure(_is_short(vars(identity), _CHAIN_IDENTITY_LIMITS), er.InvalidIdentity)

    # EFFECTS
    s.IdentitiesV2.put(ctx, coldkey, identity)

    # EVENT
    ctx.deposit(ev.ChainIdentitySet(coldkey))


@pallet.call(112)
def update_symbol(ctx: Ctx, netuid: NetUid, symbol: bytes) -> None:
    """Choose another symbol for a subnet's token; its owner signs, or root calls."""
    # ORIGIN
    ratelimits.ensure_owner_or_root(ctx, netuid)

    # CHECKS
    ensure(s.NetworksAdded.get(ctx, netuid), er.SubnetNotExists)
    known = {letter.encode() for letter in SYMBOLS} | {_numbered_symbol(netuid)}
    ensure(symbol in known, er.SymbolDoesNotExist)
    ensure(symbol not in _symbols_in_use(ctx), er.SymbolAlreadyInUse)

    # EFFECTS
    s.TokenSymbol.put(ctx, netuid, symbol)

    # EVENT
    ctx.deposit(ev.SymbolUpdated(netuid, symbol))


def _free_symbol(ctx: Ctx, netuid: NetUid) -> bytes:
    """The subnet's own letter, else the first free one, else a numbered one."""
    used = _symbols_in_use(ctx)
    letters = [letter.encode() for letter in SYMBOLS]
    own = letters[netuid - 1 : netuid]
    return next((x for x in own + letters if x not in used), _numbered_symbol(netuid))


def _numbered_symbol(netuid: NetUid) -> bytes:
    return f"α{netuid}".encode()


def _symbols_in_use(ctx: Ctx) -> set[bytes]:
    return {symbol for _, symbol in s.TokenSymbol.items(ctx)}


# Root


@pallet.call(62)
def root_register(ctx: Ctx, hotkey: AccountId) -> None:
    """Take a root seat for `hotkey`: a free one, or that of the least stake if it has more."""
    # ORIGIN
    ensure(s.NetworksAdded.get(ctx, ROOT_NETUID), er.RootNetworkDoesNotExist)
    coldkey = ensure_signed(ctx)

    # CHECKS
    this_block = s.RegistrationsThisBlock.get(ctx, ROOT_NETUID)
    this_interval = s.RegistrationsThisInterval.get(ctx, ROOT_NETUID)
    ensure(
        this_block < s.MaxRegistrationsPerBlock.get(ctx, ROOT_NETUID),
        er.TooManyRegistrationsThisBlock,
    )
    ensure(
        this_interval < 3 * s.TargetRegistrationsPerInterval.get(ctx, ROOT_NETUID),
        er.TooManyRegistrationsThisInterval,
    )
    ensure(not s.Uids.contains(ctx, ROOT_NETUID, hotkey), er.HotKeyAlreadyRegisteredInSubNet)
    hotkeys.adopt(ctx, coldkey, hotkey)
    evicted = _root_seat_to_take(ctx, hotkey)

    # EFFECTS
    uid = registration.take_seat(ctx, ROOT_NETUID, hotkey, evicted)
    if not s.Delegates.contains(ctx, hotkey):
        s.Delegates.put(ctx, hotkey, s.Delegates.default or 0)
    s.RegistrationsThisBlock.put(ctx, ROOT_NETUID, this_block + 1)
    s.RegistrationsThisInterval.put(ctx, ROOT_NETUID, this_interval + 1)

    # EVENT
    ctx.deposit(ev.NeuronRegistered(ROOT_NETUID, uid, hotkey))


def _root_seat_to_take(ctx: Ctx, hotkey: AccountId) -> int | None:
    """The seat to take over, or None when one is free. Raises StakeTooLowForRoot."""
    n = s.SubnetworkN.get(ctx, ROOT_NETUID)
    if n < s.MaxAllowedUids.get(ctx, ROOT_NETUID):
        return None

    def stake(of: AccountId) -> Alpha:
        return s.TotalHotkeyAlpha.get(ctx, of, ROOT_NETUID)

    poorest = min(range(n), key=lambda uid: stake(s.Keys.get(ctx, ROOT_NETUID, uid)))
    floor = stake(s.Keys.get(ctx, ROOT_NETUID, poorest))
    ensure(stake(hotkey) > floor, er.StakeTooLowForRoot)
    return poorest


# When a subnet runs


@pallet.call(139)
def set_tempo(ctx: Ctx, netuid: NetUid, tempo: U16) -> None:
    """Set the blocks per epoch; the owner signs, at most once in 360 blocks."""
    # ORIGIN
    owner = ratelimits.ensure_owner(ctx, netuid)

    # CHECKS, EFFECTS and EVENT
    change_tempo(ctx, netuid, tempo, owner)


def change_tempo(ctx: Ctx, netuid: NetUid, blocks: int, owner: AccountId | None) -> None:
    """Set the blocks per epoch and begin the cycle anew; `owner` None is root, free of bounds."""
    # CHECKS
    ensure(owner is None or MIN_TEMPO <= blocks <= MAX_TEMPO, er.TempoOutOfBounds)
    ratelimits.ensure_window_open(ctx, netuid)
    limit = ratelimits.Transaction.TempoUpdate
    ratelimits.ensure_within(ctx, owner, netuid, limit)

    # EFFECTS
    s.Tempo.put(ctx, netuid, blocks)
    s.LastEpochBlock.put(ctx, netuid, ctx.block)
    ratelimits.record(ctx, owner, netuid, limit)

    # EVENT
    ctx.deposit(ev.TempoSet(netuid, blocks))


@pallet.call(140)
def set_activity_cutoff_factor(ctx: Ctx, netuid: NetUid, factor_milli: U32) -> None:
    """Set after how many thousandths of a tempo a silent neuron is inactive; owner or root."""
    # ORIGIN
    owner = ratelimits.ensure_owner_or_root(ctx, netuid)

    # CHECKS
    ensure(
        MIN_CUTOFF_FACTOR <= factor_milli <= MAX_CUTOFF_FACTOR,
        er.ActivityCutoffFactorMilliOutOfBounds,
    )
    limit = Hyperparameter.ActivityCutoffFactorMilli
    if owner is not None:
        ratelimits.ensure_window_open(ctx, netuid)
        ratelimits.ensure_within(ctx, owner, netuid, limit)

    # EFFECTS
    s.ActivityCutoffFactorMilli.put(ctx, netuid, factor_milli)
    ratelimits.record(ctx, owner, netuid, limit)

    # EVENT
    ctx.deposit(ev.ActivityCutoffFactorMilliSet(netuid, factor_milli))


@pallet.call(141)
def trigger_epoch(ctx: Ctx, netuid: NetUid) -> None:
    """Have an epoch run as soon as the freeze window allows; the owner signs."""
    # ORIGIN
    owner = ratelimits.ensure_owner(ctx, netuid)

    # CHECKS
    ensure(
        not s.CommitRevealWeightsEnabled.get(ctx, netuid),
        er.DynamicTempoBlockedByCommitReveal,
    )
    ensure(s.PendingEpochAt.get(ctx, netuid) == 0, er.EpochTriggerAlreadyPending)
    window = s.AdminFreezeWindow.get(ctx)
    ensure(tempo.blocks_until_next_auto_epoch(ctx, netuid) >= window, er.AutoEpochAlreadyImminent)
    limit = Hyperparameter.TriggerEpoch
    ratelimits.ensure_within(ctx, owner, netuid, limit)

    # EFFECTS
    s.PendingEpochAt.put(ctx, netuid, ctx.block + window)
    ratelimits.record(ctx, owner, netuid, limit)

    # EVENT
    ctx.deposit(ev.EpochTriggered(netuid, owner, ctx.block + window))
