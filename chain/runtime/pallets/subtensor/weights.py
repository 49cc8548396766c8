"""Weights: what validators say of the other neurons, at once or committed first and shown later.

A row is stored as submitted, scaled so that its largest value is 65535. While commit-reveal is on,
weights are set only through a commit: of a hash that is revealed by its author in a later epoch,
or of a ciphertext that a randomness beacon opens.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Annotated

from chain.errors import ModuleError, ScaleError
from chain.runtime.fixed import I32F32, max_upscale_to_u16
from chain.runtime.frame import Call, Ctx, ensure, ensure_signed
from chain.runtime.pallets import drand
from chain.runtime.pallets.subtensor import epoch, ratelimits, subnets, tempo, uids
from chain.runtime.pallets.subtensor import errors as er
from chain.runtime.pallets.subtensor import events as ev
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.pallet import pallet
from chain.runtime.pallets.subtensor.records import MechId, StorageIndex
from chain.scale import U16, U64, Bytes, Codec, Compact, Reader, Tuple, Vector, codec
from chain.types import H256, AccountId, NetUid, blake2_256

_log = logging.getLogger(__name__)

ROOT_NETUID = NetUid(0)
MAX_UNREVEALED = 10  # commits of one hotkey waiting on one mechanism
MAX_COMMIT_BYTES = 5000
TIMELOCK_VERSION = 4  # of the form of a sealed commit that does not say its own

Commits = list[tuple[H256, int, int, int]]
"""Waiting hash commits, oldest first: hash, epoch and block of the commit, and a zero."""

_PREIMAGE: Codec[tuple[AccountId, StorageIndex, list[int], list[int], list[int], int]] = codec(
    tuple[AccountId, StorageIndex, list[U16], list[U16], list[U16], U64]
)
SealedCommit = tuple[AccountId, int, bytes, int]
"""Hotkey, block of the commit, ciphertext, round of the beacon."""

_PAYLOAD: Codec[tuple[bytes, list[int], list[int], int]] = codec(
    tuple[bytes, list[U16], list[U16], U64]
)
_OLD_PAYLOAD: Codec[tuple[list[int], list[int], int]] = codec(tuple[list[U16], list[U16], U64])
_COMPACT_U16 = Compact(codec(U16))
_CIPHERTEXT = Bytes(limit=MAX_COMMIT_BYTES)
CompactNetUids = Annotated[list[NetUid], Vector(Compact(codec(NetUid)))]
CompactRows = Annotated[
    list[list[tuple[int, int]]], Vector(Vector(Tuple((_COMPACT_U16, _COMPACT_U16))))
]
CompactKeys = Annotated[list[int], Vector(Compact(codec(U64)))]
Ciphertext = Annotated[bytes, _CIPHERTEXT]

# Setting


@pallet.call(0, pays=False)
def set_weights(
    ctx: Ctx, netuid: NetUid, dests: list[U16], weights: list[U16], version_key: U64
) -> None:
    """Set the signing validator's weights on the subnet's first mechanism."""
    _set_plainly(ctx, netuid, 0, dests, weights, version_key)


@pallet.call(119, pays=False)
def set_mechanism_weights(
    ctx: Ctx,
    netuid: NetUid,
    mecid: MechId,
    dests: list[U16],
    weights: list[U16],
    version_key: U64,
) -> None:
    """Set the signing validator's weights on one mechanism of the subnet."""
    _set_plainly(ctx, netuid, mecid, dests, weights, version_key)


@pallet.call(80, pays=False)
def batch_set_weights(
    ctx: Ctx, netuids: CompactNetUids, weights: CompactRows, version_keys: CompactKeys
) -> None:
    """Set weights on several subnets; what is refused is reported and does not stop the rest."""
    # ORIGIN
    hotkey = ensure_signed(ctx)

    # CHECKS
    ensure(len(netuids) == len(weights) == len(version_keys), er.InputLengthsUnequal)

    # EFFECTS
    failed = False
    for netuid, row, version_key in zip(netuids, weights, version_keys, strict=True):
        dests, values = [uid for uid, _ in row], [value for _, value in row]
        try:
            with ctx.transaction():
                _set_plainly(ctx, netuid, 0, dests, values, version_key)
        except ModuleError as error:
            failed = _report(ctx, netuid, error, failed)

    # EVENT
    ctx.deposit(ev.BatchWeightsCompleted(netuids, hotkey))


