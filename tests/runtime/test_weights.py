"""Weights: set at once, committed and revealed, sealed; who may, how often, and what is stored."""

from __future__ import annotations

from typing import Any

import pytest

from chain.runtime.frame import ROOT
from chain.runtime.pallets.subtensor import events as ev
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor import weights
from chain.runtime.pallets.subtensor.records import StorageIndex
from chain.scale import U16, U64, codec
from chain.types import H256, AccountId, Alpha, NetUid, blake2_256
from tests.runtime.world import World, account

NETUID = NetUid(2)
INDEX = StorageIndex.of(NETUID)
VALIDATOR = account("validator")


@pytest.fixture
def world() -> World:
    """Subnet 2: the owner's hotkey 0, validator 1 with a permit, miners 2 and 3; no epoch runs."""
    world = World("owner")
    world.skip(9)
    world.create_subnet()
    for name in ("validator", "m2", "m3"):
        world.register(NETUID, name)
    s.Tempo.put(world.ctx, NETUID, 0)
    s.ValidatorPermit.put(world.ctx, NETUID, [False, True, False, False])
    s.CommitRevealWeightsEnabled.put(world.ctx, NETUID, False)
    world.skip(100)  # of the rate limit
    return world


def row(dests: list[int], values: list[int] | None = None, **other: Any) -> dict[str, Any]:
    args: dict[str, Any] = {"netuid": NETUID, "dests": dests, "version_key": 0}
    return {**args, "weights": [1] * len(dests) if values is None else values, **other}


# Setting


def test_weights_are_stored_as_given_and_scaled(world: World) -> None:
    events = world.call("validator", "set_weights", **row([3, 0, 2], [100, 0, 50]))
    assert events == [ev.WeightsSet(INDEX, 1)]
    assert s.Weights.get(world.ctx, INDEX, 1) == [(3, 65535), (0, 0), (2, 32768)]
    assert s.LastUpdate.get(world.ctx, INDEX) == [10, 110, 10, 10]


def test_weights_may_be_nothing_but_zeros(world: World) -> None:
    world.call("validator", "set_weights", **row([2, 3], [0, 0]))
    assert s.Weights.get(world.ctx, INDEX, 1) == [(2, 0), (3, 0)]


def test_refusals_in_order(world: World) -> None:
    ctx, call = world.ctx, "set_weights"
    s.CommitRevealWeightsEnabled.put(ctx, NETUID, True)
    world.refuse("CommitRevealEnabled", ROOT, call, **row([1, 2, 3, 4, 5], [1]))
    s.CommitRevealWeightsEnabled.put(ctx, NETUID, False)
    world.refuse("BadOrigin", ROOT, call, **row([1, 2, 3, 4, 5], [1]))
    root, missing = NetUid(0), NetUid(9)
    for netuid in (root, missing):
        s.CommitRevealWeightsEnabled.put(ctx, netuid, False)
    world.refuse("CanNotSetRootNetworkWeights", "m2", call, **row([1, 2], [1], netuid=root))
    world.refuse("WeightVecNotEqualSize", "m2", call, **row([1, 2], [1], netuid=missing))
    world.refuse("MechanismDoesNotExist", "m2", call, **row([1, 2], netuid=missing))
    world.refuse("UidsLengthExceedUidsInSubNet", "none", call, **row([1] * 5))
    world.refuse("HotKeyNotRegisteredInSubNet", "none", call, **row([2, 2]))
    s.StakeThreshold.put(ctx, 1000)
    s.WeightsVersionKey.put(ctx, NETUID, 7)
    s.LastUpdate.put(ctx, INDEX, [10, 10, 11, 10])
    s.MinAllowedWeights.put(ctx, NETUID, 3)
    twice = row([2, 2], version_key=6)
    world.refuse_in_block("NotEnoughStakeToSetWeights", "m2", call, **twice)
    s.TotalHotkeyAlpha.put(ctx, account("m2"), NETUID, Alpha(1000))
    world.refuse_in_block("IncorrectWeightVersionKey", "m2", call, **twice)
    twice["version_key"] = 7
    world.refuse_in_block("SettingWeightsTooFast", "m2", call, **twice)
    world.skip(1)
    world.refuse("NeuronNoValidatorPermit", "m2", call, **twice)
    s.ValidatorPermit.put(ctx, NETUID, [False, True, True, False])
    world.refuse("DuplicateUids", "m2", call, **twice)
    world.refuse("UidVecContainInvalidOne", "m2", call, **row([2, 4], version_key=8))
    world.refuse("WeightVecLengthIsLow", "m2", call, **row([0, 1], version_key=8))
    world.call("m2", call, **row([0, 1, 2], version_key=8))


