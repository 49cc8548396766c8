"""The order at the door, and the traps of this layer with the tests that walk into each."""

from __future__ import annotations

import ast
from collections.abc import Collection
from pathlib import Path

import pytest

from subnet.wire import auth
from subnet.wire.auth import Caller
from subnet.wire.limits import Limits
from tests.wire.world import (
    ED_VALIDATOR,
    MINER,
    NOW,
    SECOND,
    STRANGER,
    VALIDATOR,
    Echo,
    FakeClock,
    Heard,
    Question,
    Served,
    request_bytes,
    send_raw,
    serving,
    signed,
)

TESTS = Path(__file__).parents[1]

FAULTS = {
    "head_too_large": 431,
    "body_too_large": 413,
    "encoded_body": 415,
    "not_found": 404,
    "method_not_allowed": 405,
    "wrong_content_type": 415,
    "malformed_auth": 401,
    "wrong_receiver": 401,
    "stale": 401,
    "not_registered": 403,
    "bad_signature": 401,
    "replayed": 401,
    "caller_rate_limited": 429,
    "malformed_message": 400,
}
"""What can be wrong with a request, in the order of finding it out, and the status it gets."""
UNVERIFIED = list(FAULTS).index("bad_signature")
UNSIGNED = list(FAULTS).index("caller_rate_limited")


def faulty(faults: Collection[str]) -> bytes:
    """A request with these faults and no other."""
    body = b'{"wrong":1}' if "malformed_message" in faults else b'{"text":"hi"}'
    target = "/nothing" if "not_found" in faults else "/echo"
    nonce = NOW + (1 if "replayed" in faults else 2)
    known = {"replayed", "caller_rate_limited"} & set(faults)
    keypair = VALIDATOR if known else ED_VALIDATOR
    if "not_registered" in faults:
        keypair = STRANGER
    lines = signed(
        body,
        target=target,
        nonce=NOW - 60 * SECOND if "stale" in faults else nonce,
        keypair=keypair,
        receiver=(STRANGER if "wrong_receiver" in faults else MINER).ss58_address,
    )
    if "malformed_auth" in faults:
        lines.append((auth.NONCE, "1"))
    if "wrong_content_type" in faults:
        lines.append(("Content-Type", "text/plain"))
    if "encoded_body" in faults:
        lines.append(("Content-Encoding", "gzip"))
    if "head_too_large" in faults:
        lines += [(f"X-Padding-{index}", "a" * 5000) for index in range(4)]
    if "bad_signature" in faults:
        body += b" "
    method = "GET" if "method_not_allowed" in faults else "POST"
    data = request_bytes(lines, body, method=method, target=target)
    if "body_too_large" in faults:
        data = data.replace(b"Content-Length: %d" % len(body), b"Content-Length: 2000000")
    return data