def _report(ctx: Ctx, netuid: NetUid, error: ModuleError, failed: bool) -> bool:
    if not failed:
        ctx.deposit(ev.BatchCompletedWithErrors())
    ctx.deposit(ev.BatchWeightItemFailed(netuid, error))
    return True


def _set_plainly(
    ctx: Ctx,
    netuid: NetUid,
    mecid: int,
    dests: Sequence[int],
    values: Sequence[int],
    version_key: int,
) -> None:
    ensure(not s.CommitRevealWeightsEnabled.get(ctx, netuid), er.CommitRevealEnabled)
    hotkey = ensure_signed(ctx)
    set_row(ctx, hotkey, netuid, mecid, dests, values, version_key)


def set_row(
    ctx: Ctx,
    hotkey: AccountId,
    netuid: NetUid,
    mecid: int,
    dests: Sequence[int],
    values: Sequence[int],
    version_key: int,
) -> None:
    """Store the weights of `hotkey`, or raise why not. Reveals come through here as well.

    Zeros are stored, in the order given. While commit-reveal is on, neither the rate limit nor
    `LastUpdate` is touched: the commit has seen to both.
    """
    # CHECKS
    ensure(netuid != ROOT_NETUID, er.CanNotSetRootNetworkWeights)
    ensure(len(dests) == len(values), er.WeightVecNotEqualSize)
    ensure_mechanism(ctx, netuid, mecid)
    n = s.SubnetworkN.get(ctx, netuid)
    ensure(len(dests) <= n, er.UidsLengthExceedUidsInSubNet)
    uid = s.Uids.find(ctx, netuid, hotkey)
    if uid is None:
        raise er.HotKeyNotRegisteredInSubNet()
    ensure(_has_min_stake(ctx, netuid, hotkey), er.NotEnoughStakeToSetWeights)
    required = s.WeightsVersionKey.get(ctx, netuid)
    ensure(required == 0 or version_key >= required, er.IncorrectWeightVersionKey)
    index = StorageIndex.of(netuid, mecid)
    immediate = not s.CommitRevealWeightsEnabled.get(ctx, netuid)
    ensure(not immediate or _passes_rate_limit(ctx, netuid, index, uid), er.SettingWeightsTooFast)
    only_itself = list(dests) == [uid]
    ensure(
        only_itself
        or uid == uids.owner_uid(ctx, netuid)
        or s.ValidatorPermit.get(ctx, netuid)[uid],
        er.NeuronNoValidatorPermit,
    )
    ensure(len(set(dests)) == len(dests), er.DuplicateUids)
    ensure(all(dest < n for dest in dests), er.UidVecContainInvalidOne)
    least = min(n, s.MinAllowedWeights.get(ctx, netuid))
    ensure(only_itself or len(dests) >= least, er.WeightVecLengthIsLow)

    # EFFECTS
    scaled = max_upscale_to_u16([I32F32.of(value) for value in values])
    s.Weights.put(ctx, index, uid, list(zip(dests, scaled, strict=True)))
    if immediate:
        _touch(ctx, index, uid)

    # EVENT
    ctx.deposit(ev.WeightsSet(index, uid))


def ensure_mechanism(ctx: Ctx, netuid: NetUid, mecid: int) -> None:
    """Raise MechanismDoesNotExist unless the subnet exists and has the mechanism."""
    ensure(
        s.NetworksAdded.get(ctx, netuid) and mecid < s.MechanismCountCurrent.get(ctx, netuid),
        er.MechanismDoesNotExist,
    )


def _has_min_stake(ctx: Ctx, netuid: NetUid, hotkey: AccountId) -> bool:
    threshold = s.StakeThreshold.get(ctx)
    if threshold == 0 or s.SubnetOwnerHotkey.find(ctx, netuid) == hotkey:
        return True
    return epoch.stake_weight(ctx, netuid, hotkey) >= threshold << 64


def _passes_rate_limit(ctx: Ctx, netuid: NetUid, index: StorageIndex, uid: int) -> bool:
    last = s.LastUpdate.get(ctx, index)[uid]
    return ratelimits.passes(ctx, last, s.WeightsSetRateLimit.get(ctx, netuid))


def _touch(ctx: Ctx, index: StorageIndex, uid: int) -> None:
    """Note that the neuron `uid` has spoken in this block."""
    updates = s.LastUpdate.get(ctx, index)
    s.LastUpdate.put(ctx, index, [*updates[:uid], ctx.block, *updates[uid + 1 :]])


# Committing to a hash


