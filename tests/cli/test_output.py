"""What goes out: nothing that steers a terminal, and nothing that ends badly for the reader."""

from __future__ import annotations

import json
import logging
import os
import pty
import subprocess
import sys

import pytest

from subnet.cli import output

EVIL = "\x1b[2Jgone\x9b1A\u202eba\x7f\udcff \tend"
PLAIN = "\\u001b[2Jgone\\u009b1A\\u202eba\\u007f\\udcff \tend"


def test_a_stranger_s_text_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    output.result(f"first\n{EVIL}")
    output.say(EVIL)
    output.fail(EVIL)
    out, err = capsys.readouterr()
    assert out == f"first\n{PLAIN}\n"
    in_one_line = PLAIN.replace(" \t", " ")
    assert err == f"{PLAIN}\nerror: {in_one_line}\n"


def test_json_says_the_same_and_is_still_json(capsys: pytest.CaptureFixture[str]) -> None:
    output.data({EVIL: [EVIL, "é\n"]})
    out, _ = capsys.readouterr()
    assert "é" in out
    assert not set(out) & set("\x1b\x9b\u202e\x7f\udcff")
    assert json.loads(out) == {EVIL: [EVIL, "é\n"]}


def test_a_message_is_one_line_of_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        output.log_to_stderr()
        logging.getLogger("one").warning("said %s", f"a\n2026-01-01 INFO forged\r{EVIL}")
        try:
            raise ValueError("whole")
        except ValueError:
            logging.getLogger("two").exception("a bug")
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    first, second, *trace = capsys.readouterr().err.splitlines()
    assert first.endswith(f"WARNING one: said a\\n2026-01-01 INFO forged\\u000d{PLAIN}")
    assert second.endswith("ERROR two: a bug")
    assert trace[0].startswith("Traceback") and trace[-1] == "ValueError: whole"


@pytest.mark.parametrize("words", ["--help", "service miner"])
def test_a_reader_that_goes_away_is_no_bug(words: str) -> None:
    command = [sys.executable, "-m", "subnet.cli.app", *words.split()]
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


def test_bars_where_nothing_can_be_redrawn(capsys: pytest.CaptureFixture[str]) -> None:
    with output.counted("looking", 20) as tell:
        for done in range(1, 21):
            tell(done)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "looking ..." and lines[1] == "looking: 2 of 20" and len(lines) == 11
    with output.counted("looking", 20, lines=False) as tell:
        tell(20)
    assert capsys.readouterr() == ("", "")


def test_what_goes_on_is_shown_to_a_person_and_to_nobody_else() -> None:
    script = (
        "from subnet.cli import output\nwith output.busy('reading'):\n    output.result('done')\n"
    )
    command = [sys.executable, "-c", script]
    assert subprocess.run(command, check=True, capture_output=True).stderr == b""
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm"}
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, stderr=theirs, env=environment
    )
    os.close(theirs)
    shown = os.read(ours, 4096)
    os.close(ours)
    assert done.stdout == b"done\n"
    assert b"reading" in shown
