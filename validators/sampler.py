"""Who is asked in a round: everybody who published a miner's axon, except the asker. Seeded.

Having a validator permit is no reason not to be asked: miners earn permits too.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from chain.client.metagraph import Neuron
from subnet.protocol import Target


def sample(neurons: Iterable[Neuron], *, asker: str, seed: bytes) -> tuple[Target, ...]:
    """Everybody to ask, in an order drawn from `seed`: no uid is always first or always last."""
    targets = [
        Target(neuron.uid, neuron.hotkey, neuron.host, neuron.port, neuron.tls_key)
        for neuron in sorted(neurons, key=lambda neuron: neuron.uid)
        if neuron.host is not None and neuron.port is not None
        if neuron.hotkey != asker and not neuron.explains
    ]
    random.Random(seed).shuffle(targets)
    return tuple(targets)
