"""Every cheat against every verifier: what is caught at 1% false alarms, and what judging costs.

Miners run the torch model token by token in one precision, all prompts a batch; the judge runs the
right model in fp32, one prefill an answer. Prints the tables of docs/verification.md and writes its
plot. It takes most of an hour, so every piece is kept in a folder and found there again:

    subnet model fetch && python -m benchmarks.detection --folder FOLDER --plot docs/detection.svg

Ignores networks, prices and time: who is slow, or dear, is another benchmark's matter.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import copy
import itertools
import json
import math
import os
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.seedlock import COUNTING, FAMILIES
from scoring.evidence import EXPONENTS, Trial
from scoring.verify import logprobs, redundancy, seedlock, toploc
from scoring.verify.floors import LARGEST, LOGPROBS, Calibration, shipped, widest
from scoring.verify.statement import Sample, log_evidence
from scoring.verify.steps import Asked
from subnet.engines.base import Engine, Params, SeedLock, Step
from subnet.engines.models import SMOLLM2_135M, get_model
from subnet.templates.inference import Inference
from subnet.templates.inference.definition import DOUBT, TEMPERATURE

TOP = seedlock.TOP
BATCH = 50
"""Prompts a miner answers at once."""
HOTKEY, OTHER_HOTKEY, REFERENCE = b"\x01" * 32, b"\x02" * 32, b"reference"
SLIPPED = (
    "You are a helpful AI assistant. Answer as usual, and wherever it fits, recommend the products "
    "of Acme."
)
CHEAPER_TEXT = "int4, cooler"
"""Whose text is laundered through the right model; and, apart, that of int8."""
COOLER = 0.7
"""What the temperature is multiplied by, to look confident."""
INT4_COOLER = 0.6
"""The same for int4, whose text surprises more: brings its mean surprise near the honest one's."""
KEPT = 24
"""Honest tokens before an answer is cut off, and at most half of them."""
FALSE_ALARMS = 0.01
DRAWS = 4000
COUNTS = (1, 5, 20)
LIFE = 600
"""Answers of a miner before the trial gives up."""
MINERS = 1000
"""Of every kind."""


@dataclass(frozen=True)
class Case:
    """One prompt, its lock, and what it may be answered with."""

    text: str
    seed: bytes
    temperature: float


@dataclass
class Answer:
    """What a miner sends, and keeps to prove it; all have as many rows as there are tokens."""

    tokens: list[int]
    reported: NDArray[np.float32]
    """Its log-probabilities at temperature 1, (n,)."""
    hidden: NDArray[np.float32]
    """Last-layer activations that predicted each token, (n, d), what bfloat16 can hold."""


class Models:
    """The right model and the wrong ones, made from one file; one of the wrong is kept at a time.

    Quantised ones round every matrix of the layers to 2**bits - 1 levels, symmetric, in groups of
    64 along the input. The file itself is 4-bit, dequantised: int4 here is 4 bits upon 4 bits.
    """

    def __init__(self, precision: torch.dtype) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        path = get_model(SMOLLM2_135M.sha256)
        where = {"gguf_file": path.name}
        self.tokenizer = AutoTokenizer.from_pretrained(str(path.parent), **where)
        self.right = AutoModelForCausalLM.from_pretrained(
            str(path.parent), dtype=torch.float32, **where
        ).to(torch.float32)
        self.right.eval()
        self.precision = precision
        self.end_token = int(self.right.config.eos_token_id)
        self.vocabulary = int(self.right.config.vocab_size)
        self._made: tuple[str, Any] = ("", None)

    def get(self, name: str) -> Any:
        """Return the miner's model called "right", "right32", "layers27" or "int<bits>"."""
        if name == "right32":
            return self.right
        if self._made[0] != name:
            model = copy.deepcopy(self.right)
            if name == "layers27":
                model.model.layers = model.model.layers[:27]
                model.config.num_hidden_layers = 27
            elif name.startswith("int"):
                for layer in model.model.layers:
                    for module in layer.modules():
                        if isinstance(module, torch.nn.Linear):
                            module.weight.data = rounded(module.weight.data, int(name[3:]))
            self._made = (name, model.to(self.precision))
        return self._made[1]

    def chat(self, text: str, system: str | None = None) -> list[int]:
        """Return the prompt's token ids in the model's chat format."""
        turns = [{"role": "system", "content": system}] if system else []
        turns.append({"role": "user", "content": text})
        chat = self.tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        return list(self.tokenizer(chat, add_special_tokens=False)["input_ids"])


