"""The epoch of a subnet: from storage into Yuma and back.

Each mechanism of a subnet has its own weights, bonds and incentive and runs its own epoch on its
share of the emission; what else an epoch says is then combined, weighted by those shares. Stake
counts with what child keys give and take, and with root stake at the TAO weight.
Paying out is the coinbase's. Voting power is not tracked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from chain.runtime.fixed import I64F64, U16_MAX, U64_MAX, U64F64, U96F32
from chain.runtime.frame import Ctx
from chain.runtime.pallets.subtensor import columns, shares, tempo
from chain.runtime.pallets.subtensor import events as ev
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.records import StorageIndex
from chain.types import AccountId, Alpha, NetUid

if TYPE_CHECKING:
    from chain.runtime import yuma

ROOT_NETUID = NetUid(0)

# Stake as an epoch counts it


def tao_weight(ctx: Ctx) -> int:
    """What one unit of root stake counts in alpha, U96F32."""
    return U96F32.ratio(s.TaoWeight.get(ctx), U64_MAX)


def inherited_alpha(ctx: Ctx, hotkey: AccountId, netuid: NetUid) -> int:
    """Alpha that votes with `hotkey`: its own less its children's part, and its parents' part."""
    if netuid == ROOT_NETUID:
        return int(shares.total(ctx, hotkey, netuid))
    return _inherited(ctx, hotkey, netuid, netuid)


def inherited_tao(ctx: Ctx, hotkey: AccountId, netuid: NetUid) -> int:
    """Root stake that votes with `hotkey` on `netuid`, by the same child keys."""
    return _inherited(ctx, hotkey, netuid, ROOT_NETUID)


def _inherited(ctx: Ctx, hotkey: AccountId, netuid: NetUid, held_on: NetUid) -> int:
    own = U96F32.of(int(shares.total(ctx, hotkey, held_on)))
    given = taken = 0
    for proportion, _ in s.ChildKeys.get(ctx, hotkey, netuid):
        given += U96F32.mul(own, U96F32.ratio(proportion, U64_MAX))
    for proportion, parent in s.ParentKeys.get(ctx, hotkey, netuid):
        stake = U96F32.of(int(shares.total(ctx, parent, held_on)))
        taken += U96F32.mul(stake, U96F32.ratio(proportion, U64_MAX))
    return U96F32.to_u64(U96F32.add(U96F32.sub(own, given), taken))


def stake_weight(ctx: Ctx, netuid: NetUid, hotkey: AccountId) -> int:
    """All stake behind `hotkey` in alpha, I64F64 raw bits."""
    alpha = inherited_alpha(ctx, hotkey, netuid)
    return _weighed(alpha, inherited_tao(ctx, hotkey, netuid), tao_weight(ctx))


def stake_weights(ctx: Ctx, netuid: NetUid, hotkeys: Sequence[AccountId]) -> list[int]:
    """The `stake_weight` of each of `hotkeys`."""
    weight = tao_weight(ctx)
    own = columns.numbers(ctx, s.TotalHotkeyAlpha, hotkeys, netuid)
    tao = columns.numbers(ctx, s.TotalHotkeyAlpha, hotkeys, ROOT_NETUID)
    children = columns.stored(ctx, s.ChildKeys, hotkeys, netuid)
    parents = columns.stored(ctx, s.ParentKeys, hotkeys, netuid)
    return [
        stake_weight(ctx, netuid, hotkey) if above or below else _weighed(alpha, root, weight)
        for hotkey, alpha, root, below, above in zip(
            hotkeys, own, tao, children, parents, strict=True
        )
    ]


def _weighed(alpha: int, tao: int, weight: int) -> int:
    """Alpha and, at the TAO `weight` (U96F32), root stake, as I64F64 raw bits."""
    own = I64F64.of(alpha)
    if not tao:
        return own
    return I64F64.add(own, I64F64.mul(I64F64.of(tao), I64F64.convert(weight, U96F32)))


# Mechanisms


def split_emission(ctx: Ctx, netuid: NetUid, emission: int) -> list[int]:
    """The share of each mechanism; what rounding leaves over is the first one's."""
    count = s.MechanismCountCurrent.get(ctx, netuid)
    split = s.MechanismEmissionSplit.find(ctx, netuid)
    if split is None:
        parts = [emission // count] * count
    else:
        parts = [emission * share // U16_MAX for share in split[:count]]
        parts += [0] * (count - len(parts))
    parts[0] += emission - sum(parts)
    return parts


# The epoch


def is_consistent(ctx: Ctx, netuid: NetUid) -> bool:
    """Whether no hotkey holds two seats; with one that does, an epoch would pay it twice."""
    keys = [hotkey for hotkey in _hotkeys(ctx, netuid) if hotkey is not None]
    return len(set(keys)) == len(keys)


class Earned(NamedTuple):
    """What one hotkey earned in an epoch, in units of the emission shared out."""

    incentive: int
    dividend: int


def run(ctx: Ctx, netuid: NetUid, emission: int) -> dict[AccountId, Earned]:
    """Run the epoch of every mechanism, store what it says, and return what each hotkey earned.

    The result is in the order of the hotkeys' bytes.
    """
    from chain.runtime import yuma  # it brings numpy, which no chain needs before an epoch

    seats = Seats.of(ctx, netuid)
    parts = split_emission(ctx, netuid, emission)
    outputs = []
    for mecid, part in enumerate(parts):
        index = StorageIndex.of(netuid, mecid)
        output = yuma.epoch(gather(ctx, netuid, index, seats, part))
        _store_mechanism(ctx, index, output)
        outputs.append(output)
    _store_combined(ctx, netuid, outputs, _mechanism_weights(parts, emission))

    incentives = map(sum, zip(*(output.server_emission for output in outputs), strict=True))
    dividends = map(sum, zip(*(output.validator_emission for output in outputs), strict=True))
    earned = zip(seats.hotkeys, map(Earned, incentives, dividends), strict=True)
    return dict(sorted((key, amounts) for key, amounts in earned if key is not None))


class Seats(NamedTuple):
    """Who sits where, None for a seat that nobody has, and the `stake_weight` of each."""

    hotkeys: list[AccountId | None]
    stake: list[int]

    @classmethod
    def of(cls, ctx: Ctx, netuid: NetUid) -> Seats:
        """The seats of a subnet."""
        hotkeys = _hotkeys(ctx, netuid)
        seated = [key for key in hotkeys if key is not None]
        weights = dict(zip(seated, stake_weights(ctx, netuid, seated), strict=True))
        return cls(hotkeys, [0 if key is None else weights[key] for key in hotkeys])


def _hotkeys(ctx: Ctx, netuid: NetUid) -> list[AccountId | None]:
    uids = range(s.SubnetworkN.get(ctx, netuid))
    return columns.accounts(ctx, s.Keys, netuid, uids)


def gather(
    ctx: Ctx, netuid: NetUid, index: StorageIndex, seats: Seats, emission: int
) -> yuma.EpochInput:
    """What a mechanism of a subnet brings to its epoch, in which it has `emission` to give."""
    from chain.runtime import yuma

    hotkeys = seats.hotkeys
    n = len(hotkeys)
    owner = s.SubnetOwnerHotkey.find(ctx, netuid)
    owner_uid = None if owner is None else s.Uids.find(ctx, netuid, owner)
    permits = s.ValidatorPermit.get(ctx, netuid)[:n]
    registered = columns.numbers(ctx, s.BlockAtRegistration, netuid, range(n))
    low, high = s.AlphaValues.get(ctx, netuid)
    return yuma.EpochInput(
        block=ctx.block,
        tempo=s.Tempo.get(ctx, netuid),
        activity_cutoff=tempo.activity_cutoff(ctx, netuid),
        last_update=s.LastUpdate.get(ctx, index)[:n],
        block_at_registration=[
            0 if key is None else block for key, block in zip(hotkeys, registered, strict=True)
        ],
        last_step_block=s.LastMechansimStepBlock.get(ctx, netuid),
        stake=seats.stake,
        stake_threshold=s.StakeThreshold.get(ctx),
        owner_uid=owner_uid,
        validator_permit=[*permits, *[False] * (n - len(permits))],
        max_validators=s.MaxAllowedValidators.get(ctx, netuid),
        weights=columns.matrix(ctx, s.Weights, index, range(n)),
        bonds=columns.matrix(ctx, s.Bonds, index, range(n)),
        kappa=s.Kappa.get(ctx, netuid),
        bonds_penalty=s.BondsPenalty.get(ctx, netuid),
        bonds_moving_average=min(s.BondsMovingAverage.get(ctx, netuid), yuma.PER_MILLION),
        yuma3=s.Yuma3On.get(ctx, netuid),
        liquid_alpha=s.LiquidAlphaOn.get(ctx, netuid),
        alpha_low=low,
        alpha_high=high,
        alpha_sigmoid_steepness=s.AlphaSigmoidSteepness.get(ctx, netuid),
        commit_block=_commit_blocks(ctx, netuid, index, hotkeys),
        emission=emission,
    )


def _commit_blocks(
    ctx: Ctx, netuid: NetUid, index: StorageIndex, hotkeys: Sequence[AccountId | None]
) -> list[int] | None:
    """The block of each neuron's earliest commit that may still be revealed, of both kinds."""
    if not s.CommitRevealWeightsEnabled.get(ctx, netuid):
        return None
    oldest = tempo.epoch_index(ctx, netuid) - s.RevealPeriodEpochs.get(ctx, netuid)
    earliest: dict[AccountId, int] = {}

    def note(hotkey: AccountId, block: int) -> None:
        earliest[hotkey] = min(earliest.get(hotkey, U64_MAX), block)

    for epoch, commits in s.TimelockedWeightCommits.row(ctx, index):
        if epoch >= oldest:
            for hotkey, block, _, _ in commits:
                note(hotkey, block)
    for hotkey, queue in s.WeightCommits.row(ctx, index):
        # A queue is in order of time, so the first that has not expired is the earliest.
        waiting = [block for _, epoch, block, _ in queue if epoch >= oldest]
        if waiting:
            note(hotkey, waiting[0])
    return [U64_MAX if key is None else earliest.get(key, U64_MAX) for key in hotkeys]


def _store_mechanism(ctx: Ctx, index: StorageIndex, output: yuma.EpochOutput) -> None:
    s.Incentive.put(ctx, index, output.incentive)
    # Every uid gets a row: whoever has no permit any more loses its bonds.
    columns.put_matrix(ctx, s.Bonds, index, range(len(output.bonds)), rows=output.bonds)
    emissions = [Alpha(emission) for emission in output.server_emission]
    ctx.deposit(ev.IncentiveAlphaEmittedToMiners(index, emissions))


def _mechanism_weights(parts: Sequence[int], emission: int) -> list[int]:
    """How much each mechanism counts in what is stored once for the subnet, U64F64."""
    if emission == 0:
        return [U64F64.ONE, *[0] * (len(parts) - 1)]
    return [U64F64.ratio(part, emission) for part in parts]


def _store_combined(
    ctx: Ctx, netuid: NetUid, outputs: Sequence[yuma.EpochOutput], weights: Sequence[int]
) -> None:
    def combined(mechanisms: Iterable[list[int]]) -> list[int]:
        totals: list[int] = []
        for column, weight in zip(mechanisms, weights, strict=True):
            if len(weights) == 1:
                return column  # whose weight is one
            totals = totals or [0] * len(column)
            for uid, number in enumerate(column):
                part = U64F64.mul(U64F64.of(number), weight)
                totals[uid] = U64F64.to_int(U64F64.add(U64F64.of(totals[uid]), part))
        return totals

    def any_of(mechanisms: Iterable[list[bool]]) -> list[bool]:
        if len(weights) == 1:
            return next(iter(mechanisms))
        return [any(flags) for flags in zip(*mechanisms, strict=True)]

    s.Active.put(ctx, netuid, any_of(o.active for o in outputs))
    s.ValidatorPermit.put(ctx, netuid, any_of(o.validator_permit for o in outputs))
    s.Emission.put(ctx, netuid, [Alpha(e) for e in combined(o.emission for o in outputs)])
    s.Consensus.put(ctx, netuid, combined(o.consensus for o in outputs))
    s.Dividends.put(ctx, netuid, combined(o.dividends for o in outputs))
    s.ValidatorTrust.put(ctx, netuid, combined(o.validator_trust for o in outputs))
    s.StakeWeight.put(ctx, netuid, combined(o.stake_weight for o in outputs))
