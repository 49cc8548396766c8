"""The one SubtensorModule pallet; the files of this package each declare a part of it."""

from __future__ import annotations

from chain.runtime.frame import Pallet

pallet = Pallet("SubtensorModule", 7, path="pallet_subtensor")
