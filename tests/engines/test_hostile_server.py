"""Model servers that are broken or mean: every one of them ends in an EngineError, soon and small.

They are real servers on raw sockets. Where nothing else is said they answer as vLLM does, for a
model of a hundred tokens that always thinks the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import resource
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
import pytest

from subnet.engines.base import TOP, Params, SeedLock
from subnet.engines.http import ModelServer
from subnet.engines.openai import OpenAIEngine, connect
from subnet.errors import EngineAway, EngineBusy, EngineError, EngineRefused, Unsupported

KEY = "sk-this-is-a-secret"
VOCABULARY = 100
LOGPROBS = -0.02 * np.arange(VOCABULARY)
LOGPROBS -= np.logaddexp.reduce(LOGPROBS)

Writer: TypeAlias = asyncio.StreamWriter
Body: TypeAlias = "dict[str, Any]"
Act: TypeAlias = Callable[[Body, Writer], Awaitable[None]]


def reply(body: object, status: str = "200 OK", headers: str = "", kind: str = "json") -> bytes:
    """Return a whole response, body and all."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: application/{kind}\r\n"
        f"Content-Length: {len(content)}\r\n{headers}\r\n"
    ).encode() + content


def completion(count: int, logprobs: int | None) -> Body:
    """Return the choice of a completion of `count` tokens 7."""
    top = {f"token_id:{token}": float(LOGPROBS[token]) for token in range(logprobs or 0)}
    own = {"token_id:7": float(LOGPROBS[7])}
    return {
        "index": 0,
        "text": "h" * count,
        "finish_reason": None,
        "token_ids": [7] * count,
        "logprobs": {
            "token_logprobs": [float(LOGPROBS[7])] * count,
            "top_logprobs": [top | own] * count,
        },
    }


def whole(choice: Body) -> Body:
    return {"model": "m", "choices": [choice]}


def event(data: object) -> bytes:
    return f"data: {data if isinstance(data, str) else json.dumps(data)}\n\n".encode()


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
LAST = event(whole(completion(0, 0) | {"finish_reason": "length"}))
DONE = event("[DONE]")


async def models(body: Body, writer: Writer) -> None:
    writer.write(reply({"data": [{"id": "m", "owned_by": "vllm", "max_model_len": 64}]}))


async def tokenize(body: Body, writer: Writer) -> None:
    def spell(text: str) -> list[int]:
        return [2 + byte % 90 for byte in text.encode()]

    if "messages" in body:
        ids = [each for turn in body["messages"] for each in (0, *spell(turn["content"]), 1, 9)]
        writer.write(reply({"tokens": [*ids, 0, 5] if body["add_generation_prompt"] else ids}))
    else:
        ids = spell(body["prompt"])
        writer.write(reply({"tokens": ids, "token_strs": ["x"] * len(ids)}))


async def complete(body: Body, writer: Writer) -> None:
    if "logit_bias" in body:
        problem = f"out-of-vocab. Vocabulary size: {VOCABULARY}"
        writer.write(reply({"error": {"message": problem}}, "400 Bad Request"))
    elif body.get("stream"):
        writer.write(STREAM)
        for _ in range(body["max_tokens"]):
            writer.write(event(whole(completion(1, body["logprobs"]))))
        writer.write(LAST + DONE)
        writer.close()
    else:
        choice = completion(body["max_tokens"], body.get("logprobs"))
        if "prompt_logprobs" in body:
            step = {str(token): {"logprob": float(LOGPROBS[token])} for token in range(100)}
            choice["prompt_logprobs"] = [None] + [step] * (len(body["prompt"]) - 1)
        writer.write(reply(whole(choice)))


