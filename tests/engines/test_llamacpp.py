"""The engine over the real model: exact between processes, and clear about what it cannot do."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import platform
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from subnet.engines import llama_worker
from subnet.engines.base import TOP, Step
from subnet.engines.llama_worker import PLACE, write_frame
from subnet.engines.llamacpp import BATCH, LlamaEngine
from subnet.engines.models import SMOLLM2_135M, get_model, hash_file
from subnet.engines.truncated import truncated_model, write_truncated
from subnet.errors import EngineAway, EngineRefused, ModelMismatch
from tests.engines.poison import (
    POISON,
    write_changed,
    write_poisoned,
    write_recurrent,
    write_spelling,
)
from tests.engines.suite import EngineSuite, Subject

pytestmark = pytest.mark.model

SHA256 = SMOLLM2_135M.sha256


@pytest.fixture(scope="module")
def model() -> Path:
    return get_model(SHA256)


@pytest.fixture
def busy_machine() -> Iterator[None]:
    """Keep more processes running than the machine has cores."""
    loops = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(2 * (os.cpu_count() or 1))
    ]
    yield
    for loop in loops:
        loop.kill()
        loop.wait()


@contextlib.asynccontextmanager
async def opened(
    *, slots: int, waiting_limit: int, step_timeout_s: float
) -> AsyncIterator[Subject]:
    others = servers()
    async with LlamaEngine.open(
        get_model(SHA256),
        sha256=SHA256,
        context=128,
        slots=slots,
        waiting_limit=waiting_limit,
        step_timeout_s=step_timeout_s,
    ) as engine:

        async def kill() -> None:
            (own,) = servers() - others
            os.kill(own, signal.SIGKILL)

        yield Subject(
            engine,
            vocabulary=49152,
            context=128,
            places=slots + waiting_limit,
            kill=kill,
            tolerance=1e-6,
            activates=True,
        )


class TestLlama(EngineSuite):
    """The whole suite on SmolLM2, quantised."""

    @staticmethod
    def open(small: bool = False) -> AbstractAsyncContextManager[Subject]:
        """Open it with room for few, or for all that the suite asks at once."""
        slots, waiting_limit = (2, 1) if small else (4, 32)
        return opened(slots=slots, waiting_limit=waiting_limit, step_timeout_s=20 if small else 60)


def servers() -> set[int]:
    """Return the process ids of the llama.cpp children of this process."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            command = (status.parent / "cmdline").read_bytes()
            if parent == os.getpid() and b"llama_worker.py" in command:
                found.add(int(status.parent.name))
    return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def same(a: list[Step], b: list[Step]) -> bool:
    return len(a) == len(b) and all(
        x.token == y.token
        and x.logprob == y.logprob
        and np.array_equal(x.top_ids, y.top_ids)
        and np.array_equal(x.top_logprobs, y.top_logprobs)
        for x, y in zip(a, b, strict=True)
    )


async def test_what_one_engine_sampled_another_sees_to_the_last_bit(model: Path) -> None:
    seen: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []
    rng = np.random.default_rng(3)

    def pick(position: int, ids: NDArray[np.int64], logprobs: NDArray[np.float64]) -> int:
        assert position == len(seen)
        seen.append((ids, logprobs))
        return int(rng.choice(ids[1:10]))

    async with (
        LlamaEngine.open(model, sha256=SHA256) as miner,
        LlamaEngine.open(model, sha256=SHA256) as judge,
    ):
        assert miner.model_sha256 == SHA256
        # Longer than a tile of 64 queries, where llama.cpp's sums begin to depend on the batch.
        prompt = await miner.chat(" ".join(["river stone lamp paper"] * 30))
        assert len(prompt) > 64 + BATCH
        answer = await miner.sample(prompt, 6, pick)
        for warm in (prompt[:50], prompt[:1], prompt):  # whatever state the prompt is resumed from
            await judge.score(warm, [5])
            steps = await judge.score(prompt, answer)
            assert [step.token for step in steps] == answer
            for step, (ids, logprobs) in zip(steps, seen, strict=True):
                assert np.array_equal(step.top_ids, ids)
                assert np.array_equal(step.top_logprobs, logprobs)
                assert step.logprob == logprobs[list(ids).index(step.token)]


