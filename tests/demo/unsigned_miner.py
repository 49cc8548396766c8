"""A stranger's miner for `subnet demo --miner-cmd`: perfect answers, and not one of them signed.

It knows the demo's environment variables, the public SDK, and the subnet's definition; nothing of
our axon.
"""

from __future__ import annotations

import asyncio
import os

import bittensor
from aiohttp import web
from bittensor_core import Keypair

from subnet.definition import MinerOptions
from subnet.templates.inference import Inference


async def main() -> None:
    hotkey = Keypair.create_from_seed(bytes.fromhex(os.environ["DEMO_HOTKEY_SEED"][2:]))
    assert hotkey.ss58_address == os.environ["DEMO_HOTKEY"]
    host, port = os.environ["DEMO_HOST"], int(os.environ["DEMO_PORT"])
    subnet = Inference()
    async with subnet.miner(MinerOptions(hotkey.ss58_address)) as miner:

        async def answer(request: web.Request) -> web.Response:
            challenge = subnet.challenge.model_validate_json(await request.read())
            said = await miner.answer(challenge, request.headers["X-Bittensor-Hotkey"])
            return web.Response(text=said.model_dump_json(), content_type="application/json")

        application = web.Application()
        application.router.add_post(subnet.path, answer)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, host, port).start()
        async with bittensor.Subtensor(os.environ["DEMO_CHAIN"]) as chain:
            axon = bittensor.ServeAxon(netuid=int(os.environ["DEMO_NETUID"]), ip=host, port=port)
            (await chain.execute(axon, hotkey)).raise_for_failure()
        await asyncio.Event().wait()


asyncio.run(main())
