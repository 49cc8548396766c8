"""Sources: the same from the same seed, mixed by weight, and scored by what they say themselves."""

from __future__ import annotations

import collections
import itertools
import json
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from subnet.errors import DefinitionError, InvalidSetting, MissingExtra
from validators.prompts.sources import (
    Extract,
    Item,
    Lookup,
    Mix,
    Rows,
    Source,
    canary,
    check,
    recorded,
)


def some(source: Source, count: int = 50, seed: bytes = b"s") -> list[Item]:
    return list(itertools.islice(Mix((1, source)).items(seed), count))


def test_a_seed_decides_and_another_one_gives_others() -> None:
    mix = Mix((3, Lookup()), (1, Extract()))
    first, again, other = (
        list(itertools.islice(mix.items(seed), 400)) for seed in (b"s", b"s", b"t")
    )
    assert first == again
    assert not {item.prompt for item in first} & {item.prompt for item in other}
    assert len({item.id for item in first} | {item.id for item in other}) == 800
    counts = collections.Counter(item.source for item in first)
    assert 0.65 < counts["lookup"] / 400 < 0.85  # ±4.6 standard deviations


def test_each_item_has_a_seed_of_its_own() -> None:
    """Leaving some out changes none of the others: those asked do not tell those to come."""
    mix = Mix((1, Lookup()), (1, Extract()))
    whole = list(itertools.islice(mix.items(b"s"), 20))
    state = random.getstate()
    assert list(itertools.islice(mix.items(b"s"), 20))[7] == whole[7]
    assert random.getstate() == state


def test_a_mix_without_weights_is_none() -> None:
    for parts in ((), ((0, Lookup()),), ((-1, Lookup()),), ((float("inf"), Lookup()),)):
        with pytest.raises(ValueError, match="weight"):
            Mix(*parts)


def test_lookups_have_their_answer_in_them() -> None:
    items = some(Lookup())
    for item in items:
        assert item.reference is not None
        answer = item.reference["answer"]
        assert item.prompt.count(answer) == 1
        assert check(item.reference, f"Let me see.\n{answer.lower()}\n").score == 1
        assert check(item.reference, f"{answer} or so").score == 0
        assert check(item.reference, "").score == 0
    codes = {item.reference["answer"] for item in items if item.reference}
    assert len(codes) == 50


def test_extraction_is_scored_as_json() -> None:
    for item in some(Extract()):
        assert item.reference is not None
        answer = dict(item.reference["answer"])
        assert all(str(value) in item.prompt for value in answer.values())
        assert check(item.reference, json.dumps(answer, indent=1)).score == 1
        answer["crates"] += 1
        assert check(item.reference, json.dumps(answer)).score == 0
        assert check(item.reference, "{").reason == "not-json"


