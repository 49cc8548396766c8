"""The best answer: miners run whatever model they like, and are paid for what it says.

Most questions have one right answer, and any other earns nothing, however fast. The others
are open: an answer must hold every fact it was given, and earns by how near it is to a reference
(`Quality`: words, without any model; `Meaning`: vectors). In `Judged` a model grades open answers
besides, as far as it can be trusted: whenever questions are sealed it is attacked first, and what
came of that is sealed with them. So every score is a function of what is published.
"""

from __future__ import annotations

import hashlib
import logging
import random
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import islice
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from scoring import judge as judging
from scoring.combine import combine, shut
from scoring.exact import Unreadable, fold
from scoring.latency import latency
from scoring.policies import Memory, Ramp, Window
from scoring.sentences import Encoder, load_encoder
from scoring.shaping import shape
from scoring.similarity import cosine, overlap
from subnet.definition import Fact, Judgement, Miner, MinerOptions, Subnet
from subnet.engines.base import Engine, Params
from subnet.engines.choice import open_engine
from subnet.engines.models import MINILM, SMOLLM2_135M, get_folder
from subnet.errors import InvalidSetting
from subnet.protocol import Answer, Challenge, Reply, Task
from subnet.templates.quality.questions import MIX, OPEN
from validators.prompts.sources import Mix, check

log = logging.getLogger(__name__)

WINDOW = 96
"""Questions that a miner's score is the mean of: see docs/scoring.md for how many rank right."""
RAMP = 24
"""Answers from which on a newcomer is paid in full."""
LEAST_SCORE = 0.01
"""Remembered scores below this are paid nothing."""
POWER = 2.0
"""Twice as good earns four times as much: it pays to be the best, and not to be many."""
MOST_WORDS = 40
"""Of an open answer, which is to be one sentence."""
WEIGHTS: Mapping[str, float] = {"right": 1.0, "near": 2.0, "judge": 1.0}
"""Of the parts of a score, in `combine`."""
REASONS: Mapping[str, str] = {
    "in time": "late",
    "brief": "too-long",
    "own words": "echo",
    "all facts": "incomplete",
    "right": "wrong",
}
"""Why an answer is worth nothing, by the gate that is shut."""
JUDGE_KNOWN = 4
"""Good answers that a judge is shown, whenever it is attacked."""
GRADE_TOKENS = 4

Kind = Literal["number", "text", "set", "json", "gym", "open"]
"""Those of `validators.prompts.sources.check`, and the open one."""


class Ask(Challenge):
    """A question, and what an answer must be, all of it: nothing is searched for in prose."""

    prompt: Annotated[str, Field(min_length=1, max_length=2000)]
    kind: Kind


class Said(Answer):
    """An answer; a longer one is none."""

    text: Annotated[str, Field(max_length=1000)]


