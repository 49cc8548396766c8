"""What is sent: calls as values, and the border where floats become u16."""

from __future__ import annotations

import subprocess
import sys

import pytest
from bittensor.intents.weights import normalize
from hypothesis import given
from hypothesis import strategies as st

from chain.client.calls import Call, admin, batch, quantize, transfer

SHARES = st.dictionaries(
    st.integers(0, 65535), st.floats(0, 1e6, allow_nan=False, width=64), min_size=1, max_size=40
)


@given(SHARES.filter(lambda weights: max(weights.values()) > 0))
def test_quantize_is_what_the_sdk_sends(weights: dict[int, float]) -> None:
    uids = sorted(weights)
    sent = normalize(uids, [weights[uid] for uid in uids])
    assert quantize(weights) == dict(zip(*sent, strict=True))
    assert list(quantize(weights)) == sent[0]


@given(SHARES.filter(lambda weights: max(weights.values()) > 0))
def test_what_was_quantized_stays_as_it_is(weights: dict[int, float]) -> None:
    row = quantize(weights)
    assert quantize({uid: float(value) for uid, value in row.items()}) == row


@pytest.mark.parametrize(
    ("weights", "problem"),
    [
        ({}, "nothing to set"),
        ({1: 0.0, 2: 0.0}, "nothing to set"),
        ({1: -0.5}, "not negative"),
        ({1: float("nan")}, "finite"),
        ({1: float("inf")}, "finite"),
        ({70000: 1.0}, "outside"),
    ],
)
def test_weights_that_are_no_weights(weights: dict[int, float], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        quantize(weights)


def test_a_call_reads_like_what_it_does() -> None:
    assert str(admin("sudo_set_tempo", netuid=2, tempo=90)) == (
        "Sudo.sudo(AdminUtils.sudo_set_tempo(netuid=2, tempo=90))"
    )
    gift = transfer("5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY", 7)
    assert str(gift) == "Balances.transfer_keep_alive(dest=5GrwvaEF…, value=7)"
    assert str(batch([gift, gift])) == "Utility.batch_all(calls=[2 calls])"
    assert Call("A", "b", {}) == Call("A", "b", {})


def test_importing_the_client_does_not_import_the_sdk() -> None:
    script = "import sys, chain.client; sys.exit('bittensor' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
