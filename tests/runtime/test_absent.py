"""Calls that are here by name only: the pool says what they need, and nothing is ever done."""

from __future__ import annotations

from typing import Any

import bittensor_core
import pytest

from chain.errors import NeedsRealRuntime
from chain.runtime.construct import PALLETS
from chain.runtime.frame import ROOT, Call, dispatch
from chain.runtime.pallets.absent import ABSENT, ensure_here
from chain.runtime.pallets.subtensor.errors import CallDisabled
from tests.runtime.blocks import ALICE, Chain
from tests.runtime.world import World

LOCK = ("SubtensorModule", "set_perpetual_lock", {"netuid": 1, "enabled": True})
HERE = ("System", "remark", {"remark": b"hello"})


@pytest.fixture
def chain() -> Chain:
    return Chain.fresh()


def composed(chain: Chain, call: tuple[str, str, dict[str, Any]]) -> bytes:
    pallet, name, args = call
    return chain.call(pallet, name, **args)


def test_the_pool_names_the_call_and_what_it_needs(chain: Chain) -> None:
    with pytest.raises(NeedsRealRuntime) as refused:
        chain.validate(chain.sign(ALICE, composed(chain, LOCK)))
    assert refused.value.call == "SubtensorModule.set_perpetual_lock"
    assert "real-runtime engine" in str(refused.value)


def test_the_pool_looks_inside_batches_and_root_calls(chain: Chain) -> None:
    inner = composed(chain, LOCK)
    batch = chain.call("Utility", "batch_all", calls=[composed(chain, HERE), inner])
    for outer in (batch, chain.call("Sudo", "sudo", call=batch)):
        with pytest.raises(NeedsRealRuntime, match="set_perpetual_lock"):
            chain.validate(chain.sign(ALICE, outer))
    chain.validate(chain.sign(ALICE, chain.call("Utility", "batch_all", calls=[])))


def test_a_block_leaves_it_out(chain: Chain) -> None:
    raw = chain.sign(ALICE, composed(chain, LOCK))
    built = chain.block(raw)
    ((left_out, error),) = built.rejected
    assert left_out == raw
    assert isinstance(error, NeedsRealRuntime)


def test_it_is_told_before_a_carrier_is_paid_for(chain: Chain) -> None:
    inner = chain.sign(ALICE, composed(chain, LOCK), nonce=1)
    key = chain.state.values[bytes(chain.core.storage_key("MevShield", "NextKey", []))]
    sealed = bittensor_core.encrypt_mlkem768(key[2:], inner, include_key_hash=True)
    carrier = chain.call("MevShield", "submit_encrypted", ciphertext=bytes(sealed))
    era = {"period": 8, "current": 0}
    with pytest.raises(NeedsRealRuntime, match="set_perpetual_lock"):
        chain.validate(chain.sign(ALICE, carrier, era=era))


@pytest.mark.parametrize(("pallet", "name"), sorted(ABSENT))
def test_where_the_pool_cannot_look_it_is_disabled(pallet: str, name: str) -> None:
    ctx = World("owner").ctx.as_origin(ROOT)
    call = Call(pallet, name, {})
    with pytest.raises(NeedsRealRuntime, match=f"{pallet}.{name} needs"):
        ensure_here(call)
    with pytest.raises(CallDisabled):
        dispatch(ctx, call)
    assert ctx.block_env.events == []


def test_the_rest_is_here() -> None:
    for pallet in PALLETS:
        for name in pallet.calls:
            if (pallet.name, name) not in ABSENT:
                ensure_here(Call(pallet.name, name, {}))