class Server:
    """Answers as vLLM does, unless an act is put in place of a path's."""

    def __init__(self) -> None:
        self.acts: dict[str, Act] = {
            "/v1/models": models,
            "/tokenize": tokenize,
            "/v1/completions": complete,
        }
        self.heard: list[bytes] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError), self._hang_up(writer):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heard.append(head)
                path = head.split()[1].decode()
                lines = head.decode().lower().split("\r\n")
                length = [line for line in lines if line.startswith("content-length:")]
                size = int(length[0].partition(":")[2]) if length else 0
                body = json.loads(await reader.readexactly(size)) if size else {}
                await self.acts[path](body, writer)
                await writer.drain()
                if writer.is_closing():
                    break

    @contextlib.contextmanager
    def _hang_up(self, writer: Writer) -> Iterator[None]:
        """Close the connection also when an act fails: then the client has to say so, not wait."""
        try:
            yield
        finally:
            if not writer.is_closing():
                writer.transport.abort()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    tasks: set[asyncio.Task[None]] = set()

    def start(reader: asyncio.StreamReader, writer: Writer) -> None:
        tasks.add(asyncio.ensure_future(made.serve(reader, writer)))

    listening = await asyncio.start_server(start, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    yield made
    listening.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def engine_of(server: Server) -> AsyncIterator[OpenAIEngine]:
    async with connect(
        server.url, sha256="0" * 64, api_key=KEY, slots=2, waiting_limit=1
    ) as engine:
        assert isinstance(engine, OpenAIEngine)
        yield engine


async def said(engine: OpenAIEngine, tokens: int = 3, logprobs: int = 2) -> list[int]:
    params = Params(tokens, logprobs=logprobs, seed=1)
    return [token.id async for token in engine.generate([5, 6], params)]


def plays(*parts: bytes, close: bool = True) -> Act:
    """Return an act that sends these bytes to whoever comes, and then hangs up."""

    async def act(body: Body, writer: Writer) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
        if close:
            writer.close()

    return act


async def test_a_good_server_is_believed_and_its_lack_of_a_lock_noticed(server: Server) -> None:
    async with engine_of(server) as engine:
        assert (engine.end_token, engine.context, engine.locks) == (1, 63, False)
        assert await said(engine) == [7, 7, 7]
        steps = await engine.score([5], [6, 99])
        assert [step.logprob for step in steps] == [LOGPROBS[6], LOGPROBS[99]]
        assert all(list(step.top_ids) == list(range(TOP)) for step in steps)
        with pytest.raises(EngineRefused, match="not in 0..99"):
            await engine.score([5], [100])
        with pytest.raises(Unsupported, match="seed lock"):
            lock = SeedLock(b"s" * 32, b"h" * 32)
            assert [token async for token in engine.generate([5], Params(2, lock=lock))]


def changed(**changes: object) -> bytes:
    """Return the event of one token, with something wrong about it."""
    choice = completion(1, 2)
    for name, value in changes.items():
        if name in choice:
            choice[name] = value
        else:
            choice["logprobs"][name] = value
    return event(whole(choice))


GOOD = changed()
NAN = GOOD.replace(str(float(LOGPROBS[7])).encode(), b"NaN")
HUGE = GOOD.replace(str(float(LOGPROBS[7])).encode(), b"-1e999")


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ([], "hung up after 0"),
        ([GOOD], "hung up after 1"),
        ([GOOD, GOOD[:40]], "hung up after 1"),
        ([GOOD, GOOD, GOOD, LAST], "hung up after 3"),
        ([GOOD, DONE], "hung up after 1"),
        ([GOOD, LAST, DONE], "ended an answer after 1 tokens, with no end token"),
        ([GOOD] * 4 + [LAST, DONE], "more than 3 tokens"),
        ([GOOD, LAST, GOOD], "went on after the end of an answer"),
        ([changed(token_ids=[7, 7])], "2 tokens and 1 log-prob"),
        ([changed(token_ids=[-1])], "token id that is none"),
        ([changed(token_ids=[True])], "token id that is none"),
        ([changed(token_ids=["7"])], "token id that is none"),
        ([changed(token_ids=[100])], "make no sense"),
        ([changed(token_ids=None)], "reports no token ids"),
        ([changed(top_logprobs=[{"token_id:7": -1.0, "token_id:07": -2.0}])], "make no sense"),
        ([changed(top_logprobs=[{"token_id:8": -1.0, "token_id:9": -2.0}])], "make no sense"),
        ([changed(top_logprobs=[{"token_id:7": -1.0}])], "asked for the 2 likeliest"),
        ([changed(top_logprobs=[{"token_id:7": 0.5, "token_id:8": -1}])], "more than certain"),
        ([changed(top_logprobs=[{"token_id:7": None, "token_id:8": -1}])], "make no sense"),
        ([changed(top_logprobs=[{"the": -1.0, "a": -2.0}])], "by their text"),
        ([changed(top_logprobs=[None])], "left out"),
        ([changed(token_logprobs=[-1.5])], "two log-probabilities"),
        ([changed(text=None)], "has no text"),
        ([NAN], "no JSON"),
        ([HUGE], "make no sense|two log"),
        ([event("{" * 100_000)], "no JSON"),
        ([event([])], "has no choices"),
        ([event({"model": "m", "choices": [completion(1, 2)] * 2})], "another number"),
        ([GOOD] + [event(whole(completion(0, 0)))] * 30, "23 events and 1 tokens"),
        ([event({"choices": [], "usage": {"completion_tokens": 0}})] * 30, "events and 0 tokens"),
        ([event({"model": "another", "choices": [completion(1, 2)]})], "another answered"),
        ([GOOD] * 3 + [LAST, event({"choices": [], "usage": {"completion_tokens": 9}})], "counted"),
        ([GOOD, event({"error": {"message": f"no {KEY}", "code": 500}})], r"broke off.*no \*\*\*"),
        ([b"data: \xff\xfe\n\n"], "utf-8"),
        ([b"data: " + b"x" * 70_000] * 20, "more than 1048576"),
    ],
)
async def test_a_stream_that_makes_no_sense_is_an_error(
    server: Server, parts: list[bytes], problem: str
) -> None:
    async with engine_of(server) as engine:
        server.acts["/v1/completions"] = plays(STREAM, *parts)
        with pytest.raises((EngineAway, EngineRefused), match=problem) as caught:
            await said(engine)
        assert KEY not in str(caught.value)
        server.acts["/v1/completions"] = complete
        assert await said(engine) == [7, 7, 7]


