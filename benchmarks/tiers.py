"""How many questions each scorer needs to rank three tiers of model right: docs/scoring.md.

The tiers are SmolLM2-135M-Instruct, the same without two of its 30 layers, and a Markov chain of
its words. The judge is the first of them. Answers are kept in a folder, and found there again:

    subnet model fetch && python -m benchmarks.tiers --folder FOLDER --similarity MINILM_FOLDER

Ignores speed, and whether the work was done: only what the text is worth.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import random
import re
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.detection import Models, generate, prefill, write
from scoring.exact import same_number
from scoring.sentences import load_encoder
from scoring.similarity import Verdict, Vote, cosine, overlap

TIERS = ("whole", "28 layers", "Markov")
"""Best first."""
MODELS: Mapping[str, str] = {"whole": "right", "28 layers": "without"}
LEFT_OUT = (20, 21)
"""Layers, from 0. Without the last ones instead, what a model says is no language."""
ECHO = "echo"
"""Says the question back: no answer, and what likeness alone would pay for it."""
PAIRS = ((0, 1), (0, 2), (1, 2))
BATCH = 30
TEMPERATURE = 0.5
DRAWS = 4000
SURE = 0.99
MOST = 1000
"""Questions beyond which a scorer counts as one that does not rank."""

OPEN: tuple[tuple[str, str], ...] = (
    ("Why is the sky blue?", "Air scatters short blue wavelengths of sunlight more than red."),
    ("What causes the seasons?", "The tilt of the Earth's axis as it orbits the Sun."),
    ("What is photosynthesis?", "Plants use sunlight, water and carbon dioxide to make sugar."),
    ("Why do we sleep?", "Sleep lets the brain and body rest, repair and form memories."),
    ("What is a volcano?", "An opening in the Earth's crust where lava, ash and gases erupt."),
    ("How do vaccines work?", "They train the immune system to recognise and fight a germ."),
    ("What is gravity?", "A force by which bodies with mass attract each other."),
    (
        "Why does ice float?",
        "Ice is less dense than liquid water, because water expands as it freezes.",
    ),
    ("What is DNA?", "A molecule that carries the genetic instructions of living things."),
    ("How do planes fly?", "Wings shaped to push air down create lift that carries the plane."),
    ("What is inflation?", "A general rise of prices, so that money buys less over time."),
    ("What does the heart do?", "It pumps blood through the body to carry oxygen and nutrients."),
    ("Why are leaves green?", "They contain chlorophyll, which reflects green light."),
    ("What is an earthquake?", "A shaking of the ground when tectonic plates slip along a fault."),
    (
        "What is a black hole?",
        "A region of space whose gravity is so strong that light cannot escape.",
    ),
    (
        "How does a compass work?",
        "A magnetic needle aligns itself with the Earth's magnetic field.",
    ),
    ("What is the Internet?", "A worldwide network of computers that exchange data."),
    ("Why do we have leap years?", "A year is about a quarter of a day longer than 365 days."),
    ("What causes tides?", "The gravity of the Moon and the Sun pulls on the oceans."),
    ("What is democracy?", "A government in which the people choose their leaders by voting."),
    ("How do bees make honey?", "They collect nectar from flowers and dry it in the hive."),
    ("What is an ecosystem?", "A community of living things together with their environment."),
    (
        "Why is exercise healthy?",
        "It strengthens the heart and muscles and lowers the risk of disease.",
    ),
    ("What is electricity?", "A flow of electric charge, usually of electrons in a wire."),
    ("What is a vitamin?", "A nutrient the body needs in small amounts to stay healthy."),
    (
        "How does soap clean?",
        "Its molecules bind both grease and water, so that dirt is rinsed away.",
    ),
    (
        "What is climate change?",
        "A long-term change of temperatures and weather, driven by emissions.",
    ),
    (
        "Why do birds migrate?",
        "They move to find food and warmer places to breed in another season.",
    ),
    ("What is a fossil?", "The preserved remains or traces of an ancient living thing in rock."),
    ("How do magnets work?", "Aligned electrons make a magnetic field that attracts iron."),
    ("What is a computer virus?", "A malicious program that copies itself to other computers."),
    (
        "What is the water cycle?",
        "Water evaporates, condenses into clouds and falls again as rain.",
    ),
    ("Why do we yawn?", "Perhaps to cool the brain or stay alert when tired; it is contagious."),
    ("What are antibiotics?", "Medicines that kill bacteria or stop them from growing."),
    ("What is an atom?", "The smallest unit of an element, a nucleus with electrons around it."),
    ("How do fish breathe?", "Gills take oxygen out of the water that flows over them."),
    ("What is a novel?", "A long story of fiction, written in prose."),
    ("Why do onions make us cry?", "Cutting them releases a gas that irritates the eyes."),
    ("What is recycling?", "Turning waste into new materials so that less is thrown away."),
    (
        "How does a fridge work?",
        "A fluid evaporates inside, takes up heat, and gives it off outside.",
    ),
    (
        "What is a solar eclipse?",
        "The Moon passes between the Sun and the Earth and hides the Sun.",
    ),
    ("What is the immune system?", "The cells and organs that defend the body against infection."),
    ("Why does metal rust?", "Iron reacts with oxygen and water and forms iron oxide."),
    ("What is evolution?", "Species change over generations by natural selection."),
    (
        "How does a microwave heat food?",
        "Its waves make water molecules in the food move and warm up.",
    ),
    ("What is a budget?", "A plan for how much money to earn, save and spend."),
    ("Why do cats purr?", "Mostly when content, and also to calm or heal themselves."),
    ("What is a glacier?", "A large mass of ice that moves slowly over land."),
    ("How do bicycles stay upright?", "By steering into a fall and by their forward motion."),
    ("What is a galaxy?", "A huge system of stars, gas and dust held together by gravity."),
    ("What is an algorithm?", "A list of exact steps for solving a problem."),
    ("Why do we need water?", "The body needs it for blood, temperature, digestion and cells."),
    ("What is a desert?", "A dry region that gets very little rain."),
    (
        "How do plants drink?",
        "Roots take up water from the soil and the stem carries it to leaves.",
    ),
    ("What is a rainbow?", "Sunlight split into its colours by drops of rain."),
    ("What is a mammal?", "A warm-blooded animal with hair that feeds its young with milk."),
    (
        "Why does bread rise?",
        "Yeast ferments sugar and makes bubbles of carbon dioxide in the dough.",
    ),
    (
        "What is a telescope?",
        "An instrument with lenses or mirrors that makes far things look near.",
    ),
    ("What is sound?", "Vibrations that travel through air or matter as waves."),
    ("What is a map?", "A drawing of an area that shows where things are."),
)
"""Questions and what a person would answer."""

TRAINING: tuple[str, ...] = tuple(
    f"{ask} {of}"
    for of in (
        "rivers.",
        "the Moon.",
        "trees.",
        "cooking.",
        "cities.",
        "music.",
        "the ocean.",
        "dogs.",
        "medicine.",
        "the weather.",
        "farming.",
        "books.",
        "the brain.",
        "space travel.",
        "insects.",
        "history.",
        "sports.",
        "mathematics.",
        "energy.",
        "health.",
    )
    for ask in ("Tell me about", "Explain the basics of", "Why do people care about")
)
"""What the chain's text was an answer to; none of it is asked again."""