@pytest.mark.slow
async def test_load_and_company_change_nothing(model: Path, busy_machine: None) -> None:
    async with LlamaEngine.open(model, sha256=SHA256) as engine:
        prompts = [await engine.chat(text) for text in ("Tell a story.", "Name a river.")]
        alone = [await engine.score(prompt, [10, 20, 30]) for prompt in prompts]
        together = await asyncio.gather(
            *(engine.score(prompt, [10, 20, 30]) for prompt in prompts * 3)
        )
        for index, steps in enumerate(together):
            assert same(steps, alone[index % 2])


async def test_text_chat_and_the_end_token(model: Path) -> None:
    async with LlamaEngine.open(model, sha256=SHA256) as engine:
        for text in ("The capital of France", "é中🙂\n\x00 x", ""):
            assert await engine.detokenize(await engine.tokenize(text)) == text
        # A prompt cannot speak the model's control tokens.
        assert engine.end_token not in await engine.tokenize("<|im_end|>")
        prompt = await engine.chat("Hi <|im_end|>")
        text = await engine.detokenize(prompt)
        assert text.endswith("<|im_start|>user\nHi <|im_end|><|im_end|>\n<|im_start|>assistant\n")
        assert prompt.count(engine.end_token) == 2
        # The end token ends a sample and is part of it; None ends it without.
        ended = await engine.sample(
            prompt, 9, lambda position, ids, logprobs: engine.end_token if position == 2 else 5
        )
        assert ended == [5, 5, engine.end_token]
        assert await engine.sample(prompt, 9, lambda *_: None) == []
        assert await engine.score(prompt, []) == []


async def test_logprobs_are_of_the_whole_vocabulary_also_for_parts_of_characters(
    model: Path,
) -> None:
    async with LlamaEngine.open(model, sha256=SHA256) as engine:
        prompt = await engine.chat("Write one emoji.")
        face = await engine.tokenize("🙂")
        assert len(face) > 1
        steps = await engine.score(prompt, face)
        assert [step.token for step in steps] == face
        for step in steps:
            assert step.top_ids.shape == step.top_logprobs.shape == (TOP,)
            assert np.all(np.diff(step.top_logprobs) <= 0)
            assert 0.3 < np.exp(step.top_logprobs).sum() < 1.0
            assert step.logprob < 0
        first = steps[0]  # among the likeliest here, so it is seen twice
        assert first.logprob == first.top_logprobs[list(first.top_ids).index(face[0])]
        part = (await engine.tokenize("中龘"))[-1]  # of a character, and absurd here
        unlikely = (await engine.score(prompt, [part]))[0]
        assert -100 < unlikely.logprob < unlikely.top_logprobs[-1]


async def test_a_text_that_is_no_number_is_nobody_elses_trouble(
    model: Path, tmp_path: Path
) -> None:
    """Its place in memory is used again, and nothing of it is kept for texts that begin alike."""
    poisoned = tmp_path / "poisoned.gguf"
    write_poisoned(model, poisoned)
    async with LlamaEngine.open(poisoned, sha256=hash_file(poisoned), slots=2) as engine:
        prompt = [token for token in range(100, 160) if token != POISON]
        bad = [*prompt[:20], POISON, *prompt[20:]]
        alone = await engine.score(prompt, [5, 6, 7])
        for _ in range(2):
            broken = asyncio.gather(
                *(engine.score(bad, [5, 6]) for _ in range(2)),
                engine.sample(bad, 3, lambda *_: 5),
                engine.read([5], [6, POISON, 8]),
                return_exceptions=True,
            )
            beside = await asyncio.gather(*(engine.score(prompt, [5, 6, 7]) for _ in range(3)))
            for error in await broken:
                assert isinstance(error, EngineRefused) and "no numbers" in error.problem
            for steps in (*beside, await engine.score(prompt, [5, 6, 7])):
                assert same(steps, alone)
        # Alike up to the poison, and from there on clean.
        assert len(await engine.score([*bad[:20], 9, 9], [5])) == 1


