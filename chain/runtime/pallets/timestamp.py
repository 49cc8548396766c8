"""Timestamp: the inherent that opens every block and says when it is, in milliseconds."""

from __future__ import annotations

from typing import Annotated

from chain.errors import OtherError
from chain.runtime.frame import Ctx, Pallet, ensure_none
from chain.scale import U64, Compact, codec

pallet = Pallet("Timestamp", 2, path="pallet_timestamp")

Now = pallet.value("Now", U64, default=0)
DidUpdate = pallet.value("DidUpdate", bool, default=False)
pallet.constant("MinimumPeriod", U64, 0, "The least time between two blocks, in milliseconds.")


@pallet.call(0, pays=False)
def set(ctx: Ctx, now: Annotated[int, Compact(codec(U64))]) -> None:  # noqa: A001  the chain's name
    """Set the current time. Time only moves forward."""
    # ORIGIN
    ensure_none(ctx)

    # CHECKS
    if now <= Now.get(ctx) and Now.find(ctx) is not None:
        raise OtherError(f"time {now} is not after {Now.get(ctx)}")

    # EFFECTS
    Now.put(ctx, now)
    ctx.block_env.timestamp_ms = now
