"""Loading an author's class by name, and what is said when it cannot be."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from subnet.definition import load
from subnet.errors import DefinitionError

GOOD = """
from contextlib import asynccontextmanager
from subnet.definition import Subnet
from subnet.protocol import Answer, Challenge, Task

class Say(Challenge):
    text: str

class Said(Answer):
    text: str

class Parrot:
    async def answer(self, challenge, caller):
        return Said(text=challenge.text)

class Echo(Subnet[Say, Said]):
    challenge, answer = Say, Said
    def tasks(self, seed):
        for number in range(10**9):
            yield Task(str(number), Say(text=str(number)), reference=str(number))
    async def score(self, task, reply):
        return float(reply.answer.text == task.reference)
    @asynccontextmanager
    async def miner(self, options):
        yield Parrot()
"""


def author(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> str:
    name = f"authored_{abs(hash(text))}"
    (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, name, raising=False)
    return name


async def test_an_author_s_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subnet = load(author(tmp_path, monkeypatch, GOOD) + ":Echo")
    async with subnet.judge():
        assert subnet.weights({1: 0.5, 2: 0.5, 3: 0.0}) == {1: 0.5, 2: 0.5, 3: 0.0}


@pytest.mark.parametrize(
    ("text", "name", "problem"),
    [
        (GOOD, "Absent", "has no Absent"),
        (GOOD, "Parrot", "not a subclass of Subnet"),
        (GOOD.replace("async def score", "async def scored"), "Echo", "lacks score"),
        (GOOD.replace("challenge, answer = Say, Said", "challenge = Say"), "Echo", "lacks answer"),
        (GOOD.replace("answer = Say, Said", "answer = Say, Say"), "Echo", "subclass of Answer"),
        (GOOD.replace("async def score", "def score"), "Echo", "async"),
        ("import absent_module", "Echo", "no module absent_module"),
        ("1 / 0", "Echo", "ZeroDivisionError"),
    ],
)
def test_what_is_wrong_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, name: str, problem: str
) -> None:
    with pytest.raises(DefinitionError, match=problem):
        load(f"{author(tmp_path, monkeypatch, text)}:{name}")


@pytest.mark.parametrize("name", ["", "module", "module:", ":Class"])
def test_a_name_of_the_wrong_form(name: str) -> None:
    with pytest.raises(DefinitionError, match=r"package\.module:Class"):
        load(name)


def test_the_model_must_be_the_one_meant() -> None:
    name = "subnet.templates.inference:Inference"
    sha256 = load(name).model_sha256
    assert sha256 is not None
    load(name, model_sha256=sha256)
    with pytest.raises(DefinitionError, match="the settings say"):
        load(name, model_sha256="0" * 64)