async def test_what_came_before_in_a_place_changes_no_bit(model: Path) -> None:
    """Texts that begin alike share what was read of them: from the same place, and copied."""
    rng = np.random.default_rng(5)
    start = rng.integers(100, 40000, 40).tolist()
    ends = [rng.integers(100, 40000, 6).tolist() for _ in range(5)]
    async with LlamaEngine.open(model, sha256=SHA256, slots=3) as engine:
        alone = []
        for at, end in enumerate(ends):
            for place in range(3):  # nothing that begins alike is left anywhere
                await asyncio.gather(*(engine.score([at, 9, place, one], [5]) for one in range(3)))
            alone.append(await engine.score([*start, *end[:3]], end[3:]))
        longer = asyncio.Event()
        loop = asyncio.get_running_loop()

        def go_on(position: int, *_: object) -> int:
            if position == 3:
                loop.call_soon_threadsafe(longer.set)
            return 5

        # Copied from an answer that begins alike and goes on beyond that.
        going = asyncio.create_task(engine.sample([*start, 7, 8], 16, go_on))
        await longer.wait()
        together = await asyncio.gather(
            *(engine.score([*start, *end[:3]], end[3:]) for end in ends)
        )
        assert await going == [5] * 16
        for one, other in zip(alone, together, strict=True):
            assert same(one, other)


