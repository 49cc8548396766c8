"""chain_*: blocks, headers, and news of them."""

from __future__ import annotations

from chain.devnet.engine import Header
from chain.devnet.rpc.errors import INVALID_PARAMS, RpcError
from chain.devnet.rpc.params import BlockNumber, Handler, Hash, fit, hexed
from chain.devnet.rpc.session import Context, unsubscribe
from chain.devnet.store import Block
from chain.devnet.topic import Topic

__all__ = ["HANDLERS"]

HEIGHTS_A_CALL = 10_000


def _header(header: Header) -> dict[str, object]:
    return {
        "parentHash": hexed(header.parent_hash),
        "number": hex(header.number),
        "stateRoot": hexed(header.state_root),
        "extrinsicsRoot": hexed(header.extrinsics_root),
        "digest": {"logs": [hexed(item) for item in header.digest]},
    }


async def chain_getBlockHash(ctx: Context, number: object = None) -> object:
    """The hash at a height (null where there is no block), or of the head, or of each of a list.

    Params: [0], ["0x1f"], [null], [[0, 1, 2]].
    """

    def find(height: object) -> str | None:
        if height is None:
            return hexed(ctx.node.head.hash)
        block = ctx.node.store.find_number(fit(BlockNumber, height, "parameter 1 (number)"))
        return None if block is None else hexed(block.hash)

    if not isinstance(number, list):
        return find(number)
    if len(number) > HEIGHTS_A_CALL:
        raise RpcError(INVALID_PARAMS, f"parameter 1 (number): at most {HEIGHTS_A_CALL} of them")
    return [find(height) for height in number]


async def chain_getHead(ctx: Context) -> str:
    """The hash of the head. Params: []."""
    return hexed(ctx.node.head.hash)


async def chain_getFinalizedHead(ctx: Context) -> str:
    """The hash of the last final block. Params: []."""
    return hexed(ctx.node.finalized.hash)


async def chain_getHeader(ctx: Context, at: Hash | None = None) -> dict[str, object] | None:
    """The header of a block or the head; null for an unknown hash. Params: ["0x<32 bytes>"]."""
    block = ctx.node.head if at is None else ctx.node.store.find(at)
    return None if block is None else _header(block.header)


async def chain_getBlock(ctx: Context, at: Hash | None = None) -> dict[str, object] | None:
    """A block or the head; null for an unknown hash. Params: ["0x<32 bytes>"]."""
    block = ctx.node.head if at is None else ctx.node.store.find(at)
    if block is None:
        return None
    extrinsics = [hexed(extrinsic) for extrinsic in block.extrinsics]
    return {
        "block": {"header": _header(block.header), "extrinsics": extrinsics},
        "justifications": None,
    }


def _follow(ctx: Context, method: str, topic: Topic[Block], first: Block) -> str:
    subscription = ctx.subscribe(method)
    subscription.send(_header(first.header))
    subscription.on_close(topic.listen(lambda block: subscription.send(_header(block.header))))
    return subscription.id


async def chain_subscribeNewHeads(ctx: Context) -> str:
    """Every new head as `chain_newHead`, the present one at once. Params: []."""
    return _follow(ctx, "chain_newHead", ctx.node.heads, ctx.node.head)


async def chain_subscribeAllHeads(ctx: Context) -> str:
    """Every new block as `chain_allHead`; without forks, the same as new heads. Params: []."""
    return _follow(ctx, "chain_allHead", ctx.node.heads, ctx.node.head)


async def chain_subscribeFinalizedHeads(ctx: Context) -> str:
    """Every block that becomes final as `chain_finalizedHead`, the last one at once. Params: []."""
    return _follow(ctx, "chain_finalizedHead", ctx.node.finalized_heads, ctx.node.finalized)


HANDLERS: dict[str, Handler] = {
    "chain_getBlock": chain_getBlock,
    "chain_getBlockHash": chain_getBlockHash,
    "chain_getFinalizedHead": chain_getFinalizedHead,
    "chain_getHead": chain_getHead,
    "chain_getHeader": chain_getHeader,
    "chain_subscribeAllHeads": chain_subscribeAllHeads,
    "chain_subscribeFinalizedHeads": chain_subscribeFinalizedHeads,
    "chain_subscribeNewHead": chain_subscribeNewHeads,
    "chain_subscribeNewHeads": chain_subscribeNewHeads,
    "chain_unsubscribeAllHeads": unsubscribe,
    "chain_unsubscribeFinalizedHeads": unsubscribe,
    "chain_unsubscribeNewHead": unsubscribe,
    "chain_unsubscribeNewHeads": unsubscribe,
}