@pallet.call(96, pays=False)
def commit_weights(ctx: Ctx, netuid: NetUid, commit_hash: H256) -> None:
    """Commit the signing validator to weights it will reveal in a later epoch."""
    _commit(ctx, netuid, 0, commit_hash)


@pallet.call(115, pays=False)
def commit_mechanism_weights(ctx: Ctx, netuid: NetUid, mecid: MechId, commit_hash: H256) -> None:
    """Commit to weights on one mechanism of the subnet."""
    _commit(ctx, netuid, mecid, commit_hash)


@pallet.call(100, pays=False)
def batch_commit_weights(ctx: Ctx, netuids: CompactNetUids, commit_hashes: list[H256]) -> None:
    """Commit on several subnets; what is refused is reported and does not stop the rest."""
    # ORIGIN
    hotkey = ensure_signed(ctx)

    # CHECKS
    ensure(len(netuids) == len(commit_hashes), er.InputLengthsUnequal)

    # EFFECTS
    failed = False
    for netuid, commit_hash in zip(netuids, commit_hashes, strict=True):
        try:
            with ctx.transaction():
                _commit(ctx, netuid, 0, commit_hash)
        except ModuleError as error:
            failed = _report(ctx, netuid, error, failed)

    # EVENT
    ctx.deposit(ev.BatchWeightsCompleted(netuids, hotkey))


def _commit(ctx: Ctx, netuid: NetUid, mecid: int, commit_hash: H256) -> None:
    # ORIGIN and CHECKS
    hotkey, index, uid = _ensure_committer(ctx, netuid, mecid)
    waiting = _unexpired(ctx, netuid, s.WeightCommits.find(ctx, index, hotkey) or [])
    ensure(len(waiting) < MAX_UNREVEALED, er.TooManyUnrevealedCommits)

    # EFFECTS
    commit = (commit_hash, tempo.epoch_index(ctx, netuid), ctx.block, 0)
    s.WeightCommits.put(ctx, index, hotkey, [*waiting, commit])
    _touch(ctx, index, uid)

    # EVENT
    ctx.deposit(ev.WeightsCommitted(hotkey, index, commit_hash))


def _ensure_committer(
    ctx: Ctx, netuid: NetUid, mecid: int, version: int | None = None
) -> tuple[AccountId, StorageIndex, int]:
    """The hotkey that commits, where, and its uid; the checks that all commits share."""
    ensure_mechanism(ctx, netuid, mecid)
    hotkey = ensure_signed(ctx)
    ensure(s.CommitRevealWeightsEnabled.get(ctx, netuid), er.CommitRevealDisabled)
    if version is not None:
        wanted = s.CommitRevealWeightsVersion.get(ctx)
        ensure(version == wanted, er.IncorrectCommitRevealVersion)
    uid = s.Uids.find(ctx, netuid, hotkey)
    if uid is None:
        raise er.HotKeyNotRegisteredInSubNet()
    index = StorageIndex.of(netuid, mecid)
    ensure(_passes_rate_limit(ctx, netuid, index, uid), er.CommittingWeightsTooFast)
    return hotkey, index, uid


def _unexpired(ctx: Ctx, netuid: NetUid, commits: Commits) -> Commits:
    """The commits whose epoch to be revealed in is not over; the oldest expire first."""
    oldest = tempo.epoch_index(ctx, netuid) - s.RevealPeriodEpochs.get(ctx, netuid)
    first = next((i for i, commit in enumerate(commits) if commit[1] >= oldest), len(commits))
    return commits[first:]


# Revealing


@pallet.call(97, pays=False)
def reveal_weights(
    ctx: Ctx,
    netuid: NetUid,
    uids: list[U16],
    values: list[U16],
    salt: list[U16],
    version_key: U64,
) -> None:
    """Set the weights that the signing validator committed to."""
    _reveal(ctx, netuid, 0, uids, values, salt, version_key)


@pallet.call(116, pays=False)
def reveal_mechanism_weights(
    ctx: Ctx,
    netuid: NetUid,
    mecid: MechId,
    uids: list[U16],
    values: list[U16],
    salt: list[U16],
    version_key: U64,
) -> None:
    """Set the weights committed to on one mechanism of the subnet."""
    _reveal(ctx, netuid, mecid, uids, values, salt, version_key)