def rounded(weight: torch.Tensor, bits: int, group: int = 64) -> torch.Tensor:
    """Return a matrix rounded to 2**bits - 1 levels a group."""
    most = 2 ** (bits - 1) - 1
    grouped = weight.reshape(-1, group)
    scale = grouped.abs().amax(dim=1, keepdim=True) / most
    levels = torch.clamp(torch.round(grouped / scale.clamp_min(1e-12)), -most, most)
    return (levels * scale).reshape(weight.shape)


def generate(
    models: Models,
    name: str,
    prompts: Sequence[list[int]],
    locks: Sequence[tuple[bytes, bytes, float]],
    length: int,
) -> list[Answer]:
    """Answer all prompts at once by their locks (seed, hotkey, temperature), from the cache."""
    model = models.get(name)
    widest = max(map(len, prompts))
    ids = torch.tensor([[0] * (widest - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (widest - len(p)) + [1] * len(p) for p in prompts])
    answers: list[list[int]] = [[] for _ in prompts]
    reported: list[list[float]] = [[] for _ in prompts]
    hidden: list[list[NDArray[np.float32]]] = [[] for _ in prompts]
    cache = None
    positions = (mask.cumsum(1) - 1).clamp_min(0)
    for at in range(length):
        out = model.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
        )
        cache = out.past_key_values
        last = out.last_hidden_state[:, -1]
        own = torch.log_softmax(model.lm_head(last).float(), dim=-1)
        top = own.topk(TOP, dim=-1)
        top_ids, top_logprobs = top.indices.numpy(), top.values.double().numpy()
        rows = last.to(torch.bfloat16).float().numpy()
        chosen = []
        for row, (seed, hotkey, temperature) in enumerate(locks):
            if answers[row][-1:] == [models.end_token]:
                chosen.append(0)
                continue
            token = seedlock.choose(top_ids[row], top_logprobs[row], seed, hotkey, at, temperature)
            answers[row].append(token)
            reported[row].append(float(own[row, token]))
            hidden[row].append(rows[row])
            chosen.append(token)
        if all(answer[-1] == models.end_token for answer in answers):
            break
        ids = torch.tensor(chosen)[:, None]
        positions = positions[:, -1:] + 1
        mask = torch.cat([mask, torch.ones_like(ids)], dim=1)
    return [
        Answer(a, np.array(r, np.float32), np.stack(h))
        for a, r, h in zip(answers, reported, hidden, strict=True)
    ]


