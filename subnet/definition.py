"""`Subnet`: the one class a subnet author writes.

It says what is asked and answered, where hidden tasks come from, what an answer is worth, how
scores become weights, and how the honest miner is built. Miner and validator processes do the
rest. Knows nothing of sockets, chains or files.
"""

from __future__ import annotations

import importlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, TypeVar

from scoring.shaping import shape
from subnet.config import EngineTable
from subnet.errors import DefinitionError
from subnet.protocol import A, Answer, C, Challenge, Reply, Task

if TYPE_CHECKING:  # with numpy, which a miner may do without
    from scoring.policies import Claim, Memory
    from scoring.verify.statement import Statement

Fact = str | int | float | bool | None

C_contra = TypeVar("C_contra", bound=Challenge, contravariant=True)
A_co = TypeVar("A_co", bound=Answer, covariant=True)


@dataclass(frozen=True, slots=True)
class Judgement:
    """A score with its grounds: `reason` is a short stable code, `facts` go to the journal.

    `statements` are what verifiers say of the answer, for the trial in `Subnet.memory`; `claim` is
    what the miner claimed and what was shown, for its proof.
    """

    score: float
    reason: str = ""
    facts: Mapping[str, Fact] = field(default_factory=dict)
    statements: tuple[Statement, ...] = ()
    claim: Claim | None = None


class Miner(Protocol[C_contra, A_co]):
    """Anything that answers. Raise `Declined` to say no; any other error is answered as a 500."""

    async def answer(self, challenge: C_contra, caller: str) -> A_co:
        """The answer to `challenge`, asked by the hotkey `caller` (ss58, already verified)."""
        ...


@dataclass(frozen=True, slots=True)
class MinerOptions:
    """What a miner process knows when it builds its miner.

    `hotkey` is the miner's own (ss58): answers may be bound to it. `behaviour` other than
    "honest" names a demo kind. `model_file` replaces the cached model, whose hash is still
    checked unless `allow_other_weights`, which is a weakening for demos and tests.
    """

    hotkey: str
    behaviour: str = "honest"
    model_file: Path | None = None
    allow_other_weights: bool = False


class Subnet(ABC, Generic[C, A]):
    """What a subnet pays for. Subclass it once; every process makes one instance.

    class Echo(Subnet[Say, Said]):
        challenge, answer = Say, Said

        def tasks(self, seed):
            for number in itertools.count():
                word = hashlib.blake2b(b"%d" % number, key=seed, digest_size=8).hexdigest()
                yield Task(str(number), Say(text=word), reference=word)

        async def score(self, task, reply):
            return float(reply.answer.text == task.reference)

        @asynccontextmanager
        async def miner(self, options):
            yield Parrot()
    """

    challenge: type[C]
    answer: type[A]
    path: ClassVar[str] = "/ask"
    """Where miners are asked, on their axon."""
    timeout_s: ClassVar[float] = 60.0
    """Time a miner has, from the moment the question was written to its socket."""
    model_sha256: ClassVar[str | None] = None
    """Hash of the model file this subnet is about, if it is about one."""
    seed_locked: ClassVar[bool] = False
    """Whether answers are sampled by the seed lock: what serves the model must be able to."""
    engine_settings: EngineTable = EngineTable()
    """What the settings of this process say about engines: see `subnet.engines.choice`."""
    memory: ClassVar[Memory | None] = None
    """How a miner's past becomes its score. None: the mean of its scores, older ones fading by
    `weights.half_life_rounds`."""
    groups: ClassVar[int | Literal["each"]] = 1
    """Into how many groups miners are dealt, each with questions of its own. 1: all get the same;
    "each": every miner its own. What is dealt to whom is fixed before an epoch's first question."""

    audit_rate: ClassVar[float] = 1.0
    """Share of the answers that `score` looks at, above 0. Below 1 it is drawn which, by the hash
    of the first block after they came; the others get `trust`. It wants a trial in `memory`, whose
    bans make up for what nobody looked at: `scoring.verify.sampling` has the least rate."""

    @abstractmethod
    def tasks(self, seed: bytes) -> Iterator[Task[C]] | AsyncIterator[Task[C]]:
        """Hidden tasks without end: the same seed gives the same tasks, another seed others.

        Miners see what was asked: it must not tell what comes. `random.Random(seed)` does, once
        enough of its numbers are known; take a new source, made of seed and number, for each task.
        """

    @abstractmethod
    async def score(self, task: Task[C], reply: Reply[A]) -> float | Judgement:
        """What the answer is worth, 0..1. Called only for signed replies that hold an answer."""

    def trust(self, task: Task[C], reply: Reply[A]) -> float | Judgement:
        """What an answer is worth that was not drawn. What costs nothing may be checked here."""
        return Judgement(1.0, "trusted")

    @abstractmethod
    def miner(self, options: MinerOptions) -> AbstractAsyncContextManager[Miner[C, A]]:
        """The honest miner, open for as long as the context lasts."""

    def judge(self) -> AbstractAsyncContextManager[object]:
        """What `tasks` and `score` need, open for as long as the validator runs: a model, say."""
        return nullcontext()

    def advice(self) -> tuple[str, str] | None:
        """What a judge of this subnet lacks with these settings, and what to do; None: nothing.

        `subnet doctor` shows it.
        """
        return None

    def canary(self, seed: bytes) -> tuple[Task[C], Task[C]] | None:
        """A plant and a probe, to find out who passes questions on. None, the default: no canaries.

        One group gets the plant, which tells something that nobody could know: the `canary` of its
        task. The others get the probe, which asks for it. An audit names who knew. Make `score`
        worth the same whatever is answered to a probe.
        """
        return None

    def prompt(self, challenge: C) -> str:
        """The part of a challenge that makes it this question: what reads the same is a repeat.

        All of it, unless you leave out what is random in every challenge, such as a seed.
        """
        return challenge.model_dump_json()

    def reference(self, value: Any) -> object:
        """A task's reference, from the JSON value that it is kept and published as."""
        return value

    def weights(self, scores: Mapping[int, float]) -> Mapping[int, float]:
        """Weight by uid from what is remembered (0..1 by uid); only the proportions count."""
        return shape(scores)

    def mechanisms(self, scores: Mapping[int, float]) -> Mapping[int, Mapping[int, float]]:
        """Weights for each of the subnet's mechanisms, by its number on the chain, 0 among them.

        What the chain pays each mechanism is the owner's setting. Most subnets have this one.
        """
        return {0: self.weights(scores)}


