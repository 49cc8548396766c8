"""A miner in a process of its own that takes a fixed time for every answer, and says what it took.

From the question's arrival by the kernel's account to the write of the answer: on a machine with
more work than cores that is more than it meant to take. Run with seconds as its argument; prints
its port, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import sys
import time

from bittensor_core import Keypair

from subnet.wire.auth import HOTKEY, NONCE, sign_answer
from subnet.wire.stamps import arrival

MINER = Keypair.create_from_uri("//Miner")


async def answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float
) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:-2])
            await reader.readexactly(int(headers["Content-Length"]))
            came = arrival(writer.transport)
            await asyncio.sleep(came + seconds - time.perf_counter())
            body = b'{"text":"%f"}' % (time.perf_counter() - came)
            signed = sign_answer(
                MINER,
                nonce=int(headers[NONCE]),
                sender=headers[HOTKEY],
                status=200,
                body=body,
            )
            lines = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
            response = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode()
            writer.write(response + body)
    except (ConnectionError, asyncio.IncompleteReadError):
        writer.close()


async def main(seconds: float) -> None:
    server = await asyncio.start_server(
        lambda reader, writer: answer(reader, writer, seconds), "127.0.0.2", 0
    )
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))