def test_rows_of_an_author(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text(
        '{"q": "capital of France?", "a": "Paris"}\n\n{"q": "half of 5?", "a": 2.5}\n'
        '{"q": "primes below 6?", "a": {"kind": "set", "answer": ["2", "3", "5"]}}\n'
    )
    items = {item.prompt: item for item in some(Rows.read(path, prompt="q", reference="a"))}
    assert {item.source for item in items.values()} == {"own"}
    assert check(items["capital of France?"].reference, "paris").score == 1
    assert check(items["half of 5?"].reference, "2.50").score == 1
    assert check(items["primes below 6?"].reference, "5, 3, 2").score == 1
    assert not any(item.organic for item in items.values())


def test_recorded_requests_are_organic(tmp_path: Path) -> None:
    path = tmp_path / "asked.jsonl"
    path.write_text('{"prompt": "how do I boil an egg", "from": "10.0.0.9"}\n')
    (item,) = some(recorded(path), 1)
    assert (item.prompt, item.organic, item.reference) == ("how do I boil an egg", True, None)
    with pytest.raises(ValueError, match="no reference"):
        check(item.reference, "in water")


@pytest.mark.parametrize(
    ("text", "problem"),
    [("", "no lines"), ("\n", "no lines"), ('{"prompt": "a"}\n{"x": 1}\n', "line 2"),
     ("{", "line 1"), ("[]", "line 1"), ('"prompt"', "line 1")],
)  # fmt: skip
def test_files_that_hold_no_rows(text: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text(text)
    with pytest.raises(InvalidSetting, match=problem):
        Rows.read(path)
    with pytest.raises(InvalidSetting):
        Rows.read(tmp_path / "absent.jsonl")


def test_references_that_cannot_be() -> None:
    for wrong in (True, [1], object()):
        with pytest.raises(ValueError, match="a reference is"):
            Rows([{"prompt": "a", "reference": wrong}])
    with pytest.raises(ValueError, match="no rows"):
        Rows([])
    for reference in (None, {}, {"kind": "shape"}, "text"):
        with pytest.raises(ValueError, match="no reference"):
            check(reference, "a")


def test_a_canary_is_told_by_the_plant_alone() -> None:
    for number in range(20):
        plant, probe = canary(bytes([number]))
        assert plant.reference is not None
        code = plant.reference["answer"]
        assert code in plant.prompt and code not in probe.prompt
        assert plant.prompt.splitlines()[-1] == probe.prompt.splitlines()[-1]
        assert check(probe.reference, "no idea").score == 1
        assert plant.id != probe.id
    assert canary(b"a") == canary(b"a") != canary(b"b")


# reasoning-gym


def gym_module() -> Any:
    pytest.importorskip("reasoning_gym", reason="the prompts extra is not installed")
    from validators.prompts import gym

    return gym


@pytest.mark.slow
def test_every_generator_is_right_about_its_own_answers() -> None:
    gym = gym_module()
    for name in gym.GENERATORS:
        rng = random.Random(name)
        item = gym.Gym([name], highest=1).draw(rng)
        assert item == gym.Gym([name], highest=1).draw(random.Random(name))
        assert item.reference is not None and item.source == f"gym:{name}"
        answer = item.reference["answer"]
        assert check(item.reference, answer).score == 1, name
        for wrong in ("", "I do not know", f"{answer} 0 1 2 3 4 5 6 7 8 9", "x" * 20_000):
            assert check(item.reference, wrong).score == 0, (name, wrong)


def test_levels_make_it_harder() -> None:
    gym = gym_module()
    lengths = [
        sum(len(gym.Gym(["basic_arithmetic"], level, level).draw(random.Random(n)).prompt)
            for n in range(40))
        for level in (0, 3)
    ]  # fmt: skip
    assert lengths[0] < lengths[1]


@pytest.mark.parametrize("name", ["countdown", "puzzle24", "n_queens", "spiral_matrix",
                                  "simple_integration", "coin_flip", "binary_matrix"])  # fmt: skip
def test_scorers_that_may_run_an_answer_are_refused(name: str) -> None:
    gym = gym_module()
    with pytest.raises(DefinitionError, match="may run what a miner writes"):
        gym.Gym([name])
    with pytest.raises(DefinitionError, match="may run"):
        check({"kind": "gym", "name": name, "level": 0, "seed": 1, "answer": "1"}, "1")


def test_no_generator_evaluates_an_answer() -> None:
    """Each scorer is shown what would show that it was run."""
    gym = gym_module()
    trap = "__import__('builtins').__dict__.__setitem__('trapped', 1) or 1"
    for name in gym.GENERATORS:
        item = gym.Gym([name], highest=0).draw(random.Random(name))
        assert check(item.reference, trap).score == 0
    import builtins

    assert not hasattr(builtins, "trapped")


def test_another_version_of_a_generator_is_noticed() -> None:
    gym = gym_module()
    item = gym.Gym(["gcd"]).draw(random.Random(1))
    with pytest.raises(DefinitionError, match="not the one that asked"):
        check({**item.reference, "answer": "another"}, "another")
    with pytest.raises(DefinitionError, match="has no generator"):
        gym.Gym(["tarot"])


def test_without_the_package_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from validators.prompts.gym import Gym

    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    with pytest.raises(MissingExtra, match=r"subnetkit\[prompts\]"):
        Gym()