def commit_hash_of(
    hotkey: AccountId,
    index: StorageIndex,
    dests: Sequence[int],
    values: Sequence[int],
    salt: Sequence[int],
    version_key: int,
) -> H256:
    """What a validator commits to: BLAKE2b-256 of the SCALE tuple of the arguments."""
    preimage = (hotkey, index, list(dests), list(values), list(salt), version_key)
    return H256(blake2_256(_PREIMAGE.encode(preimage)))


def _reveal(
    ctx: Ctx,
    netuid: NetUid,
    mecid: int,
    dests: Sequence[int],
    values: Sequence[int],
    salt: Sequence[int],
    version_key: int,
) -> None:
    # ORIGIN
    hotkey = ensure_signed(ctx)

    # CHECKS
    ensure(s.CommitRevealWeightsEnabled.get(ctx, netuid), er.CommitRevealDisabled)
    index = StorageIndex.of(netuid, mecid)
    commit_hash = commit_hash_of(hotkey, index, dests, values, salt, version_key)
    waiting, position = _find_commit(ctx, netuid, index, hotkey, commit_hash)

    # EFFECTS
    _keep(ctx, index, hotkey, waiting[position + 1 :])  # older ones can be revealed no more
    set_row(ctx, hotkey, netuid, mecid, dests, values, version_key)

    # EVENT
    ctx.deposit(ev.WeightsRevealed(hotkey, index, commit_hash))


@pallet.call(98, pays=False)
def batch_reveal_weights(
    ctx: Ctx,
    netuid: NetUid,
    uids_list: list[list[U16]],
    values_list: list[list[U16]],
    salts_list: list[list[U16]],
    version_keys: list[U64],
) -> None:
    """Reveal several commits on one subnet, oldest first; all or none."""
    # ORIGIN
    hotkey = ensure_signed(ctx)

    # CHECKS
    lengths = {len(uids_list), len(values_list), len(salts_list), len(version_keys)}
    ensure(len(lengths) == 1, er.InputLengthsUnequal)
    ensure(s.CommitRevealWeightsEnabled.get(ctx, netuid), er.CommitRevealDisabled)
    index = StorageIndex.of(netuid)
    rows = list(zip(uids_list, values_list, salts_list, version_keys, strict=True))
    hashes = [commit_hash_of(hotkey, index, *row) for row in rows]
    for commit_hash in hashes:
        _find_commit(ctx, netuid, index, hotkey, commit_hash)

    # EFFECTS
    for (dests, values, _, version_key), commit_hash in zip(rows, hashes, strict=True):
        waiting, position = _find_commit(ctx, netuid, index, hotkey, commit_hash)
        _keep(ctx, index, hotkey, waiting[:position] + waiting[position + 1 :])
        set_row(ctx, hotkey, netuid, 0, dests, values, version_key)

    # EVENT
    ctx.deposit(ev.WeightsBatchRevealed(hotkey, netuid, hashes))


def _find_commit(
    ctx: Ctx, netuid: NetUid, index: StorageIndex, hotkey: AccountId, commit_hash: H256
) -> tuple[Commits, int]:
    """The commits that still wait, and which of them is `commit_hash`; raises why it may not be."""
    commits = s.WeightCommits.find(ctx, index, hotkey)
    if commits is None:
        raise er.NoWeightsCommitFound()
    waiting = _unexpired(ctx, netuid, commits)
    position = next((i for i, commit in enumerate(waiting) if commit[0] == commit_hash), None)
    if position is None:
        expired = commits[: len(commits) - len(waiting)]
        if commit_hash in (commit[0] for commit in expired):
            raise er.ExpiredWeightCommit()
        raise er.InvalidRevealCommitHashNotMatch() if waiting else er.NoWeightsCommitFound()
    due = waiting[position][1] + s.RevealPeriodEpochs.get(ctx, netuid)
    ensure(tempo.epoch_index(ctx, netuid) == due, er.RevealTooEarly)
    return waiting, position


def _keep(ctx: Ctx, index: StorageIndex, hotkey: AccountId, commits: Commits) -> None:
    if commits:
        s.WeightCommits.put(ctx, index, hotkey, commits)
    else:
        s.WeightCommits.remove(ctx, index, hotkey)


# Sealed commits


@pallet.call(113, pays=False)
def commit_timelocked_weights(
    ctx: Ctx,
    netuid: NetUid,
    commit: Ciphertext,
    reveal_round: U64,
    commit_reveal_version: U16,
) -> None:
    """Commit to weights sealed for a round of the randomness beacon."""
    _commit_sealed(ctx, netuid, 0, commit, reveal_round, commit_reveal_version)


