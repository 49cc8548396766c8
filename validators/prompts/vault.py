"""The vault: the questions of an epoch, fixed before they are asked, private until published.

It draws tasks that nobody was ever asked, deals them to miners, makes leaves of them, and hands
them out turn by turn. What was handed out is never handed out again, whatever happens to the
process. Knows nothing of the chain.
"""

from __future__ import annotations

import hashlib
import json
import random
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

from pydantic_core import to_jsonable_python

from scoring.verify.merkle import leaf_hash
from subnet.definition import Subnet
from subnet.errors import DefinitionError
from subnet.protocol import A, C, Reply, Target, Task
from validators.prompts.leaf import (
    ALL,
    SALT_BYTES,
    Leaf,
    NoLeaf,
    group_names,
    is_for,
    who_is_probed,
)
from validators.prompts.origin import canary_seed
from validators.prompts.sealing import Sealing, Sealings
from validators.prompts.secret import sealing_seed
from validators.prompts.stream import Drawn, Stream, digest, digests_of
from validators.prompts.withheld import Withheld
from validators.signatures import line_of

__all__ = ["Question", "Turn", "Vault", "digest"]


@dataclass(frozen=True, slots=True)
class Question(Generic[C]):
    """A task with the leaf it is fixed by."""

    task: Task[C]
    leaf: Leaf

    @property
    def line(self) -> dict[str, Any]:
        """What a journal tells of it: of somebody's own words no more than the leaf's hash."""
        if self.leaf.organic:
            return {"id": self.task.id, "hash": leaf_hash(self.leaf.text.encode()).hex()}
        return {"id": self.task.id, "challenge": self.leaf.challenge}


@dataclass(frozen=True, slots=True)
class Turn(Generic[C]):
    """The questions of one round; `root` (hex) is that of the leaves they are from."""

    root: str
    questions: tuple[Question[C], ...]

    @property
    def tasks(self) -> tuple[Task[C], ...]:
        """What is asked, in order."""
        return tuple(question.task for question in self.questions)

    @property
    def salts(self) -> Mapping[str, str]:
        """What hides the answers to organic questions (hex), by the ids of their tasks."""
        return {
            question.task.id: question.leaf.salt
            for question in self.questions
            if question.leaf.organic
        }

    def pairs(self, targets: Sequence[Target]) -> list[tuple[Task[C], Target]]:
        """Who is asked what: every task, to those of `targets` it is for."""
        return [
            (question.task, target)
            for question in self.questions
            for target in targets
            if is_for(question.leaf.audience, question.leaf.seed, target.hotkey)
        ]


