"""payment_*: what an extrinsic would cost."""

from __future__ import annotations

from chain.devnet.rpc.errors import CLIENT_ERROR, RpcError
from chain.devnet.rpc.params import Handler, Hash
from chain.devnet.rpc.session import Context
from chain.errors import ScaleError
from chain.scale import Reader

__all__ = ["HANDLERS"]

_CLASSES = ("normal", "operational", "mandatory")


async def payment_queryInfo(
    ctx: Context, extrinsic: bytes, at: Hash | None = None
) -> dict[str, object]:
    """Weight and fee of an extrinsic. Params: ["0x<extrinsic>", "0x<hash>"]."""
    args = extrinsic + len(extrinsic).to_bytes(4, "little")
    try:
        reader = Reader(ctx.node.call("TransactionPaymentApi_query_info", args, at))
        weight = {"ref_time": reader.compact(), "proof_size": reader.compact()}
        kind = _CLASSES[reader.byte()]
        fee = int.from_bytes(reader.take(reader.remaining), "little")  # u64 here, u128 elsewhere
    except ScaleError as error:
        raise RpcError(
            CLIENT_ERROR, f"Client error: Execution failed: bad extrinsic: {error}"
        ) from error
    return {"weight": weight, "class": kind, "partialFee": str(fee)}


HANDLERS: dict[str, Handler] = {"payment_queryInfo": payment_queryInfo}