@pallet.call(117, pays=False)
def commit_crv3_mechanism_weights(
    ctx: Ctx, netuid: NetUid, mecid: MechId, commit: Ciphertext, reveal_round: U64
) -> None:
    """Commit to sealed weights on one mechanism, in the usual form."""
    _commit_sealed(ctx, netuid, mecid, commit, reveal_round, TIMELOCK_VERSION)


@pallet.call(118, pays=False)
def commit_timelocked_mechanism_weights(
    ctx: Ctx,
    netuid: NetUid,
    mecid: MechId,
    commit: Ciphertext,
    reveal_round: U64,
    commit_reveal_version: U16,
) -> None:
    """Commit to sealed weights on one mechanism of the subnet."""
    _commit_sealed(ctx, netuid, mecid, commit, reveal_round, commit_reveal_version)


def _commit_sealed(
    ctx: Ctx, netuid: NetUid, mecid: int, commit: bytes, reveal_round: int, version: int
) -> None:
    # ORIGIN and CHECKS
    hotkey, index, uid = _ensure_committer(ctx, netuid, mecid, version)
    now = tempo.epoch_index(ctx, netuid)
    queue = s.TimelockedWeightCommits.get(ctx, index, now)
    own = sum(entry[0] == hotkey for entry in queue)
    ensure(own < MAX_UNREVEALED, er.TooManyUnrevealedCommits)

    # EFFECTS
    entry = (hotkey, ctx.block, commit, reveal_round)
    s.TimelockedWeightCommits.put(ctx, index, now, [*queue, entry])
    _touch(ctx, index, uid)

    # EVENT
    commit_hash = H256(blake2_256(_CIPHERTEXT.encode(commit)))
    ctx.deposit(ev.TimelockedWeightsCommitted(hotkey, index, commit_hash, reveal_round))


def reveal_timelocked(ctx: Ctx) -> None:
    """Open the sealed commits whose round the beacon has signed, in the epoch that is theirs.

    What the beacon was not heard of waits, and is dropped when the epoch is over. Subnets whose
    epoch is put off in this block wait with it.
    """
    if not ctx.state.keys(s.TimelockedWeightCommits.prefix, count=1):
        return  # nothing is sealed
    netuids = [netuid for netuid, _ in s.NetworksAdded.items(ctx) if netuid != ROOT_NETUID]
    deferred = tempo.epochs_deferred_now(ctx, netuids)
    for netuid in netuids:
        if netuid in deferred:
            continue
        oldest = tempo.epoch_index(ctx, netuid) - s.RevealPeriodEpochs.get(ctx, netuid)
        for mecid, index in enumerate(uids.indices(ctx, netuid)):
            for committed, queue in list(s.TimelockedWeightCommits.row(ctx, index)):
                if committed < oldest:
                    s.TimelockedWeightCommits.remove(ctx, index, committed)
                    _log.warning(
                        "subnet %d: %d sealed commits of weights have expired: the rounds of the "
                        "beacon that open them were not heard of",
                        netuid,
                        len(queue),
                    )
                elif committed == oldest:
                    _open(ctx, netuid, mecid, committed, queue)


def _open(
    ctx: Ctx, netuid: NetUid, mecid: int, committed: int, queue: Sequence[SealedCommit]
) -> None:
    """Set what can be opened of the commits of one epoch, in order; keep what cannot be yet."""
    index = StorageIndex.of(netuid, mecid)
    waiting = []
    for entry in queue:
        hotkey, _, text, reveal_round = entry
        pulse = drand.Pulses.find(ctx, reveal_round)
        if pulse is None:
            waiting.append(entry)
            continue
        try:
            dests, values, version_key = _opened(hotkey, drand.unseal(text, pulse))
            with ctx.transaction():
                set_row(ctx, hotkey, netuid, mecid, dests, values, version_key)
        except (ScaleError, ModuleError) as error:  # as on the chain, it is gone without an event
            _log.info("sealed weights of %s on subnet %d: %s", hotkey.ss58(), netuid, error)
            continue
        ctx.deposit(ev.TimelockedWeightsRevealed(index, hotkey))
    if len(waiting) < len(queue):
        if waiting:
            s.TimelockedWeightCommits.put(ctx, index, committed, waiting)
        else:
            s.TimelockedWeightCommits.remove(ctx, index, committed)


