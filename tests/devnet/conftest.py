"""A node around the tiny engine behind a real socket, and a bare client for it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aiohttp
import pytest

from chain.devnet import Devnet
from chain.devnet.engine import Engine
from chain.devnet.node import NodeConfig
from chain.devnet.schedule import Manual
from chain.devnet.server import ServerLimits
from tests.devnet.tiny import TinyEngine


class Client:
    """A WebSocket that speaks JSON-RPC and nothing else."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.notes: list[dict[str, Any]] = []
        self._asked = 0

    async def ask(self, method: str, *params: object) -> dict[str, Any]:
        """The whole response; notifications that come before it are kept."""
        self._asked += 1
        key = f"ask {self._asked}"
        request = {"jsonrpc": "2.0", "id": key, "method": method, "params": params}
        await self.socket.send_str(json.dumps(request))
        while True:
            message = await self.receive()
            if isinstance(message, dict) and message.get("id") == key:
                return message
            self.notes.append(message)

    async def get(self, method: str, *params: object) -> Any:
        """The result of a request that must succeed."""
        answer = await self.ask(method, *params)
        assert "error" not in answer, answer
        return answer["result"]

    async def error(self, method: str, *params: object) -> dict[str, Any]:
        """The error of a request that must fail."""
        answer = await self.ask(method, *params)
        assert "result" not in answer, answer
        error: dict[str, Any] = answer["error"]
        return error

    async def receive(self) -> Any:
        """The next message."""
        return json.loads(await self.socket.receive_str(timeout=10))

    async def note(self, subscription: str) -> Any:
        """The next notification's result; it must be of this subscription."""
        message = self.notes.pop(0) if self.notes else await self.receive()
        assert message["params"]["subscription"] == subscription, message
        return message["params"]["result"]


class Running:
    """A running node and clients on demand."""

    def __init__(self, node: Devnet, http: aiohttp.ClientSession) -> None:
        self.node = node
        self.http = http
        self.clients: list[Client] = []

    async def connect(self) -> Client:
        """A new WebSocket."""
        client = Client(await self.http.ws_connect(self.node.url, max_msg_size=0))
        self.clients.append(client)
        return client

    async def post(self, body: bytes | str) -> tuple[int, Any]:
        """Status and decoded body of an HTTP POST."""
        url = self.node.url.replace("ws://", "http://")
        async with self.http.post(url, data=body) as response:
            text = await response.text()
            return response.status, json.loads(text) if text else None


Start = Callable[..., AbstractAsyncContextManager[Running]]


@asynccontextmanager
async def run_devnet(
    config: NodeConfig | None = None,
    engine: Engine | None = None,
    limits: ServerLimits | None = None,
) -> AsyncIterator[Running]:
    """A devnet until the block ends; blocks only on demand unless `config` says otherwise."""
    async with (
        Devnet(engine or TinyEngine(), config or NodeConfig(Manual()), limits=limits) as node,
        aiohttp.ClientSession() as http,
    ):
        devnet = Running(node, http)
        yield devnet
        for client in devnet.clients:
            await client.socket.close()


@pytest.fixture
async def devnet() -> AsyncIterator[Running]:
    """A devnet that makes blocks on demand."""
    async with run_devnet() as running:
        yield running


@pytest.fixture
async def client(devnet: Running) -> Client:
    """A client of `devnet`."""
    return await devnet.connect()
