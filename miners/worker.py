"""One worker of a miner: the wire only. It checks, admits and signs; the model is elsewhere.

Questions that were let in go over the line to the main process, which has the model and the chain,
and answers come back. When the line is cut the worker has nobody to ask, and ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import socket
from typing import Any

from miners.channel import Channel, Frame, Kind, pack_question
from miners.front import axon_of, nonces_of, policy_of, receipts_of, store_of, tls_of
from subnet.config import MinerSettings, open_hotkey
from subnet.definition import Subnet, load
from subnet.errors import RequestRefused
from subnet.protocol import Answer, Challenge
from subnet.race import race
from subnet.wire import codec
from subnet.wire.auth import Caller
from subnet.wire.axon import Axon
from subnet.wire.policy import PermitPolicy

log = logging.getLogger(__name__)

TALLY_S = 0.5
"""Between two reports of what was done."""


async def work(listener: socket.socket, line: socket.socket, *, stop: asyncio.Event) -> None:
    """Serve at `listener` until `stop` is set or `line` is cut; then drain."""
    channel = await Channel.over(line)
    try:
        first = await channel.read()
        if first is not None:
            settings = MinerSettings.model_validate_json(first.body)
            await _serve(settings, listener, channel, stop)
    finally:
        await channel.flush()
        channel.close()


async def _serve(
    settings: MinerSettings, listener: socket.socket, channel: Channel, stop: asyncio.Event
) -> None:
    keypair = open_hotkey(settings.network)
    subnet = load(settings.subnet.definition, model_sha256=settings.model.sha256)
    policy = policy_of(settings.miner)
    hatch = Hatch(channel, subnet)
    secret = tls_of(settings)
    async with contextlib.AsyncExitStack() as stack:
        store = store_of(settings.miner, keypair.ss58_address)
        nonces = await stack.enter_async_context(nonces_of(store))
        receipts = stack.enter_context(receipts_of(settings.miner))
        axon = axon_of(settings, keypair, subnet, policy, nonces, hatch.ask, receipts)
        await axon.start("", 0, sock=listener, tls=secret and secret[0])
        channel.send(Kind.READY)
        line = asyncio.create_task(_listen(channel, hatch, policy))
        try:
            await race(stop.wait(), asyncio.wait([line]), _report(channel, axon, policy))
            if line.done():
                line.result()
        finally:
            # Answers still come over the line while the last questions are finished.
            await axon.stop(settings.miner.drain_s)
            _tally(channel, axon, policy)
            line.cancel()
            await asyncio.wait([line])


async def _listen(channel: Channel, hatch: Hatch, policy: PermitPolicy) -> None:
    """Take what comes over the line, until it is cut."""
    while (frame := await channel.read()) is not None:
        if frame.kind is Kind.CALLERS:
            callers = frame.data
            if callers["age_s"] is not None:
                policy.update(callers["neurons"], age_s=callers["age_s"])
            policy.learn(callers["known"])
        else:
            hatch.take(frame)
    hatch.close()


async def _report(channel: Channel, axon: Axon, policy: PermitPolicy) -> None:
    while True:
        await asyncio.sleep(TALLY_S)
        _tally(channel, axon, policy)


def _tally(channel: Channel, axon: Axon, policy: PermitPolicy) -> None:
    done = axon.counters
    channel.tell(
        Kind.TALLY,
        {
            "requests": done.requests,
            "answered": done.answered,
            "refused": dict(done.refused),
            "known": list(policy.known),
        },
    )


class Hatch:
    """Where questions leave for the main process, and answers come back."""

    def __init__(self, channel: Channel, subnet: Subnet[Any, Any]) -> None:
        self._channel = channel
        self._subnet = subnet
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[Frame]] = {}
        self._closed = False

    async def ask(self, challenge: Challenge, caller: Caller) -> Answer:
        """The main process's answer, or the refusal it gives instead."""
        if self._closed:
            raise _gone()
        number = next(self._numbers)
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        body = pack_question(caller.hotkey, caller.nonce, codec.encode(challenge))
        self._channel.send(Kind.ASK, number, body)
        try:
            frame = await waiting
        except asyncio.CancelledError:
            self._channel.send(Kind.CANCEL, number)
            raise
        finally:
            del self._waiting[number]
        if frame.kind is Kind.REFUSAL:
            raise RequestRefused(**frame.data)
        answer: Answer = codec.decode(self._subnet.answer, frame.body)
        return answer

    def take(self, frame: Frame) -> None:
        """Hand a frame to whoever waits for it, if somebody still does."""
        waiting = self._waiting.get(frame.number)
        if waiting is not None and not waiting.done():
            waiting.set_result(frame)

    def close(self) -> None:
        """Nothing comes back any more."""
        self._closed = True
        for waiting in self._waiting.values():
            with contextlib.suppress(asyncio.InvalidStateError):
                waiting.set_exception(_gone())


def _gone() -> RequestRefused:
    return RequestRefused(503, "draining", "the miner is stopping")
