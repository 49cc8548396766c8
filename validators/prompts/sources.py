"""Sources of prompts, mixed by weight: generators, templates, an author's own rows, real requests.

Each item is drawn from a seed of its own, so that those asked do not tell those to come. What an
answer is worth is for `check`, which needs the item's reference alone: an auditor can do it.

    def tasks(self, seed):
        for item in self.mix.items(seed):
            yield Task(item.id, Ask(prompt=item.prompt), item.reference, organic=item.organic)

    async def score(self, task, reply):
        return check(task.reference, reply.answer.text)
"""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from scoring.exact import Mark, same_json, same_number, same_set, same_text
from subnet.definition import Judgement
from subnet.errors import InvalidSetting

Reference = Mapping[str, Any]

_SYLLABLES = [head + vowel for head in "b d f g k l m n p r s t v z br dr kl st tr".split()
              for vowel in "aeiou"]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Item:
    """A prompt, the reference by which `check` scores answers to it, and where it is from.

    `reference` is a JSON object; None where nothing but a judge can tell, as of real requests,
    which are `organic`.
    """

    prompt: str
    reference: Reference | None
    source: str
    organic: bool = False
    id: str = ""


class Source(Protocol):
    """Where items come from: the same state of `rng` gives the same one."""

    def draw(self, rng: random.Random) -> Item:
        """One item."""
        ...


class Mix:
    """Sources with their weights (shares of all items, in any unit above 0)."""

    def __init__(self, *parts: tuple[float, Source]) -> None:
        if not parts or not all(0 < weight < float("inf") for weight, _ in parts):
            raise ValueError("a mix has one source or more, each with a weight above 0")
        self._weights = [weight for weight, _ in parts]
        self._sources = [source for _, source in parts]

    def items(self, seed: bytes) -> Iterator[Item]:
        """Items without end: the same seed gives the same ones."""
        for number in itertools.count():
            own = hashlib.blake2b(number.to_bytes(8, "little"), key=seed[:64]).digest()
            rng = random.Random(own)
            (source,) = rng.choices(self._sources, self._weights)
            item = source.draw(rng)
            # The id tells nobody what kind of item it is.
            name = hashlib.blake2b(own, digest_size=16).hexdigest()
            yield Item(item.prompt, item.reference, item.source, item.organic, name)


def check(reference: Any, text: str) -> Judgement:
    """What `text` is worth as an answer to an item with this reference, 0..1.

    Raises ValueError for a reference that no source makes. Where one line is asked for, the last
    counts that says anything: a model may think before it answers.
    """
    kind = reference.get("kind") if isinstance(reference, Mapping) else None
    final = text.strip()
    if kind is not None and "\n" not in str(reference.get("answer", "")):
        final = final.splitlines()[-1].strip() if final else ""
    match kind:
        case "text":
            mark = same_text(final, reference["answer"])
        case "number":
            mark = same_number(final, reference["answer"], absolute=reference.get("within", 0.0))
        case "set":
            mark = same_set(final, reference["answer"])
        case "json":
            mark = same_json(text, reference["answer"])
        case "gym":
            from validators.prompts.gym import score_gym

            return score_gym(reference, final)
        case "anything":
            return Judgement(1.0, "anything")
        case _:
            raise ValueError(f"no reference of a source: {reference!r}")
    return _judgement(mark)


def _judgement(mark: Mark) -> Judgement:
    return Judgement(mark.score, mark.reason.value)


@dataclass(frozen=True, slots=True)
class Lookup:
    """A register of made-up names and codes, and the question for one of them.

    Nothing in it was ever written down before: it can only be read.
    """

    rows: int = 6

    def draw(self, rng: random.Random) -> Item:
        """A register and a question."""
        names = _names(rng, self.rows)
        codes = [_code(rng) for _ in names]
        wanted = rng.randrange(len(names))
        register = "\n".join(f"{name}: {code}" for name, code in zip(names, codes, strict=True))
        where = _names(rng, 1)[0]
        prompt = rng.choice(
            (
                "Register of {where}\n{register}\n\nWhich code has {name}? Answer with the code.",
                "Here are codes from {where}.\n{register}\nGive the code of {name}, and only that.",
                "{register}\n\nThese entries are from {where}. What stands beside {name}?",
            )
        ).format(where=where, register=register, name=names[wanted])
        return Item(prompt, {"kind": "text", "answer": codes[wanted]}, "lookup")


