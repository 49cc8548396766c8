"""Questions without end, from a seed: some have one right answer, and some are open.

Names are made of syllables, so that nothing can be looked up, only read or worked out. A program
that knows these templates answers them without any model: they are a floor. What your subnet is
for belongs in a source of its own, beside them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from validators.prompts.sources import Item, Lookup, Mix

OPEN = "open"
"""The kind of a reference to which an answer should be near."""

FOODS = "apricots beans cheese dumplings figs honey lentils mustard olives plums soup rye".split()
JOBS = "baker clerk diver farmer glazier judge miller nurse painter pilot sailor tailor".split()

_SYLLABLES = [head + vowel for head in "b d f g k l m n p r s t v z".split() for vowel in "aeiou"]


@dataclass(frozen=True, slots=True)
class Sum:
    """Two numbers to be added."""

    most: int = 50

    def draw(self, rng: random.Random) -> Item:
        """A sum, and what it is."""
        one, other = rng.randint(2, self.most), rng.randint(2, self.most)
        prompt = f"What is {one} + {other}? Answer with the number."
        return Item(prompt, {"kind": "number", "answer": one + other}, "sum")


@dataclass(frozen=True, slots=True)
class Fields:
    """A sentence to be written down as JSON."""

    def draw(self, rng: random.Random) -> Item:
        """A sentence, and what is in it."""
        name, town, age = _name(rng), _name(rng), rng.randint(18, 97)
        prompt = (
            f"{name} is {age} years old and lives in {town}. "
            'Write this as a JSON object with the keys "name", "age" and "town".'
        )
        answer = {"name": name, "age": age, "town": town}
        return Item(prompt, {"kind": "json", "answer": answer}, "fields")


@dataclass(frozen=True, slots=True)
class Tell:
    """A sentence to be written about somebody: many are good.

    The reference is one of those, with the facts that each of them holds.
    """

    def draw(self, rng: random.Random) -> Item:
        """Whom to write about, and such a sentence."""
        name, job, food = _name(rng), rng.choice(JOBS), rng.choice(FOODS)
        reference = {
            "kind": OPEN,
            "answer": f"{name} is a {job} who likes {food}.",
            "facts": [name, job, food],
        }
        prompt = f"Write one sentence about {name}, a {job} who likes {food}."
        return Item(prompt, reference, "tell")


def _name(rng: random.Random) -> str:
    return "".join(rng.choices(_SYLLABLES, k=rng.randint(2, 3))).capitalize()


MIX = Mix((1, Sum()), (1, Lookup(3)), (2, Fields()), (2, Tell()))