async def test_more_places_than_tokens_are_computed_at_once(model: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.gguf"
    write_truncated(model, short, 2)
    async with LlamaEngine.open(
        short, sha256=SHA256, allow_other_weights=True, context=256, slots=BATCH + 2
    ) as engine:
        prompts = [[at, 9, 8, 7] for at in range(BATCH + 2)]
        together = await asyncio.gather(*(engine.score(prompt, [5, 6]) for prompt in prompts))
        assert same(await engine.score([*prompts[-1]], [5, 6]), together[-1])
        made = [engine.sample(prompt, 4, lambda *_: 5) for prompt in prompts]
        assert await asyncio.gather(*made) == [[5] * 4] * len(prompts)


async def test_another_file_is_refused_by_name_or_opened_with_a_warning(
    model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    short = truncated_model(model, 27)
    with pytest.raises(ModelMismatch, match=short.name):
        async with LlamaEngine.open(short, sha256=SHA256):
            pass
    with caplog.at_level(logging.WARNING):
        async with LlamaEngine.open(short, sha256=SHA256, allow_other_weights=True) as engine:
            assert engine.model_sha256 == hash_file(short) != SHA256
            prompt = await engine.chat("Hi")
            short_steps = await engine.score(prompt, [5, 6])
    assert "other weights allowed" in caplog.text
    async with LlamaEngine.open(model, sha256=SHA256) as engine:
        assert prompt == await engine.chat("Hi")
        assert not same(await engine.score(prompt, [5, 6]), short_steps)


@pytest.mark.parametrize("content", [b"", b"not a model" * 1000, "cut", "flipped header"])
async def test_a_corrupt_model_is_an_error_that_names_the_file(
    model: Path, tmp_path: Path, content: bytes | str, capfd: pytest.CaptureFixture[str]
) -> None:
    corrupt = tmp_path / "corrupt.gguf"
    if isinstance(content, str):
        with model.open("rb") as file:
            whole = bytearray(file.read(3_000_000))
        if content == "flipped header":
            random.Random(1).shuffle(whole)
            whole[:4] = b"GGUF"
        corrupt.write_bytes(whole)
    else:
        corrupt.write_bytes(content)
    with pytest.raises(EngineRefused, match=r"corrupt\.gguf: exit code"):
        async with LlamaEngine.open(corrupt, sha256="0" * 64, allow_other_weights=True):
            pass
    with pytest.raises(EngineRefused, match=r"corrupt\.gguf"):
        write_truncated(corrupt, tmp_path / "short.gguf", 27)
    assert servers() == set()
    assert capfd.readouterr() == ("", "")


SAYS = "{{ messages[0].content }}"
LOOP = "{% for _ in range(99999) %}"
HOSTILE = {
    "leaves out what the user says": "Hello",
    "SecurityError": "{{ messages.__class__.__mro__ }}" + SAYS,
    "more than 65536 characters": LOOP + "ab{% endfor %}" + SAYS,
    "MemoryError": "{{ 'a' * 10 ** 9 }}" + SAYS,
    "TemplateSyntaxError": "{% for %}",
    "RecursionError": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "UndefinedError": "{{ messages[0].nobody.knows }}",
}
"""Chat formats, and what is said of them: each is a program that came with a model's file."""


def rendered(template: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """Return how a process ends that renders a chat format, and what it says."""
    code = (
        "import sys; from subnet.engines.llama_worker import render\n"
        f"{before}\n"
        "print(render(sys.argv[1], '<s>', '</s>'))"
    )
    command = [sys.executable, "-c", code, template]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=250)


def test_a_chat_format_that_does_more_than_it_should_is_refused() -> None:
    for problem, template in HOSTILE.items():
        done = rendered(template)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("\nE the model's chat format cannot be used: ")
        assert problem in done.stderr
    fine = rendered("{{ bos_token }}{% for m in messages %}" + SAYS + "{% endfor %}{{ eos_token }}")
    assert (fine.stdout, fine.stderr) == (f"<s>{PLACE}</s>\n", "")


def test_where_nobody_may_set_limits_a_chat_format_is_read_without() -> None:
    """In a sandbox, say: Python has a ValueError for what a system does not permit."""
    forbidden = (
        "import resource\n"
        "def setrlimit(*_): raise ValueError('not allowed to raise maximum limit')\n"
        "resource.setrlimit = setrlimit"
    )
    done = rendered(SAYS, forbidden)
    assert (done.stdout, done.stderr) == (f"{PLACE}\n", "")


@pytest.mark.slow
def test_a_chat_format_that_does_not_end_is_refused() -> None:
    assert "it takes more than 10 s" in rendered(LOOP * 4 + "{% endfor %}" * 4).stderr


@pytest.mark.slow
async def test_a_model_with_a_chat_format_of_no_use_is_refused_by_name(
    model: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "changed.gguf"
    write_changed(model, changed, template="Hello")
    with pytest.raises(EngineRefused, match=r"changed\.gguf: exit code 1: .*leaves out what"):
        async with LlamaEngine.open(changed, sha256=hash_file(changed)):
            pass
    assert servers() == set()


@pytest.mark.slow
async def test_a_hidden_layer_is_as_long_as_the_model_says(model: Path, tmp_path: Path) -> None:
    """llama.cpp has room for that only: whoever reads more reads what is not there."""
    changed = tmp_path / "changed.gguf"
    write_changed(model, changed, embedding_length_out=64)
    async with LlamaEngine.open(changed, sha256=hash_file(changed)) as engine:
        assert (await engine.activations([5, 6], [7, 8, 9])).shape == (3, 64)


@pytest.mark.slow
async def test_a_model_whose_memory_cannot_be_cut_back_is_refused(
    model: Path, tmp_path: Path
) -> None:
    recurrent = tmp_path / "recurrent.gguf"
    write_recurrent(model, recurrent)
    with pytest.raises(EngineRefused, match="recurrent: what it has read"):
        async with LlamaEngine.open(recurrent, sha256=hash_file(recurrent)):
            pass


async def test_a_text_may_have_more_tokens_than_bytes(tmp_path: Path) -> None:
    spelling = tmp_path / "spelling.gguf"
    write_spelling(spelling)
    async with LlamaEngine.open(spelling, sha256=hash_file(spelling), context=512) as engine:
        assert len(await engine.tokenize("a" + " " * 99)) >= 3 * 99 + 1
        assert len(await engine.score([3, 4], [5, 6])) == 2


async def test_a_text_without_measure_is_refused_and_those_beside_it_are_read(model: Path) -> None:
    async with LlamaEngine.open(model, sha256=SHA256, slots=1) as engine:
        long = "é" * (1 << 18)
        texts = [long] * 3 + ["river"] + [long * 4]
        found = await asyncio.gather(*map(engine.tokenize, texts), return_exceptions=True)
        assert [len(one) for one in found[:3] if isinstance(one, list)] == [1 << 18] * 3
        assert found[3] == await engine.tokenize("river")
        assert isinstance(found[4], EngineRefused) and "more than" in found[4].problem


async def test_a_dead_and_a_hanging_engine_are_away(
    model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for signal_number, problem in [(signal.SIGKILL, "exit code -9"), (signal.SIGSTOP, "within")]:
        async with LlamaEngine.open(model, sha256=SHA256, step_timeout_s=3.0) as engine:
            (pid,) = servers()
            os.kill(pid, signal_number)
            with pytest.raises(EngineAway, match=problem):
                await engine.score([5], [6])
            with pytest.raises(EngineAway):
                await engine.tokenize("still")
        assert not is_alive(pid)
    assert capfd.readouterr() == ("", "")


async def test_an_engine_ends_with_its_owner_however_that_ends(model: Path) -> None:
    code = (
        "import asyncio, sys; from pathlib import Path\n"
        "from subnet.engines.llamacpp import LlamaEngine\n"
        "async def main():\n"
        "    async with LlamaEngine.open(Path(sys.argv[1]), sha256=sys.argv[2]) as engine:\n"
        "        print(engine._child.pid, flush=True)\n"
        "        await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(model), SHA256, stdout=asyncio.subprocess.PIPE
    )
    assert owner.stdout is not None
    pid = int(await owner.stdout.readline())
    assert is_alive(pid)
    owner.kill()
    await owner.wait()
    async with asyncio.timeout(20):
        while is_alive(pid):
            await asyncio.sleep(0.05)


OTHER_INTERFACES = {
    "an interface not known": "w._CONTEXT_DEFAULTS = w._CONTEXT_DEFAULTS[::-1]",
    "batches not known": (
        "one, two, three, *rest = w._Batch._fields_\n"
        "fields = {'_fields_': [one, three, two, *rest]}\n"
        "w._Batch = type('Batch', (w.ctypes.Structure,), fields)\n"
        "w._INTERFACE['llama_batch_init'] = (w._Batch, [w.ctypes.c_int32] * 3)\n"
        "w._INTERFACE['llama_batch_free'] = (None, [w._Batch])"
    ),
}


@pytest.mark.parametrize(("problem", "change"), OTHER_INTERFACES.items())
def test_a_library_with_another_interface_is_refused(
    model: Path, problem: str, change: str
) -> None:
    """Its structs are passed by value: one that grew would be read wrongly, without a word."""
    code = (
        "import importlib.util as u, sys\n"
        "spec = u.spec_from_file_location('worker', sys.argv[1])\n"
        "w = u.module_from_spec(spec)\n"
        "spec.loader.exec_module(w)\n"
        f"{change}\n"
        "w.main()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, llama_worker.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        assert child.stdin and child.stdout and child.stderr
        write_frame(child.stdin, {"path": str(model)})
        said, told = child.stderr.read(), child.stdout.read()
        assert child.wait(60) == 1
    assert f"has {problem} here" in said.decode()
    assert told == b""


def test_what_lies_between_the_fields_of_a_struct_is_nothing() -> None:
    """It is whatever the stack held before: here, bytes of a struct that was passed by value."""
    code = (
        "import ctypes, xllamacpp\n"
        "from subnet.engines import llama_worker as w\n"
        "library = ctypes.CDLL(xllamacpp.xllamacpp.__file__)\n"
        "passed, before = w._Struct(), ctypes.CDLL(None).getpid\n"
        "before.argtypes = [w._Struct]\n"
        "for name, known, is_known in (\n"
        "    ('model', w._MODEL_DEFAULTS, w.is_model),\n"
        "    ('context', w._CONTEXT_DEFAULTS, w.is_context),\n"
        "):\n"
        "    defaults = getattr(library, f'llama_{name}_default_params')\n"
        "    defaults.restype, defaults.argtypes = w._Struct, []\n"
        "    for byte in (0, 255):\n"
        "        ctypes.memset(ctypes.addressof(passed), byte, ctypes.sizeof(passed))\n"
        "        before(passed)\n"
        "        found = defaults()\n"
        "        print(is_known(found), bytes(found)[:len(known)] == known)\n"
        "        found.bytes[0] ^= 1\n"
        "        assert not is_known(found)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    clean, dirty = zip(*(line.split() for line in done.stdout.splitlines()), strict=True)
    assert set(clean) == {"True"}
    if (sys.platform, platform.machine()) == ("linux", "x86_64"):  # elsewhere stacks differ
        assert dirty == ("True", "False", "True", "False")


@pytest.mark.slow
async def test_the_first_layers_are_a_model_of_their_own(model: Path, tmp_path: Path) -> None:
    target = tmp_path / "model-1.gguf"
    write_truncated(model, target, 1)
    async with LlamaEngine.open(target, sha256=hash_file(target)) as engine:
        assert len(await engine.score(await engine.chat("Hi"), [5, 6])) == 2
    for layers in (0, 30):
        with pytest.raises(EngineRefused, match="30 layers"):
            write_truncated(model, target, layers)
