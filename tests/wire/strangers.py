"""Miners that are not ours: one of the TaoWire kit, and one of a dozen lines with the SDK."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from bittensor import http_auth

from tests.wire.world import LOOPBACK, MINER


@asynccontextmanager
async def taowire_miner() -> AsyncIterator[tuple[str, int]]:
    """Serves /echo and the stream /words to the validators; its host and port."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.wire.taowire_miner", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            port = int(await process.stdout.readline())
            while True:
                try:
                    _, writer = await asyncio.open_connection(LOOPBACK, port)
                    break
                except OSError:
                    await asyncio.sleep(0.05)
        writer.close()
        await writer.wait_closed()
        yield LOOPBACK, port
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def bare_miner() -> AsyncIterator[tuple[str, int]]:
    """Serves /echo to whoever can sign: aiohttp as it comes, and `bittensor.http_auth`."""
    nonces = http_auth.InMemoryNonceStore()

    async def echo(request: web.Request) -> web.Response:
        body = await request.read()
        try:
            http_auth.verify(
                request.headers,
                body,
                method=request.method,
                path=request.raw_path,
                self_hotkey_ss58=MINER.ss58_address,
                nonce_store=nonces,
            )
        except http_auth.AuthError as error:
            return web.json_response({"error": type(error).__name__}, status=401)
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_post("/echo", echo)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, LOOPBACK, 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield host, port
    finally:
        await runner.cleanup()
