"""What the chain does by itself at the start of every block.

The order is part of the rules: it decides which price a registration in this block finds, which
weights an epoch sees, and which price the averages take in.
"""

from __future__ import annotations

from chain.runtime.frame import Ctx
from chain.runtime.pallets.subtensor import (
    children,
    coinbase,
    hotkeyswap,
    registration,
    rootclaims,
    weights,
)
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.pallet import pallet


@pallet.on_initialize
def block_step(ctx: Ctx) -> None:
    """Do the block's own work, before its extrinsics."""
    hotkeyswap.forget_old_swaps(ctx)

    # 1. Registration gets cheaper, for extrinsics of this block.
    registration.update_registration_prices(ctx)

    # 2. Sealed weights that matured are opened, in time for an epoch of this block.
    weights.reveal_timelocked(ctx)

    # 3. Emission, and the epochs that are due.
    coinbase.run_coinbase(ctx, coinbase.block_emission(ctx))

    # 4. Averages, of the prices that the emission left behind.
    netuids, root = coinbase.subnets(ctx), coinbase.weighted_root(ctx)
    for netuid in coinbase.emitting(ctx, netuids):
        coinbase.update_moving_price(ctx, netuid)
        s.RootProp.put(ctx, netuid, coinbase.root_proportion(ctx, netuid, root))

    # 5. Children that an epoch has admitted: that epoch did not count them yet.
    children.apply_due_children(ctx, netuids)

    # 6. Root dividends of a few stakers, this block's among them.
    rootclaims.claim_for_some(ctx, netuids)
