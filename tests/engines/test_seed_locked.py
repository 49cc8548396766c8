"""The seed lock on logits: one answer, whichever library samples; and in vLLM's batches."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from scoring.verify import seedlock
from subnet.engines.locked import Lock, lock_rows

torch = pytest.importorskip("torch", reason="the torch extra is not installed")

LOCK = Lock(b"seed", b"\x07" * 32, 0.8)


def prescribed(logits: Any, position: int, lock: Lock) -> int:
    """From all logits of one row."""
    values = logits.double().numpy()
    return seedlock.choose(
        np.arange(values.size),
        values,
        lock.seed,
        lock.hotkey,
        position,
        lock.temperature,
        top_p=lock.top_p,
        top_k=lock.top_k,
    )


def only(row: Any) -> int:
    """The one token that a locked row leaves."""
    (token,) = torch.isfinite(row).nonzero().flatten().tolist()
    return int(token)


def random_locks(count: int) -> list[Lock]:
    source = random.Random(count)
    return [
        Lock(
            source.randbytes(16),
            source.randbytes(32),
            source.choice((0.3, 0.8, 2.0)),
            source.choice((1.0, 0.9, 0.4)),
            source.choice((64, 64, 5, 1)),
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("vocabulary", [1, 40, 64, 65, 3000])
def test_a_locked_row_leaves_what_the_protocol_prescribes(dtype: str, vocabulary: int) -> None:
    """Low precision makes ties, at the 64th place too."""
    torch.manual_seed(vocabulary)
    locks = random_locks(40)
    logits = (3 * torch.randn(len(locks), vocabulary)).to(getattr(torch, dtype))
    before = logits.clone()
    lock_rows(logits, [(row, 7 * row, lock) for row, lock in enumerate(locks) if row % 4])
    for row, lock in enumerate(locks):
        if row % 4:
            assert only(logits[row]) == prescribed(before[row].float(), 7 * row, lock)
        else:
            assert torch.equal(logits[row], before[row])


def test_among_equals_the_lower_ids_are_candidates() -> None:
    torch.manual_seed(1)
    logits = torch.randint(0, 2, (1, 1000)).float()  # of which torch's topk takes any
    for position in range(20):
        row = logits.clone()
        lock_rows(row, [(0, position, LOCK)])
        assert only(row[0]) == prescribed(logits[0], position, LOCK)


def test_locking_twice_is_locking_once() -> None:
    logits = torch.randn(1, 500)
    lock_rows(logits, [(0, 3, LOCK)])
    once = logits.clone()
    lock_rows(logits, [(0, 3, LOCK)])
    assert torch.equal(logits, once)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_row_that_is_no_distribution_stays_as_it_is(value: float) -> None:
    logits = torch.randn(2, 100)
    logits[0] = value
    fine = logits[1].clone()
    lock_rows(logits, [(0, 3, LOCK), (1, 3, LOCK)])
    assert torch.isfinite(logits[0]).sum() == 0
    assert only(logits[1]) == prescribed(fine, 3, LOCK)


def test_a_lock_survives_the_way_to_a_server_and_back() -> None:
    for lock in random_locks(20):
        assert Lock.from_arguments({"session": 1, **lock.arguments()}) == lock
    assert Lock.from_arguments(None) is Lock.from_arguments({"other": 1}) is None
    bare = {
        name: LOCK.arguments()[f"seedlock_{name}"] for name in ("seed", "hotkey", "temperature")
    }
    assert Lock.from_arguments({f"seedlock_{name}": value for name, value in bare.items()}) == LOCK


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"seed": None}, "malformed"),
        ({"seed": "0g"}, "non-hexadecimal"),
        ({"seed": ""}, "has a seed"),
        ({"seed": 12}, "malformed"),
        ({"hotkey": ""}, "has a seed"),
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": math.nan}, "temperature"),
        ({"temperature": "hot"}, "float"),
        ({"temperature": [1]}, "malformed"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.1}, "top_p"),
        ({"top_k": 0}, "top_k"),
        ({"top_k": 65}, "top_k"),
        ({"top_k": 2.5}, "whole"),
        ({"top_k": math.inf}, "malformed"),
        ({"top_q": 1}, "top_q is not"),
    ],
)
def test_a_malformed_lock_is_a_value_error(change: dict[str, Any], problem: str) -> None:
    given = LOCK.arguments() | {f"seedlock_{name}": value for name, value in change.items()}
    with pytest.raises(ValueError, match=problem):
        Lock.from_arguments(given)


@pytest.mark.parametrize("missing", ["seed", "hotkey", "temperature"])
def test_half_a_lock_is_a_value_error(missing: str) -> None:
    given = LOCK.arguments()
    del given[f"seedlock_{missing}"]
    with pytest.raises(ValueError, match=missing):
        Lock.from_arguments(given)


def processor(state: object = "cpu", speculative: object = None) -> Any:
    from subnet.engines.vllm_seedlock import SeedLockProcessor

    return SeedLockProcessor(SimpleNamespace(speculative_config=speculative), state, False)


def params(lock: Lock | None, **changes: Any) -> SimpleNamespace:
    neutral: dict[str, Any] = {"presence_penalty": 0.0, "repetition_penalty": 1.0, "min_tokens": 0}
    arguments = None if lock is None else lock.arguments()
    return SimpleNamespace(extra_args=arguments, **(neutral | changes))


class Rows:
    """What vLLM's first model runner does with its batch, and what should come of it."""

    def __init__(self) -> None:
        self.processor = processor()
        self.rows: list[tuple[Lock | None, list[int]] | None] = []

    def update(self, **changes: Any) -> None:
        none: dict[str, Any] = {"removed": [], "added": [], "moved": []}
        self.processor.update_state(SimpleNamespace(batch_size=len(self.rows), **(none | changes)))

    def step(self) -> None:
        logits = torch.randn(len(self.rows), 200)
        before = logits.clone()
        self.processor.apply(logits)
        for at, here in enumerate(self.rows):
            assert here is not None
            lock, answer = here
            if lock is None:
                assert torch.equal(logits[at], before[at])
            else:
                assert only(logits[at]) == prescribed(before[at], len(answer), lock)
            answer.append(int(logits[at].argmax()))


