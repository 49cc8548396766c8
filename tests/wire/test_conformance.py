"""The suite for any miner's URL: good miners pass all of it, and every case is seen failing."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import os
import shutil
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from bittensor_core import serialized_keypair_to_keyfile_data
from typer.testing import CliRunner

from subnet.cli import exits
from subnet.cli.app import app
from subnet.conformance.cases import CASES, Verdict
from subnet.conformance.exchange import Ending, Endpoint, MinerAway, Shot, exchange, parse
from subnet.conformance.subject import Subject, spaced, with_unicode
from subnet.conformance.suite import Row, run
from subnet.protocol import Chunk
from subnet.wire import tls
from subnet.wire.auth import Caller
from subnet.wire.axon import Axon
from subnet.wire.limits import Limits
from tests.neurons.parrot import Said, Say
from tests.wire.broken import Fault, broken
from tests.wire.strangers import bare_miner, taowire_miner
from tests.wire.world import (
    ED_VALIDATOR,
    LOOPBACK,
    MINER,
    STRANGER,
    VALIDATOR,
    Echo,
    Question,
    Served,
    echo,
    permits,
    serving,
)

BODY = b'{"text":"two words"}'
ROOT = Path(__file__).parents[2]
PARROT = ROOT / "tests" / "neurons" / "parrot.py"
ALL = {case.name for case in CASES}
SLOW = {case.name for case in CASES if case.slow}


def subject(host: str, port: int, *, patience_s: float = 20.0) -> Subject:
    """A good server ends our patience; where it is to be lost, it must be short."""
    return Subject(
        Endpoint(host, port),
        MINER.ss58_address,
        "/echo",
        BODY,
        VALIDATOR,
        ed25519_key=ED_VALIDATOR,
        stream_path="/words",
        stream_body=BODY,
        patience_s=patience_s,
        oversize_bytes=4 << 20,
    )


def having(rows: list[Row], *verdicts: Verdict) -> set[str]:
    return {row.case for row in rows if row.verdict in verdicts}


def test_every_case_says_everything() -> None:
    assert len(ALL) == len(CASES)
    for case in CASES:
        assert all((case.name, case.sent, case.must, case.why))


# Good miners


class Word(Chunk):
    text: str


async def words(question: Question, caller: Caller) -> AsyncGenerator[Word, None]:
    for word in question.text.split():
        yield Word(text=word)


@asynccontextmanager
async def ours() -> AsyncIterator[Served]:
    async with serving(limits=Limits(head_s=0.3, body_s=0.3)) as served:
        served.axon.handle_stream("/words", Question, Word, words)
        yield served


async def test_our_miner_passes_everything() -> None:
    async with ours() as served:
        rows = await run(subject(served.host, served.port))
    assert having(rows, Verdict.PASSED) == ALL, rows


async def test_our_miner_passes_everything_behind_tls(tmp_path: Path) -> None:
    tls.ensure_certificate(tmp_path / "tls.pem")
    context, _ = tls.server_context(tmp_path / "tls.pem")
    axon = Axon(MINER, policy=permits(), limits=Limits(head_s=0.3, body_s=0.3))
    axon.handle("/echo", Question, Echo, echo)
    axon.handle_stream("/words", Question, Word, words)
    host, port = await axon.start(LOOPBACK, 0, tls=context)
    try:
        asker = dataclasses.replace(subject(host, port), endpoint=Endpoint(host, port, tls=True))
        rows = await run(asker)
    finally:
        await axon.stop(0.2)
    assert having(rows, Verdict.PASSED) == ALL, rows


async def test_a_taowire_miner_passes_everything() -> None:
    async with taowire_miner() as (host, port):
        rows = await run(subject(host, port))
    assert having(rows, Verdict.PASSED) == ALL, rows


async def test_a_miner_made_from_the_formats_text_passes_everything() -> None:
    async with broken(Fault.NONE) as (host, port):
        rows = await run(subject(host, port))
    assert having(rows, Verdict.PASSED) == ALL, rows


async def test_what_a_miner_of_a_dozen_lines_lacks(caplog: pytest.LogCaptureFixture) -> None:
    """aiohttp as it comes and the SDK's verifier: the usual way to serve btauth/1."""
    caplog.set_level(logging.CRITICAL, "aiohttp.server")
    async with bare_miner() as (host, port):
        rows = await run(dataclasses.replace(subject(host, port, patience_s=2.0), stream_path=None))
    assert having(rows, Verdict.FAILED) == {
        "stranger",
        "duplicate_headers",
        "wrapped_signature",
        "declared_body",
        "silent",
        "slow_head",
        "slow_body",
        "signed_answer",
    }
    assert having(rows, Verdict.INCONCLUSIVE) == {"answer_binding"}
    assert having(rows, Verdict.NOT_APPLICABLE) == {"stream"}


