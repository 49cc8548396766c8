"""The demo's questions: without end, different, and the same again from the same seed."""

from __future__ import annotations

import random

from subnet.templates.inference.prompts import TEMPLATES, write_prompt


def test_the_seed_decides() -> None:
    first, again, other = (random.Random(seed) for seed in (b"a", b"a", b"b"))
    prompts = [write_prompt(first) for _ in range(20)]
    assert prompts == [write_prompt(again) for _ in range(20)]
    assert prompts != [write_prompt(other) for _ in range(20)]


def test_ten_thousand_prompts_are_ten_thousand_prompts() -> None:
    source = random.Random(b"many")
    assert len({write_prompt(source) for _ in range(10_000)}) == 10_000


def test_every_template_is_used_and_filled() -> None:
    source = random.Random(b"all")
    prompts = [write_prompt(source) for _ in range(500)]
    assert not [prompt for prompt in prompts if "{" in prompt or "}" in prompt]
    for template in TEMPLATES:
        start = template.partition("{")[0]
        assert any(prompt.startswith(start) for prompt in prompts)