def test_anybody_may_name_itself_alone(world: World) -> None:
    s.MinAllowedWeights.put(world.ctx, NETUID, 3)
    world.call("m2", "set_weights", **row([2]))
    assert s.Weights.get(world.ctx, INDEX, 2) == [(2, 65535)]
    world.refuse("NeuronNoValidatorPermit", "m3", "set_weights", **row([2]))


def test_the_owner_needs_no_permit_and_no_stake(world: World) -> None:
    s.StakeThreshold.put(world.ctx, 1000)
    world.guard(None, "owner/hotkey", "set_weights", **row([2]))
    world.call("owner/hotkey", "set_weights", **row([2]))


def test_min_allowed_weights_is_capped_by_the_neurons_there_are(world: World) -> None:
    s.MinAllowedWeights.put(world.ctx, NETUID, 1024)
    world.refuse("WeightVecLengthIsLow", "validator", "set_weights", **row([0, 1, 2]))
    world.call("validator", "set_weights", **row([0, 1, 2, 3]))


def test_a_rate_limit_of_zero_and_block_zero(world: World) -> None:
    world.call("validator", "set_weights", **row([2]))
    world.refuse("SettingWeightsTooFast", "validator", "set_weights", **row([3]))
    s.LastUpdate.put(world.ctx, INDEX, [0, 0, 0, 0])
    world.call("validator", "set_weights", **row([3]))
    s.WeightsSetRateLimit.put(world.ctx, NETUID, 0)
    world.call("validator", "set_weights", **row([2]))


def test_mechanisms_have_their_own_weights(world: World) -> None:
    call = "set_mechanism_weights"
    world.refuse_in_block("MechanismDoesNotExist", "validator", call, **row([2], mecid=1))
    world.guard("SettingWeightsTooFast", "validator", call, **row([2], mecid=1))
    s.MaxAllowedUids.put(world.ctx, NETUID, 128)
    world.root("AdminUtils.sudo_set_mechanism_count", netuid=NETUID, mechanism_count=2)
    world.call("validator", call, **row([2], mecid=0))
    second = StorageIndex(4096 + 2)
    assert world.call("validator", call, **row([3], mecid=1)) == [ev.WeightsSet(second, 1)]
    assert s.Weights.get(world.ctx, INDEX, 1) == [(2, 65535)]
    assert s.Weights.get(world.ctx, second, 1) == [(3, 65535)]
    world.guard("SettingWeightsTooFast", "validator", call, **row([3], mecid=1))


def test_guards_keep_weights_out_of_the_pool(world: World) -> None:
    world.guard(None, "validator", "set_weights", **row([2]))
    world.call("validator", "set_weights", **row([2]))
    world.guard("SettingWeightsTooFast", "validator", "set_weights", **row([2]))
    world.guard(None, "nobody", "set_weights", **row([2]))  # without a uid, dispatch decides
    s.CommitRevealWeightsEnabled.put(world.ctx, NETUID, True)
    world.guard(None, "validator", "set_weights", **row([2]))
    world.guard("CommittingWeightsTooFast", "validator", "commit_weights", **commit())
    s.StakeThreshold.put(world.ctx, 1)
    world.guard("NotEnoughStakeToSetWeights", "validator", "set_weights", **row([2]))
    world.guard("NotEnoughStakeToSetWeights", "validator", "commit_weights", **commit())


