"""A journal as a validator writes it, of a subnet that pays for doubling numbers."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chain.client.metagraph import Metagraph
from chain.client.subnet import Schedule
from subnet.definition import Judgement, Subnet
from subnet.protocol import Answer, Challenge, Failure, Reply, Task, Timing
from subnet.wire.codec import encode
from validators.journal import Journal
from validators.judge import judge
from validators.moment import Moment
from validators.prompts.posting import published
from validators.prompts.vault import Vault
from validators.record import code_of, record
from validators.weights import WeightsReport

DAY = 86400.0
MINERS = ("5Right", "5Wrong", "5Silent")


class Double(Challenge):
    number: int


class Doubled(Answer):
    number: int


class Doubling(Subnet[Double, Doubled]):
    """1 for twice the number, which is the reference."""

    challenge, answer = Double, Doubled

    def tasks(self, seed: bytes) -> Iterator[Task[Double]]:
        for number in itertools.count():
            drawn = hashlib.blake2b(b"%d" % number, key=seed, digest_size=4).digest()
            value = int.from_bytes(drawn, "big")
            yield Task(f"{seed.hex()[:8]}-{number}", Double(number=value), reference=2 * value)

    async def score(self, task: Task[Double], reply: Reply[Doubled]) -> Judgement:
        assert reply.answer is not None
        right = reply.answer.number == task.reference
        return Judgement(float(right), "right" if right else "wrong", {"off": not right})

    def miner(self, options: Any) -> AbstractAsyncContextManager[Any]:
        return nullcontext()


def bare(number: int, **more: Any) -> dict[str, Any]:
    """The line of a round in which nobody was asked and nothing was set, but for `more`."""
    weights: dict[str, Any] = {
        "set": False, "read_back": None, "block": None, "problem": None, "meant": {},
    }  # fmt: skip
    line = {
        "kind": "round", "round": number, "time": 0.0, "netuid": 1, "validator": "5Validator",
        "block": 1, "epoch": 1, "tasks": [], "replies": [], "scores": {}, "weights": weights,
    }  # fmt: skip
    return line | more


def bare_reply(**more: Any) -> dict[str, Any]:
    """What is said of a reply that was of no worth, but for `more`."""
    reply = {
        "task": "t", "uid": 1, "hotkey": "5Hot", "ok": True, "failure": None, "detail": "",
        "status": 200, "signed": True, "queued_s": 0.0, "first_byte_s": 0.1, "total_s": 0.2,
        "score": 0.0, "reason": "wrong", "facts": {}, "answer": None,
    }  # fmt: skip
    return reply | more


@dataclass
class History:
    """Writes round after round into the journal in `folder`, a round a day from time 0."""

    folder: Path
    validator: str = "5Validator"
    miners: Sequence[str] = MINERS
    burn: float = 0.0
    subnet: Subnet[Any, Any] = field(default_factory=Doubling)

    @property
    def path(self) -> Path:
        return self.folder / "journal.jsonl"

    async def write(self, rounds: int, *, first: int = 1, leaves: bool = True) -> None:
        """`rounds` rounds, one an epoch; with `leaves` their questions are published."""
        subnet = self.subnet
        vault: Vault[Any, Any] = Vault(
            subnet, seed=b"history%d" % first, asked=lambda known: False, path=None
        )
        with Journal(self.path, code=code_of(subnet)) as journal:
            for number in range(first, first + rounds):
                sealing = await vault.seal(
                    number, netuid=1, validator=self.validator, turns=1, tasks=1
                )
                turn = vault.take(sealing)
                asked = [
                    (task, self._reply(task, uid, hotkey))
                    for task in turn.tasks
                    for uid, hotkey in enumerate(self.miners)
                ]
                judged = await judge(subnet, asked)
                line = record(
                    round=number,
                    run=1,
                    time=number * DAY,
                    validator=self.validator,
                    moment=Moment(
                        Metagraph(1, 100 * number, 100, 0, "", "", ()),
                        Schedule(100 * number, 100, number, 0, 0),
                        0,
                        True,
                    ),
                    turn=turn,
                    path=subnet.path,
                    judged=judged,
                    weights=WeightsReport(set=True, read_back=True, block=7, meant={0: 65535}),
                    most_bytes=10**6,
                )
                line["scores"] = self._scores(line["replies"])
                journal.append(line)
                if leaves:
                    (done,) = vault.finished(number + 1)
                    told = published(done, (), netuid=1, validator=self.validator)
                    journal.append({**told, "time": (number + 1) * DAY})
                    vault.drop(done)

    def _scores(self, replies: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        return {reply["hotkey"]: reply["score"] for reply in replies}

    def _reply(self, task: Task[Double], uid: int, hotkey: str) -> Reply[Doubled]:
        answer = Doubled(number=2 * task.challenge.number + (uid == 1))
        silent = uid == 2
        return Reply(
            uid,
            hotkey,
            None if silent else answer,
            Failure.TIMEOUT if silent else None,
            "no whole answer in 60 s" if silent else "",
            None if silent else 200,
            not silent,
            Timing(0.001, None if silent else 0.1, 60.0 if silent else 0.2 + uid),
            body=b"" if silent else encode(answer),
        )
