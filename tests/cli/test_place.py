"""Where a command works: the options that nearly all take, and what is wrong with a place."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from subnet.cli import exits
from subnet.cli.app import app as subnet
from subnet.cli.place import Place, ValidatorPlace, with_place
from subnet.config import ValidatorSettings

WORKS_SOMEWHERE = ["audit-key", "doctor", "explain", "hints", "miner", "replay", "state inspect",
                   "state backup", "state restore", "state migrate", "status", "upgrade",
                   "validator"]  # fmt: skip
REMEMBERS = [verb for verb in WORKS_SOMEWHERE if verb not in ("doctor", "miner")]
GIVEN = ["--config", "none.toml", "--network", "ws://h:1", "--netuid", "7", "--wallet", "w"]
GIVEN += ["--hotkey", "h", "--wallet-path", "wallets", "--state", "here"]

app = typer.Typer()
found: list[Any] = []


@app.command()
@with_place
def command(
    needed: Annotated[str, typer.Argument()],
    place: ValidatorPlace,
    must: Annotated[int, typer.Option()],
    own: Annotated[bool, typer.Option("--own")] = False,
) -> None:
    """Remember what was given."""
    found.append((needed, place, must, own))


def test_options_stand_beside_a_command_s_own() -> None:
    result = CliRunner().invoke(app, ["x", "--must", "3", "--own", *GIVEN])
    assert result.exit_code == 0, result.output
    place = ValidatorPlace(
        Path("none.toml"), "ws://h:1", 7, "w", "h", Path("wallets"), Path("here")
    )
    assert found.pop() == ("x", place, 3, True)
    assert CliRunner().invoke(app, ["x"]).exit_code == 2
    CliRunner().invoke(app, ["x", "--must", "3"])
    assert found.pop() == ("x", ValidatorPlace(), 3, False)


def test_every_option_becomes_a_setting(tmp_path: Path) -> None:
    file = tmp_path / "subnet.toml"
    file.write_text("[weights]\nburn = 0.25\n")
    place = ValidatorPlace(file, "ws://h:1", 7, "w", "h", Path("wallets"), Path("here"))
    settings = place.settings(
        ValidatorSettings, validator={"wait": True}, subnet={"definition": "a:B"}
    )
    assert settings.network.model_dump() == {
        "chain": "ws://h:1", "netuid": 7, "wallet": "w", "hotkey": "h",
        "wallet_path": Path("wallets"),
    }  # fmt: skip
    assert (settings.validator.state, settings.validator.wait) == (Path("here"), True)
    assert (settings.subnet.definition, settings.weights.burn) == ("a:B", 0.25)
    assert place.folder() == Path("here")
    somewhere = dataclasses.replace(place, state=None).folder()
    assert somewhere.parts[-4:] == ("ws---h-1", "7", "w", "h")


@pytest.mark.parametrize("verb", WORKS_SOMEWHERE)
def test_every_verb_takes_the_whole_place(verb: str) -> None:
    text = CliRunner().invoke(subnet, [*verb.split(), "--help"]).stdout
    kind = ValidatorPlace if verb in REMEMBERS else Place
    for field in dataclasses.fields(kind):
        assert f"  --{field.name.replace('_', '-')} <" in text


@pytest.mark.parametrize(
    "words", [["status"], ["explain", "5Miner"], ["replay"]], ids=lambda words: words[0]
)
def test_a_folder_without_a_journal(words: list[str], tmp_path: Path) -> None:
    result = CliRunner().invoke(subnet, [*words, "--state", str(tmp_path)])
    assert (result.exit_code, result.stdout) == (exits.STATE, "")
    assert result.stderr == (
        f"error: state at {tmp_path}/journal.jsonl: there is no journal; "
        "name its folder with --state\n"
    )


def test_a_journal_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").mkdir()
    result = CliRunner().invoke(subnet, ["status", "--state", str(tmp_path)])
    assert (result.exit_code, result.stdout) == (exits.STATE, "")
    assert result.stderr == f"error: state at {tmp_path}/journal.jsonl: Is a directory\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[minr]\n", "unknown setting [minr] in subnet.toml; did you mean [miner]?"),
        ("x = [", "subnet.toml is not TOML: Invalid value (at end of document)"),
        ("[weights]\nburn = 2\n", "setting weights.burn in subnet.toml: Input should be"),
        (None, "cannot read subnet.toml: Is a directory"),
    ],
)
def test_settings_that_cannot_be_read(
    text: str | None, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if text is None:
        Path("subnet.toml").mkdir()
    else:
        Path("subnet.toml").write_text(text)
    result = CliRunner().invoke(subnet, ["status", "--netuid", "1"])
    assert (result.exit_code, result.stdout) == (exits.USAGE, "")
    assert result.stderr.startswith(f"error: {problem}")
    # A folder that is named needs no settings.
    Path("state").mkdir()
    result = CliRunner().invoke(subnet, ["status", "--state", "state"])
    assert result.exit_code == exits.STATE