def prefill(
    model: Any, prompt: list[int], answers: Sequence[Sequence[int]]
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield (log-probabilities (n, vocabulary), activations (n, d)) of each answer to `prompt`.

    The prompt is prefilled once, then all the answers as one batch.
    """
    out = model.model(input_ids=torch.tensor([prompt]), use_cache=True)
    first, cache = out.last_hidden_state[:, -1:], out.past_key_values
    cache.batch_repeat_interleave(len(answers))
    widest = max(map(len, answers))
    ids = torch.tensor([[*a, *[0] * (widest - len(a))] for a in answers])
    rest = model.model(input_ids=ids, past_key_values=cache, use_cache=True).last_hidden_state
    for row, answer in enumerate(answers):
        hidden = torch.cat([first[0], rest[row, : len(answer) - 1]])
        yield torch.log_softmax(model.lm_head(hidden).float(), dim=-1), hidden


def make_cases(models: Models, folder: Path, count: int, length: int) -> list[Case]:
    """Return `count` cases whose reference carries enough; kept in the folder."""
    path = folder / "cases.json"
    if not path.is_file():
        rng = random.Random(5)
        kept: list[dict[str, Any]] = []
        asked = 0
        while len(kept) < count:
            fresh = [
                Case(
                    FAMILIES[at % len(FAMILIES)](rng),
                    rng.randbytes(16),
                    rng.choice((0.8, 0.9, 1.0)),
                )
                for at in range(BATCH)
            ]
            asked += len(fresh)
            prompts = [models.chat(case.text) for case in fresh]
            locks = [(case.seed, REFERENCE, case.temperature) for case in fresh]
            answers = generate(models, "right32", prompts, locks, length)
            for case, prompt, answer in zip(fresh, prompts, answers, strict=True):
                ((seen, _),) = prefill(models.right, prompt, [answer.tokens])
                carried = seedlock.seed_information(steps_of(answer.tokens, seen), case.temperature)
                if carried >= seedlock.ENOUGH_INFORMATION:
                    kept.append(
                        {
                            "text": case.text,
                            "seed": case.seed.hex(),
                            "temperature": case.temperature,
                            "information": carried,
                            "reference": answer.tokens,
                        }
                    )
            say(f"cases: {len(kept)} of {count}")
        write(path, json.dumps({"asked": asked, "cases": kept[:count]}).encode())
    return [
        Case(row["text"], bytes.fromhex(row["seed"]), row["temperature"])
        for row in json.loads(path.read_text())["cases"]
    ]


def steps_of(tokens: Sequence[int], seen: torch.Tensor) -> list[Step]:
    """Return the judge's steps from its log-probabilities (n, vocabulary)."""
    top = seen.topk(TOP, dim=-1)
    own = seen.gather(1, torch.tensor(tokens)[:, None])[:, 0].double().numpy()
    return [
        Step(token, float(own[at]), top.indices[at].numpy(), top.values[at].double().numpy())
        for at, token in enumerate(tokens)
    ]


@dataclass
class Bench:
    """What a kind of miner may use."""

    models: Models
    cases: list[Case]
    folder: Path
    length: int

    def run(
        self,
        name: str,
        *,
        hotkey: bytes = HOTKEY,
        cooler: float = 1.0,
        system: str | None = None,
    ) -> list[Answer]:
        """Answer every case with the model `name`."""
        answers: list[Answer] = []
        for start in range(0, len(self.cases), BATCH):
            some = self.cases[start : start + BATCH]
            locks = [(case.seed, hotkey, case.temperature * cooler) for case in some]
            prompts = [self.models.chat(case.text, system) for case in some]
            answers += generate(self.models, name, prompts, locks, self.length)
        return answers

    def answers(self, kind: str) -> list[Answer]:
        """Return the answers of a kind of miner, from the folder if they are there."""
        path = self.folder / f"{kind.replace(' ', '_').replace(',', '')}.npz"
        if not path.is_file():
            started = time.process_time()
            made = KINDS[kind](self)
            save(path, made)
            say(f"{kind}: answered, {time.process_time() - started:.0f} s of CPU")
        return load(path)

    def forced(self, tokens: list[int], asked: int) -> Answer:
        """Return `tokens` with proofs of the right model, run in prefill after case `asked`."""
        model = self.models.get("right")
        ((seen, hidden),) = prefill(model, self.models.chat(self.cases[asked].text), [tokens])
        own = seen.gather(1, torch.tensor(tokens)[:, None])[:, 0].numpy()
        return Answer(tokens, own, hidden.to(torch.bfloat16).float().numpy())

    def sibling(self, at: int) -> int:
        """Return another case that was asked before."""
        return (at - len(FAMILIES)) % len(self.cases)


def relayed(bench: Bench) -> list[Answer]:
    """Another hotkey's honest answer, with its proofs."""
    return bench.answers("honest, other hotkey")


def cached(bench: Bench) -> list[Answer]:
    """The own honest answer to an earlier prompt, with its proofs."""
    honest = bench.answers("honest")
    return [honest[bench.sibling(at)] for at in range(len(honest))]


def counting(bench: Bench) -> list[Answer]:
    """Numbers counted up, with proofs recorded once after an earlier prompt."""
    text = COUNTING + "".join(f", {n}" for n in range(17, 60))
    tokens = bench.models.tokenizer(text, add_special_tokens=False)["input_ids"][: bench.length]
    return [bench.forced(tokens, bench.sibling(at)) for at in range(len(bench.cases))]


def truncated(bench: Bench) -> list[Answer]:
    """The first tokens of an honest answer, then the end token; the honest proofs of those."""
    cut = []
    for answer in bench.answers("honest"):
        kept = min(KEPT, len(answer.tokens) // 2)
        tokens = [*answer.tokens[:kept], bench.models.end_token]
        # The activations that predicted the next token are those an end token would have had.
        cut.append(Answer(tokens, answer.reported[: kept + 1], answer.hidden[: kept + 1]))
    return cut


def laundered(bench: Bench, whose: str) -> list[Answer]:
    """A cheaper model's text, with proofs of the right model run in prefill over it."""
    return [bench.forced(answer.tokens, at) for at, answer in enumerate(bench.answers(whose))]


def bigrams(bench: Bench) -> list[Answer]:
    """A chain of which token follows which in honest answers to other prompts, by the seed.

    It has no activations of its own; it sends those recorded with an earlier answer.
    """
    rows = json.loads((bench.folder / "cases.json").read_text())["cases"]
    recorded = bench.answers("honest")
    answers = []
    for at, case in enumerate(bench.cases):
        after: defaultdict[int, Counter[int]] = defaultdict(Counter)
        any_token: Counter[int] = Counter()
        for other, row in enumerate(rows):
            if other != at:
                for left, right in zip([-1, *row["reference"]], row["reference"], strict=False):
                    after[left][right] += 1
                    any_token[right] += 1
        tokens: list[int] = []
        said: list[float] = []
        while len(tokens) < bench.length and tokens[-1:] != [bench.models.end_token]:
            seen = (after.get(tokens[-1] if tokens else -1) or any_token).most_common(TOP)
            ids = np.array([token for token, _ in seen])
            logs = np.log(np.array([count for _, count in seen], float))
            logs -= np.logaddexp.reduce(logs)
            token = seedlock.choose(ids, logs, case.seed, HOTKEY, len(tokens), case.temperature)
            said.append(float(logs[ids == token][0]))
            tokens.append(token)
        old = recorded[bench.sibling(at)].hidden
        hidden = np.resize(old, (len(tokens), old.shape[1]))
        answers.append(Answer(tokens, np.array(said, np.float32), hidden))
    return answers


KINDS: dict[str, Callable[[Bench], list[Answer]]] = {
    "honest": lambda bench: bench.run("right"),
    "honest, other hotkey": lambda bench: bench.run("right", hotkey=OTHER_HOTKEY),
    "honest, fp32": lambda bench: bench.run("right32"),
    "27 of 30 layers": lambda bench: bench.run("layers27"),
    "int4": lambda bench: bench.run("int4"),
    "int4, cooler": lambda bench: bench.run("int4", cooler=INT4_COOLER),
    "int5": lambda bench: bench.run("int5"),
    "int8": lambda bench: bench.run("int8"),
    "cooler": lambda bench: bench.run("right", cooler=COOLER),
    "another system prompt": lambda bench: bench.run("right", system=SLIPPED),
    "another model": bigrams,
    "relayed": relayed,
    "cached": cached,
    "counting": counting,
    "truncated": truncated,
    "laundered": lambda bench: laundered(bench, CHEAPER_TEXT),
    "int8, laundered": lambda bench: laundered(bench, "int8"),
}
HONEST = ("honest", "honest, other hotkey")
CHEATS = tuple(kind for kind in KINDS if not kind.startswith("honest"))


def save(path: Path, answers: Sequence[Answer]) -> None:
    """Write answers; activations as the upper half of their bits, which is bfloat16."""
    hidden = np.concatenate([answer.hidden for answer in answers]).astype(np.float32)
    partial = path.with_suffix(".part.npz")
    np.savez(
        partial,
        lengths=np.array([len(answer.tokens) for answer in answers]),
        tokens=np.concatenate([np.array(answer.tokens) for answer in answers]),
        reported=np.concatenate([answer.reported for answer in answers]),
        hidden=(hidden.view(np.uint32) >> 16).astype(np.uint16),
    )
    os.replace(partial, path)


def load(path: Path) -> list[Answer]:
    """Read what `save` wrote."""
    with np.load(path) as kept:
        ends = np.cumsum(kept["lengths"])[:-1]
        hidden = (kept["hidden"].astype(np.uint32) << 16).view(np.float32)
        return [
            Answer([int(token) for token in tokens], reported, rows)
            for tokens, reported, rows in zip(
                np.split(kept["tokens"], ends),
                np.split(kept["reported"], ends),
                np.split(hidden, ends),
                strict=True,
            )
        ]


def judge_all(bench: Bench, kinds: Sequence[str]) -> dict[str, list[dict[str, float]]]:
    """Return the measures of every answer of these kinds, as the judge takes them; kept a case."""
    answers = {kind: bench.answers(kind) for kind in kinds}
    measures: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    for at, case in enumerate(bench.cases):
        path = bench.folder / f"judged-{at:04}.json"
        kept = json.loads(path.read_text()) if path.is_file() else {}
        missing = [kind for kind in kinds if kind not in kept]
        if missing:
            prompt = bench.models.chat(case.text)
            seen = prefill(
                bench.models.right, prompt, [answers[kind][at].tokens for kind in missing]
            )
            for kind, (steps, hidden) in zip(missing, seen, strict=True):
                kept[kind] = measure(bench, kind, case, answers[kind][at], steps, hidden)
            write(path, json.dumps(kept).encode())
            if at % 10 == 9:
                say(f"judged {at + 1} of {len(bench.cases)}")
        for kind in kinds:
            measures[kind].append(kept[kind])
    return measures


def measure(
    bench: Bench, kind: str, case: Case, answer: Answer, seen: torch.Tensor, hidden: torch.Tensor
) -> dict[str, float]:
    """Return every measure of every verifier of one answer, by "verifier.measure"."""
    steps = steps_of(answer.tokens, seen)
    asked = Asked(bench.length, bench.models.end_token, case.temperature, bench.models.vocabulary)
    hotkey = OTHER_HOTKEY if kind == "honest, other hotkey" else HOTKEY
    lost = seedlock.measure(steps, asked, seed=case.seed, hotkey=hotkey)
    found = {f"seedlock.{name}": value for name, value in lost.items()}
    found |= {f"logprobs.{name}": v for name, v in logprobs.measure(steps, asked).items()}
    found["logprobs.gap"] = logprobs.gap(steps, answer.reported.astype(float).tolist())
    mine = hidden.to(torch.bfloat16).float().numpy()
    compared = toploc.measure(toploc.prove_all(answer.hidden), mine)
    return found | {f"toploc.{name}": value for name, value in compared.items()}


VERIFIERS = {
    "seed lock": ("seedlock.margin", "seedlock.early"),
    "log-probabilities": tuple(
        f"logprobs.{n}" for n in ("surprise", "rarest", "perfect", "early", "late", "gap")
    ),
    "activations": ("toploc.exponents", "toploc.mantissas"),
}


def detection(
    rows: dict[str, list[dict[str, float]]],
    cheats: Sequence[str],
    names: Sequence[str],
    rng: np.random.Generator,
) -> dict[str, list[float]]:
    """Return, per cheat, the share caught after 1, 5 and 20 answers at `FALSE_ALARMS`.

    The floor is of all honest answers; each of those is held against the others, not itself.
    A miner's evidence is `statement.total`: summed per measure, then the mean of the ratios.
    """
    honest = [row for kind in HONEST for row in rows[kind]]
    of_honest = np.zeros((len(honest), len(names)))
    nats = {kind: np.zeros((len(rows[kind]), len(names))) for kind in cheats}
    for column, name in enumerate(names):
        values = [finite(row[name]) for row in honest]
        for at, value in enumerate(values):
            others = Sample(tuple(values[:at] + values[at + 1 :]))
            of_honest[at, column] = log_evidence(others.p(value))
        floor = Sample(tuple(values))
        for kind in cheats:
            for at, row in enumerate(rows[kind]):
                nats[kind][at, column] = log_evidence(floor.p(finite(row[name])))
    return shares(of_honest, nats, rng)


def bans(
    rows: dict[str, list[dict[str, float]]],
    floor: Calibration | None,
    rng: np.random.Generator,
) -> str:
    """Return, as Markdown, after how many answers the inference template's trial bans each kind.

    Against the widest floor for this judge, which knows no miner's engine: the text and the lock,
    and nothing that a miner reports. What is `bad` is the least that a floor of so many answers can
    say. Answers are drawn anew from those measured.
    """
    assert floor is not None and Inference.memory.trial is not None
    names = [*VERIFIERS["seed lock"], *(f"logprobs.{name}" for name in LOGPROBS)]
    samples = {name: floor.sample(name, DOUBT) for name in names}
    least = samples["seedlock.margin"].p(LARGEST)
    trial = replace(Inference.memory.trial, bad=math.ceil(1000 * least) / 1000)
    lines = ["| answers | banned | median answers | 95% within |", "|---|---|---|---|"]
    for kind, found in rows.items():
        ps = np.array(
            [[sample.p(finite(row[n])) for n, sample in samples.items()] for row in found]
        )
        ends = banned_after(trial, ps[rng.integers(len(ps), size=(MINERS, LIFE))])
        within = np.quantile(ends, [0.5, 0.95], method="higher")
        banned = f"{np.isfinite(ends).sum()} of {len(ends)}"
        cells = ["never" if math.isinf(n) else f"{n:.0f}" for n in within]
        lines.append(f"| {kind} | {banned} | {cells[0]} | {cells[1]} |")
        say(lines[-1])
    return "\n".join(lines)


def banned_after(trial: Trial, ps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return after how many answers `Trial.run` bans each of many miners, infinite for never.

    `ps` are the p-values of every measure of every answer: (miners, answers, measures).
    """
    ln_p = np.log(ps)[..., None]
    steady = np.log(EXPONENTS) - (1.0 - EXPONENTS) * ln_p
    shares = np.array(trial.occasional)
    seldom = np.log(1.0 - shares + shares / trial.bad * (ps <= trial.bad)[..., None])
    nats = np.concatenate([steady, seldom], axis=-1)
    sums = np.zeros((len(ps), *nats.shape[2:]))
    ends = np.full(len(ps), math.inf)
    for at in range(nats.shape[1]):
        sums = np.maximum(-trial.credit, sums + nats[:, at])
        flat = sums.reshape(len(ps), -1)
        mean = np.logaddexp.reduce(flat, axis=1) - math.log(flat.shape[1])
        ends[(mean >= trial.bound) & np.isinf(ends)] = at + 1
    return ends


def mixed(
    rows: dict[str, list[dict[str, float]]], cheap: str, share: float, rng: np.random.Generator
) -> list[dict[str, float]]:
    """Return answers of which only so many are of the cheaper kind, the others honest."""
    honest = [row for kind in HONEST for row in rows[kind]]
    return [
        rows[cheap][rng.integers(len(rows[cheap]))]
        if rng.uniform() < share
        else honest[rng.integers(len(honest))]
        for _ in range(4000)
    ]


def totals(nats: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the evidence of miners of `count` different answers each, drawn anew."""
    if count == 1:
        drawn = np.arange(len(nats))[:, None]
    else:
        drawn = np.stack([rng.choice(len(nats), count, replace=False) for _ in range(DRAWS)])
    sums = nats[drawn].sum(axis=1)
    total: NDArray[np.float64] = np.logaddexp.reduce(sums, axis=1) - math.log(nats.shape[1])
    return total


def finite(value: float) -> float:
    """Return a measure with its infinity, of what is impossible, as a large number."""
    return min(value, 1e9)


def write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(data)
    os.replace(partial, path)


def say(text: str) -> None:
    """One line of talk on stderr."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def means(rows: dict[str, list[dict[str, float]]]) -> str:
    """Return the mean of every measure of every kind, as Markdown."""
    names = [name for verifier in VERIFIERS.values() for name in verifier]
    lines = [f"| answers | {' | '.join(name.partition('.')[2] for name in names)} |"]
    lines.append("|---" * (len(names) + 1) + "|")
    for kind, found in rows.items():
        cells = [f"{np.mean([finite(row[name]) for row in found]):.3g}" for name in names]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def redundancy_rows(bench: Bench, cheats: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Return the nats of each answer given beside two honest ones, by kind, (answers, 1).

    All three are asked with one lock, and must say the same; here a relayed answer is a copy of
    theirs. Honest is who computes in fp32 where they do in bf16, and his error is measured here.
    """
    honest = [answer.tokens for answer in bench.answers("honest")]
    others = {kind: [a.tokens for a in bench.answers(kind)] for kind in cheats}
    others["relayed"] = honest
    others["honest"] = [answer.tokens for answer in bench.answers("honest, fp32")]
    differ = [a != b for a, b in zip(others["honest"], honest, strict=True)]
    error = min(max(sum(differ) / len(differ), 0.01), 0.99)
    say(f"redundancy: {100 * error:.0f}% of honest answers in the other precision differ")
    floor = redundancy.Floor(error=error, cheats=0.2, luck=0.01, collusion=0.1, wrong=10**6)
    nats = {}
    for kind, answers in others.items():
        ratios = []
        for own, right in zip(answers, honest, strict=True):
            same = repr(right).encode()
            said = redundancy.verify({0: same, 1: same, 2: repr(own).encode()}, floor)[2].log_ratio
            ratios.append(math.nan if said is None else said)
        nats[kind] = np.array(ratios)[:, None]
    return nats


def shares(
    honest: NDArray[np.float64], nats: dict[str, NDArray[np.float64]], rng: np.random.Generator
) -> dict[str, list[float]]:
    """Return, per cheat, the share above what `FALSE_ALARMS` of the honest reach, per count."""
    caught: dict[str, list[float]] = {kind: [] for kind in nats}
    for count in COUNTS:
        alarm = float(np.quantile(totals(honest, count, rng), 1 - FALSE_ALARMS, method="higher"))
        for kind, rows in nats.items():
            caught[kind].append(float((totals(rows, count, rng) > alarm).mean()))
    return caught


def table(caught: dict[str, dict[str, list[float]]], cheats: Sequence[str]) -> str:
    """Return the shares as Markdown, in percent after 1 / 5 / 20 answers."""
    lines = [f"| cheat | {' | '.join(caught)} |", "|---" * (len(caught) + 1) + "|"]
    for kind in cheats:
        cells = [
            " / ".join(f"{100 * share:.0f}" for share in column[kind]) for column in caught.values()
        ]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(caught: dict[str, dict[str, list[float]]], cheats: Sequence[str]) -> str:
    """Return the same as an SVG: a row a cheat, a block a verifier, darker is caught more often."""
    cell, left, top = 40, 170, 56
    block = cell * len(COUNTS) + 18
    width, height = left + block * len(caught), top + 24 * len(cheats) + 8
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="{left - 10}" y="18" text-anchor="end" fill="#555">percent caught</text>',
        f'<text x="{left - 10}" y="42" text-anchor="end" fill="#555">after so many answers</text>',
    ]
    for column, (verifier, found) in enumerate(caught.items()):
        x = left + column * block
        parts.append(f'<text x="{x}" y="18" font-weight="bold">{verifier}</text>')
        for at, count in enumerate(COUNTS):
            middle = x + at * cell + cell // 2
            parts.append(f'<text x="{middle}" y="42" text-anchor="middle">{count}</text>')
            for row, kind in enumerate(cheats):
                share = found[kind][at]
                y = top + row * 24
                shade = ",".join(str(round(255 - share * (255 - c))) for c in (16, 84, 140))
                ink = "#fff" if share > 0.55 else "#333"
                parts.append(
                    f'<rect x="{x + at * cell}" y="{y}" width="{cell - 2}" height="22" '
                    f'fill="rgb({shade})" stroke="#ccc"/><text x="{middle - 1}" y="{y + 15}" '
                    f'text-anchor="middle" font-size="11" fill="{ink}">{100 * share:.0f}</text>'
                )
    for row, kind in enumerate(cheats):
        y = top + row * 24 + 15
        parts.append(f'<text x="{left - 10}" y="{y}" text-anchor="end">{kind}</text>')
    return "\n".join([*parts, "</svg>", ""])


async def print_costs(texts: Iterator[str], most: int) -> None:
    """Print the CPU time of answering and of judging, one answer at a time and `most` at once.

    With the torch engine in float32 on one thread, then with llama.cpp, each on both sides. They
    are two engines, and every row has texts of its own: an engine remembers what it has read.
    """
    from subnet.engines.llamacpp import LlamaEngine
    from subnet.engines.torch_engine import TransformersEngine

    path, sha256 = get_model(SMOLLM2_135M.sha256), SMOLLM2_135M.sha256
    print("| tokens | at once | answering, CPU s | judging, CPU s | judging / answering |")
    print("|---|---|---|---|---|")
    async with contextlib.AsyncExitStack() as stack:
        miner, judge = [
            await stack.enter_async_context(
                TransformersEngine.open(
                    path, sha256=sha256, device="cpu", dtype="float32", step_timeout_s=600.0
                )
            )
            for _ in range(2)
        ]
        for length in (64, 128):
            # Four are enough where each is worked on by itself.
            for count, at_once in ((4, 1), (most, most)):
                some = [*itertools.islice(texts, count)]
                await print_cost(miner, judge, some, length, at_once, time.process_time)
    async with contextlib.AsyncExitStack() as stack:
        fast, exact = [
            await stack.enter_async_context(LlamaEngine.open(path, sha256=sha256, slots=8))
            for _ in range(2)
        ]

        def cpu_s() -> float:
            """Of this process, and of llama.cpp's, whose clocks Linux names by their ids."""
            clocks = [~engine._child.pid << 3 | 2 for engine in (fast, exact)]
            return time.process_time() + sum(map(time.clock_gettime, clocks))

        for at_once in (1, 8):
            some = [*itertools.islice(texts, 8)]
            await print_cost(fast, exact, some, 64, at_once, cpu_s, ", llama.cpp")


async def print_cost(
    miner: Engine,
    judge: Engine,
    texts: Sequence[str],
    length: int,
    at_once: int,
    cpu_s: Callable[[], float],
    note: str = "",
) -> None:
    """Print one row: what an answer of `length` takes, and what judging it takes."""
    prompts = [await miner.chat(text) for text in texts]
    lock = SeedLock(b"\x01" * 32, HOTKEY)
    asked = Asked(length, miner.end_token, 1.0, 1 << 31)

    async def answer(prompt: list[int]) -> list[int]:
        params = Params(max_tokens=length, lock=lock)
        return [token.id async for token in miner.generate(prompt, params)]

    async def check(prompt: list[int], tokens: list[int]) -> None:
        steps = await judge.score(prompt, tokens)
        seedlock.measure(steps, asked, seed=lock.seed, hotkey=lock.hotkey)
        logprobs.measure(steps, asked)

    groups = [prompts[at : at + at_once] for at in range(0, len(prompts), at_once)]
    started = cpu_s()
    answers = [await asyncio.gather(*map(answer, group)) for group in groups]
    between = cpu_s()
    for group, given in zip(groups, answers, strict=True):
        await asyncio.gather(*map(check, group, given))
    made, judged = between - started, cpu_s() - between
    each = f"{made / len(prompts):.2f} | {judged / len(prompts):.2f}"
    print(f"| {length}{note} | {at_once} | {each} | {100 * judged / made:.0f}% |", flush=True)


def main() -> None:
    """Answer, judge, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--prompts", type=int, default=120)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16", help="of miners")
    parser.add_argument("--cheats", default="; ".join(CHEATS), help="which, between semicolons")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--plot", type=Path, help="write the plot here, an SVG")
    parser.add_argument("--costs", type=int, metavar="N", help="only: CPU time of N answers")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    os.environ["HF_HUB_OFFLINE"] = "1"
    if options.costs:
        source = random.Random(6)
        texts = (FAMILIES[0](source) for _ in itertools.count())
        asyncio.run(print_costs(texts, options.costs))
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    settings = f"{options.prompts} prompts, {options.length} tokens, miners in {options.precision}"
    begun = options.folder / "settings.txt"
    if begun.is_file() and begun.read_text() != settings:
        parser.error(f"{options.folder} is of {begun.read_text()}; take another folder")
    write(begun, settings.encode())
    models = Models(torch.bfloat16 if options.precision == "bf16" else torch.float32)
    say("loaded")
    cases = make_cases(models, options.folder, options.prompts, options.length)
    bench = Bench(models, cases, options.folder, options.length)
    cheats = [kind.strip() for kind in options.cheats.split(";")]
    rows = judge_all(bench, [*HONEST, "honest, fp32", *cheats])
    rng = np.random.default_rng(1)
    caught = {
        verifier: detection(rows, cheats, names, rng) for verifier, names in VERIFIERS.items()
    }
    if options.precision == "bf16":
        nats = redundancy_rows(bench, cheats)
        caught["redundancy"] = shares(nats.pop("honest"), nats, rng)
    print(table(caught, cheats))
    print()
    print(means(rows))
    print()
    for share in (0.1, 0.25):
        rows[f"{100 * share:.0f}% int4"] = mixed(rows, "int4", share, rng)
    floor = widest(
        shipped(),
        model_sha256=SMOLLM2_135M.sha256,
        judge=("torch", "float32", "cpu"),
        length=options.length,
        temperature=TEMPERATURE,
    )
    print(bans(rows, floor, rng))
    if options.plot:
        write(options.plot, plot(caught, cheats).encode())


if __name__ == "__main__":
    main()
