"""Commitments: their data on the wire, who may commit, and how much in an epoch."""

from __future__ import annotations

from typing import Any

import pytest

from chain.errors import ScaleError
from chain.runtime.construct import PALLETS
from chain.runtime.frame import ROOT
from chain.runtime.pallets import commitments
from chain.runtime.pallets.commitments import CommitmentInfo, Registration, Sealed, UsageTracker
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.records import StorageIndex
from chain.scale import Reader, Tagged, codec
from chain.types import NetUid, Rao
from tests.runtime.blocks import Chain
from tests.runtime.world import World, account

NETUID = NetUid(2)
MINER = account("miner")
CALL = "Commitments.set_commitment"
RESET = Tagged("ResetBondsFlag")


@pytest.fixture
def world() -> World:
    world = World("owner")
    world.skip(9)
    world.create_subnet()
    world.register(NETUID, "miner")
    return world


def args(*fields: Tagged) -> dict[str, Any]:
    return {"netuid": NETUID, "info": CommitmentInfo(list(fields))}


def sealed(data: bytes = b"cipher", round_number: int = 9) -> Tagged:
    return Tagged("TimelockEncrypted", Sealed(data, round_number))


@pytest.mark.parametrize(
    ("data", "encoded"),
    [
        (Tagged("None"), b"\x00"),
        (Tagged("Raw0", b""), b"\x01"),
        (Tagged("Raw3", b"abc"), b"\x04abc"),
        (Tagged("Raw128", b"x" * 128), b"\x81" + b"x" * 128),
        (Tagged("BlakeTwo256", b"h" * 32), b"\x82" + b"h" * 32),
        (Tagged("Sha256", b"h" * 32), b"\x83" + b"h" * 32),
        (Tagged("Keccak256", b"h" * 32), b"\x84" + b"h" * 32),
        (Tagged("ShaThree256", b"h" * 32), b"\x85" + b"h" * 32),
        (sealed(b"ab", 5), b"\x86\x08ab" + (5).to_bytes(8, "little")),
        (RESET, b"\x87"),
        (Tagged("BigRaw", b"abc"), b"\x88\x0cabc"),
    ],
)
def test_fields_on_the_wire(data: Tagged, encoded: bytes) -> None:
    assert commitments.DATA.encode(data) == encoded
    assert commitments.DATA.decode(encoded) == data


def test_fields_have_137_variants() -> None:
    variants = commitments.DATA.shape().variants
    assert [v.index for v in variants] == list(range(137))
    assert variants[65].name == "Raw64"
    assert [field.name for field in variants[134].fields] == ["encrypted", "reveal_round"]


@pytest.mark.parametrize(
    "data", [b"\x89", b"\x04ab", b"\x88\x05\x08" + b"x" * 513, b"\x86\x05\x10" + b"x" * 1033]
)
def test_bytes_that_are_no_field(data: bytes) -> None:
    with pytest.raises(ScaleError):
        commitments.DATA.decode(data)


def test_four_fields_do_not_decode() -> None:
    with pytest.raises(ScaleError):
        codec(CommitmentInfo).decode(b"\x10" + b"\x00" * 4)


def test_the_sdk_reads_and_writes_commitments() -> None:
    core = Chain.fresh().core
    info = CommitmentInfo([commitments.raw(b"abc"), sealed(b"ab", 5), RESET])
    stored = codec(Registration).encode(Registration(Rao(0), 7, info))
    value_type = core.storage_entry("Commitments", "CommitmentOf").value_type
    decoded = core.decode(value_type, stored)
    assert decoded["block"] == 7
    theirs = {"fields": [{"Raw3": "0x616263"}, {"BigRaw": "0x6162"}, {"Sha256": "0x" + "07" * 32}]}
    fields = decoded["info"]["fields"]
    assert fields[0] == {"Raw3": "0x616263"}
    assert fields[1]["TimelockEncrypted"]["reveal_round"] == 5
    assert fields[2] == "ResetBondsFlag"
    call = bytes(core.compose_call("Commitments", "set_commitment", {"netuid": 2, "info": theirs}))
    read = PALLETS.read_call(Reader(call))
    assert read.args["info"].fields == [
        Tagged("Raw3", b"abc"),
        Tagged("BigRaw", b"ab"),
        Tagged("Sha256", b"\x07" * 32),
    ]