class Quality(Subnet[Ask, Said]):
    """Pays for right answers, and for sentences that are near to a good one in their words."""

    challenge = Ask
    answer = Said
    timeout_s: ClassVar[float] = 30.0
    paid_s: ClassVar[float] = 20.0
    """One wide bin: any answer this fast is worth the same, and a later one nothing."""
    memory: ClassVar[Memory | None] = Memory(mean=Window(WINDOW), ramp=Ramp(RAMP), rounds=WINDOW)
    mix: ClassVar[Mix] = MIX
    """Where questions come from. Put your own source in: see `validators.prompts.sources`."""

    async def tasks(self, seed: bytes) -> AsyncIterator[Task[Ask]]:
        """Questions from the mix; what an open one's judges are worth is part of its reference."""
        judges = await self.examine(seed)
        for item in self.mix.items(seed):
            if item.reference is None:
                raise ValueError(f"{item.source} has an item without a reference: {item.prompt!r}")
            reference = dict(item.reference)
            if reference["kind"] == OPEN:
                fence = hashlib.blake2b(item.id.encode(), key=seed[:64], digest_size=16)
                reference |= {"judges": judges, "fence": fence.hexdigest()}
            yield Task(item.id, Ask(prompt=item.prompt, kind=reference["kind"]), reference)

    async def examine(self, seed: bytes) -> Mapping[str, Mapping[str, Fact]]:
        """What each judge's weight is for the questions of this seed, and why; here is no judge."""
        return {}

    async def score(self, task: Task[Ask], reply: Reply[Said]) -> Judgement:
        """A weighted product behind gates: 0 for late, wrong, incomplete or endless answers."""
        assert reply.answer is not None
        text, reference = reply.answer.text, task.reference
        assert isinstance(reference, Mapping)
        gates = {"in time": latency(reply.timing.total_s, self.paid_s) == 1.0}
        parts, least = {"right": 0.0}, {"right": 1.0}
        facts: dict[str, Fact] = {}
        if reference["kind"] == OPEN:
            gates["brief"] = len(text.split()) <= MOST_WORDS
            gates["own words"] = not is_echo(text, task.challenge.prompt)
            gates["all facts"] = tells(text, reference.get("facts", []))
            parts, least = {"near": self.near(text, reference)}, {}
            if all(gates.values()):
                parts |= await self.opinion(task, text)
            for name, judge in reference["judges"].items():
                facts |= {f"{name} weight": judge["weight"], f"{name} standing": judge["standing"]}
        else:
            parts["right"] = check(reference, text).score
        score = combine(parts, {part: WEIGHTS[part] for part in parts}, gates, least)
        closed = shut(parts, gates, least)
        reason = REASONS[closed[0]] if closed else reference["kind"] if score else "far"
        return Judgement(score, reason, {**facts, **parts})

    def near(self, text: str, reference: Mapping[str, Any]) -> float:
        """How near an open answer is to its reference, 0..1: pairs of words that both have.

        Single words would pay for the list of facts that the question is.
        """
        return overlap(text, reference["answer"], n=2)

    async def opinion(self, task: Task[Ask], text: str) -> Mapping[str, float]:
        """What judges add to the parts of an open answer's score: nothing where none counts."""
        return {}

    def prompt(self, challenge: Ask) -> str:
        """The prompt: the kind follows from it."""
        return challenge.prompt

    def weights(self, scores: Mapping[int, float]) -> Mapping[int, float]:
        """In proportion to a power of the score, and nothing below `LEAST_SCORE`."""
        return shape(scores, floor=LEAST_SCORE, power=POWER)

    @asynccontextmanager
    async def miner(self, options: MinerOptions) -> AsyncIterator[Miner[Ask, Said]]:
        """A miner with any model: the one that the settings name, else SmolLM2."""
        if options.behaviour != "honest":
            problem = f"{options.behaviour} is not a behaviour of this subnet's miners; use honest"
            raise InvalidSetting("miner.behaviour", "the settings", problem)
        async with open_engine(
            self.engine_settings,
            SMOLLM2_135M.sha256,
            path=options.model_file,
            allow_other_weights=True,  # the best answer wins, whoever gave it
        ) as engine:
            yield Speaker(engine)


class Meaning(Quality):
    """As `Quality`, by the angle between MiniLM's vectors: other words may say the same.

    Vectors are not the same to the last bit on every machine: audit with `--tolerance 0.01`.
    """

    _encoder: Encoder

    @asynccontextmanager
    async def judge(self) -> AsyncIterator[None]:
        """MiniLM's weights. Raises ModelMissing, which says how to get them."""
        self._encoder = load_encoder(get_folder(MINILM))
        yield

    def near(self, text: str, reference: Mapping[str, Any]) -> float:
        """The cosine; but a text without a pair of the reference's words is a list of facts."""
        if super().near(text, reference) == 0.0:
            return 0.0
        one, other = self._encoder.encode([text, reference["answer"]])
        return cosine(one, other)