# Bad miners: what each fault is caught by, and nothing else

CAUGHT_BY: dict[Fault, set[str]] = {
    Fault.GROWING_NONCES: {"overtaken"},
    Fault.PATH_WITHOUT_QUERY: {"query", "percent_encoding"},
    Fault.DECODED_TARGET: {"percent_encoding", "decoded_path"},
    Fault.ASCII_BODY: {"unicode"},
    Fault.PARSED_BODY: {"unicode", "spaced", "tampered_body"},
    Fault.SR25519_ONLY: {"ed25519"},
    Fault.OPEN: {"not_signed", "unsigned_refusals"},
    Fault.ANY_CALLER: {"stranger"},
    Fault.NO_CLOCK: {"stale", "future", "unsigned_refusals"},
    Fault.OLD_ONLY: {"future"},
    Fault.NO_MEMORY: {"replayed"},
    Fault.ANY_RECEIVER: {"wrong_receiver", "no_receiver", "unsigned_refusals"},
    Fault.NO_RECEIVER: {"no_receiver"},
    Fault.UNCHECKED: {
        "tampered_body",
        "tampered_path",
        "tampered_query",
        "tampered_method",
        "wrapped_signature",
        "other_scheme",
        "unsigned_refusals",
    },
    Fault.ANY_METHOD: {"tampered_method"},
    Fault.FIRST_OF_TWO: {"duplicate_headers"},
    Fault.LAST_OF_TWO: {"duplicate_headers"},
    Fault.WRAPPED: {"wrapped_signature"},
    Fault.TRIES_BOTH: {"other_scheme"},
    Fault.FAILS: {"not_signed", "duplicate_headers", "bad_lengths"},
    Fault.FIRST_LENGTH: {"two_lengths"},
    Fault.LAST_LENGTH: {"two_lengths"},
    Fault.CHUNKED_WINS: {"both_framings"},
    Fault.ENDLESS_HEAD: {"large_head"},
    Fault.ENDLESS_BODY: {"declared_body", "large_body"},
    Fault.WAITS_FOR_BODY: {"declared_body"},
    Fault.PATIENT_HEAD: {"silent", "slow_head"},
    Fault.RESTARTED_HEAD: {"slow_head"},
    Fault.PATIENT_BODY: {"slow_body"},
    Fault.UNSIGNED: {"signed_answer"},
    Fault.OTHER_KEY: {"signed_answer", "answer_binding"},
    Fault.STORED_ANSWER: {"signed_answer", "answer_binding"},
    Fault.SIGNS_REFUSALS: {"unsigned_refusals"},
    Fault.NO_END: {"stream"},
    Fault.CUT_STREAM: {"stream"},
    Fault.NO_STREAM: {"stream"},
}
UNTOLD = {Fault.NONE, Fault.ELSEWHERE, Fault.LEAVES}
"""Faults that no case fails of; see the tests below."""


def test_every_case_is_seen_failing() -> None:
    assert set(Fault) == CAUGHT_BY.keys() | UNTOLD
    # `good` fails wherever nobody is let in: see the test of a caller without a seat.
    assert set().union(*CAUGHT_BY.values()) == ALL - {"good"}


@pytest.mark.parametrize("fault", CAUGHT_BY)
async def test_a_miner_with_one_fault_is_caught(fault: Fault) -> None:
    about_time = not SLOW.isdisjoint(CAUGHT_BY[fault])
    cases = [case for case in CASES if about_time or not case.slow]
    async with broken(fault) as (host, port):
        rows = await run(subject(host, port, patience_s=2.0), cases)
    assert having(rows, Verdict.FAILED) == CAUGHT_BY[fault], rows


