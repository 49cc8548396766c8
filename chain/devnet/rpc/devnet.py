"""devnet_*: what a real node has no button for. Only for development.

They answer only to clients on the node's own host, unless the node was told otherwise. Each shows
how it is called, on a fresh chain that makes blocks only on demand: `-->` is the method and its
parameters, `<--` the result, in which "..." differs from run to run and `$name` is used later.
"""

from __future__ import annotations

import zlib

from chain.devnet.engine import Impersonate, RevealWeights, SetBalance
from chain.devnet.rpc.errors import INVALID_PARAMS, RpcError
from chain.devnet.rpc.params import Account, BlockTime, Handler, hexed
from chain.devnet.rpc.session import Context
from chain.devnet.store import Block

__all__ = ["HANDLERS"]

BLOCKS_A_CALL = 100_000
DUMP_BYTES = 2**30  # unpacked
U64_MAX = 2**64 - 1


def _point(block: Block) -> dict[str, object]:
    return {"number": block.number, "hash": hexed(block.hash)}


def _ensure_within(where: str, value: float, least: int, most: int) -> None:
    if not least <= value <= most:
        raise RpcError(INVALID_PARAMS, f"{where}: from {least} to {most}, got {value}")


# Blocks and time


async def devnet_mine(ctx: Context, blocks: int = 1) -> dict[str, object]:
    """Make blocks at once; number and hash of the last.

        --> devnet_mine [360]
        <-- {"number": 360, "hash": "..."}

    The schedule goes on beside it. Extrinsics are mortal: those signed before may be too old for
    the pool after many blocks (64 or 128, 8 for shielded ones).
    """
    _ensure_within("parameter 1 (blocks)", blocks, 1, BLOCKS_A_CALL)
    return _point(await ctx.node.mine(blocks))


async def devnet_setBlockTime(ctx: Context, block_time: BlockTime) -> None:
    """Make blocks every so many seconds, "instant" (for each extrinsic), or "manual" (on demand).

        --> devnet_setBlockTime [12]
        <-- null
        --> devnet_setBlockTime ["instant"]
        <-- null

    The runtime's own idea of its block time (`Aura.SlotDuration`) is fixed and does not follow.
    """
    ctx.node.set_schedule(block_time)


async def devnet_increaseTime(ctx: Context, seconds: float) -> int:
    """Let block time jump ahead; by how many ms it is now ahead of the wall clock.

        --> devnet_increaseTime [3600]
        <-- 3600000

    Blocks are not made faster by it, and epochs count blocks.
    """
    _ensure_within("parameter 1 (seconds)", seconds, 0, 10**11)
    return ctx.node.increase_time(round(seconds * 1000))


async def devnet_setNextBlockTimestamp(ctx: Context, timestamp_ms: int) -> None:
    """Date the next block, in ms since 1970, and go on from there.

    --> devnet_setNextBlockTimestamp [1893456000000]
    <-- null
    """
    ctx.node.set_next_timestamp(timestamp_ms)


# Going back, and away


async def devnet_snapshot(ctx: Context) -> int:
    """Remember this point of the chain; the number to revert to.

    --> devnet_snapshot []
    <-- 1
    """
    return ctx.node.snapshot().number


async def devnet_revert(ctx: Context, snapshot: int) -> dict[str, object]:
    """Return to a snapshot: later blocks and snapshots and the pool are gone.

        --> devnet_snapshot []
        <-- 1
        --> devnet_mine [3]
        <-- {"number": 3, "hash": "..."}
        --> devnet_revert [1]
        <-- {"number": 0, "hash": "..."}

    After the answer every WebSocket is closed, since clients remember blocks that are no more:
    connect anew, with a new client object.
    """
    return _point(ctx.node.revert(snapshot))


async def devnet_dumpState(ctx: Context) -> str:
    """The whole chain, past states that were not pruned included: packed, in hex.

        --> devnet_dumpState []
        <-- "..."

    Unpacked with zlib it is the file that `--dump` writes and that `--load` and `--db` read.
    """
    return hexed(zlib.compress(ctx.node.dump()))


