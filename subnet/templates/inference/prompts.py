"""Open questions without end, from a seed: templates filled with random words, numbers, records.

Names are made of syllables, so no list of all prompts can be written down. Questions are open on
purpose: a question with one good answer leaves the sampler nothing to choose, and proves nothing.
"""

from __future__ import annotations

import random

ANIMALS = "badger crane ferret gecko heron jackal lemur marten newt otter puffin quail toad".split()
JOBS = "baker clerk diver farmer glazier judge miller nurse painter pilot sailor tailor".split()
THINGS = (
    "anchor basket candle drum engine feather guitar hammer kettle ladder lantern map mirror "
    "needle piano rope saddle shovel teapot umbrella violin wagon window"
).split()
PLACES = (
    "abbey attic bakery canyon cellar desert harbour island kitchen library lighthouse market "
    "museum orchard quarry station tower valley workshop"
).split()
MOODS = "angry brave calm curious eager gentle gloomy lonely proud quiet restless shy tired".split()
FOODS = "apricots beans cheese dumplings figs honey lentils mustard olives plums soup rye".split()
TOPICS = "frost glass iron maps moss paper rivers salt sleep smoke stars tides weather wool".split()

_STARTS = "b br d dr f g gr h k kl l m n p r s st t tr v w z".split()
_VOWELS = "a e i o u ai ea io ou".split()

TEMPLATES = (
    "Write the first lines of a story about a {mood} {animal} called {name} who finds {number} "
    "{thing}s in a {place}.",
    "Invent a product that is half {thing} and half {thing2}, sold for {number} dollars by "
    "{name}. Write its advertisement.",
    "Write a short poem about {topic} and {topic2} in which {name} the {job} loses a {thing}.",
    "A {job} called {name} and a {mood} {animal} meet in a {place} at {hour}:{minute}. What do "
    "they talk about?",
    "Name: {name}. Work: {job}. Age: {age}. Likes: {food}, {topic}. Introduce this person to "
    "the {animal} club.",
    "Give {name}, a {mood} {job}, some unusual advice about {topic} and {food}.",
    "Describe the smell of a {place} where {number} {animal}s have eaten {food}.",
    "Item {number}: {thing}, {mood} colour, found in the {place} by {name}. Guess its history.",
    "Write a letter from a {job} in {town} to {name} that mentions {topic}, a {thing} and {food}.",
    "Why might {name} keep {number} {thing}s in the {place} of {town}? Be imaginative.",
    "Make up a legend that explains why the {animal}s of {town} fear {topic}.",
    "It is {hour}:{minute} in {town}. {name} the {mood} {job} opens the {place} door and sees",
)


def write_prompt(source: random.Random) -> str:
    """One question; the same state of `source` gives the same one."""
    thing, thing2 = source.sample(THINGS, 2)
    topic, topic2 = source.sample(TOPICS, 2)
    return source.choice(TEMPLATES).format(
        age=source.randint(18, 97),
        animal=source.choice(ANIMALS),
        food=source.choice(FOODS),
        hour=source.randint(1, 12),
        job=source.choice(JOBS),
        minute=f"{source.randint(0, 59):02}",
        mood=source.choice(MOODS),
        name=_name(source),
        number=source.randint(2, 9999),
        place=source.choice(PLACES),
        thing=thing,
        thing2=thing2,
        topic=topic,
        topic2=topic2,
        town=_name(source),
    )


def _name(source: random.Random) -> str:
    syllables = source.randint(2, 3)
    parts = [source.choice(_STARTS) + source.choice(_VOWELS) for _ in range(syllables)]
    return "".join(parts).capitalize() + source.choice(("", "n", "r", "s"))
