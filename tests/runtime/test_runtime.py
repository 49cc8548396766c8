"""Blocks, signatures, nonces, fees and verdicts, with extrinsics made by the SDK's core."""

from __future__ import annotations

from typing import Any

import bittensor_core
import pytest

from chain.errors import InvalidTransaction, ScaleError
from chain.runtime import extrinsic as envelope
from chain.runtime.extrinsic import Era
from chain.runtime.frame import Call
from chain.runtime.pallets import balances, payment, system
from chain.runtime.pallets.subtensor import storage as s
from chain.scale import Reader
from chain.types import AccountId, Rao
from tests.runtime.blocks import ALICE, BOB, Chain, account

TAO = 10**9
ZOE = bittensor_core.Keypair.create_from_uri("//Zoe")


def transfer(chain: Chain, value: int = TAO, to: Any = ZOE) -> bytes:
    return chain.call("Balances", "transfer_keep_alive", dest=to.ss58_address, value=value)


def refusal(chain: Chain, raw: bytes) -> InvalidTransaction:
    """The pool's refusal of `raw`, which a block refuses in the same words."""
    with pytest.raises(InvalidTransaction) as caught:
        chain.validate(raw)
    rejected = chain.block(raw).rejected
    assert [str(error) for _, error in rejected] == [str(caught.value)]
    return caught.value


def test_a_transfer_moves_what_it_says_and_charges_the_fee_to_the_sender() -> None:
    chain = Chain.fresh()
    before = {k: balances.free(chain.ctx(), account(k)) for k in (ALICE, BOB)}
    raw = chain.sign(BOB, transfer(chain))
    chain.block(raw)
    (fee,) = [a["actual_fee"] for _, n, a in chain.events() if n == "TransactionFeePaid"]
    assert fee > len(raw)
    after = chain.ctx()
    assert balances.free(after, account(ZOE)) == Rao(TAO)
    assert balances.free(after, account(BOB)) == before[BOB] - Rao(TAO) - Rao(fee)
    assert balances.free(after, account(ALICE)) == before[ALICE] + Rao(fee)
    assert system.Account.get(after, account(BOB)).nonce == 1


def test_receipt_events_come_in_the_chains_order() -> None:
    chain = Chain.fresh()
    chain.block(chain.sign(BOB, transfer(chain)))
    names = [f"{module}.{name}" for module, name, _ in chain.events()]
    assert names[-7:] == [
        "Balances.Withdraw",
        "System.NewAccount",
        "Balances.Endowed",
        "Balances.Transfer",
        "Balances.Deposit",
        "TransactionPayment.TransactionFeePaid",
        "System.ExtrinsicSuccess",
    ]


def test_a_failed_call_keeps_fee_and_nonce_and_nothing_else() -> None:
    chain = Chain.fresh()
    chain.block(chain.sign(BOB, transfer(chain, value=10**16)))
    ctx = chain.ctx()
    names = [name for _, name, _ in chain.events()]
    assert "ExtrinsicFailed" in names and "Transfer" not in names
    assert system.Account.find(ctx, account(ZOE)) is None
    assert system.Account.get(ctx, account(BOB)).nonce == 1


def test_the_same_inputs_make_the_same_block() -> None:
    first, second = Chain.fresh(), Chain.fresh()
    raw = first.sign(BOB, transfer(first))  # sr25519 signatures are not deterministic
    for chain in (first, second):
        for _ in range(3):
            chain.block()
        chain.block(raw)
    assert first.head.hash() == second.head.hash()


# Signatures


def test_an_ed25519_account_signs_too() -> None:
    chain = Chain.fresh()
    key = bittensor_core.Keypair.create_from_uri("//Ed", crypto_type=bittensor_core.CRYPTO_ED25519)
    chain.block(chain.sign(BOB, transfer(chain, 10 * TAO, to=key)))
    built = chain.block(chain.sign(key, transfer(chain)))
    assert not built.rejected
    assert balances.free(chain.ctx(), account(ZOE)) == Rao(TAO)


@pytest.mark.parametrize("position", [4, 20, 40, 70, 110, 120, 150])
def test_a_flipped_bit_is_refused(position: int) -> None:
    chain = Chain.fresh()
    raw = bytearray(chain.sign(BOB, transfer(chain)))
    raw[position % len(raw)] ^= 1
    with pytest.raises((InvalidTransaction, ScaleError)):
        chain.validate(bytes(raw))
    assert chain.block(bytes(raw)).rejected


def test_a_signature_for_another_chain_is_refused() -> None:
    chain = Chain.fresh()
    raw = chain.sign(BOB, transfer(chain), genesis_hash=b"\x07" * 32)
    assert refusal(chain, raw).kind == "BadProof"