NAMES = ("Anna", "Boris", "Clara", "David", "Elena", "Felix", "Greta", "Hugo")
ASKED = "In one sentence: "


def extraction(rng: random.Random) -> tuple[str, int]:
    """Return a question whose answer is one of three numbers in it, and that number."""
    people = rng.sample(NAMES, 3)
    numbers = rng.sample(range(100, 1000), 3)
    facts = " ".join(
        f"{who} lives in house {number}." for who, number in zip(people, numbers, strict=True)
    )
    at = rng.randrange(3)
    return f"{facts}\n\nQuestion: In which house does {people[at]} live?", numbers[at]


class Tiers(Models):
    """The whole model, and the one without some layers, which is called "without"."""

    def get(self, name: str) -> Any:
        """Return the model of that name in the precision asked for; one is kept at a time."""
        if name != "without" or self._made[0] == name:
            return super().get(name)
        model = copy.deepcopy(self.right)
        layers = model.model.layers
        model.model.layers = torch.nn.ModuleList(
            layer for at, layer in enumerate(layers) if at not in LEFT_OUT
        )
        for at, layer in enumerate(model.model.layers):
            layer.self_attn.layer_idx = at  # its place in the cache
        model.config.num_hidden_layers = len(model.model.layers)
        self._made = (name, model.to(self.precision))
        return self._made[1]


