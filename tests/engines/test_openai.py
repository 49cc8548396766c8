"""Model servers at a URL: what every engine does, over llama.cpp's server and over real vLLM."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import aiohttp
import numpy as np
import pytest

from scoring.verify import seedlock
from subnet.engines.base import TOP, Params, SeedLock
from subnet.engines.llama_server import LlamaServerEngine
from subnet.engines.llamacpp import LlamaEngine
from subnet.engines.models import SMOLLM2_135M, get_model
from subnet.engines.openai import SERVE_FLAGS, OpenAIEngine, connect
from subnet.engines.sse import EventStream
from subnet.errors import EngineRefused, Unsupported
from tests.engines.poison import POISON, write_poisoned
from tests.engines.servers import INSTALL_S, KEY, Relay, llama_server_of, vllm_server_of
from tests.engines.suite import HOTKEY, SEED, EngineSuite, Subject, ids

SHA256 = SMOLLM2_135M.sha256
CONTEXT = 512


@contextlib.asynccontextmanager
async def opened(
    url: str, *, vocabulary: int, places: tuple[int, int], tolerance: float
) -> AsyncIterator[Subject]:
    """Connect to the server at `url` through a relay, which is cut to make the server die."""
    slots, waiting_limit = places
    async with (
        Relay.to(url) as relay,
        connect(
            relay.url + "/v1",
            sha256=SHA256,
            api_key=KEY,
            slots=slots,
            waiting_limit=waiting_limit,
        ) as engine,
    ):
        yield Subject(
            engine,
            vocabulary=vocabulary,
            context=engine.context,
            places=slots + waiting_limit,
            kill=relay.cut,
            tolerance=tolerance,
            locks=engine.locks,
        )


# llama.cpp's own server


@pytest.fixture(scope="module")
def llama() -> Iterator[str]:
    with llama_server_of(get_model(SHA256), CONTEXT) as url:
        yield url


@pytest.mark.model
async def test_llama_cpps_server_is_the_engine_that_its_child_process_is(llama: str) -> None:
    async with (
        connect(llama, sha256=SHA256, api_key=KEY) as engine,
        LlamaEngine.open(get_model(SHA256), sha256=SHA256) as child,
    ):
        assert isinstance(engine, LlamaServerEngine)
        assert engine.locks and engine.context == CONTEXT and engine.model_sha256 == SHA256
        await engine.health()
        prompt = await engine.chat("Name a river <|im_end|>.")
        assert prompt == await child.chat("Name a river <|im_end|>.")
        params = Params(6, temperature=0.8, lock=SeedLock(SEED, HOTKEY))
        tokens = [token async for token in engine.generate(prompt, params)]
        steps = await child.score(prompt, ids(tokens))
        assert seedlock.margins(steps, SEED, HOTKEY, 0.8).max() == 0
        assert "".join(token.text for token in tokens) == await child.detokenize(
            [token for token in ids(tokens) if token != child.end_token]
        )
        with pytest.raises(Unsupported):
            await engine.activations(prompt, [5])
        with pytest.raises(EngineRefused, match="fit the context"):
            await engine.score([5] * CONTEXT, [5])


@pytest.mark.model
async def test_a_text_that_is_no_number_is_refused_and_the_server_goes_on(tmp_path: Path) -> None:
    poisoned = tmp_path / "poisoned.gguf"
    write_poisoned(get_model(SHA256), poisoned)
    with llama_server_of(poisoned, CONTEXT) as url:
        async with connect(url, sha256=SHA256, api_key=KEY) as engine:
            alone = await engine.score([100, 101], [5])
            results = await asyncio.gather(
                engine.score([100, POISON], [5]),
                engine.sample([POISON, 100], 2, lambda *_: 5),
                return_exceptions=True,
            )
            for error in results:
                assert isinstance(error, EngineRefused) and "no numbers" in error.problem
            (again,) = await engine.score([100, 101], [5])
            assert again.logprob == alone[0].logprob


@pytest.mark.model
async def test_the_stream_of_a_real_server_is_read_the_same_however_it_is_cut(llama: str) -> None:
    request = {"prompt": [5], "n_predict": 4, "n_probs": 2, "stream": True}
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session:
        async with session.post(f"{llama}/completion", json=request) as response:
            raw = await response.read()
    whole = EventStream(1 << 20).feed(raw)
    assert len(whole) == 5 and '"stop":true' in whole[-1]
    stream = EventStream(1 << 20)
    assert [event for byte in raw for event in stream.feed(bytes([byte]))] == whole


@pytest.mark.model
async def test_a_wrong_key_and_a_wrong_name_are_refused_and_the_key_not_told(llama: str) -> None:
    for key, model, problem in [
        ("another-secret", None, "API key"),
        (KEY, "gpt-5", "has no model gpt-5"),
    ]:
        with pytest.raises(EngineRefused, match=problem) as caught:
            async with connect(llama, sha256=SHA256, api_key=key, model=model):
                pass
        assert key not in str(caught.value)


@pytest.mark.slow
@pytest.mark.model
async def test_an_idle_connection_is_made_anew(llama: str) -> None:
    async with connect(llama, sha256=SHA256, api_key=KEY) as engine:
        (step,) = await engine.score([5], [6])
        await asyncio.sleep(25)
        (again,) = await engine.score([5], [6])
        assert again.logprob == step.logprob


@functools.cache
def _llama_for_the_suite() -> str:
    return _SERVERS.enter_context(llama_server_of(get_model(SHA256), CONTEXT))


_SERVERS = contextlib.ExitStack()


@pytest.fixture(scope="module", autouse=True)
def servers() -> Iterator[None]:
    """End the servers that the suites started."""
    yield
    _SERVERS.close()
    _llama_for_the_suite.cache_clear()
    _vllm.cache_clear()


@pytest.mark.slow
@pytest.mark.model
class TestLlamaServer(EngineSuite):
    """The whole suite over llama.cpp's own server."""

    @staticmethod
    def open(small: bool = False) -> AbstractAsyncContextManager[Subject]:
        """Connect with room for few, or for all that the suite asks at once."""
        return opened(
            _llama_for_the_suite(),
            vocabulary=49152,
            # The server has one slot, and no more is sent to it at once.
            places=(1, 2) if small else (1, 32),
            tolerance=1e-6,
        )


