"""Which pallets the runtime has. Importing this makes them the runtime's; indices are the order."""

from chain.runtime.frame import PALLETS
from chain.runtime.pallets import (
    admin,
    alpha_assets,
    aura,
    balances,
    commitments,
    payment,
    shield,
    sudo,
    swap,
    system,
    timestamp,
    utility,
)
from chain.runtime.pallets.subtensor import (
    blockstep,
    constants,
    epoch,
    hotkeys,
    registration,
    serving,
    staking,
    subnets,
    weights,
)
from chain.runtime.pallets.subtensor.pallet import pallet as subtensor

__all__ = ["PALLETS"]

# Files of SubtensorModule declare by being imported.
_DECLARED = (
    blockstep,
    constants,
    epoch,
    hotkeys,
    registration,
    serving,
    staking,
    subnets,
    weights,
)

PALLETS.construct(
    [
        system.pallet,
        timestamp.pallet,
        aura.pallet,
        balances.pallet,
        payment.pallet,
        subtensor,
        utility.pallet,
        sudo.pallet,
        commitments.pallet,
        admin.pallet,
        swap.pallet,
        shield.pallet,
        alpha_assets.pallet,
    ]
)