class Chain:
    """A Markov chain of words; the next one depends on the last two, or on one where those end."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.starts: list[tuple[str, str]] = []
        self.after: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for text in texts:
            words = text.split()
            if len(words) > 2:
                self.starts.append((words[0], words[1]))
            for one, two, three in zip(words, words[1:], words[2:], strict=False):
                self.after[one, two].append(three)
                self.after[(two,)].append(three)

    def say(self, rng: random.Random, count: int) -> str:
        """Return `count` words or fewer."""
        words = list(rng.choice(self.starts))
        while len(words) < count:
            following = self.after.get((words[-2], words[-1])) or self.after.get((words[-1],))
            if not following:
                break
            words.append(rng.choice(following))
        return " ".join(words)


def answers(
    models: Models, folder: Path, name: str, asked: Sequence[str], length: int
) -> list[str]:
    """Return what a model says to each question, from the folder if it is there."""
    path = folder / f"{name}.json"
    if not path.is_file():
        said: list[str] = []
        for at in range(0, len(asked), BATCH):
            prompts = [models.chat(text) for text in asked[at : at + BATCH]]
            locks = [(bytes([at // BATCH, i]) * 8, b"\x01" * 32, TEMPERATURE) for i in range(BATCH)]
            model = name.partition("-")[0]
            for made in generate(models, model, prompts, locks[: len(prompts)], length):
                said.append(models.tokenizer.decode(made.tokens, skip_special_tokens=True).strip())
            say(f"{name}: {len(said)} of {len(asked)}")
        write(path, json.dumps(said).encode())
    kept: list[str] = json.loads(path.read_text())
    return kept


def say(text: str) -> None:
    """One line of talk on stderr."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {time.process_time():.0f} s of CPU: {text}\n")
    sys.stderr.flush()


def plausible(models: Models, question: str, said: Sequence[str]) -> list[float]:
    """Return the judge's mean log-probability of a token of each text, in nats."""
    encoded = [
        models.tokenizer(text or " ", add_special_tokens=False)["input_ids"] for text in said
    ]
    seen = prefill(models.get("right"), models.chat(question), encoded)
    return [
        float(logprobs.gather(1, torch.tensor(ids)[:, None]).mean())
        for ids, (logprobs, _) in zip(encoded, seen, strict=True)
    ]


