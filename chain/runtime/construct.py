"""Which pallets the runtime has. Importing this makes them the runtime's; indices are the order."""

from chain.runtime.frame import PALLETS
from chain.runtime.pallets import (
    absent,
    admin,
    alpha_assets,
    aura,
    balances,
    commitments,
    drand,
    payment,
    shield,
    sudo,
    swap,
    system,
    timestamp,
    utility,
)
from chain.runtime.pallets.subtensor import (
    autostake,
    blockstep,
    children,
    coldkeyswap,
    constants,
    dissolve,
    epoch,
    hotkeys,
    hotkeyswap,
    registration,
    rootclaims,
    serving,
    staking,
    subnets,
    weights,
)
from chain.runtime.pallets.subtensor.pallet import pallet as subtensor

__all__ = ["PALLETS"]

# Files of SubtensorModule declare by being imported.
_DECLARED = (
    autostake,
    blockstep,
    children,
    coldkeyswap,
    constants,
    dissolve,
    epoch,
    hotkeys,
    hotkeyswap,
    registration,
    rootclaims,
    serving,
    staking,
    subnets,
    weights,
)

# The order in which the chain asks its guards: the first refusal is the one that is told.
_GUARDS = [
    coldkeyswap.check_coldkey_swap,
    weights.check_weights,
    weights.check_rate_limits,
    hotkeys.check_delegate_take,
    serving.check_serving,
]
subtensor.guards.sort(key=_GUARDS.index)

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
        drand.pallet,
        *absent.pallets,
    ]
)