# vLLM, the real one; the first test may have to install it


@functools.cache
def _vllm() -> str:
    pytest.importorskip("torch", reason="the tiny model is written with torch")
    pytest.importorskip("transformers", reason="the tiny model is written with transformers")
    from tests.engines.tiny import tiny_model

    log = Path(_SERVERS.enter_context(tempfile.TemporaryDirectory(prefix="vllm-")))
    return _SERVERS.enter_context(
        vllm_server_of(tiny_model()[0], "tiny", log, *SERVE_FLAGS.split())
    )


@pytest.fixture
def vllm() -> str:
    return _vllm()


@pytest.mark.slow
@pytest.mark.timeout(INSTALL_S + 600)
class TestVllm(EngineSuite):
    """The whole suite over real vLLM on the CPU, with the seed lock loaded."""

    @staticmethod
    def open(small: bool = False) -> AbstractAsyncContextManager[Subject]:
        """Connect with room for few, or for all that the suite asks at once."""
        return opened(
            _vllm(),
            vocabulary=263,
            places=(2, 1) if small else (8, 32),
            tolerance=1e-4,
        )


@pytest.mark.slow
@pytest.mark.timeout(INSTALL_S + 600)
async def test_vllm_follows_the_seed_lock_for_many_at_once(vllm: str) -> None:
    async with connect(vllm, sha256=SHA256, api_key=KEY, model="tiny") as engine:
        assert isinstance(engine, OpenAIEngine)
        assert engine.locks
        await engine.health()
        prompt = await engine.chat("Go on.")
        for number in range(20):  # more than are checked
            lock = SeedLock(SEED, bytes([number]) * 32)
            params = Params(24, temperature=0.9, lock=lock)
            tokens = [token.id async for token in engine.generate(prompt, params)]
            steps = await engine.score(prompt, tokens)
            assert seedlock.margins(steps, SEED, lock.hotkey, 0.9).max() < 1e-3


@pytest.mark.slow
@pytest.mark.timeout(INSTALL_S + 600)
async def test_vllm_hears_no_sampling_defaults_of_the_models_files(vllm: str) -> None:
    async with connect(vllm, sha256=SHA256, api_key=KEY) as engine:
        prompt = await engine.tokenize("The river")
        seen = [await _first_top(engine, prompt, temperature) for temperature in (0.2, 1.0, 2.0)]
        for ids_, logprobs in seen[1:]:
            assert np.array_equal(ids_, seen[0][0]) and np.allclose(logprobs, seen[0][1], atol=1e-4)


async def _first_top(
    engine: OpenAIEngine | LlamaServerEngine, prompt: list[int], temperature: float
) -> tuple[np.ndarray, np.ndarray]:
    params = Params(1, temperature=temperature, seed=1, logprobs=TOP)
    (token,) = [token async for token in engine.generate(prompt, params)]
    return token.top_ids, token.top_logprobs


@pytest.mark.slow
@pytest.mark.timeout(INSTALL_S + 600)
@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ([], "--max-logprobs 64"),
        (["--max-logprobs", "64", "--logprobs-mode", "processed_logprobs"], "raw_logprobs"),
    ],
)
async def test_a_vllm_that_was_started_otherwise_is_refused_with_the_flag_it_needs(
    tmp_path: Path, flags: list[str], problem: str
) -> None:
    pytest.importorskip("torch", reason="the tiny model is written with torch")
    from tests.engines.tiny import tiny_model

    with vllm_server_of(tiny_model()[0], "tiny", tmp_path, *flags) as url:
        with pytest.raises(EngineRefused, match=problem):
            async with connect(url, sha256=SHA256, api_key=KEY):
                pass


@pytest.mark.slow
@pytest.mark.timeout(INSTALL_S + 600)
async def test_a_vllm_without_the_seed_lock_says_so(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the tiny model is written with torch")
    from tests.engines.tiny import tiny_model

    flags = ("--max-logprobs", "64")
    with vllm_server_of(tiny_model()[0], "tiny", tmp_path, *flags, with_us=False) as url:
        async with connect(url, sha256=SHA256, api_key=KEY) as engine:
            assert not engine.locks
            prompt = await engine.tokenize("The river")
            with pytest.raises(Unsupported, match="seed lock"):
                params = Params(4, lock=SeedLock(SEED, HOTKEY))
                assert [token async for token in engine.generate(prompt, params)]
            # What the caller picks itself is seed-locked all the same, one request a token.
            picked = await engine.sample(
                prompt,
                6,
                lambda at, top, logprobs: seedlock.choose(top, logprobs, SEED, HOTKEY, at, 0.9),
            )
            steps = await engine.score(prompt, picked)
            assert seedlock.margins(steps, SEED, HOTKEY, 0.9).max() < 1e-3
