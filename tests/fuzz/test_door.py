"""Garbage over real sockets: every message gets its answer, and the connection goes on."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chain.devnet.devnet import Devnet
from chain.devnet.node import NodeConfig
from chain.devnet.rpc import devnet as control
from chain.devnet.rpc.methods import METHODS
from chain.devnet.schedule import Manual
from tests.devnet.conftest import Client, Running, run_devnet
from tests.fuzz.laws import HANG_S, ensure_proper
from tests.fuzz.seeds import requests

SEEDS = [json.loads(seed) for seed in requests()]
PARAMS = [seed["params"] for seed in SEEDS if isinstance(seed, dict)]

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        (
            *("0x", "0X00", "0xzz", "00" * 32, "0x" + "00" * 32, "0x1", "0x1_0", "0x-1", " 0x1 "),
            *(-1, 2**32, 2**64, 10**4000, -(10**4000), 1e308, 0.1, "\ud800", "\x00", "inf", "5G"),
            *("5C62Ck4UrFPiBtoCmeSrgF7x9yv9mn38446dhCpsi2mLHiFT", "instant", "manual", "1e400"),
        )
    )
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
METHOD = st.sampled_from(sorted(METHODS))
REQUEST = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0"), "id": st.just(1) | SCALARS, "method": METHOD},
    optional={"params": st.lists(JSON, max_size=5) | st.sampled_from(PARAMS) | JSON},
)
ODD = st.fixed_dictionaries(
    {}, optional={"jsonrpc": JSON, "id": JSON, "method": METHOD | JSON, "params": JSON, "x": JSON}
)
TEXT = (
    st.builds(json.dumps, REQUEST | ODD | JSON | st.lists(REQUEST | ODD, max_size=4))
    | st.text(max_size=60)
    | st.builds(
        lambda text, at, junk: text[:at] + junk + text[at:],
        st.builds(json.dumps, REQUEST),
        st.integers(0, 80),
        st.text(max_size=3),
    )
)
ENDS = "devnet_revert"  # closes the connection, as it should; so does what loads a dump


class Peer:
    """A node behind sockets, and a client of it, on a loop that outlives each example."""

    def __init__(self, runner: asyncio.Runner, devnet: Running, client: Client) -> None:
        self.runner = runner
        self.devnet = devnet
        self.client = client
        self.inputs = 0

    def check(self, texts: list[str]) -> None:
        """Send all at once, then what must be answered."""
        texts = [text for text in texts if _can_be_sent(text) and ENDS not in text]
        if self._seconds(texts) > HANG_S:
            for text in texts:
                spent = min(self._seconds([text]) for _ in range(3))
                assert spent <= HANG_S, f"took {spent:.3f} s: {text:.2000}"
        self.inputs += len(texts)

    def _seconds(self, texts: list[str]) -> float:
        began = time.process_time()
        answers = self.runner.run(self._send(texts))
        spent = time.process_time() - began
        for answer in answers:
            ensure_proper("\n".join(texts), answer)
        return spent

    async def _send(self, texts: list[str]) -> list[str]:
        socket, found = self.client.socket, []
        for text in texts:
            await socket.send_str(text)
        await socket.send_str('{"jsonrpc":"2.0","id":"the last","method":"system_chain"}')
        while '"id":"the last"' not in (answer := await socket.receive_str(timeout=10)):
            if '"subscription":' not in answer:
                found.append(answer)
        for text in texts[:1]:
            url = self.devnet.node.url.replace("ws://", "http://")
            async with self.devnet.http.post(url, data=io.BytesIO(text.encode())) as response:
                assert response.status in (200, 204)
                if response.status == 200:
                    found.append(await response.text())
        return found

    def renew(self) -> None:
        """Connect anew: what was subscribed to is gone."""
        self.runner.run(self.client.socket.close())
        self.client = self.runner.run(self.devnet.connect())


def _can_be_sent(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    with pytest.MonkeyPatch.context() as patch, asyncio.Runner() as runner:
        patch.setattr(control, "BLOCKS_A_CALL", 2)
        context = run_devnet(NodeConfig(Manual()), Devnet().engine)
        devnet = runner.run(context.__aenter__())
        try:
            yield Peer(runner, devnet, runner.run(devnet.connect()))
        finally:
            runner.run(context.__aexit__(None, None, None))


@pytest.mark.parametrize("examples", [60, pytest.param(1_000, marks=pytest.mark.slow)])
def test_garbage_gets_an_answer_and_does_no_harm(peer: Peer, examples: int) -> None:
    before = peer.inputs

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(texts=st.lists(TEXT, min_size=10, max_size=20))
    def run(texts: list[str]) -> None:
        peer.check(texts)

    run()
    print(f"garbage over a socket: {peer.inputs - before:,} inputs")  # noqa: T201


@pytest.mark.parametrize("method", sorted(set(METHODS) - {ENDS}))
def test_every_method_with_parameters_of_every_other(peer: Peer, method: str) -> None:
    texts = [
        json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        for params in (*PARAMS, *([value] * 3 for value in ODDITIES), *ODDITIES)
    ]
    peer.renew()
    peer.check(texts)


ODDITIES: tuple[Any, ...] = (
    *(None, True, -1, 2**31, 2**64, 10**4000, 0.5, 1e308, "", "0x", "0x00", "\x00" * 100),
    *("0x" + "ff" * 32, "ff" * 5000, [], [[]], [[[]]], {}, {"at": {}}, {"\x00": 1}),
    *([["0x00", None]], [["0x00", "0x00", "0x00"]], [0] * 1000, {str(n): n for n in range(1000)}),
)


@pytest.mark.parametrize("depths", [(10, 300, 5_000, 100_000), range(850, 1_000)])
def test_however_deep(peer: Peer, depths: Sequence[int]) -> None:
    """At some depth just below a thousand a value can be read, but not walked any more."""
    one = '{"jsonrpc":"2.0","id":1,"method":"%s","params":%s}'
    names = ("state_getStorage", "chain_getBlockHash", "devnet_setStorage", "system_chain")
    for depth in depths:
        deep = "[" * depth + "]" * depth
        peer.check([one % (name, deep) for name in names])
        peer.check([deep, '{"a":' * depth + "1" + "}" * depth, f'{{"jsonrpc":"2.0","id":{deep}}}'])


def test_however_large(peer: Peer) -> None:
    """Half of what a message may have."""
    room = 8 * 2**20
    one = '{"jsonrpc":"2.0","id":1,"method":"%s","params":[%s]}'
    texts = [
        "[" * room,
        "[" + "[]," * (room // 3) + "[]]",
        "[" + "{}," * (room // 3) + "{}]",
        "[" + "0," * (room // 2) + "0]",
        " " * room,
        "9" * room,
        f'"{"a" * room}"',
        one % ("state_getStorage", f'"0x{"z" * (room - 200)}"'),
        one % ("chain_getBlockHash", f'"0x{"f" * (room - 200)}"'),
        one % ("system_accountNextIndex", f'"{"5" * (room - 200)}"'),
        one % ("chain_getBlockHash", "[" + "0," * 10_000 + "0]"),
        one % ("state_queryStorageAt", "[" + '"0x",' * 150_000 + '"0x"]'),
    ]
    for text in texts:
        (answer,) = peer.runner.run(peer._send([text]))[:1]
        ensure_proper(text[:100], answer)
        assert "error" in json.loads(answer), text[:100]


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("chain_getBlockHash", ["0x1_0"]),  # int() takes these
        ("chain_getBlockHash", ["0x 1"]),
        ("chain_getBlockHash", ["0x1\n"]),
        ("chain_getBlockHash", ["0x"]),
        ("chain_getBlockHash", ["0x" + "0" * 65]),
        ("chain_getBlockHash", [[0] * 10_001]),
        ("state_getStorage", ["0x\u0661\u0661"]),  # digits, but not ours
        ("state_getStorage", {str(n): n for n in range(3)}),
        ("state_queryStorageAt", [["0x"] * 16_385]),
        ("state_subscribeStorage", [["0x"] * 4_097]),
    ],
)
def test_what_looks_right_and_is_not(peer: Peer, method: str, params: object) -> None:
    error = peer.runner.run(_error(peer.client, method, params))
    assert error["code"] == -32602


async def _error(client: Client, method: str, params: object) -> Any:
    request = {"jsonrpc": "2.0", "id": "x", "method": method, "params": params}
    await client.socket.send_str(json.dumps(request))
    return (await client.receive())["error"]
