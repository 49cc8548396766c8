"""The seed lock inside vLLM: a logits processor for both of its model runners.

Locks every request that carries a lock in its extra arguments (`locked.Lock.arguments`) and leaves
the others alone. Named by `vllm serve --logits-processors`, or found as an entry point; loaded both
ways, it does its work once. Refuses speculative decoding, where a row is not a request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from subnet.engines.locked import Lock, lock_rows

if TYPE_CHECKING:
    import torch

try:
    from vllm.v1.sample.logits_processor import LogitsProcessor as _First
except ImportError:

    class _First:  # type: ignore[no-redef]  # stands in for it
        """Where there is no vLLM there is nothing to be a processor of."""


try:
    from vllm.v1.worker.gpu.sample.logits_processor import LogitsProcessor as _Second
except ImportError:

    class _Second:  # type: ignore[no-redef]  # stands in for it
        """Older vLLM has only one model runner."""


NEUTRAL: Final[dict[str, tuple[Any, ...]]] = {
    "presence_penalty": (0.0,),
    "frequency_penalty": (0.0,),
    "repetition_penalty": (1.0,),
    "min_tokens": (0,),
    "logit_bias": (None, {}),
    "allowed_token_ids": (None, []),
    "bad_words": (None, []),
    "structured_outputs": (None,),
}
"""What else changes what is chosen, and the values of it that do not."""


class SeedLockProcessor(_First, _Second):  # type: ignore[misc]  # vLLM's classes are Any to mypy
    """Leaves each locked request one token to choose from."""

    def __init__(self, vllm_config: Any, state: Any, is_pin_memory: bool | None = None) -> None:
        """`state` is the device of the first model runner, the requests of the second."""
        if vllm_config.speculative_config is not None:
            raise ValueError("the seed lock cannot be kept with speculative decoding: turn it off")
        self._requests = state
        self._locks: dict[int, Lock] = {}
        """By row for the first model runner, by slot for the second."""
        self._answers: dict[int, list[int]] = {}

    @classmethod
    def validate_params(cls, sampling_params: Any) -> None:
        """Raise ValueError, which is a 400, for a lock that cannot be kept."""
        if Lock.from_arguments(sampling_params.extra_args) is None:
            return
        for name, values in NEUTRAL.items():
            value = getattr(sampling_params, name, values[0])
            if value not in values:
                raise ValueError(f"a seed-locked request cannot have {name} {value}")

    def is_argmax_invariant(self) -> bool:
        """No: it decides the argmax."""
        return False

    def update_state(self, batch_update: Any) -> None:
        """Follow requests of the first model runner as they come, go and change rows."""
        if batch_update is None:
            return
        for row in batch_update.removed:
            self._put(row, None, [])
        for row, params, _, answer in batch_update.added:
            self._put(row, Lock.from_arguments(params.extra_args), answer)
        for source, target, direction in batch_update.moved:
            here = self._locks.get(source), self._answers.get(source, [])
            there = self._locks.get(target), self._answers.get(target, [])
            self._put(target, *here)
            self._put(source, *(there if direction.name == "SWAP" else (None, [])))

    def add_request(self, req_idx: int, sampling_params: Any) -> bool:
        """Remember the lock of a request in a slot of the second model runner, if it has one."""
        self._put(req_idx, Lock.from_arguments(sampling_params.extra_args), [])
        return req_idx in self._locks

    def apply(self, logits: torch.Tensor, ctx: Any = None) -> torch.Tensor:
        """Lock the rows of `logits`, (requests, vocabulary), in place; `ctx` is the second's."""
        if ctx is None:
            wanted = [(row, len(self._answers[row]), lock) for row, lock in self._locks.items()]
        else:
            prompts = self._requests.prompt_len.np
            wanted = [
                (row, int(ctx.seq_lens_upper_bound_np[row] - prompts[slot]), self._locks[slot])
                for row, slot in enumerate(ctx.idx_mapping_np.tolist())
                if slot in self._locks
            ]
            # A prompt of which only a part was read chooses nothing yet.
            wanted = [(row, position, lock) for row, position, lock in wanted if position >= 0]
        lock_rows(logits, wanted)
        return logits

    def _put(self, row: int, lock: Lock | None, answer: list[int]) -> None:
        if lock is None:
            self._locks.pop(row, None)
            self._answers.pop(row, None)
        else:
            self._locks[row], self._answers[row] = lock, answer
