"""The torch engine: what every engine does, on a tiny model; and what only this one does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import shutil
import threading
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray

from scoring.verify import seedlock
from subnet.engines.base import TOP, Params, SeedLock
from subnet.engines.batch import PREFILL
from subnet.engines.llamacpp import LlamaEngine
from subnet.engines.models import SMOLLM2_135M, get_model, write_sums
from subnet.engines.torch_engine import Precision, TransformersEngine
from subnet.errors import EngineAway, EngineRefused, MissingExtra, ModelMismatch
from tests.engines.suite import EngineSuite, Subject, answer, ids, regret
from tests.engines.tiny import CONTEXT, VOCABULARY, tiny_model
from tests.patience import until

torch = pytest.importorskip("torch", reason="the torch extra is not installed")
transformers = pytest.importorskip("transformers", reason="the torch extra is not installed")


Opened: TypeAlias = AbstractAsyncContextManager[Subject]
Floats: TypeAlias = NDArray[np.float64]


@contextlib.asynccontextmanager
async def opened(
    path: Path,
    sha256: str,
    *,
    vocabulary: int = VOCABULARY,
    device: str = "cpu",
    dtype: Precision = "float32",
    tolerance: float = 1e-4,
    slots: int = 8,
    waiting_limit: int = 32,
    step_timeout_s: float = 60,
) -> AsyncIterator[Subject]:
    async with TransformersEngine.open(
        path,
        sha256=sha256,
        device=device,
        dtype=dtype,
        context=CONTEXT,
        slots=slots,
        waiting_limit=waiting_limit,
        step_timeout_s=step_timeout_s,
    ) as engine:

        async def kill() -> None:
            def fail(*_: object) -> None:
                raise RuntimeError("CUDA error: device-side assert triggered")

            rows: Any = engine._batch._model
            rows._model.register_forward_pre_hook(fail)

        yield Subject(
            engine,
            vocabulary=vocabulary,
            context=CONTEXT,
            places=slots + waiting_limit,
            kill=kill,
            tolerance=tolerance,
            activates=True,
        )


def smol(small: bool, device: str, dtype: Precision, tolerance: float) -> Opened:
    """Open SmolLM2, whose GGUF torch computes in another precision than llama.cpp does."""
    return opened(
        get_model(SMOLLM2_135M.sha256),
        SMOLLM2_135M.sha256,
        vocabulary=49152,
        device=device,
        dtype=dtype,
        tolerance=tolerance,
        slots=2 if small else 8,
        waiting_limit=1 if small else 32,
    )


class TestTiny(EngineSuite):
    """The whole suite on random weights in float32, on the CPU."""

    @staticmethod
    def open(small: bool = False) -> Opened:
        """Open it with room for few, or for all that the suite asks at once."""
        if small:
            return opened(*tiny_model(), slots=2, waiting_limit=1)
        return opened(*tiny_model())


class TestTinyHalf(EngineSuite):
    """The same in bfloat16, where many log-probabilities are alike."""

    @staticmethod
    def open(small: bool = False) -> Opened:
        """Open it with room for few, or for all that the suite asks at once."""
        slots, waiting_limit = (2, 1) if small else (8, 32)
        return opened(
            *tiny_model(),
            dtype="bfloat16",
            tolerance=0.2,
            slots=slots,
            waiting_limit=waiting_limit,
        )


@pytest.mark.slow
@pytest.mark.model
class TestSmol(EngineSuite):
    """The whole suite on SmolLM2 in float32, on the CPU."""

    @staticmethod
    def open(small: bool = False) -> Opened:
        """Open it with room for few, or for all that the suite asks at once."""
        return smol(small, "cpu", "float32", 1e-3)


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
class TestSmolOnGpu(EngineSuite):
    """The whole suite on SmolLM2 in bfloat16, on the first GPU."""

    @staticmethod
    def open(small: bool = False) -> Opened:
        """Open it with room for few, or for all that the suite asks at once."""
        return smol(small, "cuda", "bfloat16", 0.3)


def reference(path: Path, tokens: list[int]) -> tuple[Floats, Floats]:
    """Return what transformers itself says: log-probabilities (n, v) and the last layer (n, d)."""
    model = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    with torch.inference_mode():
        seen = model(torch.tensor([tokens]), output_hidden_states=True)
        return (
            seen.logits[0].double().log_softmax(-1).numpy(),
            seen.hidden_states[-1][0].numpy(),
        )


async def test_it_sees_what_the_bare_library_sees() -> None:
    """Also of a prompt that is read in parts, and in the company of others."""
    path, sha256 = tiny_model()
    rng = np.random.default_rng(0)
    texts = [rng.integers(2, VOCABULARY, size).tolist() for size in (5, 40, 300, 500)]
    splits = [2, 30, 10, 490]
    assert len(texts[-1]) > PREFILL
    async with opened(path, sha256) as subject:
        pairs = [(text[:at], text[at:]) for text, at in zip(texts, splits, strict=True)]
        scored, active = await asyncio.gather(
            asyncio.gather(*(subject.engine.score(*pair) for pair in pairs)),
            asyncio.gather(*(subject.engine.activations(*pair) for pair in pairs)),
        )
    for text, at, steps, layer in zip(texts, splits, scored, active, strict=True):
        logprobs, hidden = reference(path, text)
        seen = logprobs[at - 1 : -1]
        for row, token, step in zip(seen, text[at:], steps, strict=True):
            assert step.token == token
            assert step.logprob == pytest.approx(row[token], abs=1e-4)
            assert step.top_logprobs == pytest.approx(np.sort(row)[::-1][:TOP], abs=1e-4)
            assert row[step.top_ids] == pytest.approx(step.top_logprobs, abs=1e-4)
        assert layer == pytest.approx(hidden[at - 1 : -1], rel=2**-7, abs=1e-3)


async def test_answers_join_and_leave_in_any_order() -> None:
    """Rows are packed while others are read and answered: nobody gets another's cache."""
    rng = np.random.default_rng(1)
    async with opened(*tiny_model(), slots=4, waiting_limit=100) as subject:
        prompts = [rng.integers(2, VOCABULARY, size).tolist() for size in rng.integers(1, 300, 12)]
        params = [Params(int(length), temperature=0.0) for length in rng.integers(1, 40, 12)]
        answers = await asyncio.gather(
            *(answer(subject, *pair) for pair in zip(prompts, params, strict=True)),
        )
        for prompt, tokens in zip(prompts, answers, strict=True):
            assert await regret(subject, prompt, ids(tokens)) < 2e-4
            for token, step in zip(
                tokens, await subject.engine.score(prompt, ids(tokens)), strict=True
            ):
                assert token.logprob == pytest.approx(step.logprob, abs=1e-4)
        batch = subject.engine._batch  # type: ignore[attr-defined]
        async with asyncio.timeout(60):
            while batch._rows or batch._model._cache._layers:  # idle, it gives its memory back
                await asyncio.sleep(0.01)