async def test_what_is_cheap_to_find_out_is_found_out_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Requests that are wrong in everything from one check on: that check answers, and no other.

    Nothing that an earlier check can refuse costs a verification, and nothing before the caller
    is proven is signed.
    """
    verified = handled = 0
    is_signed_by = auth.is_signed_by

    def count(public_key: bytes, scheme: str, message: bytes, signature: bytes) -> bool:
        nonlocal verified
        verified += 1
        return is_signed_by(public_key, scheme, message, signature)

    async def handle(question: Question, caller: Caller) -> Echo:
        nonlocal handled
        handled += 1
        return Echo(text="")

    async def ask(served: Served, faults: Collection[str]) -> Heard:
        return await send_raw(served, faulty(faults))

    monkeypatch.setattr(auth, "is_signed_by", count)
    limits = Limits(hotkey_rate=0.001, hotkey_burst=1, linger_s=0.05)
    async with serving(handle, clock=FakeClock(), limits=limits) as served:
        assert (await ask(served, {"replayed"})).status == 200  # not yet
        assert (verified, handled) == (1, 1)
        names = list(FAULTS)
        for index, name in enumerate(names):
            verified = 0
            heard = await ask(served, names[index:])
            assert (heard.error, heard.status) == (name, FAULTS[name])
            assert verified == (0 if index < UNVERIFIED else 1), name
            assert heard.is_signed == (index >= UNSIGNED), name
        assert handled == 1


TRAPS: dict[str, list[str]] = {
    "1 replay across processes or hosts": [
        "wire/test_shared.py",
        "wire/test_axon.py::test_the_replayer_across_a_restart_is_refused",
    ],
    "2 hashing a re-serialised body": [
        "wire/test_axon.py::test_the_one_who_writes_the_same_json_otherwise_is_refused",
        "wire/test_axon.py::test_a_chunked_body_is_signed_whole",
    ],
    "3 decoded path as the signed target": [
        "wire/test_axon.py::test_the_tamperer_is_refused",
        "wire/test_axon.py::test_the_target_is_signed_as_it_travels",
        "wire/test_dendrite.py::test_the_target_travels_as_it_is_signed",
    ],
    "4 clock drift and clock steps": [
        "wire/test_axon.py::test_the_late_one_is_refused_and_told_the_time",
        "wire/test_axon.py::test_the_one_from_the_future_is_refused_and_told_the_time",
        "wire/test_axon.py::test_the_replayer_who_waits_for_the_clock_to_be_set_back_is_refused",
        "wire/test_clock.py::test_the_liars_in_the_minority_do_not_move_the_clock",
        "wire/test_clock.py::test_the_liar_about_the_time_gets_no_signature_for_a_time_to_come",
    ],
    "5 unbound receiver": [
        "wire/test_axon.py::test_the_one_who_names_no_receiver_is_refused",
        "wire/test_axon.py::test_the_relay_to_another_miner_is_refused",
    ],
    "6 a transport that retries a signed request": [
        "wire/test_dendrite.py::test_the_miner_that_hangs_up_is_not_asked_again",
        "wire/test_fairness.py::test_a_question_is_sent_once_unless_it_may_be_answered_twice",
    ],
    "7 authenticated is not authorised": [
        "wire/test_axon.py::test_a_caller_without_a_seat_is_refused_unsigned",
        "wire/test_axon.py::test_a_validator_without_permit_is_refused",
        "wire/test_axon.py::test_a_validator_below_the_stake_is_refused",
    ],
    "8 floods, oversize, slow clients": [
        "wire/test_axon.py::test_the_one_who_opens_many_connections_is_turned_away",
        "wire/test_axon.py::test_the_one_who_asks_too_often_from_one_address_is_turned_away",
        "wire/test_axon.py::"
        "test_the_one_with_a_64_kib_hotkey_is_refused_before_anything_is_decoded",
        "wire/test_axon.py::test_the_one_who_drips_the_head_gets_no_more_time_for_each_drop",
        "wire/test_axon.py::test_the_one_with_a_slow_body_is_cut_off",
        "wire/test_axon.py::test_the_one_address_that_fills_the_memory_leaves_room_for_others",
        "wire/test_axon.py::test_the_one_who_never_reads_its_answer_is_cut_off",
        "wire/test_axon.py::test_the_one_who_pipelines_and_never_reads_is_cut_off",
        "wire/test_waiting.py::test_the_whale_that_sends_many_cannot_fill_the_room",
        "wire/test_stream.py::test_the_one_who_never_reads_its_stream_is_cut_off",
    ],
    "9 unsigned answers": [
        "wire/test_dendrite.py::test_the_unsigned_miner_is_not_believed",
        "wire/test_dendrite.py::test_the_miner_that_replays_an_old_answer_is_not_believed",
        "wire/test_stream.py::test_the_one_on_the_path_who_cuts_a_stream_short_is_not_believed",
    ],
    "10 redirects and private addresses": [
        "wire/test_dendrite.py::test_the_redirecting_miner_leads_nowhere",
        "wire/test_dendrite.py::test_the_miner_that_publishes_a_private_address_is_not_dialled",
        "wire/test_dendrite.py::test_the_miner_that_publishes_no_address_is_not_dialled",
    ],
    "11 wrapped signatures": [
        "wire/test_axon.py::test_the_one_with_a_wallets_text_signature_is_refused",
    ],
    "12 weak keys": [
        "wire/test_axon.py::test_the_holder_of_a_weak_key_is_refused",
        "wire/test_auth.py::test_the_holder_of_a_weak_ed25519_key_is_refused",
        "wire/test_auth.py::test_the_zero_account_is_refused",
    ],
    "13 nonces that must grow": [
        "wire/test_axon.py::test_requests_that_overtake_each_other_are_all_served",
    ],
    "14 two requests in the same nanosecond": [
        "wire/test_clock.py::test_two_questions_in_the_same_nanosecond_have_two_nonces",
    ],
    "15 coldkey on the server": [
        "neurons/test_settings.py::test_a_bare_coldkey_stops_a_public_neuron_and_warns_a_local_one",
        "neurons/test_miner_process.py::"
        "test_the_coldkey_on_the_server_is_refused_before_anything_is_dialled",
    ],
    "16 error text that leaks internals": [
        "wire/test_axon.py::test_a_handler_that_raises_leaks_nothing",
        "wire/test_codec.py::test_the_one_who_hopes_for_an_echo_gets_neither_values_nor_pages",
    ],
    "17 a handler that blocks the event loop": [
        "wire/test_axon.py::test_the_handler_that_blocks_holds_nobody_else_up",
        "wire/test_forms.py::test_large_bodies_are_hashed_outside_the_loop",
    ],
    "18 latency measured in a busy loop": [
        "wire/test_fairness.py::test_the_busy_validator_measures_as_the_idle_one_does",
        "wire/test_fairness.py::test_the_miner_that_answers_while_we_are_busy_is_not_too_late",
        "wire/test_fairness.py::test_the_miner_that_hangs_up_to_think_longer_gains_nothing",
    ],
    "19 one client per request": [
        "wire/test_fairness.py::test_connections_are_kept_and_dropped_when_nobody_asks",
    ],
    "20 ambiguous framing": [
        "wire/test_axon.py::test_the_smuggler_is_refused",
    ],
}


@pytest.mark.parametrize("trap", TRAPS)
def test_every_trap_has_its_tests(trap: str) -> None:
    for name in TRAPS[trap]:
        path, _, function = name.partition("::")
        tree = ast.parse((TESTS / path).read_text())
        names = {
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert function in names if function else names, name
