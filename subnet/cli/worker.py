"""What `subnet miner --workers N` starts N times: the process of one worker. Not for people.

Its two words are the numbers of inherited sockets: where to listen, and the line to the miner.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from pathlib import Path

from subnet.cli import output


def main() -> None:
    """Serve until SIGTERM, or until the miner is gone."""
    output.log_to_stderr()
    # Ctrl-C goes to every process of a terminal; the miner tells us when it is time.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    listener, line = (socket.socket(fileno=int(word)) for word in sys.argv[1:3])
    asyncio.run(_work(listener, line))


async def _work(listener: socket.socket, line: socket.socket) -> None:
    from miners.worker import work

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await work(listener, line, stop=stop)


if __name__ == "__main__":
    main()
