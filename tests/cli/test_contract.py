"""What a script may rely on: the channel, the whole text, and the exit code of every outcome."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chain.errors import ChainAway, ChainRefused
from subnet import errors
from subnet.cli import exits
from subnet.cli.app import VERBS, app

HELP = """\
Usage: subnet [OPTIONS] COMMAND [ARGS]...

  Incentivized AI subnets on Bittensor: a local chain, miners, validators, a
  judging kit.

Options:
  --version  Say the version.
  --debug    Show tracebacks instead of one-line errors.
  --help     Show this message and exit.

Commands:
  audit        Check what a validator published of one epoch.
  audit-key    Print the key to an epoch's withheld questions.
  calibrate    Measure what honest answers look like to a judge.
  chain        Look at a chain: blocks, events, a subnet's seats.
  conformance  Test any miner's URL against the wire.
  demo         Run a whole subnet on this machine, and judge it.
  devnet       Run a development chain.
  doctor       Say what would keep a miner or validator from working.
  explain      Say why a miner got what it got.
  hints        Show who may be one operator, a copier or an outlier.
  manifest     Say what a subnet pays for, and who gets the pay.
  miner        Run one miner.
  model        Fetch and find the model file.
  replay       Judge recorded rounds by other code: who gains or loses.
  service      Print a systemd unit or a container file.
  state        Look at a validator's memory, back it up, restore it.
  status       Say how a validator stands, from its journal.
  upgrade      Try a new version on the last rounds, then switch.
  validator    Run one validator.
