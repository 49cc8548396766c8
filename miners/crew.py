"""A crew: worker processes that serve at one listening socket, started, restarted and drained.

The socket is opened once and inherited, so that a connection waits for any worker that lives: one
that dies takes with it only what it had accepted. There is one model, here in the main process;
workers do what costs a processor at the door, which is checking and signing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from miners.channel import Channel, Kind, unpack_question
from miners.front import CALLER_REQUESTS, Handler
from subnet.config import MinerSettings
from subnet.definition import Subnet
from subnet.errors import Declined, RequestRefused, SubnetError
from subnet.wire import codec
from subnet.wire.auth import Caller
from subnet.wire.axon import Counters
from subnet.wire.limits import Slots
from subnet.wire.policy import PermitPolicy

log = logging.getLogger(__name__)

PAUSE_S: Final = (0.2, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Before a worker is started again, after so many short lives in a row; the last one repeats."""
LONG_LIFE_S: Final = 30.0
"""A worker that lived so long did not die of how it was started."""
READY_S: Final = 60.0
"""For the first workers to serve."""
PATIENCE_S: Final = 0.7
"""For a worker to end after its drain time is over."""


class WorkerFailed(SubnetError):
    """The first workers did not come to serve; their own log says why."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"a worker {problem}; see its log")


class Crew:
    """A front of `settings.miner.workers` processes, each started with `command`.

    The command gets two more words: the numbers of the listening socket and of the line.
    """

    def __init__(
        self,
        settings: MinerSettings,
        command: Sequence[str],
        subnet: Subnet[Any, Any],
        policy: PermitPolicy,
        handler: Handler,
    ) -> None:
        self._settings = settings
        self._command = tuple(command)
        self._subnet = subnet
        self._policy = policy
        self._handler = handler
        self._places = Slots(10**9, CALLER_REQUESTS)
        self._workers: dict[int, _Worker] = {}
        self._posts: list[asyncio.Task[None]] = []
        self._listener: socket.socket | None = None
        self._past = Counters()
        self._stopping = False
        self.restarts = 0

    async def start(self, listener: socket.socket) -> None:
        """Start all workers, and wait until they serve. Raises WorkerFailed."""
        self._listener = listener
        loop = asyncio.get_running_loop()
        firsts = [loop.create_future() for _ in range(self._settings.miner.workers)]
        self._posts = [
            asyncio.create_task(self._keep(number, listener, first))
            for number, first in enumerate(firsts, 1)
        ]
        try:
            async with asyncio.timeout(READY_S):
                await asyncio.gather(*firsts)
        except BaseException as error:
            await self.stop(0.0)
            if isinstance(error, TimeoutError):
                raise WorkerFailed(f"did not serve within {READY_S:g} s") from None
            raise

    async def stop(self, drain_s: float) -> None:
        """Drain all workers at once; kill what is not over in time."""
        self._stopping = True
        if self._listener is not None:
            self._listener.close()
        for number, post in enumerate(self._posts, 1):
            if number in self._workers:
                self._workers[number].end()
            else:
                post.cancel()  # it waits before it fills the post again
        if self._posts:
            _, late = await asyncio.wait(self._posts, timeout=drain_s + PATIENCE_S)
            for post in late:
                post.cancel()
            await asyncio.wait(self._posts)

    def callers_changed(self) -> None:
        """Tell every worker who may call."""
        for worker in self._workers.values():
            self._tell_callers(worker)

    @property
    def counters(self) -> Counters:
        """What all workers did, those that are no more included."""
        total = Counters(self._past.requests, self._past.answered, Counter(self._past.refused))
        for worker in self._workers.values():
            _add(total, worker.counters)
        return total

    @property
    def serving(self) -> int:
        """How many workers serve right now."""
        return 0 if self._stopping else sum(worker.ready for worker in self._workers.values())

    async def _keep(
        self, number: int, listener: socket.socket, first: asyncio.Future[None]
    ) -> None:
        """Keep one worker's post filled until the crew is stopped."""
        failures = 0
        while not self._stopping:
            born = time.monotonic()
            code: int | None = None
            try:
                code = await self._employ(number, listener, first)
            except Exception:  # it could not be started, or it talks nonsense
                log.exception("worker %d failed", number)
            if self._stopping:
                return
            if not first.done():
                first.set_exception(WorkerFailed(f"ended with exit code {code} before it served"))
                return
            failures = 0 if time.monotonic() - born > LONG_LIFE_S else failures + 1
            pause = PAUSE_S[min(max(failures - 1, 0), len(PAUSE_S) - 1)]
            log.error("worker %d ended with exit code %s; again in %g s", number, code, pause)
            self.restarts += 1
            await asyncio.sleep(pause)

    async def _employ(
        self, number: int, listener: socket.socket, first: asyncio.Future[None]
    ) -> int | None:
        """One worker's life; its exit code."""
        ours, theirs = socket.socketpair()
        channel = await Channel.over(ours)
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *self._command,
                    str(listener.fileno()),
                    str(theirs.fileno()),
                    pass_fds=(listener.fileno(), theirs.fileno()),
                    stdin=asyncio.subprocess.DEVNULL,
                )
        except BaseException:
            channel.close()
            raise
        worker = self._workers[number] = _Worker(process, channel)
        if self._stopping:
            worker.end()
        try:
            worker.channel.send(Kind.SETTINGS, 0, self._settings.model_dump_json().encode())
            self._tell_callers(worker)
            await self._attend(number, worker, first)
            # Whoever does not talk to us any more is of no use.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_S):
                    await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            worker.cancel()
            del self._workers[number]
            _add(self._past, worker.counters)
        return process.returncode

    async def _attend(self, number: int, worker: _Worker, first: asyncio.Future[None]) -> None:
        """Answer one worker's questions until it hangs up."""
        while (frame := await worker.channel.read()) is not None:
            match frame.kind:
                case Kind.READY:
                    worker.ready = True
                    log.info("worker %d serves (process %d)", number, worker.process.pid)
                    if not first.done():
                        first.set_result(None)
                case Kind.ASK:
                    worker.begin(frame.number, self._answer(worker, frame.number, frame.body))
                case Kind.CANCEL:
                    worker.cancel(frame.number)
                case Kind.TALLY:
                    tally = frame.data
                    worker.counters = Counters(
                        tally["requests"], tally["answered"], Counter(tally["refused"])
                    )
                    self._learn(tally["known"])
                case _:
                    log.error("worker %d says what only we say: %s", number, frame.kind.name)

    async def _answer(self, worker: _Worker, number: int, body: bytes) -> None:
        """Ask the handler for a worker, and send back what comes of it."""
        hotkey, nonce, packed = unpack_question(body)
        try:
            # Each worker holds to this by itself, and cannot know of the others.
            if not self._places.take(hotkey):
                text = "too many requests of this caller at once"
                raise RequestRefused(429, "caller_busy", text)
            try:
                challenge = codec.decode(self._subnet.challenge, packed)
                answer = await self._handler(challenge, Caller(hotkey, nonce))
                worker.channel.send(Kind.ANSWER, number, codec.encode(answer))
            finally:
                self._places.give(hotkey)
        except Declined as error:
            _refuse(worker, number, RequestRefused(503, "declined", str(error)))
        except RequestRefused as refusal:
            _refuse(worker, number, refusal)
        except Exception:
            log.exception("a question of %s failed", hotkey)
            _refuse(worker, number, RequestRefused(500, "internal", "the miner failed to answer"))

    def _learn(self, known: Sequence[str]) -> None:
        news = set(known) - set(self._policy.known)
        if news:
            self._policy.learn(news)
            self.callers_changed()

    def _tell_callers(self, worker: _Worker) -> None:
        policy = self._policy
        worker.channel.tell(
            Kind.CALLERS,
            {
                "age_s": policy.age_s,
                "neurons": dict(policy.neurons),
                "known": list(policy.known),
            },
        )


class _Worker:
    """One worker process that lives."""

    def __init__(self, process: asyncio.subprocess.Process, channel: Channel) -> None:
        self.process = process
        self.channel = channel
        self.ready = False
        self.counters = Counters()
        self._questions: dict[int, asyncio.Task[None]] = {}

    def begin(self, number: int, answering: Any) -> None:
        """Answer a question on the side."""
        task = self._questions[number] = asyncio.create_task(answering)
        task.add_done_callback(lambda _: self._questions.pop(number, None))

    def cancel(self, number: int | None = None) -> None:
        """Give up one question, or all; without a number also hang up."""
        if number is not None:
            if number in self._questions:
                self._questions[number].cancel()
            return
        for task in self._questions.values():
            task.cancel()
        self.channel.close()

    def end(self) -> None:
        """Ask it to drain and to end."""
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()


def _refuse(worker: _Worker, number: int, refusal: RequestRefused) -> None:
    facts = {"status": refusal.status, "code": refusal.code, "message": refusal.message}
    worker.channel.tell(Kind.REFUSAL, facts, number)


def _add(total: Counters, more: Counters) -> None:
    total.requests += more.requests
    total.answered += more.answered
    total.refused.update(more.refused)
