"""Prompts of reasoning-gym: generators with levels, and their own scorers. Extra `prompts`.

An answer comes from a stranger. Several of the package's scorers evaluate it as Python, or can be
kept busy for hours by a short text; none of these is used: a generator is one that compares texts,
or one whose scorer was read and found harmless.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from subnet.definition import Judgement
from subnet.errors import DefinitionError, MissingExtra
from validators.prompts.sources import Item

GENERATORS = (
    "aiw", "base_conversion", "basic_arithmetic", "binary_alternation", "caesar_cipher",
    "calendar_arithmetic", "chain_sum", "count_bits", "count_primes", "course_schedule",
    "family_relationships", "gcd", "isomorphic_strings", "largest_island", "lcm", "leg_counting",
    "letter_counting", "letter_jumble", "number_filtering", "number_sequence", "products",
    "rotate_matrix", "simple_equations", "simple_geometry", "spell_backward",
    "string_manipulation", "string_splitting", "syllogism", "word_sequence_reversal",
)  # fmt: skip
"""All of these have levels."""
READ = frozenset(
    {"calendar_arithmetic", "chain_sum", "family_relationships", "letter_jumble", "products",
     "spell_backward"}
)  # fmt: skip
"""Scorers of their own that were read: no evaluation, no unbounded work."""
LONGEST = 10_000
"""Longest answer in characters that a scorer is shown."""
SEEDS = 2**31
DRAWS = 20
"""So many seeds are tried before a generator counts as broken at a level."""


@dataclass(frozen=True)
class Gym:
    """Items of `names`, at levels from `lowest` to `highest` (0 is the easiest)."""

    names: Sequence[str] = GENERATORS
    lowest: int = 0
    highest: int = 2

    def __post_init__(self) -> None:
        for name in self.names:
            _ensure_harmless(name)
        if not self.names or not 0 <= self.lowest <= self.highest:
            raise DefinitionError("Gym", "needs a generator or more, and levels from 0 up")

    def draw(self, rng: random.Random) -> Item:
        """One problem. Raises DefinitionError when the generator makes none at that level."""
        name, level = rng.choice(self.names), rng.randint(self.lowest, self.highest)
        problem = ""
        for _ in range(DRAWS):
            seed = rng.randrange(SEEDS)
            try:
                entry = _entry(name, level, seed)
            except MissingExtra:
                raise
            except Exception as error:  # some generators cannot make one of every seed
                problem = repr(error)
                continue
            reference = {"kind": "gym", "name": name, "level": level, "seed": seed,
                         "answer": str(entry["answer"])}  # fmt: skip
            return Item(str(entry["question"]), reference, f"gym:{name}")
        raise DefinitionError("Gym", f"{name} at level {level}: {problem}")


def score_gym(reference: Mapping[str, Any], text: str) -> Judgement:
    """Right or wrong, by the generator's own scorer; parts of an answer are worth nothing.

    Its partial marks pay for anything at all, in places. Raises DefinitionError and MissingExtra.
    """
    name, level, seed = reference["name"], reference["level"], reference["seed"]
    _ensure_harmless(name)
    if len(text) > LONGEST:
        return Judgement(0.0, "too-long")
    entry = _entry(name, level, seed)
    if str(entry["answer"]) != reference["answer"]:
        # Another version of the package makes another problem of the same seed.
        raise DefinitionError("Gym", f"this version's {name} is not the one that asked")
    right = _dataset(name, level, seed).score_answer(text, entry) == 1.0
    return Judgement(float(right), "right" if right else "wrong")


def _entry(name: str, level: int, seed: int) -> Mapping[str, Any]:
    entry: Mapping[str, Any] = _dataset(name, level, seed)[0]
    return entry


@lru_cache(maxsize=64)
def _dataset(name: str, level: int, seed: int) -> Any:
    """The generator with one problem in it."""
    factory = _factory()
    curriculum = factory.create_curriculum(name)
    curriculum.set_global_level(level)
    config = curriculum.generate_configuration({"seed": seed, "size": 1})
    kind, _ = factory.DATASETS[name]
    return kind(config)


def _ensure_harmless(name: str) -> None:
    factory = _factory()
    if name not in factory.CURRICULA:
        raise DefinitionError("Gym", f"reasoning-gym has no generator {name} with levels")
    from reasoning_gym.dataset import ProceduralDataset

    kind, _ = factory.DATASETS[name]
    if name not in READ and kind.score_answer is not ProceduralDataset.score_answer:
        raise DefinitionError(
            "Gym", f"the scorer of {name} may run what a miner writes; it is not used"
        )


def _factory() -> Any:
    try:
        from reasoning_gym import factory
    except ModuleNotFoundError as error:
        raise MissingExtra("reasoning-gym", "prompts") from error
    return factory
