"""The state of block 0: root and a first subnet that nobody owns, as on a fresh chain.

The first subnet holds netuid 1, so the first one a user creates is 2. It can never be started: its
owner is the zero account.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from chain.runtime.frame import Ctx
from chain.runtime.pallets import aura, balances, devnet, sudo
from chain.runtime.pallets.subtensor import hotkeys, staking, subnets, uids
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.accounts import subnet_account
from chain.types import RAO_PER_TAO, AccountId, Alpha, NetUid, Rao

ROOT_NETUID = NetUid(0)
FIRST_NETUID = NetUid(1)
FIRST_POOL = 10 * RAO_PER_TAO  # of each token
FIRST_STAKE = Alpha(RAO_PER_TAO)
GENESIS_TEMPO = 100
DEVNET_EPOCHS_PER_BLOCK = 32
NEW_SUBNETS = {
    "devnet": devnet.NewSubnet(commit_reveal=False),
    "minimal": devnet.NewSubnet(
        tempo=20,
        burn=Rao(RAO_PER_TAO // 1000),
        weights_rate_limit=0,
        activity_cutoff_factor_milli=50_000,
        commit_reveal=False,
    ),
}
"""How subnets begin by preset. Without a beacon, plain weights are the ones that arrive."""


Preset = Literal["devnet", "minimal", "mainnet"]


@dataclass(frozen=True)
class GenesisConfig:
    """Who is born with what, and who is root.

    "mainnet" has the chain's own defaults. A "devnet" differs in what would make one wait: subnets
    may be created without a pause between them and take plain weights, many epochs may run in one
    block, and root takes stake. "minimal" has no waits at all: nothing is frozen before an epoch,
    and new subnets have short epochs, cheap seats and no limit on how often weights are set.
    """

    balances: tuple[tuple[AccountId, Rao], ...]
    sudo: AccountId
    preset: Preset = "devnet"


def write_genesis(ctx: Ctx, config: GenesisConfig) -> None:
    """Write the whole state of block 0 through `ctx`, over an empty state."""
    for account, amount in config.balances:
        balances.mint_into(ctx, account, amount)
    sudo.Key.put(ctx, config.sudo)
    if ctx.block_env.author is not None:
        aura.Authorities.put(ctx, [ctx.block_env.author])
    if config.preset != "mainnet":
        s.NetworkRateLimit.put(ctx, 0)
        s.MaxEpochsPerBlock.put(ctx, DEVNET_EPOCHS_PER_BLOCK)
        s.SubtokenEnabled.put(ctx, ROOT_NETUID, True)
        devnet.SubnetDefaults.put(ctx, NEW_SUBNETS[config.preset])
    if config.preset == "minimal":
        s.AdminFreezeWindow.put(ctx, 0)
    _write_root(ctx)
    _write_first_subnet(ctx)
    # All TAO there is, the first pool's included, lies in accounts: both pallets count the same.
    s.TotalIssuance.put(ctx, balances.TotalIssuance.get(ctx))


def _write_root(ctx: Ctx) -> None:
    _add(ctx, ROOT_NETUID, subnets.ROOT_SYMBOL)
    s.MaxAllowedUids.put(ctx, ROOT_NETUID, 64)
    s.MaxAllowedValidators.put(ctx, ROOT_NETUID, 64)
    s.TargetRegistrationsPerInterval.put(ctx, ROOT_NETUID, 1)


def _write_first_subnet(ctx: Ctx) -> None:
    pool = Rao(FIRST_POOL)
    _add(ctx, FIRST_NETUID, subnets.SYMBOLS[0])
    s.MaxAllowedUids.put(ctx, FIRST_NETUID, 256)
    s.MaxAllowedValidators.put(ctx, FIRST_NETUID, 64)
    s.SubnetMechanism.put(ctx, FIRST_NETUID, subnets.DYNAMIC)
    s.SubnetTAO.put(ctx, FIRST_NETUID, pool)
    s.SubnetAlphaIn.put(ctx, FIRST_NETUID, Alpha(FIRST_POOL))
    s.SubnetAlphaOut.put(ctx, FIRST_NETUID, FIRST_STAKE)
    s.TotalStake.put(ctx, pool)
    balances.mint_into(ctx, subnet_account(FIRST_NETUID), pool)
    s.SubnetOwner.put(ctx, FIRST_NETUID, s.ZERO)
    s.SubnetOwnerHotkey.put(ctx, FIRST_NETUID, s.ZERO)
    hotkeys.adopt(ctx, s.ZERO, s.ZERO)
    uids.append(ctx, FIRST_NETUID, s.ZERO)
    staking.credit(ctx, s.ZERO, s.ZERO, FIRST_NETUID, FIRST_STAKE)


def _add(ctx: Ctx, netuid: NetUid, symbol: str) -> None:
    s.NetworksAdded.put(ctx, netuid, True)
    s.TotalNetworks.put(ctx, s.TotalNetworks.get(ctx) + 1)
    s.SubnetworkN.put(ctx, netuid, 0)
    s.Tempo.put(ctx, netuid, GENESIS_TEMPO)
    s.Burn.put(ctx, netuid, s.Burn.get(ctx, netuid))
    s.MinAllowedWeights.put(ctx, netuid, 0)
    s.NetworkRegistrationAllowed.put(ctx, netuid, True)
    s.TokenSymbol.put(ctx, netuid, symbol.encode())