"""


def invoke(*arguments: str, **environment: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments), env=environment)
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("arguments", [(), ("--help",)])
def test_help(arguments: tuple[str, ...]) -> None:
    assert invoke(*arguments) == (0, HELP, "")


def test_version() -> None:
    code, out, err = invoke("--version")
    assert (code, err) == (0, "")
    assert re.fullmatch(r"subnet \d+\.\d+\.\d+\n", out)


def test_a_verb_mistyped() -> None:
    assert invoke("modle") == (
        exits.USAGE,
        "",
        "error: No such command 'modle'. Did you mean 'model'; see: subnet --help\n",
    )


def test_an_option_that_is_none() -> None:
    code, out, err = invoke("model", "path", "--colour")
    assert (code, out) == (exits.USAGE, "")
    assert err == "error: No such option: --colour; see: subnet model path --help\n"


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_is_there(verb: str) -> None:
    code, out, err = invoke(verb, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: subnet {verb}")


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    code, out, err = invoke("model", "path", SUBNET_CACHE_DIR=str(tmp_path))
    assert (code, out) == (exits.MODEL, "")
    assert err == (
        f"error: model b179c9523d0e6a0f... is not in {tmp_path}/models; run: subnet model fetch\n"
    )


def test_another_model_that_is_not_there_names_its_own_command(tmp_path: Path) -> None:
    code, out, err = invoke("model", "path", "--which", "minilm", SUBNET_CACHE_DIR=str(tmp_path))
    assert (code, out) == (6, "")
    assert err.endswith(f"{tmp_path}/models; run: subnet model fetch --which minilm\n")


def test_a_file_that_is_another_model(tmp_path: Path) -> None:
    other = tmp_path / "other.gguf"
    other.write_bytes(b"GGUF, but not that one")
    code, out, err = invoke(
        "model", "fetch", "--model", str(other), SUBNET_CACHE_DIR=str(tmp_path / "cache")
    )
    assert (code, out) == (exits.MODEL, "")
    first, second = err.splitlines()
    assert first == "fetching SmolLM2-135M-Instruct Q4_1 ..."
    assert second.startswith(f"error: {other} has sha256 ")


def test_a_report_that_could_not_be_written_is_refused_at_once(tmp_path: Path) -> None:
    missing = tmp_path / "no" / "such" / "folder" / "report.json"
    code, out, err = invoke("demo", "--report", str(missing))
    assert (code, out) == (exits.USAGE, "")
    assert err == f"error: setting --report in the command line: cannot write {missing}\n"


def test_a_floor_that_could_not_be_written_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    code, out, err = invoke("calibrate", "--out", str(tmp_path / "floor.json"))
    assert (code, out) == (exits.USAGE, "")
    assert err == (
        f"error: Invalid value for --out: cannot write {tmp_path}/floor.json; "
        "see: subnet calibrate --help\n"
    )


def test_a_run_folder_that_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "something").touch()
    code, out, err = invoke("demo", "--run-dir", str(tmp_path))
    assert (code, out) == (exits.USAGE, "")
    assert (
        err == f"error: setting --run-dir in the command line: {tmp_path} is not an empty folder\n"
    )


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("no-such-program --flag", "there is no program 'no-such-program --flag'"),
        ("", "there is no program ''"),
        ("'half", "No closing quotation"),
    ],
)
def test_a_miner_command_that_cannot_run(command: str, problem: str, tmp_path: Path) -> None:
    report = str(tmp_path / "report.json")
    code, out, err = invoke("demo", "--report", report, "--miner-cmd", command)
    assert (code, out) == (exits.USAGE, "")
    assert err == f"error: setting --miner-cmd in the command line: {problem}\n"


def test_a_cache_that_cannot_be_looked_into(tmp_path: Path) -> None:
    """Of a name that the file system refuses; root may look into any folder."""
    for which in ("smollm2", "minilm"):
        cache = str(tmp_path / ("x" * 300))
        code, out, err = invoke("model", "path", "--which", which, SUBNET_CACHE_DIR=cache)
        assert (code, out) == (exits.MODEL, ""), err
        assert err.startswith("error: model")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:99999", "http://[::1", "ftp://there:80", "there"]
)
def test_an_address_that_nobody_can_be_asked_at(url: str) -> None:
    code, out, err = invoke("explain", "--ask", url, "--validator", "5V", "--netuid", "1")
    assert (code, out) == (exits.USAGE, "")
    assert err.startswith(f"error: Invalid value: {url!r} is not http://HOST:PORT;")


def test_a_url_that_is_none_is_no_bug() -> None:
    code, out, err = invoke("conformance", "http://[::1", "--receiver", "5X")
    assert (code, out) == (exits.USAGE, "") and "is no http://HOST:PORT/PATH" in err


@pytest.mark.parametrize(
    "words",
    [
        ("hints", "--state", ".", "--days"),
        ("upgrade", "--canary", "--with", "x:Y", "--limit"),
        ("audit", "--validator", "5V", "--epoch", "1", "--journal", os.devnull, "--tolerance"),
    ],
)
def test_what_is_no_number_is_in_no_range(words: tuple[str, ...]) -> None:
    code, out, err = invoke(*words, "nan")
    assert (code, out) == (exits.USAGE, "")
    assert err.startswith(f"error: Invalid value for '{words[-1]}'")


def test_the_home_of_nobody(tmp_path: Path) -> None:
    config = tmp_path / "subnet.toml"
    config.write_text('[validator]\nstate = "~nobody-here/x"\n')
    for words, problem in (
        (("status", "--state", "~nobody-here/x"), "Invalid value: --state"),
        (("service", "miner", "--config", "~nobody-here/x"), "Invalid value: --config"),
        (("status", "--config", str(config)), f"setting validator.state in {config}"),
    ):
        code, out, err = invoke(*words)
        assert (code, out) == (exits.USAGE, "")
        assert err.startswith(f"error: {problem}: there is no home ~nobody-here")


@pytest.mark.parametrize("option", ["--definition", "--subnet"])
def test_an_audit_takes_the_definition_as_every_command_does(tmp_path: Path, option: str) -> None:
    (tmp_path / "journal.jsonl").touch()
    code, _, err = invoke(
        "audit", "--validator", "5V", "--epoch", "1", "--journal", str(tmp_path / "journal.jsonl"),
        option, "nowhere.at_all:Subnet",
    )  # fmt: skip
    assert code == exits.USAGE and err.startswith("error: subnet definition nowhere.at_all:Subnet")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UnknownSetting("miner.prot", "subnet.toml", "miner.port"), 2),
        (errors.NotRegistered("5F", 2, "btcli ..."), 3),
        (ChainAway("ws://x", "y"), 4),
        (ChainRefused("SubNetRegistrationDisabled", ""), 5),
        (errors.ModelMissing("00", Path("x")), 6),
        (errors.ModelUnreadable(Path("x"), "y"), 6),
        (errors.PortTaken("127.0.0.1", 1), 7),
        (errors.WalletError(Path("x"), "y"), 8),
        (errors.StateError(Path("x"), "y"), 9),
        (OSError(errno.ENOSPC, "No space left on device"), 9),
        (errors.EngineAway("x"), 1),
        (PermissionError(errno.EACCES, "Permission denied"), 1),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError(), None),
    ],
)
def test_exit_codes(error: BaseException, code: int | None) -> None:
    assert exits.code_of(error) == code


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys, subnet.cli.app\n"
        "heavy = {'bittensor', 'bittensor_core', 'pydantic', 'numpy', 'rich', 'aiohttp'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert done.stdout == "[]\n"


@pytest.mark.model
def test_the_model_in_json() -> None:
    code, out, err = invoke("model", "path", "--json")
    assert (code, err) == (0, "")
    facts = json.loads(out)
    assert Path(facts["path"]).stat().st_size == facts["size"]