async def test_where_nothing_is_let_in_a_refusal_proves_nothing() -> None:
    async with broken(Fault.NONE) as (host, port):
        asker = dataclasses.replace(subject(host, port), key=STRANGER)
        rows = await run(asker, [case for case in CASES if not case.slow])
    assert having(rows, Verdict.FAILED) == {"good"}
    assert having(rows, Verdict.INCONCLUSIVE) == {
        case.name for case in CASES if case.baseline and not case.slow
    }


async def test_a_path_that_is_not_served_is_told_apart_from_a_refusal() -> None:
    async with broken(Fault.ELSEWHERE) as (host, port):
        rows = await run(subject(host, port), CASES[:3])
    assert having(rows, Verdict.INCONCLUSIVE) == {case.name for case in CASES[:3]}
    assert "give a --path" in rows[0].happened


async def test_a_miner_that_hangs_up_on_what_it_cannot_parse_leaves_it_open() -> None:
    async with broken(Fault.LEAVES) as (host, port):
        rows = await run(subject(host, port), [case for case in CASES if not case.slow])
    found = having(rows, Verdict.INCONCLUSIVE)
    assert found == {"not_signed", "duplicate_headers", "bad_lengths", "unsigned_refusals"}


async def test_a_busy_miner_is_asked_again() -> None:
    # A burst of requests and then one every tenth of a second: too few for a suite in a hurry.
    limits = Limits(ip_burst=3, ip_rate=2.0)
    async with serving(limits=limits) as served:
        cases = [case for case in CASES if case.name in ("good", "query", "replayed", "stale")]
        rows = await run(subject(served.host, served.port), cases)
    assert having(rows, Verdict.PASSED) == {case.name for case in cases}, rows
    assert served.axon.counters.refused["rate_limited"]


async def test_nobody_there() -> None:
    with pytest.raises(MinerAway, match="no connection to 127.0.0.2:9"):
        await run(subject(LOOPBACK, 9))


# Its parts


@pytest.mark.parametrize(
    ("data", "at_end", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", False, (200, b"hi")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi more", False, (200, b"hi")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", True, None),
        (b"HTTP/1.1 204\r\n\r\n", True, (204, b"")),
        (b"HTTP/1.1 200 OK\r\n\r\nhi", False, None),
        (b"HTTP/1.1 200 OK\r\n\r\nhi", True, (200, b"hi")),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", False,
         (401, b"")),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhi\r\n1\r\n!\r\n0\r\n\r\n",
         False, (200, b"hi!")),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", True, None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", True, None),
        (b"SSH-2.0-OpenSSH\r\n\r\n", True, None),
        (b"HTTP/1.1 abc\r\n\r\n", True, None),
        (b"HTTP/1.1 \xc2\xb2\xc2\xb2\xc2\xb2 OK\r\n\r\n", True, None),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 5000, True, None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n\r\n", True, None),
    ],
)  # fmt: skip
def test_a_response_is_read_when_it_is_whole(data: bytes, at_end: bool, expected: Any) -> None:
    found = parse(data, at_end=at_end)
    assert (None if found is None else (found[0], found[2])) == expected