def test_a_batch_reports_what_it_refuses(world: World) -> None:
    netuids = [NetUid(1), NETUID, NetUid(0)]
    rows = [[(0, 1)], [(2, 1), (3, 2)], [(0, 1)]]
    call, keys = "batch_set_weights", [0, 0, 0]
    short: dict[str, Any] = {"netuids": netuids, "weights": rows[:2], "version_keys": keys}
    world.refuse("InputLengthsUnequal", "validator", call, **short)
    world.guard("InputLengthsUnequal", "validator", call, **short)
    s.CommitRevealWeightsEnabled.put(world.ctx, NetUid(0), False)
    events = world.call("validator", call, netuids=netuids, weights=rows, version_keys=keys)
    assert [type(event).__name__ for event in events] == [
        "BatchCompletedWithErrors",
        "BatchWeightItemFailed",
        "WeightsSet",
        "BatchWeightItemFailed",
        "BatchWeightsCompleted",
    ]
    assert [str(event.error) for event in (events[1], events[3])] == [
        "SubtensorModule.CommitRevealEnabled",
        "SubtensorModule.CanNotSetRootNetworkWeights",
    ]
    assert s.Weights.get(world.ctx, INDEX, 1) == [(2, 32768), (3, 65535)]


# Committing and revealing


SALT = [1, 2, 3]


def hash_of(who: AccountId, dests: list[int], values: list[int], index: int = 2) -> H256:
    """The commit hash, from its definition rather than from the pallet."""
    parts = [bytes(who), index.to_bytes(2, "little")]
    parts += [codec(list[U16]).encode(numbers) for numbers in (dests, values, SALT)]
    return H256(blake2_256(b"".join([*parts, codec(U64).encode(0)])))


def commit(dests: tuple[int, ...] = (2, 3), **other: Any) -> dict[str, Any]:
    values = [1] * len(dests)
    return {"netuid": NETUID, "commit_hash": hash_of(VALIDATOR, list(dests), values), **other}


def reveal(dests: tuple[int, ...] = (2, 3), **other: Any) -> dict[str, Any]:
    values = [1] * len(dests)
    args = {"uids": list(dests), "values": values, "salt": SALT, "version_key": 0}
    return {"netuid": NETUID, **args, **other}


@pytest.fixture
def sealed(world: World) -> World:
    """The same subnet with commit-reveal on and no rate limit, in epoch 5."""
    s.CommitRevealWeightsEnabled.put(world.ctx, NETUID, True)
    s.WeightsSetRateLimit.put(world.ctx, NETUID, 0)
    set_epoch(world, 5)
    return world


def set_epoch(world: World, index: int) -> None:
    s.SubnetEpochIndex.put(world.ctx, NETUID, index)


def test_a_commit_is_revealed_an_epoch_later(sealed: World) -> None:
    ctx = sealed.ctx
    expected = commit()["commit_hash"]
    events = sealed.call("validator", "commit_weights", **commit())
    assert events == [ev.WeightsCommitted(VALIDATOR, INDEX, expected)]
    assert s.WeightCommits.get(ctx, INDEX, VALIDATOR) == [(expected, 5, ctx.block, 0)]
    assert s.LastUpdate.get(ctx, INDEX)[1] == ctx.block
    committed = ctx.block

    sealed.refuse("RevealTooEarly", "validator", "reveal_weights", **reveal())
    sealed.guard("RevealTooEarly", "validator", "reveal_weights", **reveal())
    sealed.refuse_in_block("RevealTooEarly", "validator", "reveal_weights", **reveal())
    s.WeightsSetRateLimit.put(ctx, NETUID, 1000)  # the commit has passed it: it is not asked again
    set_epoch(sealed, 6)
    sealed.skip(50)
    sealed.guard(None, "validator", "reveal_weights", **reveal())
    events = sealed.call("validator", "reveal_weights", **reveal())

    assert events == [
        ev.WeightsSet(INDEX, 1),
        ev.WeightsRevealed(VALIDATOR, INDEX, expected),
    ]
    assert s.Weights.get(ctx, INDEX, 1) == [(2, 65535), (3, 65535)]
    assert s.LastUpdate.get(ctx, INDEX)[1] == committed
    assert s.WeightCommits.find(ctx, INDEX, VALIDATOR) is None