def test_a_signature_over_wrapped_bytes_is_refused() -> None:
    chain = Chain.fresh()
    call = transfer(chain)
    payload = chain.core.signature_payload(
        call,
        era="00",
        nonce=0,
        tip=0,
        tip_asset_id=None,
        genesis_hash=chain.genesis_hash,
        era_block_hash=chain.genesis_hash,
    )
    raw, _ = chain.core.encode_signed_extrinsic(
        call,
        public_key=bytes(BOB.public_key),
        signature=bytes(BOB.sign(b"<Bytes>" + payload + b"</Bytes>")),
        signature_version=1,
        era="00",
        nonce=0,
        tip=0,
        tip_asset_id=None,
    )
    assert refusal(chain, raw).kind == "BadProof"


def test_a_long_call_is_signed_by_its_hash() -> None:
    chain = Chain.fresh()
    remark = chain.call("System", "remark_with_event", remark=b"x" * 1_000)
    assert not chain.block(chain.sign(BOB, remark)).rejected


# Eras and nonces


def test_a_mortal_extrinsic_lives_for_its_period() -> None:
    chain = Chain.fresh()
    chain.block()
    born = chain.head
    raw = chain.sign(
        BOB,
        transfer(chain),
        era={"period": 8, "current": born.number},
        era_hash=born.hash(),
    )
    assert chain.validate(raw).longevity == 7
    for _ in range(6):
        chain.block()
    assert not chain.block(raw).rejected


def test_a_mortal_extrinsic_is_dead_after_its_period() -> None:
    chain = Chain.fresh()
    chain.block()
    raw = chain.sign(
        BOB,
        transfer(chain),
        era={"period": 8, "current": 1},
        era_hash=chain.head.hash(),
    )
    for _ in range(8):
        chain.block()
    assert refusal(chain, raw).kind == "BadProof"  # the era now names another block


@pytest.mark.parametrize("period", [4, 8, 64, 128, 4096, 65_536])
@pytest.mark.parametrize("current", [0, 1, 77, 1_000, 70_001])
def test_eras_are_those_of_the_sdk(period: int, current: int) -> None:
    raw = bytes(Chain.fresh().core.encode_era({"period": period, "current": current}))
    era: Era = envelope.ERA.read(Reader(raw))
    assert envelope.ERA.encode(era) == raw
    assert era.period == period
    assert era.birth(current) <= current < era.death(current)
    assert era.birth(current) == bittensor_core.era_birth(period, current)


def test_a_used_nonce_is_stale_and_a_later_one_waits() -> None:
    chain = Chain.fresh()
    first, third = (chain.sign(BOB, transfer(chain), nonce=n) for n in (0, 2))
    verdict = chain.validate(third)
    assert verdict.requires == (account(BOB) + b"\x01\0\0\0",)
    assert verdict.provides == (account(BOB) + b"\x02\0\0\0",)
    assert [str(e) for _, e in chain.block(third).rejected] == ["Future"]
    chain.block(first)
    assert refusal(chain, first).kind == "Stale"


def test_two_extrinsics_of_one_account_fit_one_block_in_order() -> None:
    chain = Chain.fresh()
    chain.block(*(chain.sign(BOB, transfer(chain), nonce=n) for n in (0, 1)))
    assert balances.free(chain.ctx(), account(ZOE)) == Rao(2 * TAO)


# Payment


def test_who_cannot_pay_is_refused() -> None:
    chain = Chain.fresh()
    assert refusal(chain, chain.sign(ZOE, transfer(chain))).kind == "Payment"
    boast = chain.sign(BOB, transfer(chain), tip=2**64 - 1)  # with the fee, more than there can be
    assert refusal(chain, boast).kind == "Payment"


def test_a_hotkeys_call_is_paid_by_the_coldkey_that_owns_it() -> None:
    chain = Chain.fresh()
    ctx = chain.ctx()
    call = Call("SubtensorModule", "serve_axon", {})
    s.Owner.put(ctx, account(ZOE), account(BOB))
    assert payment.payer(ctx, account(ZOE), call) == account(BOB)
    batch = Call("Utility", "batch", {"calls": [call]})
    assert payment.payer(ctx, account(ZOE), batch) == account(BOB)
    assert payment.payer(ctx, account(ZOE), Call("System", "remark", {})) == account(ZOE)


def test_the_fee_that_was_quoted_is_the_fee_that_is_charged() -> None:
    chain = Chain.fresh()
    raw = chain.sign(BOB, transfer(chain))
    quote = chain.engine.call(
        chain.state, "TransactionPaymentApi_query_info", raw + len(raw).to_bytes(4, "little")
    )
    chain.block(raw)
    (fee,) = [a["actual_fee"] for _, n, a in chain.events() if n == "TransactionFeePaid"]
    assert int.from_bytes(quote[-8:], "little") == fee


# Sudo and batches


def test_only_the_sudo_key_calls_as_root() -> None:
    chain = Chain.fresh()
    inner = chain.call("AdminUtils", "sudo_set_admin_freeze_window", window=3)
    sudo = chain.call("Sudo", "sudo", call=inner)
    assert refusal(chain, chain.sign(BOB, sudo)).kind == "BadSigner"
    chain.block(chain.sign(ALICE, sudo))
    assert s.AdminFreezeWindow.get(chain.ctx()) == 3


