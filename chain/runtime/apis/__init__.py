"""The runtime APIs: typed answers computed from state, reached by state_call."""

from chain.runtime.apis import (
    baskets,
    delegate_info,
    neuron_info,
    node,
    pool_info,
    stake_info,
    subnet_info,
)
from chain.runtime.apis.api import RuntimeApis

__all__ = ["APIS"]

APIS = RuntimeApis(
    node.core,
    node.metadata,
    node.nonces,
    node.fees,
    node.call_fees,
    node.slots,
    delegate_info.api,
    neuron_info.api,
    subnet_info.api,
    stake_info.api,
    pool_info.registration,
    pool_info.prices,
    baskets.api,
)