def test_commit_refusals_in_order(sealed: World) -> None:
    ctx = sealed.ctx
    sealed.refuse("MechanismDoesNotExist", ROOT, "commit_mechanism_weights", **commit(mecid=1))
    sealed.refuse("BadOrigin", ROOT, "commit_weights", **commit())
    s.CommitRevealWeightsEnabled.put(ctx, NETUID, False)
    sealed.refuse("CommitRevealDisabled", "nobody", "commit_weights", **commit())
    s.CommitRevealWeightsEnabled.put(ctx, NETUID, True)
    sealed.refuse("HotKeyNotRegisteredInSubNet", "nobody", "commit_weights", **commit())
    s.WeightsSetRateLimit.put(ctx, NETUID, 5)
    sealed.call("validator", "commit_weights", **commit())
    sealed.skip(4)
    sealed.refuse("CommittingWeightsTooFast", "validator", "commit_weights", **commit())
    s.WeightsSetRateLimit.put(ctx, NETUID, 0)
    for _ in range(9):
        sealed.call("validator", "commit_weights", **commit())
    sealed.refuse("TooManyUnrevealedCommits", "validator", "commit_weights", **commit())
    set_epoch(sealed, 7)  # all ten have expired
    sealed.call("validator", "commit_weights", **commit())
    assert len(s.WeightCommits.get(ctx, INDEX, VALIDATOR)) == 1


def test_reveal_refusals(sealed: World) -> None:
    ctx, call = sealed.ctx, "reveal_weights"
    sealed.refuse("BadOrigin", ROOT, call, **reveal())
    sealed.refuse("NoWeightsCommitFound", "validator", call, **reveal())
    sealed.guard("NoWeightsCommitFound", "validator", call, **reveal())
    sealed.call("validator", "commit_weights", **commit())
    set_epoch(sealed, 6)
    other = reveal((3,))

    refuse = sealed.refuse_in_block
    refuse("InvalidRevealCommitHashNotMatch", "validator", call, **other)
    s.CommitRevealWeightsEnabled.put(ctx, NETUID, False)
    refuse("CommitRevealDisabled", "validator", call, **reveal())
    s.CommitRevealWeightsEnabled.put(ctx, NETUID, True)
    set_epoch(sealed, 7)
    refuse("ExpiredWeightCommit", "validator", call, **reveal())
    refuse("NoWeightsCommitFound", "validator", call, **other)
    # A refusal by the weights themselves keeps the commit.
    set_epoch(sealed, 6)
    s.ValidatorPermit.put(ctx, NETUID, [False] * 4)
    sealed.refuse("NeuronNoValidatorPermit", "validator", call, **reveal())
    assert len(s.WeightCommits.get(ctx, INDEX, VALIDATOR)) == 1


def test_a_reveal_ends_the_older_commits(sealed: World) -> None:
    for dests in ((2,), (3,), (2, 3)):
        sealed.call("validator", "commit_weights", **commit(dests))
    set_epoch(sealed, 6)
    sealed.call("validator", "reveal_weights", **reveal((3,)))
    left = s.WeightCommits.get(sealed.ctx, INDEX, VALIDATOR)
    assert [entry[0] for entry in left] == [commit((2, 3))["commit_hash"]]


def test_an_epoch_that_is_due_counts_already(sealed: World) -> None:
    sealed.call("validator", "commit_weights", **commit())
    s.Tempo.put(sealed.ctx, NETUID, 10)
    s.LastEpochBlock.put(sealed.ctx, NETUID, sealed.ctx.block - 10)
    sealed.call("validator", "reveal_weights", **reveal())