SIZES = (3, 60, 9, 31, 200, 17, 45, 2, 88, 120, 6, 25)
LENGTHS = (4, 30, 11, 22, 8, 40, 15, 35, 6, 19, 27, 12)


async def test_the_same_tokens_come_in_company_and_alone() -> None:
    """Exactly: rows move and are reused here, and sums differ by a hundredth of any choice."""
    rng = np.random.default_rng(2)
    prompts = [rng.integers(2, VOCABULARY, size).tolist() for size in SIZES]
    params = [Params(length, temperature=0.0, logprobs=2) for length in LENGTHS]
    every = list(zip(prompts, params, strict=True))
    async with opened(*tiny_model(), slots=4) as subject:
        alone = [await answer(subject, *each) for each in every]
        together = await asyncio.gather(*(answer(subject, *each) for each in every))
    assert min(token.top_logprobs @ [1, -1] for tokens in alone for token in tokens) > 1e-3
    assert [ids(tokens) for tokens in together] == [ids(tokens) for tokens in alone]


async def test_every_token_has_a_place_of_its_own_and_all_other_places_are_empty() -> None:
    """Which of two in one place would stay is undefined, and differs from device to device."""
    rng = np.random.default_rng(3)
    texts = [rng.integers(2, VOCABULARY, size).tolist() for size in (2, 5, 11, 40, 7, 19)]
    padded = 0
    async with opened(*tiny_model()) as subject:
        batch = subject.engine._batch  # type: ignore[attr-defined]
        cache, stale = batch._model._cache, list[int]()
        written: list[tuple[list[list[int]], int]] = []
        open_ = cache.open

        def note(first: int, places: Any, length: int) -> None:
            written.append((places.tolist(), length))
            for tensor in (tensor for pair in cache._layers.values() for tensor in pair):
                read = [request.read for request in batch._rows] + [0] * tensor.shape[0]
                stale.extend(
                    row for row in range(tensor.shape[0]) if tensor[row, :, read[row] : -1].any()
                )
            open_(first, places, length)

        cache.open = note
        await asyncio.gather(
            *(answer(subject, text, Params(len(text), temperature=0.0)) for text in texts),
            *(subject.engine.score(text, text) for text in texts),
        )
    assert not stale
    for rows, length in written:
        for places in rows:
            real = [place for place in places if place != -1]
            assert real and real == list(range(real[0], real[0] + len(real)))
            assert 0 <= real[0] and real[-1] < length
            padded += len(places) - len(real)
    assert padded > 10


