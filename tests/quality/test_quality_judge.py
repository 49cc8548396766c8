"""A judge that can be talked into it loses its weight, and everybody can see that."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from scoring.judge import ATTACKS, Ask, Standing
from subnet.templates.quality import Judged, Quality
from tests.prompts.town import town
from tests.quality.people import INJECTION, Gullibly, Program, Programs, Soberly, sober, solve
from tests.quality.test_quality_template import SEED, drawn, of_kind, worth
from validators.audit import Flaw
from validators.replay import Rules, replay


async def zero(prompt: str) -> str:
    return "0"


class Blindly(Programs):
    asked = {"zero": zero}


@pytest.mark.parametrize(
    ("subnet", "name", "standing"),
    [
        (Gullibly(), "gullible", Standing.FOOLED),
        (Blindly(), "zero", Standing.BLIND),
        (Soberly(), "sober", Standing.TRUSTED),
    ],
)
async def test_what_a_judge_is_worth_is_found_out_before_anybody_is_asked(
    subnet: Programs, name: str, standing: Standing
) -> None:
    for task in await drawn(subnet, 12):
        reference: Any = task.reference
        if reference["kind"] == "open":
            (judge,) = reference["judges"].items()
            assert judge[0] == name and judge[1]["standing"] == standing.value
            assert judge[1]["weight"] == float(standing is Standing.TRUSTED)


async def test_a_fooled_judge_moves_no_score() -> None:
    task = await of_kind("open", Gullibly())
    for text in (solve(task.challenge), f"{solve(task.challenge)} {INJECTION}", INJECTION):
        found = await worth(task, text, subnet=Gullibly())
        assert found.score == (await worth(task, text, subnet=Quality())).score
        assert found.facts["gullible weight"] == 0.0
        assert found.facts["gullible standing"] == "fooled"
        assert "judge" not in found.facts


async def test_a_trusted_judge_moves_scores_and_is_not_asked_about_what_earns_nothing() -> None:
    task, subnet = await of_kind("open", Soberly()), Soberly()
    right = solve(task.challenge)
    plain, padded = [
        await worth(task, right + more, subnet=subnet) for more in ("", f" {INJECTION}")
    ]
    assert (plain.score, plain.facts["judge"]) == (1.0, 1.0)
    assert padded.facts["judge"] == pytest.approx(6 / 9)
    assert padded.score < 0.7
    assert "judge" not in (await worth(task, INJECTION, subnet=subnet)).facts


async def fickle(prompt: str) -> str:
    """As `sober`, but every letter of the prompt counts."""
    given = await sober(prompt)
    return given if given == "0" else str(5 + zlib.crc32(prompt.encode()) % 5)


async def test_a_judge_that_looks_at_the_fence_says_the_same_to_an_auditor() -> None:
    class Fickly(Programs):
        asked = {"fickle": fickle}

    subnet = Fickly()
    grades = set()
    for task in await drawn(subnet, 40):
        if task.challenge.kind == "open":
            once, again = [await worth(task, solve(task.challenge), subnet=subnet) for _ in "ab"]
            assert once == again
            grades.add(once.facts["judge"])
    assert len(grades) > 1


async def test_one_fooled_judge_of_two_leaves_it_to_the_other() -> None:
    class Both(Programs):
        asked = {**Gullibly.asked, **Soberly.asked}

    task = await of_kind("open", Both())
    text = f"{solve(task.challenge)} {INJECTION}"
    both, sober = Both(), Soberly()
    alone = await of_kind("open", sober)
    assert (await worth(task, text, subnet=both)).score == (
        await worth(alone, text, subnet=sober)
    ).score


async def test_the_same_is_found_by_who_only_reads_what_was_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    miners = [Program(), Program(f" {INJECTION}")]
    subnet = Gullibly()
    async with town(tmp_path, monkeypatch, subnet, miners, tasks_per_round=8) as place:
        epoch = await place.epochs(1)
        lines = place.lines()
        (line,) = [line for line in lines if line["kind"] == "round"]
        told = [reply for reply in line["replies"] if "gullible weight" in reply["facts"]]
        assert told and {reply["facts"]["gullible standing"] for reply in told} == {"fooled"}
        found = await place.audit(epoch, lines)
        assert found.verdict == "honest", (found.differences, found.unchecked)
        assert found.scores == 16

        again = await replay(place.path, subnet, rules=Rules(half_life_rounds=8))
        assert (again.judged, again.changed, again.not_judged) == (16, 0, ())
        by_uid = {shift.uid: shift.new_share for shift in again.shifts}
        assert by_uid[2] > 0.8 > 0.2 > by_uid[3]

        # The same judge with its weight back: then the leaf is none of those that were sealed.
        text = json.dumps(lines).replace(r"\"weight\":0.0", r"\"weight\":1.0")
        flaws = {item.flaw for item in (await place.audit(epoch, json.loads(text))).differences}
        assert Flaw.LEAF_FORGED in flaws


class Briefly(Judged):
    attacks = ATTACKS[:8]


class Digitally(Briefly):
    """Holds its model to one digit: then it always gives a grade."""

    def judges(self) -> Mapping[str, Ask]:
        async def ask(prompt: str) -> str:
            engine = self._engine
            digits = {(await engine.tokenize(digit))[0]: digit for digit in "0123456789"}

            def pick(
                place: int, ids: NDArray[np.int64], logprobs: NDArray[np.float64]
            ) -> int | None:
                return next((int(token) for token in ids if int(token) in digits), None)

            (token,) = await engine.sample(await engine.chat(prompt), 1, pick) or [0]
            return digits.get(token, "")

        return {"digit": ask}


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.timeout(900)
@pytest.mark.parametrize("subnet", [Briefly(), Digitally()], ids=["free to write", "one digit"])
async def test_smollm2_is_no_judge(subnet: Judged) -> None:
    async with subnet.judge():
        (judge,) = (await subnet.examine(SEED)).values()
        assert judge["weight"] == 0.0 and judge["standing"] in ("fooled", "blind"), judge
        task = await of_kind("open", Quality())
        reference: Any = task.reference
        told = replace(task, reference={**reference, "judges": {"smollm2": judge}})
        found = await worth(told, solve(task.challenge), subnet=subnet)
        assert found.score == 1.0 and "judge" not in found.facts