def test_mechanism_commits(sealed: World) -> None:
    s.MechanismCountCurrent.put(sealed.ctx, NETUID, 2)
    index = StorageIndex.of(NETUID, 1)
    for item in (s.LastUpdate, s.Incentive):
        item.put(sealed.ctx, index, [0] * 4)
    wanted = hash_of(VALIDATOR, [2, 3], [1, 1], 4098)
    args = {"netuid": NETUID, "mecid": 1}
    sealed.call("validator", "commit_mechanism_weights", commit_hash=wanted, **args)
    set_epoch(sealed, 6)
    sealed.call("validator", "reveal_mechanism_weights", **reveal(), mecid=1)
    assert s.Weights.get(sealed.ctx, index, 1) == [(2, 65535), (3, 65535)]
    assert s.Weights.get(sealed.ctx, INDEX, 1) == []


def test_batches_of_commits_and_reveals(sealed: World) -> None:
    hashes = [commit((2,))["commit_hash"], commit((3,))["commit_hash"]]
    events = sealed.call(
        "validator", "batch_commit_weights", netuids=[NETUID, NetUid(9)], commit_hashes=hashes
    )
    assert [type(event).__name__ for event in events] == [
        "WeightsCommitted",
        "BatchCompletedWithErrors",
        "BatchWeightItemFailed",
        "BatchWeightsCompleted",
    ]
    sealed.call("validator", "commit_weights", **commit((3,)))
    set_epoch(sealed, 6)
    batch: dict[str, Any] = {
        "netuid": NETUID,
        "uids_list": [[3], [2]],
        "values_list": [[1], [1]],
        "salts_list": [SALT, SALT],
        "version_keys": [0, 0],
    }
    short = {**batch, "version_keys": [0]}
    sealed.refuse("InputLengthsUnequal", "validator", "batch_reveal_weights", **short)
    unknown = {**batch, "uids_list": [[3], [0]]}
    sealed.refuse("NoWeightsCommitFound", "validator", "batch_reveal_weights", **unknown)
    events = sealed.call("validator", "batch_reveal_weights", **batch)
    assert events[-1] == ev.WeightsBatchRevealed(VALIDATOR, NETUID, [hashes[1], hashes[0]])
    assert s.Weights.get(sealed.ctx, INDEX, 1) == [(2, 65535)]
    assert s.WeightCommits.find(sealed.ctx, INDEX, VALIDATOR) is None


# Sealed commits


def test_sealed_commits_wait_and_expire(sealed: World) -> None:
    ctx = sealed.ctx
    args: dict[str, Any] = {"netuid": NETUID, "commit": b"sealed", "reveal_round": 77}
    call = "commit_timelocked_weights"
    sealed.refuse(
        "IncorrectCommitRevealVersion", "validator", call, **args, commit_reveal_version=3
    )
    events = sealed.call("validator", call, **args, commit_reveal_version=4)
    hashed = H256(blake2_256(b"\x18sealed"))  # with its compact length in front
    assert events == [ev.TimelockedWeightsCommitted(VALIDATOR, INDEX, hashed, 77)]
    entry = (VALIDATOR, ctx.block, b"sealed", 77)
    assert s.TimelockedWeightCommits.get(ctx, INDEX, 5) == [entry]
    sealed.call("validator", "commit_crv3_mechanism_weights", **args, mecid=0)
    for _ in range(8):
        sealed.call(
            "validator",
            "commit_timelocked_mechanism_weights",
            **args,
            mecid=0,
            commit_reveal_version=4,
        )
    sealed.refuse("TooManyUnrevealedCommits", "validator", call, **args, commit_reveal_version=4)
    set_epoch(sealed, 6)
    weights.reveal_timelocked(ctx)
    assert len(s.TimelockedWeightCommits.get(ctx, INDEX, 5)) == 10
    set_epoch(sealed, 7)
    weights.reveal_timelocked(ctx)
    assert s.TimelockedWeightCommits.get(ctx, INDEX, 5) == []