def _opened(hotkey: AccountId, text: bytes | None) -> tuple[list[int], list[int], int]:
    """Uids, values and version key of a payload. Raises ScaleError for what is none.

    A payload names its author, so that nobody can commit to another's; older ones did not.
    """
    if text is None:
        raise ScaleError("it was not sealed to its round")
    try:
        author, uids, values, version_key = _PAYLOAD.read(Reader(text))
    except ScaleError:
        author = b""
    if len(author) != 32:
        uids, values, version_key = _OLD_PAYLOAD.read(Reader(text))
    elif author != hotkey:
        raise ScaleError("it was made by another hotkey")
    return uids, values, version_key


# Before dispatch

_SETTING = ("set_weights", "set_mechanism_weights")
_COMMITTING = ("commit_weights", "commit_mechanism_weights")
_REVEALING = ("reveal_weights", "reveal_mechanism_weights")
_SEALING = (
    "commit_timelocked_weights",
    "commit_crv3_mechanism_weights",
    "commit_timelocked_mechanism_weights",
)
_ON_ONE_SUBNET = {*_SETTING, *_COMMITTING, *_REVEALING, *_SEALING, "batch_reveal_weights"}
_ON_MANY = {"batch_set_weights", "batch_commit_weights"}


@pallet.guard
def check_weights(ctx: Ctx, who: AccountId, call: Call) -> None:
    """Keep weights out of the pool that lack stake or, when revealed, a commit that is due."""
    if call.pallet != pallet.name:
        return
    if call.name in _ON_MANY or call.name == "batch_reveal_weights":
        lengths = {len(value) for value in call.args.values() if isinstance(value, list)}
        ensure(len(lengths) == 1, er.InputLengthsUnequal)
    if call.name in _ON_ONE_SUBNET:
        ensure(_has_min_stake(ctx, call.args["netuid"], who), er.NotEnoughStakeToSetWeights)
    elif call.name in _ON_MANY:
        for netuid in call.args["netuids"]:
            ensure(_has_min_stake(ctx, netuid, who), er.NotEnoughStakeToSetWeights)
    if call.name in _SEALING:
        known = drand.LastStoredRound.get(ctx)
        ensure(call.args["reveal_round"] >= known, er.InvalidRevealRound)
    elif call.name in _REVEALING:
        _check_reveal(ctx, who, call)
    elif call.name == "batch_reveal_weights":
        lists = ("uids_list", "values_list", "salts_list", "version_keys")
        for row in zip(*(call.args[name] for name in lists), strict=True):
            args = dict(zip(("uids", "values", "salt", "version_key"), row, strict=True))
            args["netuid"] = call.args["netuid"]
            _check_reveal(ctx, who, Call(call.pallet, call.name, args))


def _check_reveal(ctx: Ctx, who: AccountId, call: Call) -> None:
    a = call.args
    netuid: NetUid = a["netuid"]
    index = StorageIndex.of(netuid, a.get("mecid", 0))
    wanted = commit_hash_of(who, index, a["uids"], a["values"], a["salt"], a["version_key"])
    commits = s.WeightCommits.find(ctx, index, who) or []
    epochs = [commit[1] for commit in commits if commit[0] == wanted]
    ensure(bool(epochs), er.NoWeightsCommitFound)
    due = epochs[0] + s.RevealPeriodEpochs.get(ctx, netuid)
    ensure(tempo.epoch_index(ctx, netuid) == due, er.RevealTooEarly)


@pallet.guard
def check_rate_limits(ctx: Ctx, who: AccountId, call: Call) -> None:
    """Keep what comes too soon out of the pool: weights, commits to a hash, new subnets."""
    if call.pallet != pallet.name:
        return
    if call.name in ("register_network", "register_network_with_identity"):
        subnets.check_rate_limit(ctx)
    elif call.name in _COMMITTING:
        _check_rate(ctx, who, call, er.CommittingWeightsTooFast)
    elif call.name in _SETTING:
        if not s.CommitRevealWeightsEnabled.get(ctx, call.args["netuid"]):
            _check_rate(ctx, who, call, er.SettingWeightsTooFast)


def _check_rate(ctx: Ctx, who: AccountId, call: Call, error: type[ModuleError]) -> None:
    netuid: NetUid = call.args["netuid"]
    mecid = call.args.get("mecid", 0)
    uid = s.Uids.find(ctx, netuid, who)
    if uid is None:
        return
    ensure(mecid < s.MechanismCountCurrent.get(ctx, netuid), error)
    ensure(_passes_rate_limit(ctx, netuid, StorageIndex.of(netuid, mecid), uid), error)