async def devnet_loadState(ctx: Context, dump: bytes) -> dict[str, object]:
    """Become the chain of a dump, made by the same version with the same block time.

        --> devnet_dumpState []
        <-- $dump
        --> devnet_mine [3]
        <-- {"number": 3, "hash": "..."}
        --> devnet_loadState [$dump]
        <-- {"number": 0, "hash": "..."}

    What was before is gone, as after a revert: connect anew. A database file follows.
    """
    unpacking = zlib.decompressobj()
    try:
        data = unpacking.decompress(dump, DUMP_BYTES)
    except zlib.error as error:
        raise RpcError(INVALID_PARAMS, f"parameter 1 (dump): {error}") from None
    if not unpacking.eof:
        raise RpcError(INVALID_PARAMS, "parameter 1 (dump): cut short, or too large")
    return _point(ctx.node.load(data))


# Against the rules


async def devnet_setStorage(
    ctx: Context, changes: list[tuple[bytes, bytes | None]]
) -> dict[str, object]:
    """Write raw storage; null deletes a key.

        --> devnet_setStorage [[["0x01", "0xff"], ["0x02", null]]]
        <-- {"number": 1, "hash": "..."}
        --> state_getStorage ["0x01"]
        <-- "0xff"

    Makes a block without extrinsics, whose state has exactly these values: the state under an
    existing block hash never changes. The same is true of the methods below.
    """
    return _point(ctx.node.set_storage(dict(changes)))


async def devnet_setBalance(ctx: Context, account: Account, rao: int) -> dict[str, object]:
    """Give an account this free balance; TAO is made or destroyed for it.

    --> devnet_setBalance ["5C62Ck4UrFPiBtoCmeSrgF7x9yv9mn38446dhCpsi2mLHiFT", 2000000000]
    <-- {"number": 1, "hash": "..."}
    """
    _ensure_within("parameter 2 (rao)", rao, 0, U64_MAX)
    return _point(ctx.node.cheat(SetBalance(account, rao)))


async def devnet_impersonate(
    ctx: Context, account: Account, enabled: bool = True
) -> dict[str, object]:
    """Take extrinsics of an account without its key: their signature is 64 zero bytes.

        ($extrinsic is the account's first, so signed)
        --> devnet_impersonate ["5C62Ck4UrFPiBtoCmeSrgF7x9yv9mn38446dhCpsi2mLHiFT"]
        <-- {"number": 1, "hash": "..."}
        --> devnet_setBalance ["5C62Ck4UrFPiBtoCmeSrgF7x9yv9mn38446dhCpsi2mLHiFT", 2000000000]
        <-- {"number": 2, "hash": "..."}
        --> author_submitExtrinsic [$extrinsic]
        <-- "..."

    A cheat: on no other chain is such an extrinsic valid. It pays its fee and obeys all other
    rules; its nonce, era and call are as ever. The chain remembers who is impersonated, until it
    is told false, over restarts and dumps.
    """
    return _point(ctx.node.cheat(Impersonate(account, enabled)))


async def devnet_revealWeights(
    ctx: Context,
    netuid: int,
    hotkey: Account,
    uids: list[int],
    weights: list[int],
    mecid: int = 0,
) -> dict[str, object]:
    """Open the oldest sealed commit of a hotkey as if these weights (u16) had been in it.

        ($hotkey has committed to weights on subnet 2)
        --> devnet_revealWeights [2, $hotkey, [0], [65535]]
        <-- {"number": "...", "hash": "..."}

    Stands in for the randomness beacon that would open it: without its signature for the round,
    which nobody can make, a sealed commit stays sealed. All checks of a real reveal are made.
    """
    _ensure_within("parameter 1 (netuid)", netuid, 0, 2**16 - 1)
    _ensure_within("parameter 5 (mecid)", mecid, 0, 2**8 - 1)
    for name, values in (("3 (uids)", uids), ("4 (weights)", weights)):
        for value in values:
            _ensure_within(f"parameter {name}", value, 0, 2**16 - 1)
    cheat = RevealWeights(netuid, mecid, hotkey, tuple(uids), tuple(weights))
    return _point(ctx.node.cheat(cheat))


HANDLERS: dict[str, Handler] = {
    "devnet_dumpState": devnet_dumpState,
    "devnet_impersonate": devnet_impersonate,
    "devnet_increaseTime": devnet_increaseTime,
    "devnet_loadState": devnet_loadState,
    "devnet_mine": devnet_mine,
    "devnet_revealWeights": devnet_revealWeights,
    "devnet_revert": devnet_revert,
    "devnet_setBalance": devnet_setBalance,
    "devnet_setBlockTime": devnet_setBlockTime,
    "devnet_setNextBlockTimestamp": devnet_setNextBlockTimestamp,
    "devnet_setStorage": devnet_setStorage,
    "devnet_snapshot": devnet_snapshot,
}
