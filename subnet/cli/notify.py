"""What a service manager wants to hear: one datagram to the socket it named, and nothing else.

The protocol is systemd's sd_notify; without NOTIFY_SOCKET in the environment all of it is silent.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping

RETRY_S = 1.0
"""What a manager did not take is said again so soon: its queue may be full for a moment."""


def notify(state: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Say `state` ("READY=1"); whether anybody was told.

    A manager that is gone, or has no room for it now, is no error.
    """
    path = _path(environment)
    if path is None:
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
    """Say that it has begun, then twice in each watchdog period that it lives; until cancelled.

    One notice that was not taken must not be the last one: a manager ends what falls silent.
    """
    if _path(environment) is None:
        return
    while not notify("READY=1", environment):
        await asyncio.sleep(RETRY_S)
    micros = environment.get("WATCHDOG_USEC", "")
    period = int(micros) / 2e6 if micros.isdecimal() else 0.0
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()) or not period:
        return
    while True:
        heard = notify("WATCHDOG=1", environment)
        await asyncio.sleep(period if heard else min(period, RETRY_S))


def _path(environment: Mapping[str, str]) -> str | None:
    path = environment.get("NOTIFY_SOCKET", "")
    return path if path.startswith(("/", "@")) else None
