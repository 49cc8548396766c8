"""All methods by wire name. Clients choose what they use from this list."""

from __future__ import annotations

from chain.devnet.rpc import author, chain, devnet, payment, state, system
from chain.devnet.rpc.params import Handler
from chain.devnet.rpc.session import Context

__all__ = ["METHODS"]


async def rpc_methods(ctx: Context) -> dict[str, list[str]]:
    """The names of all methods. Params: []."""
    return {"methods": sorted(METHODS)}


METHODS: dict[str, Handler] = {
    **author.HANDLERS,
    **chain.HANDLERS,
    **devnet.HANDLERS,
    **payment.HANDLERS,
    **state.HANDLERS,
    **system.HANDLERS,
    "rpc_methods": rpc_methods,
}