class Vault(Generic[C, A]):
    """The questions of one validator.

    `seed` is secret, and another one each time a vault is opened. `asked` tells whether a
    question with this digest was ever remembered. `path` is the file of sealed questions; without
    one they do not outlive the process.
    """

    def __init__(
        self,
        subnet: Subnet[C, A],
        *,
        seed: bytes,
        asked: Callable[[bytes], bool],
        path: Path | None = None,
    ) -> None:
        self._subnet = subnet
        self._seed = seed
        self._asked = asked
        self._sealings = Sealings(path)
        self._secrets = 0
        self._secret = self._sealings.secret or self._draw_secret()
        self._attempt = 0
        self._ready: list[Drawn[C]] = []
        self._begin_stream()
        self._withheld = None if path is None else Withheld(path.parent)
        self._held: set[bytes] = set()
        for sealing in self._sealings.items:
            self._held.update(*map(self._leaf_digests, sealing.leaves))

    async def prepare(self, count: int) -> None:
        """Have `count` tasks drawn, so that sealing does not wait for them."""
        try:
            while len(self._ready) < count:
                self._ready.append(await self._stream.draw())
        except Exception:
            self._attempt += 1
            self._begin_stream()  # all questions of a sealing are of one seed, which deals groups
            raise

    def digests(self, task: Task[C]) -> tuple[bytes, ...]:
        """What `task` is known by, and what everything that reads the same is known by."""
        return digests_of(self._subnet, task.challenge)

    def find(self, epoch: int) -> Sealing | None:
        """What is sealed for `epoch` and has turns left."""
        for sealing in self._sealings.items:
            if sealing.epoch == epoch and sealing.taken < sealing.turns:
                return sealing
        return None

    def left(self, epoch: int) -> int | None:
        """For how many rounds of `epoch` there are questions left; None where it can be sealed.

        An epoch that was sealed, or passed over for the next one, is not sealed again. What is
        farther ahead than that was sealed on another chain.
        """
        sealing, newest = self.find(epoch), self._sealings.newest
        if sealing is not None:
            return sealing.turns - sealing.taken
        return 0 if newest in (epoch, epoch + 1) else None

    async def seal(
        self,
        epoch: int,
        *,
        netuid: int,
        validator: str,
        turns: int,
        tasks: int,
        hotkeys: Iterable[str] = (),
    ) -> Sealing:
        """Fix the questions of `turns` rounds of `epoch`, `tasks` to each miner and round.

        `hotkeys` (ss58) are who gets questions of its own, where the subnet deals like that.
        On the disk when it returns. Raises DefinitionError and StateError.
        """
        audiences = self._audiences(hotkeys)
        count = turns * tasks * len(audiences)
        await self.prepare(count)
        drawn, seed = self._ready[:count], self._seed_of_stream
        canaries = self._canaries(audiences, seed)
        leaves: list[Leaf] = []
        for turn in range(turns):
            asked = [(audience, drawn.pop(0)) for audience in audiences for _ in range(tasks)]
            if turn == int.from_bytes(seed[:8], "big") % turns:
                asked += canaries
            # Neither a canary nor a group is known by its place.
            random.Random(seed + turn.to_bytes(8, "big")).shuffle(asked)
            for audience, item in asked:
                place = {"epoch": epoch, "index": len(leaves), "turn": turn, "audience": audience}
                leaves.append(self._leaf(item, netuid=netuid, validator=validator, **place))
        following = self._draw_secret()
        beacon = self._sealings.beacon
        sealing = Sealing(
            epoch,
            tuple(leaf.text for leaf in leaves),
            secret=self._secret.hex(),
            after=None if beacon is None else beacon.hex(),
            next=hashlib.sha256(following).hexdigest(),
        )
        self._sealings.add(sealing, following)
        # The next ones come from a seed of their own: this one will be published.
        self._secret, self._attempt = following, 0
        self._begin_stream()
        self._held.update(*map(self._leaf_digests, leaves))
        return sealing

    def note_posted(
        self,
        sealing: Sealing,
        block: int,
        beside: Iterable[str] = (),
        *,
        beacon: bytes | None = None,
    ) -> Sealing:
        """Remember that the root of `sealing` is on the chain since `block`, beside others.

        The hash of that block, `beacon`, decides what is sealed next.
        """
        if sealing.next == hashlib.sha256(self._secret).hexdigest():
            self._sealings.beacon = beacon
            self._begin_stream()
        return self._sealings.replace(sealing, block=block, beside=tuple(sorted(beside)))

    def take(self, sealing: Sealing) -> Turn[C]:
        """The next turn's questions: on the disk as taken when this returns. Raises StateError."""
        leaves = [leaf for leaf in sealing.leaves if leaf.turn == sealing.taken]
        self._sealings.replace(sealing, taken=sealing.taken + 1)
        return Turn(
            sealing.tree.root.hex(),
            tuple(Question(task_of(self._subnet, leaf), leaf) for leaf in leaves),
        )

    def withhold(self, turn: Turn[C], replies: Iterable[tuple[str, Reply[Any]]]) -> None:
        """Keep what a journal will not tell of `turn`: organic questions and what was answered.

        `replies` come with the ids of their tasks. Raises StateError.
        """
        answers: dict[str, dict[str, bytes]] = {}
        signatures: dict[str, dict[str, Mapping[str, Any]]] = {}
        for task, reply in replies:
            if reply.answer is not None:
                answers.setdefault(task, {})[reply.hotkey] = reply.body
                if reply.signature is not None:
                    signed = signatures.setdefault(task, {})
                    signed[reply.hotkey] = line_of(reply.signature)
        for question in turn.questions:
            leaf = question.leaf
            if leaf.organic and self._withheld is not None:
                self._withheld.keep(
                    leaf.epoch,
                    turn.root,
                    leaf.index,
                    leaf.text,
                    answers.get(leaf.task, {}),
                    signatures.get(leaf.task, {}),
                )

    def finished(self, epoch: int) -> tuple[Sealing, ...]:
        """What nobody will be asked any more, in or before `epoch`, once its rounds are over."""
        return tuple(
            item for item in self._sealings.items if item.epoch < epoch or item.taken >= item.turns
        )

    def drop(self, sealing: Sealing) -> None:
        """Let go of what is published; none of it will ever be asked."""
        digests = {known for leaf in sealing.leaves for known in self._leaf_digests(leaf)}
        self._held -= digests
        unasked = [known for known in digests if not self._asked(known)]
        self._sealings.drop(sealing, unasked)

    def _begin_stream(self) -> None:
        seed = sealing_seed(self._secret, self._sealings.beacon or b"", self._attempt)
        self._seed_of_stream = seed
        self._stream = Stream(self._subnet, seed=seed, asked=self._is_known)
        self._ready = []

    def _draw_secret(self) -> bytes:
        place = self._secrets.to_bytes(8, "little")
        self._secrets += 1
        return hashlib.blake2b(place, key=self._seed[:64], digest_size=32).digest()

    def _is_known(self, known: bytes) -> bool:
        return known in self._held or known in self._sealings.spent or self._asked(known)

    def _leaf_digests(self, leaf: Leaf) -> tuple[bytes, ...]:
        return self.digests(task_of(self._subnet, leaf))

    def _audiences(self, hotkeys: Iterable[str]) -> list[str]:
        groups = self._subnet.groups
        if groups == "each":
            return sorted(hotkeys) or [ALL]  # nobody is there: who comes gets these
        return list(group_names(groups))

    def _canaries(self, audiences: Sequence[str], seed: bytes) -> list[tuple[str, Drawn[C]]]:
        """A plant for each audience, and its probe for others."""
        found: list[tuple[str, Drawn[C]]] = []
        for number, audience in enumerate(audiences if len(audiences) > 1 else ()):
            pair = self._subnet.canary(canary_seed(seed, number))
            if pair is None:
                break
            for who, task in zip((audience, who_is_probed(audiences, number)), pair, strict=True):
                found.append((who, Drawn(task, seed, -1 - number, ())))
        return found

    def _leaf(self, drawn: Drawn[C], **place: Any) -> Leaf:
        task = drawn.task
        try:
            leaf = Leaf(
                task=task.id,
                challenge=task.challenge.model_dump(mode="json"),
                reference=to_jsonable_python(task.reference, inf_nan_mode="constants"),
                seed=drawn.seed.hex(),
                number=drawn.number,
                salt=secrets.token_hex(SALT_BYTES),
                organic=task.organic,
                canary=task.canary,
                **place,
            )
            task_of(self._subnet, Leaf.parse(leaf.text))
        except (NoLeaf, ValueError) as error:
            problem = f"task {task.id} cannot be written down and read again: {error}"
            raise DefinitionError(type(self._subnet).__name__, problem) from error
        return leaf


def task_of(subnet: Subnet[C, A], leaf: Leaf) -> Task[C]:
    """The task that `leaf` fixes, as whoever scores it sees it.

    The validator scores what is written in the leaf, and not what it was made of: so does an
    auditor. Raises ValidationError when it is no task of this subnet.
    """
    return Task(
        leaf.task,
        subnet.challenge.model_validate_json(json.dumps(leaf.challenge)),
        subnet.reference(leaf.reference),
        organic=leaf.organic,
        canary=leaf.canary,
    )