@dataclass(frozen=True, slots=True)
class Extract:
    """A short report with fresh values, to be given back as JSON."""

    def draw(self, rng: random.Random) -> Item:
        """A report and what is in it."""
        name, town = _names(rng, 2)
        day = f"{rng.randint(2001, 2099)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
        count, price = rng.randint(2, 9999), rng.randint(100, 99999) / 100
        report = rng.choice(
            (
                "On {day} {name} of {town} ordered {count} crates at {price} each.",
                "{name} wrote from {town}: the {count} crates of {day} came to {price} apiece.",
                "Invoice, {town}, {day}. Customer {name}. {count} crates, unit price {price}.",
            )
        ).format(name=name, town=town, day=day, count=count, price=price)
        prompt = (
            f"{report}\nReturn one JSON object with the keys customer, town, date, crates, price."
        )
        answer = {"customer": name, "town": town, "date": day, "crates": count, "price": price}
        return Item(prompt, {"kind": "json", "answer": answer}, "extract")


class Rows:
    """An author's own data: rows with a prompt and a reference.

    A reference is one of this module's, or a bare text or number to be matched.
    """

    def __init__(
        self,
        rows: Sequence[Mapping[str, Any]],
        *,
        prompt: str = "prompt",
        reference: str = "reference",
        name: str = "rows",
        organic: bool = False,
    ) -> None:
        if not rows:
            raise ValueError(f"{name} has no rows")
        self._items = [
            Item(str(row[prompt]), _reference(row.get(reference)), name, organic) for row in rows
        ]

    @classmethod
    def read(cls, path: Path, **columns: Any) -> Rows:
        """The rows of a JSONL file. Raises InvalidSetting, which says which line is wrong."""
        rows = []
        try:
            with path.open(encoding="utf-8") as file:
                for number, line in enumerate(file, start=1):  # noqa: B007  # told where one is wrong
                    if not line.strip():
                        continue
                    row = json.loads(line)
                    row[columns.get("prompt", "prompt")]
                    rows.append(row)
        except OSError as error:
            raise InvalidSetting("prompts", str(path), error.strerror or str(error)) from error
        except (ValueError, KeyError, TypeError) as error:
            problem = f"line {number} is no JSON object with a prompt: {error!r}"
            raise InvalidSetting("prompts", str(path), problem) from error
        if not rows:
            raise InvalidSetting("prompts", str(path), "it has no lines")
        return cls(rows, **{"name": path.stem, **columns})

    def draw(self, rng: random.Random) -> Item:
        """One of the rows; those asked before are left out by the vault."""
        return rng.choice(self._items)


def recorded(path: Path, *, prompt: str = "prompt") -> Rows:
    """Real requests, recorded one JSON object a line: asked again, and never published."""
    return Rows.read(path, prompt=prompt, name="recorded", organic=True)


def _reference(value: Any) -> Reference | None:
    match value:
        case None | Mapping():
            return value
        case str():
            return {"kind": "text", "answer": value}
        case bool():
            raise ValueError("a reference is a text, a number, or an object with a kind")
        case int() | float():
            return {"kind": "number", "answer": value}
    raise ValueError(f"a reference is a text, a number, or an object with a kind, not {value!r}")


def _names(rng: random.Random, count: int) -> list[str]:
    """Different made-up names."""
    names: dict[str, None] = {}
    while len(names) < count:
        parts = [rng.choice(_SYLLABLES) for _ in range(rng.randint(2, 4))]
        names["".join(parts).capitalize()] = None
    return list(names)


def _code(rng: random.Random) -> str:
    """80 random bits, in groups that are easily read."""
    letters = "".join(rng.choices(string.ascii_uppercase + "234567", k=16))
    return "-".join(letters[at : at + 4] for at in range(0, 16, 4))


def canary(seed: bytes) -> tuple[Item, Item]:
    """A plant, which tells what nobody can know, and a probe, which asks for it without telling.

    Whoever knows the answer to the probe has seen the plant: it holds `plant.reference["answer"]`.
    A probe is worth the same whatever is answered.
    """
    rng = random.Random(hashlib.blake2b(b"canary", key=seed[:64]).digest())
    (where, *names), code = _names(rng, 7), _code(rng)
    wanted = rng.randrange(len(names))
    codes = [code if number == wanted else _code(rng) for number in range(len(names))]
    lines = [f"{name}: {other}" for name, other in zip(names, codes, strict=True)]
    ask = f"Which code has {names[wanted]}? Answer with the code."
    plant = Item(
        f"Register of {where}\n" + "\n".join(lines) + f"\n\n{ask}",
        {"kind": "text", "answer": code},
        "canary",
        id=hashlib.blake2b(b"plant", key=seed[:64], digest_size=16).hexdigest(),
    )
    others = [line for number, line in enumerate(lines) if number != wanted]
    probe = Item(
        f"Register of {where}\n" + "\n".join(others) + f"\n\n{ask}",
        {"kind": "anything"},
        "canary",
        id=hashlib.blake2b(b"probe", key=seed[:64], digest_size=16).hexdigest(),
    )
    return plant, probe
