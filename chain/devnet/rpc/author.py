"""author_*: handing extrinsics in and following them."""

from __future__ import annotations

from chain.devnet.pool import Status
from chain.devnet.rpc.errors import explain_submission
from chain.devnet.rpc.params import Handler, hexed
from chain.devnet.rpc.session import Context, unsubscribe
from chain.errors import ChainError

__all__ = ["HANDLERS"]


async def author_submitExtrinsic(ctx: Context, extrinsic: bytes) -> str:
    """Put a signed extrinsic into the pool; its hash. Params: ["0x<extrinsic>"]."""
    try:
        return hexed(ctx.node.submit(extrinsic))
    except ChainError as error:
        raise explain_submission(error) from error


async def author_submitAndWatchExtrinsic(ctx: Context, extrinsic: bytes) -> str:
    """The same, and `author_extrinsicUpdate` for each thing that becomes of it.

    Params: ["0x<extrinsic>"]. Updates: "ready", "future", {"inBlock": hash}, {"finalized": hash},
    {"usurped": hash}, "dropped", "invalid".
    """
    subscription = ctx.subscribe("author_extrinsicUpdate")

    def tell(status: Status) -> None:
        subscription.send(status.name if status.of is None else {status.name: hexed(status.of)})
        if status.final:
            subscription.close()

    try:
        cancel = ctx.node.submit_and_watch(extrinsic, tell)
    except ChainError as error:
        subscription.close()
        raise explain_submission(error) from error
    except BaseException:
        subscription.close()
        raise
    subscription.on_close(cancel)
    return subscription.id


async def author_pendingExtrinsics(ctx: Context) -> list[str]:
    """The extrinsics that are ready for a block. Params: []."""
    return [hexed(extrinsic) for extrinsic in ctx.node.pool.pending()]


HANDLERS: dict[str, Handler] = {
    "author_pendingExtrinsics": author_pendingExtrinsics,
    "author_submitAndWatchExtrinsic": author_submitAndWatchExtrinsic,
    "author_submitExtrinsic": author_submitExtrinsic,
    "author_unwatchExtrinsic": unsubscribe,
}
