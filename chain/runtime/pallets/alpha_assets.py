"""AlphaAssets: what became of alpha that no longer belongs to anyone, subnet by subnet.

Burned alpha stays in `SubnetAlphaOut`, so that the issuance curve does not speed up; recycled
alpha leaves it. `TotalAlphaIssuance` of the later runtime is left out: it is `SubnetAlphaIn` plus
`SubnetAlphaOut`, and nothing here needs it twice.
"""

from __future__ import annotations

from chain.runtime.frame import Ctx, Pallet
from chain.types import Alpha, NetUid

pallet = Pallet("AlphaAssets", 31, path="pallet_alpha_assets")

AlphaBurned = pallet.map("AlphaBurned", NetUid, Alpha, default=Alpha(0))
AlphaRecycled = pallet.map("AlphaRecycled", NetUid, Alpha, default=Alpha(0))


def count_burned(ctx: Ctx, netuid: NetUid, alpha: Alpha) -> None:
    """`alpha` has no owner any more and stays in the issuance."""
    if alpha:
        AlphaBurned.put(ctx, netuid, AlphaBurned.get(ctx, netuid).saturating_add(alpha))


def count_recycled(ctx: Ctx, netuid: NetUid, alpha: Alpha) -> None:
    """`alpha` has left the issuance and may be emitted again."""
    if alpha:
        AlphaRecycled.put(ctx, netuid, AlphaRecycled.get(ctx, netuid).saturating_add(alpha))