def test_a_refusal_inside_sudo_is_in_the_event() -> None:
    chain = Chain.fresh()
    inner = chain.call("AdminUtils", "sudo_set_tempo", netuid=77, tempo=3)
    chain.block(chain.sign(ALICE, chain.call("Sudo", "sudo", call=inner)))
    (result,) = [a["sudo_result"] for _, n, a in chain.events() if n == "Sudid"]
    assert "Err" in result


def _batch(chain: Chain, function: str) -> dict[str, int]:
    calls = [transfer(chain), transfer(chain, 10**16), transfer(chain, 2 * TAO)]
    chain.block(chain.sign(BOB, chain.call("Utility", function, calls=calls)))
    names = [name for _, name, _ in chain.events()]
    return {
        "zoe": int(balances.free(chain.ctx(), account(ZOE))),
        "items": names.count("ItemCompleted"),
    }


def test_batch_stops_at_the_first_failure_and_keeps_what_was_done() -> None:
    chain = Chain.fresh()
    assert _batch(chain, "batch") == {"zoe": TAO, "items": 1}
    assert "BatchInterrupted" in [name for _, name, _ in chain.events()]


def test_batch_all_is_all_or_nothing() -> None:
    chain = Chain.fresh()
    assert _batch(chain, "batch_all") == {"zoe": 0, "items": 0}
    assert "ExtrinsicFailed" in [name for _, name, _ in chain.events()]


def test_force_batch_goes_on() -> None:
    chain = Chain.fresh()
    assert _batch(chain, "force_batch") == {"zoe": 3 * TAO, "items": 2}
    assert "BatchCompletedWithErrors" in [name for _, name, _ in chain.events()]


# The shield


def _carrier(chain: Chain, inner: bytes, *, period: int = 8) -> bytes:
    key = chain.core.storage_key("MevShield", "NextKey", [])
    raw = chain.state.values[bytes(key)]
    public = raw[2:]  # the compact length of 1184 bytes takes two
    sealed = bittensor_core.encrypt_mlkem768(public, inner, include_key_hash=True)
    call = chain.call("MevShield", "submit_encrypted", ciphertext=bytes(sealed))
    era = {"period": period, "current": chain.head.number}
    return chain.sign(BOB, call, era=era, era_hash=chain.head.hash())


def test_a_carrier_brings_what_is_inside_into_the_same_block() -> None:
    chain = Chain.fresh()
    inner = chain.sign(BOB, transfer(chain), nonce=1)
    built = chain.block(_carrier(chain, inner))
    assert built.extrinsics[-1] == inner
    assert balances.free(chain.ctx(), account(ZOE)) == Rao(TAO)
    assert system.Account.get(chain.ctx(), account(BOB)).nonce == 2


def test_a_carrier_of_rubbish_is_paid_for_and_carries_nothing() -> None:
    chain = Chain.fresh()
    built = chain.block(_carrier(chain, b"rubbish"))
    assert len(built.extrinsics) == 2
    assert system.Account.get(chain.ctx(), account(BOB)).nonce == 1


def test_a_carrier_must_be_short_lived_and_name_the_key() -> None:
    chain = Chain.fresh()
    inner = chain.sign(BOB, transfer(chain), nonce=1)
    assert refusal(chain, _carrier(chain, inner, period=64)).custom == 23
    call = chain.call("MevShield", "submit_encrypted", ciphertext=b"\0" * 1_200)
    era = {"period": 8, "current": chain.head.number}
    foreign = chain.sign(BOB, call, era=era, era_hash=chain.head.hash())
    assert refusal(chain, foreign).custom == 24


# Bytes that are no extrinsic


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "needs 1 bytes"),
        (b"\x04", "an extrinsic of 1 bytes"),
        (b"\x04\x85", "version byte 0x85"),
        (b"\x0c\x04\x63\x00", "no pallet 99"),
        (b"\x0c\x04\x05\xfe", "Balances has no call 254"),
        (b"\x08\x84\x02", "needs"),
        (b"\x08\x84\x01", "given as Index"),
    ],
)
def test_bytes_that_are_no_extrinsic_are_named(raw: bytes, says: str) -> None:
    with pytest.raises(ScaleError, match=says):
        Chain.fresh().validate(raw)


def test_an_inherent_cannot_be_submitted() -> None:
    chain = Chain.fresh()
    raw = envelope.unsigned(Call("Timestamp", "set", {"now": 5}))
    with pytest.raises(InvalidTransaction, match="BadSigner"):
        chain.validate(raw)
    assert chain.block(raw).rejected


def test_an_account_that_falls_below_the_deposit_ends_but_keeps_its_nonce() -> None:
    chain = Chain.fresh()
    chain.block(chain.sign(BOB, transfer(chain, TAO)))
    everything = chain.call("Balances", "transfer_all", dest=ALICE.ss58_address, keep_alive=False)
    chain.block(chain.sign(ZOE, everything))
    info = system.Account.get(chain.ctx(), AccountId(bytes(ZOE.public_key)))
    assert info.data.free == Rao(0) and info.nonce == 1 and info.providers == 0
