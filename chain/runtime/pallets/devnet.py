"""Devnet: what a development chain remembers that no real chain has.

Not a pallet of the runtime: it is in no metadata, so clients see the real chain's. Its storage is
in the state all the same: a chain's cheats survive a restart, are undone by a revert, and replay.
"""

from __future__ import annotations

from dataclasses import dataclass

from chain.runtime.frame import Ctx, Pallet
from chain.runtime.pallets.subtensor import storage as s
from chain.scale import U16, U32, U64
from chain.types import AccountId, NetUid, Rao

pallet = Pallet("Devnet", 255, path="pallet_devnet")


@dataclass(frozen=True)
class NewSubnet:
    """How subnets begin, where not as on the real chain; None is the chain's own."""

    tempo: U16 | None = None
    burn: Rao | None = None
    weights_rate_limit: U64 | None = None
    activity_cutoff_factor_milli: U32 | None = None
    commit_reveal: bool | None = None


Impersonated = pallet.map("Impersonated", AccountId, bool, default=False)
"""Accounts whose extrinsics need no signature but 64 zero bytes."""
SubnetDefaults = pallet.value("SubnetDefaults", NewSubnet, default=NewSubnet())


def begin_subnet(ctx: Ctx, netuid: NetUid) -> None:
    """Give a subnet that was just created the hyperparameters this chain begins with."""
    new = SubnetDefaults.get(ctx)
    if new.tempo is not None:
        s.Tempo.put(ctx, netuid, new.tempo)
        s.LastEpochBlock.put(ctx, netuid, max(ctx.block - int(netuid) % new.tempo, 0))
    if new.burn is not None:
        s.Burn.put(ctx, netuid, new.burn)
    if new.weights_rate_limit is not None:
        s.WeightsSetRateLimit.put(ctx, netuid, new.weights_rate_limit)
    if new.activity_cutoff_factor_milli is not None:
        s.ActivityCutoffFactorMilli.put(ctx, netuid, new.activity_cutoff_factor_milli)
    if new.commit_reveal is not None:
        s.CommitRevealWeightsEnabled.put(ctx, netuid, new.commit_reveal)