def load(
    name: str, *, model_sha256: str | None = None, engine: EngineTable | None = None
) -> Subnet[Any, Any]:
    """The subnet named "package.module:Class". Raises DefinitionError, which says what is wrong.

    With `model_sha256` it must be a subnet of that very model. `engine` is what its miner and its
    judge run the model with, where they leave that to the settings.
    """
    module_name, colon, class_name = name.partition(":")
    if not colon or not module_name or not class_name:
        raise DefinitionError(name, 'must look like "package.module:Class"')
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise DefinitionError(name, f"there is no module {error.name}") from error
    except Exception as error:  # an author's module may fail in any way while it is imported
        raise DefinitionError(name, f"importing {module_name} failed: {error!r}") from error

    found = getattr(module, class_name, None)
    if found is None:
        raise DefinitionError(name, f"{module_name} has no {class_name}")
    if not (isinstance(found, type) and issubclass(found, Subnet)):
        raise DefinitionError(name, f"{class_name} is not a subclass of Subnet")
    missing = sorted(found.__abstractmethods__)
    missing += [part for part in ("challenge", "answer") if not hasattr(found, part)]
    if missing:
        raise DefinitionError(name, f"{class_name} lacks {', '.join(missing)}")
    for part, base in (("challenge", Challenge), ("answer", Answer)):
        kind = getattr(found, part)
        if not (isinstance(kind, type) and issubclass(kind, base)):
            raise DefinitionError(name, f"{part} must be a subclass of {base.__name__}")
    if not inspect.iscoroutinefunction(found.score):
        raise DefinitionError(name, "score must be an async function")
    if not 0.0 < found.audit_rate <= 1.0:
        raise DefinitionError(name, f"audit_rate is {found.audit_rate}, not above 0 and up to 1")
    if found.audit_rate < 1.0 and (found.memory is None or found.memory.trial is None):
        raise DefinitionError(name, "an audit_rate below 1 needs a trial in memory, which bans")
    if model_sha256 not in (None, found.model_sha256):
        raise DefinitionError(
            name, f"it is about model {found.model_sha256}; the settings say {model_sha256}"
        )
    subnet = found()
    if engine is not None:
        subnet.engine_settings = engine
    return subnet
