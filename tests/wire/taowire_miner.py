"""A miner of the TaoWire kit as a process: /echo and the stream /words, on a fake chain.

It prints its port and serves until it is ended.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from bittensor_core import Keypair
from pydantic import BaseModel
from taowire.config import MinerSettings
from taowire.miner.app import Miner
from taowire.testing.fake_chain import FakeChain
from taowire.testing.metagraph import FakeMetagraphSource

NETUID = 1
CALLERS = (("//Validator", 1), ("//Validator", 0))
"""Key URI and crypto type of those with a permit."""


class Question(BaseModel):
    text: str


class Echo(BaseModel):
    text: str


def build(port: int, folder: str) -> Miner:
    hotkey = Keypair.create_from_uri("//Miner")
    chain = FakeChain(signer_hotkey=hotkey.ss58_address)
    chain.add_subnet(NETUID)
    chain.register(NETUID, hotkey.ss58_address)
    for uri, scheme in CALLERS:
        caller = Keypair.create_from_uri(uri, crypto_type=scheme)
        chain.register(NETUID, caller.ss58_address, validator_permit=True, stake_tao=1000)
    settings: dict[str, Any] = {
        "netuid": NETUID,
        "external_ip": "127.0.0.2",
        "bind_host": "127.0.0.2",
        "bind_port": port,
        "allow_private_axons": True,
        "auto_serve_axon": False,
        "wallet_name": "nobody",
        "wallet_path": folder,
        "ntp_servers": (),
        "log_level": "ERROR",
        # It cuts slow requests off after both together.
        "auth_max_age_s": 3.0,
        "auth_allowed_skew_s": 1.0,
    }
    miner = Miner(
        MinerSettings(**settings),
        gateway=chain,
        metagraph=FakeMetagraphSource(chain, NETUID),
        hotkey=hotkey,
        check_sdk=False,
    )

    @miner.route("/echo", request=Question, response=Echo)
    async def echo(question: Question, context: Any) -> Echo:
        return Echo(text=question.text)

    @miner.route("/words", request=Question, response=Echo, stream=True)
    async def words(question: Question, context: Any) -> AsyncIterator[Echo]:
        async def chunks() -> AsyncIterator[Echo]:
            for word in question.text.split():
                yield Echo(text=word)

        return chunks()

    return miner


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder, socket.socket() as listener:
        listener.bind(("127.0.0.2", 0))
        port = listener.getsockname()[1]
        miner = build(port, folder)
        server = uvicorn.Server(uvicorn.Config(miner.app, **miner.uvicorn_options()))
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()
        await server.serve(sockets=[listener])


if __name__ == "__main__":
    asyncio.run(main())
