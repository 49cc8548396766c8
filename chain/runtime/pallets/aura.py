"""Aura: only what clients read of it, the slot duration and the one authority."""

from __future__ import annotations

from chain.runtime.frame import Pallet
from chain.scale import Codec, FixedBytes, Integer, Newtype, Vector

pallet = Pallet("Aura", 3, path="pallet_aura")

AUTHORITY = Newtype(
    ("sp_consensus_aura", "sr25519", "app_sr25519", "Public"), FixedBytes(32), bytes
)
SLOT = Newtype(("sp_consensus_slots", "Slot"), Integer(64), int)
AUTHORITIES: Codec[list[bytes]] = Vector(AUTHORITY, limit=32)
Authorities = pallet.value("Authorities", AUTHORITIES, default=[])
CurrentSlot = pallet.value("CurrentSlot", SLOT, default=0)