async def test_answers_to_one_prompt_pay_for_its_reading_once() -> None:
    """And one pass gives log-probabilities and activations; all as if each were read alone."""
    path, sha256 = tiny_model()
    rng = np.random.default_rng(6)
    prompt = rng.integers(2, VOCABULARY, 60).tolist()
    answers = [rng.integers(2, VOCABULARY, 5).tolist() for _ in range(8)]
    async with opened(path, sha256) as subject:
        cache, positions = subject.engine._batch._model._cache, 0  # type: ignore[attr-defined]
        open_ = cache.open

        def note(first: int, places: Any, length: int) -> None:
            nonlocal positions
            positions += int((places >= 0).sum())
            open_(first, places, length)

        cache.open = note
        readings = await asyncio.gather(*(subject.engine.read(prompt, said) for said in answers))
        # The first reads the prompt; the others its last token and their own.
        assert positions == 64 + 7 * 5
        again = await subject.engine.score(prompt, answers[0])
        assert positions == 64 + 8 * 5
    for said, reading in zip(answers, readings, strict=True):
        logprobs, hidden = reference(path, prompt + said)
        for row, token, step in zip(logprobs[59:-1], said, reading.steps, strict=True):
            assert step.token == token
            assert step.logprob == pytest.approx(row[token], abs=1e-4)
        assert reading.activations == pytest.approx(hidden[59:-1], rel=2**-7, abs=1e-3)
    for one, other in zip(again, readings[0].steps, strict=True):
        assert one.logprob == pytest.approx(other.logprob, abs=1e-4)


POISON = 77


async def test_a_text_that_is_no_number_is_nobody_elses_trouble() -> None:
    """Infinities stay out of the rows of those who come after, and of those beside."""
    rng = np.random.default_rng(4)
    clean = [token for token in range(2, VOCABULARY) if token != POISON]
    long, short, late = [rng.choice(clean, size).tolist() for size in (40, 4, 3)]

    def poisoned(_: object, args: tuple[Any], output: Any) -> Any:
        return output.masked_fill((args[0] == POISON).unsqueeze(-1), torch.inf)

    async def pick(subject: Subject, prompt: list[int], length: int) -> list[int]:
        """Answer with clean tokens only, the likeliest."""
        return await subject.engine.sample(
            prompt, length, lambda at, top, _: next(int(one) for one in top if one in clean)
        )

    async with opened(*tiny_model(), slots=3) as subject:
        model = subject.engine._batch._model._model  # type: ignore[attr-defined]
        hook = model.get_input_embeddings().register_forward_hook(poisoned)
        with pytest.raises(EngineRefused, match="no numbers"):
            await answer(subject, [POISON, *long], Params(2))
        with pytest.raises(EngineRefused, match="no numbers"):
            await subject.engine.score([*long, POISON], short)
        with pytest.raises(EngineRefused, match="no numbers"):
            await subject.engine.activations(long, [POISON, *short])
        alone = [await pick(subject, long, 60), await pick(subject, short, 30)]
        for _ in range(3):
            beside = asyncio.gather(pick(subject, long, 60), pick(subject, short, 30))
            broken = asyncio.gather(
                *(answer(subject, [*late, POISON, *long], Params(3)) for _ in range(4)),
                return_exceptions=True,
            )
            assert all(isinstance(error, EngineRefused) for error in await broken)
            after = await pick(subject, short, 30)
            assert [*await beside, after] == [*alone, alone[1]]
        hook.remove()


async def test_log_probabilities_are_over_the_whole_vocabulary() -> None:
    async with opened(*tiny_model(), waiting_limit=VOCABULARY) as subject:
        every = await asyncio.gather(
            *(subject.engine.score([70, 80, 90], [token]) for token in range(VOCABULARY))
        )
    assert sum(np.exp(step.logprob) for (step,) in every) == pytest.approx(1, abs=1e-4)


async def test_a_step_that_hangs_is_given_up_and_the_loop_runs_on() -> None:
    hanging = threading.Event()
    async with opened(*tiny_model(), step_timeout_s=0.5) as subject:
        batch = subject.engine._batch  # type: ignore[attr-defined]
        batch._model._model.register_forward_pre_hook(lambda *_: hanging.wait(60) and None)
        with pytest.raises(EngineAway, match=r"within 0\.5 s"):
            await subject.engine.score([70], [71])
        with pytest.raises(EngineAway, match=r"within 0\.5 s"):
            await answer(subject, [70], Params(3))
        hanging.set()