def leanings(models: Models, question: str, said: Sequence[str]) -> list[tuple[float, float]]:
    """Return, per pair, the judge's log-odds for the place of the first text, shown first and last.

    A judge that looks only at places gives two numbers that sum to 0.
    """
    prompts = []
    for one, two in PAIRS:
        for first, second in ((one, two), (two, one)):
            text = (
                f"Question: {question}\n\nAnswer A: {said[first]}\n\nAnswer B: {said[second]}\n\n"
                "Which answer is better, A or B? Reply with one letter."
            )
            ids = models.chat(text)
            prompts.append(ids + models.tokenizer("Answer", add_special_tokens=False)["input_ids"])
    widest = max(map(len, prompts))
    ids = torch.tensor([[0] * (widest - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (widest - len(p)) + [1] * len(p) for p in prompts])
    model = models.get("right")
    out = model.model(
        input_ids=ids, attention_mask=mask, position_ids=(mask.cumsum(1) - 1).clamp_min(0)
    )
    logits = model.lm_head(out.last_hidden_state[:, -1]).float()
    a, b = (models.tokenizer(f" {x}", add_special_tokens=False)["input_ids"][0] for x in "AB")
    odds = (logits[:, a] - logits[:, b]).tolist()
    return [(odds[at], -odds[at + 1]) for at in range(0, len(odds), 2)]


def won(leaning: Sequence[tuple[float, float]], *, by_margin: bool) -> list[float]:
    """Return the wins of each tier in one question's three pairs.

    With every pair judged equally often, the order of Bradley-Terry strengths is that of wins.
    `by_margin` adds the two log-odds instead of letting a contradiction be a tie.
    """
    wins = [0.0] * len(TIERS)
    for (one, two), (shown, swapped) in zip(PAIRS, leaning, strict=True):
        if by_margin:
            share = 0.5 + 0.5 * float(np.sign(shown + swapped))
        else:
            share = Vote(
                one,
                two,
                Verdict.FIRST if shown > 0 else Verdict.SECOND,
                Verdict.SECOND if swapped > 0 else Verdict.FIRST,
            ).won
        wins[one] += share
        wins[two] += 1.0 - share
    return wins


def needed(scores: NDArray[np.float64]) -> int | None:
    """Return how many questions rank right with a chance of `SURE`; None if `MOST` do not.

    `scores` is (questions, tiers), best tier first; right is strictly falling means. Questions are
    drawn again, with replacement: more than there are stand for as many others of their kind.
    """

    def right(count: int) -> bool:
        drawn = np.random.default_rng(count).integers(len(scores), size=(DRAWS, count))
        means = np.stack([column[drawn].mean(axis=1) for column in scores.T], axis=1)
        # Sums of equal scores differ by rounding, and are no order.
        return float((np.diff(means, axis=1) < -1e-9).all(axis=1).mean()) >= SURE

    if not right(MOST):
        return None
    low, high = 0, MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if right(middle) else (middle, high)
    return high


def table(found: Mapping[str, NDArray[np.float64]]) -> str:
    """Return the means, and how many questions are needed, as Markdown."""
    columns = ["scorer", "questions", *TIERS, ECHO, "1st over 2nd", "2nd over 3rd", "all three"]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for name, scores in found.items():
        means = [f"{mean:.2f}" for mean in scores.mean(axis=0)]
        means += [""] * (len(TIERS) + 1 - len(means))
        counts = [needed(scores[:, start:end]) for start, end in ((0, 2), (1, 3), (0, 3))]
        needs = ["does not" if count is None else str(count) for count in counts]
        lines.append(f"| {' | '.join([name, str(len(scores)), *means, *needs])} |")
    return "\n".join(lines)


@dataclass
class Said:
    """What every tier, and the echo, said to the open questions and to the others."""

    open: dict[str, list[str]]
    facts: dict[str, list[str]]


def ask_all(models: Tiers, folder: Path, facts: Sequence[str], length: int) -> Said:
    """Ask every tier everything, answers of `length` tokens or fewer."""
    rng = random.Random(10)
    texts = [ASKED + question for question, _ in OPEN]
    chain = Chain(answers(models, folder, "right-training", TRAINING, length))
    said = Said({}, {})
    for tier, model in MODELS.items():
        said.open[tier] = answers(models, folder, f"{model}-open", texts, length)
        said.facts[tier] = answers(models, folder, f"{model}-facts", facts, 24)
    said.open["Markov"] = [chain.say(rng, 28) for _ in texts]
    said.facts["Markov"] = [chain.say(rng, 16) for _ in facts]
    said.open[ECHO] = [question for question, _ in OPEN]
    said.facts[ECHO] = list(facts)
    return said


def judge_all(models: Tiers, folder: Path, said: Said) -> list[dict[str, Any]]:
    """Return what the judge thinks of each open question's answers; kept in the folder."""
    path = folder / "judged.json"
    if not path.is_file():
        judged = []
        for at, (question, _) in enumerate(OPEN):
            shown = [said.open[tier][at] for tier in (*TIERS, ECHO)]
            likely = plausible(models, ASKED + question, shown)
            judged.append({"plausible": likely, "leanings": leanings(models, question, shown)})
            if at % 10 == 9:
                say(f"judged {at + 1}")
        write(path, json.dumps(judged).encode())
    kept: list[dict[str, Any]] = json.loads(path.read_text())
    return kept


def first_number(text: str, right: int) -> float:
    """Return 1 if the first number in a text is the right one."""
    found = re.search(r"\d+", text)
    return same_number(found[0], right).score if found else 0.0


def main() -> None:
    """Ask, score, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--similarity", type=Path, required=True, help="MiniLM's folder")
    parser.add_argument("--extractions", type=int, default=120)
    parser.add_argument("--length", type=int, default=40, help="tokens of an answer")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    os.environ["HF_HUB_OFFLINE"] = "1"
    options.folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(9)
    facts = [extraction(rng) for _ in range(options.extractions)]
    models = Tiers(torch.bfloat16)
    said = ask_all(models, options.folder, [text for text, _ in facts], options.length)
    judged = judge_all(models, options.folder, said)

    encoder = load_encoder(options.similarity)
    wanted = encoder.encode([reference for _, reference in OPEN])
    vectors = {speaker: encoder.encode(texts) for speaker, texts in said.open.items()}
    speakers = (*TIERS, ECHO)
    found = {
        "`same_number`": [
            [first_number(said.facts[who][at], right) for who in speakers]
            for at, (_, right) in enumerate(facts)
        ],
        "`overlap`": [
            [overlap(said.open[who][at], reference) for who in speakers]
            for at, (_, reference) in enumerate(OPEN)
        ],
        "`cosine`": [
            [cosine(vectors[who][at], wanted[at]) for who in speakers] for at in range(len(OPEN))
        ],
        "mean log-probability": [row["plausible"] for row in judged],
        "pairs, as said": [won(row["leanings"], by_margin=False) for row in judged],
        "pairs, by log-odds": [won(row["leanings"], by_margin=True) for row in judged],
    }
    print(table({name: np.array(scores) for name, scores in found.items()}))
    swaps = [pair for row in judged for pair in row["leanings"]]
    against = np.mean([(shown > 0) != (swapped > 0) for shown, swapped in swaps])
    print(f"\nPairs in which the judge contradicts itself when swapped: {100 * against:.0f}%.")
    say("done")


if __name__ == "__main__":
    main()