def test_raw_picks_its_variant() -> None:
    assert commitments.raw(b"x" * 128).name == "Raw128"
    assert commitments.raw(b"x" * 129).name == "BigRaw"


def test_a_commitment_is_published(world: World) -> None:
    field = commitments.raw(b"model")
    events = world.call("miner", CALL, **args(field))
    assert events == [commitments.Commitment(NETUID, MINER)]
    stored = commitments.CommitmentOf.get(world.ctx, NETUID, MINER)
    assert stored == Registration(Rao(0), 10, CommitmentInfo([field]))
    assert commitments.LastCommitment.get(world.ctx, NETUID, MINER) == 10
    used = commitments.UsedSpaceOf.get(world.ctx, NETUID, MINER)
    assert used == UsageTracker(0, 100)


def test_refusals(world: World) -> None:
    field = commitments.raw(b"x" * 512)
    world.refuse("BadOrigin", ROOT, CALL, **args(field))
    world.refuse("AccountNotAllowedCommit", "other", CALL, **args(*[field] * 4))
    world.refuse("TooManyFieldsInCommitmentInfo", "miner", CALL, **args(*[field] * 4))


def test_space_is_counted_by_epoch(world: World) -> None:
    three = args(*[commitments.raw(b"x" * 500)] * 3)
    world.call("miner", CALL, **three)
    world.call("miner", CALL, **three)  # 3000 of 3100
    world.refuse("SpaceLimitExceeded", "miner", CALL, **args(commitments.raw(b"x" * 101)))
    world.call("miner", CALL, **args(Tagged("None")))  # counts for 100
    world.refuse("SpaceLimitExceeded", "miner", CALL, **args(Tagged("None")))
    s.SubnetEpochIndex.put(world.ctx, NETUID, 1)
    world.call("miner", CALL, **three)
    assert commitments.UsedSpaceOf.get(world.ctx, NETUID, MINER) == UsageTracker(1, 1500)
    world.refuse("BadOrigin", "miner", "Commitments.set_max_space", new_limit=9)
    world.root("Commitments.set_max_space", new_limit=1600)
    world.refuse("SpaceLimitExceeded", "miner", CALL, **args(commitments.raw(b"x" * 101)))


def test_sealed_commitments_are_listed(world: World) -> None:
    index = commitments.TimelockedIndex
    events = world.call("miner", CALL, **args(commitments.raw(b"a"), sealed()))
    assert events == [commitments.TimelockCommitment(NETUID, MINER, 9)]
    assert index.get(world.ctx) == {(NETUID, MINER)}
    world.call("miner", CALL, **args(sealed()))
    assert index.get(world.ctx) == {(NETUID, MINER)}
    world.call("miner", CALL, **args(commitments.raw(b"a")))
    assert index.get(world.ctx) == frozenset()


def test_bonds_are_reset_where_it_is_switched_on(world: World) -> None:
    ctx, index = world.ctx, StorageIndex.of(NETUID)
    s.Bonds.put(ctx, index, 0, [(0, 5), (1, 6)])
    world.call("miner", CALL, **args(RESET))
    assert commitments.LastBondsReset.get(ctx, NETUID, MINER) == ctx.block
    assert s.Bonds.get(ctx, index, 0) == [(0, 5), (1, 6)]
    s.BondsResetOn.put(ctx, NETUID, True)
    world.call("miner", CALL, **args(RESET))
    assert s.Bonds.get(ctx, index, 0) == [(0, 5)]