class Judged(Quality):
    """As `Quality`, and a model grades every open answer that is worth anything.

    The model here is SmolLM2, which no guard lets through: it shows what becomes of such a judge.
    Give it a better one in `judges`.
    """

    rules: ClassVar[judging.Rules] = judging.Rules(
        rubric="Grade how well one sentence tells all that was asked.", top=9, longest=1000
    )
    attacks: ClassVar[tuple[str, ...]] = judging.ATTACKS
    """Texts that must earn nothing. Everybody can read these: add some of your own."""

    _engine: Engine

    @asynccontextmanager
    async def judge(self) -> AsyncIterator[None]:
        """The model that grades."""
        async with open_engine(self.engine_settings, SMOLLM2_135M.sha256) as self._engine:
            yield

    def judges(self) -> Mapping[str, judging.Ask]:
        """Every judge by its name, each of the same weight. More are harder to talk over."""

        async def ask(prompt: str) -> str:
            tokens = await self._engine.chat(prompt)
            return await say(self._engine, tokens, GRADE_TOKENS)

        return {"smollm2": ask}

    async def examine(self, seed: bytes) -> Mapping[str, Mapping[str, Fact]]:
        """Attack every judge, and show it answers known to be good, all drawn from the seed.

        A mix for judges has open questions.
        """
        own = hashlib.blake2b(b"judges", key=seed[:64]).digest()
        items = (item for item in self.mix.items(own) if (item.reference or {})["kind"] == OPEN)
        known = [(i.prompt, str((i.reference or {})["answer"])) for i in islice(items, JUDGE_KNOWN)]
        rng = random.Random(own)
        found: dict[str, dict[str, Fact]] = {}
        for name, ask in self.judges().items():
            probe = await judging.probe(
                known, ask, lambda: rng.randbytes(16).hex(), self.rules, self.attacks
            )
            standing = probe.standing()
            weight = judging.trusted({name: 1.0}, {name: standing})[name]
            found[name] = {
                "standing": standing.value,
                "weight": weight,
                "worst_attack": max(probe.attacks),
                "median_good": sorted(probe.good)[len(probe.good) // 2],
            }
            if weight == 0.0:
                log.warning("judge %s counts nothing, it is %s: %s", name, standing, found[name])
        return found

    async def opinion(self, task: Task[Ask], text: str) -> Mapping[str, float]:
        """The weighted median of the grades of those judges that count."""
        reference = task.reference
        assert isinstance(reference, Mapping)

        def draw() -> str:
            # Known to nobody before the answer is there, and to an auditor the same afterwards.
            key = bytes.fromhex(reference["fence"])
            return hashlib.blake2b(text.encode(), key=key, digest_size=16).hexdigest()

        weights = {name: float(judge["weight"]) for name, judge in reference["judges"].items()}
        grades = {
            name: await judging.grade(task.challenge.prompt, text, ask, draw, self.rules)
            for name, ask in self.judges().items()
            if weights.get(name, 0.0) > 0.0
        }
        settled = judging.settle(grades, weights)
        return {} if settled is None else {"judge": settled}


class Speaker:
    """Says what the likeliest tokens of its model are, and cuts the answer out of that."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def answer(self, challenge: Ask, caller: str) -> Said:
        """The model's answer, of the kind that was asked for."""
        tokens = await self._engine.chat(challenge.prompt)
        return Said(text=cut(await say(self._engine, tokens, LENGTH), challenge.kind))


LENGTH = 40
"""Tokens that this miner spends on an answer."""


async def say(engine: Engine, prompt: list[int], length: int) -> str:
    """The text of the likeliest tokens after `prompt`."""
    made = engine.generate(prompt, Params(length, temperature=0.0))
    return "".join([token.text async for token in made if token.id != engine.end_token]).strip()


def cut(text: str, kind: Kind) -> str:
    """What of a model's talk is the answer; the talk itself where no answer is found."""
    first = text.partition("\n")[0]
    found: list[str] = []
    if kind == "number":
        found = re.findall(r"\d+", first)
    elif kind == "text":
        found = re.findall(r"\w[\w-]*", first)
    elif kind == "json":
        found = re.findall(r"\{[^{}]*\}", text)
    elif kind == "open":
        found = re.findall(r"^.*?[.!?](?=\s|$)", first) or [first]
    return (found or [text])[-1][:1000]


def is_echo(text: str, prompt: str) -> bool:
    """Whether a text is the question, a part of it, or holds it: by the pairs of its words."""
    said, asked = (list(zip(w, w[1:], strict=False)) for w in map(words, (text, prompt)))
    return _is_mostly_in(said, asked) or _is_mostly_in(asked, said)


def _is_mostly_in(pairs: list[tuple[str, str]], others: list[tuple[str, str]]) -> bool:
    return bool(pairs) and sum(pair in others for pair in pairs) >= 0.8 * len(pairs)


def tells(text: str, facts: list[str]) -> bool:
    """Whether all of `facts`, each a word or some in a row, are in `text`."""
    said = f" {' '.join(words(text))} "
    return all(f" {' '.join(words(fact))} " in said for fact in facts)


def words(text: str) -> list[str]:
    """The words of a text, as they compare; none of a text that cannot be read."""
    try:
        return re.findall(r"\w+", fold(text))
    except Unreadable:
        return []