async def test_who_is_cancelled_while_waiting_leaves_the_queue_at_once() -> None:
    """While the step runs that it would have to wait for."""
    working, goes_on = threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        working.set()
        goes_on.wait(60)

    async with opened(*tiny_model(), slots=1) as subject:
        batch = subject.engine._batch  # type: ignore[attr-defined]
        batch._model._model.register_forward_pre_hook(hang)
        served = asyncio.create_task(subject.engine.score([70], [71]))
        await asyncio.to_thread(working.wait, 60)
        waiting = [asyncio.create_task(subject.engine.score([70], [71])) for _ in range(5)]
        await until(lambda: len(batch._waiting) == 5)
        for left, task in enumerate(reversed(waiting)):
            task.cancel()
            await asyncio.wait([task])
            assert len(batch._waiting) == 4 - left
        goes_on.set()
        assert len(await served) == 1


async def test_another_model_and_what_is_none_are_refused(tmp_path: Path) -> None:
    path, sha256 = tiny_model()
    with pytest.raises(ModelMismatch, match="SHA256SUMS"):
        async with TransformersEngine.open(path, sha256="0" * 64):
            pass
    copy = tmp_path / "copy"
    shutil.copytree(path, copy)
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    with pytest.raises(ModelMismatch, match=r"copy/model\.safetensors"):
        async with TransformersEngine.open(copy, sha256=sha256):
            pass
    (copy / "model.safetensors").write_bytes(b"none")
    with pytest.raises(EngineRefused, match="cannot open .*copy on cpu"):
        async with TransformersEngine.open(copy, sha256=write_sums(copy)):
            pass
    shutil.copyfile(path / "model.safetensors", copy / "model.safetensors")
    with pytest.raises(EngineRefused, match="no_such_device"):
        async with TransformersEngine.open(copy, sha256=write_sums(copy), device="no_such_device"):
            pass
    config = json.loads((copy / "config.json").read_text())
    config["model_type"], config["architectures"] = "mistral", ["MistralForCausalLM"]
    (copy / "config.json").write_text(json.dumps({**config, "sliding_window": 16}))
    with pytest.raises(EngineRefused, match="do not attend to the whole text"):
        async with TransformersEngine.open(copy, sha256=write_sums(copy)):
            pass


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize("device", ["cuda", "auto"])
async def test_a_gpu_is_chosen_by_name_or_found_and_its_failure_named(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As far as that goes without one; in half precision the suite runs on the CPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    path, sha256 = tiny_model()
    with pytest.raises(EngineRefused, match=r"cannot open .* on cuda"):
        async with TransformersEngine.open(path, sha256=sha256, device=device):
            pass


async def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"subnetkit\[torch\]"):
        async with TransformersEngine.open(*tiny_model()[:1], sha256=tiny_model()[1]):
            pass


async def test_it_says_nothing_to_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    path, sha256 = tiny_model()
    capfd.readouterr()
    async with opened(path, sha256) as subject:
        await subject.engine.score([70], [71])
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.model
async def test_both_engines_read_one_model_alike() -> None:
    """Ids, chat format and end token are the same; log-probabilities nearly so."""
    path, sha256 = get_model(SMOLLM2_135M.sha256), SMOLLM2_135M.sha256
    async with (
        LlamaEngine.open(path, sha256=sha256) as llama,
        TransformersEngine.open(path, sha256=sha256, device="cpu") as own,
    ):
        assert own.end_token == llama.end_token
        parts = ["a", "B", " ", "  ", "\n", "\t", "1", "23", "'", "'s", ".", "é", "中", "🙂", "_"]
        parts += ["the ", "\u00a0", "\u200d", "½", "٣", "!?", "<|im_end|>"]
        rng = random.Random(0)
        texts = ["Hello  world\n\n1234 é中🙂 don't", "", "x" * 300]
        texts += ["".join(rng.choices(parts, k=25)) for _ in range(100)]
        for text in texts:
            assert await own.tokenize(text) == await llama.tokenize(text)
        for text in texts[:10]:
            assert await own.chat(text) == await llama.chat(text)
        prompt = await own.chat("Write a short story about a river.")
        lock = SeedLock(b"\x01" * 32, b"\x02" * 32)
        tokens = [
            token.id async for token in own.generate(prompt, Params(48, temperature=0.8, lock=lock))
        ]
        theirs, ours = await llama.score(prompt, tokens), await own.score(prompt, tokens)
        apart = [abs(a.logprob - b.logprob) for a, b in zip(theirs, ours, strict=True)]
        assert np.mean(apart) < 0.15
        margins = seedlock.margins(theirs, lock.seed, lock.hotkey, 0.8)
        assert seedlock.score(margins) > 0.9
