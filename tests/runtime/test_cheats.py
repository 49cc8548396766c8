"""What the master of a development chain may do, and that nobody else can."""

from __future__ import annotations

import pytest

from chain.devnet.engine import Impersonate
from chain.errors import InvalidTransaction, ModuleError
from chain.runtime import cheats
from chain.runtime.pallets import balances, system
from chain.runtime.pallets.subtensor import events as ev
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.records import StorageIndex
from chain.types import RAO_PER_TAO, AccountId, NetUid, Rao
from tests.runtime.blocks import ALICE, BOB, Chain, account
from tests.runtime.world import World
from tests.runtime.world import account as named

TAO = Rao(RAO_PER_TAO)
NETUID = NetUid(2)
INDEX = StorageIndex.of(NETUID)


@pytest.mark.parametrize("amount", [0, 1, 499, 500, RAO_PER_TAO, 2 * 10**15, 10**15])
def test_a_balance_is_set_and_both_books_follow(amount: int) -> None:
    world = World("alice")
    for who in ("alice", "nobody"):
        cheats.set_balance(world.ctx, named(who), Rao(amount))
        kept = amount if amount >= 500 else 0  # less than the existential deposit is no account
        assert balances.free(world.ctx, named(who)) == Rao(kept)
        world.check_issuance()


# Impersonation


class Blank:
    """A key that signs nothing: 64 zero bytes."""

    def __init__(self, whose: AccountId) -> None:
        self.public_key = bytes(whose)
        self.crypto_type = 1

    def sign(self, payload: bytes) -> bytes:
        return bytes(64)


def pay(chain: Chain, whose: AccountId, nonce: int = 0) -> bytes:
    call = chain.call("Balances", "transfer_keep_alive", dest=BOB.ss58_address, value=int(TAO))
    return chain.sign(Blank(whose), call, nonce=nonce)


def allow(chain: Chain, who: AccountId, enabled: bool = True) -> None:
    """Build the block in which `who` may be impersonated, and make it the head."""
    cheat = Impersonate(who, enabled)
    timestamp = 1_000 + chain.head.number * 250
    built = chain.engine.cheat_block(chain.state, chain.head, cheat, timestamp)
    for key, value in built.changes.items():
        if value is None:
            chain.state.values.pop(key, None)
        else:
            chain.state.values[key] = value
    chain.head = built.header


def test_nobody_is_impersonated_at_first() -> None:
    chain = Chain.fresh()
    with pytest.raises(InvalidTransaction, match="BadProof"):
        chain.validate(pay(chain, account(ALICE)))
    (rejected,) = chain.block(pay(chain, account(ALICE))).rejected
    assert rejected[1].kind == "BadProof"


def test_an_impersonated_account_needs_no_signature_but_all_else() -> None:
    chain = Chain.fresh()
    alice = account(ALICE)
    allow(chain, alice)
    before = balances.free(chain.ctx(), account(BOB))
    chain.validate(pay(chain, alice))
    assert not chain.block(pay(chain, alice)).rejected
    assert balances.free(chain.ctx(), account(BOB)) == before + TAO
    assert system.Account.get(chain.ctx(), alice).nonce == 1
    with pytest.raises(InvalidTransaction, match="Stale"):
        chain.validate(pay(chain, alice))
    # Others are not, and a wrong signature of hers that is not blank stays wrong.
    with pytest.raises(InvalidTransaction, match="BadProof"):
        chain.validate(pay(chain, account(BOB)))
    forged = bytearray(pay(chain, alice, nonce=1))
    forged[forged.index(bytes(64))] = 1
    with pytest.raises(InvalidTransaction, match="BadProof"):
        chain.validate(bytes(forged))
    # She herself signs as ever.
    call = chain.call("System", "remark", remark=b"")
    chain.validate(chain.sign(ALICE, call, nonce=1))
    allow(chain, alice, enabled=False)
    with pytest.raises(InvalidTransaction, match="BadProof"):
        chain.validate(pay(chain, alice, nonce=1))


def test_no_client_sees_that_there_is_such_a_pallet() -> None:
    ir = Chain.fresh().core.metadata_ir()
    assert "Devnet" not in {pallet["name"] for pallet in ir["pallets"]}


# Opening sealed commits


@pytest.fixture
def world() -> World:
    """Subnet 2 with commit-reveal; validator 1 has two sealed commits in the queue, miner 2 one."""
    world = World("owner")
    world.skip(9)
    world.create_subnet()
    for name in ("validator", "miner"):
        world.register(NETUID, name)
    ctx = world.ctx
    s.Tempo.put(ctx, NETUID, 0)
    s.ValidatorPermit.put(ctx, NETUID, [False, True, False])
    s.CommitRevealWeightsEnabled.put(ctx, NETUID, True)
    s.WeightsSetRateLimit.put(ctx, NETUID, 0)
    for epoch, name, sealed in ((5, "miner", b"m"), (5, "validator", b"1"), (6, "validator", b"2")):
        s.SubnetEpochIndex.put(ctx, NETUID, epoch)
        world.call(
            name,
            "commit_timelocked_weights",
            netuid=NETUID,
            commit=sealed,
            reveal_round=1,
            commit_reveal_version=4,
        )
        world.skip(1)
    return world


def waiting(world: World) -> list[tuple[AccountId, bytes]]:
    rows = sorted(s.TimelockedWeightCommits.row(world.ctx, INDEX))
    return [(entry[0], entry[2]) for _, queue in rows for entry in queue]


def test_a_sealed_commit_is_opened_as_if_by_the_beacon(world: World) -> None:
    ctx, validator = world.ctx, named("validator")
    updated = s.LastUpdate.get(ctx, INDEX)
    world.block.events.clear()
    cheats.reveal_weights(ctx, NETUID, 0, validator, [2, 0], [10, 5])
    assert s.Weights.get(ctx, INDEX, 1) == [(2, 65535), (0, 32768)]
    assert s.LastUpdate.get(ctx, INDEX) == updated  # the commit counts, not the reveal
    assert waiting(world) == [(named("miner"), b"m"), (validator, b"2")]
    assert [event for _, event in world.block.events] == [
        ev.WeightsSet(INDEX, 1),
        ev.TimelockedWeightsRevealed(INDEX, validator),
    ]
    cheats.reveal_weights(ctx, NETUID, 0, validator, [0], [1])
    assert waiting(world) == [(named("miner"), b"m")]


def test_what_is_opened_passes_the_checks_of_weights(world: World) -> None:
    def refused(name: str, who: str, dests: list[int], netuid: int = 2) -> None:
        with pytest.raises(ModuleError) as caught:
            row = (dests, [1] * len(dests))
            cheats.reveal_weights(world.ctx, NetUid(netuid), 0, named(who), *row)
        assert caught.value.name == name

    refused("MechanismDoesNotExist", "validator", [0], netuid=9)
    refused("NoWeightsCommitFound", "owner/hotkey", [0])
    refused("UidVecContainInvalidOne", "validator", [7])
    refused("NeuronNoValidatorPermit", "miner", [0, 1])