async def test_who_closes_a_stream_is_not_told_how_it_would_have_ended(server: Server) -> None:
    async with engine_of(server) as engine:
        server.acts["/v1/completions"] = plays(STREAM, GOOD)
        stream = engine.generate([5, 6], Params(3, logprobs=2, seed=1))
        async with contextlib.aclosing(stream), asyncio.timeout(60):
            assert (await anext(stream)).id == 7
            while engine._turns.taken:  # until the server has hung up
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("path", "said", "error"),
    [
        ("/props", {"eos_token": 5}, EngineAway),
        ("/props", {"eos_token": "\udfff"}, EngineRefused),
        ("/apply-template", {"prompt": 5}, EngineAway),
        ("/apply-template", {"prompt": "Hello"}, EngineRefused),
        ("/v1/models", {"data": [{"id": "m", "owned_by": "llamacpp"}]}, EngineAway),
        ("/tokenize", {"tokens": [[]]}, EngineAway),
    ],
)
async def test_llama_cpps_server_that_describes_itself_badly(
    server: Server, path: str, said: Body, error: type[Exception]
) -> None:
    fine: dict[str, Body] = {
        "/v1/models": {"data": [{"id": "m", "owned_by": "llamacpp", "meta": {"n_vocab": 9}}]},
        "/props": {"eos_token": "<e>", "default_generation_settings": {"n_ctx": 64}},
        "/apply-template": {"prompt": "<\N{OBJECT REPLACEMENT CHARACTER}>"},
        "/tokenize": {"tokens": [1]},
    }
    server.acts = {at: plays(reply(body)) for at, body in fine.items()}
    async with connect(server.url, sha256="0" * 64) as engine:
        assert engine.end_token == 1
    server.acts[path] = plays(reply(fine[path] | said))
    with pytest.raises(error):
        async with connect(server.url, sha256="0" * 64):
            pass


