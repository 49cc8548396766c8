"""Block 0: what is there before anybody has done anything."""

from __future__ import annotations

import dataclasses

import pytest

from chain.runtime.frame import Block, Ctx
from chain.runtime.genesis import GenesisConfig, write_genesis
from chain.runtime.pallets import aura, balances, sudo
from chain.runtime.pallets.subtensor import shares
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.accounts import subnet_account
from chain.runtime.state import EmptyState, State
from chain.types import AccountId, Alpha, NetUid, Rao
from tests.runtime.world import RICH, World, account

ROOT, FIRST = NetUid(0), NetUid(1)


def test_root_and_a_first_subnet_are_there() -> None:
    ctx = World("alice").ctx
    assert [netuid for netuid, _ in s.NetworksAdded.items(ctx)] == [ROOT, FIRST]
    assert s.TotalNetworks.get(ctx) == 2
    for netuid, seats, n in ((ROOT, 64, 0), (FIRST, 256, 1)):
        assert s.MaxAllowedUids.get(ctx, netuid) == seats
        assert s.SubnetworkN.get(ctx, netuid) == n
        assert s.Tempo.get(ctx, netuid) == 100
        assert s.LastEpochBlock.get(ctx, netuid) == 0
        assert s.MinAllowedWeights.get(ctx, netuid) == 0
        assert s.MaxAllowedValidators.get(ctx, netuid) == 64
    assert s.TargetRegistrationsPerInterval.get(ctx, ROOT) == 1
    assert s.TokenSymbol.get(ctx, ROOT).decode() == "\N{GREEK CAPITAL LETTER TAU}"
    assert s.TokenSymbol.get(ctx, FIRST).decode() == "\N{GREEK SMALL LETTER ALPHA}"


def test_the_first_subnet_is_nobodys() -> None:
    world = World("alice")
    ctx, zero = world.ctx, AccountId(bytes(32))
    assert s.SubnetOwner.get(ctx, FIRST) == zero
    assert s.Keys.get(ctx, FIRST, 0) == zero
    assert s.Uids.get(ctx, FIRST, zero) == 0
    assert s.SubnetMechanism.get(ctx, FIRST) == 1
    assert s.SubnetTAO.get(ctx, FIRST) == 10_000_000_000
    assert s.SubnetAlphaIn.get(ctx, FIRST) == 10_000_000_000
    assert s.SubnetAlphaOut.get(ctx, FIRST) == 1_000_000_000
    assert shares.value(ctx, zero, zero, FIRST) == Alpha(1_000_000_000)
    assert s.FirstEmissionBlockNumber.find(ctx, FIRST) is None
    assert not s.SubtokenEnabled.get(ctx, FIRST)
    world.refuse("BadOrigin", "alice", "start_call", netuid=FIRST)


def test_all_tao_lies_in_accounts() -> None:
    world = World("alice", "bob")
    world.check_issuance()
    world.check_seats()
    pool = balances.free(world.ctx, subnet_account(FIRST))
    assert pool == s.SubnetTAO.get(world.ctx, FIRST) == s.TotalStake.get(world.ctx)
    assert balances.TotalIssuance.get(world.ctx) == RICH + RICH + pool


def test_sudo_and_author_are_written() -> None:
    world = World("alice", author=account("author"))
    assert sudo.Key.get(world.ctx) == account("sudo")
    assert aura.Authorities.get(world.ctx) == [account("author")]


def test_presets() -> None:
    assert s.NetworkRateLimit.get(World().ctx) == 0
    assert s.NetworkRateLimit.get(World(preset="mainnet").ctx) == 7200
    assert s.MaxEpochsPerBlock.get(World().ctx) == 32
    assert s.MaxEpochsPerBlock.get(World(preset="mainnet").ctx) == 2


@pytest.mark.parametrize(
    ("preset", "tempo", "burn", "rate_limit", "factor", "commit_reveal", "window"),
    [
        ("mainnet", 360, 10**9, 100, 13_889, True, 10),
        ("devnet", 360, 10**9, 100, 13_889, False, 10),
        ("minimal", 20, 10**6, 0, 50_000, False, 0),
    ],
)
def test_how_a_subnet_begins_by_preset(
    preset: str,
    tempo: int,
    burn: int,
    rate_limit: int,
    factor: int,
    commit_reveal: bool,
    window: int,
) -> None:
    world = World("alice", preset=preset)
    world.skip(7200)
    netuid = world.create_subnet("alice")
    ctx = world.ctx
    assert s.Tempo.get(ctx, netuid) == tempo
    assert s.LastEpochBlock.get(ctx, netuid) == 7201 - 2  # less netuid modulo tempo
    assert s.Burn.get(ctx, netuid) == Rao(burn)
    assert s.WeightsSetRateLimit.get(ctx, netuid) == rate_limit
    assert s.ActivityCutoffFactorMilli.get(ctx, netuid) == factor
    assert s.CommitRevealWeightsEnabled.get(ctx, netuid) is commit_reveal
    assert s.AdminFreezeWindow.get(ctx) == window
    assert s.StartCallDelay.get(ctx) == 0


def test_the_same_configuration_gives_the_same_state() -> None:
    def state(config: GenesisConfig) -> dict[bytes, bytes | None]:
        block = Block(State(EmptyState()), 0)
        write_genesis(Ctx(block), config)
        return dict(block.state.changes())

    config = GenesisConfig(((account("a"), Rao(10**9)),), account("sudo"))
    assert state(config) == state(dataclasses.replace(config))
    assert state(config) != state(dataclasses.replace(config, sudo=account("other")))


@pytest.mark.parametrize("blocks", [1, 120])
def test_a_fresh_chain_runs(blocks: int) -> None:
    world = World("alice")
    world.advance(blocks)
    world.check_issuance()
    world.check_seats()
