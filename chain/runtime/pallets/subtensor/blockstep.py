"""What the chain does by itself at the start of every block.

The order is part of the rules: it decides which price a registration in this block finds, which
weights an epoch sees, and which price the averages take in.
Not here: applying scheduled child keys, claiming root dividends for their owners.
"""

from __future__ import annotations

from chain.runtime.frame import Ctx
from chain.runtime.pallets.subtensor import coinbase, registration, weights
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.pallet import pallet


@pallet.on_initialize
def block_step(ctx: Ctx) -> None:
    """Do the block's own work, before its extrinsics."""
    # 1. Registration gets cheaper, for extrinsics of this block.
    registration.update_registration_prices(ctx)

    # 2. Sealed weights that matured are opened, in time for an epoch of this block.
    weights.reveal_timelocked(ctx)

    # 3. Emission, and the epochs that are due.
    coinbase.run_coinbase(ctx, coinbase.block_emission(ctx))

    # 4. Averages, of the prices that the emission left behind.
    for netuid in coinbase.emitting(ctx, coinbase.subnets(ctx)):
        coinbase.update_moving_price(ctx, netuid)
        s.RootProp.put(ctx, netuid, coinbase.root_proportion(ctx, netuid))
