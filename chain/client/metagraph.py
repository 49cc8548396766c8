"""A frozen view of one subnet at one block, in the chain's own integers.

Made from the runtime's `get_metagraph` record, because the SDK's typed metagraph turns u16 shares
into floats. Memory is keyed by hotkey, order is by uid: a uid is re-used after pruning.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chain.types import Alpha

__all__ = ["EXPLAINS", "Metagraph", "Neuron", "from_record", "tls_key"]


EXPLAINS = 1
"""`placeholder1` of an axon that answers no challenges. The chain gives that field no meaning."""


@dataclass(frozen=True, slots=True)
class Neuron:
    """One seat. `incentive`, `dividends` and `consensus` are u16 shares of the last epoch.

    `stake` decides permits and weights (own alpha plus weighted root stake); `alpha` is what lies
    on the hotkey. `emission` is what the last epoch paid. `host` and `port` are None when the
    neuron has published no axon. `tls_key` is one algorithm byte and the public key it published
    with its axon, None when there is none: then it is asked in the clear. `explains`: it is no
    miner's axon, but that of a validator which tells miners why they got what they got.
    """

    uid: int
    hotkey: str
    coldkey: str
    active: bool
    permit: bool
    stake: Alpha
    alpha: Alpha
    consensus: int
    incentive: int
    dividends: int
    emission: Alpha
    last_update: int
    registered_at: int
    host: str | None
    port: int | None
    tls_key: bytes | None = None
    explains: bool = False


@dataclass(frozen=True, slots=True)
class Metagraph:
    """All seats of `netuid` at `block`; `neurons[i].uid == i`."""

    netuid: int
    block: int
    tempo: int
    last_step: int
    owner_hotkey: str
    owner_coldkey: str
    neurons: tuple[Neuron, ...]

    def find(self, hotkey: str) -> Neuron | None:
        """The seat of `hotkey` (ss58), or None."""
        return next((neuron for neuron in self.neurons if neuron.hotkey == hotkey), None)

    @property
    def owner_uid(self) -> int | None:
        """The seat of the owner's hotkey, if it has one."""
        owner = self.find(self.owner_hotkey)
        return None if owner is None else owner.uid

    @property
    def incentive(self) -> int:
        """Sum of the u16 incentives that are paid; 0 means that the last epoch paid no miner.

        What falls to hotkeys of the owner's coldkey is burned, so it counts for nothing.
        """
        return sum(n.incentive for n in self.neurons if n.coldkey != self.owner_coldkey)


def from_record(
    netuid: int, record: Mapping[str, Any], tls_keys: Mapping[str, bytes] | None = None
) -> Metagraph:
    """The metagraph in a decoded `SubnetInfoRuntimeApi.get_metagraph` record.

    `tls_keys` is what hotkeys (ss58) published, which the record does not hold.
    """
    keys = tls_keys or {}
    hotkeys = [str(hotkey) for hotkey in record["hotkeys"]]

    def column(name: str) -> Sequence[Any]:
        values = list(record.get(name) or ())
        return values + [0] * (len(hotkeys) - len(values))

    coldkeys, active, permits = column("coldkeys"), column("active"), column("validator_permit")
    stake, alpha, emission = column("total_stake"), column("alpha_stake"), column("emission")
    consensus, incentive = column("consensus"), column("incentives")
    dividends, last_update = column("dividends"), column("last_update")
    registered_at = column("block_at_registration")
    axons = [_address(axon) for axon in column("axons")]
    explains = [
        isinstance(axon, Mapping) and axon.get("placeholder1") == EXPLAINS
        for axon in column("axons")
    ]
    return Metagraph(
        netuid=netuid,
        block=int(record["block"]),
        tempo=int(record["tempo"]),
        last_step=int(record["last_step"]),
        owner_hotkey=str(record["owner_hotkey"]),
        owner_coldkey=str(record["owner_coldkey"]),
        neurons=tuple(
            Neuron(
                uid=uid,
                hotkey=hotkey,
                coldkey=str(coldkeys[uid]),
                active=bool(active[uid]),
                permit=bool(permits[uid]),
                stake=Alpha(int(stake[uid])),
                alpha=Alpha(int(alpha[uid])),
                consensus=int(consensus[uid]),
                incentive=int(incentive[uid]),
                dividends=int(dividends[uid]),
                emission=Alpha(int(emission[uid])),
                last_update=int(last_update[uid]),
                registered_at=int(registered_at[uid]),
                host=axons[uid][0],
                port=axons[uid][1],
                # An algorithm without a key: this is how a key is withdrawn.
                tls_key=key if len(key := keys.get(hotkey, b"")) > 1 else None,
                explains=explains[uid],
            )
            for uid, hotkey in enumerate(hotkeys)
        ),
    )


def tls_key(certificate: Any) -> bytes:
    """A decoded `NeuronCertificate` as it was published: the algorithm byte, then the key."""
    key = certificate["public_key"]
    if isinstance(key, str):
        key = bytes.fromhex(key.removeprefix("0x"))
    return bytes([int(certificate["algorithm"])]) + bytes(key)


def _address(axon: Any) -> tuple[str | None, int | None]:
    """Where an AxonInfo record points; an ip of zero is how an axon is withdrawn."""
    if not isinstance(axon, Mapping) or not int(axon.get("ip") or 0):
        return None, None
    ip, port = int(axon["ip"]), int(axon.get("port") or 0)
    if int(axon.get("ip_type") or 4) == 6:
        return str(ipaddress.IPv6Address(ip)), port
    return str(ipaddress.IPv4Address(ip)), port