async def test_half_a_character_is_not_even_asked_for(server: Server) -> None:
    async with engine_of(server) as engine:
        heard = len(server.heard)
        for ask in (engine.tokenize, engine.chat):
            with pytest.raises(EngineRefused, match="half a character"):
                await ask("a \udfff b")
        assert len(server.heard) == heard


async def test_what_follows_the_end_token_is_an_error(server: Server) -> None:
    end = completion(1, 2)
    end["token_ids"] = [1]
    end["logprobs"] = {
        "token_logprobs": [-1.0],
        "top_logprobs": [{"token_id:1": -1.0, "token_id:2": -2.0}],
    }
    async with engine_of(server) as engine:
        server.acts["/v1/completions"] = plays(STREAM, event(whole(end)), LAST, DONE)
        assert await said(engine) == [1]
        server.acts["/v1/completions"] = plays(STREAM, event(whole(end)), GOOD, LAST, DONE)
        with pytest.raises(EngineAway, match="after the end token"):
            await said(engine)


@pytest.mark.parametrize(
    ("raw", "error", "problem"),
    [
        (reply({}, "429 Too Many", "Retry-After: 7\r\n"), EngineBusy, "ask again in 7 s"),
        (reply({}, "503 Busy", "Retry-After: soon\r\n"), EngineBusy, "callers wait already$"),
        (reply({"error": {"message": "too long"}}, "400 No"), EngineRefused, "too long"),
        (reply({"detail": "x"}, "401 No"), EngineRefused, "API key"),
        (reply({}, "307 There", "Location: http://127.0.0.1:1/\r\n"), EngineRefused, "redirects"),
        (reply(f"Bearer {KEY}\n" * 9, "500 Oh"), EngineAway, r"500: .*\*\*\*"),
        (reply(b"x" * 10**6, "500 Oh"), EngineAway, "500"),
        (reply({"choices": []}), EngineAway, "asked for a stream"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: nonsense\r\n\r\n", EngineAway, "broke"),
        (b"\x16\x03\x01 this is no HTTP\r\n\r\n", EngineAway, "broke"),
        (b"", EngineAway, "broke"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 10**6, EngineAway, "broke"),
    ],
)
async def test_a_refusal_is_what_its_status_says(
    server: Server, raw: bytes, error: type[EngineError], problem: str
) -> None:
    async with engine_of(server) as engine:
        server.acts["/v1/completions"] = plays(raw)
        with pytest.raises(error, match=problem) as caught:
            await said(engine)
        assert KEY not in str(caught.value) and KEY not in repr(caught.value)


async def test_a_score_that_makes_no_sense_is_an_error(server: Server) -> None:
    async with engine_of(server) as engine:

        def scoring(records: object) -> Act:
            return plays(reply(whole(completion(1, 0) | {"prompt_logprobs": records})))

        step = {str(token): {"logprob": float(LOGPROBS[token])} for token in range(70)}
        for records, problem in [
            (None, "no prompt_logprobs"),
            ([None], "scored 1 of 3"),
            ([None, step, step, step], "scored 4 of 3"),
            ([None, None, step], "left out"),
            ([None, step | {"x": {}}, step], "token id that is none"),
            ([None, {**step, "5": {"logprob": "high"}}, step], "make no sense"),
            ([None, {"5": {"logprob": -1.0}}, step], "asked for the 64 likeliest"),
        ]:
            server.acts["/v1/completions"] = scoring(records)
            with pytest.raises(EngineAway, match=problem):
                await engine.score([4], [5, 6])


async def test_a_text_that_takes_a_request_a_word_is_refused(server: Server) -> None:
    """A server that reads `<e>` as a control token makes us cut the text at every one."""

    async def spell(body: Body, writer: Writer) -> None:
        pieces = ["<e>" for _ in range(body["prompt"].count("<e>"))] or ["x"]
        writer.write(reply({"tokens": [1] * len(pieces), "token_strs": pieces}))

    async with engine_of(server) as engine:
        server.acts["/tokenize"] = spell
        assert await engine.tokenize("<e>" * 9) == [1] * 10
        before = len(server.heard)
        with pytest.raises(EngineRefused, match="too many control tokens"):
            await engine.tokenize("<e>" * 5000)
        assert len(server.heard) - before < 300


async def test_a_gigabyte_is_not_read(server: Server) -> None:
    sent = 0

    async def endless(body: Body, writer: Writer) -> None:
        nonlocal sent
        head = (
            STREAM
            if body.get("stream")
            else b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n"
        )
        writer.write(head)
        for _ in range(1 << 14):
            writer.write(b"x" * (1 << 16))
            await writer.drain()
            sent += 1 << 16

    async with engine_of(server) as engine:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for path in ("/v1/completions", "/tokenize"):
            server.acts[path] = endless
        for ask in (lambda: said(engine), lambda: engine.score([5], [6]), lambda: engine.chat("a")):
            with pytest.raises(EngineAway, match="more than"):
                await ask()
        assert sent < 100_000_000
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


async def test_silence_drips_and_comments_do_not_hold_us(server: Server) -> None:
    async def silent(body: Body, writer: Writer) -> None:
        await asyncio.sleep(600)

    async def drip(body: Body, writer: Writer) -> None:
        writer.write(
            STREAM if body.get("stream") else b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"
        )
        while not writer.is_closing():
            writer.write(b": still here\n" if body.get("stream") else b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    async def stuck(body: Body, writer: Writer) -> None:
        writer.write(STREAM + GOOD)
        await drip(body, writer)

    async with engine_of(server) as engine:
        engine._server._timeout_s = 1.0
        for act in (silent, drip, stuck):
            server.acts["/v1/completions"] = act
            with pytest.raises(EngineAway, match="within 1 s"):
                await said(engine)
        server.acts["/v1/completions"] = drip
        with pytest.raises(EngineAway, match="within 1 s"):
            await engine.score([5], [6])
        # Nobody of them holds a place any more.
        engine._server._timeout_s = 30.0
        server.acts["/v1/completions"] = complete
        assert await asyncio.gather(*(said(engine) for _ in range(3))) == [[7, 7, 7]] * 3


async def test_who_reads_slowly_is_not_timed(server: Server) -> None:
    server.acts["/v1/completions"] = plays(STREAM, GOOD + GOOD + GOOD + LAST + DONE)
    async with ModelServer.connect(server.url, key=KEY, timeout_s=30) as asked:
        stream = asked.stream("v1/completions", {})
        async with contextlib.aclosing(stream):
            first = await anext(stream)
            asked._timeout_s = 0.1
            rest = []
            async for data in stream:
                rest.append(data)
                await asyncio.sleep(0.2)
    assert event(first) == GOOD and len(rest) == 4


@pytest.mark.parametrize(
    ("path", "act", "problem"),
    [
        ("/v1/models", plays(reply({"data": []})), "several models|no model"),
        ("/v1/models", plays(reply({"data": [{"id": "m"}, {"id": "n"}]})), "several models"),
        ("/v1/models", plays(reply({"data": [{"id": "m\nOK"}, {"id": "n" * 5000}]})), "m OK, nnn"),
        ("/v1/models", plays(reply([])), "no data"),
        ("/v1/models", plays(reply({"data": [{"id": "m"}]})), "how long its context"),
        ("/v1/models", plays(reply({"data": [{"id": "m", "owned_by": "llamacpp"}]})), "no id|no"),
        ("/tokenize", plays(reply({"tokens": [-1]})), "token id that is none"),
        ("/tokenize", plays(reply({"tokens": []})), "which token ends"),
        ("/v1/completions", plays(reply({"error": {"message": "boo"}}, "400 No")), "max-logprobs"),
    ],
)
async def test_a_server_that_cannot_serve_us_is_refused_at_once(
    server: Server, path: str, act: Act, problem: str
) -> None:
    server.acts["/props"] = plays(reply({}))
    server.acts[path] = act
    with pytest.raises((EngineRefused, EngineAway), match=problem) as caught:
        async with engine_of(server):
            pass
    assert len(str(caught.value)) < 600


def likeliest(count: int) -> list[Body]:
    return [{"id": token, "logprob": float(LOGPROBS[token])} for token in range(count)]


def probabilities(**changes: object) -> Body:
    """Return llama.cpp's record of one token, with something wrong about it."""
    return {"id": 7, "logprob": float(LOGPROBS[7]), "top_logprobs": likeliest(TOP)} | changes


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (probabilities(), None),
        (probabilities(logprob=-1.0), "two log-probabilities"),
        (probabilities(logprob="high"), "two log-probabilities"),
        (probabilities(id=8), "token 7 was forced and 8 came"),
        (probabilities(top_logprobs=[{"id": 7, "logprob": -1.0}] * TOP), "make no sense"),
        (probabilities(top_logprobs=[{"id": 7.5, "logprob": -1.0}]), "token id that is none"),
        (probabilities(top_logprobs=[{"id": 7}]), "make no sense"),
        (probabilities(top_logprobs=None), "make no sense"),
        (probabilities(top_logprobs=probabilities()["top_logprobs"][::-1]), "not in order"),
        (probabilities(top_logprobs=likeliest(TOP + 1)), "too many"),
        (probabilities(top_logprobs=[{"id": 7, "logprob": None}]), "make no sense"),
        ({}, "make no sense"),
    ],
)
async def test_a_llama_server_that_makes_no_sense_is_an_error(
    server: Server, record: Body, problem: str | None
) -> None:
    card = {"id": "m", "owned_by": "llamacpp", "meta": {"n_vocab": VOCABULARY}}
    settings = {"n_ctx": 64}
    for path, said_there in [
        ("/v1/models", {"data": [card]}),
        ("/props", {"eos_token": "<e>", "default_generation_settings": settings}),
        ("/tokenize", {"tokens": [1]}),
        ("/apply-template", {"prompt": "\N{OBJECT REPLACEMENT CHARACTER}"}),
        ("/completion", {"completion_probabilities": [record]}),
    ]:
        server.acts[path] = plays(reply(said_there))
    server.acts["/detokenize"] = plays(reply({"text": "x"}))
    async with connect(server.url, sha256="0" * 64) as engine:
        assert engine.end_token == 1
        with pytest.raises(EngineAway, match="no content"):
            await engine.detokenize([5])
        if problem is None:
            (step,) = await engine.score([5], [7])
            assert step.logprob == LOGPROBS[7] and step.top_ids.shape == (TOP,)
            return
        with pytest.raises(EngineAway, match=problem):
            await engine.score([5], [7])


async def test_the_key_goes_to_the_server_and_nowhere_else(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with engine_of(server) as engine:
        await said(engine)
    assert all(f"Authorization: Bearer {KEY}".encode() in head for head in server.heard)
    assert KEY not in caplog.text
    for url in (
        f"http://user:{KEY}@127.0.0.1:1",
        f"http://127.0.0.1:1/?key={KEY}",
        "ftp://127.0.0.1",
        "127.0.0.1:8000",
        "http://",
        "http://127.0.0.1:99999",
    ):
        with pytest.raises(EngineRefused, match="address") as caught:
            async with connect(url, sha256="0" * 64):
                pass
        assert KEY not in str(caught.value)
    for key in ("", "two words", "line\r\nX-Evil: 1", "ключ"):
        with pytest.raises(EngineRefused, match="API key"):
            async with connect(server.url, sha256="0" * 64, api_key=key):
                pass
    with pytest.raises(EngineAway, match="broke"):
        async with connect("http://127.0.0.1:1", sha256="0" * 64, api_key=KEY):
            pass
