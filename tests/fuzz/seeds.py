"""Inputs to begin with: values of a chain that was used, and a right request of every method."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from random import Random

from chain.devnet.rpc.methods import METHODS
from chain.runtime.construct import PALLETS
from tests.devnet.signer import Signer
from tests.fuzz.declared import sample
from tests.fuzz.laws import ALICE, HOTKEY, Calls, Chain, Extrinsics, Scale

SAMPLES = 3  # of each type


def used_chain() -> Chain:
    """A chain on which accounts signed some things."""
    chain = Chain()
    signer = Signer(chain.node)
    for name, arguments in (
        ("SubtensorModule.register_network", {"hotkey": HOTKEY.ss58_address}),
        ("SubtensorModule.set_identity", dict.fromkeys(IDENTITY, "text")),
        *Extrinsics.CALLS[:2],
    ):
        chain.keep(chain.build(signer.sign(ALICE, name, **arguments)))
    return chain


IDENTITY = ("name", "url", "github_repo", "image", "discord", "description", "additional")


def values(scale: Scale) -> Iterator[bytes]:
    """For each declared type some values: all that are in the used chain's storage, and samples."""
    places = {codec: place for place, (_, codec) in enumerate(scale.types)}
    chain = used_chain()
    state = chain.store.state(chain.store.head)
    for pallet in PALLETS:
        for item in pallet.storage.values():
            for key in state.keys(item.prefix):
                yield bytes([places[item.value]]) + (state.get(key) or b"")
    rng = Random(0)
    for place, (_, codec) in enumerate(scale.types):
        for _ in range(SAMPLES):
            yield bytes([place]) + sample(codec, rng, Calls.KNOWN)


def requests() -> Iterator[bytes]:
    """A call of every method, with the parameters its documentation shows; and a batch."""
    for method, handler in METHODS.items():
        doc = inspect.getdoc(handler) or ""
        shown = re.findall(r"^ *(?:--> " + method + r" |Params: )(.*?)\.?$", doc, re.MULTILINE)
        for params in [*shown, "[]"]:
            try:
                found = json.loads(params.replace("<hash>", "00" * 32).replace("$", ""))
            except ValueError:
                continue
            request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": found}
            yield json.dumps(request).encode()
    one = {"jsonrpc": "2.0", "id": "a", "method": "system_chain"}
    yield json.dumps([one, {**one, "method": "chain_getHead", "id": None}, 7, {}]).encode()
