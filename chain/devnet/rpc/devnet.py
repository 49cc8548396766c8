"""devnet_*: what a real node has no button for. Only for development."""

from __future__ import annotations

from chain.devnet.rpc.errors import INVALID_PARAMS, RpcError
from chain.devnet.rpc.params import Handler, hexed
from chain.devnet.rpc.session import Context
from chain.devnet.schedule import Instant, Interval, Manual
from chain.devnet.store import Block

__all__ = ["HANDLERS"]

BLOCKS_A_CALL = 100_000


def _point(block: Block) -> dict[str, object]:
    return {"number": block.number, "hash": hexed(block.hash)}


async def devnet_mine(ctx: Context, blocks: int = 1) -> dict[str, object]:
    """Make blocks at once; number and hash of the last.

    Params: [360]. The schedule goes on beside it. Extrinsics are mortal: those signed before may
    be too old for the pool after many blocks (64 or 128, 8 for shielded ones).
    """
    if not 1 <= blocks <= BLOCKS_A_CALL:
        raise RpcError(
            INVALID_PARAMS, f"parameter 1 (blocks): from 1 to {BLOCKS_A_CALL}, got {blocks}"
        )
    return _point(await ctx.node.mine(blocks))


async def devnet_snapshot(ctx: Context) -> int:
    """Remember this point of the chain; the number to revert to. Params: []."""
    return ctx.node.snapshot().number


async def devnet_revert(ctx: Context, snapshot: int) -> dict[str, object]:
    """Return to a snapshot: later blocks and snapshots and the pool are gone. Params: [1].

    After the answer every WebSocket is closed, since clients remember blocks that are no more:
    connect anew, with a new client object.
    """
    return _point(ctx.node.revert(snapshot))


async def devnet_increaseTime(ctx: Context, seconds: float) -> int:
    """Let block time jump ahead; by how many ms it is now ahead of the wall clock.

    Params: [3600]. Blocks are not made faster by it.
    """
    if seconds < 0 or seconds != seconds or seconds > 1e11:
        raise RpcError(INVALID_PARAMS, f"parameter 1 (seconds): not negative, got {seconds}")
    return ctx.node.increase_time(round(seconds * 1000))


async def devnet_setNextBlockTimestamp(ctx: Context, timestamp_ms: int) -> None:
    """Date the next block, in ms since 1970, and go on from there. Params: [1893456000000]."""
    ctx.node.set_next_timestamp(timestamp_ms)


async def devnet_setStorage(
    ctx: Context, changes: list[tuple[bytes, bytes | None]]
) -> dict[str, object]:
    """Write raw storage; null deletes a key. Params: [[["0x01", "0xff"], ["0x02", null]]].

    Makes a block without extrinsics, whose state has exactly these values: the state under an
    existing block hash never changes.
    """
    return _point(ctx.node.set_storage(dict(changes)))


async def devnet_setAutomine(ctx: Context, enabled: bool) -> None:
    """A block for each extrinsic and one a second (true), or only by devnet_mine (false).

    Params: [true].
    """
    ctx.node.set_schedule(Instant() if enabled else Manual())


async def devnet_setInterval(ctx: Context, seconds: float) -> None:
    """A block every so many seconds; 0 for only by devnet_mine. Params: [0.25].

    The runtime's own idea of its block time (`Aura.SlotDuration`) is fixed and does not follow.
    """
    try:
        ctx.node.set_schedule(Manual() if seconds == 0 else Interval(seconds))
    except ValueError as error:
        raise RpcError(INVALID_PARAMS, f"parameter 1 (seconds): {error}") from None


HANDLERS: dict[str, Handler] = {
    "devnet_increaseTime": devnet_increaseTime,
    "devnet_mine": devnet_mine,
    "devnet_revert": devnet_revert,
    "devnet_setAutomine": devnet_setAutomine,
    "devnet_setInterval": devnet_setInterval,
    "devnet_setNextBlockTimestamp": devnet_setNextBlockTimestamp,
    "devnet_setStorage": devnet_setStorage,
    "devnet_snapshot": devnet_snapshot,
}
