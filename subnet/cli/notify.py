"""What a service manager wants to hear: one datagram to the socket it named, and nothing else.

The protocol is systemd's sd_notify; without NOTIFY_SOCKET in the environment all of it is silent.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping


def notify(state: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Say `state` ("READY=1"); whether anybody was told. A manager that is gone is no error."""
    path = environment.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return False
    address = "\0" + path[1:] if path.startswith("@") else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)
            channel.sendto(state.encode(), address)
    except OSError:
        return False
    return True


async def keep_alive(environment: Mapping[str, str] = os.environ) -> None:
    """Say so twice in each watchdog period, as long as the event loop runs; until cancelled."""
    micros = environment.get("WATCHDOG_USEC", "")
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()) or not micros:
        return
    while notify("WATCHDOG=1", environment):
        await asyncio.sleep(int(micros) / 2e6)
