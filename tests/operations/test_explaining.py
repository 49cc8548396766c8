"""A miner finds its validator on the chain, asks over TLS, and learns nothing of hidden weights.

Real sockets, keys and a real devnet. What an explanation holds is tested with the neurons.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bittensor_core import Keypair, serialized_keypair_to_keyfile_data

from chain.client import Chain
from subnet.cli import exits
from subnet.config import ValidatorTable
from subnet.errors import InvalidSetting
from subnet.protocol import Failure, Reply, Target
from subnet.wire.dendrite import Dendrite
from tests.neurons.ground import alices_subnet
from tests.neurons.history import History
from validators import journal
from validators.explain import PATH, Explanation, Recent, Why
from validators.explaining import Secret, publishing, secret_of, serve_explanations
from validators.sampler import sample

VALIDATOR = Keypair.create_from_uri("//Alice//validator")
MINER = Keypair.create_from_uri("//Alice//miner")
HOST = "127.0.0.7"
HIDDEN = {"read_back": None, "found": None, "commit": "0x77", "reveal_round": None}


async def recent(folder: Path, rounds: int = 1, **weights: Any) -> Recent:
    history = History(folder, validator=VALIDATOR.ss58_address, miners=(MINER.ss58_address,))
    await history.write(rounds)
    found = Recent()
    for line in journal.read(history.path):
        if line["kind"] == "round":
            line["weights"] |= weights
        found.note(line)
    return found


def reveal(round: int, mechanism: int = 0, ending: str = "revealed") -> dict[str, Any]:
    more = {"mechanism": mechanism, "ending": ending, "block": 99}
    return {"kind": "reveal", "round": round, **more}


async def ask(
    bound: tuple[str, int], key: bytes | None = None, round: int | None = None
) -> Reply[Explanation]:
    target = Target(0, VALIDATOR.ss58_address, *bound, key)
    why = Why(hotkey=MINER.ss58_address, round=round)
    async with Dendrite(MINER, allow_private=True) as dendrite:
        (reply,) = await dendrite.ask([target], PATH, why, Explanation, timeout_s=30)
    return reply


def secret(folder: Path) -> Secret:
    found = secret_of(ValidatorTable(explain_port=0, explain_address="127.0.0.7:9"), folder)
    assert found is not None
    return found


async def test_nothing_is_told_of_weights_that_are_hidden(tmp_path: Path) -> None:
    at_hand = await recent(tmp_path, 3, **HIDDEN)
    async with serve_explanations(VALIDATOR, at_hand, HOST, 0) as bound:
        early = await ask(bound)
        at_hand.note(reveal(2))
        later = await ask(bound)
        third = await ask(bound, round=3)
    assert (early.answer, early.status, early.code) == (None, 403, "not_shown_yet")
    assert early.signed
    assert later.answer is not None and later.answer.round == 2
    assert [question.round for question in later.answer.questions] == [1, 2]
    assert later.answer.weight is not None and later.answer.weight.read_back is True
    assert (third.answer, third.code) == (None, "not_shown_yet")
    # Whoever runs the validator reads all of it.
    assert at_hand.explain(MINER.ss58_address).round == 3


async def test_every_mechanism_s_row_must_be_shown(tmp_path: Path) -> None:
    other = {"set": True, **HIDDEN}
    at_hand = await recent(tmp_path, others={"1": other, "2": {"set": False, "read_back": None}})
    async with serve_explanations(VALIDATOR, at_hand, HOST, 0) as bound:
        assert (await ask(bound)).code == "not_shown_yet"
        at_hand.note(reveal(1, mechanism=1, ending="expired"))
        assert (await ask(bound)).answer is not None


async def test_a_round_whose_row_is_not_set_yet_waits_for_it(tmp_path: Path) -> None:
    at_hand = await recent(tmp_path, set=False, read_back=None, problem="not yet", code="later")
    async with serve_explanations(VALIDATOR, at_hand, HOST, 0) as bound:
        assert (await ask(bound)).code == "not_shown_yet"


async def test_over_tls_with_the_key_that_was_published_or_not_at_all(tmp_path: Path) -> None:
    at_hand, own = await recent(tmp_path), secret(tmp_path)
    (tmp_path / "other").mkdir()
    async with serve_explanations(VALIDATOR, at_hand, HOST, 0, secret=own) as bound:
        right = await ask(bound, own.key)
        wrong = await ask(bound, secret(tmp_path / "other").key)
        clear = await ask(bound)
    assert right.answer is not None and right.signed
    assert (wrong.answer, wrong.failure) == (None, Failure.TLS)
    assert (clear.answer, clear.failure) == (None, Failure.UNREACHABLE)
    assert secret(tmp_path).key == own.key  # it is kept
    assert (tmp_path / "explain.pem").stat().st_mode & 0o077 == 0


def test_an_address_without_a_port_to_answer_at_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="explain_port"):
        secret_of(ValidatorTable(explain_address="127.0.0.7:9"), tmp_path)
    for address in ("0.0.0.0:9", "127.0.0.1:9", "203.0.113.5", "host:9", "203.0.113.5:0"):
        with pytest.raises(ValueError, match="explain_address"):
            ValidatorTable(explain_port=9, explain_address=address)
    assert secret_of(ValidatorTable(explain_port=9), tmp_path) is None


@pytest.mark.slow
async def test_the_command_finds_it_on_the_chain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "wallets" / "mine" / "hotkeys" / "default"
    key.parent.mkdir(parents=True)
    key.write_bytes(serialized_keypair_to_keyfile_data(MINER))
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]

    def asked(netuid: int, url: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                sys.executable, "-m", "subnet.cli.app", "explain",
                "--from", str(VALIDATOR.ss58_address), "--json",
                "--network", url, "--netuid", str(netuid),
                "--wallet", "mine", "--wallet-path", str(tmp_path / "wallets"),
            ],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    at_hand, own = await recent(tmp_path), secret(tmp_path)
    async with alices_subnet(
        tmp_path, monkeypatch, stakes=[(VALIDATOR, 100)], miners=[MINER], hidden=False
    ) as (node, chain, netuid):
        none = await asyncio.to_thread(asked, netuid, node.url)
        assert none.returncode == exits.FAILED and "has not published" in none.stderr
        async with (
            serve_explanations(VALIDATOR, at_hand, HOST, port, secret=own),
            publishing(chain, VALIDATOR, netuid, f"{HOST}:{port}", own),
        ):
            await published(chain, netuid, port)
            done = await asyncio.to_thread(asked, netuid, node.url)
        metagraph = await chain.metagraph(netuid)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["hotkey"] == MINER.ss58_address
    # Other validators do not take it for a miner.
    assert sample(metagraph.neurons, asker=MINER.ss58_address, seed=b"") == ()


async def published(chain: Chain, netuid: int, port: int) -> None:
    async with asyncio.timeout(60):
        while True:
            me = (await chain.metagraph(netuid)).find(VALIDATOR.ss58_address)
            if me is not None and me.port == port:
                return
            await asyncio.sleep(0.05)
