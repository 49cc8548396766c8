"""A development chain in this process, on a free port: what `subnet devnet` is to a person.

    async with Devnet() as node:
        await node.mine(10)
        ...  # any client, connected to node.url

Without further words it is the Python runtime, in memory, with the development accounts; a block
is made for each extrinsic, and once a second without one.
"""

from __future__ import annotations

import asyncio
from typing import Literal, Self

from chain.devnet.drand import DRAND_URL, follow_beacon
from chain.devnet.engine import Engine
from chain.devnet.genesis import dev_engine
from chain.devnet.node import Node, NodeConfig
from chain.devnet.schedule import Instant
from chain.devnet.server import Server, ServerLimits
from chain.runtime.genesis import Preset

__all__ = ["Devnet"]


class Devnet(Node):
    """A node with a server of its own; `url` is where clients connect."""

    def __init__(
        self,
        engine: Engine | Preset = "devnet",
        config: NodeConfig | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        allow_remote_control: bool = False,
        limits: ServerLimits | None = None,
        drand: Literal["online", "expire"] = "expire",
        drand_url: str = DRAND_URL,
    ) -> None:
        """Make or reload the chain; port 0 takes a free one. Raises DatabaseUnusable.

        `engine` may be the name of a preset: then it is our runtime with that genesis. Weights
        that are sealed to the drand beacon are opened by its pulses, fetched from `drand_url`
        ("online"), or expire.
        """
        if isinstance(engine, str):
            engine = dev_engine(preset=engine)
        super().__init__(engine, config or NodeConfig(Instant()))
        self.server = Server(self, host, port, limits, allow_remote_control=allow_remote_control)
        self._drand_url = drand_url if drand == "online" else None
        self._beacon: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """The ws:// address; HTTP POST is answered at the same host and port."""
        return self.server.url

    async def __aenter__(self) -> Self:
        """Start to make blocks, and to listen. Raises CannotListen."""
        await super().__aenter__()
        try:
            await self.server.__aenter__()
        except BaseException:
            await super().__aexit__()
            raise
        if self._drand_url is not None:
            self._beacon = asyncio.create_task(follow_beacon(self, self._drand_url), name="drand")
        return self

    async def __aexit__(self, *error: object) -> None:
        try:
            if self._beacon is not None:
                self._beacon.cancel()
                await asyncio.wait([self._beacon])
            await self.server.__aexit__(*error)
        finally:
            await super().__aexit__(*error)
