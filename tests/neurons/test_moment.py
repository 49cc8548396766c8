"""When rounds begin, and when weights may be set."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chain.client.subnet import Schedule
from validators.moment import SETTLE_BLOCKS, next_start
from validators.weights import block_to_set


def at(block: int, *, tempo: int = 100, last: int = 1000, epochs: int = 7) -> Schedule:
    return Schedule(block, tempo, epochs, last, last + tempo if tempo else None)


def test_one_round_an_epoch_begins_when_miners_have_settled() -> None:
    start = 1000 + SETTLE_BLOCKS
    assert next_start(at(1000), rounds_per_epoch=1, done=None) == (start, 0)
    assert next_start(at(start), rounds_per_epoch=1, done=None) == (start, 0)
    assert next_start(at(1050), rounds_per_epoch=1, done=(6, 0)) == (start, 0)


def test_a_part_is_used_once() -> None:
    assert next_start(at(1050), rounds_per_epoch=1, done=(7, 0)) == (1100 + SETTLE_BLOCKS, 0)


def test_parts_divide_the_epoch_and_missed_ones_are_left_out() -> None:
    assert next_start(at(1030), rounds_per_epoch=4, done=(7, 0)) == (1025, 1)
    assert next_start(at(1030), rounds_per_epoch=4, done=(7, 1)) == (1050, 2)
    assert next_start(at(1080), rounds_per_epoch=4, done=(7, 1)) == (1075, 3)
    assert next_start(at(1080), rounds_per_epoch=4, done=(7, 3)) == (1100 + SETTLE_BLOCKS, 0)


def test_a_round_that_ran_into_the_next_epoch_does_not_cost_that_epoch_its_round() -> None:
    assert next_start(at(1130, last=1100, epochs=8), rounds_per_epoch=1, done=(7, 0))[0] <= 1130


def test_a_tempo_of_zero_never_runs_an_epoch() -> None:
    assert next_start(at(1000, tempo=0), rounds_per_epoch=1, done=(7, 0))[0] > 1000


@given(
    tempo=st.integers(1, 400),
    offset=st.integers(0, 400),
    rounds=st.integers(1, 8),
    done=st.none() | st.tuples(st.integers(5, 7), st.integers(0, 7)),
)
def test_rounds_never_repeat_and_always_come(
    tempo: int, offset: int, rounds: int, done: tuple[int, int] | None
) -> None:
    schedule = at(1000 + offset % tempo, tempo=tempo)
    block, part = next_start(schedule, rounds_per_epoch=rounds, done=done)
    assert 0 <= part < rounds
    assert block <= 1000 + tempo + max(SETTLE_BLOCKS, 1)
    if block < 1000 + tempo:
        assert done is None or (7, part) > done


def test_an_epoch_that_is_due_goes_on_until_it_runs() -> None:
    late = at(1105)  # the chain runs few epochs in one block
    assert next_start(late, rounds_per_epoch=1, done=None) == (1000 + SETTLE_BLOCKS, 0)
    block, part = next_start(late, rounds_per_epoch=1, done=(7, 0))
    assert (block, part) == (1106 + SETTLE_BLOCKS, 0)


def test_a_part_after_an_early_end_is_the_next_epochs() -> None:
    early = Schedule(1030, 100, 7, 1000, 1040)
    assert next_start(early, rounds_per_epoch=2, done=(7, 0)) == (1040 + SETTLE_BLOCKS, 0)


def test_a_node_that_is_behind_asks_for_no_second_round() -> None:
    assert next_start(at(1050), rounds_per_epoch=2, done=(8, 0))[0] > 1100


def test_weights_are_due_at_once_or_when_the_limit_has_passed() -> None:
    assert block_to_set(at(1050), last_update=0, rate_limit=100) == 1050
    assert block_to_set(at(1050), last_update=950, rate_limit=100) == 1050
    assert block_to_set(at(1050), last_update=951, rate_limit=100) == 1051
    assert block_to_set(at(1050), last_update=960, rate_limit=0) == 1050


def test_weights_in_the_epoch_s_own_block_would_be_too_late() -> None:
    assert block_to_set(at(1050), last_update=999, rate_limit=100) == 1099
    assert block_to_set(at(1050), last_update=1000, rate_limit=100) is None
    assert block_to_set(at(1050, tempo=0), last_update=0, rate_limit=0) is None