def test_questions_are_respelled_and_stay_the_same() -> None:
    other = spaced(BODY)
    assert other is not None and other != BODY
    assert json.loads(other) == json.loads(BODY)
    changed = with_unicode(b'{"seed":"0123456789abcdef0123","prompt":"two words","n":1}')
    assert changed is not None and not changed.isascii()
    assert json.loads(changed)["seed"] == "0123456789abcdef0123"
    assert with_unicode(b'{"n":1}') is None
    assert spaced(b"[1]") is None
    assert with_unicode(b"\xff") is None


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"", b"\0" * 65536),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n" * 10000),
        (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n" * 10000),
        (b"", b"HTTP/1.1 102 Wait\r\n\r\n" * 3000),
    ],
    ids=["noise", "small chunks", "headers", "interim"],
)
async def test_the_miner_that_answers_without_end_is_left(head: bytes, piece: bytes) -> None:
    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(head)
            while True:
                writer.write(piece)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(pour, LOOPBACK, 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        heard = await exchange(Endpoint(host, port), Shot([b"x"], nonce=0, sender="", wait_s=60))
    assert (heard.ended, heard.status) == (Ending.CLOSED, None)


# The command


def invoke(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["conformance", *arguments])
    return result.exit_code, result.stdout, result.stderr


QUESTION = ("--path", "/echo", "--body", BODY.decode())
RECEIVER = ("--receiver", MINER.ss58_address)


async def command(*arguments: str, folder: Path = ROOT) -> tuple[int, str, str]:
    """The command in a process of its own: it has an event loop, and so have we."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "subnet.cli.app",
        "conformance",
        *arguments,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_the_command_against_a_good_miner() -> None:
    async with ours() as served:
        code, out, err = await command(
            f"http://{served.host}:{served.port}/echo", *RECEIVER, "--body", BODY.decode(),
            "--uri", "//Validator", "--ed25519-uri", "//Validator", "--stream-path", "/words",
            "--patience", "2", "--oversize", "2", "--json",
        )  # fmt: skip
    assert code == exits.DONE, err
    document = json.loads(out)
    assert {row["case"] for row in document["rows"]} == ALL
    assert {row["verdict"] for row in document["rows"]} == {"passed"}
    assert set(document["rows"][0]) == {"case", "sent", "must", "happened", "why", "verdict"}


async def test_the_command_against_a_bad_miner_with_a_key_of_a_wallet(tmp_path: Path) -> None:
    hotkeys = tmp_path / "default" / "hotkeys"
    hotkeys.mkdir(parents=True)
    (hotkeys / "asker").write_bytes(serialized_keypair_to_keyfile_data(VALIDATOR))
    (tmp_path / "question.json").write_bytes(BODY)
    async with broken(Fault.UNSIGNED) as (host, port):
        code, out, _ = await command(
            f"http://{host}:{port}", *RECEIVER, "--path", "/echo",
            "--body", f"@{tmp_path / 'question.json'}", "--wallet-path", str(tmp_path),
            "--hotkey", "asker", "--patience", "1", "--oversize", "2",
        )  # fmt: skip
    assert code == exits.FAILED
    (row,) = [line for line in out.splitlines() if line.startswith("FAILED")]
    assert row.split()[1] == "signed_answer"
    assert out.rstrip().endswith("31 passed, 2 not applicable, 1 failed, 1 inconclusive"), out


async def test_the_command_takes_its_question_from_the_subnets_definition(tmp_path: Path) -> None:
    """Which lies in the working folder, as an author's does."""
    shutil.copy(PARROT, tmp_path / "my_parrot.py")

    async def say(challenge: Say, caller: Caller) -> Said:
        return Said(text=challenge.text)

    async with ours() as served:
        served.axon.handle("/say", Say, Said, say)
        code, out, err = await command(
            f"http://{served.host}:{served.port}", *RECEIVER, "--definition", "my_parrot:Parrot",
            "--uri", "//Validator", "--patience", "2", "--oversize", "2", "--json", folder=tmp_path,
        )  # fmt: skip
    assert code == exits.DONE, out + err
    assert "/say, as " in err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("http://127.0.0.2:1", "--receiver", "5abc", *QUESTION), "--receiver"),
        (("ftp://127.0.0.2:1", *RECEIVER, *QUESTION), "URL"),
        (("http://127.0.0.2:99999", *RECEIVER, *QUESTION), "URL"),
        (("http://u:p@127.0.0.2", *RECEIVER, *QUESTION), "URL"),
        (("http://127.0.0.2:1", *RECEIVER, "--path", "/a b", "--body", "{}"), "--path"),
        (("http://127.0.0.2:1", *RECEIVER, "--path", "/a", "--body", "{"), "--body"),
        (("http://127.0.0.2:1", *RECEIVER, "--path", "/a", "--body", "@/no/such"), "--body"),
        (("http://127.0.0.2:1", *RECEIVER, *QUESTION, "--uri", "not a uri"), "--uri"),
    ],
)
def test_the_command_called_wrongly(arguments: tuple[str, ...], problem: str) -> None:
    code, out, err = invoke(*arguments)
    assert (code, out) == (exits.USAGE, "")
    assert err.startswith(f"error: setting {problem} in the command line: "), err


def test_the_command_with_nobody_there() -> None:
    code, out, err = invoke("http://127.0.0.2:9", *RECEIVER, *QUESTION, "--uri", "//Validator")
    assert (code, out) == (exits.FAILED, "")
    assert "error: no connection to 127.0.0.2:9" in err