def test_a_lock_stays_with_its_request_through_a_batch() -> None:
    """Requests come, go, swap rows and fill gaps, as `BatchUpdate` tells it."""
    source = random.Random(2)
    batch, locks = Rows(), random_locks(300)
    swap, one_way = SimpleNamespace(name="SWAP"), SimpleNamespace(name="UNIDIRECTIONAL")
    for turn in range(200):
        removed, added, moved = [], [], []
        if batch.rows and source.random() < 0.3:
            removed.append(source.randrange(len(batch.rows)))
            batch.rows[removed[0]] = None
        if source.random() < 0.5 or not any(batch.rows):
            lock = None if turn % 3 == 0 else locks[turn]
            answer = list(range(source.choice((0, 0, 5))))  # some come back in the middle
            row = removed.pop() if removed else len(batch.rows)
            if row == len(batch.rows):
                batch.rows.append(None)
            batch.rows[row] = (lock, answer)
            added.append((row, params(lock), [1, 2, 3], answer))
        last = len(batch.rows) - 1
        for row in removed:  # the last request takes the empty row
            if row != last:
                moved.append((last, row, one_way))
                batch.rows[row] = batch.rows[last]
            batch.rows.pop()
        if len(batch.rows) > 1 and source.random() < 0.3:
            one, other = source.sample(range(len(batch.rows)), 2)
            moved.append((one, other, swap))
            batch.rows[one], batch.rows[other] = batch.rows[other], batch.rows[one]
        batch.update(removed=removed, added=added, moved=moved)
        batch.processor.update_state(None)
        batch.step()
    assert not batch.processor.is_argmax_invariant()


def test_the_second_model_runner_keeps_locks_by_slot() -> None:
    """Rows come in any order; a slot that is used again has forgotten its lock."""
    prompts = np.array([4, 7, 2, 9])
    found = processor(SimpleNamespace(prompt_len=SimpleNamespace(np=prompts)))
    locks = random_locks(3)
    assert [found.add_request(slot, params(lock)) for slot, lock in enumerate(locks)] == [True] * 3
    assert not found.add_request(3, params(None))
    assert not found.add_request(1, params(None))
    slots = np.array([2, 3, 0, 1])
    for made in range(3):
        context = SimpleNamespace(
            idx_mapping_np=slots, seq_lens_upper_bound_np=prompts[slots] + made
        )
        logits = torch.randn(4, 200)
        before = logits.clone()
        found.apply(logits, context)
        for row, slot in enumerate(slots.tolist()):
            if slot in (0, 2):
                assert only(logits[row]) == prescribed(before[row], made, locks[slot])
            else:
                assert torch.equal(logits[row], before[row])


def test_what_cannot_be_locked_is_refused() -> None:
    with pytest.raises(ValueError, match="speculative"):
        processor(speculative=object())
    check = processor().validate_params
    check(params(LOCK))
    check(params(None, repetition_penalty=1.1))  # not ours
    for changes in ({"repetition_penalty": 1.1}, {"min_tokens": 4}, {"logit_bias": {5: 1.0}}):
        with pytest.raises(ValueError, match=next(iter(changes))):
            check(params(LOCK, **changes))
    with pytest.raises(ValueError, match="hotkey"):
        check(SimpleNamespace(extra_args={"seedlock_seed": "00"}))


def test_the_processor_needs_nothing_of_ours_but_arithmetic() -> None:
    """A server's environment has numpy, torch and vLLM, and none of our dependencies."""
    code = "import sys, subnet.engines.vllm_seedlock, subnet.engines.transformers_seedlock; "
    code += "print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    foreign = {
        "aiohttp",
        "bittensor",
        "bittensor_core",
        "pydantic",
        "torch",
        "transformers",
        "vllm",
    }
    assert not foreign & set(done.stdout.split())


def test_transformers_decodes_what_the_lock_prescribes(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="the torch extra is not installed")
    from subnet.engines.transformers_seedlock import SeedLockProcessor

    torch.manual_seed(3)
    config = transformers.LlamaConfig(
        vocab_size=300,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        initializer_range=0.3,
        eos_token_id=299,
        pad_token_id=299,
    )
    model = transformers.LlamaForCausalLM(config).eval()
    prompt = torch.randint(0, 299, (3, 6))
    locks = [*random_locks(2), None]
    made = model.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        do_sample=False,
        max_new_tokens=40,
        logits_processor=[SeedLockProcessor(locks, prompt.shape[1])],
    )
    with torch.no_grad():
        logits = model(made).logits
    for row, lock in enumerate(locks):
        answer = made[row, 6:].tolist()
        answer = answer[: answer.index(299) + 1] if 299 in answer else answer
        for at, token in enumerate(answer):
            seen = logits[row, 5 + at]
            assert token == (int(seen.argmax()) if lock is None else prescribed(seen, at, lock))
    with pytest.raises(ValueError, match="1 locks for 3 rows"):
        SeedLockProcessor([LOCK], 6)(prompt, torch.zeros(3, 300))
